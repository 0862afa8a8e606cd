"""Instance metadata: the Rust SDK's cases of where it is, the paths, and instances that are not there or not well."""

from __future__ import annotations

import time
from typing import Any

import pytest

from smruntime_core import CredentialsError, Response, run
from smruntime_core.credentials import InstanceMetadata
from smruntime_core.credentials._imds import EXTENDED, ROLES, endpoint
from smruntime_core.effects import Flow

from .recordings import WAYS, Exchange, Recorded, driven, on_sockets, refused, vectors, world
from .servers import Peer, acting

URL = "http://169.254.169.254"
KEYS = b'{"AccessKeyId": "AKID", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-31T00:00:00Z", "AccountId": "1"}'
TOKEN = Exchange("PUT", f"{URL}/latest/api/token", Response(200, (), b"tok"), {"x-aws-ec2-metadata-token-ttl-seconds": "21600"})


def get(path: str, answer: Response) -> Exchange:
    return Exchange("GET", URL + path, answer, {"x-aws-ec2-metadata-token": "tok"})


def where(case: Any) -> Flow[str]:
    url = yield from endpoint(world(case["env"]), case.get("endpoint_override"), case.get("mode_override"))
    return f"{url}/latest/api/token"


@WAYS
@pytest.mark.parametrize("case", vectors("imds-endpoint.json", lambda data: data["tests"]))
def test_cases(case: Any, way: str) -> None:
    io = Recorded(case["fs"])
    if "Ok" in case["result"]:
        assert driven(where(case), io, way) == case["result"]["Ok"]
    else:
        with pytest.raises(CredentialsError):
            driven(where(case), io, way)


def test_the_path_that_knows_the_account_too() -> None:
    role = get(f"{EXTENDED}/", Response(200, (), b"my-role\n"))
    io = Recorded({}, [TOKEN, role, get(f"{EXTENDED}/my-role", Response(200, (), KEYS))])
    assert run(InstanceMetadata().provide(world()), io).account_id == "1"
    assert all(send.direct and send.timeout == 1.0 for send in io.sent)


@pytest.mark.parametrize("status", [404, 403, 500])
def test_the_older_path_where_that_is_not_known(status: int) -> None:
    other = get(f"{EXTENDED}/", Response(status))
    io = Recorded({}, [TOKEN, other, get(f"{ROLES}/", Response(200, (), b"r")), get(f"{ROLES}/r", Response(200, (), KEYS))])
    assert run(InstanceMetadata().provide(world()), io).access_key_id == "AKID"
    assert len(io.sent) == 4


@pytest.mark.parametrize(
    ("exchanges", "says"),
    [
        ([], "nobody answers at http://169.254.169.254"),
        ([TOKEN._replace(response=Response(403))], "version 2 is switched off"),
        ([TOKEN._replace(response=Response(400))], "status 400 instead of a token"),
        ([TOKEN._replace(response=Response(200, (), b"hush\r\nx: y"))], "the token"),
        ([TOKEN, get(f"{ROLES}/", Response(404))], "has no role"),
        ([TOKEN, get(f"{ROLES}/", Response(200, (), b"../../hush"))], "name of the role"),
        ([TOKEN, get(f"{ROLES}/", Response(200, (), b"<html>hush</html>"))], "name of the role"),
        (
            [
                TOKEN,
                get(f"{ROLES}/", Response(200, (), b"r")),
                get(f"{ROLES}/r", Response(200, (), b'{"Code": "AssumeRoleUnauthorizedAccess"}')),
            ],
            "Unauthorized",
        ),
    ],
)
def test_instances_that_give_nothing(exchanges: list[Exchange], says: str) -> None:
    error = refused(InstanceMetadata().provide(world()), Recorded({}, exchanges))
    assert says in str(error)
    assert "hush" not in str(error)


def test_switched_off() -> None:
    io = Recorded()
    assert "AWS_EC2_METADATA_DISABLED" in str(refused(InstanceMetadata().provide(world({"AWS_EC2_METADATA_DISABLED": "True"})), io))
    assert not io.sent


def test_where_nobody_answers_that_is_soon_clear() -> None:
    with acting(Peer.idle) as stage, on_sockets() as io:
        begun = time.monotonic()
        error = refused(InstanceMetadata(endpoint=stage.url).provide(world()), io)
        assert time.monotonic() - begun < 2.0
    assert "timeout" in str(error)
