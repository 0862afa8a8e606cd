"""A model of the user's: a function from a call to whatever is convenient.

    def churn(call: Call) -> dict[str, float]:
        return {"score": sum(call.json())}

| the function returns or yields  | the body                     | content type                |
|---------------------------------|------------------------------|-----------------------------|
| bytes                           | as it is                     | `accept`, or octet-stream   |
| str                             | UTF-8                        | text/plain                  |
| another JSON value, or arrays   | JSON                         | application/json            |
| `InvokeEndpointOutput`          | its body and headers         | its own                     |
| a generator of the first three  | a part each; JSON as a line  | of the first, or JSON lines |

The function and the generator may be async; each call then has an event loop of its own. What they
raise is handled as for any container (`_container`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from itertools import chain, islice
from typing import Any, Final, TypeAlias, cast

from smruntime_core import InvokeEndpointOutput
from smruntime_core.codecs import as_json

from ._call import Call
from ._container import JSON_TYPE, TEXT_TYPE, ContainerReply, Model

ModelFunction: TypeAlias = Callable[[Call], object]

BYTES_TYPE: Final = "application/octet-stream"
JSON_LINES_TYPE: Final = "application/jsonlines"
_BYTES_TYPES: Final[tuple[type, ...]] = (bytes, bytearray, memoryview)


def make_function_model(function: ModelFunction) -> Model:
    """Return the container that `function` is."""

    def respond(call: Call) -> ContainerReply:
        result = function(call)
        if inspect.isawaitable(result):
            result = asyncio.run(_await_result(cast("Awaitable[object]", result)))
        if isinstance(result, AsyncIterator):
            result = _iterate_async(cast("AsyncIterator[object]", result))
        if isinstance(result, Iterator):
            return _make_streamed_reply(call, cast("Iterator[object]", result))
        return _make_whole_reply(call, result)

    return respond


def check_result(value: object) -> None:
    """Raise `TypeError` for a value that a function cannot return as its answer."""
    problem, type_name = None, type(value).__name__
    if isinstance(value, BaseException):
        problem = "only a ServiceError is a step, such as sm.ModelError(…)"
    elif callable(value):
        problem = "a function is a model, not a step"
    elif not isinstance(value, InvokeEndpointOutput | Iterator):
        try:
            _encode_part(value)
        except (TypeError, ValueError) as error:
            problem = f"it is neither bytes, text nor JSON: {error}"
    if problem is not None:
        raise TypeError(f"script: found {type_name}: {problem}")


async def _await_result(result: Awaitable[object]) -> object:
    return await result


def _iterate_async(items: AsyncIterator[object]) -> Generator[object]:
    """Yield the items of an async generator, on an event loop that lives as long."""
    with asyncio.Runner() as runner:
        try:
            while True:
                try:
                    yield runner.run(cast("Coroutine[Any, Any, object]", anext(items)))
                except StopAsyncIteration:
                    return
        finally:
            if inspect.isasyncgen(items):
                runner.run(items.aclose())


def _make_whole_reply(call: Call, result: object) -> ContainerReply:
    if isinstance(result, InvokeEndpointOutput):
        return ContainerReply(
            result.content_type,
            [_encode_part(result.body)],
            result.custom_attributes,
            result.new_session_id,
            result.closed_session_id,
        )
    content_type = _find_content_type(call, result)
    return ContainerReply(content_type, [_encode_part(result)], call.custom_attributes)


def _make_streamed_reply(call: Call, items: Iterator[object]) -> ContainerReply:
    """Return a reply whose first part is made now, since it decides the content type."""
    first_items = list(islice(items, 1))
    content_type = _find_content_type(call, first_items[0]) if first_items else call.accept
    if content_type == JSON_TYPE:
        content_type = JSON_LINES_TYPE
    parts = map(_encode_line, chain(first_items, items))
    return ContainerReply(content_type, parts, call.custom_attributes)


def _find_content_type(call: Call, item: object) -> str:
    if isinstance(item, _BYTES_TYPES):
        return call.accept or BYTES_TYPE
    return TEXT_TYPE if isinstance(item, str) else JSON_TYPE


def _encode_part(item: object) -> bytes:
    if isinstance(item, _BYTES_TYPES):
        return bytes(cast("bytes", item))
    return item.encode() if isinstance(item, str) else as_json(item)["body"]


def _encode_line(item: object) -> bytes:
    is_json = not isinstance(item, (*_BYTES_TYPES, str))
    return _encode_part(item) + b"\n" * is_json
