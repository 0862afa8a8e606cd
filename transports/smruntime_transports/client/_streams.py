"""A streamed answer in the hands of its reader: what the head said, and the rest as events, bytes, text, lines, SSE, JSON.

All of it is `smruntime_core.Stream`; here stands what has a colour, once blocking and once to be awaited. Leave the `with` block
early and the connection is closed; read to the end and it is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeAlias, TypeVar

from smruntime_core import (
    AsyncIO,
    InvokeEndpointWithResponseStreamOutput,
    Metadata,
    SmRuntimeError,
    SyncIO,
    run,
    run_async,
)

from ._boundary import without_internals

if TYPE_CHECKING:
    from smruntime_core.effects import Open, StreamingResponse
    from smruntime_core.payload import JSON, ServerSentEvent
    from smruntime_core.streaming import ResponseEvent, Stream

T = TypeVar("T")
Ready: TypeAlias = Callable[[], Iterator[T]]  # what of it has arrived
OutputT = TypeVar("OutputT", bound=InvokeEndpointWithResponseStreamOutput)


class _Headed(Generic[OutputT]):
    """What the head of the answer said."""

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
        """The type of what the parts make up."""
        return self.output.content_type

    @property
    def invoked_production_variant(self) -> str | None:
        """The variant that answers."""
        return self.output.invoked_production_variant

    @property
    def custom_attributes(self) -> str | None:
        """What the container says besides."""
        return self.output.custom_attributes

    def close(self) -> None:
        """Close the connection unless the answer was read to its end; never waits."""
        self._stream.close()

    # a decoder is imported by who reads with it: most calls have no stream

    def _text(self) -> Ready[str]:
        from smruntime_core.payload import TextDecoder

        return partial(self._stream.decoded, TextDecoder())

    def _lines(self) -> Ready[str]:
        from smruntime_core.payload import LineDecoder

        return partial(self._stream.decoded, LineDecoder())

    def _sse(self) -> Ready[ServerSentEvent]:
        from smruntime_core.payload import SSEDecoder

        return partial(self._stream.decoded, SSEDecoder())

    def _json(self) -> Ready[JSON]:
        from smruntime_core.payload import JSONRecordDecoder

        return partial(self._stream.decoded, JSONRecordDecoder())


class ResponseStream(_Headed[OutputT], AbstractContextManager["ResponseStream[OutputT]"]):
    """A streamed answer, read by blocking. Each method goes on where the last stopped; use one."""

    def __init__(self, stream: Stream[OutputT], io: SyncIO) -> None:
        super().__init__(stream)
        self._io = io

    def events(self) -> Iterator[ResponseEvent]:
        """`PayloadPart`, what is unknown as `UnknownEvent`, and `ResponseEnded`.

        All methods raise the `ServiceError` that ends the answer, `StreamError` for bytes that are no event stream,
        `TruncatedStream` or a `DispatchFailure` if it breaks off; what came before was given.
        """
        return self._each(self._stream.events)

    def bytes(self) -> Iterator[bytes]:
        """The bytes of each part."""
        return self._each(self._stream.parts)

    def text(self) -> Iterator[str]:
        """Text as it arrives (UTF-8): never half a character, never empty."""
        return self._each(self._text())

    def lines(self) -> Iterator[str]:
        """Lines without their ends."""
        return self._each(self._lines())

    def sse(self) -> Iterator[ServerSentEvent]:
        """Server-sent events."""
        return self._each(self._sse())

    def json(self) -> Iterator[JSON]:
        """JSON values, one after the other, with or without white space between them."""
        return self._each(self._json())

    def _each(self, ready: Ready[T]) -> Iterator[T]:
        try:
            while True:
                yield from ready()
                if self._stream.ended:
                    return
                run(self._stream.more(), self._io)
        except SmRuntimeError as error:
            raise without_internals(error)  # noqa: B904 - it is the same error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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


class AsyncResponseStream(_Headed[OutputT]):
    """A streamed answer, to be awaited; its methods are those of `ResponseStream`."""

    def __init__(self, stream: Stream[OutputT], io: AsyncIO) -> None:
        super().__init__(stream)
        self._io = io

    def events(self) -> AsyncIterator[ResponseEvent]:
        """See `ResponseStream.events`."""
        return self._each(self._stream.events)

    def bytes(self) -> AsyncIterator[bytes]:
        """The bytes of each part."""
        return self._each(self._stream.parts)

    def text(self) -> AsyncIterator[str]:
        """Text as it arrives (UTF-8): never half a character, never empty."""
        return self._each(self._text())

    def lines(self) -> AsyncIterator[str]:
        """Lines without their ends."""
        return self._each(self._lines())

    def sse(self) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events."""
        return self._each(self._sse())

    def json(self) -> AsyncIterator[JSON]:
        """JSON values, one after the other, with or without white space between them."""
        return self._each(self._json())

    def _each(self, ready: Ready[T]) -> AsyncIterator[T]:
        return _Each(self._stream, self._io, ready)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Each(Generic[T]):
    """An iterator and no generator: whoever leaves an asynchronous generator early has to close it, and be told so."""

    def __init__(
        self, stream: Stream[InvokeEndpointWithResponseStreamOutput], io: AsyncIO, ready: Ready[T]
    ) -> None:
        self._stream = stream
        self._io = io
        self._ready = ready
        self._items = ready()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            while True:
                for item in self._items:
                    return item
                if self._stream.ended:
                    raise StopAsyncIteration
                await run_async(self._stream.more(), self._io)
                self._items = self._ready()
        except SmRuntimeError as error:
            raise without_internals(error)  # noqa: B904 - it is the same error


class OpeningStream(Generic[OutputT]):
    """A stream that is opened by `async with` (which closes it too) or by `await`."""

    def __init__(self, begin: Callable[[], Awaitable[AsyncResponseStream[OutputT]]]) -> None:
        self._begin = begin
        self._opened: AsyncResponseStream[OutputT] | None = None

    def __await__(self) -> Generator[object, None, AsyncResponseStream[OutputT]]:
        return self._begin().__await__()

    async def __aenter__(self) -> AsyncResponseStream[OutputT]:
        self._opened = await self._begin()
        return self._opened

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened is not None:
            self._opened.close()
