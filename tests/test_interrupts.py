"""An exception of a signal handler, anywhere in a call: no slot is lost and the next call works."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
import trustme

from . import interrupts
from .helpers import open_files
from .interrupts import (
    CLIENTS,
    INTERRUPTS,
    KEYS,
    KINDS,
    Interrupt,
    Outcome,
    SoftTimeLimit,
    count_faults,
    interrupt_at_random,
    is_unprotected,
    serve,
    sweep,
)
from .servers import Peer, acting

EVERY_EVENT = "SMRUNTIME_EVERY_EVENT" in os.environ  # `make test-all`
STEP = 1 if EVERY_EVENT else 5  # each kind of call starts with another event
SAMPLE = 300  # random interrupts of each kind; `make test-all` makes 2,000


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


def is_excused(outcome: Outcome) -> bool:
    """Return whether only a stream that Python could not protect kept its slot."""
    return is_unprotected(outcome.place) and outcome.fault.startswith("the next call ")


def test_only_the_first_bytecodes_of_a_stream_are_excused() -> None:
    kept = "the next call waited for a slot"
    exit_place = "client/_streams.py:1 ResponseStream.__exit__, bytecode"
    assert is_excused(Outcome(f"{exit_place} 0, call", kept))
    assert is_excused(Outcome(f"{exit_place} 2, opcode", kept))
    assert not is_excused(Outcome(f"{exit_place} 4, opcode", kept))
    assert not is_excused(Outcome(f"{exit_place} 20, opcode", kept))
    assert not is_excused(Outcome(f"{exit_place} 0, call", "the interrupt became KeyError()"))
    assert not is_excused(Outcome("client/_client.py:1 Client.stream, bytecode 0, call", kept))


def test_random_interrupts_that_hit_too_few_calls_are_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Counter({"completed": 76, "interrupted": 24})
    monkeypatch.setattr(sys, "argv", ["interrupts.py", "--times", "100"])
    monkeypatch.setattr(interrupts, "interrupt_at_random", lambda *_: found)
    assert interrupts.main() == 1
    found.update({"completed": -2, "interrupted": 2})
    assert interrupts.main() == 0
    found["the call hung"] += 1
    assert interrupts.main() == 1
    assert "1 the call hung" in capsys.readouterr().out


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_no_slot_is_lost_by_an_interrupt_at_any_event(
    unraisable: list[object], client: str, name: str
) -> None:
    with acting(serve) as stage:
        files_before = open_files()
        first = list(KINDS).index(name) % STEP
        outcomes = list(sweep(KINDS[name], client, stage.url, first=first, step=STEP))
        files_after = open_files()
    assert not [outcome for outcome in outcomes if outcome.fault and not is_excused(outcome)]
    assert len(outcomes) > 500 / STEP, "the sweep has not seen the call"
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
        outcomes = list(sweep(kind, client, url, interrupts, step=STEP, tls=certificates.trusting))
        files_after = open_files()
    assert not [outcome for outcome in outcomes if outcome.fault]
    assert len(outcomes) > 500 / STEP, "the sweep has not seen the call"
    assert files_after <= files_before + 4, "connections were left open"
    assert not unraisable


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no alarm clock")
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("unraisable")  # without it, pytest's own hook may be interrupted
def test_no_slot_is_lost_by_interrupts_at_random_moments(client: str, name: str) -> None:
    found = interrupt_at_random(KINDS[name], client, SAMPLE)
    assert not count_faults(found, SAMPLE), found
