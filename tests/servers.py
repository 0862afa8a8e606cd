"""Servers on loopback for tests: they read whole requests and send any bytes that a test gives."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import urllib3

CLOSE = b""
OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nx-amzn-RequestId: r-1\r\n"
    b"Content-Length: 3\r\n\r\nabc"
)


class Scripted:
    """A server that sends one of `answers` for each request, on any connection.

    `CLOSE` closes the connection instead; a float is a pause before the next answer.
    """

    def __init__(self, answers: list[bytes | float], tls: ssl.SSLContext | None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answers = list(answers)
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._open: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _next(self) -> bytes | float:
        return self._answers.pop(0) if self._answers else CLOSE

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            held = b""
            while self._answers:
                request, held = _read_request(connection, held)
                if not request:
                    return
                self.requests.append(request)
                answer = self._next()
                while isinstance(answer, float):
                    self._closing.wait(answer)
                    answer = self._next()
                if not answer:
                    return
                connection.sendall(answer)
                if b"Connection: close" in answer:
                    return
        except OSError:
            pass
        finally:
            connection.close()

    def close(self) -> None:
        self._answers.clear()
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which keeps the port open
        self._listener.close()
        for connection in self._open:
            connection.close()


def _read_request(connection: socket.socket, held: bytes) -> tuple[bytes, bytes]:
    while True:
        head, separator, body = held.partition(b"\r\n\r\n")
        if separator:
            found = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            length = int(found[1]) if found else 0
            if len(body) >= length:
                return head + separator + body[:length], body[length:]
        data = connection.recv(1 << 20)
        if not data:
            return b"", b""
        held += data


@contextmanager
def scripted(*answers: bytes | float, tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    server = Scripted(list(answers), tls)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def cutting(answer: bytes) -> Iterator[str]:
    """Send the first byte of `answer` on the first connection, two bytes on the next, and so on."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for length in range(1, len(answer) + 1):
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                _read_request(connection, b"")
                connection.sendall(answer[:length])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class Peer:
    """The server's end of one connection; `number` counts connections from 1."""

    def __init__(self, stage: Stage, connection: socket.socket, number: int) -> None:
        self.number = number
        self.connection = connection
        self._stage = stage
        self._held = b""

    def read(self) -> bytes:
        """Return one whole request and record it; b"" if the client has closed."""
        request, self._held = _read_request(self.connection, self._held)
        if request:
            self._stage.requests.append(request)
        return request

    def read_part(self, size: int) -> None:
        """Receive the first `size` bytes of a request and record it."""
        taken = 0
        while taken < size and (data := self.connection.recv(size - taken)):
            taken += len(data)
        self._stage.requests.append(b"...")

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)
        self._stage.sent += len(data)

    def drip(self, pieces: Iterator[bytes], every: float) -> None:
        """Send one piece every `every` seconds until the client or the stage closes."""
        for piece in pieces:
            if self._stage.closing.wait(every):
                return
            self.send(piece)

    def idle(self, seconds: float = 30.0) -> None:
        """Neither read nor send nor close, until the stage is closed."""
        self._stage.closing.wait(seconds)

    def reset(self) -> None:
        """Close so that the client gets an RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Stage:
    """A server that runs `act` on each connection.

    `requests` and `sent` (bytes) are those of all connections; `under_way` counts the open ones.
    """

    def __init__(self, act: Callable[[Peer], None]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.under_way = 0
        self.sent = 0
        self.closing = threading.Event()
        self._counting = threading.Lock()
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with self._counting:
                self.under_way += 1
            self._open.append(connection)
            threading.Thread(
                target=self._serve, args=(Peer(self, connection, self.connections),), daemon=True
            ).start()

    def _serve(self, peer: Peer) -> None:
        with peer.connection, suppress(OSError):
            self._act(peer)
        with self._counting:
            self.under_way -= 1

    def close(self) -> None:
        self.closing.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes a thread that sends or receives


@contextmanager
def acting(act: Callable[[Peer], None]) -> Iterator[Stage]:
    """Run a server that calls `act` on each connection, in its own thread, and then closes it."""
    stage = Stage(act)
    try:
        yield stage
    finally:
        stage.close()


@contextmanager
def closed_port() -> Iterator[str]:
    """Provide a URL on loopback whose port belongs to a socket that does not listen."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def moto_server() -> Iterator[str]:
    """Run a moto server and provide its URL; it checks nothing until `authenticate` is called."""
    command = [
        sys.executable,
        "-P",
        "-c",
        "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = (re.search(r"http://127\.0\.0\.1:[0-9]+", line) for line in process.stderr)
            yield next(found[0] for found in lines if found)
        finally:
            process.terminate()


def authenticate(url: str) -> None:
    """Make the moto server at `url` check signatures and policies from now on."""
    urllib3.request(
        "POST", f"{url}/moto-api/reset-auth", body="0", headers={"Content-Type": "text/plain"}
    )
