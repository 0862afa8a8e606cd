"""A server that costs little: it counts Content-Length and sends the same answers each time.

python server.py [PEM]     print the port, and with a certificate a second one for TLS; serve until
                           standard input is closed
"""

from __future__ import annotations

import re
import selectors
import socket
import ssl
import sys
import threading
import zlib

from work import LARGE, LARGE_ENDPOINT

BODY = b'{"score": 0.25, "label": "stays", "model": "churn-2026-01", "ids": [1, 2, 3]}\n'
REQUEST_ID = ("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22")
HEADERS = (
    REQUEST_ID,
    ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
)
STREAM_HEADERS = (
    REQUEST_ID,
    ("Content-Type", "application/vnd.amazon.eventstream"),
    ("Transfer-Encoding", "chunked"),
)
LARGE_HEADERS = (
    REQUEST_ID,
    ("Content-Type", "application/octet-stream"),
    ("Content-Length", str(LARGE)),
)
EVENTS = 2000


def head(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a status line and header fields."""
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode()


def event(payload: bytes) -> bytes:
    """Return one event in SageMaker's framing, by code that is not measured."""
    headers = b"".join(
        bytes((len(name),)) + name + b"\x07" + len(value).to_bytes(2, "big") + value
        for name, value in (
            (b":event-type", b"PayloadPart"),
            (b":content-type", b"application/octet-stream"),
            (b":message-type", b"event"),
        )
    )
    sizes = (16 + len(headers) + len(payload)).to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    frame = sizes + zlib.crc32(sizes).to_bytes(4, "big") + headers + payload
    return frame + zlib.crc32(frame).to_bytes(4, "big")


PART = event(b"x" * 64)
CHUNK = b"%x\r\n%b\r\n" % (len(PART), PART)
ANSWER = head(HEADERS) + BODY
STREAM = head(STREAM_HEADERS) + CHUNK * EVENTS + b"0\r\n\r\n"

_content_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search
_discarded = bytearray(1 << 18)


def answer_to(request: bytes) -> bytes:
    """Return the answer to a request with this head."""
    if b"/invocations-response-stream " in request:
        return STREAM
    if b"/endpoints/%b/" % LARGE_ENDPOINT.encode() in request:
        return head(LARGE_HEADERS) + bytes(LARGE)
    return ANSWER


class Client:
    """A connection: the start of a head, or the bytes of a body that are still to come."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received = b""
        self.body_left = 0
        self.answer = b""

    def receive(self) -> bool:
        """Receive what has arrived and answer complete requests; return False at the end."""
        try:
            self.receive_once()
            while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                self.receive_once()
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, EOFError):
            return False
        return True

    def receive_once(self) -> None:
        """Receive once."""
        if self.body_left:
            count = self.sock.recv_into(_discarded, min(self.body_left, len(_discarded)))
            if not count:
                raise EOFError
            self.body_left -= count
            if not self.body_left:
                self.send(self.answer)
            return
        data = self.sock.recv(1 << 16)
        if not data:
            raise EOFError
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = _content_length(self.received, 0, end)
            request_end = end + 4 + (int(length[1]) if length else 0)
            answer = answer_to(self.received[:end])
            if request_end > len(self.received):
                self.body_left = request_end - len(self.received)
                self.received, self.answer = b"", answer
                return
            self.received = self.received[request_end:]
            self.send(answer)

    def send(self, answer: bytes) -> None:
        """Send a whole answer; a long one blocks the server, which then has only one client."""
        if len(answer) < 1 << 14:
            self.sock.send(answer)
            return
        self.sock.setblocking(True)
        self.sock.sendall(answer)
        self.sock.setblocking(False)


def serve(listeners: list[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
    """Serve all connections in one thread."""
    selector = selectors.DefaultSelector()
    for listener, context in listeners:
        selector.register(listener, selectors.EVENT_READ, context)
    while True:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            if isinstance(key.data, Client):
                if not key.data.receive():
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                continue
            sock, _ = key.fileobj.accept()
            if key.data:
                try:
                    sock = key.data.wrap_socket(sock, server_side=True)
                except OSError:
                    sock.close()
                    continue
            sock.setblocking(False)
            selector.register(sock, selectors.EVENT_READ, Client(sock))


def main() -> None:
    plain = socket.create_server(("127.0.0.1", 0), backlog=256)
    listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = [(plain, None)]
    if sys.argv[1:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        listeners.append((socket.create_server(("127.0.0.1", 0)), context))
    print(*(listener.getsockname()[1] for listener, _ in listeners), flush=True)
    threading.Thread(target=serve, args=(listeners,), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
