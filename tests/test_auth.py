"""The auth adapters: each library against the local endpoint, which verifies what it really sends.

library + adapter ──> proxy of this file ──> local endpoint
                      └── redirects, to itself or to a second proxy (another port: another origin)
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import importlib
import io
import json
import pickle
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import pytest

import smruntime_local
from smruntime_core import Config, ConstructionError, Credentials
from smruntime_core.signing import UNSIGNED_PAYLOAD
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import auth, sockets
from smruntime_transports.auth import Bearer, Signer, SigV4

Caller = Callable[..., tuple[int, bytes]]
Headers = Mapping[str, str]
Received = list[dict[str, str]]
SIGNATURE_HEADERS = {
    "authorization",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-region-set",
    "x-amz-security-token",
}


class RedirectingProxy(BaseHTTPRequestHandler):
    """Redirects /307/path to /path, /307-away/path to /path of `other_url`; forwards the rest."""

    protocol_version = "HTTP/1.1"
    endpoint_address: tuple[str, int]
    other_url = ""
    received: Received

    def _respond(self) -> None:
        self.received.append({name.lower(): value for name, value in self.headers.items()})
        body = self._read_body()
        code, _, rest = self.path[1:].partition("/")
        if code[:3].isdigit():
            self.send_response(int(code[:3]))
            origin = self.other_url if code.endswith("-away") else ""
            self.send_header("Location", f"{origin}/{rest}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection(*self.endpoint_address)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        connection.close()
        self.send_response(response.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _respond  # noqa: N815 - the base class looks for these names

    def do_CONNECT(self) -> None:
        """Open a tunnel to this server itself."""
        self.send_response(200)
        self.end_headers()
        self.close_connection = False

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size + 2)[:-2]
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


@contextlib.contextmanager
def run_proxy(endpoint_url: str, other_url: str = "") -> Iterator[tuple[str, Received]]:
    """Yield the URL of a proxy, and the headers of each request that it receives."""
    received: Received = []
    parts = urlsplit(endpoint_url)
    attributes = {
        "endpoint_address": (parts.hostname, parts.port),
        "other_url": other_url,
        "received": received,
    }
    handler = type("Handler", (RedirectingProxy,), attributes)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    options = {"poll_interval": 0.01}
    thread = threading.Thread(target=server.serve_forever, kwargs=options, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as running:
        yield running


class Proxies(NamedTuple):
    """Two origins before the endpoint: the first redirects to the second."""

    url: str
    received: Received
    other_url: str
    other_received: Received


@pytest.fixture
def proxies(endpoint: smruntime_local.Endpoint) -> Iterator[Proxies]:
    with (
        run_proxy(endpoint.url) as (other_url, other_received),
        run_proxy(endpoint.url, other_url) as (url, received),
    ):
        yield Proxies(url, received, other_url, other_received)


# ── the libraries ──


def call_httpx(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library = importlib.import_module(name)
        adapter = importlib.import_module(f"smruntime_transports.auth.{name}")
        with library.Client(
            auth=adapter.Auth(signer), follow_redirects=True, trust_env=False
        ) as client:
            response = client.request(method, url, content=body, headers=headers)
            return response.status_code, response.content

    return call


def call_async_httpx(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library = importlib.import_module(name)
        adapter = importlib.import_module(f"smruntime_transports.auth.{name}")

        async def main() -> tuple[int, bytes]:
            async with library.AsyncClient(
                auth=adapter.Auth(signer), follow_redirects=True, trust_env=False
            ) as client:
                response = await client.request(method, url, content=body, headers=headers)
                return response.status_code, response.content

        return asyncio.run(main())

    return call


def call_requests(name: str) -> Caller:
    def call(
        signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
    ) -> tuple[int, bytes]:
        library = importlib.import_module(name)
        adapter = importlib.import_module(f"smruntime_transports.auth.{name}")
        with library.Session() as session:
            session.auth, session.trust_env = adapter.Auth(signer), False
            response = session.request(method, url, data=body, headers=headers)
            return response.status_code, response.content

    return call


def call_async_niquests(
    signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
) -> tuple[int, bytes]:
    library = importlib.import_module("niquests")
    adapter = importlib.import_module("smruntime_transports.auth.niquests")

    async def main() -> tuple[int, bytes]:
        async with library.AsyncSession() as session:
            session.auth, session.trust_env = adapter.AsyncAuth(signer), False
            response = await session.request(method, url, data=body, headers=headers)
            return response.status_code, response.content

    return asyncio.run(main())


def call_aiohttp(
    signer: Signer,
    method: str,
    url: str,
    body: Any = b"",
    headers: Headers | None = None,
    **options: Any,
) -> tuple[int, bytes]:
    import aiohttp

    from smruntime_transports.auth.aiohttp import Middleware

    async def main() -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession(middlewares=[Middleware(signer)]) as session,
            session.request(method, url, data=body, headers=headers, **options) as response,
        ):
            return response.status, await response.read()

    return asyncio.run(main())


def call_urllib3(
    signer: Signer, method: str, url: str, body: Any = b"", headers: Headers | None = None
) -> tuple[int, bytes]:
    from smruntime_transports.auth.urllib3 import PoolManager

    with PoolManager(signer) as pool:
        response = pool.request(method, url, body=body, headers=headers)
        return response.status, response.data


def call_http_client(
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
        response = connection.getresponse()
        return response.status, response.read()


CALLERS: dict[str, tuple[str, Caller]] = {
    "httpx": ("httpx", call_httpx("httpx")),
    "httpx, async": ("httpx", call_async_httpx("httpx")),
    "httpx2": ("httpx2", call_httpx("httpx2")),
    "httpx2, async": ("httpx2", call_async_httpx("httpx2")),
    "requests": ("requests", call_requests("requests")),
    "niquests": ("niquests", call_requests("niquests")),
    "niquests, async": ("niquests", call_async_niquests),
    "aiohttp": ("aiohttp", call_aiohttp),
    "urllib3": ("urllib3", call_urllib3),
    "http.client": ("http.client", call_http_client),
}
FOLLOWING = [name for name in CALLERS if name != "http.client"]


def test_every_adapter_is_tested() -> None:
    adapters = {module.name for module in pkgutil.iter_modules(auth.__path__)}
    tested = {library.replace(".", "_") for library, _ in CALLERS.values()}
    assert {name for name in adapters if not name.startswith("_")} == tested


def caller_of(name: str) -> Caller:
    library, call = CALLERS[name]
    reason = f"{library} is not installed here (tools/test-apart tests niquests)"
    pytest.importorskip(library, reason=reason)
    return call


@pytest.fixture(params=CALLERS)
def call(request: pytest.FixtureRequest) -> Caller:
    return caller_of(request.param)


@pytest.fixture(params=FOLLOWING)
def following_call(request: pytest.FixtureRequest) -> Caller:
    return caller_of(request.param)


def signer_of(endpoint: smruntime_local.Endpoint, origin: str | None = None) -> SigV4:
    return SigV4(endpoint.credentials, endpoint.region, origin=origin)


def bearer_of(endpoint: smruntime_local.Endpoint, origin: str | None = None) -> Bearer:
    return Bearer(endpoint.credentials, endpoint.region, origin=origin)


PATH = "/endpoints/echo/invocations"
OPENAI_PATH = "/endpoints/echo/openai/v1/chat/completions"
SIGNERS: dict[str, tuple[Callable[..., Signer], str]] = {
    "signature": (signer_of, PATH),
    "bearer token": (bearer_of, OPENAI_PATH),
}
BODIES: dict[str, Callable[[], Any]] = {
    "bytes": lambda: b"1,2,3",
    "no bytes": lambda: b"",
    "text": lambda: "é",
    "a file": lambda: io.BytesIO(b"1,2,3"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_endpoint_accepts_signed_call_with_body_of_any_type(
    request: pytest.FixtureRequest, call: Caller, endpoint: smruntime_local.Endpoint, kind: str
) -> None:
    name = request.node.callspec.params["call"]
    if kind == "a file" and name in ("httpx, async", "httpx2, async"):
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
def test_url_is_signed_as_the_library_sends_it(
    call: Caller, endpoint: smruntime_local.Endpoint, path: str, query: str
) -> None:
    is_sendable = not (" " in path + query or "é" in path + query or "#" in query)
    if call is call_http_client and not is_sendable:
        pytest.skip("http.client refuses this target")
    status, data = call(signer_of(endpoint), "POST", endpoint.url + path + query, b"1")
    assert status != 403, data
    assert b"Signature" not in data


# ── redirects ──


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect_within_the_origin_is_signed(
    following_call: Caller, endpoint: smruntime_local.Endpoint, proxies: Proxies, code: int
) -> None:
    url = f"{proxies.url}/{code}/{code}{PATH}"
    headers = {"Content-Type": "text/csv"}
    status, data = following_call(signer_of(endpoint), "POST", url, b"1,2,3", headers)
    keeps_method = code in (307, 308) or (following_call is call_urllib3 and code != 303)
    if keeps_method:
        assert status == 200, data
        assert json.loads(data)["body"] == "MSwyLDM="
    else:  # a GET, which no operation has; refused after its signature was verified
        assert status == 404, data
    assert len(proxies.received) in (3, 4, 5)


@pytest.mark.parametrize("code", [307, 308])
@pytest.mark.parametrize("given_origin", [False, True], ids=["any origin", "one origin"])
def test_redirect_within_the_origin_carries_the_bearer_token(
    following_call: Caller,
    endpoint: smruntime_local.Endpoint,
    proxies: Proxies,
    code: int,
    given_origin: bool,
) -> None:
    bearer = bearer_of(endpoint, proxies.url if given_origin else None)
    headers = {"Content-Type": "application/json"}
    url = f"{proxies.url}/{code}{OPENAI_PATH}"
    assert following_call(bearer, "POST", url, b"{}", headers)[0] == 200


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("signer_name", SIGNERS)
@pytest.mark.parametrize("given_origin", [False, True], ids=["any origin", "one origin"])
def test_redirect_to_another_origin_carries_no_signature(
    following_call: Caller,
    endpoint: smruntime_local.Endpoint,
    proxies: Proxies,
    code: int,
    signer_name: str,
    given_origin: bool,
) -> None:
    make_signer, path = SIGNERS[signer_name]
    signer = make_signer(endpoint, proxies.url if given_origin else None)
    url = f"{proxies.url}/{code}/{code}-away{path}"
    status, data = following_call(signer, "POST", url, b"1,2,3")
    assert status == 403, data
    assert "authorization" in proxies.received[0], "the first request must be signed"
    assert proxies.other_received, "the library must follow the redirect"
    for headers in proxies.other_received:
        assert not SIGNATURE_HEADERS & set(headers), "a signature reached another origin"


@pytest.mark.parametrize("signer_name", SIGNERS)
def test_redirect_from_another_origin_to_the_given_one_carries_no_signature(
    following_call: Caller, endpoint: smruntime_local.Endpoint, proxies: Proxies, signer_name: str
) -> None:
    """A server elsewhere must not choose what is signed."""
    make_signer, path = SIGNERS[signer_name]
    signer = make_signer(endpoint, proxies.other_url)
    status, data = following_call(signer, "POST", f"{proxies.url}/307-away{path}", b"1,2,3")
    assert status == 403, data
    for headers in (*proxies.received, *proxies.other_received):
        assert not SIGNATURE_HEADERS & set(headers), "a redirected request was signed"


def test_http_client_returns_the_redirect(
    endpoint: smruntime_local.Endpoint, proxies: Proxies
) -> None:
    url = f"{proxies.url}/307-away{PATH}"
    assert call_http_client(signer_of(endpoint), "POST", url, b"1")[0] == 307
    assert not proxies.other_received


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
@pytest.mark.parametrize("signer_name", SIGNERS)
def test_httpx_redirect_from_http_to_https_carries_no_signature(
    endpoint: smruntime_local.Endpoint, library: str, signer_name: str
) -> None:
    """The library keeps `Authorization` then, but the scheme is part of the origin."""
    httpx = pytest.importorskip(library)
    adapter = importlib.import_module(f"smruntime_transports.auth.{library}")
    received: list[Any] = []

    def respond(request: Any) -> Any:
        received.append(request)
        if request.url.scheme == "http":
            return httpx.Response(307, headers={"Location": "https://runtime.example/"})
        return httpx.Response(403)

    auth = adapter.Auth(SIGNERS[signer_name][0](endpoint))
    transport = httpx.MockTransport(respond)
    with httpx.Client(auth=auth, transport=transport, follow_redirects=True) as client:
        assert client.post("http://runtime.example/", content=b"1").status_code == 403
    first, second = received
    assert "authorization" in first.headers
    assert not SIGNATURE_HEADERS & set(second.headers)


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_httpx_headers_show_the_signature_and_their_copies_do_not(
    endpoint: smruntime_local.Endpoint, library: str
) -> None:
    httpx = pytest.importorskip(library)
    adapter = importlib.import_module(f"smruntime_transports.auth.{library}")
    request = httpx.Request("POST", endpoint.url + PATH, content=b"1", headers={"accept": "a/b"})
    next(adapter.Auth(signer_of(endpoint)).sync_auth_flow(request))
    headers = request.headers
    signature = {"authorization", "x-amz-date", "x-amz-security-token"}
    assert set(headers) - {"host", "accept", "content-length"} == signature
    assert len(headers) == len(headers.raw) == len(headers.multi_items()) == 6
    assert set(headers.keys()) == set(headers.items().mapping) == set(headers)
    assert headers["Authorization"] in headers.values()
    assert headers.get_list("x-amz-date") == [headers.get("X-Amz-Date")]
    headers["accept"] = "c/d"
    assert headers["accept"] == "c/d"
    for copied in (headers.copy(), httpx.Headers(headers), pickle.loads(pickle.dumps(headers))):
        assert set(copied) == {"host", "accept", "content-length"}
    assert str(endpoint.credentials.session_token) not in pickle.dumps(request).decode("latin-1")


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_httpx_version_whose_copies_keep_the_signature_is_refused(
    endpoint: smruntime_local.Endpoint, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from smruntime_transports.auth import _httpx

    httpx = pytest.importorskip(library)
    adapter = importlib.import_module(f"smruntime_transports.auth.{library}")
    request = httpx.Request("POST", endpoint.url + PATH, content=b"1")
    monkeypatch.setattr(httpx.Headers, "copy", lambda headers: httpx.Headers(headers.raw))
    _httpx._signed_headers_type.cache_clear()
    try:
        with pytest.raises(ConstructionError, match=rf"^{library}: "):
            next(adapter.Auth(signer_of(endpoint)).sync_auth_flow(request))
    finally:
        _httpx._signed_headers_type.cache_clear()


def test_aiohttp_tells_redirects_from_calls_of_one_session(
    endpoint: smruntime_local.Endpoint, proxies: Proxies
) -> None:
    """Redirected, direct and later calls to the same URL, at once and behind another middleware."""
    aiohttp = pytest.importorskip("aiohttp")
    from smruntime_transports.auth.aiohttp import Middleware

    async def in_own_task(request: Any, handler: Any) -> Any:
        return await asyncio.create_task(handler(request))

    async def main() -> None:
        middlewares = [in_own_task, Middleware(signer_of(endpoint))]
        async with aiohttp.ClientSession(middlewares=middlewares) as session:

            async def post(url: str, **options: Any) -> int:
                async with session.post(url, data=b"1", **options) as response:
                    return int(response.status)

            redirected, direct = f"{proxies.url}/307-away{PATH}", proxies.other_url + PATH
            async with session.post(redirected, data=b"1", allow_redirects=False) as unfollowed:
                assert unfollowed.status == 307
                assert await post(direct) == 200, "a call by its own URL must be signed"
            statuses = await asyncio.gather(*map(post, [redirected, direct] * 10))
            assert statuses == [403, 200] * 10
            async with session.post(redirected, data=b"1", timeout=None) as without_timeout:
                assert without_timeout.status == 403

    asyncio.run(main())


def test_aiohttp_version_that_hides_redirects_is_refused(
    endpoint: smruntime_local.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp")
    from smruntime_transports.auth.aiohttp import Middleware

    class Request:
        compress = False
        url = endpoint.url + PATH

    async def handler(request: Any) -> Any:
        raise AssertionError("the request must not be sent")

    with pytest.raises(ConstructionError, match=r"^aiohttp: "):
        asyncio.run(Middleware(signer_of(endpoint))(cast("Any", Request()), handler))


def test_urllib3_signs_again_after_a_retry_within_the_pool(
    endpoint: smruntime_local.Endpoint, proxies: Proxies
) -> None:
    """Its history has relative URLs for retries of a pool, which are of the same origin."""
    urllib3 = pytest.importorskip("urllib3")
    from smruntime_transports.auth.urllib3 import PoolManager

    retries = urllib3.Retry(3, status_forcelist=[307], raise_on_status=False)
    with PoolManager(signer_of(endpoint)) as pool:
        url = f"{proxies.url}/307-away{PATH}"
        assert pool.request("POST", url, body=b"1", retries=retries).status in (307, 403)
    for headers in proxies.other_received:
        assert not SIGNATURE_HEADERS & set(headers)


def test_refused_redirect_is_signed_only_once_more(
    following_call: Caller, endpoint: smruntime_local.Endpoint, proxies: Proxies
) -> None:
    wrong = SigV4(endpoint.credentials.replace(secret_access_key="wrong"), endpoint.region)
    status, _ = following_call(wrong, "POST", f"{proxies.url}/307{PATH}", b"1")
    assert status == 403
    assert len(proxies.received) <= 3


@pytest.mark.parametrize(
    "origin",
    ["", "runtime.example", "ftp://runtime.example", "https://", "https://a:99999", "https://[::1"],
)
def test_invalid_origin_is_refused(origin: str) -> None:
    with pytest.raises(ConstructionError, match=r"^origin: "):
        SigV4(None, "eu-west-1", origin=origin)


@pytest.mark.parametrize(
    ("first_url", "url", "is_signed"),
    [
        ("https://a.example/x", "https://a.example/y?z", True),
        ("https://a.example", "https://A.EXAMPLE:443/", True),
        ("http://a.example:80", "http://a.example", True),
        ("https://a.example#part", "https://user:secret@a.example", True),
        ("https://[::1]:8443/x", "https://[::1]:8443/y", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://a.example.", False),
        ("https://a.example", "https://a.example@b.example", False),
        ("https://a.example", "https://b.example#@a.example", False),
    ],
)
def test_request_is_signed_within_the_origin_of_the_first_url(
    first_url: str, url: str, is_signed: bool
) -> None:
    headers: dict[str, str] = {}
    signer = SigV4(Credentials("AKID", "secret"), "eu-west-1")
    signer.apply("POST", url, headers, b"", first_url=first_url)
    assert ("authorization" in headers) == is_signed


@pytest.mark.parametrize("path", ["", ":443", "/x"])
def test_url_that_parsers_read_differently_is_not_signed(path: str) -> None:
    """Some parsers end the host at the backslash and would connect to the first name."""
    signer = SigV4(Credentials("AKID", "secret"), "eu-west-1", origin="https://a.example")
    headers: dict[str, str] = {}
    with pytest.raises(ConstructionError, match="url"):
        signer.apply("POST", f"https://b.example\\@a.example{path}", headers, b"")
    assert not headers


# ── what is signed ──


@pytest.mark.parametrize(
    ("tunnel", "headers", "host"),
    [
        (("runtime.example", 8443), {}, "runtime.example:8443"),
        (("runtime.example", None), {}, "runtime.example"),
        (None, {"host": "runtime.example"}, "runtime.example"),
    ],
    ids=["tunnel with port", "tunnel", "host header"],
)
def test_http_client_signs_the_host_of_the_request(
    endpoint: smruntime_local.Endpoint,
    proxies: Proxies,
    tunnel: tuple[str, int | None] | None,
    headers: Headers,
    host: str,
) -> None:
    from smruntime_transports.auth.http_client import request

    connection = http.client.HTTPConnection(urlsplit(proxies.url).netloc)
    if tunnel is not None:
        connection.set_tunnel(*tunnel)
    with contextlib.closing(connection):
        request(connection, signer_of(endpoint), "POST", PATH, b"1", headers)
        assert connection.getresponse().status == 200
    assert proxies.received[-1]["host"] == host


def test_headers_that_a_library_may_change_are_not_signed(
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


def test_clients_supply_their_credentials_to_signers(
    endpoint: smruntime_local.Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", endpoint.credentials.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", endpoint.credentials.secret_access_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", str(endpoint.credentials.session_token))
    with sockets.Client(region=endpoint.region) as client:
        signer = SigV4(client.credentials, endpoint.region)
        assert call_http_client(signer, "POST", endpoint.url + PATH, b"1")[0] == 200
        assert client.credentials() is client.credentials()

    async def main() -> Credentials:
        async with on_asyncio.AsyncClient(region=endpoint.region) as client:
            return await client.credentials()

    assert asyncio.run(main()) == endpoint.credentials


def test_endpoint_accepts_the_bearer_token(
    call: Caller, endpoint: smruntime_local.Endpoint
) -> None:
    url = Config(region=endpoint.region, endpoint_url=endpoint.url).openai_url("echo")
    bearer = bearer_of(endpoint)
    status, data = call(bearer, "POST", url, b"{}", {"Content-Type": "application/json"})
    assert (status, json.loads(data)["endpoint_name"]) == (200, "echo")
    assert bearer() == bearer() == asyncio.run(bearer.awaited())


@pytest.mark.parametrize("name", ["httpx", "httpx2", "aiohttp", "httpx, async", "httpx2, async"])
def test_generator_body_is_read_whole(endpoint: smruntime_local.Endpoint, name: str) -> None:
    async def generate() -> Any:
        yield b"1,"
        yield b"2"

    body = generate() if "async" in name or name == "aiohttp" else iter([b"1,", b"2"])
    status, data = caller_of(name)(signer_of(endpoint), "POST", endpoint.url + PATH, body)
    assert (status, json.loads(data)["body"]) == (200, "MSwy")


@pytest.mark.parametrize("name", ["requests", "urllib3", "http.client"])
def test_generator_body_needs_an_unsigned_payload(
    endpoint: smruntime_local.Endpoint, name: str
) -> None:
    url = endpoint.url + PATH
    with pytest.raises(ConstructionError, match=r"^body: "):
        caller_of(name)(signer_of(endpoint), "POST", url, iter([b"1,", b"2"]))
    unsigned = SigV4(endpoint.credentials, endpoint.region, payload_hash=UNSIGNED_PAYLOAD)
    status, _ = caller_of(name)(unsigned, "POST", url, iter([b"1,", b"2"]))
    assert status == 403, "SageMaker requires a signed payload"


def test_aiohttp_request_with_compression_is_refused(endpoint: smruntime_local.Endpoint) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(ConstructionError, match=r"^compress: "):
        call_aiohttp(signer_of(endpoint), "POST", endpoint.url + PATH, b"1" * 100, compress=True)


def test_file_keeps_its_position(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"head,1,2")
    with open(tmp_path / "body", "rb") as file:
        file.seek(5)
        signer_of(endpoint).apply("POST", endpoint.url + PATH, {}, file)
        assert file.read() == b"1,2"


def closed_file() -> io.BytesIO:
    file = io.BytesIO(b"1,2")
    file.close()
    return file


@pytest.mark.parametrize(
    "make_body",
    [
        lambda: io.StringIO("text"),
        closed_file,
        lambda: "\udc80",
        lambda: memoryview(b"abcd")[::2],
        lambda: ["a", "b"],
        lambda: 5,
    ],
)
def test_body_that_cannot_be_hashed_is_refused(
    endpoint: smruntime_local.Endpoint, make_body: Callable[[], Any]
) -> None:
    with pytest.raises(ConstructionError, match=r"^body: "):
        signer_of(endpoint).apply("POST", endpoint.url + PATH, {}, make_body())


def test_credentials_function_is_called_for_each_request(
    endpoint: smruntime_local.Endpoint,
) -> None:
    supplied: list[Credentials] = []

    def supply_credentials() -> Credentials:
        supplied.append(endpoint.credentials)
        return endpoint.credentials

    signer = SigV4(supply_credentials, endpoint.region)
    for _ in range(2):
        assert call_http_client(signer, "POST", endpoint.url + PATH, b"1")[0] == 200
    assert len(supplied) == 2


def test_signer_without_credentials_leaves_the_request_unsigned(
    endpoint: smruntime_local.Endpoint,
) -> None:
    signer = SigV4(None, endpoint.region)
    assert call_http_client(signer, "POST", endpoint.url + PATH, b"1")[0] == 403


@pytest.mark.parametrize("name", ["httpx", "httpx2", "requests", "niquests", "aiohttp", "urllib3"])
def test_adapter_of_missing_library_names_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"smruntime_transports.auth.{name}", raising=False)
    with pytest.raises(ImportError, match="pip install"):
        importlib.import_module(f"smruntime_transports.auth.{name}")
