"""What sync and async clients share: the settings, `meta`, `exceptions`, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NoReturn

from smruntime_core import ConstructionError, SmRuntimeError

from ..client._boundary import without_internals
from ._config import profile_of_environment
from ._parameters import ASYNC, STREAM, WHOLE, OperationNames

if TYPE_CHECKING:
    from smruntime_core import Operation, Output, Runtime

    from ..client import AsyncClient, Client
    from ._client_exceptions import ClientExceptions

OPERATIONS: Final = {
    "invoke_endpoint": WHOLE,
    "invoke_endpoint_async": ASYNC,
    "invoke_endpoint_with_response_stream": STREAM,
}


class ClientMeta:
    """What is known of a client, as `client.meta`: region, URL and configuration."""

    def __init__(self, client: Client | AsyncClient, config: object) -> None:
        self._client = client
        self.config: object = config

    @property
    def region_name(self) -> str | None:
        """The region that calls are signed for."""
        return self._client.region

    @property
    def endpoint_url(self) -> str | None:
        """The URL of the service."""
        return self._client.endpoint_url

    @property
    def method_to_api_mapping(self) -> dict[str, str]:
        """The methods of operations, with AWS's names of these."""
        return {method: names.operation_name for method, names in OPERATIONS.items()}

    @property
    def events(self) -> NoReturn:
        """Refuse: there are no event handlers."""
        remedy = "smruntime_transports.Client takes before_signing= and observe= in their place"
        raise AttributeError(f"meta.events: this client has no event handlers; {remedy}")


class BaseClient:
    """What sync and async clients share."""

    def __init__(self, client: Client | AsyncClient, runtime: Runtime, config: object) -> None:
        self.meta: ClientMeta = ClientMeta(client, config)
        self._max_attempts = runtime.options.retries.max_attempts

    def _exception_maker(
        self,
        names: OperationNames[Operation[Output]],
        members: Mapping[str, object],
        *,
        streaming: bool = False,
    ) -> Callable[[SmRuntimeError], Exception]:
        """Return a function that returns the exception for an error of one call."""
        endpoint_name = members.get("EndpointName", "")
        meta, max_attempts = self.meta, self._max_attempts

        def make(error: SmRuntimeError) -> Exception:
            from ._failures import make_exception  # a successful call needs none of this

            without_internals(error)  # frames that hold the members
            url = names.url(meta.endpoint_url, endpoint_name)
            return make_exception(error, names, url, max_attempts, streaming=streaming)

        return make

    @property
    def exceptions(self) -> ClientExceptions:
        """The exceptions of answers."""
        from ._client_exceptions import ClientExceptions

        return ClientExceptions()

    def can_paginate(self, operation_name: str) -> bool:
        """Return False: no operation has pages; raises `KeyError` for an unknown one."""
        if operation_name not in OPERATIONS:
            raise KeyError(operation_name)
        return False

    def get_paginator(self, operation_name: str) -> NoReturn:
        """Raise `OperationNotPageableError`: no operation has pages."""
        from .exceptions import OperationNotPageableError

        raise OperationNotPageableError(operation_name=operation_name)

    @property
    def waiter_names(self) -> list[str]:
        """Return no names: the service has no waiters."""
        return []

    def get_waiter(self, waiter_name: str) -> NoReturn:
        """Raise `ValueError`: the service has no waiters."""
        remedy = "smruntime_transports.Client waits for an asynchronous invocation with its job"
        raise ValueError(f"Waiter does not exist: {waiter_name}; {remedy}")

    def generate_presigned_url(self, *_: object, **__: object) -> NoReturn:
        """Raise `NotImplementedError`: a URL cannot carry the body of an invocation."""
        remedy = "smruntime_core.signing presigns requests"
        raise NotImplementedError(f"generate_presigned_url is not supported; {remedy}")


def construction_exception(refusal: ConstructionError, profile: str | None) -> Exception:
    """Return botocore's exception for settings that name no region or a missing profile.

    Other refusals are returned as they are: a `ValueError` that names the setting.
    """
    from .exceptions import NoRegionError, ProfileNotFound

    if refusal.member == "region" and "no region" in str(refusal):
        return NoRegionError()
    profile = profile or profile_of_environment()
    if refusal.member == "profile" and profile is not None:
        return ProfileNotFound(profile=profile)
    return refusal
