"""Settings from the environment and the shared files, compared with vectors and with botocore."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, cast
from unittest import mock

import botocore.config
import botocore.session
import pytest

from smruntime_core import ConstructionError, Credentials
from smruntime_core.config._settings import Configuration, load_configuration, make_config
from smruntime_core.effects import MAX_FILE, ReadFile
from smruntime_core.testing import script
from smruntime_transports import sockets
from smruntime_transports.connect._tls import TLS

from .vectors import cases

HOME = "/home/me"
CONFIG, CREDENTIALS = f"{HOME}/.aws/config", f"{HOME}/.aws/credentials"


def found(
    environ: dict[str, str],
    config: str | None = None,
    credentials: str | None = None,
    profile: str | None = None,
) -> Configuration:
    flow = script(load_configuration(environ, profile=profile, home=HOME))
    flow.expects(ReadFile(CONFIG)).replies(None if config is None else config.encode())
    flow.expects(ReadFile(CREDENTIALS)).replies(
        None if credentials is None else credentials.encode()
    )
    return flow.returns()


def refusal(
    environ: dict[str, str], config: str = "", profile: str | None = None
) -> ConstructionError:
    flow = script(load_configuration(environ, profile=profile, home=HOME)).replies(config.encode())
    return (flow if flow.ended else flow.replies(None)).raises(ConstructionError)


def test_empty_configuration_has_no_region() -> None:
    nothing = found({})
    assert (nothing.profile, nothing.region, nothing.endpoint_url) == ("default", None, None)
    assert nothing.files == ((CONFIG, False), (CREDENTIALS, False))
    with pytest.raises(ConstructionError, match="AWS_REGION"):
        make_config(nothing)


FILE = """
[default]
region = eu-west-1
[profile dev]
region = ap-south-1
aws_access_key_id = DEVKEY
aws_secret_access_key = devsecret
endpoint_url = http://127.0.0.1:1
use_fips_endpoint = false
max_attempts = 7
sdk_ua_app_id = shop
ca_bundle = /etc/ca.pem
"""


def test_arguments_win_over_variables_and_variables_over_profiles() -> None:
    assert found({}, FILE).region == "eu-west-1"
    assert found({"AWS_DEFAULT_REGION": "r-2"}, FILE).region == "r-2"
    assert found({"AWS_REGION": "r-1", "AWS_DEFAULT_REGION": "r-2"}, FILE).region == "r-1"
    dev = found({"AWS_PROFILE": "dev"}, FILE)
    assert (dev.profile, dev.region, dev.endpoint_url) == (
        "dev",
        "ap-south-1",
        "http://127.0.0.1:1",
    )
    assert (dev.max_attempts, dev.app_id, dev.ca_bundle) == (7, "shop", "/etc/ca.pem")
    assert dev.origins["region"] == "profile 'dev'"
    assert found({"AWS_PROFILE": "default"}, FILE, profile="dev").profile == "dev"
    url = {
        "AWS_PROFILE": "dev",
        "AWS_ENDPOINT_URL": "http://b",
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "http://a",
    }
    assert found(url, FILE).endpoint_url == "http://a"


def test_longest_pause_is_read_from_the_environment_alone() -> None:
    assert found({}, FILE).longest_pause is None
    assert found({"SMRUNTIME_RETRY_DELAY": "0"}, FILE).longest_pause == 0
    assert found({"SMRUNTIME_RETRY_DELAY": " 0.25 "}, FILE).longest_pause == 0.25


KEYS = {"AWS_ACCESS_KEY_ID": "ENVKEY", "AWS_SECRET_ACCESS_KEY": "envsecret"}


@pytest.mark.parametrize(
    ("environ", "config", "says"),
    [
        ({"AWS_PROFILE": "missing"}, FILE, "profile"),
        ({"AWS_MAX_ATTEMPTS": "many"}, "", "max_attempts"),
        ({"AWS_MAX_ATTEMPTS": "0"}, "", "AWS_MAX_ATTEMPTS"),
        ({"AWS_USE_FIPS_ENDPOINT": "perhaps"}, "", "use_fips"),
        ({"AWS_RETRY_MODE": "wild"}, "", "retry_mode"),
        ({"SMRUNTIME_RETRY_DELAY": "none"}, "", "SMRUNTIME_RETRY_DELAY"),
        ({"SMRUNTIME_RETRY_DELAY": "-1"}, "", "longest_pause"),
        ({"AWS_SDK_UA_APP_ID": "x" * 51}, "", "app_id"),
        ({}, "[default]\nhush\n", "/.aws/config: line 2"),
        ({}, "[default]\na = hush\na = 2\n", "/.aws/config: line 3 sets the same name as"),
        ({"AWS_PROFILE": "r&d"}, "[profile r&d]\na = hush\n", "config line 1: a name with '&'"),
        ({}, "x" * (MAX_FILE + 1), "bytes"),
    ],
)
def test_invalid_setting_is_named_and_not_quoted(
    environ: dict[str, str], config: str, says: str
) -> None:
    error = refusal(environ, config)
    assert says in str(error)
    assert "hush" not in str(error)


def as_file(suite: Any, service: str) -> str:
    """Write the suite's profiles as a config file, with its service under our name."""
    lines: list[str] = []
    for name, properties in suite["profiles"].items():
        lines += [f"[profile {name}]", *(f"{key} = {value}" for key, value in properties.items())]
    for name, services in suite["services"].items():
        lines.append(f"[services {name}]")
        for which, properties in services.items():
            lines += [
                f"{which if which != service else 'sagemaker_runtime'} =",
                *(f"  {k} = {v}" for k, v in properties.items()),
            ]
    return "\n".join(lines)


