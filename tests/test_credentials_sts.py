"""Roles: requests, answers, and moto, which checks the signatures of the role and of the call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    Credentials,
    CredentialsError,
    InvokeEndpoint,
    Response,
    ServiceError,
    run,
    verify,
)
from smruntime_core.credentials import AssumeRole, InstanceMetadata, WebIdentity
from smruntime_core.credentials._documents import parse_xml_leaves
from smruntime_core.effects import Send
from smruntime_core.values._credentials import Scope

from .callers import PERFORMERS, Step
from .recordings import NOW, Exchange, Recorded, make_context, on_sockets, refused
from .servers import authenticate, moto_server

KEYS = Credentials("AKIDSOURCE", "source secret")
HERE = {"AWS_REGION": "eu-west-1"}
URL = "https://sts.eu-west-1.amazonaws.com/"
ANSWER = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123:assumed-role/r/s</Arn></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>a&amp;b&#43;c</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2099-01-31T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def form(send: Send) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(bytes(send.request.body).decode()).items()}


def assumed(
    answer: bytes = ANSWER, environ: dict[str, str] = HERE, url: str = URL, **members: Any
) -> Send:
    io = Recorded({}, [Exchange("POST", url, Response(200, (), answer))])
    role: dict[str, Any] = {"role_arn": "arn:aws:iam::1:role/r", "source": KEYS, **members}
    found = run(AssumeRole(**role).provide(make_context(environ)), io)
    assert found == Credentials("ASIA", "a&b+c", "t", 4073500800.0, "123")
    return io.sent[0]


def test_request_holds_every_member_and_a_valid_signature() -> None:
    sent = assumed(
        session_name="me",
        external_id="x y&z",
        duration=900,
        mfa_serial="arn:mfa",
        mfa=lambda serial: {"arn:mfa": "123456"}[serial],
        tags={"team": "ml", "cost centre": "7"},
        transitive_tags=("team",),
        policy="{}",
        policy_arns=("arn:p",),
        source_identity="alice",
    )
    assert form(sent) == {
        "Action": "AssumeRole",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::1:role/r",
        "RoleSessionName": "me",
        "ExternalId": "x y&z",
        "DurationSeconds": "900",
        "SerialNumber": "arn:mfa",
        "TokenCode": "123456",
        "Tags.member.1.Key": "team",
        "Tags.member.1.Value": "ml",
        "Tags.member.2.Key": "cost centre",
        "Tags.member.2.Value": "7",
        "TransitiveTagKeys.member.1": "team",
        "Policy": "{}",
        "PolicyArns.member.1.arn": "arn:p",
        "SourceIdentity": "alice",
    }
    request = sent.request.replace(
        headers=(("host", "sts.eu-west-1.amazonaws.com"), *sent.request.headers)
    )
    verify(request, {KEYS.access_key_id: KEYS}, Scope("eu-west-1", "sts"), now=NOW)


@pytest.mark.parametrize(
    ("environ", "members", "url"),
    [
        (HERE, {"region": "us-gov-west-1"}, "https://sts.us-gov-west-1.amazonaws.com/"),
        (HERE, {"region": "cn-north-1"}, "https://sts.cn-north-1.amazonaws.com.cn/"),
        (
            {**HERE, "AWS_USE_FIPS_ENDPOINT": "true"},
            {},
            "https://sts-fips.eu-west-1.amazonaws.com/",
        ),
        (
            {**HERE, "AWS_USE_FIPS_ENDPOINT": "true"},
            {"region": "us-gov-west-1"},
            "https://sts.us-gov-west-1.amazonaws.com/",
        ),
        ({**HERE, "AWS_USE_DUALSTACK_ENDPOINT": "true"}, {}, "https://sts.eu-west-1.api.aws/"),
        ({**HERE, "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9/sts"}, {}, "http://127.0.0.1:9/sts/"),
        ({**HERE, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {}, "http://127.0.0.1:9/"),
    ],
)
def test_request_goes_to_the_configured_endpoint(
    environ: dict[str, str], members: dict[str, Any], url: str
) -> None:
    assumed(environ=environ, url=url, **members)


def test_missing_or_bad_mfa_code_is_refused() -> None:
    error = refused(
        AssumeRole(role_arn="r", source=KEYS, mfa_serial="arn:mfa").provide(make_context(HERE))
    )
    assert "DefaultChain(mfa=" in str(error)
    for answer in ("", None, "12\n34"):
        error = refused(
            AssumeRole(
                role_arn="r", source=KEYS, mfa_serial="arn:mfa", mfa={"arn:mfa": answer}.get
            ).provide(make_context(HERE))
        )
        assert "the code that `mfa` returns" in str(error)


def test_missing_region_is_refused() -> None:
    assert "no region" in str(
        refused(AssumeRole(role_arn="r", source=KEYS).provide(make_context()))
    )


REFUSAL = (
    b"<ErrorResponse><Error><Code>%b</Code>"
    b"<Message>x-amz-security-token:hush no</Message></Error></ErrorResponse>"
)


def test_refusal_is_explained_and_not_retried() -> None:
    io = Recorded({}, [Exchange("POST", URL, Response(403, (), REFUSAL % b"AccessDenied"))])
    error = refused(AssumeRole(role_arn="arn:r", source=KEYS).provide(make_context(HERE)), io)
    assert "assume role arn:r: status 403: AccessDenied" in str(error)
    assert "hush" not in str(error)
    assert len(io.sent) == 1


def test_throttled_request_is_retried() -> None:
    slow = Exchange("POST", URL, Response(400, (), REFUSAL % b"Throttling"))
    io = Recorded({}, [slow, slow, Exchange("POST", URL, Response(200, (), ANSWER))])
    assert (
        run(AssumeRole(role_arn="r", source=KEYS).provide(make_context(HERE)), io).access_key_id
        == "ASIA"
    )
    assert len(io.slept) == 2


BOMB = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>' + ANSWER


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hush",
        BOMB,
        ANSWER.replace(b"ASIA", b"<![CDATA[ASIA]]>"),
        ANSWER + b" " * 65_536,
        ANSWER.replace(b"a&amp;", b"\xff"),
    ],
)
def test_xml_with_declarations_is_refused_without_quoting_it(body: bytes) -> None:
    io = Recorded({}, [Exchange("POST", URL, Response(200, (), body))])
    assert "hush" not in str(
        refused(AssumeRole(role_arn="r", source=KEYS).provide(make_context(HERE)), io)
    )


@given(st.one_of(st.binary(max_size=300), st.text("<>/!ab&;# \n", max_size=200).map(str.encode)))
def test_any_bytes_are_parsed_or_refused(body: bytes) -> None:
    try:
        leaves = parse_xml_leaves(body, "here")
    except CredentialsError:
        return
    assert all("<" not in name for name in leaves)


def test_many_open_brackets_are_parsed_quickly() -> None:
    for unit in (b"<", b"<a>", b"<a ", b"<a></", b"&"):
        assert not parse_xml_leaves(unit * (65_536 // len(unit)), "here")


def test_web_identity_is_taken_from_arguments_or_the_environment() -> None:
    environ = {
        **HERE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/env",
        "AWS_ROLE_ARN": "arn:env",
        "AWS_ROLE_SESSION_NAME": "env",
    }
    for source, role, token, session in (
        (WebIdentity(), "arn:env", "of-env", "env"),
        (
            WebIdentity(role_arn="arn:own", token_file="/own", session_name="own"),
            "arn:own",
            "of-own",
            "own",
        ),
    ):
        io = Recorded(
            {"/env": "of-env\n", "/own": "of-own"},
            [Exchange("POST", URL, Response(200, (), ANSWER))],
        )
        assert run(source.provide(make_context(environ)), io).access_key_id == "ASIA"
        said = form(io.sent[0])
        assert (said["RoleArn"], said["WebIdentityToken"], said["RoleSessionName"]) == (
            role,
            token,
            session,
        )
        assert not any(name == "authorization" for name, _ in io.sent[0].request.headers)


# ── moto ──

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}],
}


def allowing(action: str) -> str:
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}],
        }
    )


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, str]]:
    """Run moto with a user that may assume a role; return its URL and a credentials file."""
    with moto_server() as url:
        iam: Any = boto3.client(
            "iam", "us-east-1", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b"
        )
        iam.create_user(UserName="u")
        key = iam.create_access_key(UserName="u")["AccessKey"]
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=allowing("sts:AssumeRole"))
        role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(TRUST))[
            "Role"
        ]["Arn"]
        iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=allowing("*"))
        authenticate(url)
        yield (
            url,
            (
                f"[user]\naws_access_key_id = {key['AccessKeyId']}\n"
                f"aws_secret_access_key = {key['SecretAccessKey']}\n"
                f"[reader]\nrole_arn = {role}\nsource_profile = user\n"
                f"[twice]\nrole_arn = {role}\nsource_profile = reader\n"
            ),
        )


@pytest.mark.parametrize("perform", PERFORMERS)
def test_role_of_a_profile_signs_an_invocation(
    moto: tuple[str, str], perform: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, file = moto
    (tmp_path / "credentials").write_text(file)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", url)
    call = Step(InvokeEndpoint(endpoint_name="churn", body=b"1,2,3"))
    for profile in ("reader", "twice"):
        first, second = PERFORMERS[perform](url, call, call, credentials=None, profile=profile)
        assert first.body and second.body
    (refused_call,) = PERFORMERS[perform](url, call, credentials=None, profile="user")
    assert isinstance(refused_call, ServiceError) and refused_call.status == 403, (
        "the user alone may not invoke"
    )


def test_refusal_of_sts_is_a_credentials_error(moto: tuple[str, str]) -> None:
    url, _ = moto
    role = AssumeRole(
        role_arn="arn:aws:iam::123456789012:role/reader", source=Credentials("AKIAUNKNOWN", "s")
    )
    with on_sockets() as io:
        error = refused(
            role.provide(make_context({**HERE, "AWS_ENDPOINT_URL_STS": url}, now=time.time())), io
        )
    assert "InvalidClientTokenId" in str(error)


def test_instance_metadata_of_moto_gives_credentials(moto: tuple[str, str]) -> None:
    with on_sockets() as io:
        found = run(InstanceMetadata(endpoint=moto[0]).provide(make_context()), io)
    assert (found.access_key_id, found.secret_access_key, found.session_token) == (
        "test-key",
        "test-secret-key",
        "test-session-token",
    )
    assert found.expires_at is not None
