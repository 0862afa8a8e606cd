"""The IOs for httpx and its fork httpx2, from one source."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, ClassVar

from anyio import fail_after, to_thread

from smruntime_core import Response, run, run_async
from smruntime_core.effects import Open, Receive, Send, StreamingResponse
from smruntime_core.streaming import receive_whole

from ._bodies import PIECE, UploadReader, framed_headers, open_body
from ._mapping import as_failures, check_client, opened, refuse_public, shortest

_closing_tasks: set[Any] = set()  # an event loop has weak references to its tasks only


class _Body:
    """A response body that is still to be read."""

    def __init__(self, response: Any, parts: Any, abort: Callable[[], None]) -> None:
        self.response: Any = response
        self.parts: Any = parts
        self.abort: Callable[[], None] = abort


class BlockingIO:
    """The effects over a `library.Client`."""

    blocks: ClassVar[bool] = True  # so `AsyncClient` refuses it

    def __init__(self, library: ModuleType, client: Any) -> None:
        check_client("client", client, library.Client, f"an {library.__name__}.Client")
        self._library: Any = library
        self._client = client

    def send(self, effect: Send, /) -> Response:
        """Send a request and return the whole response."""
        refuse_public(effect)
        if not effect.direct:
            return run(receive_whole(effect, time), self)
        with self._library.Client(trust_env=False) as client:  # one without proxies
            return run(receive_whole(effect, time), BlockingIO(self._library, client))

    def open(self, effect: Open, /) -> StreamingResponse:
        """Send a request and return the head of the response."""
        request, limits = _make_request(self._library, effect, open_body(effect.request))
        with as_failures(self._library.HTTPError):
            response = self._client.send(request, stream=True, follow_redirects=False, auth=None)
        limits["read"] = shortest(effect.phases.idle, effect.timeout)  # read when the body begins
        # a mock's response may have been read when it was made: then there is no raw body any more
        parts = response.iter_bytes() if response.is_stream_consumed else response.iter_raw()
        body = _Body(response, parts, response.close)
        return opened(effect, response.status_code, response.headers.raw, body)

    def receive(self, effect: Receive, /) -> bytes:
        """Return the next bytes of a response."""
        body: Any = effect.body
        with as_failures(self._library.HTTPError, status=body.response.status_code):
            return next(body.parts, b"")


class AwaitedIO:
    """The effects over a `library.AsyncClient`, on asyncio or trio."""

    def __init__(self, library: ModuleType, client: Any) -> None:
        check_client("client", client, library.AsyncClient, f"an {library.__name__}.AsyncClient")
        self._library: Any = library
        self._client = client

    async def send(self, effect: Send, /) -> Response:
        """Send a request and return the whole response."""
        refuse_public(effect)
        if not effect.direct:
            return await run_async(receive_whole(effect, time), self)
        async with self._library.AsyncClient(trust_env=False) as client:  # one without proxies
            return await run_async(receive_whole(effect, time), AwaitedIO(self._library, client))

    async def open(self, effect: Open, /) -> StreamingResponse:
        """Send a request and return the head of the response."""
        body = open_body(effect.request)
        content = _read_in_threads(body) if isinstance(body, UploadReader) else body
        request, limits = _make_request(self._library, effect, content)
        with as_failures(self._library.HTTPError), fail_after(effect.timeout):
            response = await self._client.send(
                request, stream=True, follow_redirects=False, auth=None
            )
        limits["read"] = None  # `receive` limits each wait itself
        parts = response.aiter_bytes() if response.is_stream_consumed else response.aiter_raw()
        unread = _Body(response, parts, lambda: _close_soon(response))
        return opened(effect, response.status_code, response.headers.raw, unread)

    async def receive(self, effect: Receive, /) -> bytes:
        """Return the next bytes of a response."""
        body: Any = effect.body
        seconds = shortest(effect.timeout, effect.phases.idle)
        with (
            as_failures(self._library.HTTPError, status=body.response.status_code),
            fail_after(seconds),
        ):
            return await anext(body.parts, b"")


def _make_request(library: Any, effect: Open, content: object) -> tuple[Any, dict[str, Any]]:
    """Return a request of the library and its time limits, which it reads when they begin.

    Only a request that is not made by the client has no headers or parameters of the client's.
    """
    request, phases = effect.request, effect.phases
    limits = {
        "connect": shortest(phases.connect, effect.timeout),
        "pool": shortest(phases.pool, effect.timeout),
        "write": shortest(phases.idle, effect.timeout),
        "read": shortest(phases.response, effect.timeout),
    }
    made_request = library.Request(
        request.method,
        request.url,
        headers=framed_headers(request),
        content=content,
        extensions={"timeout": limits},
    )
    return made_request, limits


async def _read_in_threads(reader: UploadReader) -> AsyncIterator[bytes]:
    while data := await to_thread.run_sync(reader.read, PIECE):
        yield data


def _close_soon(response: Any) -> None:
    """Close a response in a task of its own, because `abort` cannot wait for `aclose`."""
    if response.is_closed:
        return

    async def close() -> None:
        with suppress(Exception):  # the connection is gone in any case
            await response.aclose()

    trio: Any = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        trio.lowlevel.spawn_system_task(close)
        return
    with suppress(RuntimeError):  # no loop runs: the response is forgotten with its loop
        task = asyncio.get_running_loop().create_task(close())
        _closing_tasks.add(task)
        task.add_done_callback(_closing_tasks.discard)
