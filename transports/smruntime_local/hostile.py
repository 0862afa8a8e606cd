"""A misbehaving server on loopback: it runs the scenarios of `smruntime_core.testing` on sockets.

    check(scenario, call)                       # AssertionError that lists what differs

    with serve_scenario(scenario) as server:
        server.url, server.requests, server.connections

`call(url, operations, *, timeouts, retries)`, and `max_body` or `anonymous` where a scenario sets
it, is the transport under test. It calls the operations one after another with one client and
returns the outcome of each, an output or an exception; `smruntime_core.testing.outcomes` does most
of that. The iterator of operations sleeps until the next one is due. Limit the client to one
connection if it has such a limit: then a call that loses its connection slot breaks the next call.
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
from smruntime_core.testing import (
    FinishSending,
    Observation,
    ReadClock,
    ReceiveRequest,
    ResetConnection,
    Scenario,
    SendBytes,
    StayIdle,
    StreamedCall,
    find_differences,
)

Caller: TypeAlias = "Callable[..., list[object]]"

_content_length = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)").search
_RECEIVE_SIZE = 1 << 20


class _ScenarioEnded(OSError):
    """The end of the scenario, or of the client: the script stops."""


class _ServerConnection:
    """The server's end of one connection: an IO for the effects of a script."""

    def __init__(self, server: ScenarioServer, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server = server
        self._connection = connection
        self._received = b""
        self._inside_request = False  # a part of a request was received and counted

    def receive_request(self, effect: ReceiveRequest) -> bytes:
        size = effect.size
        received = self._whole_request() if size is None else self._part_of_request(size)
        self._server.requests += bool(received) and not self._inside_request
        self._inside_request = size is not None
        return received

    def send_bytes(self, effect: SendBytes) -> None:
        sent_data = effect.data.replace(b"$PORT", b"%d" % self._server.port)
        size = self._server.piece_size or len(sent_data) or 1
        for start in range(0, len(sent_data), size):
            self._connection.sendall(sent_data[start : start + size])

    def stay_idle(self, effect: StayIdle) -> None:
        if self._server.ended.wait(effect.seconds):
            raise _ScenarioEnded

    def reset_connection(self, effect: ResetConnection) -> None:
        del effect
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()

    def finish_sending(self, effect: FinishSending) -> None:
        del effect
        self._connection.shutdown(socket.SHUT_WR)
        while self._connection.recv(_RECEIVE_SIZE):
            pass

    def read_clock(self, effect: ReadClock) -> float:
        del effect
        return time.time()

    def _whole_request(self) -> bytes:
        while True:
            request_head, separator, _ = self._received.partition(b"\r\n\r\n")
            if separator:
                stated_length = _content_length(request_head)
                body_size = int(stated_length[1]) if stated_length else 0
                size = len(request_head) + len(separator) + body_size
                if len(self._received) >= size:
                    return self._take_received(size)
            if not self._receive():
                return b""

    def _part_of_request(self, size: int) -> bytes:
        while len(self._received) < size and self._receive():
            pass
        return self._take_received(size)

    def _take_received(self, size: int) -> bytes:
        taken_bytes, self._received = self._received[:size], self._received[size:]
        return taken_bytes

    def _receive(self) -> bool:
        received_data = self._connection.recv(_RECEIVE_SIZE)
        self._received += received_data
        return bool(received_data)


class ScenarioServer:
    """A server that runs the script of one scenario on each connection.

    `requests` and `connections` count those so far; `piece_size` is the size of what is sent at
    once, 0 for all of it.
    """

    def __init__(self, scenario: Scenario, piece_size: int) -> None:
        self.requests: int = 0
        self.connections: int = 0
        self.piece_size: int = piece_size
        self.ended: threading.Event = threading.Event()
        self._scenario = scenario
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open_connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept_connections, daemon=True)]
        self.port: int = self._listener.getsockname()[1]
        self.url: str = f"http://127.0.0.1:{self.port}"
        self._threads[0].start()

    def _accept_connections(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open_connections.append(connection)
            arguments = (connection, self.connections)
            script_thread = threading.Thread(target=self._run_script, args=arguments, daemon=True)
            self._threads.append(script_thread)
            script_thread.start()

    def _run_script(self, connection: socket.socket, connection_number: int) -> None:
        with connection, suppress(OSError):  # a client may close the connection at any time
            run(self._scenario.script(connection_number), _ServerConnection(self, connection))

    def close(self) -> None:
        """End the scenario: close every connection and wait for every thread."""
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which keeps the port open
        self._listener.close()
        self._threads[0].join()
        for connection in self._open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that sends or receives
        for script_thread in self._threads:
            script_thread.join()


@contextmanager
def serve_scenario(scenario: Scenario, *, piece_size: int = 0) -> Generator[ScenarioServer]:
    """Serve `scenario`; send in pieces of `piece_size` bytes unless it is 0."""
    server = ScenarioServer(scenario, piece_size)
    try:
        yield server
    finally:
        server.close()


def play(
    scenario: Scenario, call: Caller, *, piece_size: int = 0
) -> tuple[list[object], Observation]:
    """Return the outcomes of `call` in `scenario`, and what the server observed.

    Memory is measured with `tracemalloc` where the scenario limits it.
    """
    settings: dict[str, object] = {"timeouts": scenario.timeouts, "retries": scenario.retries}
    if scenario.max_body is not None:
        settings["max_body"] = scenario.max_body
    if scenario.anonymous:
        settings["anonymous"] = True
    measures_memory = scenario.memory_limit is not None and not tracemalloc.is_tracing()
    slept_seconds: list[float] = []
    with serve_scenario(scenario, piece_size=piece_size) as server:
        if measures_memory:
            tracemalloc.start()
        started_at = time.monotonic()
        try:
            found_outcomes = call(server.url, _due_operations(scenario, slept_seconds), **settings)
            seconds = time.monotonic() - started_at - sum(slept_seconds)
            peak_memory = tracemalloc.get_traced_memory()[1] if measures_memory else None
        finally:
            if measures_memory:
                tracemalloc.stop()
        return found_outcomes, Observation(
            server.requests, server.connections, seconds, peak_memory
        )


def check(scenario: Scenario, call: Caller, *, piece_size: int = 0) -> Observation:
    """Run `call` in `scenario`; raise `AssertionError` that lists what differs from it."""
    found_outcomes, observation = play(scenario, call, piece_size=piece_size)
    differences = find_differences(scenario, found_outcomes, observation)
    if differences:
        raise AssertionError("\n  ".join([f"fault {scenario}:", *differences]))
    return observation


def _due_operations(
    scenario: Scenario, slept_seconds: list[float]
) -> Iterator[InvokeEndpoint | StreamedCall]:
    """Yield each operation when it is due; append the seconds slept to `slept_seconds`."""
    for index, operation in enumerate(scenario.calls):
        if index and scenario.interval:
            time.sleep(scenario.interval)
            slept_seconds.append(scenario.interval)
        yield operation
