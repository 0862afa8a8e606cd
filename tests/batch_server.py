"""An endpoint for tests of batches: it counts what runs, is slow, and refuses, as a test says.

python tests/batch_server.py LATENCY_MS     print the port, and serve until input is closed
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from smruntime_core import Credentials


class Answer(NamedTuple):
    """What the container answers, after `seconds`; `closes` cuts the connection instead."""

    body: bytes
    status: int = 200
    content_type: str = "application/jsonlines"
    error_type: str | None = None
    seconds: float = 0.0
    closes: bool = False


THROTTLED = Answer(b'{"message": "slow down"}', 429, "application/json", "ThrottlingException")
MODEL_ERROR = Answer(b'{"Message": "bad row"}', 424, "application/json", "ModelError")
Model = Callable[[bytes, int], Answer]


def echo_lines(body: bytes, _in_flight: int) -> Answer:
    """Answer with the lines of the request."""
    return Answer(body)


class BatchServer:
    """A server on loopback, whose `model` is given a body and the number of calls in flight.

    `runs` counts the runs of each record by its id: records are JSON numbers, or lists that begin
    with one.
    """

    credentials = Credentials("AKIDEXAMPLE", "secret")
    region = "eu-west-1"

    def __init__(self, model: Model = echo_lines, *, counts: bool = True) -> None:
        self.model = model
        self.runs: Counter[int] = Counter()
        self.requests = self.throttled = self.in_flight = 0
        self.url = ""
        self._counts = counts
        self._in_flight_seconds = 0.0
        self._changed_at = self.started_at = time.monotonic()

    @property
    def mean_in_flight(self) -> float:
        """The mean number of calls in flight since the start or `forget`."""
        self._note(0)
        return self._in_flight_seconds / (self._changed_at - self.started_at)

    def forget(self) -> None:
        """Begin to count anew."""
        self.requests = self.throttled = 0
        self._in_flight_seconds = 0.0
        self._changed_at = self.started_at = time.monotonic()

    def _note(self, change: int) -> None:
        now = time.monotonic()
        self._in_flight_seconds += self.in_flight * (now - self._changed_at)
        self._changed_at = now
        self.in_flight += change

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    size = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                    if not await self._answer(await reader.readexactly(size), writer):
                        break
        finally:
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, body: bytes, writer: asyncio.StreamWriter) -> bool:
        self._note(+1)
        try:
            answer = self.model(body, self.in_flight)
            self.requests += 1
            self.throttled += answer.status == 429
            if self._counts and (answer.status == 200 or answer.closes):
                self.runs.update(map(find_id, body.splitlines()))
            if answer.seconds:
                await asyncio.sleep(answer.seconds)
        finally:
            self._note(-1)
        if answer.closes:
            return False
        error = f"x-amzn-ErrorType: {answer.error_type}\r\n" if answer.error_type else ""
        head = (
            f"HTTP/1.1 {answer.status} X\r\nContent-Type: {answer.content_type}\r\n{error}"
            f"Content-Length: {len(answer.body)}\r\n\r\n"
        )
        writer.write(head.encode() + answer.body)
        await writer.drain()
        return True


def find_id(line: bytes) -> int:
    """Return the id of a record."""
    record = json.loads(line)
    return int(record[0] if isinstance(record, list) else record)


@contextmanager
def serving(model: Model = echo_lines, *, counts: bool = True) -> Iterator[BatchServer]:
    """Serve in a thread of this process."""
    batch_server = BatchServer(model, counts=counts)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stopped = asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(
            batch_server.handle, "127.0.0.1", 0, limit=1 << 26, backlog=512
        )
        batch_server.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stopped.wait()
        server.close()

    async def run_to_end() -> None:
        await serve()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run_to_end(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield batch_server
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()


def main() -> None:
    """Serve in a process of its own."""
    seconds = float(sys.argv[1]) / 1000
    with serving(lambda body, _in_flight: Answer(body, seconds=seconds), counts=False) as server:
        print(server.url.rpartition(":")[2], flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
