"""TLS: refused handshakes, truncated responses, and the settings of a `TLS`."""

from __future__ import annotations

import datetime
import os
import pickle
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smruntime_core import (
    ConstructionError,
    DispatchFailure,
    InvokeEndpointOutput,
    RetryPolicy,
    Timeouts,
)
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3
from smruntime_transports.connect._tls import TLS

from .callers import CREDENTIALS, IRIS, PERFORMERS, STREAMED, Performer, Step
from .servers import OK, Peer, acting, scripted

THRICE = RetryPolicy(base_delay=0.0)
PLAINLY = """
import sys
from smruntime_core import Credentials
from smruntime_transports import TLS
from smruntime_transports.sockets import Client
credentials, tls = Credentials("AKID", "secret"), TLS(ca_bundle="none")
with Client(
    region="us-east-1", endpoint_url=sys.argv[1], credentials=credentials, tls=tls
) as client:
    assert client.invoke_endpoint(endpoint_name="e", body=b"").body == b"abc"
assert not {"ssl", "smruntime_core.payload"} & set(sys.modules)
"""


class Authority:
    """An authority that issues certificates, good and bad ones."""

    def __init__(self) -> None:
        self.good = trustme.CA()
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.certificate = self._sign(
            self._name, self._key, x509.BasicConstraints(ca=True, path_length=None)
        )

    def _sign(
        self,
        name: x509.Name,
        key: rsa.RSAPrivateKey,
        *extensions: x509.ExtensionType,
        days: int = 1,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=3)).not_valid_after(
            now + datetime.timedelta(days=days)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, host: str = "localhost", *, bits: int = 2048, **how: Any) -> bytes:
        """Return a key and its certificate in PEM."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        usage = how.pop("usage", ExtendedKeyUsageOID.SERVER_AUTH)
        named = how.pop("named", True)
        names = [x509.SubjectAlternativeName([x509.DNSName(host)])] if named else []
        extensions = (*names, x509.ExtendedKeyUsage([usage]))
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        return private(key) + self._sign(name, key, *extensions, **how).public_bytes(
            serialization.Encoding.PEM
        )

    def weak(self, where: Path) -> bytes:
        """Return a key and a certificate signed with SHA-1, as only OpenSSL still makes it."""
        (where / "ca.pem").write_bytes(self.pem)
        (where / "ca.key").write_bytes(private(self._key))
        (where / "san").write_text("subjectAltName=DNS:localhost\n")
        openssl = [
            "openssl",
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "weak.key",
            "-out",
            "weak.csr",
            "-subj",
            "/CN=localhost",
        ]
        subprocess.run(openssl, cwd=where, check=True, capture_output=True)
        sign = [
            "openssl",
            "x509",
            "-req",
            "-in",
            "weak.csr",
            "-sha1",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
        ]
        sign += ["-days", "2", "-extfile", "san", "-out", "weak.pem"]
        subprocess.run(sign, cwd=where, check=True, capture_output=True)
        return (where / "weak.key").read_bytes() + (where / "weak.pem").read_bytes()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def private(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def bundle(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(authority.pem + authority.good.cert_pem.bytes())
    return path


def server_context(pem: bytes, where: Path) -> ssl.SSLContext:
    (where / "server.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")  # a server may be as careless as it likes
    context.load_cert_chain(where / "server.pem")
    return context


@pytest.fixture
def good_tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.good.issue_cert("localhost").configure_cert(context)
    return context


# ── certificates and versions ──

BAD: dict[str, dict[str, Any]] = {
    "of another host": {"host": "elsewhere.test"},
    "expired": {"days": -1},
    "for clients only": {"usage": ExtendedKeyUsageOID.CLIENT_AUTH},
    "RSA of 1024 bits": {"bits": 1024},
    "host in the common name only": {"named": False},
}


def refused(outcome: object, kind: str = "tls") -> DispatchFailure:
    assert isinstance(outcome, DispatchFailure), outcome
    assert (outcome.kind, outcome.phase, outcome.delivery) == (kind, "tls", "not_sent")
    return outcome


@pytest.mark.parametrize("name", BAD)
def test_bad_certificate_is_refused_without_another_attempt(
    perform: Performer, authority: Authority, bundle: Path, tmp_path: Path, name: str
) -> None:
    context = server_context(authority.issue(**BAD[name]), tmp_path)
    with scripted(OK, tls=context) as server:
        (outcome,) = perform(server.url, tls=TLS(ca_bundle=str(bundle)), retries=THRICE)
        assert not server.requests
        assert server.connections == 1, "it will not be better the second time"
    refused(outcome)


@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificate with the openssl command"
)
def test_certificate_signed_with_sha_1_is_refused(
    perform: Performer, authority: Authority, bundle: Path, tmp_path: Path
) -> None:
    with scripted(OK, tls=server_context(authority.weak(tmp_path), tmp_path)) as server:
        (outcome,) = perform(server.url, tls=TLS(ca_bundle=str(bundle)), retries=THRICE)
        assert not server.requests
    refused(outcome)


def test_unknown_authority_is_refused_and_named(
    perform: Performer, good_tls: ssl.SSLContext
) -> None:
    with scripted(OK, tls=good_tls) as server:
        (outcome,) = perform(server.url, retries=THRICE)
        assert server.connections == 1
    assert re.search(
        "certificate|issuer|authority", str(refused(outcome)).partition("failed: ")[2]
    ), "it says why"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_before_1_2_is_refused(
    perform: Performer, authority: Authority, bundle: Path, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    context = server_context(authority.issue(), tmp_path)
    context.minimum_version = context.maximum_version = version
    with scripted(OK, tls=context) as server:
        (outcome,) = perform(server.url, tls=TLS(ca_bundle=str(bundle)), retries=THRICE)
        assert not server.requests
    refused(outcome)


def test_context_requires_tls_1_2_and_the_host_name(bundle: Path) -> None:
    context = TLS().context(str(bundle))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_common_name_is_not_checked_with_truststore_either() -> None:
    pytest.importorskip("truststore", reason="the extra is not installed")
    assert not TLS(truststore=True).context(None).hostname_checks_common_name


# ── broken and slow handshakes ──


def close_after_hello(peer: Peer) -> None:
    peer.connection.recv(1 << 16)


def reset_after_hello(peer: Peer) -> None:
    peer.connection.recv(1 << 16)
    peer.reset()


def close_inside_server_hello(peer: Peer) -> None:
    peer.connection.recv(1 << 16)
    peer.send(b"\x16\x03\x03\x00\x7a\x02\x00")


def close_notify_after_hello(peer: Peer) -> None:
    peer.connection.recv(1 << 16)
    peer.send(b"\x15\x03\x03\x00\x02\x01\x00")


def fatal_alert_after_hello(peer: Peer) -> None:
    peer.connection.recv(1 << 16)
    peer.send(b"\x15\x03\x03\x00\x02\x02\x28")


BROKEN_HANDSHAKES: list[tuple[Callable[[Peer], None], str, int]] = [
    (close_after_hello, "closed", 3),
    (reset_after_hello, "reset", 3),
    (close_inside_server_hello, "closed", 3),
    (close_notify_after_hello, "closed", 3),
    (fatal_alert_after_hello, "tls", 1),
]


def managers(bundle: Path) -> dict[str, dict[str, Any]]:
    """Return settings that lead through different code of `ssl` and urllib3."""
    return {
        "default": {},
        "context": {"tls": ssl.create_default_context()},
        "truststore": {"tls": TLS(truststore=True)},
        "manager": {"pools": urllib3.PoolManager(ca_certs=str(bundle))},
    }


@pytest.mark.parametrize("settings", ["default", "context", "truststore", "manager"])
@pytest.mark.parametrize(
    ("act", "kind", "attempts"), BROKEN_HANDSHAKES, ids=lambda value: getattr(value, "__name__", "")
)
def test_handshake_that_the_server_ends_fails_alike_on_every_transport(
    transport: str,
    perform: Performer,
    bundle: Path,
    settings: str,
    act: Callable[[Peer], None],
    kind: str,
    attempts: int,
) -> None:
    if settings == "manager" and transport != "urllib3":
        pytest.skip("a PoolManager is a setting of urllib3")
    if settings == "truststore":
        pytest.importorskip("truststore", reason="the extra is not installed")
    with acting(act) as stage:
        url = stage.url.replace("http", "https")
        (outcome,) = perform(url, retries=THRICE, **managers(bundle)[settings])
        assert stage.connections == attempts, f"{kind} is tried {attempts} times"
    refused(outcome, kind)


def test_plain_http_on_a_tls_port_is_refused(perform: Performer) -> None:
    def act(peer: Peer) -> None:
        peer.connection.recv(1)
        peer.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        peer.idle(0.2)

    with acting(act) as stage:
        (outcome,) = perform(stage.url.replace("http", "https"), retries=THRICE)
        assert stage.connections == 1
    refused(outcome)


def drip(peer: Peer) -> None:
    peer.connection.recv(1 << 16)
    peer.drip(iter([b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc", *[b"\0"] * 200]), 0.05)


@pytest.mark.parametrize("act", [Peer.idle, drip])
def test_slow_handshake_fails_after_the_connect_timeout(
    perform: Performer, act: Callable[[Peer], None]
) -> None:
    with acting(act) as stage:
        begun = time.monotonic()
        (outcome,) = perform(
            stage.url.replace("http", "https"),
            retries=RetryPolicy(max_attempts=1),
            timeouts=Timeouts(connect=0.4),
        )
        assert time.monotonic() - begun < 4
    assert isinstance(outcome, TimeoutError), outcome
    refused(outcome, "timeout")


# ── close_notify ──

CUT = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"amount":1'


@contextmanager
def cutting_tls(context: ssl.SSLContext, answer: bytes, *, close_notify: bool) -> Iterator[str]:
    """Answers and closes the connection, with TLS's close_notify or without."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(1 << 16)
                    secure.sendall(answer)
                    if close_notify:
                        secure.unwrap()
                    else:
                        os.close(secure.detach())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://localhost:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def test_end_without_close_notify_truncates_the_response(
    perform: Performer, good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with cutting_tls(good_tls, CUT, close_notify=False) as url:
        whole, streamed = perform(
            url, Step(), Step(STREAMED), tls=TLS(ca_bundle=str(bundle)), retries=THRICE
        )
    for outcome in (whole,):
        assert isinstance(outcome, DispatchFailure), outcome
        assert (outcome.kind, outcome.phase, outcome.delivery) == ("truncated", "body", "answered")
    assert isinstance(streamed, Exception), streamed


