"""The shapes of what a caller may have for credentials. Types only: defining them costs more than most programs need them for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from ..effects import Flow
from ..values._credentials import Credentials
from ._context import ProviderContext


class Provider(Protocol):
    """A source of credentials of any kind: a flow that returns them, or raises `CredentialsError`."""

    def provide(self, world: ProviderContext, /) -> Flow[Credentials]: ...


class Keys(Protocol):
    """Keys as botocore has them, frozen."""

    @property
    def access_key(self) -> str | None: ...
    @property
    def secret_key(self) -> str | None: ...
    @property
    def token(self) -> str | None: ...


class Freezable(Protocol):
    """botocore's credentials, which may refresh themselves when asked for frozen ones."""

    def get_frozen_credentials(self) -> Keys: ...


class Session(Protocol):
    """A session of botocore or boto3."""

    def get_credentials(self) -> object: ...


# What a callable returns is any of these once more, or something to be awaited; typed as `object`, as botocore has no types.
ProviderLike: TypeAlias = (
    "Credentials | Provider | Keys | Freezable | Session | Callable[[], object]"
)
