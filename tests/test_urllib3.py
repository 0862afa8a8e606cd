"""The settings of a `PoolManager` are used; `test_contract` has what all transports share."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import ssl_

from smruntime_core import (
    ConstructionError,
    DispatchFailure,
    InvokeEndpointOutput,
    RetryPolicy,
    Timeouts,
)
from smruntime_transports.urllib3 import Client

from .callers import CREDENTIALS, IRIS, PERFORMERS, Step, count_idle
from .servers import OK, Peer, acting, scripted
from .test_proxies import tunnelling
from .test_tls import within

ONCE = RetryPolicy(max_attempts=1)
perform = PERFORMERS["urllib3"]


@pytest.fixture(scope="module")
def ca_certs(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("urllib3") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_urllib3_future_is_told_from_urllib3() -> None:
    """Niquests installs urllib3-future as urllib3, and its connections differ."""
    as_if = (
        "import urllib3.connection as c; c.HTTPConnection.is_multiplexed = False; "
        "import smruntime_transports.urllib3"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", as_if], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "ImportError" in ended.stderr
    assert "is urllib3-future" in ended.stderr
    assert "smruntime_transports.sockets" in ended.stderr


# ── TLS ──


def test_certificates_of_a_manager_are_trusted_and_its_connections_not_used(
    server_tls: ssl.SSLContext, ca_certs: str
) -> None:
    manager = urllib3.PoolManager(ca_certs=ca_certs)
    with scripted(OK, OK, tls=server_tls) as server:
        outcomes = perform(server.url, Step(), Step(), pools=manager)
        assert [outcome.body for outcome in outcomes] == [b"abc", b"abc"]
        assert server.connections == 1
    assert len(manager.pools) == 0
    assert manager.connection_pool_kw == {"ca_certs": ca_certs}


def test_manager_without_tls_settings_gets_the_clients_context(
    server_tls: ssl.SSLContext, ca_certs: str, monkeypatch: Any
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", ca_certs)
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = perform(server.url, pools=urllib3.PoolManager())
    assert isinstance(outcome, InvokeEndpointOutput), outcome


def test_ssl_context_of_a_manager_is_used(server_tls: ssl.SSLContext, ca_certs: str) -> None:
    context = ssl.create_default_context(cafile=ca_certs)
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = perform(server.url, pools=urllib3.PoolManager(ssl_context=context))
    assert isinstance(outcome, InvokeEndpointOutput), outcome
    assert context.sslsocket_class is ssl.SSLSocket


@pytest.mark.parametrize("right", [True, False])
def test_assert_fingerprint_of_a_manager_is_checked(
    server_tls: ssl.SSLContext, authority: trustme.CA, right: bool
) -> None:
    certificate = authority.issue_cert("localhost")
    certificate.configure_cert(server_tls)
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    fingerprint = hashlib.sha256(der).hexdigest() if right else "00" * 32
    manager = urllib3.PoolManager(cert_reqs="CERT_NONE", assert_fingerprint=fingerprint)
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = perform(server.url, pools=manager, retries=ONCE)
        assert len(server.requests) == right
    if not right:
        assert isinstance(outcome, DispatchFailure), outcome
        assert (outcome.kind, outcome.phase, outcome.delivery) == ("tls", "tls", "not_sent")
        assert "ingerprint" in str(outcome)


def test_unverified_certificate_warns(server_tls: ssl.SSLContext) -> None:
    with (
        scripted(OK, tls=server_tls) as server,
        pytest.warns(urllib3.exceptions.InsecureRequestWarning, match="localhost"),
    ):
        (outcome,) = perform(server.url, pools=urllib3.PoolManager(cert_reqs="CERT_NONE"))
    assert isinstance(outcome, InvokeEndpointOutput), outcome


def test_warning_raised_as_an_error_closes_the_connection(server_tls: ssl.SSLContext) -> None:
    with scripted(OK, tls=server_tls) as server:
        manager = urllib3.PoolManager(cert_reqs="CERT_NONE")
        where: Any = {"region": "us-east-1", "endpoint_url": server.url, "credentials": CREDENTIALS}
        with Client(pools=manager, **where) as client, warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(urllib3.exceptions.InsecureRequestWarning):
                client.call(IRIS)
        assert not server.requests


def test_missing_ca_certs_are_a_tls_failure(server_tls: ssl.SSLContext) -> None:
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = perform(
            server.url, pools=urllib3.PoolManager(ca_certs="/nowhere.pem"), retries=ONCE
        )
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("tls", "tls", "not_sent")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
@pytest.mark.parametrize("setting", ["ca_certs", "ca_cert_dir", "cert_file", "key_file"])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_file_of_a_manager_that_is_not_regular_is_refused_at_once(
    server_tls: ssl.SSLContext, ca_certs: str, tmp_path: Path, setting: str, kind: str
) -> None:
    """OpenSSL would wait for the other end of the FIFO, whatever the deadline of the call."""
    path = tmp_path / "fifo" if kind == "fifo" else "/dev/zero"
    os.mkfifo(tmp_path / "fifo")
    settings: dict[str, Any] = {"ca_certs": ca_certs, setting: str(path)}
    manager = urllib3.PoolManager(**settings)
    with scripted(OK, tls=server_tls) as server:
        within(5, lambda: refuses_file(server.url, manager, setting))
        assert not server.requests


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_fifo_in_the_variable_of_openssl_is_refused_with_a_manager(
    server_tls: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "fifo"))
    manager = urllib3.PoolManager(cert_reqs="CERT_NONE")
    with scripted(OK, tls=server_tls) as server:
        within(5, lambda: refuses_file(server.url, manager, "SSL_CERT_FILE"))


def refuses_file(url: str, manager: urllib3.PoolManager, member: str) -> None:
    with Client(
        region="us-east-1", endpoint_url=url, credentials=CREDENTIALS, pools=manager
    ) as client:
        with pytest.raises(ConstructionError, match=f"{member}.*a regular file") as caught:
            client.call(IRIS)
        assert caught.value.member == member


def test_http2_is_refused(
    server_tls: ssl.SSLContext, ca_certs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `urllib3.http2.inject_into_urllib3()`."""
    monkeypatch.setattr(ssl_, "ALPN_PROTOCOLS", ["h2"])
    server_tls.set_alpn_protocols(["h2"])
    with scripted(OK, tls=server_tls) as server:
        (outcome,) = perform(server.url, pools=urllib3.PoolManager(ca_certs=ca_certs), retries=ONCE)
        assert not server.requests
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("protocol", "tls", "not_sent")
    assert "HTTP/2" in str(outcome)


