"""Redirects to damaged locations, with every auth adapter: no signature may reach another origin.

A case is one call of a library without a network. Each of its requests is answered here, with a
redirect to a location, or in the end with 403, after which an adapter may sign once more.

    first URL ──> library + adapter ──> answer: 307 to location 1 ──> … ──> answer: 403

Asserted are:

    an adapter raises nothing but our errors; a library may raise its own
    only requests to the origin of the first one, and of the signer's `origin`, are signed
"""

from __future__ import annotations

import asyncio
import http.client
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias, cast

from mutation import mutate

from smruntime_core import Credentials, SmRuntimeError
from smruntime_transports import auth as adapters
from smruntime_transports.auth import Bearer, Signer, SigV4

NOW = 1_795_000_000.0
KEYS = Credentials("AKIDFUZZEXAMPLE", "a secret", "session/token+of=fuzz")
ORIGIN = "http://a.example:8080"
DEFAULT_PORTS = {"http": 80, "https": 443}
STATUSES = (301, 302, 303, 307, 308)
LIBRARIES = ("httpx", "httpx2", "requests", "urllib3", "aiohttp")
ADAPTER_FOLDER = str(Path(adapters.__file__).parent)

Origin: TypeAlias = "tuple[str, str, int | None]"


class Hop(NamedTuple):
    """One request that a library would send: where to, and all that its head says."""

    origin: Origin
    head: str


class Exchange:
    """The server's side of one call: redirects to `locations`, and then 403."""

    def __init__(self, statuses: Sequence[int], locations: Sequence[str]) -> None:
        self.hops: list[Hop] = []
        self._answers = list(zip(statuses, locations, strict=True))[::-1]

    def answer(
        self, scheme: str, host: str, port: int | None, headers: object
    ) -> tuple[int, dict[str, str]]:
        """Record a request; return the status and headers to answer with."""
        assert len(self.hops) < 30, "the call does not end"
        origin = (scheme, host.lower().strip("[]"), port or DEFAULT_PORTS.get(scheme))
        self.hops.append(Hop(origin, repr(headers)))
        if self._answers:
            status, location = self._answers.pop()
            return status, {"Location": location, "Content-Length": "0"}
        return 403, {"Content-Length": "0"}


