"""Single sign-on: the cached token; botocore reads the same files and asks the same server."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any
from unittest import mock

import botocore.credentials
import botocore.session
import botocore.tokens
import pytest

from smruntime_core import Credentials, Response, run
from smruntime_core.credentials import DefaultChain, ProviderContext, Sso
from smruntime_core.testing import FrozenClock
from smruntime_core.values._dates import format_rfc3339

from .recordings import HOME, NOW, Exchange, Recorded, make_context, on_sockets, refused
from .servers import scripted

KEYS = {
    "accessKeyId": "ASIASSO",
    "secretAccessKey": "s",
    "sessionToken": "t",
    "expiration": 4073500800000,
}
FOUND = Credentials("ASIASSO", "s", "t", 4073500800.0, "123")
ROLE = Exchange(
    "GET",
    "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?account_id=123&role_name=my%20role",
    Response(200, (), json.dumps({"roleCredentials": KEYS}).encode()),
)
TOKEN_URL = "https://oidc.eu-west-1.amazonaws.com/token"
RENEWED = Response(
    200,
    (),
    b'{"accessToken": "new", "expiresIn": 3600, "refreshToken": "r2", "tokenType": "Bearer"}',
)


def path_of(name: str) -> str:
    return f"{HOME}/.aws/sso/cache/{hashlib.sha1(name.encode()).hexdigest()}.json"  # noqa: S324 - how the file is named


def signed_in(session: str | None = "corp") -> Sso:
    return Sso(
        start_url="https://corp/start",
        region="eu-west-1",
        account_id="123",
        role_name="my role",
        session=session,
    )


def token(left: float, **more: object) -> str:
    return json.dumps(
        {
            "accessToken": "old",
            "expiresAt": format_rfc3339(NOW + left),
            "startUrl": "https://corp/start",
            **more,
        }
    )


def renewable(left: float, registered: float = 1e6, **more: object) -> str:
    registration = {
        "clientId": "c",
        "clientSecret": "hush",
        "registrationExpiresAt": format_rfc3339(NOW + registered),
    }
    return token(left, refreshToken="r1", **registration, **more)


def with_token(token_value: str) -> Exchange:
    return ROLE._replace(headers={"x-amz-sso_bearer_token": token_value})


def test_valid_token_is_used() -> None:
    for source, name in ((signed_in(), "corp"), (signed_in(None), "https://corp/start")):
        io = Recorded({path_of(name): token(3600)}, [with_token("old")])
        assert run(source.provide(make_context()), io) == FOUND


@pytest.mark.parametrize("left", [200, 0, -1e5])
def test_expiring_token_is_refreshed_and_written_to_its_file(left: float) -> None:
    io = Recorded(
        {path_of("corp"): renewable(left, other="kept")},
        [Exchange("POST", TOKEN_URL, RENEWED), with_token("new")],
    )
    assert run(signed_in().provide(make_context()), io) == FOUND
    asked = json.loads(bytes(io.sent[0].request.body))
    assert asked == {
        "clientId": "c",
        "clientSecret": "hush",
        "grantType": "refresh_token",
        "refreshToken": "r1",
    }
    kept = json.loads(io.files[path_of("corp")])
    assert (kept["accessToken"], kept["refreshToken"], kept["other"], kept["clientId"]) == (
        "new",
        "r2",
        "kept",
        "c",
    )
    assert kept["expiresAt"] == format_rfc3339(NOW + 3600)


@pytest.mark.parametrize(
    "answer",
    [
        Response(400, (), b'{"error": "invalid_grant"}'),
        Response(200, (), b"{}"),
        Response(200, (), b"hush"),
        Response(200, (), b'{"accessToken": "hush\\n", "expiresIn": 3600}'),  # not a header
    ],
)
def test_failed_refresh_is_an_error_only_after_expiry(answer: Response) -> None:
    renewing = Exchange("POST", TOKEN_URL, answer)
    io = Recorded({path_of("corp"): renewable(200)}, [renewing, with_token("old")])
    assert run(signed_in().provide(make_context()), io) == FOUND
    assert json.loads(io.files[path_of("corp")])["accessToken"] == "old"
    error = refused(
        signed_in().provide(make_context()), Recorded({path_of("corp"): renewable(-1)}, [renewing])
    )
    assert "aws sso login --sso-session corp" in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("session", "text", "says"),
    [
        ("corp", None, "there is no file"),
        ("\udcff", None, "there is no file"),
        ("corp", "hush", "not a JSON object"),
        ("corp", token(-1), "has expired"),
        ("corp", renewable(-1, registered=-1), "has expired"),
        (None, renewable(-1), "has expired"),
        ("corp", '{"accessToken": "hush"}', "has expired"),
        ("corp", token(3600).replace("old", "hush\\r\\nx: y"), "accessToken"),
    ],
)
def test_unusable_file_is_refused_without_quoting_it(
    session: str | None, text: str | None, says: str
) -> None:
    files = {} if text is None else {path_of(session or "https://corp/start"): text}
    error = refused(signed_in(session).provide(make_context()), Recorded(files))
    assert says in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            Response(
                401,
                (("x-amzn-errortype", "UnauthorizedException"),),
                b'{"message": "Session token not found"}',
            ),
            "Session token not found",
        ),
        (Response(200, (), b"{}"), "roleCredentials"),
        (
            Response(
                200, (), json.dumps({"roleCredentials": {**KEYS, "expiration": "hush"}}).encode()
            ),
            "when the credentials expire",
        ),
        (
            Response(
                200, (), json.dumps({"roleCredentials": {**KEYS, "expiration": 10**400}}).encode()
            ),
            "when the credentials expire",
        ),
        (
            Response(200, (), json.dumps({"roleCredentials": {**KEYS, "expiration": -1}}).encode()),
            "when the credentials expire",
        ),
    ],
)
def test_answer_without_credentials_is_refused_without_quoting_it(
    answer: Response, says: str
) -> None:
    error = refused(
        signed_in().provide(make_context()),
        Recorded({path_of("corp"): token(3600)}, [ROLE._replace(response=answer)]),
    )
    assert says in str(error)
    assert "hush" not in str(error)


@pytest.mark.parametrize("seconds", [10**400, 10**15, -5, 1.5, True, "60"])
def test_refresh_with_an_invalid_lifetime_is_refused(seconds: object) -> None:
    answer = Response(200, (), json.dumps({"accessToken": "hush", "expiresIn": seconds}).encode())
    io = Recorded({path_of("corp"): renewable(-1)}, [Exchange("POST", TOKEN_URL, answer)])
    error = refused(signed_in().provide(make_context()), io)
    assert "expiresIn" in str(error)
    assert "hush" not in str(error)


def test_profile_without_a_role_has_no_credentials() -> None:
    assert "sso_account_id" in str(refused(Sso(start_url="u", region="r").provide(make_context())))


# ── botocore, over the same files and the same server ──

CONFIG = """[default]
region = eu-west-1
sso_session = corp
sso_account_id = 123
sso_role_name = my role
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp/start
"""


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def test_botocore_sends_and_stores_the_same(tmp_path: Path) -> None:
    """Both refresh the expiring token, and write a file that the other can read."""
    cache = tmp_path / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    file = cache / Path(path_of("corp")).name
    now = time.time()
    written = json.loads(renewable(0)) | {
        "expiresAt": format_rfc3339(now + 60),
        "registrationExpiresAt": format_rfc3339(now + 1e6),
    }
    asked: list[list[bytes]] = []
    kept: list[dict[str, Any]] = []
    found: list[Credentials] = []
    for library in ("botocore", "ours"):
        file.write_text(json.dumps(written))
        with scripted(answer(RENEWED.body), answer(ROLE.response.body)) as server:
            environ = {"HOME": str(tmp_path), "AWS_ENDPOINT_URL": server.url}
            if library == "botocore":
                directory = mock.patch.multiple(
                    botocore.credentials.SSOProvider, _SSO_TOKEN_CACHE_DIR=str(cache)
                )
                tokens = mock.patch.multiple(
                    botocore.tokens.SSOTokenProvider, _SSO_TOKEN_CACHE_DIR=str(cache)
                )
                with mock.patch.dict(os.environ, environ), directory, tokens:
                    os.environ.pop("AWS_CONFIG_FILE", None)
                    theirs = botocore.session.Session().get_credentials().get_frozen_credentials()
                found.append(
                    Credentials(
                        theirs.access_key,
                        theirs.secret_key,
                        theirs.token,
                        FOUND.expires_at,
                        theirs.account_id,
                    )
                )
            else:
                with on_sockets() as io:
                    here = ProviderContext(
                        environ, home=str(tmp_path), clock=FrozenClock(now), random=lambda: 0.5
                    )
                    found.append(run(DefaultChain().provide(here), io))
            asked.append(server.requests)
        kept.append(json.loads(file.read_text()))
    assert found == [FOUND, FOUND]
    theirs_asked, ours_asked = asked
    first_lines = [
        [sorted(re.split(rb"[?& ]", request.splitlines()[0])) for request in one] for one in asked
    ]
    assert first_lines[0] == first_lines[1], (
        "the requests differ by more than the order of the query"
    )
    assert json.loads(theirs_asked[0].partition(b"\r\n\r\n")[2]) == json.loads(
        ours_asked[0].partition(b"\r\n\r\n")[2]
    )
    assert (
        b"\r\nx-amz-sso_bearer_token: new\r\n" in theirs_asked[1]
        and b"\r\nx-amz-sso_bearer_token: new\r\n" in ours_asked[1]
    )
    for name in (
        "accessToken",
        "refreshToken",
        "clientId",
        "clientSecret",
        "registrationExpiresAt",
        "startUrl",
    ):
        assert kept[0][name] == kept[1][name], name
