"""One call: its parts and the whole, on every blocking transport. CPU microseconds."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

import bare
import ours
from measuring import Bench, Measurable, Missing, Subject, Value, all_cores, serving
from work import FIELDS, NOW, URL

import smruntime_core as sm
from smruntime_core.effects import Send

Measured = tuple[Value, Value]


def sign(bench: Bench) -> Iterator[Measured]:
    """100 bytes, eight header fields, a session token."""
    assert dict(sm.InvokeEndpoint(**ours.MEMBERS).request(URL).headers) == FIELDS, "everybody signs the same"
    mine = Subject(
        lambda request: sm.sign(request, ours.CREDENTIALS, ours.SCOPE, now=NOW),
        lambda: sm.InvokeEndpoint(**ours.MEMBERS).request(URL),
    )
    took = bench.compare({"ours": mine, "botocore": bench.peer("boto3", "boto:sign")})
    yield took["ours"], took["botocore"]


def without_io(bench: Bench) -> Iterator[Measured]:
    """A whole call but for sending: build and check the operation, sign its request, parse the answer."""
    took = bench.compare({"ours": Subject(ours.without_io), "botocore": bench.peer("boto3", "boto:without_io")})
    yield took["ours"], took["botocore"]


def sockets(bench: Bench) -> Iterator[Measured]:
    """One call on a kept connection to a server on the same core; and the exchange alone, of a request that is ready."""
    with serving() as ports:
        url = ports.url
        io, request = ours.client(url)._io, ours.signed(url)
        send = Send(request)
        subjects: dict[str, Measurable | Missing] = {
            "call": ours.call(url),
            "raw": bare.exchange(ports.plain),
            "exchange": Subject(lambda: io.send(send)),
            "botocore": bench.peer("boto3", "boto:call", url),
        }
        try:
            subjects |= {"h11": ours.call(url, engine="h11"), "bare h11": bare.h11_cycle(ports.plain)}
        except ImportError as error:
            subjects |= dict.fromkeys(("h11", "bare h11"), Missing(str(error)))
        took = bench.compare(subjects)
    yield took["call"], took["raw"]
    yield took["call"], took["botocore"]
    yield took["exchange"], took["raw"]
    yield took["h11"], took["bare h11"]


def urllib3(bench: Bench) -> Iterator[Measured]:
    """One call by the transport over urllib3, and what urllib3 takes for the same bytes."""
    with serving() as ports:
        took = bench.compare({"ours": ours.call(ports.url, transport="urllib3"), "urllib3": bare.urlopen(ports.plain)})
    yield took["ours"], took["urllib3"]


def tls(bench: Bench) -> Iterator[Measured]:
    """One call through TLS on a kept connection. The server may have the other core, so both really wait, as they do in life."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        bundle, certificate = certificates(Path(folder))
        with all_cores():
            ports = running.enter_context(serving(certificate))
        context = ssl.create_default_context(cafile=bundle)
        mine = ours.call(f"https://127.0.0.1:{ports.tls}", tls=context)
        took = bench.compare({"ours": mine, "raw": bare.tls_exchange(ports.tls, context)})
    yield took["ours"], took["raw"]


def certificates(folder: Path) -> tuple[str, str]:
    """Files: whom to trust, and the server's key with its certificate."""
    trustme: Any = import_module("trustme")
    authority = trustme.CA()
    bundle, certificate = folder / "authority.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(bundle)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    return str(bundle), str(certificate)
