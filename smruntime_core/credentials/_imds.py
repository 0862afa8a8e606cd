"""The instance metadata service of EC2 (IMDS), version 2 only.

    PUT  /latest/api/token                                         a token, which a forged request
                                                                   cannot get
    GET  /latest/meta-data/iam/security-credentials-extended/      the name of the role, or, where
    GET  /latest/meta-data/iam/security-credentials/               that path is unknown, from here
    GET  …/NAME                                                    the role's credentials

Outside EC2 no server answers at this address, so one attempt takes one second and the first request
is sent once, unless AWS_METADATA_SERVICE_TIMEOUT and AWS_METADATA_SERVICE_NUM_ATTEMPTS (or the
profile's metadata_service_timeout and metadata_service_num_attempts) say otherwise. After a status
of 500 or more the request is repeated. The answer to the PUT travels as many network hops as the
instance's hop limit allows: with a limit of 1, the server seems silent from inside a container.
(EC2 user guide, "Use IMDS"; AWS SDKs reference guide, "IMDS credential provider".)
"""

from __future__ import annotations

import re
from typing import Final

from ..effects import Flow, Send
from ..errors import ConstructionError, CredentialsError, DispatchFailure
from ..values._credentials import Credentials
from ..values._http import Request, Response
from ..values._record import Record
from ..values._rules import ENDPOINT_URL
from ._context import MAX_DOCUMENT, CredentialsErrorContext, ProviderContext, SecretToken, Source
from ._documents import parse_credentials, parse_json_object
from ._metadata_limits import (
    TIMEOUT_VARIABLE,
    InstanceLimits,
    describe_dispatch_failure,
    instance_limits,
)
from ._services import RequestLimits, send_with_retries

DISABLED_VARIABLE: Final = "AWS_EC2_METADATA_DISABLED"
ENDPOINTS: Final = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
ROLES_PATH: Final = "/latest/meta-data/iam/security-credentials"
EXTENDED_ROLES_PATH: Final = f"{ROLES_PATH}-extended"
LIFETIME_SECONDS: Final = "21600"  # of a token; the maximum
SOURCE_NAME: Final = "instance metadata"
NOT_AN_INSTANCE: Final = (
    "this is not an EC2 instance, or its metadata is switched off or blocked by a firewall"
)
TIMEOUT_REMEDY: Final = (
    "in a container, raise the instance's metadata hop limit (HttpPutResponseHopLimit) to 2; "
    f"elsewhere, allow more time with {TIMEOUT_VARIABLE}"
)


class InstanceMetadata(Source, kw_only=True):
    """The credentials of the instance's role.

    `endpoint` (a URL) and `endpoint_mode` ("IPv4" or "IPv6") win over the settings.
    """

    name = SOURCE_NAME

    endpoint: str | None = None
    endpoint_mode: str | None = None

    def look(self, context: ProviderContext) -> Flow[Credentials | str]:
        """Return the credentials, or say why there are none; raise `CredentialsError`."""
        if (context.variable(DISABLED_VARIABLE) or "").lower() == "true":
            return f"switched off by {DISABLED_VARIABLE}"
        url = yield from endpoint_url(context, self.endpoint, self.endpoint_mode)
        limits = yield from instance_limits(context)
        try:
            token = yield from _request_token(url, context, limits)
        except DispatchFailure as failure:
            return _describe_failure(failure, url, limits)
        service = _MetadataService(url, token, limits)
        found = yield from _find_role(service, context)
        if found is None:
            return "the instance has no role"
        path, role_name = found
        response = yield from service.get(f"{path}/{role_name}", context)
        return parse_credentials(parse_json_object(response.body, SOURCE_NAME), SOURCE_NAME)


