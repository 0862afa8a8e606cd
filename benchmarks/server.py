"""A server that costs next to nothing: it counts Content-Length and answers with the same bytes, or the same stream, every time.

python server.py [PEM]     prints its port, and with a certificate a second one for TLS; serves until its standard input is closed
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

BODY = b'{"score": 0.25, "label": "stays", "model": "churn-2026-01", "ids": [1, 2, 3, 4, 5, 6, 7], "done": true}\n'
ALWAYS = (("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22"),)
HEADERS = (
    *ALWAYS,
    ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
)
STREAM_HEADERS = (*ALWAYS, ("Content-Type", "application/vnd.amazon.eventstream"), ("Transfer-Encoding", "chunked"))
LARGE_HEADERS = (*ALWAYS, ("Content-Type", "application/octet-stream"), ("Content-Length", str(LARGE)))
EVENTS = 2000


def head(headers: tuple[tuple[str, str], ...]) -> bytes:
    """A status line and header fields."""
    return b"HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers).encode() + b"\r\n"


def event(payload: bytes) -> bytes:
    """One event as SageMaker frames it (written out here: what is measured must not measure itself)."""
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
ANSWER = head(HEADERS) + BODY
STREAM = head(STREAM_HEADERS) + b"%x\r\n%b\r\n" % (len(PART), PART) * EVENTS + b"0\r\n\r\n"

_content_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search
_waste = bytearray(1 << 18)


def answer_to(request: bytes) -> bytes:
    """What a request with this head is answered with."""
    if b"/invocations-response-stream " in request:
        return STREAM
    return head(LARGE_HEADERS) + bytes(LARGE) if b"/endpoints/%b/" % LARGE_ENDPOINT.encode() in request else ANSWER


class Client:
    """A connection, what has come of a head, and how much of a body is still to come."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.received = b""
        self.left = 0
        self.answer = b""

    def readable(self) -> bool:
        """Take what is there and answer what is complete; false at the end."""
        try:
            self.take()
            while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                self.take()
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, EOFError):
            return False
        return True

    def take(self) -> None:
        """What one `recv` gives."""
        if self.left:
            count = self.sock.recv_into(_waste, min(self.left, len(_waste)))
            if not count:
                raise EOFError
            self.left -= count
            if not self.left:
                self.say(self.answer)
            return
        piece = self.sock.recv(1 << 16)
        if not piece:
            raise EOFError
        self.received += piece
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            length = _content_length(self.received, 0, end)
            body = end + 4 + (int(length[1]) if length else 0)
            answer = answer_to(self.received[:end])
            if body > len(self.received):
                self.left, self.received, self.answer = body - len(self.received), b"", answer
                return
            self.received = self.received[body:]
            self.say(answer)

    def say(self, answer: bytes) -> None:
        """Send it all: what is long is for one client alone, so the others do not mind."""
        if len(answer) < 1 << 14:
            self.sock.send(answer)
            return
        self.sock.setblocking(True)
        self.sock.sendall(answer)
        self.sock.setblocking(False)


def serve(listeners: list[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
    """Serve all connections in one thread."""
    watch = selectors.DefaultSelector()
    for listener, tls in listeners:
        watch.register(listener, selectors.EVENT_READ, tls or "plain")
    while True:
        for key, _ in watch.select():
            if isinstance(key.data, Client):
                if not key.data.readable():
                    watch.unregister(key.fileobj)
                    key.data.sock.close()
                continue
            assert isinstance(key.fileobj, socket.socket)
            sock, _ = key.fileobj.accept()
            try:
                sock = key.data.wrap_socket(sock, server_side=True) if isinstance(key.data, ssl.SSLContext) else sock
            except OSError:
                sock.close()
                continue
            sock.setblocking(False)
            watch.register(sock, selectors.EVENT_READ, Client(sock))


def main() -> None:
    listeners: list[tuple[socket.socket, ssl.SSLContext | None]] = [(socket.create_server(("127.0.0.1", 0), backlog=256), None)]
    if sys.argv[1:]:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[1])
        listeners.append((socket.create_server(("127.0.0.1", 0)), tls))
    print(*(listener.getsockname()[1] for listener, _ in listeners), flush=True)
    threading.Thread(target=serve, args=(listeners,), daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
