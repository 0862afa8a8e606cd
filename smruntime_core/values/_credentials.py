"""AWS credentials, and the region and service that a signature made with them is good for."""

from __future__ import annotations

from typing import NoReturn

from ..errors import ConstructionError
from ._record import Record, field
from ._rules import KEY, SCOPE_PART, SECRET


def _optional_key(member: str, value: object) -> str | None:
    return None if value is None else KEY.check(member, value)


def _moment(member: str, value: object) -> float | None:
    if value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12
    ):
        return value
    raise ConstructionError(
        member,
        "seconds since the epoch (as `datetime.timestamp()` gives them) or None",
        f"found {type(value).__name__}",
    )


class Credentials(Record):
    """AWS credentials. `expires_at` is in seconds since the epoch, or None if they do not expire.

    They refuse to be pickled, and their repr shows the access key id only. Signing keeps the keys
    derived from them in a slot of the object that they belong to (`signing._sigv4`).
    """

    __slots__ = ("signing_keys",)

    access_key_id: str = field(check=KEY.check)
    secret_access_key: str = field(check=SECRET.check, secret=True)
    session_token: str | None = field(default=None, check=_optional_key, secret=True)
    expires_at: float | None = field(default=None, check=_moment)
    account_id: str | None = None

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials are not pickled: fetch them where they are used")


class Scope(Record):
    """What a signature is good for: a region and a service's signing name."""

    region: str = field(check=SCOPE_PART.check)
    service: str = field(check=SCOPE_PART.check)
