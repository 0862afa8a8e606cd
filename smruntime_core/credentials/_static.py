"""Long-lived keys in the environment or in a profile, and anonymous credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._dates import parse_rfc3339
from ..values._record import unchecked
from ._context import CredentialsErrorContext, ProviderContext, Source

# A request that is signed with these is sent unsigned.
ANONYMOUS: Final = unchecked(Credentials, {"access_key_id": "", "secret_access_key": ""})


class Environment(Source):
    """The keys in the environment.

    `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`; optionally `AWS_SESSION_TOKEN`,
    `AWS_ACCOUNT_ID` and `AWS_CREDENTIAL_EXPIRATION`.
    """

    name = "the environment"

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the keys, or say why there are none; raise `CredentialsError` for half a key."""
        yield from ()
        found = find_keys(context.variable, "the environment", str.upper)
        return found or "AWS_ACCESS_KEY_ID is not set"


def find_keys(
    find_setting: Callable[[str], str | None],
    origin: str,
    convert_name: Callable[[str], str] = str.lower,
) -> Credentials | None:
    """Return the keys among the settings of `origin`, None if neither half is set.

    Raises `CredentialsError` if only one half is set.
    """
    key_id_name = convert_name("aws_access_key_id")
    secret_name = convert_name("aws_secret_access_key")
    expiry_name = convert_name("aws_credential_expiration")
    key_id, secret_key = find_setting(key_id_name), find_setting(secret_name)
    if key_id is None and secret_key is None:
        return None
    if key_id is None or secret_key is None:
        missing_name = key_id_name if key_id is None else secret_name
        raise CredentialsError(f"{origin}: {missing_name} is missing")
    expiry = find_setting(expiry_name)
    expires_at = None if expiry is None else parse_rfc3339(expiry)
    if expiry is not None and expires_at is None:
        raise CredentialsError(f"{origin}: {expiry_name} is not a time like 2026-01-31T23:59:59Z")
    session_token = find_setting(convert_name("aws_session_token"))
    with CredentialsErrorContext(origin):
        return Credentials(
            key_id,
            secret_key,
            session_token or find_setting(convert_name("aws_security_token")),
            expires_at,
            find_setting(convert_name("aws_account_id")),
        )
