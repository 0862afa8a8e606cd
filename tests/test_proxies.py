"""Proxies: tunnels, refusals, TLS of their own, the choice of a proxy, and hidden passwords."""

from __future__ import annotations

import base64
import itertools
import pickle
import re
import select
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3

from smruntime_core import (
    ConstructionError,
    DispatchFailure,
    InvokeEndpointOutput,
    RetryPolicy,
    Timeouts,
)
from smruntime_transports import sockets
from smruntime_transports import urllib3 as urllib3_client
from smruntime_transports.connect._proxies import Proxies, Proxy, is_exempt, tunnel
from smruntime_transports.connect._tls import TLS

from .callers import PERFORMERS, Performer, Step, connected
from .servers import OK, Peer, acting, scripted

ONCE = RetryPolicy(max_attempts=1)
THRICE = RetryPolicy(base_delay=0.0)
PASSWORD = "hush&hush"


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


class Tunnels:
    """A proxy that answers CONNECT with `answer` and then moves bytes both ways.

    `asked` are the heads it read.
    """

    def __init__(self, tls: ssl.SSLContext | None, answer: bytes) -> None:
        self.asked: list[bytes] = []
        self._tls = tls
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.port = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(4096)):
                    return
                head += data
            self.asked.append(head)
            found = re.match(rb"CONNECT (.*):(\d+) HTTP/1.[01]\r\n", head)
            assert found, head
            with socket.create_connection((found[1].decode(), int(found[2]))) as onward:
                self._open.append(onward)
                connection.sendall(self._answer)
                peer = Shared(connection) if isinstance(connection, ssl.SSLSocket) else connection
                back = threading.Thread(target=move, args=(onward, peer), daemon=True)
                back.start()
                move(peer, onward)
                back.join()

    def close(self) -> None:
        for opened in (self._listener, *self._open):
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()


class Shared:
    """A socket that speaks TLS for two threads: OpenSSL crashes if both are in it at a time."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._lock = threading.Lock()

    def recv(self, size: int) -> bytes:
        while True:
            with self._lock, suppress(ssl.SSLWantReadError):
                return self._sock.recv(size)
            select.select([self._sock], [], [], 0.05)

    def sendall(self, data: bytes) -> None:
        while data:
            with self._lock, suppress(ssl.SSLWantWriteError):
                data = data[self._sock.send(data) :]
                continue
            select.select([], [self._sock], [], 0.05)

    def shutdown(self, how: int) -> None:
        with self._lock:
            with suppress(ssl.SSLWantReadError):
                self._sock.unwrap()
            self._sock.shutdown(how)


def move(source: socket.socket | Shared, sink: socket.socket | Shared) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError, ValueError):
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def tunnelling(
    tls: ssl.SSLContext | None = None,
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
) -> Iterator[Tunnels]:
    proxy = Tunnels(tls, answer)
    try:
        yield proxy
    finally:
        proxy.close()


# ── tunnels ──


@pytest.mark.parametrize("secure", [False, True])
def test_calls_share_one_tunnel_through_a_proxy(
    perform: Performer, server_tls: ssl.SSLContext, trusting: ssl.SSLContext, secure: bool
) -> None:
    with tunnelling() as proxy, scripted(OK, OK, tls=server_tls if secure else None) as server:
        outcomes = perform(server.url, Step(), Step(), proxy=proxy.url, tls=trusting)
        assert [outcome.body for outcome in outcomes] == [b"abc", b"abc"]
        assert len(proxy.asked) == 1, "the connection through it is kept"
        assert b"authorization" not in proxy.asked[0].lower(), (
            "neither its own nor that of the call"
        )
        line = server.requests[0].partition(b"\r\n")[0]
    assert line == b"POST /endpoints/iris/invocations HTTP/1.1"
    host = "localhost" if secure else "127.0.0.1"
    assert proxy.asked[0].startswith(
        f"CONNECT {host}:{server.port} HTTP/1.1\r\nHost: {host}:{server.port}\r\n".encode()
    )


@pytest.mark.parametrize("tls_to_proxy", [False, True])
def test_tls_through_a_proxy_works_without_select_poll(
    server_tls: ssl.SSLContext,
    trusting: ssl.SSLContext,
    tls_to_proxy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on Windows: the socket that TLS has wrapped is closed, and its descriptor goes on."""
    monkeypatch.delattr(select, "poll")
    with (
        tunnelling(server_tls if tls_to_proxy else None) as proxy,
        scripted(OK, OK, tls=server_tls) as server,
    ):
        through = Proxy.of(proxy.url, tls=trusting)
        outcomes = PERFORMERS["sockets"](server.url, Step(), Step(), proxy=through, tls=trusting)
        assert [outcome.body for outcome in outcomes] == [b"abc", b"abc"]
        assert len(proxy.asked) == 1


