"""An exception from a signal handler, raised anywhere in our code: no slot is lost, nothing hangs, the next call works.

`sys.settrace` raises it at one event of a call, then at the next, and so on: at every line of the core and the transport,
and at every bytecode of the modules that handle slots and connections. The client has one connection, so that a lost slot
is seen by the call that follows.
"""

from __future__ import annotations

import gc
import os
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import pytest
import trustme

import smruntime_core
import smruntime_transports
from smruntime_core import DispatchFailure, RetryPolicy, Timeouts
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3

from .callers import CREDENTIALS, IRIS, STREAMED
from .servers import OK, Peer, acting
from .test_streams import FRAMES, chunked

OURS = tuple(
    os.path.dirname(module.__file__ or "") + os.sep
    for module in (smruntime_core, smruntime_transports)
)
BY_OPCODE = {"_pool.py", "_connection.py", "_wire.py", "_connect.py", "_race.py", "urllib3.py"}
VISITS = 1  # of a place that is passed in a loop
STEPS = 20_000  # more events than anything here has
POOL = 1.0  # seconds that the call after an interrupt may wait for the slot

CLIENTS: dict[str, Any] = {"sockets": sockets.Client, "urllib3": on_urllib3.Client}


class Interrupt(KeyboardInterrupt):
    """What the signal handler raises."""


class Interrupter:
    """A trace function that raises `Interrupt` at event number `at`; `where` is that event's place.

    Of a place that is passed again and again, only the first visits count.
    """

    def __init__(self, at: int) -> None:
        self.where = ""
        self._left = at
        self._visits: Counter[tuple[object, ...]] = Counter()

    def __call__(self, frame: FrameType, event: str, _: object) -> Any:
        path = frame.f_code.co_filename
        if not path.startswith(OURS):
            return None
        frame.f_trace_opcodes = os.path.basename(path) in BY_OPCODE
        return self._step(frame, event, None)

    def _step(self, frame: FrameType, event: str, _: object) -> Any:
        if event in ("call", "line", "opcode") and not self.where:
            place = frame.f_code, frame.f_lasti, event
            self._visits[place] += 1
            if self._visits[place] <= VISITS:
                self._left -= 1
            if self._left < 0:
                code = frame.f_code
                self.where = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}, bytecode {frame.f_lasti}, {event}"
                raise Interrupt
        return self._step


def interrupted(do: Callable[[], object], at: int) -> str:
    """Do something and interrupt it at event number `at`; return where that was, "" if it ended before."""
    interrupter = Interrupter(at)
    before = sys.gettrace()
    sys.settrace(interrupter)
    try:
        do()
    except Interrupt:
        pass
    finally:
        sys.settrace(before)
    return interrupter.where


# ── what is interrupted; each leaves the client ready for the next call ──


def call(client: Any) -> None:
    client.call(IRIS)


def stream(client: Any) -> None:
    with client.stream(STREAMED) as answer:
        for _ in answer.bytes():
            pass


KINDS: dict[str, Callable[[Any], None]] = {"call": call, "stream": stream}


def serve(peer: Peer) -> None:
    while request := peer.read():
        peer.send(chunked(*FRAMES) if b"-response-stream" in request else OK)


def secured(context: ssl.SSLContext, peer: Peer) -> None:
    peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.connection = context.wrap_socket(peer.connection, server_side=True)
    with peer.connection:
        serve(peer)


class Servers(NamedTuple):
    context: ssl.SSLContext
    trusting: ssl.SSLContext


@pytest.fixture(scope="module")
def tls() -> Servers:
    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(trusting)
    return Servers(context, trusting)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was raised where nothing can be raised: an interrupt of a finalizer is one of those."""
    found: list[object] = []

    def hook(caught: Any) -> None:
        if not isinstance(caught.exc_value, Interrupt | ResourceWarning):
            found.append(caught.exc_value)

    monkeypatch.setattr(sys, "unraisablehook", hook)
    return found


def open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def sweep(client: Any, do: Callable[[Any], None], *, kept: bool) -> Iterator[str]:
    """Interrupt `do` at one event after the other, on a new connection or a kept one; yield each place, after the next call."""
    for at in range(STEPS):
        if not kept:
            client.close()
        place = interrupted(partial(do, client), at)
        assert not any(
            shared.slot_queue for shared in client._wire._pool._connections_by_route.values()
        ), f"{place} left a slot in use"
        try:
            call(client)
        except DispatchFailure as failure:
            pytest.fail(f"after an interrupt at {place}: {failure}")
        if not place:
            return
        yield place
    pytest.fail("it never ends")


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CLIENTS)
def test_the_next_call_works_after_an_interrupt_anywhere(
    tls: Servers, unraisable: list[object], name: str, kind: str, secure: bool, kept: bool
) -> None:
    if secure and (kept or kind != "call"):
        pytest.skip("what differs with TLS is how a connection is opened")
    given: dict[str, Any] = {
        "region": "us-east-1",
        "credentials": CREDENTIALS,
        "max_connections": 1,
        "tls": tls.trusting,
    }
    given |= {"timeouts": Timeouts(pool=POOL), "retries": RetryPolicy(max_attempts=1)}
    act = partial(secured, tls.context) if secure else serve
    with acting(act) as stage:
        url = stage.url.replace("http://127.0.0.1", "https://localhost") if secure else stage.url
        with CLIENTS[name](endpoint_url=url, **given) as client:
            call(client)  # settings and credentials are found
            before = open_files()
            places = list(sweep(client, KINDS[kind], kept=kept))
            gc.collect()
            assert open_files() <= before + 4, (
                "connections were left open"
            )  # the server's ends of some live a little longer
    assert len(set(places)) > 100
    assert not unraisable