def test_server_sees_the_end_of_a_handshake_that_times_out() -> None:
    left = threading.Event()

    def act(peer: Peer) -> None:
        while peer.connection.recv(4096):
            pass
        left.set()

    with acting(act) as stage:
        url = stage.url.replace("http:", "https:")
        (outcome,) = perform(
            url, pools=urllib3.PoolManager(), retries=ONCE, timeouts=Timeouts(connect=0.2)
        )
        assert left.wait(2)
    assert isinstance(outcome, TimeoutError), outcome


# ── sockets ──


def test_sockets_are_bound_to_the_source_address_of_a_manager() -> None:
    peers: list[str] = []

    def act(peer: Peer) -> None:
        peers.append(peer.connection.getpeername()[0])
        while peer.read():
            peer.send(OK)

    with acting(act) as stage:
        (outcome,) = perform(stage.url, pools=urllib3.PoolManager(source_address=("127.0.0.9", 0)))
    assert isinstance(outcome, InvokeEndpointOutput), outcome
    assert peers == ["127.0.0.9"]


def test_unusable_source_address_is_a_refused_connection() -> None:
    with scripted(OK) as server:
        (outcome,) = perform(
            server.url, pools=urllib3.PoolManager(source_address=("192.0.2.1", 0)), retries=ONCE
        )
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("refused", "connect", "not_sent")


def test_socket_options_of_a_manager_are_set() -> None:
    option = (socket.SOL_SOCKET, socket.SO_RCVBUF, 12_345)
    with scripted(OK) as server:
        where: Any = {"region": "us-east-1", "endpoint_url": server.url, "credentials": CREDENTIALS}
        with Client(pools=urllib3.PoolManager(socket_options=[option]), **where) as client:
            client.call(IRIS)
            assert client._wire is not None
            (shared,) = client._wire._pool._connections_by_route.values()
            sock: Any = shared.idle_connections[0].sock
            assert sock.getsockopt(*option[:2]) == 2 * option[2]  # as Linux counts it


# ── limits ──