def suites_and_cases(all_suites: Any) -> list[Any]:
    suites = all_suites["testSuites"]
    return [(suite, case) for suite in suites for case in suite["endpointUrlTests"]]


@pytest.mark.parametrize(
    "suite_and_case",
    cases("configured-endpoint-urls.json", suites_and_cases, lambda pair: pair[1]["name"]),
)
def test_endpoint_url_is_found_as_in_the_shared_vectors(suite_and_case: Any) -> None:
    suite, case = suite_and_case
    service = case["service"]
    given = suite["client_configs"][case["client_config"]]
    ours = f"AWS_ENDPOINT_URL_{service.upper()}"
    environ = {
        ("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME" if k == ours else k): v
        for k, v in suite["environments"][case["environment"]].items()
    }
    if given.get("ignore_configured_endpoint_urls"):
        environ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] = "true"
    config = found({**environ, "AWS_PROFILE": case["profile"]}, as_file(suite, service))
    expected = case["output"]["endpointUrl"]
    url = given.get("endpoint_url") or config.endpoint_url
    assert url == (None if expected.endswith("amazonaws.com") else expected)


SETUPS: list[tuple[dict[str, str], str, str]] = [
    (
        {},
        "[default]\nregion = eu-west-1\n",
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n",
    ),
    ({"AWS_PROFILE": "dev"}, FILE, ""),
    ({"AWS_PROFILE": "dev", "AWS_DEFAULT_REGION": "us-west-2"}, FILE, ""),
    ({**KEYS, "AWS_SESSION_TOKEN": "t", "AWS_DEFAULT_REGION": "us-east-2"}, FILE, ""),
    ({**KEYS, "AWS_DEFAULT_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"}, "", ""),
    ({**KEYS, "AWS_DEFAULT_REGION": "us-west-2", "AWS_USE_FIPS_ENDPOINT": "true"}, "", ""),
    (
        {**KEYS, "AWS_DEFAULT_REGION": "cn-north-1"},
        "[default]\nuse_dualstack_endpoint = true\n",
        "",
    ),
    ({**KEYS, "AWS_DEFAULT_REGION": "r-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "", ""),
    (
        {**KEYS, "AWS_DEFAULT_REGION": "us-east-1"},
        "[default]\nservices = mine\nendpoint_url = http://127.0.0.1:2\n"
        "[services mine]\nsagemaker_runtime =\n  endpoint_url = http://127.0.0.1:3\n",
        "",
    ),
    (
        {**KEYS, "AWS_DEFAULT_REGION": "us-east-1"},
        "[default]\nendpoint_url = http://127.0.0.1:2\nignore_configured_endpoint_urls = true\n",
        "",
    ),
]


@pytest.mark.parametrize(("environ", "config", "credentials"), SETUPS)
def test_botocore_finds_the_same(
    environ: dict[str, str], config: str, credentials: str, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(config)
    (tmp_path / "credentials").write_text(credentials)
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
    }
    with mock.patch.dict(os.environ, {**environ, **files}, clear=True):
        session = botocore.session.Session()
        client = session.create_client("sagemaker-runtime", config=botocore.config.Config())
    flow = (
        script(load_configuration(environ, home=HOME))
        .replies(config.encode())
        .replies(credentials.encode())
    )
    ours = flow.returns()
    resolved = make_config(ours)
    assert resolved.url == client.meta.endpoint_url
    assert resolved.region == client.meta.region_name


@pytest.mark.parametrize(
    ("settings", "member"),
    [
        ({"timeouts": 5}, "timeouts"),
        ({"observe": "x"}, "observe"),
        ({"retries": 3}, "retries"),
        ({"use_fips": "false"}, "use_fips"),
        ({"endpoint_url": ""}, "endpoint_url"),
        ({"profile": 5}, "profile"),
        ({"engine": "bogus"}, "engine"),
        ({"credentials": "AKID"}, "credentials"),
        ({"region": "evil.com/#"}, "region"),
    ],
)
def test_client_refuses_invalid_settings_when_it_is_made(
    settings: dict[str, Any], member: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        sockets.Client(**settings)
    assert caught.value.member == member
    with pytest.raises(TypeError, match="regoin"):
        cast("Any", sockets.Client)(regoin="eu-west-1")


def test_missing_settings_are_found_although_others_are_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    monkeypatch.setenv("AWS_SDK_UA_APP_ID", "shop")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent/ca.pem")
    keys = Credentials("A", "s")
    with sockets.Client(
        region="r-1", endpoint_url="https://127.0.0.1:1", credentials=keys
    ) as client:
        runtime = client._ready()
        assert runtime.options.retries.max_attempts == 7
        assert client._wire is not None
        assert client._wire._connector._ca_bundle == "/nonexistent/ca.pem"
    with pytest.raises(ConstructionError, match="ca_bundle"):
        TLS().context("/nonexistent/ca.pem")