def test_end_with_close_notify_completes_the_response(
    perform: Performer, good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with cutting_tls(good_tls, CUT, close_notify=True) as url:
        (outcome,) = perform(url, tls=TLS(ca_bundle=str(bundle)))
    assert isinstance(outcome, InvokeEndpointOutput), outcome
    assert outcome.body == b'{"amount":1'


# ── bytes that TLS holds and the socket does not ──


def long(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size


@pytest.mark.parametrize("size", [3, 200_000])
def test_surplus_bytes_in_tls_close_the_connection(
    perform: Performer, good_tls: ssl.SSLContext, bundle: Path, size: int
) -> None:
    with scripted(long(size) + long(1), OK, tls=good_tls) as server:
        first, second = perform(server.url, Step(), Step(), tls=TLS(ca_bundle=str(bundle)))
        assert server.connections == 2
    assert (len(first.body), second.body) == (size, b"abc")


@pytest.mark.parametrize("truststore", [False, True])
@pytest.mark.parametrize("size", [270_000, 1024 * 1024 + 100, 1024 * 1024 + 5_000])
def test_long_response_does_not_wait_for_bytes_that_tls_holds(
    perform: Performer, good_tls: ssl.SSLContext, bundle: Path, size: int, truststore: bool
) -> None:
    if truststore:
        pytest.importorskip("truststore", reason="the extra is not installed")
    tls = TLS(ca_bundle=str(bundle), truststore=truststore)
    with scripted(*[long(size)] * 4, tls=good_tls) as server:
        found = perform(
            server.url,
            *[Step()] * 4,
            tls=tls,
            timeouts=Timeouts(idle=2.0),
            retries=RetryPolicy(max_attempts=1),
        )
    assert [isinstance(one, InvokeEndpointOutput) and len(one.body) for one in found] == [size] * 4


# ── the settings of a `TLS` ──


def test_ca_bundle_of_the_client_counts_before_the_variable(
    perform: Performer, good_tls: ssl.SSLContext, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted(OK, OK, OK, tls=good_tls) as server:
        assert isinstance(perform(server.url, tls=TLS(ca_bundle=bundle))[0], InvokeEndpointOutput)  # type: ignore[arg-type]  # a Path too
        monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
        assert isinstance(perform(server.url)[0], InvokeEndpointOutput)
        (outcome,) = perform(server.url, tls=TLS(ca_bundle="/nowhere"))
        assert isinstance(outcome, ConstructionError)
        assert outcome.member == "ca_bundle"


def test_directory_of_certificates_is_trusted(
    good_tls: ssl.SSLContext, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "0.pem").write_bytes(authority.good.cert_pem.bytes())
    os.symlink(tmp_path / "0.pem", tmp_path / f"{hash_of(authority.good.cert_pem.bytes())}.0")
    with scripted(OK, tls=good_tls) as server:
        assert isinstance(
            PERFORMERS["sockets"](server.url, tls=TLS(ca_bundle=str(tmp_path)))[0],
            InvokeEndpointOutput,
        )


def hash_of(pem: bytes) -> str:
    """Return OpenSSL's file name for a certificate: the X509_NAME_hash of its subject."""
    import hashlib

    subject = x509.load_pem_x509_certificate(pem).subject
    canonical = b""
    for rdn in subject.rdns:
        parts = b"".join(_canonical(attribute) for attribute in rdn)
        canonical += b"\x31" + bytes([len(parts)]) + parts
    return f"{struct.unpack('<L', hashlib.sha1(canonical).digest()[:4])[0]:08x}"  # noqa: S324 - OpenSSL's choice


def _canonical(attribute: x509.NameAttribute[Any]) -> bytes:
    value = " ".join(str(attribute.value).lower().split()).encode()
    oid = _oid(attribute.oid.dotted_string)
    body = b"\x06" + bytes([len(oid)]) + oid + b"\x0c" + bytes([len(value)]) + value
    return b"\x30" + bytes([len(body)]) + body


def _oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return bytes([first * 40 + second, *rest])


def test_client_certificate_is_presented(
    perform: Performer, authority: Authority, good_tls: ssl.SSLContext, bundle: Path, tmp_path: Path
) -> None:
    good_tls.verify_mode = ssl.CERT_REQUIRED
    authority.good.configure_trust(good_tls)
    mine = authority.good.issue_cert("client.test")
    pem = tmp_path / "client.pem"
    mine.private_key_and_cert_chain_pem.write_to_path(str(pem))
    with scripted(OK, OK, tls=good_tls) as server:
        with_it = TLS(ca_bundle=str(bundle), certificate=str(pem))
        assert isinstance(perform(server.url, tls=with_it)[0], InvokeEndpointOutput)
        (outcome,) = perform(
            server.url, tls=TLS(ca_bundle=str(bundle)), retries=RetryPolicy(max_attempts=1)
        )
        assert isinstance(outcome, DispatchFailure)
        assert len(server.requests) == 1


@pytest.fixture
def fifo(tmp_path: Path) -> str:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no FIFOs")
    os.mkfifo(tmp_path / "fifo")
    return str(tmp_path / "fifo")


@pytest.mark.parametrize("member", ["ca_bundle", "certificate", "key", "key_log"])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_fifo_or_device_is_refused_at_once(
    fifo: str, member: str, kind: str, authority: Authority, tmp_path: Path
) -> None:
    """OpenSSL would wait for the other end of the FIFO, or read the device for ever."""
    pem = tmp_path / "client.pem"
    authority.good.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(str(pem))
    path = fifo if kind == "fifo" else "/dev/zero"
    files: dict[str, Any] = {"certificate": str(pem)} if member == "key" else {}
    within(5, lambda: refuses(TLS(**{**files, member: path}), member, "a regular file"))


@pytest.mark.parametrize("truststore", [False, True])
def test_fifo_in_the_variable_of_openssl_is_refused_at_once(
    fifo: str, monkeypatch: pytest.MonkeyPatch, truststore: bool
) -> None:
    if truststore:
        pytest.importorskip("truststore", reason="the extra is not installed")
    monkeypatch.setenv("SSL_CERT_FILE", fifo)
    within(5, lambda: refuses(TLS(truststore=truststore), "SSL_CERT_FILE", "a regular file"))


def refuses(tls: TLS, member: str, rule: str) -> None:
    with pytest.raises(ConstructionError, match=f"{member}.*{rule}") as caught:
        tls.context(None)
    assert caught.value.member == member


def within(seconds: float, work: Callable[[], None]) -> None:
    """Fail if `work` hangs, and raise what it raises."""
    outcome: list[BaseException | None] = []

    def attempt() -> None:
        try:
            work()
        except BaseException as error:
            outcome.append(error)
        else:
            outcome.append(None)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    assert outcome, f"still running after {seconds} s"
    if outcome[0] is not None:
        raise outcome[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"certificate": "/nowhere"},
        {"ca_bundle": b"/bytes"},
        {"ca_bundle": "a\0b"},
        {"key": "/k"},
        {"certificate": 5},
        {"key_log": "/nowhere/at/all"},
    ],
)
def test_unusable_files_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConstructionError):
        TLS(**wrong).context(None)


