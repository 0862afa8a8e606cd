"""Keys as they stand: in the environment, in a profile; and none at all, for a service that asks for none."""

from __future__ import annotations

from collections.abc import Callable

from ..effects import Flow
from ..errors import CredentialsError
from ..values._credentials import Credentials
from ..values._dates import parse_rfc3339
from ..values._record import unchecked
from ._context import Blaming, ProviderContext, Source

ANONYMOUS = unchecked(
    Credentials, {"access_key_id": "", "secret_access_key": ""}
)  # what is signed with these is not signed


class Environment(Source):
    """`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and perhaps `AWS_SESSION_TOKEN`, `AWS_ACCOUNT_ID`, `AWS_CREDENTIAL_EXPIRATION`."""

    name = "the environment"

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """Credentials, or why there are none here; raises `CredentialsError` for half a key."""
        yield from ()
        return keys(world.variable, "the environment", str.upper) or "AWS_ACCESS_KEY_ID is not set"


def keys(
    look: Callable[[str], str | None], where: str, case: Callable[[str], str] = str.lower
) -> Credentials | None:
    """The keys that `look` finds by their names; None if there are none. Raises `CredentialsError` for half of them."""
    key_id, secret = case("aws_access_key_id"), case("aws_secret_access_key")
    if look(key_id) is None and look(secret) is None:
        return None
    for name in (key_id, secret):
        if look(name) is None:
            raise CredentialsError(f"{where}: {name} is missing")
    expiry = look(case("aws_credential_expiration"))
    expires_at = None if expiry is None else parse_rfc3339(expiry)
    if expiry is not None and expires_at is None:
        raise CredentialsError(
            f"{where}: {case('aws_credential_expiration')} is not a time like 2026-01-31T23:59:59Z"
        )
    with Blaming(where):
        return Credentials(
            look(key_id) or "",
            look(secret) or "",
            look(case("aws_session_token")) or look(case("aws_security_token")),
            expires_at,
            look(case("aws_account_id")),
        )
