"""A server that costs next to nothing: it counts Content-Length and answers every request with the same bytes.

python server.py        prints its port and serves until its standard input is closed
"""

from __future__ import annotations

import re
import socket
import sys
import threading

BODY = b'{"score": 0.25, "label": "stays", "model": "churn-2026-01", "ids": [1, 2, 3, 4, 5, 6, 7], "done": true}\n'
HEADERS = (
    ("x-amzn-RequestId", "6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22"),
    ("x-Amzn-Invoked-Production-Variant", "AllTraffic"),
    ("Date", "Thu, 01 Jan 2026 12:00:00 GMT"),
    ("Content-Type", "application/json"),
    ("Content-Length", str(len(BODY))),
)
ANSWER = b"HTTP/1.1 200 OK\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS).encode() + b"\r\n" + BODY

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
            received = received[end:]
            connection.sendall(ANSWER)


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
