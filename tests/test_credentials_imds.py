"""Instance metadata: the Rust SDK's cases of its endpoint, its paths, and failing instances."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from smruntime_core import CredentialsError, Response, run
from smruntime_core.credentials import InstanceMetadata
from smruntime_core.credentials._imds import EXTENDED_ROLES_PATH, ROLES_PATH, endpoint_url
from smruntime_core.credentials._metadata_limits import instance_limits
from smruntime_core.effects import Flow

from .recordings import (
    HOME,
    WAYS,
    Exchange,
    Recorded,
    driven,
    make_context,
    on_sockets,
    refused,
    vectors,
)
from .servers import Peer, acting, closed_port

URL = "http://169.254.169.254"
KEYS = (
    b'{"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": "t", '
    b'"Expiration": "2099-01-31T00:00:00Z", "AccountId": "1"}'
)
TOKEN = Exchange(
    "PUT",
    f"{URL}/latest/api/token",
    Response(200, (), b"tok"),
    {"x-aws-ec2-metadata-token-ttl-seconds": "21600"},
)


def get(path: str, answer: Response) -> Exchange:
    return Exchange("GET", URL + path, answer, {"x-aws-ec2-metadata-token": "tok"})


def token_url(case: Any) -> Flow[str]:
    url = yield from endpoint_url(
        make_context(case["env"]), case.get("endpoint_override"), case.get("mode_override")
    )
    return f"{url}/latest/api/token"


@WAYS
@pytest.mark.parametrize("case", vectors("imds-endpoint.json", lambda data: data["tests"]))
def test_endpoint_is_chosen_as_by_the_rust_sdk(case: Any, way: str) -> None:
    io = Recorded(case["fs"])
    if "Ok" in case["result"]:
        assert driven(token_url(case), io, way) == case["result"]["Ok"]
    else:
        with pytest.raises(CredentialsError):
            driven(token_url(case), io, way)


def test_extended_path_gives_the_account_id() -> None:
    role = get(f"{EXTENDED_ROLES_PATH}/", Response(200, (), b"my-role\n"))
    io = Recorded({}, [TOKEN, role, get(f"{EXTENDED_ROLES_PATH}/my-role", Response(200, (), KEYS))])
    assert run(InstanceMetadata().provide(make_context()), io).account_id == "1"
    assert all(send.direct and send.timeout == 1.0 for send in io.sent)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_older_path_is_used_where_the_extended_one_fails(status: int) -> None:
    other = get(f"{EXTENDED_ROLES_PATH}/", Response(status))
    io = Recorded(
        {},
        [
            TOKEN,
            other,
            get(f"{ROLES_PATH}/", Response(200, (), b"r")),
            get(f"{ROLES_PATH}/r", Response(200, (), KEYS)),
        ],
    )
    assert run(InstanceMetadata().provide(make_context()), io).access_key_id == "AKID"
    assert len(io.sent) == 4


@pytest.mark.parametrize(
    ("exchanges", "says"),
    [
        ([], "no connection to http://169.254.169.254 (refused in phase connect): this is not"),
        ([TOKEN._replace(response=Response(403))], "version 2 is switched off"),
        ([TOKEN._replace(response=Response(400))], "status 400 instead of a token"),
        ([TOKEN._replace(response=Response(200, (), b"hush\r\nx: y"))], "the token"),
        ([TOKEN, get(f"{ROLES_PATH}/", Response(404))], "has no role"),
        ([TOKEN, get(f"{ROLES_PATH}/", Response(200, (), b"../../hush"))], "name of the role"),
        (
            [TOKEN, get(f"{ROLES_PATH}/", Response(200, (), b"<html>hush</html>"))],
            "name of the role",
        ),
        (
            [
                TOKEN,
                get(f"{ROLES_PATH}/", Response(200, (), b"r")),
                get(
                    f"{ROLES_PATH}/r",
                    Response(200, (), b'{"Code": "AssumeRoleUnauthorizedAccess"}'),
                ),
            ],
            "Unauthorized",
        ),
    ],
)
def test_instance_without_credentials_is_explained(exchanges: list[Exchange], says: str) -> None:
    error = refused(InstanceMetadata().provide(make_context()), Recorded({}, exchanges))
    assert says in str(error)
    assert "hush" not in str(error)


def test_disabled_metadata_sends_no_request() -> None:
    io = Recorded()
    assert "AWS_EC2_METADATA_DISABLED" in str(
        refused(InstanceMetadata().provide(make_context({"AWS_EC2_METADATA_DISABLED": "True"})), io)
    )
    assert not io.sent


def test_silent_server_is_given_up_after_one_second() -> None:
    with acting(Peer.idle) as stage, on_sockets() as io:
        begun = time.monotonic()
        error = refused(InstanceMetadata(endpoint=stage.url).provide(make_context()), io)
        assert time.monotonic() - begun < 2.0
    assert f"connected to {stage.url}, but no answer within 1 s (timeout in phase" in str(error)
    assert "hop limit (HttpPutResponseHopLimit) to 2" in str(error)


def test_refused_connection_does_not_mention_the_hop_limit() -> None:
    with closed_port() as url, on_sockets() as io:
        error = str(refused(InstanceMetadata(endpoint=url).provide(make_context()), io))
    assert f"no connection to {url} (refused in phase connect)" in error
    assert "hop limit" not in error


ROLE = get(f"{EXTENDED_ROLES_PATH}/", Response(200, (), b"r"))
LONGER = {"AWS_METADATA_SERVICE_TIMEOUT": "7", "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "3"}
PROFILE = "[default]\nmetadata_service_timeout = 7\nmetadata_service_num_attempts = 3\n"


@pytest.mark.parametrize(("environ", "config"), [(LONGER, ""), ({}, PROFILE)])
def test_settings_change_the_timeout_and_the_attempts(environ: dict[str, str], config: str) -> None:
    io = Recorded({f"{HOME}/.aws/config": config}, [])
    refused(InstanceMetadata().provide(make_context(environ)), io)
    assert [(send.request.method, send.timeout) for send in io.sent] == [("PUT", 7.0)] * 3
    unwell = [get(f"{EXTENDED_ROLES_PATH}/r", Response(500))] * 3
    io = Recorded({f"{HOME}/.aws/config": config}, [TOKEN, ROLE, *unwell])
    assert "after 3 tries" in str(refused(InstanceMetadata().provide(make_context(environ)), io))
    assert {(send.timeout, send.phases.response) for send in io.sent} == {(7.0, 7.0)}


def test_one_attempt_sends_each_request_once() -> None:
    io = Recorded({}, [TOKEN, ROLE, get(f"{EXTENDED_ROLES_PATH}/r", Response(500))])
    refused(
        InstanceMetadata().provide(make_context({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1"})), io
    )
    assert len(io.sent) == 3


BAD = [
    ({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "0"}, "", "AWS_METADATA_SERVICE_NUM_ATTEMPTS says '0'"),
    ({"AWS_METADATA_SERVICE_NUM_ATTEMPTS": "1.5"}, "", "AWS_METADATA_SERVICE_NUM_ATTEMPTS says"),
    ({"AWS_METADATA_SERVICE_TIMEOUT": "soon"}, PROFILE, "AWS_METADATA_SERVICE_TIMEOUT says 'soon'"),
    ({}, "[default]\nmetadata_service_timeout = nan", "profile 'default' says 'nan'"),
    ({}, "[default]\nmetadata_service_num_attempts = x", "profile 'default' says 'x'"),
]


@pytest.mark.parametrize(("environ", "config", "says"), BAD)
def test_bad_setting_is_refused_with_its_origin(
    environ: dict[str, str], config: str, says: str
) -> None:
    io = Recorded({f"{HOME}/.aws/config": config})
    assert says in str(refused(InstanceMetadata().provide(make_context(environ)), io))
    assert not io.sent


def test_botocore_reads_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text(PROFILE)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    for name, value in (("", ("7", "3")), ("AWS_METADATA_SERVICE_", ("9", "4"))):
        environ = dict(zip(("TIMEOUT", "NUM_ATTEMPTS"), value, strict=True)) if name else {}
        for variable, text in environ.items():
            monkeypatch.setenv(name + variable, text)
        theirs = botocore.session.Session()
        flow = instance_limits(make_context({name + k: v for k, v in environ.items()}))
        ours = run(flow, Recorded({f"{HOME}/.aws/config": PROFILE}))
        assert ours.seconds == theirs.get_config_variable("metadata_service_timeout")
        assert ours.attempts == theirs.get_config_variable("metadata_service_num_attempts")
