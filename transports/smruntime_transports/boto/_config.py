"""boto3's arguments to the settings of a client.

`config` is a `botocore.config.Config`, or any object with some of its attributes. What has no
meaning for this service is ignored, what cannot be done is refused, and what this module does not
know is refused too unless it is None.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from smruntime_core import ConstructionError, Credentials, RetryPolicy, Timeouts
from smruntime_core.credentials import ANONYMOUS

from ..connect._proxies import Proxy
from ..connect._tls import TLS

if TYPE_CHECKING:
    import ssl

    from ..client import WireClientSettings

SERVICE_NAMES: Final = ("sagemaker-runtime", "runtime.sagemaker")  # botocore knows both
SILENCE: Final = 60.0  # seconds, of botocore's two default timeouts
SHORT_CONNECT_TIMEOUT: Final = 3.1  # seconds, of botocore's other `defaults_mode`
DEFAULT_POOL: Final = 10  # botocore's, which does not limit connections; ours do
MODE_ATTEMPTS: Final[Mapping[str, int]] = {"legacy": 5, "standard": 3, "adaptive": 3}
IGNORED: Final = frozenset(
    (
        "account_id_endpoint_mode",
        "auth_scheme_preference",
        "client_context_params",
        "connector_args",
        "disable_request_compression",
        "endpoint_discovery_enabled",
        "http_session_cls",
        "inject_host_prefix",
        "parameter_validation",
        "request_checksum_calculation",
        "request_min_compression_size_bytes",
        "response_checksum_validation",
        "s3",
        "s3_disable_express_session_auth",
        "sigv4a_signing_region_set",
        "tcp_keepalive",
    )
)
READ: Final = frozenset(
    (
        "client_cert",
        "connect_timeout",
        "defaults_mode",
        "ignore_configured_endpoint_urls",
        "max_pool_connections",
        "proxies",
        "proxies_config",
        "read_timeout",
        "region_name",
        "retries",
        "signature_version",
        "use_dualstack_endpoint",
        "use_fips_endpoint",
        "user_agent",
        "user_agent_appid",
        "user_agent_extra",
    )
)


class ClientArguments(NamedTuple):
    """The arguments of `client`, `Session.client` and `create_client`."""

    region_name: str | None = None
    api_version: str | None = None
    use_ssl: bool | None = True
    verify: bool | str | os.PathLike[str] | None = None
    endpoint_url: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    config: object = None
    aws_account_id: str | None = None  # of no use to this service


def make_settings(
    arguments: ClientArguments, profile: str | None = None, botocore_session: object = None
) -> WireClientSettings:
    """Return the settings of a client with these arguments.

    Raises `ConstructionError` for what cannot be done, `PartialCredentialsError` for half a key.
    """
    config = _ConfigReader(arguments.config)
    if arguments.use_ssl is False and arguments.endpoint_url is None:
        raise ConstructionError(
            "use_ssl", "True", message="use_ssl=False: pass endpoint_url='http://…' instead"
        )
    texts = (config.text("user_agent"), config.text("user_agent_extra"))
    endpoint_url = arguments.endpoint_url or _endpoint_url_of_environment()
    settings: dict[str, object] = {
        "timeouts": config.timeouts(),
        "trust_env": config.read("proxies", None) is None,
        "max_connections": config.max_connections(),
        "region": arguments.region_name,
        "endpoint_url": arguments.endpoint_url,
        "profile": profile,
        "credentials": _credentials(arguments, config) or botocore_session,
        "retries": config.retries(),
        "proxy": config.proxy(endpoint_url or "https://"),
        "tls": _tls(arguments.verify, config),
        # a given URL stands for itself
        "use_fips": False if endpoint_url else config.flag("use_fips_endpoint"),
        "use_dualstack": False if endpoint_url else config.flag("use_dualstack_endpoint"),
        "app_id": config.text("user_agent_appid"),
        "user_agent_extra": " ".join(filter(None, texts)) or None,
    }
    given_settings = {name: value for name, value in settings.items() if value is not None}
    return cast("WireClientSettings", given_settings)


def _find_in_environment(*names: str) -> str | None:
    """Return the value of the first variable that has one."""
    return next(filter(None, map(os.environ.get, names)), None)


def _endpoint_url_of_environment() -> str | None:
    return _find_in_environment("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", "AWS_ENDPOINT_URL")


def region_of_environment() -> str | None:
    """Return the region that the environment names."""
    return _find_in_environment("AWS_REGION", "AWS_DEFAULT_REGION")


def profile_of_environment() -> str | None:
    """Return the profile that the environment names."""
    return _find_in_environment("AWS_PROFILE", "AWS_DEFAULT_PROFILE")


def region_of_config(config: object) -> str | None:
    """Return the region of a `Config`, which comes before that of a session."""
    return _ConfigReader(config).text("region_name")


class _ConfigReader:
    """The attributes of a `Config`, checked."""

    def __init__(self, config: object) -> None:
        self._config = config
        if isinstance(config, Mapping | str):
            found = f"found {type(cast('object', config)).__name__}"
            raise ConstructionError("config", "an object with the attributes of a Config", found)
        attributes = cast("dict[str, object]", getattr(config, "__dict__", {}))
        for name, value in attributes.items():
            if not name.startswith("_") and value is not None and name not in READ | IGNORED:
                raise ConstructionError(
                    "config", "attributes of botocore.config.Config", f"{name} is unknown"
                )
        if self.flag("ignore_configured_endpoint_urls"):
            remedy = "set the variable AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true instead"
            raise ConstructionError(
                "config", "None", message=f"config.ignore_configured_endpoint_urls: {remedy}"
            )

    def read(self, name: str, default: object) -> object:
        """Return an attribute, `default` if there is none."""
        return getattr(self._config, name, default)

    def text(self, name: str) -> str | None:
        """Return an attribute that is text."""
        value = self.read(name, None)
        if value is None or isinstance(value, str):
            return value
        raise ConstructionError(f"config.{name}", "a str", f"found {type(value).__name__}")

    def flag(self, name: str) -> bool | None:
        """Return an attribute that is True or False."""
        value = self.read(name, None)
        if value is None or isinstance(value, bool):
            return value
        raise ConstructionError(f"config.{name}", "True or False", f"found {type(value).__name__}")

    def mapping(self, name: str) -> Mapping[str, object] | None:
        """Return an attribute that is a dictionary."""
        value = self.read(name, None)
        if value is None or isinstance(value, Mapping):
            return cast("Mapping[str, object] | None", value)
        raise ConstructionError(f"config.{name}", "a dict", f"found {type(value).__name__}")

    def timeouts(self) -> Timeouts:
        """Return the limits; botocore has one for connecting and one for each silence."""
        connect = self.read("connect_timeout", SILENCE)
        if connect is None and self.text("defaults_mode") not in (None, "legacy"):
            connect = SHORT_CONNECT_TIMEOUT
        silence = cast("float | None", self.read("read_timeout", SILENCE))
        return Timeouts(connect=cast("float | None", connect), response=silence, idle=silence)

    def max_connections(self) -> int:
        """Return the most connections; botocore's default means ours."""
        value = self.read("max_pool_connections", DEFAULT_POOL)
        return 100 if value == DEFAULT_POOL else cast("int", value)

    def retries(self) -> RetryPolicy | None:
        """Return the policy; None for that of the environment."""
        options = self.mapping("retries")
        if not options:
            return None
        total = options.get("total_max_attempts")
        if total is None and (retry_count := options.get("max_attempts")) is not None:
            total = retry_count + 1 if isinstance(retry_count, int) else retry_count
        if total is None:
            if "AWS_MAX_ATTEMPTS" in os.environ:
                return None  # as in botocore, a mode leaves the number to it
            mode = options.get("mode")
            if mode not in MODE_ATTEMPTS:
                raise ConstructionError("config.retries", "a mode, max_attempts, or both")
            total = MODE_ATTEMPTS[cast("str", mode)]
        return RetryPolicy(cast("int", total))

    def proxy(self, url: str) -> Proxy | None:
        """Return the proxy for `url`."""
        proxies = self.mapping("proxies")
        proxy_url = proxies.get(url.partition(":")[0]) if proxies else None
        if proxy_url is None:
            return None
        options = self.mapping("proxies_config") or {}
        if options.get("proxy_use_forwarding_for_https"):
            remedy = "leave it out: every request goes through a tunnel (CONNECT)"
            message = f"config.proxies_config: proxy_use_forwarding_for_https: {remedy}"
            raise ConstructionError("config.proxies_config", "None", message=message)
        certificate, key = _certificate(options.get("proxy_client_cert"))
        ca_bundle = cast("str | None", options.get("proxy_ca_bundle"))
        tls = TLS(ca_bundle=ca_bundle, certificate=certificate, key=key)
        return Proxy.of(proxy_url, "config.proxies", tls if ca_bundle or certificate else None)


