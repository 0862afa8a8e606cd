"""A server on loopback that plays the scenarios of `smruntime_core.testing`: whatever the world can do to a transport, on real sockets.

    with stage(scenario) as server:
        server.url, server.requests, server.connections

    check(scenario, call)           # AssertionError unless `call` makes of it what is right

`call(url, operations, *, timeouts, retries)`, and `max_body` where a scenario sets it, has the operations done one after the other by one
client and gives what each came to: its output, or its exception. `smruntime_core.testing.outcomes` is most of that. The operations may take
their time to come.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from smruntime_core import InvokeEndpoint, run
from smruntime_core.testing import Finish, Hear, Now, Pause, Reset, Say, Scenario, Seen, differences

Caller: TypeAlias = "Callable[..., list[object]]"

_length = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)").search
_PIECE = 1 << 20


class _Over(OSError):
    """The scenario has ended, or the client has gone: there is nobody to play for."""


class _Side:
    """The server's end of one connection: an IO for the effects of a script."""

    def __init__(self, stage: Stage, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stage = stage
        self._connection = connection
        self._held = b""
        self._within = False  # a request of which parts have been heard

    def hear(self, effect: Hear) -> bytes:
        heard = self._part(effect.part) if effect.part else self._request()
        self._stage.requests += bool(heard) and not self._within
        self._within = effect.part is not None
        return heard

    def say(self, effect: Say) -> None:
        data, cut = effect.data.replace(b"$PORT", b"%d" % self._stage.port), self._stage.cut
        for begin in range(0, len(data), cut or len(data) or 1):
            self._connection.sendall(data[begin : begin + cut] if cut else data)

    def pause(self, effect: Pause) -> None:
        if self._stage.over.wait(effect.seconds):
            raise _Over

    def reset(self, effect: Reset) -> None:
        del effect
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def finish(self, effect: Finish) -> None:
        del effect
        self._connection.shutdown(socket.SHUT_WR)
        while self._connection.recv(_PIECE):
            pass

    def now(self, effect: Now) -> float:
        del effect
        return time.time()

    def _request(self) -> bytes:
        while True:
            head, separator, body = self._held.partition(b"\r\n\r\n")
            if separator:
                found = _length(head)
                size = len(head) + 4 + (int(found[1]) if found else 0)
                if len(body) + len(head) + 4 >= size:
                    request, self._held = self._held[:size], self._held[size:]
                    return request
            if not self._more():
                return b""

    def _part(self, size: int) -> bytes:
        while len(self._held) < size and self._more():
            pass
        part, self._held = self._held[:size], self._held[size:]
        return part

    def _more(self) -> bool:
        data = self._connection.recv(_PIECE)
        self._held += data
        return bool(data)


class Stage:
    """Where a scenario is played. `requests` and `connections` are those seen so far."""

    def __init__(self, scenario: Scenario, cut: int) -> None:
        self.requests = 0
        self.connections = 0
        self.cut = cut
        self.over = threading.Event()
        self._scenario = scenario
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads[0].start()

    def _accept(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(
                target=self._play, args=(connection, self.connections), daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _play(self, connection: socket.socket, number: int) -> None:
        with connection, suppress(OSError):  # a client that has had enough is none of ours
            run(self._scenario.script(number), _Side(self, connection))

    def close(self) -> None:
        """The scenario is over: every connection is closed, every thread has ended."""
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(
                socket.SHUT_RDWR
            )  # wakes the thread in accept(), which would hold the port open
        self._listener.close()
        self._threads[0].join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that sends or receives
        for thread in self._threads:
            thread.join()


@contextmanager
def stage(scenario: Scenario, *, cut: int = 0) -> Generator[Stage]:
    """A server that does on each connection what `scenario` says, and sends it in pieces of `cut` bytes if that is not 0."""
    server = Stage(scenario, cut)
    try:
        yield server
    finally:
        server.close()


def play(scenario: Scenario, call: Caller, *, cut: int = 0) -> tuple[list[object], Seen]:
    """What `scenario` comes to if `call` meets it. Memory is measured (with `tracemalloc`) where the scenario bounds it."""
    settings: dict[str, object] = {"timeouts": scenario.timeouts, "retries": scenario.retries}
    if scenario.max_body is not None:
        settings["max_body"] = scenario.max_body
    measured = scenario.memory is not None and not tracemalloc.is_tracing()
    slept: list[float] = []
    with stage(scenario, cut=cut) as server:
        if measured:
            tracemalloc.start()
        begun = time.monotonic()
        try:
            found = call(server.url, _due(scenario, slept), **settings)
            seconds = time.monotonic() - begun - sum(slept)
            peak = tracemalloc.get_traced_memory()[1] if measured else None
        finally:
            if measured:
                tracemalloc.stop()
        return found, Seen(server.requests, server.connections, seconds, peak)


def check(scenario: Scenario, call: Caller, *, cut: int = 0) -> Seen:
    """Have `call` meet `scenario`; raises an `AssertionError` that says what was expected and what came."""
    found, seen = play(scenario, call, cut=cut)
    wrong = differences(scenario, found, seen)
    if wrong:
        raise AssertionError("\n  ".join([f"row {scenario}:", *wrong]))
    return seen


def _due(scenario: Scenario, slept: list[float]) -> Iterator[InvokeEndpoint]:
    """The operations, each when it is due."""
    for number, operation in enumerate(scenario.calls):
        if number and scenario.gap:
            time.sleep(scenario.gap)
            slept.append(scenario.gap)
        yield operation
