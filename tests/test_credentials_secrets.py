"""The secrets of `test_secrets` in every source of credentials: no error of a client shows one."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials

from smruntime_core import Credentials, Response, run
from smruntime_core.config._profiles import parse
from smruntime_core.credentials import (
    AssumeRole,
    Container,
    DefaultChain,
    Environment,
    InstanceMetadata,
    Login,
    Process,
    Sso,
    WebIdentity,
    make_provider,
)
from smruntime_core.credentials._context import SecretToken
from smruntime_core.credentials._documents import parse_json_object
from smruntime_core.credentials._provider import CallableProvider, StaticProvider
from smruntime_core.effects import Ask, FileContents, ProcessResult, RunProcess, WriteFile
from smruntime_core.values._dates import format_rfc3339
from smruntime_transports.client._boundary import boundary

from .callers import PERFORMERS, Step
from .recordings import HOME, NOW, Exchange, Recorded, make_context
from .test_secrets import CANARY, assert_silent, raised

KEYS = Credentials("AKID", f"{CANARY}/secret", f"{CANARY}/token")
REGION = {"AWS_REGION": "eu-west-1"}
STS = "https://sts.eu-west-1.amazonaws.com/"
ROLE = AssumeRole(
    role_arn="r",
    source=KEYS,
    external_id=f"{CANARY}-id",
    mfa_serial="m",
    mfa=lambda _: f"{CANARY}123",
)
TOKENS = {"/token": f"{CANARY}.jwt"}
WEB = WebIdentity(role_arn="r", token_file="/token")
ECS = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1/x",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN": CANARY,
}
DOCUMENT = {
    "AccessKeyId": "A",
    "SecretAccessKey": CANARY,
    "Token": CANARY,
    "Expiration": "2099-01-31T00:00:00Z",
    "Version": 1,
}
XML = (
    f"<A><AccessKeyId>A</AccessKeyId><SecretAccessKey>{CANARY}</SecretAccessKey>"
    f"<SessionToken>{CANARY}</SessionToken>"
)
SSO = Sso(start_url="u", region="eu-west-1", account_id="1", role_name="r", session="s")
SSO_FILE = f"{HOME}/.aws/sso/cache/{hashlib.sha1(b's').hexdigest()}.json"  # noqa: S324 - how the file is named
LOGIN_FILE = f"{HOME}/.aws/login/cache/{hashlib.sha256(b'arn').hexdigest()}.json"
SIGNED_IN = {
    "accessKeyId": "A",
    "secretAccessKey": CANARY,
    "sessionToken": CANARY,
    "expiresAt": format_rfc3339(NOW - 1),
}


def answering(
    document: object, status: int = 200, url: str = STS, method: str = "POST"
) -> Exchange:
    body = document if isinstance(document, str) else json.dumps(document)
    return Exchange(method, url, Response(status, (), body.encode()))


def sso_file(left: float, **more: object) -> dict[str, str]:
    said = {
        "accessToken": CANARY,
        "expiresAt": format_rfc3339(NOW + left),
        "refreshToken": CANARY,
        "clientId": "c",
        "clientSecret": CANARY,
    }
    return {
        SSO_FILE: json.dumps({**said, "registrationExpiresAt": format_rfc3339(NOW + 1e6), **more})
    }


def login_file(**more: object) -> dict[str, str]:
    said = {
        "accessToken": SIGNED_IN,
        "refreshToken": CANARY,
        "clientId": "c",
        "dpopKey": f"-----BEGIN {CANARY}-----",
    }
    return {LOGIN_FILE: json.dumps({**said, **more})}


def printing(output: bytes, status: int = 0) -> Recorded:
    io = Recorded()
    io.printed = ProcessResult(status, output)
    return io


class BadKeys:
    access_key, secret_key, token = "A", f"{CANARY}\n", None


FROZEN = ReadOnlyCredentials("A", f"{CANARY}\n", None)


class ToFreeze:
    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        return FROZEN


CASES: dict[str, tuple[Any, dict[str, str], Recorded]] = {
    "half a key": (DefaultChain(), {"AWS_SECRET_ACCESS_KEY": CANARY}, Recorded()),
    "a bad key": (
        DefaultChain(),
        {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": f"{CANARY}\n{CANARY}"},
        Recorded(),
    ),
    "a bad token": (
        Environment(),
        {
            "AWS_ACCESS_KEY_ID": "A",
            "AWS_SECRET_ACCESS_KEY": CANARY,
            "AWS_SESSION_TOKEN": f"{CANARY} x",
        },
        Recorded(),
    ),
    "a bad key in a profile": (
        DefaultChain(),
        {},
        Recorded(
            {
                f"{HOME}/.aws/credentials": "[default]\naws_access_key_id = A\n"
                f"aws_secret_access_key = {CANARY}\n {CANARY}\n"
            }
        ),
    ),
    "half a key in a profile": (
        DefaultChain(),
        {},
        Recorded({f"{HOME}/.aws/credentials": f"[default]\naws_secret_access_key = {CANARY}\n"}),
    ),
    "a bad file": (
        DefaultChain(),
        {},
        Recorded({f"{HOME}/.aws/credentials": f"[default]\n{CANARY}\n"}),
    ),
    "a role, and no answer": (ROLE, REGION, Recorded()),
    "a role, and a refusal": (
        ROLE,
        REGION,
        Recorded(
            {},
            [
                answering(
                    f"<E><Code>No</Code><Message>x-amz-security-token:{CANARY}</Message></E>", 403
                )
            ],
        ),
    ),
    "a role, and half an answer": (ROLE, REGION, Recorded({}, [answering(XML + "</A>")])),
    "a role, and no time": (
        ROLE,
        REGION,
        Recorded({}, [answering(f"{XML}<Expiration>{CANARY}</Expiration></A>")]),
    ),
    "a role, and no XML": (ROLE, REGION, Recorded({}, [answering(f"<!x>{XML}")])),
    "no region": (ROLE, {}, Recorded()),
    "a web identity, and no answer": (WEB, REGION, Recorded(TOKENS)),
    "a web identity, and a refusal": (
        WEB,
        REGION,
        Recorded(TOKENS, [answering("<E><Code>No</Code></E>", 400)]),
    ),
    "a web identity whose token is none": (
        WEB,
        REGION,
        Recorded({"/token": f"{CANARY}\n{CANARY}"}),
    ),
    "a web identity without a region": (WEB, {}, Recorded(TOKENS)),
    "a container, and no answer": (Container(), ECS, Recorded()),
    "a container's bad token": (
        Container(),
        {**ECS, "AWS_CONTAINER_AUTHORIZATION_TOKEN": f"{CANARY}\n"},
        Recorded(),
    ),
    "a container without a time": (
        Container(),
        ECS,
        Recorded(
            {},
            [answering({**DOCUMENT, "Expiration": CANARY}, url="http://127.0.0.1/x", method="GET")],
        ),
    ),
    "a container, and a bad key": (
        Container(),
        ECS,
        Recorded(
            {},
            [
                answering(
                    {**DOCUMENT, "SecretAccessKey": f"{CANARY}\n"},
                    url="http://127.0.0.1/x",
                    method="GET",
                )
            ],
        ),
    ),
    "an instance, and no role": (
        InstanceMetadata(endpoint="http://h"),
        {},
        Recorded({}, [answering(CANARY, 200, "http://h/latest/api/token", "PUT")]),
    ),
    "a program's half answer": (
        Process(f"p {CANARY}"),
        {},
        printing(json.dumps({**DOCUMENT, "AccessKeyId": None}).encode()),
    ),
    "a program's long answer": (Process(f"p {CANARY}"), {}, printing(CANARY.encode() * 20_000)),
    "a program that fails": (Process(f"p {CANARY}"), {}, printing(CANARY.encode(), 1)),
    "a program's version": (
        Process(f"p {CANARY}"),
        {},
        printing(json.dumps({**DOCUMENT, "Version": 2}).encode()),
    ),
    "a command with an open quote": (Process(f"p '{CANARY}"), {}, Recorded()),
    "sso, and no answer": (SSO, {}, Recorded(sso_file(3600))),
    "sso that must be refreshed, and no answer": (SSO, {}, Recorded(sso_file(-1))),
    "sso that cannot be refreshed": (SSO, {}, Recorded(sso_file(-1, clientId=None))),
    "sso with a bad token": (SSO, {}, Recorded(sso_file(3600, accessToken=f"{CANARY}\n"))),
    "sso, and half a refresh": (
        SSO,
        {},
        Recorded(
            sso_file(-1),
            [answering({"accessToken": CANARY}, url="https://oidc.eu-west-1.amazonaws.com/token")],
        ),
    ),
    "sso, and half an answer": (
        SSO,
        {},
        Recorded(
            sso_file(3600),
            [
                answering(
                    {"roleCredentials": {"accessKeyId": "A", "secretAccessKey": CANARY}},
                    url="https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?account_id=1&role_name=r",
                    method="GET",
                )
            ],
        ),
    ),
    "a login with a bad key": (Login("arn"), REGION, Recorded(login_file())),
    "a login with half a file": (
        Login("arn"),
        REGION,
        Recorded(login_file(accessToken={**SIGNED_IN, "accessKeyId": None})),
    ),
    "a callable's bad key": (CallableProvider(BadKeys), {}, Recorded()),
    "a callable's bad key, frozen": (CallableProvider(lambda: FROZEN), {}, Recorded()),
    "a bad key, frozen": (make_provider(FROZEN), {}, Recorded()),
    "a bad key, to be frozen": (make_provider(ToFreeze()), {}, Recorded()),
    "a callable's pair": (CallableProvider(lambda: ("A", CANARY)), {}, Recorded()),
    "a callable's text": (CallableProvider(lambda: CANARY), {}, Recorded()),
}


@pytest.mark.parametrize("name", CASES)
def test_failing_source_shows_no_secret(name: str) -> None:
    provider, environ, io = CASES[name]
    assert_silent(raised(boundary(lambda: run(provider.provide(make_context(environ)), io))))


def test_login_without_an_answer_shows_no_secret() -> None:
    from .test_credentials_login import KEY, pem

    io = Recorded(login_file(dpopKey=pem(KEY)))
    assert_silent(raised(boundary(lambda: run(Login("arn").provide(make_context(REGION)), io))))


@pytest.mark.parametrize("perform", PERFORMERS)
def test_client_with_a_bad_environment_shows_no_secret(
    perform: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "A")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{CANARY}\n{CANARY}")
    (error,) = PERFORMERS[perform]("http://127.0.0.1:9", Step(), credentials=None)
    assert_silent(error)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    (tmp_path / "credentials").write_text(f"[default]\naws_access_key_id = A\n{CANARY}\n")
    (error,) = PERFORMERS[perform]("http://127.0.0.1:9", Step(), credentials=None)
    assert_silent(error)
    (tmp_path / "credentials").write_text("")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "many")
    (error,) = PERFORMERS[perform]("http://127.0.0.1:9", Step(), credentials=None)
    assert_silent(error)


THINGS: dict[str, Callable[[], object]] = {
    "a context": lambda: make_context({"A": CANARY}),
    "its environment": lambda: make_context({"A": CANARY}).environ,
    "a role": lambda: ROLE,
    "a program": lambda: Process(f"p {CANARY}"),
    "its effect": lambda: RunProcess(("p", CANARY)),
    "what it left": lambda: ProcessResult(0, CANARY.encode()),
    "a file": lambda: FileContents(CANARY.encode()),
    "the files": lambda: parse(f"[default]\naws_secret_access_key = {CANARY}\n"),
    "a file to write": lambda: WriteFile("/p", CANARY.encode()),
    "a token": lambda: SecretToken(CANARY, "here"),
    "a document": lambda: parse_json_object(json.dumps({"a": CANARY}).encode(), "here"),
    "given keys": lambda: StaticProvider(KEYS),
    "a question": lambda: Ask(len, (KEYS,)),
}


@pytest.mark.parametrize("name", THINGS)
def test_repr_and_str_show_no_secret(name: str) -> None:
    thing = THINGS[name]()
    assert CANARY not in repr(thing)
    assert CANARY not in f"{thing} {[thing]}"


@pytest.mark.parametrize(
    "name", ["its environment", "what it left", "a token", "a document", "a file", "the files"]
)
def test_objects_that_were_read_cannot_be_pickled(name: str) -> None:
    with pytest.raises(TypeError, match="may hold secrets and is not pickled"):
        pickle.dumps(THINGS[name]())


@pytest.mark.parametrize("thing", [ROLE, StaticProvider(KEYS)])
def test_provider_that_holds_credentials_cannot_be_pickled(thing: object) -> None:
    with pytest.raises(TypeError, match="credentials are not pickled"):
        pickle.dumps(thing)