class Call(NamedTuple):
    """What a program asks its library for."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes


Driver: TypeAlias = "Callable[[Signer, Call, Exchange], object]"


def _drive_httpx(name: str) -> Driver:
    library: Any = import_module(name)
    adapter: Any = import_module(f"smruntime_transports.auth.{name}")

    def drive(signer: Signer, call: Call, exchange: Exchange) -> None:
        def respond(request: Any) -> Any:
            url = request.url
            status, headers = exchange.answer(url.scheme, url.host, url.port, request.headers.raw)
            return library.Response(status, headers=headers)

        transport = library.MockTransport(respond)
        options = {"transport": transport, "follow_redirects": True, "trust_env": False}
        with library.Client(auth=adapter.Auth(signer), **options) as client:
            client.request(call.method, call.url, headers=call.headers, content=call.body)

    return drive


def _drive_requests() -> Driver:
    import requests
    from requests.adapters import BaseAdapter, HTTPAdapter

    from smruntime_transports.auth.requests import Auth

    class Transport(BaseAdapter):
        def __init__(self, exchange: Exchange) -> None:
            super().__init__()
            self._exchange = exchange

        def send(self, request: Any, *arguments: Any, **options: Any) -> requests.Response:
            server, _ = HTTPAdapter().build_connection_pool_key_attributes(request, True)
            head = dict(request.headers)
            scheme, host, port = server["scheme"], server["host"], server["port"]
            response = requests.Response()
            response.status_code, headers = self._exchange.answer(
                scheme, host or "", cast("int | None", port), head
            )
            response.headers.update(headers)
            response.url, response.request = request.url, request
            response._content = b""
            response.raw = _NoBody()
            response.connection = cast("Any", self)  # as HTTPAdapter does
            return response

        def close(self) -> None:
            """Close nothing."""

    def drive(signer: Signer, call: Call, exchange: Exchange) -> None:
        with requests.Session() as session:
            session.trust_env, session.auth = False, Auth(signer)
            for scheme in ("http://", "https://"):
                session.mount(scheme, Transport(exchange))
            session.request(call.method, call.url, headers=call.headers, data=call.body)

    return drive


class _NoBody:
    """What requests reads, closes, and asks for cookies."""

    _original_response = None

    def read(self, *arguments: object, **options: object) -> bytes:
        return b""

    def close(self) -> None:
        """Close nothing."""

    release_conn = close


def _drive_urllib3() -> Driver:
    import urllib3

    from smruntime_transports.auth.urllib3 import PoolManager

    class Manager(PoolManager):
        exchange: Exchange

        def connection_from_host(self, *arguments: Any, **options: Any) -> Any:
            pool: Any = super().connection_from_host(*arguments, **options)

            def urlopen(method: str, url: str, **settings: Any) -> urllib3.HTTPResponse:
                fields = list(settings["headers"].iteritems())
                status, headers = self.exchange.answer(pool.scheme, pool.host, pool.port, fields)
                return urllib3.HTTPResponse(b"", headers, status, request_method=method)

            pool.urlopen = urlopen
            return pool

    def drive(signer: Signer, call: Call, exchange: Exchange) -> None:
        with Manager(signer) as manager:
            manager.exchange = exchange
            manager.request(call.method, call.url, headers=call.headers, body=call.body)

    return drive


def _drive_aiohttp() -> Driver:
    import aiohttp
    from multidict import CIMultiDict, CIMultiDictProxy

    from smruntime_transports.auth.aiohttp import Middleware

    runner = asyncio.Runner()

    async def drive_async(signer: Signer, call: Call, exchange: Exchange) -> None:
        async def respond(request: Any, handler: object) -> aiohttp.ClientResponse:
            url = request.url
            head = list(request.headers.items())
            status, headers = exchange.answer(url.scheme, url.raw_host, url.port, head)
            response: Any = aiohttp.ClientResponse(
                request.method,
                url,
                writer=None,
                continue100=None,
                timer=request._timer,
                request_info=request.request_info,
                traces=[],
                loop=asyncio.get_running_loop(),
                session=session,
                stream_writer=cast("Any", SimpleNamespace(output_size=0)),
            )
            response.status, response.reason = status, ""
            response._headers = CIMultiDictProxy(CIMultiDict(headers))
            response._raw_headers = ()
            response._closed = True
            return cast("aiohttp.ClientResponse", response)

        middlewares: Any = [Middleware(signer), respond]
        async with aiohttp.ClientSession(middlewares=middlewares) as session:
            await session.request(call.method, call.url, headers=call.headers, data=call.body)

    def drive(signer: Signer, call: Call, exchange: Exchange) -> None:
        runner.run(drive_async(signer, call, exchange))

    return drive


def _drive_http_client(signer: Signer, call: Call, exchange: Exchange) -> None:
    """http.client has no URL: the connection is to the origin, and only the target is damaged."""
    from smruntime_transports.auth.http_client import request

    class Connection(http.client.HTTPConnection):
        def connect(self) -> None:
            """Connect to nothing."""

        def send(self, data: Any) -> None:
            exchange.answer("http", self.host, self.port, bytes(data))

    connection = Connection("a.example", 8080)
    target = call.url.removeprefix(ORIGIN)
    request(connection, signer, call.method, target, call.body, call.headers)


@cache
def _drivers() -> dict[str, Driver]:
    """Return the drivers of the libraries that are installed here."""
    makers: dict[str, Callable[[], Driver]] = {
        "httpx": lambda: _drive_httpx("httpx"),
        "httpx2": lambda: _drive_httpx("httpx2"),
        "requests": _drive_requests,
        "urllib3": _drive_urllib3,
        "aiohttp": _drive_aiohttp,
    }
    installed = {name: make() for name, make in makers.items() if find_spec(name)}
    drivers = {"http.client": _drive_http_client, **installed}
    for name, drive in drivers.items():
        exchange = Exchange([307, 307], ["/same", "http://b.example/other"])
        drive(_signers(None)[0], Call("POST", URLS[0].decode(), {}, b"1"), exchange)
        origins = {hop.origin for hop in exchange.hops}
        assert len(origins) == 2 or name == "http.client", f"{name} does not follow: {origins}"
        assert KEYS.access_key_id in exchange.hops[0].head, f"{name} does not sign"
    return drivers


URLS = [
    f"{ORIGIN}/endpoints/echo/invocations".encode(),
    f"{ORIGIN}/a%20b/../c;d?x=1&y=%C3%A9#part".encode(),
    "http://user:password@a.example:8080/é?ü".encode(),
    b"http://A.EXAMPLE:8080",
]
LOCATIONS = [
    *URLS,
    b"/endpoints/echo/invocations",
    b"?x=1",
    b"../up",
    b"",
    b"//b.example/x",
    b"///b.example/x",
    b"/\\b.example/x",
    b"http://b.example/",
    b"http://b.example:8080/",
    b"http://a.example/",
    b"http://a.example.:8080/",
    b"https://a.example:8080/",
    b"https://a.example/",
    b"http://a.example:8080@b.example/",
    b"http://a.example:8080\\@b.example/",
    b"http://b.example#@a.example:8080/",
    b"http://b.example\\@a.example:8080/",
    b"http://[::1]:8080/",
    b"http:b.example/x",
    "http://ａ.example:8080/".encode(),
    "http://bücher.example:8080/".encode(),
]
TOKENS = [
    *(b"@", b"\\", b"/", b"//", b"#", b"?", b":", b";", b"%", b"%40", b"%2F", b"%00", b"&", b"=+"),
    *(b":8080", b":80", b":443", b":0", b":99999", b":-1", b"[", b"]", b"[::1]", b"[v1.a]"),
    *(b"http://", b"https://", b"HTTP://", b"ftp://", b"javascript:", b"a.example", b"b.example"),
    *(b"\t", b"\r\n", b" ", b"\0", b"\x7f", b"\xff", b"..", b".", "ß".encode(), "。".encode()),
    *("İ".encode(), b"xn--", b"0x7f.1", b"2130706433"),
]
HEADERS = [
    b"Content-Type: text/csv",
    b"X-Amzn-SageMaker-Custom-Attributes: a  b",
    b"Authorization: Basic dTpw",
    b"X-Amz-Security-Token: stale",
    b"x-amz-date: 20261118T000000Z",
    b"Host: b.example",
    "X-Amz-Meta-É: ü".encode(),
]


def auth(random: Random) -> None:
    """Damage the URL, the headers and the locations of one call."""
    library = random.choice(list(_drivers()))
    given_origin = ORIGIN if random.random() < 0.3 else None
    signer = random.choice(_signers(given_origin))
    damaged_part = random.randrange(4)
    url = random.choice(URLS)
    if damaged_part == 0 or library == "http.client":
        url = mutate(random, url, TOKENS)
    names = random.sample(HEADERS, random.randrange(3))
    if damaged_part == 1:
        names = [mutate(random, name, TOKENS) for name in names]
    pairs = [name.partition(b": ")[::2] for name in names]
    headers = {_text(name): _text(value) for name, value in pairs}
    locations = [random.choice(LOCATIONS) for _ in range(random.randrange(4))]
    if damaged_part > 1:
        locations = [mutate(random, location, TOKENS) for location in locations]
    exchange = Exchange([random.choice(STATUSES) for _ in locations], [*map(_text, locations)])
    call = Call(random.choice(["GET", "POST"]), _text(url), headers, b"1,2,3")
    try:
        _drivers()[library](signer, call, exchange)
    except Exception as error:
        case = f"{library}, {call}, redirected to {locations}"
        assert _is_expected(error), f"{type(error).__name__}: {error}; {case}"
    allowed = {exchange.hops[0].origin} if exchange.hops else set()
    if given_origin is not None:
        allowed &= {("http", "a.example", 8080)}
    for hop in exchange.hops:
        is_signed = any(secret in hop.head for secret in _secrets())
        case = f"{library}, {call}, redirected to {locations}, {exchange.hops}"
        assert not is_signed or hop.origin in allowed, f"signed for {hop.origin}: {case}"


@cache
def _signers(origin: str | None) -> list[Signer]:
    return [
        SigV4(KEYS, "eu-west-1", origin=origin, clock=lambda: NOW),
        Bearer(KEYS, "eu-west-1", origin=origin, clock=lambda: NOW),
    ]


@cache
def _secrets() -> tuple[str, ...]:
    bearer = Bearer(KEYS, "eu-west-1", clock=lambda: NOW)
    return KEYS.access_key_id, str(KEYS.session_token), bearer()


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _is_expected(error: Exception) -> bool:
    """Return whether the error is ours, or one that the library raises by itself.

    It does if no adapter is in the traceback, or the adapter called the library.
    """
    if isinstance(error, SmRuntimeError):
        return True
    files = [frame.filename for frame in traceback.extract_tb(error.__traceback__)]
    if files[-1] == __file__:
        return False
    ours = [index for index, file in enumerate(files) if file.startswith(ADAPTER_FOLDER)]
    if not ours:
        return True
    called = Path(files[ours[-1] + 1]).parts if ours[-1] + 1 < len(files) else ()
    return any(name in called for name in LIBRARIES) or called[-2:] == ("http", "client.py")
