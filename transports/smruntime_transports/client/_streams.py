"""A streamed response: what its head says, and the rest as events, bytes, text, SSE or JSON.

The logic is `smruntime_core.streaming.Stream`; these classes drive it, one by blocking and one by
awaiting. Leaving the `with` block early closes the connection; after the end it is kept for other
calls.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, Self, TypeAlias, TypeVar

from smruntime_core import (
    AsyncIO,
    InvokeEndpointWithResponseStreamOutput,
    Metadata,
    SmRuntimeError,
    SyncIO,
    run,
    run_async,
)
from smruntime_core.errors import html_table

from ._boundary import async_boundary, boundary, without_internals

if TYPE_CHECKING:
    from smruntime_core.effects import Open, StreamingResponse
    from smruntime_core.payload import JSON, ServerSentEvent
    from smruntime_core.streaming import ResponseEvent, Stream

ItemT = TypeVar("ItemT")
ReadArrived: TypeAlias = Callable[[], Iterator[ItemT]]
OPEN_FIRST: Final = "open it with `async with … as stream:`"
OutputT = TypeVar("OutputT", bound=InvokeEndpointWithResponseStreamOutput)


class _StreamHead(Generic[OutputT]):
    """What the head of the response says."""

    def __init__(self, stream: Stream[OutputT]) -> None:
        self._stream = stream

    @property
    def output(self) -> OutputT:
        """The whole record."""
        return self._stream.output

    @property
    def metadata(self) -> Metadata:
        """Request id, status, headers and attempts."""
        return self._stream.metadata

    @property
    def content_type(self) -> str | None:
        """The MIME type of the parts, joined."""
        return self.output.content_type

    @property
    def invoked_production_variant(self) -> str | None:
        """The production variant that answered."""
        return self.output.invoked_production_variant

    @property
    def custom_attributes(self) -> str | None:
        """The container's own attributes."""
        return self.output.custom_attributes

    @property
    def ended(self) -> bool:
        """Whether the response was read to its end."""
        return self._stream.ended

    def close(self) -> None:
        """Close the connection unless the response was read to its end; never waits."""
        self._stream.close()

    def _shown(self) -> dict[str, object]:
        return {
            "status": self.metadata.status,
            "variant": self.invoked_production_variant,
            "content_type": self.content_type,
            "state": self._stream.state,
            "received": f"{self._stream.received_bytes} bytes",
        }

    def __repr__(self) -> str:
        status, variant, content_type, state, received = self._shown().values()
        origin = f"variant={variant!r}, content_type={content_type!r}"
        return f"<{type(self).__name__} {status} {state}, {origin}, {received} received>"

    def _repr_html_(self) -> str:
        rows = {name.replace("_", " "): value for name, value in self._shown().items()}
        rows["request id"] = self.metadata.request_id
        return html_table(type(self).__name__, rows)

    # Each decoder is imported by the method that uses it, since most calls have no stream.

    def _text_reader(self) -> ReadArrived[str]:
        from smruntime_core.payload import TextDecoder

        return partial(self._stream.decoded, TextDecoder())

    def _line_reader(self) -> ReadArrived[str]:
        from smruntime_core.payload import LineDecoder

        return partial(self._stream.decoded, LineDecoder())

    def _sse_reader(self) -> ReadArrived[ServerSentEvent]:
        from ._event_check import CheckedSSEDecoder

        return partial(self._stream.decoded, CheckedSSEDecoder(self.content_type))

    def _json_reader(self, max_record: int | None) -> ReadArrived[JSON]:
        from smruntime_core.payload import JSONRecordDecoder

        decoder = (
            JSONRecordDecoder() if max_record is None else JSONRecordDecoder(max_record=max_record)
        )
        return partial(self._stream.decoded, decoder)

    def _json_line_reader(self) -> ReadArrived[JSON]:
        from smruntime_core.payload import JSONLinesDecoder

        return partial(self._stream.decoded, JSONLinesDecoder())


