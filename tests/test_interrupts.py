"""An exception of a signal handler, anywhere in a call: no slot is lost and the next call works."""

from __future__ import annotations

import gc
import logging
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import trustme

from .helpers import open_files
from .interrupts import (
    CLIENTS,
    INTERRUPTS,
    KEYS,
    KINDS,
    Interrupt,
    SoftTimeLimit,
    interrupt_at_random,
    serve,
    sweep,
)
from .servers import Peer, acting

SAMPLE = 300  # random interrupts of each kind; `make test-all` makes 2,000

# Python cannot protect the first bytecode of `__exit__`: there a stream that was not read to its
# end keeps its slot for as long as the exception is held.
UNPROTECTED = "ResponseStream.__exit__, bytecode"


@pytest.fixture(autouse=True, scope="module")
def logger_is_known() -> None:
    """Let no interrupt hit the first use of a logger: Python 3.11 would keep logging's lock."""
    logging.getLogger("smruntime").isEnabledFor(logging.INFO)


@pytest.fixture(autouse=True)
def keys_in_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_access_key)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Return what else was raised in finalizers, where only interrupts may be lost."""
    found: list[object] = []

    def hook(caught: Any) -> None:
        if not isinstance(caught.exc_value, (*INTERRUPTS, ResourceWarning)):
            found.append(caught.exc_value)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    yield found
    gc.collect()  # a socket that was interrupted before it had a name, while the hook is ours


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_slot_is_lost_by_an_interrupt_at_any_event(
    unraisable: list[object], client: str, name: str
) -> None:
    with acting(serve) as stage:
        files_before = open_files()
        outcomes = list(sweep(KINDS[name], client, stage.url))
        files_after = open_files()
    faults = [outcome for outcome in outcomes if outcome.fault and UNPROTECTED not in outcome.place]
    assert not faults
    assert len(outcomes) > 500, "the sweep has not seen the call"
    assert files_after <= files_before + 4, "connections were left open"
    assert not unraisable


class Certificates(NamedTuple):
    server: ssl.SSLContext
    trusting: ssl.SSLContext


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    authority = trustme.CA()
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(trusting)
    return Certificates(server, trusting)


def serve_secured(context: ssl.SSLContext, peer: Peer) -> None:
    peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.connection = context.wrap_socket(peer.connection, server_side=True)
    with peer.connection:
        serve(peer)


# urllib3's handshake blocks, and the timeout of its socket is a TimeoutError as well
SECURED_INTERRUPTS = {"sockets": INTERRUPTS, "urllib3": (Interrupt, SoftTimeLimit)}


@pytest.mark.parametrize("client", CLIENTS)
def test_no_slot_is_lost_by_an_interrupt_at_any_event_of_a_handshake(
    unraisable: list[object], certificates: Certificates, client: str
) -> None:
    kind, interrupts = KINDS["call on a new connection"], SECURED_INTERRUPTS[client]
    with acting(partial(serve_secured, certificates.server)) as stage:
        url = stage.url.replace("http://127.0.0.1", "https://localhost")
        files_before = open_files()
        outcomes = list(sweep(kind, client, url, interrupts, tls=certificates.trusting))
        files_after = open_files()
    assert not [outcome for outcome in outcomes if outcome.fault]
    assert len(outcomes) > 500, "the sweep has not seen the call"
    assert files_after <= files_before + 4, "connections were left open"
    assert not unraisable


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm clock")
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("unraisable")  # without it, pytest's own hook may be interrupted
def test_no_slot_is_lost_by_interrupts_at_random_moments(client: str, name: str) -> None:
    found = interrupt_at_random(KINDS[name], client, SAMPLE)
    assert set(found) <= {"interrupted", "completed"}, found
    assert found["interrupted"] > SAMPLE / 4, "the timer is too slow"