def _certificate(value: object) -> tuple[str | None, str | None]:
    """Return the files of a client's certificate and key, which botocore takes as text or pair."""
    if isinstance(value, tuple | list):
        files = cast("tuple[str, ...]", value)
        if len(files) != 2:
            raise ConstructionError("config.client_cert", "a path, or a pair of paths")
        return files[0], files[1]
    return cast("str | None", value), None


def _tls(verify: object, config: _ConfigReader) -> TLS | ssl.SSLContext | None:
    """Return the settings of TLS, None for the default ones."""
    certificate, key = _certificate(config.read("client_cert", None))
    if verify is False:
        return _unverified_context(certificate, key)
    if (verify is not None and not isinstance(verify, bool | str | os.PathLike)) or verify == "":
        raise ConstructionError("verify", "True, False, or the path of a file of certificates")
    is_path = isinstance(verify, str | os.PathLike)
    ca_bundle = os.fspath(cast("str", verify)) if is_path else None
    if ca_bundle is None and certificate is None:
        return None
    return TLS(ca_bundle=ca_bundle, certificate=certificate, key=key)


def _unverified_context(certificate: str | None, key: str | None) -> ssl.SSLContext:
    """Return a context that trusts any server: the caller said `verify=False`."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def _credentials(arguments: ClientArguments, config: _ConfigReader) -> Credentials | None:
    """Return given keys, or those of anonymous calls; None for the usual chain."""
    signature_version = config.read("signature_version", None)
    if type(signature_version).__name__ == "UNSIGNED":  # botocore's sentinel
        return ANONYMOUS
    if signature_version not in (None, "v4"):
        raise ConstructionError("config.signature_version", 'None, "v4" or botocore.UNSIGNED')
    keys = (arguments.aws_access_key_id or None, arguments.aws_secret_access_key or None)
    if keys == (None, None):
        return None  # a token alone is of no use
    if keys[0] is None or keys[1] is None:
        from .exceptions import PartialCredentialsError

        missing_name = "aws_access_key_id" if keys[0] is None else "aws_secret_access_key"
        raise PartialCredentialsError(provider="explicit", cred_var=missing_name)
    return Credentials(keys[0], keys[1], arguments.aws_session_token or None)
