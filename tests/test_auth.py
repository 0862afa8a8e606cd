"""Other people's HTTP clients, signed: each against the local endpoint, with its own redirects, compression and header changes tried.

A front stands before the endpoint. It answers some paths with a redirect, and hands on everything else as it came; so whatever a library
does between signing and sending is seen by a server that verifies.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import smruntime_local
from smruntime_core import Config, ConstructionError, Credentials
from smruntime_core.signing import UNSIGNED_PAYLOAD
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports.auth import Bearer, Signer, SigV4

Caller = Callable[..., tuple[int, bytes]]
Headers = Mapping[str, str]


class Front(BaseHTTPRequestHandler):
    """Redirects from /307/path to /path, and from /308-away/path to there on another front; else hands on."""

    protocol_version = "HTTP/1.1"
    target: tuple[str, int]
    away = ""
    seen: list[dict[str, str]]

    def _any(self) -> None:
        self.seen.append({name.lower(): value for name, value in self.headers.items()})
        body = self._body()
        code, _, rest = self.path[1:].partition("/")
        if code[:3].isdigit():
            self.send_response(int(code[:3]))
            self.send_header("Location", (self.away if code.endswith("-away") else "") + f"/{rest}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection(*self.target)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _any  # noqa: N815 - the base class looks for these names

    def do_CONNECT(self) -> None:
        """A tunnel whose far end is here."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = False

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size + 2)[:-2]
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def fronting(target: str, away: str = "") -> Iterator[tuple[str, list[dict[str, str]]]]:
    seen: list[dict[str, str]] = []
    parts = urlsplit(target)
    handler = type(
        "_Front", (Front,), {"target": (parts.hostname, parts.port), "away": away, "seen": seen}
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as running:
        yield running


@pytest.fixture
def front(
    endpoint: smruntime_local.Endpoint,
) -> Iterator[tuple[str, list[dict[str, str]], list[dict[str, str]]]]:
    """The front's URL, what it has seen, and what another has seen to which it sends people away."""
    with fronting(endpoint.url) as (other, elsewhere), fronting(endpoint.url, other) as (url, seen):
        yield url, seen, elsewhere


# ── the libraries ──


def by_httpx(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library, glue = (
            importlib.import_module(name),
            importlib.import_module(f"smruntime_transports.auth.{name}"),
        )
        with library.Client(
            auth=glue.Auth(signer), follow_redirects=True, trust_env=False
        ) as client:
            answer = client.request(method, url, content=body, headers=headers)
            return answer.status_code, answer.content

    return call


def by_async_httpx(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library, glue = (
            importlib.import_module(name),
            importlib.import_module(f"smruntime_transports.auth.{name}"),
        )

        async def main() -> tuple[int, bytes]:
            async with library.AsyncClient(
                auth=glue.Auth(signer), follow_redirects=True, trust_env=False
            ) as client:
                answer = await client.request(method, url, content=body, headers=headers)
                return answer.status_code, answer.content

        return asyncio.run(main())

    return call


def by_requests(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library, glue = (
            importlib.import_module(name),
            importlib.import_module(f"smruntime_transports.auth.{name}"),
        )
        with library.Session() as session:
            session.auth, session.trust_env = glue.Auth(signer), False
            answer = session.request(method, url, data=body, headers=headers)
            return answer.status_code, answer.content

    return call


def by_async_niquests(
    signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
) -> tuple[int, bytes]:
    library, glue = (
        importlib.import_module("niquests"),
        importlib.import_module("smruntime_transports.auth.niquests"),
    )

    async def main() -> tuple[int, bytes]:
        async with library.AsyncSession() as session:
            session.auth, session.trust_env = glue.AsyncAuth(signer), False
            answer = await session.request(method, url, data=body, headers=headers)
            return answer.status_code, answer.content

    return asyncio.run(main())


def by_aiohttp(
    signer: Signer,
    method: str,
    url: str,
    body: Any = b"",
    headers: Headers | None = None,
    **more: Any,
) -> tuple[int, bytes]:
    import aiohttp

    from smruntime_transports.auth.aiohttp import Middleware

    async def main() -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession(middlewares=[Middleware(signer)]) as session,
            session.request(method, url, data=body, headers=headers, **more) as answer,
        ):
            return answer.status, await answer.read()

    return asyncio.run(main())


def by_urllib3(
    signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
) -> tuple[int, bytes]:
    from smruntime_transports.auth.urllib3 import PoolManager

    with PoolManager(signer) as pool:
        answer = pool.request(method, url, body=body, headers=headers)
        return answer.status, answer.data


def by_http_client(
    signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
) -> tuple[int, bytes]:
    from smruntime_transports.auth.http_client import request

    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port)
    with contextlib.closing(connection):
        request(
            connection, signer, method, url.removeprefix(f"http://{parts.netloc}"), body, headers
        )
        answer = connection.getresponse()
        return answer.status, answer.read()


CALLERS: dict[str, tuple[str, Caller]] = {
    "httpx": ("httpx", by_httpx("httpx")),
    "httpx, async": ("httpx", by_async_httpx("httpx")),
    "httpx2": ("httpx2", by_httpx("httpx2")),
    "httpx2, async": ("httpx2", by_async_httpx("httpx2")),
    "requests": ("requests", by_requests("requests")),
    "niquests": ("niquests", by_requests("niquests")),
    "niquests, async": ("niquests", by_async_niquests),
    "aiohttp": ("aiohttp", by_aiohttp),
    "urllib3": ("urllib3", by_urllib3),
    "http.client": ("http.client", by_http_client),
}
FOLLOWING = [name for name in CALLERS if name != "http.client"]


def caller_of(name: str) -> Caller:
    library, call = CALLERS[name]
    pytest.importorskip(
        library, reason=f"{library} is not installed here (niquests is where tools/test-apart runs)"
    )
    return call


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return caller_of(request.param)


@pytest.fixture(params=FOLLOWING)
def following(request: pytest.FixtureRequest) -> Caller:
    return caller_of(request.param)


def signer_of(endpoint: smruntime_local.Endpoint) -> SigV4:
    return SigV4(endpoint.credentials, endpoint.region)


PATH = "/endpoints/echo/invocations"
BODIES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"1,2,3",
    "no bytes": lambda: b"",
    "text": lambda: "é",
    "a file": lambda: io.BytesIO(b"1,2,3"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_call(
    request: pytest.FixtureRequest, call: Caller, endpoint: smruntime_local.Endpoint, kind: str
) -> None:
    if (
        kind == "a file"
        and "httpx" in (name := request.node.callspec.params["call"])
        and "async" in name
    ):
        pytest.skip("httpx's AsyncClient sends no plain file")
    headers = {
        "Content-Type": "text/csv",
        "X-Amzn-SageMaker-Custom-Attributes": "a  b",
        "Authorization": "stale",
        "X-Amz-Date": "stale",
    }
    status, data = call(signer_of(endpoint), "POST", endpoint.url + PATH, BODIES[kind](), headers)
    assert status == 200, data
    assert json.loads(data)["custom_attributes"] == "a  b"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?",
        "?a=1&b=%20&a=0",
        "?x=a+b&y=%c3%a9&z",
        "?q=a b",
        "?p=/x/../y//",
        "?é=ü",
        "#part",
        "?a=1#part",
        "?=&&=",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "/base%2fpath" + PATH,
        "/a b" + PATH,
        "/x/../y/./" + PATH,
        "//" + PATH,
        "/~!$&'()*+,;=:@é" + PATH,
    ],
)
def test_urls_of_any_kind(
    call: Caller, endpoint: smruntime_local.Endpoint, path: str, query: str
) -> None:
    """Whatever a library makes of a URL when it sends it is what must have been signed: a refusal by signature is our fault."""
    if call is by_http_client and (" " in path + query or "é" in path + query or "#" in query):
        pytest.skip("http.client sends no such target")
    status, data = call(signer_of(endpoint), "POST", endpoint.url + path + query, b"1")
    assert status != 403, data
    assert b"Signature" not in data


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_origin(
    following: Caller, endpoint: smruntime_local.Endpoint, front: Any, code: int
) -> None:
    url, seen, _ = front
    status, data = following(
        signer_of(endpoint),
        "POST",
        f"{url}/{code}/{code}{PATH}",
        b"1,2,3",
        {"Content-Type": "text/csv"},
    )
    if code in (307, 308) or (following is by_urllib3 and code != 303):  # urllib3 posts again
        assert status == 200, data
        assert json.loads(data)["body"] == "MSwyLDM="
    else:  # a GET now, which the service has no operation for; but it was signed well
        assert status == 404, data
    assert len(seen) in (3, 4, 5)


def test_a_redirect_to_another_origin_is_not_signed(
    following: Caller, endpoint: smruntime_local.Endpoint, front: Any
) -> None:
    url, _, elsewhere = front
    signer = SigV4(endpoint.credentials, endpoint.region, origin=url)
    status, _ = following(signer, "POST", f"{url}/307-away{PATH}", b"1,2,3")
    assert status == 403
    assert all("authorization" not in headers for headers in elsewhere)


def test_requests_and_urllib3_do_not_sign_elsewhere_by_themselves(
    endpoint: smruntime_local.Endpoint, front: Any
) -> None:
    url, _, elsewhere = front
    for name in ("requests", "urllib3", "httpx", "httpx2"):
        status, _ = caller_of(name)(signer_of(endpoint), "POST", f"{url}/307-away{PATH}", b"1,2,3")
        assert status == 403
    assert all("authorization" not in headers for headers in elsewhere)


@pytest.mark.parametrize("name", ["requests", "niquests", "niquests, async", "urllib3"])
def test_nobody_else_sees_the_session_token(
    endpoint: smruntime_local.Endpoint, front: Any, name: str
) -> None:
    """Httpx and httpx2 cannot be held back from it (they follow redirects only on request), aiohttp only by `origin`."""
    url, seen, elsewhere = front
    assert caller_of(name)(signer_of(endpoint), "POST", f"{url}/307-away{PATH}", b"1,2,3")[0] == 403
    assert "x-amz-security-token" in seen[0]
    assert elsewhere
    assert not [
        field
        for headers in elsewhere
        for field in headers
        if field.startswith("x-amz-") or field == "authorization"
    ]


@pytest.mark.parametrize(
    ("tunnel", "headers", "host"),
    [
        (("runtime.example", 8443), {}, "runtime.example:8443"),
        (("runtime.example", None), {}, "runtime.example"),
        (None, {"host": "runtime.example"}, "runtime.example"),
    ],
)
def test_http_client_signs_for_the_host_that_is_asked(
    endpoint: smruntime_local.Endpoint,
    front: Any,
    tunnel: tuple[str, int | None] | None,
    headers: Headers,
    host: str,
) -> None:
    """That is the far end of a tunnel, or whatever the caller calls it."""
    from smruntime_transports.auth.http_client import request

    url, seen, _ = front
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    if tunnel is not None:
        connection.set_tunnel(*tunnel)
    with contextlib.closing(connection):
        request(connection, signer_of(endpoint), "POST", PATH, b"1", headers)
        assert connection.getresponse().status == 200
    assert seen[-1]["host"] == host


def test_a_wrong_secret_is_refused_and_not_tried_for_ever(
    following: Caller, endpoint: smruntime_local.Endpoint, front: Any
) -> None:
    url, seen, _ = front
    signer = SigV4(endpoint.credentials.replace(secret_access_key="wrong"), endpoint.region)
    status, _ = following(signer, "POST", f"{url}/307{PATH}", b"1")
    assert status == 403
    assert len(seen) <= 3


def test_header_changes_after_signing_do_no_harm(
    call: Caller, endpoint: smruntime_local.Endpoint
) -> None:
    headers = {
        "Accept": "text/csv",
        "Accept-Encoding": "gzip",
        "User-Agent": "mine",
        "Cookie": "a=b",
        "Connection": "close",
        "Range": "bytes=0-",
    }
    assert call(signer_of(endpoint), "POST", endpoint.url + PATH, b"1", headers)[0] == 200


def test_a_client_lends_its_credentials(
    endpoint: smruntime_local.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So who signs with an adapter has the default chain too, and what is renewed is renewed once."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.credentials.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.credentials.secret_access_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(endpoint.credentials.session_token))
    with sockets.Client(region=endpoint.region) as client:
        assert (
            by_http_client(
                SigV4(client.credentials, endpoint.region), "POST", endpoint.url + PATH, b"1"
            )[0]
            == 200
        )
        assert client.credentials() is client.credentials()

    async def awaited() -> Credentials:
        async with on_asyncio.AsyncClient(region=endpoint.region) as client:
            return await client.credentials()

    assert asyncio.run(awaited()) == endpoint.credentials


def test_a_bearer_token(call: Caller, endpoint: smruntime_local.Endpoint) -> None:
    url = Config(region=endpoint.region, endpoint_url=endpoint.url).openai_url("echo")
    bearer = Bearer(endpoint.credentials, endpoint.region)
    status, data = call(bearer, "POST", url, b"{}", {"Content-Type": "application/json"})
    assert (status, json.loads(data)["endpoint_name"]) == (200, "echo")
    assert bearer() == bearer() == asyncio.run(bearer.awaited())


def test_a_body_in_parts(endpoint: smruntime_local.Endpoint) -> None:
    """Read whole by those that can, refused by the others; sent unread where the payload need not be signed."""
    for name in ("httpx", "httpx2"):
        status, data = caller_of(name)(
            signer_of(endpoint), "POST", endpoint.url + PATH, iter([b"1,", b"2"])
        )
        assert (status, json.loads(data)["body"]) == (200, "MSwy")
    for name in ("requests", "urllib3", "http.client"):
        with pytest.raises(ConstructionError, match="body"):
            caller_of(name)(signer_of(endpoint), "POST", endpoint.url + PATH, iter([b"1,", b"2"]))
        unsigned = SigV4(endpoint.credentials, endpoint.region, payload_hash=UNSIGNED_PAYLOAD)
        assert (
            caller_of(name)(unsigned, "POST", endpoint.url + PATH, iter([b"1,", b"2"]))[0] == 403
        )  # this service wants it signed

    async def parts() -> Any:
        yield b"1,"
        yield b"2"

    for name in ("aiohttp", "httpx, async", "httpx2, async"):
        status, data = caller_of(name)(signer_of(endpoint), "POST", endpoint.url + PATH, parts())
        assert (status, json.loads(data)["body"]) == (200, "MSwy")


def test_what_aiohttp_would_compress_is_refused(endpoint: smruntime_local.Endpoint) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(ConstructionError, match="compress"):
        by_aiohttp(signer_of(endpoint), "POST", endpoint.url + PATH, b"1" * 100, compress=True)


def test_a_file_is_left_where_it_stood(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"head,1,2")
    with open(tmp_path / "f", "rb") as file:
        file.seek(5)
        signer_of(endpoint).apply("POST", endpoint.url + PATH, {}, file)
        assert file.read() == b"1,2"
    with (
        open(tmp_path / "f", encoding="ascii") as text,
        pytest.raises(ConstructionError, match="body"),
    ):
        signer_of(endpoint).apply("POST", endpoint.url + PATH, {}, text)


def test_credentials_are_asked_for_each_time_or_not_at_all(
    endpoint: smruntime_local.Endpoint,
) -> None:
    asked: list[Credentials] = []

    def source() -> Credentials:
        asked.append(endpoint.credentials)
        return endpoint.credentials

    for _ in range(2):
        assert (
            by_http_client(SigV4(source, endpoint.region), "POST", endpoint.url + PATH, b"1")[0]
            == 200
        )
    assert len(asked) == 2
    assert by_http_client(SigV4(None, endpoint.region), "POST", endpoint.url + PATH, b"1")[0] == 403


def test_a_glue_whose_library_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    for name in ("httpx", "httpx2", "requests", "niquests", "aiohttp", "urllib3"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, f"smruntime_transports.auth.{name}", raising=False)
        with pytest.raises(ImportError, match="pip install"):
            importlib.import_module(f"smruntime_transports.auth.{name}")
