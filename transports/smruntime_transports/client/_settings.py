"""The settings of every client: their types and meanings.

A setting that is left out is read from the environment or from the files under `~/.aws`, as boto3
does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias, TypedDict

from smruntime_core import RetryPolicy, Timeouts
from smruntime_core.config import EndpointParameters
from smruntime_core.notices import Notice

from ..wire._wire_settings import ConnectionSettings, WireSettings

if TYPE_CHECKING:
    import urllib3

    from smruntime_core.credentials import ProviderLike


Observer: TypeAlias = Callable[[Notice], object]
EndpointResolver: TypeAlias = Callable[[EndpointParameters], str]


class Settings(TypedDict, total=False):
    """The settings that every client takes; `help(Client)` explains each."""

    region: str | None
    endpoint_url: str | None
    s3_endpoint_url: str | None
    endpoint_resolver: EndpointResolver | None
    signing_host: str | None
    use_fips: bool | None
    use_dualstack: bool | None
    credentials: ProviderLike | None
    profile: str | None
    timeout: float | None
    timeouts: Timeouts | None
    max_body: int | None
    retries: RetryPolicy | None
    observe: Observer | None
    app_id: str | None
    user_agent_extra: str | None


class WireClientSettings(Settings, WireSettings, total=False):
    """The settings of a client over sockets of this library."""


class Urllib3Settings(Settings, ConnectionSettings, total=False):
    """The settings of a client over urllib3: a `PoolManager`, or settings in its place.

    The settings of `pools` are used: TLS, certificates, proxy with headers, source address, socket
    options, and the limits `maxsize` and `block`; its connections are not. The other settings are
    for a client without `pools`.
    """

    pools: urllib3.PoolManager | None


MEANINGS: Final[Mapping[str, str]] = {
    "region": 'AWS region, such as "eu-west-1". '
    "Default: AWS_REGION, AWS_DEFAULT_REGION, or the profile.",
    "endpoint_url": "URL to call instead of the region's host. "
    "Default: AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME, AWS_ENDPOINT_URL, or the profile.",
    "s3_endpoint_url": "URL of S3, for the inputs and answers of asynchronous invocations. "
    "Default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or the profile.",
    "endpoint_resolver": "Function from `smruntime_core.config.EndpointParameters` (region, "
    "operation, endpoint name, usual URL) to the URL of one call. Default: none.",
    "signing_host": "Host (and :port, if any) to sign for, where a tunnel or reverse proxy at "
    "`endpoint_url` replaces the Host field by the real one. Default: the host of the URL.",
    "use_fips": "True to call the region's FIPS host. "
    "Default: AWS_USE_FIPS_ENDPOINT, the profile, or False.",
    "use_dualstack": "True to call the region's dual-stack host. "
    "Default: AWS_USE_DUALSTACK_ENDPOINT, the profile, or False.",
    "credentials": "What to sign with: `Credentials`, a provider of `smruntime_core.credentials`, "
    "a callable that returns credentials, or a session or credentials object of boto3. "
    "Default: the AWS chain (environment, profile, web identity, container, instance).",
    "profile": 'Name of a profile in the files under ~/.aws. Default: AWS_PROFILE, or "default".',
    "timeout": "Seconds for a whole call with its retries, None for no limit; short for "
    "`timeouts` with that `total`. Default: `timeouts.total`.",
    "timeouts": "`Timeouts` of every call, all in seconds; `with_options` changes them for some. "
    "Default: connect 3.1, response 70, idle 20, pool 70, total without limit.",
    "max_body": "Most bytes of a response that is not streamed, None for no limit. "
    "Default: 256 MiB.",
    "retries": "`RetryPolicy`; with `resend` or `retry_model_errors` the model may run twice. "
    "Default: at most 3 attempts, or AWS_MAX_ATTEMPTS, or the profile.",
    "observe": "Callable that receives a notice of every step of a call; it must not block. "
    "Default: none.",
    "app_id": "Name of the application, in the User-Agent header. "
    "Default: AWS_SDK_UA_APP_ID, or the profile.",
    "user_agent_extra": "Text at the end of the User-Agent header. Default: none.",
    "engine": 'Reader of responses: "native", or "h11" (needs the extra of that name). '
    'Default: "native".',
    "tls": "`TLS` or an `ssl.SSLContext`. "
    "Default: the certificates of AWS_CA_BUNDLE, the profile, or the system.",
    "max_connections": "Most connections to one host; further calls wait up to `timeouts.pool`. "
    "Default: 100.",
    "proxy": "URL of a proxy, with user and password if it needs them; or "
    "`Proxy.of(url, tls=TLS(...))` for an https proxy with certificates of its own. "
    "Default: none.",
    "trust_env": "True to use the proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY name. "
    "Default: False.",
    "socket_options": "Triples for `socket.setsockopt`, set after TCP_NODELAY and TCP keep-alive. "
    "Default: none.",
    "pools": "`urllib3.PoolManager` or `ProxyManager`; its settings are used. Default: none.",
    "io": "The IO that does the work: an object with one method for each effect (see "
    "`smruntime_core.effects`). What it lacks, such as `sleep` and reading files, is done as by "
    "the other clients. Default: connections of this library.",
}


def describe(settings: type, *more: str) -> str:
    """Return one paragraph for each setting, for the docstring of a client."""
    setting_names = (*more, *settings.__annotations__)
    return "\n".join(
        f"    {setting_name}: {MEANINGS[setting_name]}" for setting_name in setting_names
    )