class ResponseStream(_StreamHead[OutputT], AbstractContextManager["ResponseStream[OutputT]"]):
    """A streamed response that blocks while it is read.

    Iterating over it yields its events, as `events` does. Each method continues where the last one
    stopped; use one of them. All raise the `ServiceError`
    that ends the response, `StreamError` for bytes that are no event stream, and `TruncatedStream`
    or `DispatchFailure` if it breaks off, after what came before.
    """

    def __init__(self, stream: Stream[OutputT], io: SyncIO) -> None:
        super().__init__(stream)
        self._io = io

    def events(self) -> Iterator[ResponseEvent]:
        """Yield each `PayloadPart`, each unknown event as `UnknownEvent`, and `ResponseEnded`."""
        return self._iterate(self._stream.events)

    def bytes(self) -> Iterator[bytes]:
        """Yield the bytes of each part."""
        return self._iterate(self._stream.parts)

    def text(self) -> Iterator[str]:
        """Yield text as it arrives (UTF-8): never half a character, never empty."""
        return self._iterate(self._text_reader())

    def lines(self) -> Iterator[str]:
        """Yield lines without their line ends."""
        return self._iterate(self._line_reader())

    def sse(self) -> Iterator[ServerSentEvent]:
        """Yield server-sent events."""
        return self._iterate(self._sse_reader())

    def json(self, *, max_record: int | None = None) -> Iterator[JSON]:
        """Yield JSON values, which may have white space between them or none.

        A value may have `max_record` characters (None: 1 MiB). It is parsed at once, which takes
        0.03 s to 0.2 s for each MiB.
        """
        return self._iterate(self._json_reader(max_record))

    def jsonl(self) -> Iterator[JSON]:
        """Yield the JSON value of each line."""
        return self._iterate(self._json_line_reader())

    @boundary
    def read(self) -> OutputT:
        """Return the output with the rest of the response as its body, at most `max_body` bytes.

        So `stream.read().json()` is the JSON value of a whole response.
        """
        return run(self._stream.whole(), self._io)

    def __iter__(self) -> Iterator[ResponseEvent]:
        return self.events()

    def _iterate(self, read_arrived: ReadArrived[ItemT]) -> Iterator[ItemT]:
        try:
            while True:
                yield from read_arrived()
                if self._stream.ended:
                    return
                run(self._stream.more(), self._io)
        except SmRuntimeError as error:
            raise without_internals(error)  # noqa: B904 - it is the same error

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self.close()  # does something only if an interrupt ended the first one


class OpeningIO:
    """The IO of a client while it opens a stream; it remembers the response that it opened.

    `abort` closes that if an exception of a signal handler comes before the caller has the stream.
    """

    def __init__(self, io: SyncIO) -> None:
        self._io = io
        self._opened: StreamingResponse | None = None

    def __getattr__(self, name: str) -> object:
        found = getattr(self._io, name)  # an IO need not have `open`
        return self._open if name == "open" else found

    def _open(self, effect: Open) -> StreamingResponse:
        self._opened = self._io.open(effect)
        return self._opened

    def abort(self) -> None:
        """Close the response, if one has been opened."""
        if self._opened is not None:
            self._opened.body.abort()


