"""The default chain: recordings of the Rust SDK, error messages, and botocore as a reference."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import botocore.session
import pytest

from smruntime_core import Credentials, CredentialsError, Response, credentials, run
from smruntime_core.credentials import DefaultChain, ProviderContext, overridden, resolve
from smruntime_core.effects import ProcessResult
from smruntime_core.testing import FrozenClock

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

COMPARED = {
    "accept",
    "content-type",
    "x-aws-ec2-metadata-token",
    "x-aws-ec2-metadata-token-ttl-seconds",
    "x-amz-sso_bearer_token",
}


def exchange(recorded: Any) -> Exchange:
    request, response = recorded["request"], recorded["response"]
    headers = {
        name.lower(): values[0]
        for name, values in request["headers"].items()
        if name.lower() in COMPARED
    }
    fields = tuple(
        (name, value) for name, values in response["headers"].items() for value in values
    )
    answer = Response(response["status"], fields, response["body"].encode())
    return Exchange(request["method"], request["uri"], answer, headers, request["body"] or None)


@WAYS
@pytest.mark.parametrize("case", vectors("credentials-default-chain.json"))
def test_chain_answers_as_recorded_from_the_rust_sdk(case: Any, way: str) -> None:
    io = Recorded(
        case["files"],
        [exchange(recorded) for recorded in case["http"]],
        said="".join(case["env"].values()),
    )
    flow = resolve(make_context(case["env"]))
    expected = case["result"].get("Ok")
    if expected is None:
        with pytest.raises(CredentialsError):
            driven(flow, io, way)
    else:
        found = driven(flow, io, way).credentials
        assert found.access_key_id == expected["access_key_id"]
        assert found.secret_access_key == expected["secret_access_key"]
        assert found.session_token == expected.get("session_token")
        assert found.expires_at == expected.get("expiry")
        assert found.account_id == expected.get("account_id")
    assert not io.exchanges, "some recorded requests were not sent"
    for send in io.sent:
        signed = any(
            name == "authorization" and value.startswith("AWS4")
            for name, value in send.request.headers
        )
        assert signed == (b"Action=AssumeRole&" in bytes(send.request.body))


def test_error_of_an_empty_chain_lists_the_answer_of_each_source() -> None:
    error = refused(resolve(make_context({"AWS_EC2_METADATA_DISABLED": "true"})))
    names = [name for name, _ in error.tried]
    assert names == ["the environment", "profile", "web identity", "container", "instance metadata"]
    said = str(error)
    for word in (
        "AWS_ACCESS_KEY_ID",
        "'default'",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "RELATIVE_URI",
        "AWS_EC2_METADATA_DISABLED",
    ):
        assert word in said
    assert said.isprintable()


def test_profile_argument_wins_over_the_environment() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "ENVKEY",
        "AWS_SECRET_ACCESS_KEY": "s",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/t",
        "AWS_ROLE_ARN": "r",
    }
    files = {
        f"{HOME}/.aws/credentials": "[dev]\naws_access_key_id = DEVKEY\naws_secret_access_key = s\n"
        "[empty]\nregion = r-1\n"
    }
    assert (
        run(resolve(make_context(environ)), Recorded(files)).credentials.access_key_id == "ENVKEY"
    )
    assert (
        run(
            resolve(make_context(environ, profile="dev")), Recorded(files)
        ).credentials.access_key_id
        == "DEVKEY"
    )
    tried = refused(
        resolve(make_context({**environ, "AWS_EC2_METADATA_DISABLED": "true"}, profile="empty")),
        Recorded(files),
    ).tried
    assert [name for name, _ in tried] == ["profile", "container", "instance metadata"]


@pytest.mark.parametrize(
    ("environ", "files", "says"),
    [
        ({"AWS_ACCESS_KEY_ID": "A"}, {}, "AWS_SECRET_ACCESS_KEY is missing"),
        ({"AWS_SECRET_ACCESS_KEY": "hush"}, {}, "AWS_ACCESS_KEY_ID is missing"),
        (
            {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "hush\n hush"},
            {},
            "the environment: secret_access_key",
        ),
        (
            {
                "AWS_ACCESS_KEY_ID": "A",
                "AWS_SECRET_ACCESS_KEY": "s",
                "AWS_CREDENTIAL_EXPIRATION": "soon",
            },
            {},
            "AWS_CREDENTIAL_EXPIRATION",
        ),
        ({"AWS_PROFILE": "missing"}, {}, "'missing' (from AWS_PROFILE)"),
        ({}, {".aws/config": "x" * (1 << 20) + "y"}, "at most 1048576 bytes"),
        ({}, {".aws/config": "[profile"}, "line 1"),
        (
            {},
            {".aws/credentials": "[default]\naws_secret_access_key = hush\n"},
            "aws_access_key_id is missing",
        ),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, {}, "AWS_ROLE_ARN is not"),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "r"}, {}, "no file /t"),
    ],
)
def test_source_that_is_set_up_but_fails_ends_the_search(
    environ: dict[str, str], files: dict[str, str], says: str
) -> None:
    error = refused(
        resolve(make_context(environ)),
        Recorded({f"{HOME}/{path}": text for path, text in files.items()}),
    )
    assert says in str(error)
    assert "hush" not in str(error)


def test_each_resolution_reads_the_files_again() -> None:
    path = f"{HOME}/.aws/credentials"
    io, here = (
        Recorded({path: "[default]\naws_access_key_id = A\naws_secret_access_key = s\n"}),
        make_context(),
    )
    assert run(DefaultChain().provide(here), io).access_key_id == "A"
    io.files[path] = io.files[path].replace(b"= A", b"= B")
    assert run(DefaultChain().provide(here), io).access_key_id == "B"


KEYS = "aws_access_key_id = AKIDFILE\naws_secret_access_key = filesecret\n"
PRINTED = (
    '{"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "procsecret", '
    '"SessionToken": "t", "AccountId": "1"}'
)
SETUPS: dict[str, tuple[dict[str, str], str, str]] = {
    "the environment": (
        {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s"},
        "",
        f"[default]\n{KEYS}",
    ),
    "with a token": (
        {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"},
        "",
        "",
    ),
    "with an old token": (
        {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SECURITY_TOKEN": "t"},
        "",
        "",
    ),
    "an empty environment": (
        {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
        "",
        f"[default]\n{KEYS}",
    ),
    "the default profile": (
        {},
        "[default]\nregion = eu-west-1\n",
        f"[default]\n{KEYS}aws_session_token = t\n",
    ),
    "a named profile": ({"AWS_PROFILE": "dev"}, f"[profile dev]\n{KEYS}", ""),
    "a named profile, in the older variable": (
        {"AWS_DEFAULT_PROFILE": "dev"},
        f"[profile dev]\n{KEYS}",
        "",
    ),
    "credentials before config": (
        {},
        "[default]\naws_access_key_id = X\naws_secret_access_key = Y\n",
        f"[default]\n{KEYS}",
    ),
    "a program": (
        {},
        "[default]\ncredential_process = '{here}/keys of mine' --for 'you and me'\n",
        "",
    ),
    "nothing": ({}, "[default]\nregion = eu-west-1\n", ""),
    "another profile": ({}, "", f"[other]\n{KEYS}"),
}


@pytest.mark.parametrize("name", SETUPS)
def test_botocore_finds_the_same(name: str, tmp_path: Path) -> None:
    environ, config, credentials = SETUPS[name]
    (tmp_path / "config").write_text(config.replace("{here}", str(tmp_path)))
    program = tmp_path / "keys of mine"
    program.write_text(f"#!/bin/sh\n[ \"$2\" = 'you and me' ] && echo '{PRINTED}'\n")
    program.chmod(0o700)
    (tmp_path / "credentials").write_text(credentials)
    environ = {
        **environ,
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with mock.patch.dict(os.environ, environ, clear=True):
        theirs = botocore.session.Session().get_credentials()
        frozen = theirs and theirs.get_frozen_credentials()
    here = ProviderContext(environ, home=str(tmp_path), clock=FrozenClock(), random=lambda: 0.5)
    if frozen is None:
        refused(resolve(here))
        return
    with on_sockets() as io:
        ours = run(resolve(here), io).credentials
    assert ours == Credentials(
        frozen.access_key, frozen.secret_key, frozen.token, None, frozen.account_id
    )


def test_every_public_name_is_in_one_submodule() -> None:
    submodule_names = [name for names in credentials._SUBMODULES.values() for name in names]
    assert sorted(submodule_names) == sorted(credentials.__all__)
    for name in submodule_names:
        assert getattr(credentials, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        # mypy must refuse it, too: it reports an `ignore` without an error
        credentials.nothing  # type: ignore[attr-defined]  # noqa: B018 - asking for it is the point


ROLE_PROFILE = (
    "[profile admin]\nrole_arn = arn:aws:iam::123456789012:role/admin\nsource_profile = b\n"
)
ENVIRONMENT_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "hush"}
CONFIG_FILE = f"{HOME}/.aws/config"


def losing(environ: dict[str, str], config: str, source: str, **more: Any) -> dict[str, str]:
    """Return the sources that `overridden` names, and check that it sends nothing."""
    io = Recorded({CONFIG_FILE: config})
    found = run(overridden(make_context(environ, **more), source), io)
    assert not io.sent and not io.ran
    return dict(found)


def test_overridden_names_the_role_that_loses_to_environment_keys() -> None:
    environ = {**ENVIRONMENT_KEYS, "AWS_PROFILE": "admin"}
    found = run(resolve(make_context(environ)), Recorded({CONFIG_FILE: ROLE_PROFILE}))
    overridden_sources = losing(environ, ROLE_PROFILE, found.source)
    role = "arn:aws:iam::123456789012:role/admin"
    assert overridden_sources == {"profile": f"profile 'admin' has role_arn {role}"}


@pytest.mark.parametrize(
    "setting",
    [
        "sso_session = s",
        "credential_process = /hush",
        "aws_access_key_id = hush",
        "login_session = x",
    ],
)
def test_overridden_names_other_settings_without_their_values(setting: str) -> None:
    overridden_sources = losing(ENVIRONMENT_KEYS, f"[default]\n{setting}\n", "the environment")
    assert overridden_sources == {"profile": f"profile 'default' has {setting.partition(' ')[0]}"}


def test_overridden_names_later_variables_and_no_empty_profile() -> None:
    more = {
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/t",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/hush",
    }
    overridden_sources = losing(
        ENVIRONMENT_KEYS | more, "[default]\nregion = r\n", "the environment"
    )
    assert list(overridden_sources) == ["web identity", "container"]
    assert "hush" not in str(overridden_sources)
    assert list(losing(more, "", "web identity")) == ["container"]
    assert losing(more, "", "container") == {}


def test_overridden_names_environment_keys_that_lose_to_a_given_profile() -> None:
    overridden_sources = losing(ENVIRONMENT_KEYS, ROLE_PROFILE, "profile", profile="admin")
    assert overridden_sources["the environment"].startswith("AWS_ACCESS_KEY_ID is set")


PAIR = "aws_access_key_id = AKIDKEYS\naws_secret_access_key = s\n"
PROGRAM = "credential_process = /opt/keys\n"
PRINTED_KEYS = b'{"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s"}'
TOKEN = "[default]\naws_session_token = tok\n"
PROFILES = f"[profile a]\n{PAIR}[profile b]\n{PAIR.replace('KEYS', 'B')}"
BOTH_TOKENS = {"AWS_SESSION_TOKEN": "new", "AWS_SECURITY_TOKEN": "old"}


class Differing(NamedTuple):
    """A difference from boto3 in `docs/credentials.md`; a result is a key id and a token."""

    what: str
    environ: dict[str, str]
    config: str
    credentials: str
    ours: tuple[str, str | None] | None
    theirs: tuple[str, str | None] | None


FILE = f"[default]\n{PAIR}"
DIFFERING = [
    Differing("process", {}, f"[default]\n{PROGRAM}", FILE, ("AKIDPROC", None), ("AKIDKEYS", None)),
    Differing("secret only", {"AWS_SECRET_ACCESS_KEY": "s"}, "", FILE, None, ("AKIDKEYS", None)),
    Differing("token in credentials", {}, FILE, TOKEN, ("AKIDKEYS", "tok"), ("AKIDKEYS", None)),
    Differing("token in config", {}, TOKEN, FILE, ("AKIDKEYS", "tok"), ("AKIDKEYS", None)),
    Differing(
        "two profiles",
        {"AWS_PROFILE": "a", "AWS_DEFAULT_PROFILE": "b"},
        PROFILES,
        "",
        ("AKIDKEYS", None),
        ("AKIDB", None),
    ),
    Differing(
        "two tokens", ENVIRONMENT_KEYS | BOTH_TOKENS, "", "", ("AKIDENV", "new"), ("AKIDENV", "old")
    ),
]


@pytest.mark.parametrize("case", DIFFERING, ids=[case.what for case in DIFFERING])
def test_documented_differences_from_boto3(case: Differing, tmp_path: Path) -> None:
    io = Recorded({CONFIG_FILE: case.config, f"{HOME}/.aws/credentials": case.credentials})
    io.printed = ProcessResult(0, PRINTED_KEYS)
    flow = DefaultChain().provide(make_context(case.environ))
    if case.ours is None:
        assert "AWS_ACCESS_KEY_ID is missing" in str(refused(flow, io))
    else:
        found = run(flow, io)
        assert (found.access_key_id, found.session_token) == case.ours
    for name, text in (("config", case.config), ("credentials", case.credentials)):
        (tmp_path / name).write_text(text)
    files = {
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with mock.patch.dict(os.environ, case.environ | files, clear=True):
        theirs = botocore.session.Session().get_credentials()
        keys = theirs.get_frozen_credentials()
    assert (keys.access_key, keys.token) == case.theirs
