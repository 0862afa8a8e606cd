"""A server on loopback that plays the scenarios of `smruntime_core.testing` on real sockets.

    with stage(scenario) as server:
        server.url, server.requests, server.connections

    check(scenario, call)           # raises AssertionError unless `call` reacts correctly

`call(url, operations, *, timeouts, retries)`, with `max_body` where a scenario sets it, performs
the operations in order with one client, and returns the outcome of each: its output or its
exception. `smruntime_core.testing.outcomes` does most of that. The iterator of the operations may
wait before it yields one.
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
from typing import Final, TypeAlias

from smruntime_core import InvokeEndpoint, run
from smruntime_core.testing import Finish, Hear, Now, Pause, Reset, Say, Scenario, Seen, differences

Caller: TypeAlias = "Callable[..., list[object]]"

RECEIVE_SIZE: Final = 1 << 20  # bytes
NO_LINGER: Final = struct.pack("ii", 1, 0)  # close() resets the connection

_search_length = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)").search


class _ScenarioEnded(OSError):
    """The end of the scenario, which stops the scripts of all connections."""


class _ServerIO:
    """The IO for the effects of a script: the server's side of one connection."""

    def __init__(self, stage: Stage, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stage = stage
        self._connection = connection
        self._received_data = b""
        self._is_within_request = False  # a part of it was received

    def hear(self, effect: Hear) -> bytes:
        request_data = self._read_part(effect.part) if effect.part else self._read_request()
        self._stage.requests += bool(request_data) and not self._is_within_request
        self._is_within_request = effect.part is not None
        return request_data

    def say(self, effect: Say) -> None:
        data = effect.data.replace(b"$PORT", b"%d" % self._stage.port)
        piece_size = self._stage.cut or len(data) or 1
        for start in range(0, len(data), piece_size):
            self._connection.sendall(data[start : start + piece_size])

    def pause(self, effect: Pause) -> None:
        if self._stage.over.wait(effect.seconds):
            raise _ScenarioEnded

    def reset(self, effect: Reset) -> None:
        del effect
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._connection.close()

    def finish(self, effect: Finish) -> None:
        del effect
        self._connection.shutdown(socket.SHUT_WR)
        while self._connection.recv(RECEIVE_SIZE):
            pass

    def now(self, effect: Now) -> float:
        del effect
        return time.time()

    def _read_request(self) -> bytes:
        while True:
            head, separator, body = self._received_data.partition(b"\r\n\r\n")
            if separator:
                found_length = _search_length(head)
                body_size = int(found_length[1]) if found_length else 0
                if len(body) >= body_size:
                    return self._take(len(head) + len(separator) + body_size)
            if not self._receive_more():
                return b""

    def _read_part(self, size: int) -> bytes:
        while len(self._received_data) < size and self._receive_more():
            pass
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken_data = self._received_data[:size]
        self._received_data = self._received_data[size:]
        return taken_data

    def _receive_more(self) -> bool:
        data = self._connection.recv(RECEIVE_SIZE)
        self._received_data += data
        return bool(data)


class Stage:
    """The server that plays one scenario; `requests` and `connections` count those seen so far."""

    def __init__(self, scenario: Scenario, cut: int) -> None:
        self.requests: int = 0
        self.connections: int = 0
        self.cut: int = cut
        self.over: threading.Event = threading.Event()
        self._scenario = scenario
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open_connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept_connections, daemon=True)]
        self.port: int = self._listener.getsockname()[1]
        self.url: str = f"http://127.0.0.1:{self.port}"
        self._threads[0].start()

    def _accept_connections(self) -> None:
        while not self.over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open_connections.append(connection)
            script_arguments = (connection, self.connections)
            thread = threading.Thread(target=self._run_script, args=script_arguments, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run_script(self, connection: socket.socket, connection_number: int) -> None:
        with connection, suppress(OSError):  # the client closed, or the scenario ended
            run(self._scenario.script(connection_number), _ServerIO(self, connection))

    def close(self) -> None:
        """End the scenario: close every connection and wait for every thread."""
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        self._listener.close()
        self._threads[0].join()
        for connection in self._open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that sends or receives
        for thread in self._threads:
            thread.join()


@contextmanager
def stage(scenario: Scenario, *, cut: int = 0) -> Generator[Stage]:
    """Play the server's side of `scenario`, in pieces of `cut` bytes unless that is 0."""
    server = Stage(scenario, cut)
    try:
        yield server
    finally:
        server.close()


def play(scenario: Scenario, call: Caller, *, cut: int = 0) -> tuple[list[object], Seen]:
    """Return the outcomes of `call` in `scenario`, and what the server saw.

    Memory is measured with `tracemalloc` if the scenario limits it.
    """
    settings: dict[str, object] = {"timeouts": scenario.timeouts, "retries": scenario.retries}
    if scenario.max_body is not None:
        settings["max_body"] = scenario.max_body
    is_measured = scenario.memory is not None and not tracemalloc.is_tracing()
    gap_seconds: list[float] = []
    with stage(scenario, cut=cut) as server:
        if is_measured:
            tracemalloc.start()
        started_at = time.monotonic()
        try:
            call_outcomes = call(server.url, _schedule(scenario, gap_seconds), **settings)
            call_seconds = time.monotonic() - started_at - sum(gap_seconds)
            peak_memory = tracemalloc.get_traced_memory()[1] if is_measured else None
        finally:
            if is_measured:
                tracemalloc.stop()
        return call_outcomes, Seen(server.requests, server.connections, call_seconds, peak_memory)


def check(scenario: Scenario, call: Caller, *, cut: int = 0) -> Seen:
    """Play `scenario`; raise an `AssertionError` that names each difference from what is right."""
    call_outcomes, seen = play(scenario, call, cut=cut)
    found_differences = differences(scenario, call_outcomes, seen)
    if found_differences:
        raise AssertionError("\n  ".join([f"row {scenario}:", *found_differences]))
    return seen


def _schedule(scenario: Scenario, gap_seconds: list[float]) -> Iterator[InvokeEndpoint]:
    """Yield the operations, after the gap that the scenario sets between them."""
    for number, operation in enumerate(scenario.calls):
        if number and scenario.gap:
            time.sleep(scenario.gap)
            gap_seconds.append(scenario.gap)
        yield operation
