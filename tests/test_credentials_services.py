"""The endpoints of the credential services: botocore's rules, for every partition and option."""

from __future__ import annotations

from typing import Any

import botocore.endpoint_provider
import botocore.exceptions
import botocore.loaders
import pytest

from smruntime_core import run
from smruntime_core.credentials._services import (
    SIGNIN,
    SSO,
    SSO_OIDC,
    STS,
    CredentialService,
    service_url,
)

from .recordings import Recorded, make_context, refused

REGIONS = (
    "us-east-1",
    "eu-west-1",
    "ap-southeast-5",
    "cn-north-1",
    "us-gov-west-1",
    "us-gov-east-1",
    "eusc-de-east-1",
    "us-isof-south-1",
    "us-iso-east-1",
    "us-isob-east-1",
    "eu-isoe-west-1",
)


@pytest.fixture(scope="module")
def rules() -> dict[str, Any]:
    loader = botocore.loaders.Loader()
    partitions = loader.load_data("partitions")
    names = ("sts", "sso", "sso-oidc", "signin")
    rulesets = {name: loader.load_service_model(name, "endpoint-rule-set-1") for name in names}
    return {
        name: botocore.endpoint_provider.EndpointProvider(rules, partitions)
        for name, rules in rulesets.items()
    }


@pytest.mark.parametrize("service", [STS, SSO, SSO_OIDC, SIGNIN], ids=lambda service: service.name)
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dualstack", [False, True])
def test_service_url_is_the_one_of_botocore(
    rules: dict[str, Any], service: CredentialService, fips: bool, dualstack: bool
) -> None:
    environ = {"AWS_USE_FIPS_ENDPOINT": str(fips), "AWS_USE_DUALSTACK_ENDPOINT": str(dualstack)}
    compared = 0
    for region in REGIONS:
        try:
            theirs = rules[service.name.replace("_", "-")].resolve_endpoint(
                Region=region, UseFIPS=fips, UseDualStack=dualstack
            )
        except botocore.exceptions.EndpointProviderError:
            continue  # no such host: botocore says so, here the name is not found
        compared += 1
        assert run(service_url(service, region, make_context(environ)), Recorded()) == theirs.url
    assert compared > 2


@pytest.mark.parametrize("region", ["evil.com/#", "a b", "", "x" * 64])
def test_invalid_region_is_refused(region: str) -> None:
    assert "region" in str(refused(service_url(STS, region, make_context())))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://user@host/", "no url"])
def test_invalid_endpoint_url_is_refused(url: str) -> None:
    assert "endpoint_url" in str(
        refused(service_url(STS, "eu-west-1", make_context({"AWS_ENDPOINT_URL_STS": url})))
    )