class AsyncResponseStream(_StreamHead[OutputT]):
    """A streamed response that is read by `async for`; see `ResponseStream`."""

    def __init__(self, stream: Stream[OutputT], io: AsyncIO) -> None:
        super().__init__(stream)
        self._io = io

    def events(self) -> AsyncIterator[ResponseEvent]:
        """Yield each `PayloadPart`, each unknown event as `UnknownEvent`, and `ResponseEnded`."""
        return self._iterate(self._stream.events)

    def bytes(self) -> AsyncIterator[bytes]:
        """Yield the bytes of each part."""
        return self._iterate(self._stream.parts)

    def text(self) -> AsyncIterator[str]:
        """Yield text as it arrives (UTF-8): never half a character, never empty."""
        return self._iterate(self._text_reader())

    def lines(self) -> AsyncIterator[str]:
        """Yield lines without their line ends."""
        return self._iterate(self._line_reader())

    def sse(self) -> AsyncIterator[ServerSentEvent]:
        """Yield server-sent events."""
        return self._iterate(self._sse_reader())

    def json(self, *, max_record: int | None = None) -> AsyncIterator[JSON]:
        """Yield JSON values, which may have white space between them or none.

        A value may have `max_record` characters (None: 1 MiB). It is parsed at once, which takes
        0.03 s to 0.2 s for each MiB and blocks the event loop.
        """
        return self._iterate(self._json_reader(max_record))

    def jsonl(self) -> AsyncIterator[JSON]:
        """Yield the JSON value of each line."""
        return self._iterate(self._json_line_reader())

    @async_boundary
    async def read(self) -> OutputT:
        """Return the output with the rest of the response as body; see `ResponseStream.read`."""
        return await run_async(self._stream.whole(), self._io)

    def __aiter__(self) -> AsyncIterator[ResponseEvent]:
        return self.events()

    def _iterate(self, read_arrived: ReadArrived[ItemT]) -> AsyncIterator[ItemT]:
        return _AsyncItems(self._stream, self._io, read_arrived)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


class _AsyncItems(Generic[ItemT]):
    """An async iterator; unlike an async generator it needs no closing when it is left early."""

    def __init__(
        self,
        stream: Stream[InvokeEndpointWithResponseStreamOutput],
        io: AsyncIO,
        read_arrived: ReadArrived[ItemT],
    ) -> None:
        self._stream = stream
        self._io = io
        self._read_arrived = read_arrived
        self._arrived_items = read_arrived()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        try:
            while True:
                for item in self._arrived_items:
                    return item
                if self._stream.ended:
                    raise StopAsyncIteration
                await run_async(self._stream.more(), self._io)
                self._arrived_items = self._read_arrived()
        except SmRuntimeError as error:
            raise without_internals(error)  # noqa: B904 - it is the same error


class AsyncOnly:
    """A base that tells a plain `with` to be `async with`."""

    if not TYPE_CHECKING:  # which knows that it is no context manager

        def __enter__(self):
            raise TypeError(f"use `async with` instead of `with`: {type(self).__name__} is async")

        def __exit__(self, *_):
            """Do nothing; `with` looks for it before it calls `__enter__`."""


class OpeningStream(AsyncOnly, Generic[OutputT]):
    """A stream that `async with` opens and closes, or `await` opens.

    If neither does, nothing is sent, and a `RuntimeWarning` says so.
    """

    _was_opened = False

    def __init__(self, open_stream: Callable[[], Awaitable[AsyncResponseStream[OutputT]]]) -> None:
        self._open_stream = open_stream
        self._stream: AsyncResponseStream[OutputT] | None = None

    def __await__(self) -> Generator[object, None, AsyncResponseStream[OutputT]]:
        self._was_opened = True
        return self._open_stream().__await__()

    async def __aenter__(self) -> AsyncResponseStream[OutputT]:
        self._was_opened = True
        self._stream = await self._open_stream()
        return self._stream

    async def __aexit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.close()

    if not TYPE_CHECKING:  # which knows that these do not exist

        def __getattr__(self, name):
            missing = f"{type(self).__name__!r} object has no attribute {name!r}"
            if name.startswith("_") or not hasattr(AsyncResponseStream, name):
                raise AttributeError(missing)
            raise AttributeError(f"{missing}: {OPEN_FIRST}")

        def __aiter__(self):
            raise TypeError(OPEN_FIRST)

    def __repr__(self) -> str:
        state = "opened" if self._was_opened else f"not opened: {OPEN_FIRST}"
        return f"<{type(self).__name__} {state}>"

    def __del__(self) -> None:
        if not self._was_opened:
            import warnings

            message = f"a stream was never opened, and nothing was sent: {OPEN_FIRST}"
            warnings.warn(message, RuntimeWarning, stacklevel=2, source=self)
