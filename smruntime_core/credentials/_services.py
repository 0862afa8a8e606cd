"""The AWS services that hand out credentials: where they are, and how they are asked.

They are asked up to three times, since being given a key twice does no harm. Hosts follow the services' own endpoint rules
(botocore's `endpoint-rule-set-1.json`); a URL that is set for one (`AWS_ENDPOINT_URL_STS`, …) wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..config._endpoints import partition
from ..conversation._retries import RetryPolicy
from ..effects import Flow, Send, Sleep
from ..errors import CredentialsError, DispatchFailure, ServiceError
from ..values._http import Request, Response
from ..values._rules import ENDPOINT_URL, REGION
from ..values._timeouts import Timeouts
from ._context import MAX_DOCUMENT, Blaming, ProviderContext

POLICY = RetryPolicy.aws_standard()


class TimeLimits(NamedTuple):
    """How long one try may take, in seconds, and how many tries there are."""

    seconds: float = 15.0
    tries: int = 3
    phases: Timeouts = Timeouts(response=10.0, idle=5.0)


SERVICE = TimeLimits()


def limits_of(seconds: float, tries: int) -> TimeLimits:
    """Return limits whose phases may each take all of `seconds`."""
    return TimeLimits(seconds, tries, Timeouts(connect=seconds, response=seconds, idle=seconds))


class Service(NamedTuple):
    """`name` as settings have it, and what its hosts begin with."""

    name: str
    host: str


STS = Service("sts", "sts")
SSO = Service("sso", "portal.sso")
SSO_OIDC = Service("sso_oidc", "oidc")
SIGNIN = Service("signin", "signin")

# Sign-in's hosts begin with the region and end by the partition; one that is not here has its partition's own suffix.
_SIGNIN_SUFFIXES = {
    "aws": "aws.amazon.com",
    "aws-cn": "amazonaws.cn",
    "aws-us-gov": "amazonaws-us-gov.com",
    "aws-eusc": "amazonaws-eusc.eu",
    "aws-iso": "c2shome.ic.gov",
    "aws-iso-b": "sc2shome.sgov.gov",
    "aws-iso-e": "csphome.adc-e.uk",
    "aws-iso-f": "csphome.hci.ic.gov",
}


def url_of(service: Service, region: str, world: ProviderContext) -> Flow[str]:
    """Where `service` is, without a slash at the end; raises `CredentialsError` for what cannot be a region or a URL."""
    settings = yield from world.settings()
    with Blaming(f"the endpoint of {service.name}"):
        REGION.check("region", region)
        set_to = settings.endpoint(service.name)
        if set_to is not None:
            return ENDPOINT_URL.check("endpoint_url", set_to.value).rstrip("/")
        fips = settings.flag("use_fips", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")
        dualstack = settings.flag(
            "use_dualstack", "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"
        )
        return f"https://{_host(service, region, fips, dualstack)}"


def _host(service: Service, region: str, fips: bool, dualstack: bool) -> str:
    name, suffix, dualstack_suffix = partition(region)
    if service is SIGNIN and not dualstack and (not fips or name == "aws-us-gov"):
        place = "" if fips and region == "us-gov-west-1" else f"{region}."
        return f"{place}signin{'-fips' * fips}.{_SIGNIN_SUFFIXES.get(name, suffix)}"
    beyond = fips and (
        dualstack or name != "aws-us-gov"
    )  # there, the plain host is the one with FIPS
    return f"{service.host}{'-fips' * beyond}.{region}.{dualstack_suffix if dualstack else suffix}"


def ask(
    make: Callable[[], Request],
    world: ProviderContext,
    where: str,
    *,
    limits: TimeLimits = SERVICE,
    explain: Callable[[Response], str | None] = lambda response: None,
    describe: Callable[[DispatchFailure], str] = str,
    direct: bool = False,
    allowed: tuple[int, ...] = (),
) -> Flow[Response]:
    """The answer to the request that `make` makes, tried again while it makes sense; raises `CredentialsError`.

    An answer must be successful, or its status `allowed`. `explain` returns what a refusal says of
    itself, its code first; `describe` says why there was no answer. A `direct` request is shown to
    no proxy.
    """
    policy, attempt = POLICY.replace(max_attempts=limits.tries), 0
    while True:
        attempt += 1
        try:
            with Blaming(where):  # an IO refuses what it cannot send
                response = yield from Send(
                    make(), limits.seconds, limits.phases, max_body=MAX_DOCUMENT, direct=direct
                )
        except DispatchFailure as error:
            failure: DispatchFailure | ServiceError = error
        else:
            if (
                200 <= response.status < 300 and not response.truncated
            ) or response.status in allowed:
                return response
            failure = refusal(response, explain(response))
        retry = policy.plan(attempt, failure, policy.capacity, world.random())
        if retry is None:
            told = describe(failure) if isinstance(failure, DispatchFailure) else _told(failure)
            raise CredentialsError(f"{where}: {told}{f', after {attempt} tries' * (attempt > 1)}")
        yield from Sleep(retry.delay)


def refusal(response: Response, said: str | None) -> ServiceError:
    """An answer that refuses, as the retry policy understands it; where it says a code in JSON, that is in a header too."""
    code = (said or "").partition(":")[0] or response.named.get("x-amzn-errortype", "").partition(
        ":"
    )[0]
    return ServiceError(said or "", code=code or None, status=response.status)


def _told(failure: ServiceError) -> str:
    return f"status {failure.status}{f': {failure.message}' if failure.message else ''}"
