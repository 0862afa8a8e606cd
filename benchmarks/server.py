"""A server that costs next to nothing: it counts Content-Length and answers with the same bytes, or the same stream, every time.

python server.py        prints its port and serves until its standard input is closed
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import zlib

BODY = b'{"score": 0.25, "label": "stays", "model": "churn-2026-01", "ids": [1, 2, 3, 4, 5, 6, 7], "done": true}\n'
HEADERS = (
    ("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22"),
    ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
)
ANSWER = b"HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS).encode() + b"\r\n" + BODY

EVENTS = 2000
STREAM_HEADERS = (
    ("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22"),
    ("Content-Type", "application/vnd.amazon.eventstream"),
    ("Transfer-Encoding", "chunked"),
)


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
STREAM = (
    b"HTTP/1.1 200 OK\r\n"
    + "".join(f"{name}: {value}\r\n" for name, value in STREAM_HEADERS).encode()
    + b"\r\n"
    + b"%x\r\n%b\r\n" % (len(PART), PART) * EVENTS
    + b"0\r\n\r\n"
)

_content_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search


def serve(connection: socket.socket) -> None:
    """Answer one connection until its client closes it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
        while (head := received.find(b"\r\n\r\n")) >= 0:
            length = _content_length(received, 0, head)
            end = head + 4 + (int(length[1]) if length else 0)
            if len(received) < end:
                break
            streamed = b"/invocations-response-stream " in received[:head]
            received = received[end:]
            connection.sendall(STREAM if streamed else ANSWER)


def main() -> None:
    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
