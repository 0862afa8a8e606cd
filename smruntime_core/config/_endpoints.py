"""Where a call goes and which scope it is signed for.

These are the service's endpoint rules (botocore's `endpoint-rule-set-1.json` for
`sagemaker-runtime`). A custom URL wins; otherwise the host is made of the region and the DNS suffix
of its partition. FIPS hosts are irregular: `aws` orders the labels differently, and `aws-us-gov`
has no separate FIPS host.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from ..errors import ConstructionError
from ..protocol._encoding import check_endpoint
from ..values._credentials import Scope
from ..values._hooks import function_name, hook
from ..values._record import Record, field
from ..values._rules import NAME, REGION, Rule, check_flag
from ..values._timeouts import Timeouts, check_timeouts
from ..values._url import Endpoint

EndpointResolver: TypeAlias = "Callable[[EndpointParameters], str]"

SIGNING_NAME: Final = "sagemaker"
AUTHORITY: Final = Rule(
    "a host, with :port if it is not the scheme's own",
    r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9._-]+)(?::[0-9]{1,5})?",
    261,
)

# name, pattern of its regions, DNS suffix, DNS suffix of dual-stack hosts
PARTITIONS: Final = (
    ("aws", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com", "api.aws"),
    ("aws-cn", r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("aws-eusc", r"eusc-de-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("aws-iso", r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    ("aws-iso-b", r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    ("aws-iso-e", r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("aws-iso-f", r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("aws-us-gov", r"us-gov-\w+-\d+", "amazonaws.com", "api.aws"),
)


def _check_endpoint_url(member: str, value: object) -> Endpoint | None:
    return None if value is None else check_endpoint(member, value)


_check_resolver = hook("a function from EndpointParameters to a URL")


def _check_signing_host(member: str, value: object) -> str | None:
    return None if value is None else AUTHORITY.check(member, value)


class EndpointParameters(Record, kw_only=True):
    """What an endpoint resolver may know of a call.

    region          the region that the request is signed for
    operation       the name of the operation, such as "InvokeEndpoint"
    endpoint_name   the SageMaker endpoint that is called
    endpoint_url    where the request goes without the resolver
    """

    region: str
    operation: str
    endpoint_name: str
    endpoint_url: str


class Config(Record, kw_only=True):
    """The service to call: a region, optionally a custom URL, and the time limits of a call.

    Results of asynchronous invocations are read from S3 in `region`, or from `s3_endpoint_url`.
    `signing_host` is the host (and port, if any) to sign for where a tunnel or reverse proxy at
    `endpoint_url` replaces the Host field; the proxy itself is sent its own host.
    `endpoint_resolver` is a function from `config.EndpointParameters` to the URL of one call,
    checked like `endpoint_url`. It changes neither the region that is signed for nor which
    locations of asynchronous results are trusted.
    Raises `ConstructionError` for a region that is not a host label and for a URL that is not plain
    http(s); `url` raises it for FIPS or dual stack together with a URL, which already says where
    to go.
    """

    _suggests = True
    region: str = field(check=REGION.check)
    endpoint_url: str | None = field(default=None, check=_check_endpoint_url)
    s3_endpoint_url: str | None = field(default=None, check=_check_endpoint_url)
    signing_host: str | None = field(default=None, check=_check_signing_host)
    use_fips: bool = field(default=False, check=check_flag)
    use_dualstack: bool = field(default=False, check=check_flag)
    timeouts: Timeouts = field(default=Timeouts(), check=check_timeouts)
    endpoint_resolver: EndpointResolver | None = field(default=None, check=_check_resolver)

    @property
    def scope(self) -> Scope:
        """The scope that requests are signed for."""
        return Scope(self.region, SIGNING_NAME)

    @property
    def url(self) -> Endpoint:
        """Scheme, host and optional path of the service, without a slash at the end."""
        if self.endpoint_url is None:
            return Endpoint(f"https://{_service_host(self)}")
        if self.use_fips or self.use_dualstack:
            raise ConstructionError(
                "endpoint_url",
                "left out",
                message="endpoint_url: leave it out, or turn use_fips and use_dualstack off: "
                "they choose the host themselves",
            )
        return check_endpoint("endpoint_url", self.endpoint_url)

    def url_for(self, operation: str, endpoint_name: str) -> Endpoint:
        """Return the URL that a call goes to: the resolver's, or `url` if there is none.

        Raises `ConstructionError` for a result that is not a plain URL, and what the resolver
        raises.
        """
        if self.endpoint_resolver is None:
            return self.url
        parameters = EndpointParameters(
            region=self.region,
            operation=operation,
            endpoint_name=endpoint_name,
            endpoint_url=self.url,
        )
        resolved_url: object = self.endpoint_resolver(parameters)
        try:
            return check_endpoint("endpoint_resolver", resolved_url)
        except ConstructionError as refusal:
            name = function_name(self.endpoint_resolver)
            is_text = isinstance(resolved_url, str)
            found = "another text" if is_text else type(resolved_url).__name__
            raise ConstructionError(
                "endpoint_resolver", refusal.rule, f"{name} returned {found}"
            ) from None

    def openai_url(self, endpoint_name: str, inference_component_name: str | None = None) -> str:
        """Return the URL of the OpenAI-compatible chat completions API of a SageMaker endpoint.

        SageMaker takes a bearer token there, not a signature. Raises `ConstructionError` for an
        invalid name.
        """
        path = f"/endpoints/{NAME.check('endpoint_name', endpoint_name)}"
        if inference_component_name is not None:
            component = NAME.check("inference_component_name", inference_component_name)
            path += f"/inference-components/{component}"
        return f"{self.url}{path}/openai/v1/chat/completions"


def _service_host(config: Config) -> str:
    region, use_fips = config.region, config.use_fips
    partition_name, dns_suffix, dualstack_suffix = partition(region)
    if config.use_dualstack:
        return f"runtime.sagemaker{'-fips' * use_fips}.{region}.{dualstack_suffix}"
    if use_fips and partition_name == "aws":
        return f"runtime-fips.sagemaker.{region}.{dns_suffix}"
    if use_fips and partition_name != "aws-us-gov":
        return f"runtime.sagemaker-fips.{region}.{dns_suffix}"
    return f"runtime.sagemaker.{region}.{dns_suffix}"


def partition(region: str) -> tuple[str, str, str]:
    """Return the name, DNS suffix and dual-stack suffix of a region's partition.

    An unknown region counts as one of `aws`.
    """
    for partition_name, region_pattern, dns_suffix, dualstack_suffix in PARTITIONS:
        if re.fullmatch(region_pattern, region, re.ASCII) or (
            partition_name != "aws-eusc" and region == f"{partition_name}-global"
        ):
            return partition_name, dns_suffix, dualstack_suffix
    partition_name, _, dns_suffix, dualstack_suffix = PARTITIONS[0]
    return partition_name, dns_suffix, dualstack_suffix