@pytest.mark.parametrize("secure", [False, True])
def test_calls_share_one_tunnel_through_an_https_proxy(
    perform: Performer, server_tls: ssl.SSLContext, trusting: ssl.SSLContext, secure: bool
) -> None:
    big = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(range(250)) * 12_000
    with (
        tunnelling(server_tls) as proxy,
        scripted(big, OK, tls=server_tls if secure else None) as server,
    ):
        through = Proxy.of(proxy.url, tls=trusting)
        outcomes = perform(server.url, Step(), Step(), proxy=through, tls=trusting, retries=ONCE)
        assert [len(outcome.body) for outcome in outcomes] == [3_000_000, 3]
        assert outcomes[0].body == bytes(range(250)) * 12_000
        assert len(proxy.asked) == 1


def test_long_body_is_sent_whole_through_tls_in_tls(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    from smruntime_core import InvokeEndpoint

    body = bytes(range(251)) * 40_000
    for name in ("sockets", "trio", "asyncio", "urllib3"):
        with tunnelling(server_tls) as proxy, scripted(OK, tls=server_tls) as server:
            (outcome,) = PERFORMERS[name](
                server.url,
                Step(InvokeEndpoint(endpoint_name="e", body=body)),
                proxy=Proxy.of(proxy.url, tls=trusting),
                tls=trusting,
                retries=ONCE,
            )
            assert isinstance(outcome, InvokeEndpointOutput), outcome
            assert server.requests[0].endswith(body)


def test_user_and_password_go_to_the_proxy_only(perform: Performer) -> None:
    with tunnelling() as proxy, scripted(OK) as server:
        (outcome,) = perform(server.url, proxy=proxy.url.replace("//", "//me:hush%26hush@"))
        assert isinstance(outcome, InvokeEndpointOutput), outcome
        assert b"\r\nproxy-authorization: basic bwu6ahvzaczodxno\r\n" in proxy.asked[0].lower()
        assert b"proxy" not in server.requests[0].lower()


# ── the proxy's own TLS ──


@pytest.fixture
def client_pem(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "client.pem"
    issued = authority.issue_cert("me@customer.example")
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def ca_bundle(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@contextmanager
def asking_for_certificate(authority: trustme.CA) -> Iterator[tuple[str, list[object]]]:
    """Yield the URL of a proxy that asks for a certificate, and the certificates that it gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    certificates: list[object] = []

    def act(peer: Peer) -> None:
        with context.wrap_socket(peer.connection, server_side=True) as secured:
            secured.recv(1 << 16)
            certificates.append(secured.getpeercert())
            secured.sendall(b"HTTP/1.1 502 x\r\n\r\n")

    with acting(act) as stage:
        yield stage.url.replace("http://127.0.0.1", "https://localhost"), certificates


@pytest.mark.parametrize("as_context", [False, True])
def test_proxy_never_gets_the_certificate_for_the_endpoint(
    perform: Performer,
    authority: trustme.CA,
    ca_bundle: str,
    client_pem: str,
    as_context: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_bundle)
    tls = TLS(ca_bundle=ca_bundle, certificate=client_pem)
    with asking_for_certificate(authority) as (url, certificates):
        settings = {"tls": tls.context(None) if as_context else tls, "proxy": url, "retries": ONCE}
        perform("https://service.test", **settings)
    assert certificates == [None], "the proxy asked for a certificate and got one"


def test_proxy_gets_the_certificate_of_its_own_settings(
    perform: Performer, authority: trustme.CA, ca_bundle: str, client_pem: str
) -> None:
    own = TLS(ca_bundle=ca_bundle, certificate=client_pem)
    with asking_for_certificate(authority) as (url, certificates):
        perform("https://service.test", proxy=Proxy.of(url, tls=own), retries=ONCE)
        perform("https://service.test", proxy=Proxy.of(url, tls=own.context(None)), retries=ONCE)
    assert [bool(certificate) for certificate in certificates] == [True, True]


def test_failed_verification_of_a_proxy_names_its_setting(
    perform: Performer, server_tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with tunnelling(server_tls) as proxy:
        (outcome,) = perform("https://service.test", proxy=proxy.url, tls=trusting, retries=ONCE)
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase) == ("tls", "proxy")
    assert "Proxy.of(url, tls=TLS(...))" in str(outcome)


# ── refusals ──

OLD = b"HTTP/1.0 200 Connection established\r\n\r\n"
ANSWERS: dict[str, tuple[bytes, str]] = {
    "407": (
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n"
        b"Content-Length: 2\r\n\r\nno",
        "protocol",
    ),
    "403": (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "502": (
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>no</html>",
        "refused",
    ),
    "garbage": (b"\x00\x01\x02 what?\r\n\r\n", "protocol"),
    "nothing": (b"", "closed"),
    "half a head": (b"HTTP/1.1 200 Conn", "closed"),
    "more than was asked": (
        b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nX",
        "protocol",
    ),
    "interim for ever": (b"HTTP/1.1 100 Continue\r\n\r\n" * 40, "protocol"),
    "a head without end": (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000, "too_large"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_proxy_that_opens_no_tunnel_fails_before_the_request_is_sent(
    perform: Performer, name: str
) -> None:
    answer, kind = ANSWERS[name]

    def act(peer: Peer) -> None:
        heads.append(peer.read())
        peer.send(answer)
        peer.connection.shutdown(socket.SHUT_WR)
        peer.connection.recv(1 << 16)

    heads: list[bytes] = []
    with acting(act) as stage:
        url = stage.url.replace("//", f"//me:{PASSWORD}@")
        (outcome,) = perform("http://unreachable.invalid", proxy=url, retries=THRICE)
        asked = stage.connections
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == (kind, "proxy", "not_sent")
    assert asked == (1 if kind == "protocol" else 3), "what it would say again is not asked again"
    assert all(head.startswith(b"CONNECT ") for head in heads), "the request itself was never sent"
    assert PASSWORD not in "".join(traceback.format_exception(outcome)) + repr(outcome) + repr(
        vars(outcome)
    )


def test_endless_head_of_a_proxy_is_not_read(perform: Performer) -> None:
    def act(peer: Peer) -> None:
        peer.read()
        for _ in range(1024):
            peer.send(b"HTTP/1.1 200 OK\r\nA: " + bytes(65_536))

    with acting(act) as stage:
        (outcome,) = perform("http://unreachable.invalid", proxy=stage.url, retries=ONCE)
        assert stage.sent < 32_000_000
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("too_large", "proxy", "not_sent")


def drip(peer: Peer) -> None:
    peer.read()
    peer.drip(itertools.chain(iter([b"HTTP/1.1 200 OK\r\nA: "]), itertools.repeat(b"b", 200)), 0.05)


SLOW: dict[str, Callable[[Peer], None]] = {"stall": Peer.idle, "drip": drip}


@pytest.mark.parametrize("name", SLOW)
def test_slow_proxy_fails_after_the_connect_timeout(perform: Performer, name: str) -> None:
    with acting(SLOW[name]) as stage:
        begun = time.monotonic()
        (outcome,) = perform(
            "https://unreachable.invalid",
            proxy=stage.url,
            retries=ONCE,
            timeouts=Timeouts(connect=0.4),
        )
        assert time.monotonic() - begun < 4
    assert isinstance(outcome, TimeoutError), outcome
    assert isinstance(outcome, DispatchFailure)
    assert (outcome.phase, outcome.delivery) == ("proxy", "not_sent")


def test_unreachable_proxy_is_a_refused_connection(perform: Performer) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://me:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}"
        (outcome,) = perform("https://unreachable.invalid", proxy=url, retries=ONCE)
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("refused", "proxy", "not_sent")
    assert PASSWORD not in "".join(traceback.format_exception(outcome))


def test_proxy_with_an_untrusted_certificate_is_refused(
    perform: Performer, server_tls: ssl.SSLContext
) -> None:
    with tunnelling(server_tls) as proxy:
        (outcome,) = perform("https://unreachable.invalid", proxy=proxy.url, retries=THRICE)
        assert not proxy.asked
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("tls", "proxy", "not_sent")


# ── the choice of a proxy ──


def test_proxy_variables_are_read_only_with_trust_env(
    perform: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tunnelling() as proxy, scripted(OK, OK, OK) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for settings, asked in (({}, 0), ({"trust_env": True}, 1)):
            (outcome,) = perform(server.url, **settings)
            assert isinstance(outcome, InvokeEndpointOutput), outcome
            assert len(proxy.asked) == asked
        monkeypatch.setenv("NO_PROXY", "example.com, 127.0.0.0/8")
        perform(server.url, trust_env=True)
        assert len(proxy.asked) == 1


def found(
    environ: dict[str, str], scheme: str = "https", host: str = "runtime.test", port: int = 443
) -> str | None:
    proxy = Proxies(None, environ).proxy_for(scheme, host, port)
    return None if proxy is None else proxy.host


@pytest.mark.parametrize(
    ("environ", "scheme", "expected"),
    [
        ({"HTTPS_PROXY": "http://a"}, "https", "a"),
        ({"HTTPS_PROXY": "http://a"}, "http", None),
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "https", "a"),
        ({"ALL_PROXY": "http://c", "HTTPS_PROXY": "http://b"}, "https", "b"),
        ({"ALL_PROXY": "http://c"}, "http", "c"),
        ({"HTTP_PROXY": "d:8080"}, "http", "d"),
        ({"HTTP_PROXY": "http://d", "REQUEST_METHOD": "GET"}, "http", None),
        ({"http_proxy": "http://d", "REQUEST_METHOD": "GET"}, "http", "d"),
        ({"HTTPS_PROXY": ""}, "https", None),
    ],
)
def test_most_specific_proxy_variable_counts(
    environ: dict[str, str], scheme: str, expected: str | None
) -> None:
    assert found(environ, scheme) == expected


@pytest.mark.parametrize(
    ("rule", "host", "expected"),
    [
        ("*", "a.test", True),
        ("test", "a.test", True),
        (".test", "a.test", True),
        ("*.test", "a.test", True),
        ("a.test", "a.test", True),
        ("a.test", "ba.test", False),
        ("a.test:443", "a.test", True),
        ("a.test:80", "a.test", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.0.0.0/8", "a.test", False),
        ("fd00::/8", "fd12::1", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("nonsense/x", "a.test", False),
        (".", "a.test", False),
        ("2.3.4", "1.2.3.4", False),
        ("1.2.3.4", "1.2.3.4", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("169.254.0.0/16", "169.254.evil.com", False),
    ],
)
def test_no_proxy_entry_matches_hosts_networks_and_ports(
    rule: str, host: str, expected: bool
) -> None:
    assert is_exempt(rule, host, 443) is expected


LOCAL = ["169.254.169.254", "169.254.170.2", "fd00:ec2::254", "fd00:ec2::23", "fe80::1"]
LOCAL += ["FE80::1", "febf::1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:0ec2:0::254"]
NOT_LOCAL = ["169.254.evil.com", "169.254.1.2.evil.com", "fe80.evil.com", "169.255.0.1", "fec0::1"]
NOT_LOCAL += ["fd00:ec3::1", "fd00:ec2.evil.com", "1169.254.1.1", "127.0.0.1", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("host", [*LOCAL, *NOT_LOCAL])
def test_only_link_local_and_ec2_addresses_bypass_a_proxy(host: str) -> None:
    proxy = Proxy.of("http://p")
    assert Proxies(proxy).proxy_for("http", host, 80) == (None if host in LOCAL else proxy)


REFUSED = [
    "",
    "socks5://h",
    "http://",
    "http://h:0",
    "http://h:65536",
    "http://h:",
    "http://h:٣",
    "http://h:" + "9" * 5000,
    "http://[::1",
    "http://[nonsense]",
    "http://[127.0.0.1]",
    "http://h\r\nA: b",
    "http://grün.test",
    "http://h\\x",
    f"http://me:{PASSWORD}@",
    f"ftp://me:{PASSWORD}@h",
    f"http://me:{PASSWORD}://h",
    f"http://{PASSWORD}://h",
    f"{PASSWORD}://h",
    f"http://{PASSWORD}/x://h",
    f"http://me:{PASSWORD}\ud800@h",
    f"http://me:{PASSWORD}@h:x",
    f"http://me:{PASSWORD}@grün.test",
    f"http://me:{PASSWORD}@a b",
    f"http://me/{PASSWORD}@h",
    f"http://me:80/{PASSWORD}@h",
    "http://h:x",
    "http://a b",
    5,
    b"http://h",
    PASSWORD.encode(),
]


def shown(error: BaseException) -> str:
    """Everything that an error tracker could collect: messages, arguments, chain, locals."""
    texts: list[str] = []
    seen: list[BaseException | None] = [None]
    pending: list[BaseException | None] = [error]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        assert current is not None
        seen.append(current)
        texts += [repr(current), str(current), repr(current.args), repr(vars(current))]
        for frame, _ in traceback.walk_tb(current.__traceback__):
            if "smruntime_" in frame.f_code.co_filename:
                texts.append(repr(frame.f_locals))
        pending += [current.__cause__, current.__context__]
    return "\n".join(texts)


@pytest.mark.parametrize("url", REFUSED, ids=range(len(REFUSED)))
def test_refused_proxy_url_is_shown_nowhere(url: Any) -> None:
    refusals: list[tuple[str, Callable[[], object]]] = [
        ("proxy", lambda: Proxy.of(url)),
        ("proxy", lambda: sockets.Client(region="us-east-1", proxy=url)),
    ]
    if url and isinstance(url, str):
        refusals.append(("HTTPS_PROXY", lambda: Proxies(None, Environment(HTTPS_PROXY=url))))
    for member, refused in refusals:
        with pytest.raises(ConstructionError) as caught:
            refused()
        assert caught.value.member == member
        assert PASSWORD not in shown(caught.value)
        assert not (isinstance(url, str) and len(url) > 8 and url in shown(caught.value))


class Environment(dict[str, str]):
    """Variables that do not show up in the locals of the constructor that reads them."""

    def __repr__(self) -> str:
        return "Environment()"


@pytest.mark.parametrize(
    "url", ["HTTP_PROXY", "http://me:hush&hush\udcff@h", "http://me:hush&hush@grün.test"]
)
def test_wrong_proxy_variable_is_refused_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", url.replace("HTTP_PROXY", f"{PASSWORD}://h"))
    try:
        sockets.Client(region="us-east-1", trust_env=True)
    except ConstructionError as refusal:
        assert PASSWORD not in shown(refusal)


PASSWORDS = [
    ("pass%40123", b"pass@123"),
    ("p%23a%3Ab", b"p#a:b"),
    ("gr%C3%BCn%20x", "grün x".encode()),
    ("grün x", "grün x".encode()),
    ("a@b", b"a@b"),
    ("a:b", b"a:b"),
    ("a#b?c", b"a#b?c"),
    ("50%25off", b"50%off"),
    ("100%", b"100%"),
    ("latin-\udcfc", b"latin-\xfc"),  # as os.environ has bytes that are not UTF-8
    ("", b""),
]


@pytest.mark.parametrize(("written", "meant"), PASSWORDS, ids=range(len(PASSWORDS)))
def test_password_in_a_url_is_unescaped(written: str, meant: bytes) -> None:
    ((name, value),) = Proxy.of(f"http://user:{written}@h").headers
    assert name == "Proxy-Authorization"
    assert base64.b64decode(value.removeprefix("Basic ")) == b"user:" + meant


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("h", Proxy("http", "h", 80)),
        ("h:8080", Proxy("http", "h", 8080)),
        ("HTTPS://h", Proxy("https", "h", 443)),
        ("http://[::1]:3128/path", Proxy("http", "::1", 3128)),
        ("http://h/p?q#f", Proxy("http", "h", 80)),
        ("http://under_score.test.", Proxy("http", "under_score.test.", 80)),
    ],
)
def test_proxy_url_is_parsed(url: str, expected: Proxy) -> None:
    assert Proxy.of(url) == expected


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("scheme", "ftp"),
        ("host", "a b"),
        ("host", "[::1]"),
        ("host", "h\r\nA: b"),
        ("host", None),
        ("port", 0),
        ("port", "80"),
        ("port", True),
        ("headers", 5),
        ("headers", [("A",)]),
        ("headers", [("A", 5)]),
        ("headers", [("A b", "c")]),
        ("headers", [("A", "b\r\nC: d")]),
        ("headers", [(f"A {PASSWORD}", "x")]),
        ("headers", [("A", f"{PASSWORD}\n")]),
        ("tls", 5),
    ],
)
def test_members_of_a_proxy_are_checked(member: str, value: Any) -> None:
    proxy = Proxy.of(f"http://me:{PASSWORD}@h")
    with pytest.raises(ConstructionError, match=member) as caught:
        proxy.replace(**{member: value})
    assert PASSWORD not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("host", ["grün.test", "h\ud800"])
def test_endpoint_that_is_not_ascii_reveals_no_password(host: str) -> None:
    """The error of encoding the CONNECT request would carry the request."""
    proxy = Proxy.of(f"http://me:{PASSWORD}@h")
    with connected() as (connection, _):
        flow = tunnel(connection, proxy, host, 443, lambda: 1.0)
        with pytest.raises(DispatchFailure) as caught:
            next(flow)
    assert (caught.value.phase, caught.value.delivery) == ("proxy", "not_sent")
    assert "hush" not in f"{caught.value!r} {caught.value.__context__!r}"


def test_response_that_echoes_the_password_is_not_quoted() -> None:
    echo = f"HTTP/1.1 200 x\r\n{PASSWORD}\r\n\r\n".encode()
    with tunnelling(answer=echo) as proxy, scripted(OK) as server:
        url = proxy.url.replace("//", f"//me:{PASSWORD}@")
        (outcome,) = PERFORMERS["sockets"](server.url, proxy=url, retries=ONCE)
    assert isinstance(outcome, DispatchFailure), outcome
    assert outcome.__cause__ is outcome.__context__ is None
    assert PASSWORD not in shown(outcome)


def test_repr_and_pickle_hide_the_password_of_a_proxy() -> None:
    proxy = Proxy.of(f"http://me:{PASSWORD}@h:1")
    assert PASSWORD not in repr(proxy)
    assert "Basic" not in repr(proxy)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(proxy)
    assert pickle.loads(pickle.dumps(Proxy.of("http://h:1"))) == Proxy("http", "h", 1)


@pytest.mark.parametrize("secure", [False, True])
def test_https_proxy_manager_is_refused_with_a_remedy(
    server_tls: ssl.SSLContext, trusting: ssl.SSLContext, secure: bool
) -> None:
    """urllib3 would speak TLS inside TLS without a socket that can be waited for."""
    with (
        tunnelling(server_tls) as proxy,
        scripted(OK, tls=server_tls if secure else None) as server,
    ):
        pools = urllib3.ProxyManager(proxy.url, proxy_ssl_context=trusting, ssl_context=trusting)
        (outcome,) = PERFORMERS["urllib3"](server.url, pools=pools, retries=ONCE)
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("tls", "proxy", "not_sent")
    assert "proxy=" in str(outcome)


def test_proxy_manager_with_an_ipv6_address_is_accepted() -> None:
    pools = urllib3.ProxyManager("http://[::1]:3128")
    with urllib3_client.Client(region="us-east-1", pools=pools) as client:
        assert client._wire is not None
        proxies = client._wire._connector.proxies
        assert proxies.proxy_for("https", "h", 443) == Proxy("http", "::1", 3128)