class _MetadataService(Record):
    """The metadata service's URL, the token for its requests, and their limits."""

    url: str
    token: SecretToken
    limits: InstanceLimits

    def get(
        self,
        path: str,
        context: ProviderContext,
        *,
        attempts: int = 4,
        allowed_statuses: tuple[int, ...] = (),
    ) -> Flow[Response]:
        """Return the response to a GET; raise `CredentialsError`."""
        headers = (("x-aws-ec2-metadata-token", self.token.value),)
        return send_with_retries(
            lambda: Request("GET", self.url + path, headers),
            context,
            SOURCE_NAME,
            limits=self.limits.request_limits(attempts),
            describe=lambda failure: _describe_failure(failure, self.url, self.limits),
            direct=True,
            allowed_statuses=allowed_statuses,
        )


def _describe_failure(failure: DispatchFailure, url: str, limits: InstanceLimits) -> str:
    return describe_dispatch_failure(failure, url, limits.seconds, TIMEOUT_REMEDY, NOT_AN_INSTANCE)


def endpoint_url(
    context: ProviderContext, endpoint: str | None = None, endpoint_mode: str | None = None
) -> Flow[str]:
    """Return the service's URL; arguments win over settings. Raises `CredentialsError`."""
    settings = yield from context.settings()
    configured_url = settings.find_setting(
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT",), "ec2_metadata_service_endpoint"
    )
    with CredentialsErrorContext(SOURCE_NAME):
        if endpoint is not None or configured_url is not None:
            url = endpoint or (configured_url and configured_url.value)
            return ENDPOINT_URL.check("endpoint", url).rstrip("/")
        configured_mode = settings.find_setting(
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",), "ec2_metadata_service_endpoint_mode"
        )
        mode = endpoint_mode or (configured_mode.value if configured_mode else "IPv4")
        mode_url = ENDPOINTS.get(mode.lower())
        if mode_url is None:
            raise ConstructionError("endpoint_mode", "IPv4 or IPv6")
        return mode_url


def _request_token(url: str, context: ProviderContext, limits: InstanceLimits) -> Flow[SecretToken]:
    """Return a token.

    Raises `DispatchFailure` if there is no answer, `CredentialsError` for one without a token.
    """
    lifetime_header = ("x-aws-ec2-metadata-token-ttl-seconds", LIFETIME_SECONDS)
    request = Request("PUT", f"{url}/latest/api/token", (lifetime_header,))
    response = yield from _first_response(request, limits.request_limits(1))
    if response.status >= 500:
        response = yield from send_with_retries(
            lambda: request, context, SOURCE_NAME, limits=limits.request_limits(3), direct=True
        )
    if response.status == 403:
        raise CredentialsError(
            f"{SOURCE_NAME}: version 2 is switched off on this instance (status 403)"
        )
    if response.status != 200:
        raise CredentialsError(f"{SOURCE_NAME}: status {response.status} instead of a token")
    return SecretToken(response.body.strip(), f"{SOURCE_NAME}: the token")


def _first_response(request: Request, limits: RequestLimits) -> Flow[Response]:
    """Send `request` until a response of any status arrives; raise the last `DispatchFailure`."""
    for _ in range(limits.max_attempts - 1):
        try:
            return (yield from _send_once(request, limits))
        except DispatchFailure:
            continue
    return (yield from _send_once(request, limits))


def _send_once(request: Request, limits: RequestLimits) -> Flow[Response]:
    seconds, phases = limits.seconds, limits.phases
    return (yield from Send(request, seconds, phases, max_body=MAX_DOCUMENT, direct=True))


def _find_role(service: _MetadataService, context: ProviderContext) -> Flow[tuple[str, str] | None]:
    """Return the path of the role's credentials and its name, None if there is no role."""
    path = EXTENDED_ROLES_PATH
    try:
        response = yield from service.get(f"{path}/", context, attempts=1)
    except CredentialsError:  # unknown here, or failing: use the older path
        path = ROLES_PATH
        response = yield from service.get(f"{path}/", context, allowed_statuses=(404,))
    if response.status == 404:
        return None
    role_name = SecretToken(response.body.strip(), f"{SOURCE_NAME}: the name of the role").value
    if not re.fullmatch(r"[\w+=,.@-]{1,128}", role_name, re.ASCII):
        raise CredentialsError(
            f"{SOURCE_NAME}: the name of the role is not 1 to 128 letters, digits and +=,.@-_"
        )
    return path, role_name
