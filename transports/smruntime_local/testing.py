"""The local endpoint for tests of an application: `LocalEndpoint`, also without pytest.

    class ScoringTest(unittest.TestCase):
        def setUp(self):
            self.endpoint = self.enterContext(LocalEndpoint())

While it is open, the variables of the environment lead every client to it: boto3, subprocesses and
clients of this library. The pytest plugin (`smruntime_local.pytest_plugin`) makes fixtures of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypedDict, TypeVar, Unpack

from smruntime_core import Credentials, ModelError

from .server._endpoint import Endpoint, serve

if TYPE_CHECKING:
    from .hosting._endpoint_config import EndpointConfig
    from .hosting._recording_file import RecordingPath
    from .models._call import Call
    from .models._function import ModelFunction

__all__ = ["LocalEndpoint", "LocalEndpointOptions", "ServeOptions"]

FunctionT = TypeVar("FunctionT", bound="ModelFunction")

# The same in every test: boto3 keeps the credentials that its default session has found.
CREDENTIALS: Final = Credentials("ASIALOCALENDPOINT000", "local-secret", "local-session-token")

# They would lead a client elsewhere, or change how it tries again.
REMOVED_VARIABLES: Final = (
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_DEFAULT_PROFILE",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_MAX_ATTEMPTS",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_SECURITY_TOKEN",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
)
S3_VARIABLES: Final = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")
_own_s3_urls: Final[set[str]] = set()  # of the endpoints of this process
LOOPBACK_HOSTS: Final = "127.0.0.1,localhost"


class ServeOptions(TypedDict, total=False):
    """The arguments of `serve` that a `LocalEndpoint` takes."""

    region: str
    models: Mapping[str, ModelFunction]
    endpoints: Mapping[str, EndpointConfig]
    backends: Mapping[str, str]
    replay: RecordingPath
    replay_delays: bool
    cut: str


class LocalEndpointOptions(ServeOptions, total=False):
    """The options of a `LocalEndpoint`, as a mapping."""

    s3: bool


class LocalEndpoint:
    """A local endpoint with the environment that leads to it, for a `with` block.

    The block's end closes the endpoint, restores the environment and raises `UnusedStepsError` if a
    step of a script was not used. The options are arguments of `serve`.

    AWS_ENDPOINT_URL_S3 leads to the local endpoint, too, unless it or AWS_ENDPOINT_URL is set. With
    `s3=False` it is left alone, for tests that replace S3 in another way, such as moto.
    """

    def __init__(self, *, s3: bool = True, **options: Unpack[ServeOptions]) -> None:
        self._takes_s3 = s3
        self._server: Endpoint = serve(credentials=CREDENTIALS, **options)
        self._saved: dict[str, str | None] = {}
        _own_s3_urls.add(self._server.environment["AWS_ENDPOINT_URL_S3"])

    @property
    def endpoint(self) -> Endpoint:
        """The server itself."""
        return self._server

    @property
    def url(self) -> str:
        """The URL that clients call."""
        return self._server.url

    @property
    def region(self) -> str:
        """The region that requests must be signed for."""
        return self._server.region

    @property
    def credentials(self) -> Credentials:
        """The credentials that requests must be signed with, the same for all local endpoints."""
        return self._server.credentials

    @property
    def calls(self) -> tuple[Call, ...]:
        """The newest calls as the models received them, at most 1000 or 64 MiB of bodies."""
        return self._server.calls

    def model(self, endpoint_name: str) -> Callable[[FunctionT], FunctionT]:
        """Return a decorator that makes a function of a `Call` the model of an endpoint."""

        def decorate(function: FunctionT) -> FunctionT:
            self._server.add(endpoint_name, function)
            return function

        return decorate

    def add(self, endpoint_name: str, model: ModelFunction | str | EndpointConfig) -> None:
        """Add an endpoint, or replace the one of that name; see `Endpoint.add`."""
        self._server.add(endpoint_name, model)

    def script(self, endpoint_name: str, *steps: object) -> None:
        """Let the next requests to an endpoint go as `steps` say; see `Endpoint.script`.

        An endpoint of that name is added if there is none; it answers the steps only.
        """
        if endpoint_name not in self._server.endpoint_names:
            self._server.add(endpoint_name, _fail_without_model)
        self._server.script(endpoint_name, *steps)

    def put(self, location: str, data: bytes) -> None:
        """Store an input of an asynchronous invocation at `location` ("s3://bucket/key")."""
        self._server.put(location, data)

    def fetch(self, location: str) -> bytes | None:
        """Return the object at `location`; None if there is none."""
        return self._server.fetch(location)

    def assert_called(self, endpoint_name: str, *, times: int | None = None) -> tuple[Call, ...]:
        """Return the calls that the models of an endpoint received.

        Raises `AssertionError` if there were none, or not as many as `times`. Requests that a
        script answered with an error or a page did not reach a model and do not count.
        """
        __tracebackhide__ = True
        found_count = self._server.count_calls(endpoint_name)
        if found_count == times or (times is None and found_count):
            return tuple(call for call in self.calls if call.endpoint_name == endpoint_name)
        wanted = "" if times is None else f", not {_count_times(times)}"
        raise AssertionError(
            f"{endpoint_name} was called {_count_times(found_count)}{wanted}: "
            f"{self._describe_calls(endpoint_name)}"
        )

    def reset(self) -> None:
        """Forget calls, scripts, objects, and endpoints that were added since the start."""
        self._server.reset()

    def check_scripts(self) -> None:
        """Raise `UnusedStepsError` if a step of a script was not used."""
        self._server.check_scripts()

    def set_variables(self) -> None:
        """Set the variables of the environment that lead to this endpoint."""
        for name, value in self._variables().items():
            if name not in self._saved:
                self._saved[name] = os.environ.get(name)
            _set_variable(name, value)

    def restore_variables(self) -> None:
        """Give the variables of the environment their earlier values."""
        while self._saved:
            _set_variable(*self._saved.popitem())

    def close(self) -> None:
        """Restore the environment and close the endpoint.

        Raises `UnusedStepsError` if a step of a script was not used.
        """
        self.restore_variables()
        self._server.close()

    def __enter__(self) -> LocalEndpoint:
        self.set_variables()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore_variables()
        self._server.__exit__(exception_type, exception, traceback)

    def _variables(self) -> dict[str, str | None]:
        """Return the variables to set, and None for those to remove."""
        variables: dict[str, str | None] = dict.fromkeys(REMOVED_VARIABLES)
        variables |= self._server.environment
        s3_urls = {os.environ.get(name) for name in S3_VARIABLES} - {None, "", *_own_s3_urls}
        if not self._takes_s3 or s3_urls:
            del variables["AWS_ENDPOINT_URL_S3"]
        variables |= {
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_RETRY_MODE": "standard",
            "SMRUNTIME_RETRY_DELAY": "0",
        }
        for name in ("NO_PROXY", "no_proxy"):
            earlier_hosts = os.environ.get(name)
            is_set = earlier_hosts and LOOPBACK_HOSTS in earlier_hosts
            added_hosts = f"{earlier_hosts},{LOOPBACK_HOSTS}" if earlier_hosts else LOOPBACK_HOSTS
            variables[name] = earlier_hosts if is_set else added_hosts
        return variables

    def _describe_calls(self, endpoint_name: str) -> str:
        """Return what was called instead."""
        calls = self.calls
        own_calls = [call for call in calls if call.endpoint_name == endpoint_name]
        if own_calls:
            shown = [f"{call.operation} {len(call.body)} bytes" for call in own_calls[:10]]
            return ", ".join([*shown, "…"] if len(own_calls) > len(shown) else shown)
        names = self._server.endpoint_names
        if endpoint_name not in names:
            close_names = get_close_matches(endpoint_name, names, 1)
            suggestion = f"; did you mean {close_names[0]}?" if close_names else ""
            return f"there is no such endpoint{suggestion}"
        other_names = sorted({call.endpoint_name for call in calls})
        return f"calls went to {', '.join(other_names)}" if other_names else "no model was called"


def _fail_without_model(call: Call) -> object:
    message = f"the script of {call.endpoint_name} has no step left, and there is no model"
    error = ModelError(message)
    error.original_status_code, error.original_message = 500, message
    raise error


def _count_times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _set_variable(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