def held_open(count: int, manager: urllib3.PoolManager) -> tuple[int, int]:
    """Return how many of `count` simultaneous calls reach the server, and how many stay idle."""
    released, arrived = threading.Event(), threading.Semaphore(0)

    def act(peer: Peer) -> None:
        while peer.read():
            arrived.release()
            released.wait(10)
            peer.send(OK)

    with acting(act) as stage:
        where: Any = {"region": "us-east-1", "endpoint_url": stage.url, "credentials": CREDENTIALS}
        with Client(pools=manager, **where) as client:
            threads = [threading.Thread(target=client.call, args=(IRIS,)) for _ in range(count)]
            for thread in threads:
                thread.start()
            reached = sum(arrived.acquire(timeout=0.5) for _ in range(count))
            released.set()
            for thread in threads:
                thread.join()
            assert client._wire is not None
            return reached, count_idle(client._wire._pool)


def test_blocking_manager_limits_connections() -> None:
    assert held_open(4, urllib3.PoolManager(maxsize=2, block=True)) == (2, 2)


def test_manager_that_does_not_block_limits_idle_connections() -> None:
    assert held_open(4, urllib3.PoolManager(maxsize=2)) == (4, 2)


# ── proxies ──


@pytest.mark.parametrize("secure", [False, True])
def test_headers_of_a_proxy_manager_go_to_the_proxy_only(
    server_tls: ssl.SSLContext, ca_certs: str, secure: bool
) -> None:
    headers = {"X-Team": "blue", **urllib3.util.make_headers(proxy_basic_auth="me:hush")}
    with tunnelling() as proxy, scripted(OK, tls=server_tls if secure else None) as server:
        manager = urllib3.ProxyManager(proxy.url, proxy_headers=headers, ca_certs=ca_certs)
        (outcome,) = perform(server.url, pools=manager)
        assert isinstance(outcome, InvokeEndpointOutput), outcome
        (asked,) = proxy.asked
        assert asked.startswith(b"CONNECT ")
        assert b"\r\nX-Team: blue\r\n" in asked
        assert b"\r\nproxy-authorization: Basic bWU6aHVzaA==\r\n" in asked
        assert b"X-Team" not in server.requests[0]


def test_proxy_headers_with_line_ends_are_refused() -> None:
    manager = urllib3.ProxyManager(
        "http://proxy.test", proxy_headers={"X-Team": "blue\r\nX-Admin: yes"}
    )
    with pytest.raises(ConstructionError, match="header"):
        Client(region="us-east-1", pools=manager)


# ── connection classes ──


class OwnSockets(HTTPConnection):
    """Opens its sockets itself, as urllib3's SOCKS connections do."""

    def _new_conn(self) -> socket.socket:
        opened.append(self.host)
        return super()._new_conn()


class OwnSecureSockets(OwnSockets, HTTPSConnection):
    """The same for https."""


class OwnPool(HTTPConnectionPool):
    ConnectionCls = OwnSockets  # as in `urllib3.contrib.socks`


class OwnSecurePool(HTTPSConnectionPool):
    ConnectionCls = OwnSecureSockets


opened: list[str] = []


def with_own_classes(manager: urllib3.PoolManager) -> urllib3.PoolManager:
    opened.clear()
    manager.pool_classes_by_scheme = {"http": OwnPool, "https": OwnSecurePool}
    return manager


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_connection_class_with_its_own_sockets_opens_them(
    server_tls: ssl.SSLContext, ca_certs: str, secure: bool, proxied: bool
) -> None:
    with tunnelling() as proxy, scripted(OK, OK, tls=server_tls if secure else None) as server:
        manager = (
            urllib3.ProxyManager(proxy.url, ca_certs=ca_certs)
            if proxied
            else urllib3.PoolManager(ca_certs=ca_certs)
        )
        outcomes = perform(
            server.url, Step(), Step(), pools=with_own_classes(manager), retries=ONCE
        )
        assert [outcome.body for outcome in outcomes] == [b"abc", b"abc"], outcomes
        assert len(proxy.asked) == proxied
    assert len(opened) == 1


def test_refused_connection_of_a_custom_class_is_a_connect_failure() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        (outcome,) = perform(url, pools=with_own_classes(urllib3.PoolManager()), retries=ONCE)
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == ("refused", "connect", "not_sent")


def test_pools_excludes_settings_that_a_manager_has(tmp_path: Path) -> None:
    with pytest.raises(ConstructionError, match="max_connections"):
        Client(region="us-east-1", pools=urllib3.PoolManager(), max_connections=5)
