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

from work import LARGE_ENDPOINT, LARGE_SIZE, TINY_EVENTS_ENDPOINT

ANSWER_BODY = b'{"score": 0.25, "label": "stays", "model": "churn-2026-01", "ids": [1, 2, 3]}\n'
REQUEST_ID = ("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22")
ANSWER_HEADERS = (
    REQUEST_ID,
    ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(ANSWER_BODY))),
)
STREAM_HEADERS = (
    REQUEST_ID,
    ("Content-Type", "application/vnd.amazon.eventstream"),
    ("Transfer-Encoding", "chunked"),
)
LARGE_HEADERS = (
    REQUEST_ID,
    ("Content-Type", "application/octet-stream"),
    ("Content-Length", str(LARGE_SIZE)),
)
EVENT_COUNT = 2000


def format_head(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Return a status line and header fields."""
    head_lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*head_lines, "", ""]).encode()


def encode_event(payload: bytes) -> bytes:
    """Return one event in SageMaker's framing, by code that is not measured."""
    headers = b"".join(
        bytes((len(name),)) + name + b"\x07" + len(value).to_bytes(2, "big") + value
        for name, value in (
            (b":event-type", b"PayloadPart"),
            (b":content-type", b"application/octet-stream"),
            (b":message-type", b"event"),
        )
    )
    total_size = 16 + len(headers) + len(payload)
    prelude = total_size.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    unfinished_frame = prelude + zlib.crc32(prelude).to_bytes(4, "big") + headers + payload
    return unfinished_frame + zlib.crc32(unfinished_frame).to_bytes(4, "big")


def make_events(shortest: int, longest: int) -> list[bytes]:
    """Return events that all differ, with payloads from `shortest` to `longest` bytes."""
    payloads = [b'{"index": %04d, "token": "' % number for number in range(EVENT_COUNT)]
    sizes = [shortest + number * 7 % (longest - shortest + 1) for number in range(EVENT_COUNT)]
    return [
        encode_event(payload.ljust(size, b"x"))
        for payload, size in zip(payloads, sizes, strict=True)
    ]


EVENTS = make_events(64, 64)
EVENT_STREAM = b"".join(EVENTS)
VARIED_EVENT_STREAM = b"".join(make_events(48, 80))
SHORT_ANSWER = format_head(ANSWER_HEADERS) + ANSWER_BODY
EVENT_CHUNKS = [b"%x\r\n%b\r\n" % (len(event), event) for event in EVENTS]
STREAM_ANSWER = format_head(STREAM_HEADERS) + b"".join(EVENT_CHUNKS) + b"0\r\n\r\n"

_content_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search
_discarded = bytearray(1 << 18)


def answer_to(request: bytes) -> bytes:
    """Return the answer to a request with this head."""
    if b"/endpoints/%b/" % TINY_EVENTS_ENDPOINT.encode() in request:
        part = encode_event(b"[]\n" * 8_000_000)
        return format_head(STREAM_HEADERS) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(part), part)
    if b"/invocations-response-stream " in request:
        return STREAM_ANSWER
    if b"/endpoints/%b/" % LARGE_ENDPOINT.encode() in request:
        return format_head(LARGE_HEADERS) + bytes(LARGE_SIZE)
    return SHORT_ANSWER


class ClientConnection:
    """A connection: the start of a head, or the bytes of a body that are still to come."""

    def __init__(self, client_socket: socket.socket) -> None:
        client_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = client_socket
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
            received_count = self.sock.recv_into(_discarded, min(self.body_left, len(_discarded)))
            if not received_count:
                raise EOFError
            self.body_left -= received_count
            if not self.body_left:
                self.send(self.answer)
            return
        received_data = self.sock.recv(1 << 16)
        if not received_data:
            raise EOFError
        self.received += received_data
        while (head_end := self.received.find(b"\r\n\r\n")) >= 0:
            content_length = _content_length(self.received, 0, head_end)
            request_end = head_end + 4 + (int(content_length[1]) if content_length else 0)
            answer = answer_to(self.received[:head_end])
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
            if isinstance(key.data, ClientConnection):
                if not key.data.receive():
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                continue
            client_socket, _ = key.fileobj.accept()
            if key.data:
                try:
                    client_socket = key.data.wrap_socket(client_socket, server_side=True)
                except OSError:
                    client_socket.close()
                    continue
            client_socket.setblocking(False)
            selector.register(client_socket, selectors.EVENT_READ, ClientConnection(client_socket))


def main() -> None:
    """Serve until standard input is closed."""
    plain_listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = [(plain_listener, None)]
    if sys.argv[1:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1])
        listeners.append((socket.create_server(("127.0.0.1", 0)), context))
    print(*(listener.getsockname()[1] for listener, _ in listeners), flush=True)
    threading.Thread(target=serve, args=(listeners,), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
