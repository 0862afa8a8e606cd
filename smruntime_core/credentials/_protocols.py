"""The types that are accepted as credentials; imported by type checkers only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..effects import Flow
from ..values._credentials import Credentials
from ._context import ProviderContext


class Provider(Protocol):
    """A source of credentials of any kind."""

    def provide(self, context: ProviderContext, /) -> Flow[Credentials]:
        """Return credentials; raise `CredentialsError` if there are none."""
        ...


class FrozenKeys(Protocol):
    """Keys in the form of botocore's frozen credentials."""

    @property
    def access_key(self) -> str | None:
        """The access key id."""
        ...

    @property
    def secret_key(self) -> str | None:
        """The secret access key."""
        ...

    @property
    def token(self) -> str | None:
        """The session token."""
        ...


class BotocoreCredentials(Protocol):
    """Credentials of botocore, which may refresh themselves when frozen."""

    def get_frozen_credentials(self) -> FrozenKeys:
        """Return the current keys."""
        ...


class BotocoreSession(Protocol):
    """A session of botocore or boto3."""

    def get_credentials(self) -> object:
        """Return the session's credentials, None if there are none."""
        ...


# A callable returns any of these or an awaitable of one; it is typed as `object`, since botocore
# has no types.
ProviderLike: TypeAlias = (
    Credentials
    | Provider
    | FrozenKeys
    | BotocoreCredentials
    | BotocoreSession
    | Callable[[], object]
)
