"""A model that takes 20 ms and answers a line for each line, at little cost.

python batch_server.py     print the port; serve until standard input is closed
"""

from __future__ import annotations

import asyncio
import re
import sys

LATENCY = 0.020  # seconds

_content_length = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE).search


class ModelProtocol(asyncio.Protocol):
    """One connection, with one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        found = _content_length(head)
        if separator and found is not None and len(body) >= int(found[1]):
            self._received = b""
            self._loop.call_later(LATENCY, self._answer, body.count(b"\n"))

    def _answer(self, line_count: int) -> None:
        body = b"0.25\n" * line_count
        head = (
            "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 6c4f2a0e-7d2b-4d0c-9a41-0d3a5f7c1b22\r\n"
            f"Content-Type: application/jsonlines\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)


async def serve() -> None:
    """Print the port and serve until standard input is closed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(ModelProtocol, "127.0.0.1", 0, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve())