def test_keys_are_logged_only_with_key_log(
    good_tls: ssl.SSLContext, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray, asked = tmp_path / "stray", tmp_path / "asked"
    monkeypatch.setenv("SSLKEYLOGFILE", str(stray))
    with scripted(OK, OK, tls=good_tls) as server:
        PERFORMERS["sockets"](server.url, tls=TLS(ca_bundle=str(bundle)))
        assert not stray.exists()
        PERFORMERS["sockets"](server.url, tls=TLS(ca_bundle=str(bundle), key_log=str(asked)))
    assert "SECRET" in asked.read_text()
    assert not stray.exists()


def test_truststore_trusts_what_the_operating_system_trusts(
    good_tls: ssl.SSLContext, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("truststore", reason="the extra is not installed")
    if sys.platform != "linux":
        pytest.skip("elsewhere the system's store cannot be told for a test")
    with scripted(OK, OK, tls=good_tls) as server:
        (outcome,) = PERFORMERS["sockets"](
            server.url, tls=TLS(truststore=True), retries=RetryPolicy(max_attempts=1)
        )
        refused(outcome)
        monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
        (outcome,) = PERFORMERS["sockets"](server.url, tls=TLS(truststore=True))
        assert isinstance(outcome, InvokeEndpointOutput), outcome


def test_missing_truststore_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "truststore", None)
    with pytest.raises(ImportError, match="pip install"):
        TLS(truststore=True).context(None)


def test_all_options_of_a_client_share_one_context(good_tls: ssl.SSLContext, bundle: Path) -> None:
    with scripted(OK, OK, OK, OK, tls=good_tls) as server:
        where: Any = {
            "region": "us-east-1",
            "endpoint_url": server.url,
            "credentials": CREDENTIALS,
            "tls": TLS(ca_bundle=str(bundle)),
        }
        for make in (sockets.Client, on_urllib3.Client):
            with make(**where) as client:
                assert client._wire is not None
                connector = client._wire._connector
                assert isinstance(connector._tls, TLS)
                client.call(IRIS)
                made = connector.tls
                client.with_options(timeout=5.0).call(IRIS)
                assert connector.tls is made


def test_variables_of_openssl_choose_the_trusted_certificates(
    monkeypatch: pytest.MonkeyPatch, bundle: Path
) -> None:
    """A file that the environment names is what counts, and nothing beside it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("SSL_CERT_DIR", str(bundle.parent / "none"))
    assert len(TLS().context(None).get_ca_certs()) == 2


def test_system_directory_is_not_read_before_a_handshake(
    good_tls: ssl.SSLContext, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("all.crt", f"{hash_of(authority.good.cert_pem.bytes())}.0"):
        (tmp_path / name).write_bytes(authority.good.cert_pem.bytes())
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    paths = ssl.get_default_verify_paths()._replace(
        cafile=str(tmp_path / "all.crt"), capath=str(tmp_path)
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    assert not TLS().context(None).get_ca_certs(), "nothing has been read"
    with scripted(OK, tls=good_tls) as server:
        assert isinstance(PERFORMERS["sockets"](server.url)[0], InvokeEndpointOutput)


def test_repr_and_pickle_hide_the_password_of_a_key() -> None:
    tls = TLS(certificate="c", password="hush")
    assert "hush" not in repr(tls)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(tls)
    assert pickle.loads(pickle.dumps(TLS(ca_bundle="b"))) == TLS(ca_bundle="b")


def test_plain_http_call_imports_neither_ssl_nor_payload() -> None:
    with scripted(OK) as server:
        done = subprocess.run(
            [sys.executable, "-c", PLAINLY, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
