"""Where calls go: compared with botocore's resolver and the shared vectors."""

from __future__ import annotations

import itertools
from operator import itemgetter
from typing import Any

import pytest

from smruntime_core import Config, ConstructionError, InvokeEndpoint, Scope

from .vectors import cases


def regions() -> list[str]:
    session = pytest.importorskip("botocore.session").get_session()
    found = {
        r
        for partition in session.get_available_partitions()
        for r in session.get_available_regions("sagemaker-runtime", partition)
    }
    return sorted(found | {"us-new-7", "cn-new-7", "us-gov-new-7", "eusc-de-east-1", "mars"})


@pytest.mark.parametrize(("fips", "dualstack"), list(itertools.product((False, True), repeat=2)))
def test_host_is_the_one_of_botocore_in_every_region(fips: bool, dualstack: bool) -> None:
    provider = pytest.importorskip("botocore.endpoint_provider")
    loader = pytest.importorskip("botocore.loaders").create_loader()
    rules = loader.load_service_model("sagemaker-runtime", "endpoint-rule-set-1")
    theirs = provider.EndpointProvider(rules, loader.load_data("partitions"))
    found = 0
    for region in regions():
        try:
            expected = theirs.resolve_endpoint(
                Region=region, UseFIPS=fips, UseDualStack=dualstack
            ).url
        except pytest.importorskip("botocore.exceptions").EndpointProviderError:
            continue  # not offered there: the host that we name does not resolve
        found += 1
        assert Config(region=region, use_fips=fips, use_dualstack=dualstack).url == expected
    assert found > 20


@pytest.mark.parametrize(
    "case", cases("endpoints.json", itemgetter("testCases"), itemgetter("documentation"))
)
def test_url_is_the_one_of_the_shared_vectors(case: Any) -> None:
    params, expected = case.get("params", {}), case["expect"].get("endpoint")
    if expected is None and "Endpoint" not in params and "Region" in params:
        pytest.skip(
            "a partition without FIPS or dual stack: the host that we name does not resolve"
        )
    if "Region" not in params and expected is not None:
        params = {"Region": "us-east-1", **params}  # here a region is always needed, to sign
    options = {
        "region": params.get("Region"),
        "use_fips": params.get("UseFIPS", False),
        "use_dualstack": params.get("UseDualStack", False),
    }
    if expected is None:
        with pytest.raises(ConstructionError):
            assert Config(endpoint_url=params.get("Endpoint"), **options).url
    else:
        assert Config(endpoint_url=params.get("Endpoint"), **options).url == expected["url"]


def test_custom_url_keeps_its_path_and_the_scope_of_the_region() -> None:
    config = Config(region="eu-west-1", endpoint_url="http://[::1]:8080/base/")
    assert config.url == "http://[::1]:8080/base"
    assert config.scope == Scope("eu-west-1", "sagemaker")
    assert (
        InvokeEndpoint(endpoint_name="a", body=b"").request(config.url).url
        == "http://[::1]:8080/base/endpoints/a/invocations"
    )


@pytest.mark.parametrize(
    "region",
    ["", "eu west", "eu-west-1/x", "a.b", "-a", "a-", "é", "a\n", "x" * 64, None, "eu-west-1@evil"],
)
def test_region_that_is_no_host_label_is_refused(region: Any) -> None:
    with pytest.raises(ConstructionError, match="region"):
        Config(region=region)
