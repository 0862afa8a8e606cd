"""The instance metadata of EC2, version 2 only: a token first, then the role's name, then its credentials.

    PUT  /latest/api/token                                              a secret that a forged request cannot have
    GET  /latest/meta-data/iam/security-credentials-extended/           the name of the role; where that is not known yet,
    GET  /latest/meta-data/iam/security-credentials/                    the same without the account
    GET  …/NAME                                                         its credentials

Away from EC2 the address leads nowhere, so a try takes one second and the first request is tried
once, unless AWS_METADATA_SERVICE_TIMEOUT and AWS_METADATA_SERVICE_NUM_ATTEMPTS (or the profile's
metadata_service_timeout and metadata_service_num_attempts) say otherwise. A server that answers
with status 500 is asked again. An answer to the PUT travels as many network hops as the instance's
hop limit allows: from inside a container, a limit of 1 looks like a server that never answers.
(EC2 user guide, "Use IMDS"; AWS SDKs reference guide, "IMDS credential provider".)
"""

from __future__ import annotations

import re

from ..effects import Flow, Send
from ..errors import ConstructionError, CredentialsError, DispatchFailure
from ..values._credentials import Credentials
from ..values._http import Request, Response
from ..values._record import Record
from ..values._rules import ENDPOINT_URL
from ._context import MAX_DOCUMENT, Blaming, ProviderContext, Source, Token
from ._documents import credentials, json_object
from ._metadata_limits import TIMEOUT, InstanceLimits, described, instance_limits
from ._services import TimeLimits, ask

DISABLED = "AWS_EC2_METADATA_DISABLED"
ENDPOINTS = {"ipv4": "http://169.254.169.254", "ipv6": "http://[fd00:ec2::254]"}
ROLES = "/latest/meta-data/iam/security-credentials"
EXTENDED = f"{ROLES}-extended"
TTL = "21600"  # seconds, the most there is
WHERE = "instance metadata"
NO_INSTANCE = "this is not an EC2 instance, or its metadata is switched off or blocked"
HOP_LIMIT = f"""in a container, raise the instance's metadata hop limit \
(HttpPutResponseHopLimit) to 2; elsewhere, allow more time with {TIMEOUT}"""


class InstanceMetadata(Source, kw_only=True):
    """The credentials of the instance's role. `endpoint` and `endpoint_mode` ("IPv4", "IPv6") win over what the settings say."""

    name = WHERE

    endpoint: str | None = None
    endpoint_mode: str | None = None

    def look(self, world: ProviderContext) -> Flow[Credentials | str]:
        """The instance's credentials, or why there are none here; raises `CredentialsError`."""
        if (world.variable(DISABLED) or "").lower() == "true":
            return f"switched off by {DISABLED}"
        url = yield from endpoint(world, self.endpoint, self.endpoint_mode)
        limits = yield from instance_limits(world)
        try:
            service = _Service(url, (yield from _open(url, world, limits)), limits)
        except DispatchFailure as failure:
            return described(failure, url, limits.seconds, HOP_LIMIT, NO_INSTANCE)
        found = yield from _role(service, world)
        if found is None:
            return "the instance has no role"
        path, role = found
        response = yield from service.get(f"{path}/{role}", world)
        return credentials(json_object(response.body, WHERE), WHERE)


class _Service(Record):
    """Where the metadata are, and the token that opens them."""

    url: str
    token: Token
    limits: InstanceLimits

    def request(self, path: str) -> Request:
        return Request("GET", self.url + path, (("x-aws-ec2-metadata-token", self.token.word),))

    def get(
        self, path: str, world: ProviderContext, *, tries: int = 4, allowed: tuple[int, ...] = ()
    ) -> Flow[Response]:
        return ask(
            lambda: self.request(path),
            world,
            WHERE,
            limits=self.limits.limits(tries),
            describe=self.describe,
            direct=True,
            allowed=allowed,
        )

    def describe(self, failure: DispatchFailure) -> str:
        """Say why there was no answer."""
        return described(failure, self.url, self.limits.seconds, HOP_LIMIT, NO_INSTANCE)


def endpoint(
    world: ProviderContext, argued: str | None = None, mode: str | None = None
) -> Flow[str]:
    """Where the metadata are; raises `CredentialsError` for what is neither a URL nor a mode."""
    settings = yield from world.settings()
    url = settings.find(("AWS_EC2_METADATA_SERVICE_ENDPOINT",), "ec2_metadata_service_endpoint")
    with Blaming(WHERE):
        if argued is not None or url is not None:
            return ENDPOINT_URL.check("endpoint", argued or (url and url.value)).rstrip("/")
        found = settings.find(
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",), "ec2_metadata_service_endpoint_mode"
        )
        known = ENDPOINTS.get((mode or (found.value if found else "IPv4")).lower())
        if known is None:
            raise ConstructionError("endpoint_mode", "IPv4 or IPv6")
        return known


def _open(url: str, world: ProviderContext, limits: InstanceLimits) -> Flow[Token]:
    """Return the token.

    Raises `DispatchFailure` if there is no answer, `CredentialsError` for one without a token.
    """
    request = Request(
        "PUT", f"{url}/latest/api/token", (("x-aws-ec2-metadata-token-ttl-seconds", TTL),)
    )
    response = yield from _first_answer(request, limits.limits(1))
    if response.status >= 500:
        tries = limits.limits(3)
        response = yield from ask(lambda: request, world, WHERE, limits=tries, direct=True)
    if response.status == 403:
        raise CredentialsError(f"{WHERE}: version 2 is switched off on this instance (status 403)")
    if response.status != 200:
        raise CredentialsError(f"{WHERE}: status {response.status} instead of a token")
    return Token(response.body.strip(), f"{WHERE}: the token")


def _first_answer(request: Request, limits: TimeLimits) -> Flow[Response]:
    """Send `request` until there is an answer of any status; raise the last `DispatchFailure`."""
    for _ in range(limits.tries - 1):
        try:
            return (yield from _send(request, limits))
        except DispatchFailure:
            continue
    return (yield from _send(request, limits))


def _send(request: Request, limits: TimeLimits) -> Flow[Response]:
    seconds, phases = limits.seconds, limits.phases
    return (yield from Send(request, seconds, phases, max_body=MAX_DOCUMENT, direct=True))


def _role(service: _Service, world: ProviderContext) -> Flow[tuple[str, str] | None]:
    """The path to ask under and the name of the role; None if there is none."""
    path = EXTENDED
    try:
        response = yield from service.get(f"{path}/", world, tries=1)
    except CredentialsError:  # not known here yet, or not well: either way the older one will do
        path = ROLES
        response = yield from service.get(f"{path}/", world, allowed=(404,))
    if response.status == 404:
        return None
    role = Token(response.body.strip(), f"{WHERE}: the name of the role").word
    if not re.fullmatch(r"[\w+=,.@-]{1,128}", role, re.ASCII):
        raise CredentialsError(f"{WHERE}: the name of the role is not one")
    return path, role
