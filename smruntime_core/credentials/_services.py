"""Requests to the AWS services that issue credentials: their endpoints, limits and retries.

A request is sent up to three times: issuing credentials twice does no harm. Endpoints follow the
services' own rules (botocore's `endpoint-rule-set-1.json`); a configured URL
(`AWS_ENDPOINT_URL_STS`, …) wins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..config._endpoints import partition
from ..conversation._retries import RetryPolicy
from ..effects import Flow, Send, Sleep
from ..errors import CredentialsError, DispatchFailure, ServiceError
from ..values._http import Request, Response
from ..values._rules import ENDPOINT_URL, REGION
from ..values._timeouts import Timeouts
from ._context import MAX_DOCUMENT, CredentialsErrorContext, ProviderContext

RETRY_POLICY: Final = RetryPolicy.aws_standard()


class RequestLimits(NamedTuple):
    """The seconds that one attempt may take, and the number of attempts."""

    seconds: float = 15.0
    max_attempts: int = 3
    phases: Timeouts = Timeouts(response=10.0, idle=5.0)


SERVICE_LIMITS: Final = RequestLimits()


def uniform_limits(seconds: float, max_attempts: int) -> RequestLimits:
    """Return limits under which each phase may take all of `seconds`."""
    phases = Timeouts(connect=seconds, response=seconds, idle=seconds)
    return RequestLimits(seconds, max_attempts, phases)


class CredentialService(NamedTuple):
    """A service: its name in the settings, and the first labels of its hosts."""

    name: str
    host_prefix: str


STS: Final = CredentialService("sts", "sts")
SSO: Final = CredentialService("sso", "portal.sso")
SSO_OIDC: Final = CredentialService("sso_oidc", "oidc")
SIGNIN: Final = CredentialService("signin", "signin")

# Hosts of sign-in begin with the region; partitions that are not listed use their own suffix.
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


def service_url(service: CredentialService, region: str, context: ProviderContext) -> Flow[str]:
    """Return the URL of `service`, without a slash at the end.

    Raises `CredentialsError` for an invalid region or URL.
    """
    settings = yield from context.settings()
    with CredentialsErrorContext(f"the endpoint of {service.name}"):
        REGION.check("region", region)
        configured = settings.find_endpoint(service.name)
        if configured is not None:
            return ENDPOINT_URL.check("endpoint_url", configured.value).rstrip("/")
        use_fips = settings.find_flag("use_fips", "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")
        use_dualstack = settings.find_flag(
            "use_dualstack", "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"
        )
        return f"https://{_service_host(service, region, use_fips, use_dualstack)}"


def _service_host(
    service: CredentialService, region: str, use_fips: bool, use_dualstack: bool
) -> str:
    partition_name, dns_suffix, dualstack_suffix = partition(region)
    is_govcloud = partition_name == "aws-us-gov"
    if service is SIGNIN and not use_dualstack and (not use_fips or is_govcloud):
        region_label = "" if use_fips and region == "us-gov-west-1" else f"{region}."
        signin_suffix = _SIGNIN_SUFFIXES.get(partition_name, dns_suffix)
        return f"{region_label}signin{'-fips' * use_fips}.{signin_suffix}"
    # The plain hosts of GovCloud are the FIPS hosts.
    has_fips_label = use_fips and (use_dualstack or not is_govcloud)
    host_prefix = f"{service.host_prefix}{'-fips' * has_fips_label}"
    return f"{host_prefix}.{region}.{dualstack_suffix if use_dualstack else dns_suffix}"


def send_with_retries(
    make_request: Callable[[], Request],
    context: ProviderContext,
    description: str,
    *,
    limits: RequestLimits = SERVICE_LIMITS,
    explain: Callable[[Response], str | None] = lambda response: None,
    describe: Callable[[DispatchFailure], str] = str,
    direct: bool = False,
    allowed_statuses: tuple[int, ...] = (),
) -> Flow[Response]:
    """Return a successful response, or one with an allowed status; raise `CredentialsError`.

    `make_request` is called for each attempt, so that every attempt has a current signature.
    `explain` returns the code and the message in a refusal; `describe` says why there was no
    response. A `direct` request uses no proxy.
    """
    policy, attempt = RETRY_POLICY.replace(max_attempts=limits.max_attempts), 0
    while True:
        attempt += 1
        try:
            with CredentialsErrorContext(description):  # an IO refuses what it cannot send
                response = yield from Send(
                    make_request(),
                    limits.seconds,
                    limits.phases,
                    max_body=MAX_DOCUMENT,
                    direct=direct,
                )
        except DispatchFailure as error:
            failure: DispatchFailure | ServiceError = error
            problem = describe(error)
        else:
            is_complete = 200 <= response.status < 300 and not response.truncated
            if is_complete or response.status in allowed_statuses:
                return response
            failure = _service_error(response, explain(response))
            problem = f"status {failure.status}{f': {failure.message}' if failure.message else ''}"
        retry = policy.plan(attempt, failure, policy.capacity, context.random())
        if retry is None:
            attempts = f", after {attempt} tries" if attempt > 1 else ""
            raise CredentialsError(f"{description}: {problem}{attempts}")
        yield from Sleep(retry.delay)


def _service_error(response: Response, explanation: str | None) -> ServiceError:
    """Return the error of a refusal for the retry policy; JSON services have a code header too."""
    header_code = response.named.get("x-amzn-errortype", "").partition(":")[0]
    code = (explanation or "").partition(":")[0] or header_code
    return ServiceError(explanation or "", code=code or None, status=response.status)
