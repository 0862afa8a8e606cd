"""AWS credentials, and the region and service that a signature is good for."""

from __future__ import annotations

from typing import NoReturn, Self

from ..errors import ConstructionError
from ._record import Record, field
from ._rules import KEY_TEXT, SCOPE_PART, SECRET_TEXT

LATEST_TIME = 1e12  # seconds since the epoch; a larger number is milliseconds by mistake


def _check_session_token(member: str, value: object) -> str | None:
    return None if value is None else KEY_TEXT.check(member, value)


def _check_expiry(member: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LATEST_TIME:
        return value
    raise ConstructionError(
        member,
        "seconds since the epoch, as datetime.timestamp() returns them, or None",
        f"found {type(value).__name__}",
    )


class Credentials(Record):
    """AWS credentials; `expires_at` is in seconds since the epoch, None if they do not expire.

    They refuse to be pickled, and their repr shows no secret. Signing keeps the keys that it
    derives in a slot of the credentials that they belong to (`signing._sigv4`).
    """

    _suggests = True
    __slots__ = ("signing_keys",)

    access_key_id: str = field(check=KEY_TEXT.check)
    secret_access_key: str = field(check=SECRET_TEXT.check, secret=True)
    session_token: str | None = field(default=None, check=_check_session_token, secret=True)
    expires_at: float | None = field(default=None, check=_check_expiry)
    account_id: str | None = None

    def __copy__(self) -> Self:
        return self  # frozen

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled: fetch them where they are used")


class Scope(Record):
    """What a signature is good for: a region, and a service by its signing name."""

    region: str = field(check=SCOPE_PART.check)
    service: str = field(check=SCOPE_PART.check)
