"""Where a call goes and what it is signed for, from a region or a URL of one's own.

The service's endpoint rules (botocore's `endpoint-rule-set-1.json` for `sagemaker-runtime`) in twenty lines: a custom URL
wins, else the host is made of the region and its partition's DNS suffix. FIPS hosts are irregular: `aws` puts the words in
another order and `aws-us-gov` has no host of its own for it.
"""

from __future__ import annotations

import re

from ..errors import ConstructionError
from ..protocol._encoding import endpoint
from ..values._credentials import Scope
from ..values._record import Record, field
from ..values._rules import NAME, REGION, check_flag
from ..values._timeouts import Timeouts
from ..values._url import Endpoint

SIGNING_NAME = "sagemaker"

# name, what its regions look like, DNS suffix, DNS suffix of dual-stack hosts
PARTITIONS = (
    ("aws", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+", "amazonaws.com", "api.aws"),
    ("aws-cn", r"cn-\w+-\d+", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("aws-eusc", r"eusc-de-\w+-\d+", "amazonaws.eu", "api.amazonwebservices.eu"),
    ("aws-iso", r"us-iso-\w+-\d+", "c2s.ic.gov", "api.aws.ic.gov"),
    ("aws-iso-b", r"us-isob-\w+-\d+", "sc2s.sgov.gov", "api.aws.scloud"),
    ("aws-iso-e", r"eu-isoe-\w+-\d+", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("aws-iso-f", r"us-isof-\w+-\d+", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("aws-us-gov", r"us-gov-\w+-\d+", "amazonaws.com", "api.aws"),
)


def _endpoint_url(member: str, value: object) -> Endpoint | None:
    return None if value is None else endpoint(member, value)


def _timeouts(member: str, value: object) -> Timeouts:
    if isinstance(value, Timeouts):
        return value
    raise ConstructionError(member, "smruntime_core.Timeouts", f"found {type(value).__name__}")


class Config(Record, kw_only=True):
    """Which service to call: a region, perhaps a URL of one's own, and the limits of a call. `s3_endpoint_url` is where answers of
    asynchronous invocations are, if not in S3 of that region.

    Raises `ConstructionError` for a region that is no host label, for a URL that is not plain http(s), and for FIPS or
    dual stack together with a URL, which already says where to go.
    """

    region: str = field(check=REGION.check)
    endpoint_url: str | None = field(default=None, check=_endpoint_url)
    s3_endpoint_url: str | None = field(default=None, check=_endpoint_url)
    use_fips: bool = field(default=False, check=check_flag)
    use_dualstack: bool = field(default=False, check=check_flag)
    timeouts: Timeouts = field(default=Timeouts(), check=_timeouts)

    @property
    def scope(self) -> Scope:
        """What requests are signed for."""
        return Scope(self.region, SIGNING_NAME)

    @property
    def url(self) -> Endpoint:
        """Scheme, host and perhaps a path, without a slash at the end."""
        if self.endpoint_url is None:
            return Endpoint(f"https://{_host(self.region, self.use_fips, self.use_dualstack)}")
        if self.use_fips or self.use_dualstack:
            raise ConstructionError(
                "endpoint_url", "left out", "FIPS and dual stack choose the host themselves"
            )
        return endpoint("endpoint_url", self.endpoint_url)

    def openai_url(self, endpoint_name: str, inference_component_name: str | None = None) -> str:
        """The URL of the OpenAI-compatible chat completions of an endpoint, or of one of its inference components.

        SageMaker takes a bearer token there, no signature. Raises `ConstructionError` naming the member.
        """
        path = f"/endpoints/{NAME.check('endpoint_name', endpoint_name)}"
        if inference_component_name is not None:
            path += f"/inference-components/{NAME.check('inference_component_name', inference_component_name)}"
        return f"{self.url}{path}/openai/v1/chat/completions"


def _host(region: str, fips: bool, dualstack: bool) -> str:
    name, suffix, dualstack_suffix = partition(region)
    if dualstack:
        return f"runtime.sagemaker{'-fips' * fips}.{region}.{dualstack_suffix}"
    if fips and name == "aws":
        return f"runtime-fips.sagemaker.{region}.{suffix}"
    if fips and name != "aws-us-gov":
        return f"runtime.sagemaker-fips.{region}.{suffix}"
    return f"runtime.sagemaker.{region}.{suffix}"


def partition(region: str) -> tuple[str, str, str]:
    """The partition's name and suffixes; a region nobody knows yet is taken for one of `aws`."""
    for name, pattern, suffix, dualstack_suffix in PARTITIONS:
        if re.fullmatch(pattern, region, re.ASCII) or (
            name != "aws-eusc" and region == f"{name}-global"
        ):
            return name, suffix, dualstack_suffix
    name, _, suffix, dualstack_suffix = PARTITIONS[0]
    return name, suffix, dualstack_suffix
