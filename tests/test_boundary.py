"""Tracebacks of a client's errors: no frame is internal, and none holds a secret."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import smruntime_core as sm
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets
from smruntime_transports.client._boundary import without_internals

from .servers import acting
from .test_jobs import ANSWER
from .test_secrets import (
    BODY,
    CANARY,
    EXTRA,
    FRAME,
    KEYS,
    MEMBERS,
    answering,
    assert_silent,
    raised,
    streamed,
)

REFUSED = answering(b"HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\n{}")
CUT = answering(streamed(FRAME + FRAME[:20]))
PUBLIC = {
    "_boundary.py",
    "_client.py",
    "_sessions.py",
    "_streams.py",
    "_jobs.py",
    "<string>",
}  # the last one: generated constructors

Do = Callable[[Any], object]
SYNC: dict[str, tuple[Any, Do]] = {
    "call": (REFUSED, lambda client: client.invoke_endpoint(**MEMBERS)),
    "call of an operation": (REFUSED, lambda client: client.call(sm.InvokeEndpoint(**MEMBERS))),
    "accepted job": (REFUSED, lambda client: client.invoke_endpoint_async(**MEMBERS)),
    "job": (
        answering(ANSWER),
        lambda client: client.invoke_endpoint_async(**MEMBERS).wait(
            fetch=lambda _: None, timeout=0.01
        ),
    ),
    "stream that is refused": (
        REFUSED,
        lambda client: client.invoke_endpoint_with_response_stream(**MEMBERS),
    ),
    "stream that breaks off": (
        CUT,
        lambda client: list(client.invoke_endpoint_with_response_stream(**MEMBERS).bytes()),
    ),
    "session that is refused": (
        REFUSED,
        lambda client: client.session("e", opening=BODY, custom_attributes=CANARY).open(),
    ),
    "session that is not open": (
        REFUSED,
        lambda client: client.session("e").invoke(body=BODY, custom_attributes=CANARY),
    ),
    "bad argument": (REFUSED, lambda client: client.invoke_endpoint(**{**MEMBERS, "accept": "\n"})),
    "misspelt argument": (REFUSED, lambda client: client.invoke_endpoint(**MEMBERS, acept="x")),
    "bad option": (REFUSED, lambda client: client.with_options(**EXTRA, timeout=-1)),
    "extra header of a member": (
        REFUSED,
        lambda client: client.with_options(extra_headers={"accept": CANARY}).invoke_endpoint(
            **MEMBERS
        ),
    ),
}


async def _read(client: Any) -> None:
    async with client.invoke_endpoint_with_response_stream(**MEMBERS) as stream:
        async for _ in stream.bytes():
            pass


async def _wait(client: Any) -> None:
    async def fetch(location: str) -> None: ...

    job = await client.invoke_endpoint_async(**MEMBERS)
    await job.wait(fetch=fetch, timeout=0.01)


ASYNC: dict[str, tuple[Any, Callable[[Any], Awaitable[object]]]] = {
    "call": (REFUSED, lambda client: client.invoke_endpoint(**MEMBERS)),
    "stream that breaks off": (CUT, _read),
    "stream that is refused": (REFUSED, _read),
    "job": (answering(ANSWER), _wait),
    "session that is refused": (
        REFUSED,
        lambda client: client.session("e", opening=BODY, custom_attributes=CANARY).open(),
    ),
    "session that is not open": (
        REFUSED,
        lambda client: client.session("e").invoke(body=BODY, custom_attributes=CANARY),
    ),
    "bad argument": (REFUSED, lambda client: client.invoke_endpoint(**{**MEMBERS, "accept": "\n"})),
}


def assert_ends_at_the_boundary(error: BaseException) -> None:
    """Assert that no frame is internal and no local of the others holds a secret."""
    assert isinstance(error, sm.SmRuntimeError | TypeError), repr(error)
    assert_silent(error)
    files = {
        frame.f_code.co_filename.rpartition("/")[2]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    }
    tests = {"test_boundary.py", "test_secrets.py", "runners.py", "base_events.py"}
    assert files <= PUBLIC | tests, files - PUBLIC - tests


@pytest.mark.parametrize("name", SYNC)
def test_error_of_a_sync_client_shows_no_internals(name: str) -> None:
    act, do = SYNC[name]
    with (
        acting(act) as stage,
        sockets.Client(region="us-east-1", endpoint_url=stage.url, credentials=KEYS) as client,
    ):
        assert_ends_at_the_boundary(raised(lambda: do(client)))


@pytest.mark.parametrize("name", ASYNC)
def test_error_of_an_async_client_shows_no_internals(name: str) -> None:
    act, do = ASYNC[name]

    async def main(url: str) -> object:
        async with on_asyncio.AsyncClient(
            region="us-east-1", endpoint_url=url, credentials=KEYS
        ) as client:
            return await do(client)

    with acting(act) as stage:
        assert_ends_at_the_boundary(raised(lambda: asyncio.run(main(stage.url))))


def test_error_of_a_credentials_callable_keeps_its_own_frames() -> None:
    """The caller sees where the callable failed, without our frames around it."""

    def find() -> object:
        raise LookupError("no vault")

    with sockets.Client(
        region="us-east-1", endpoint_url="http://127.0.0.1:9", credentials=find
    ) as client:
        error = raised(lambda: client.invoke_endpoint(**MEMBERS))
    assert isinstance(error, sm.CredentialsError)
    cause: BaseException | None = error
    while isinstance(cause, sm.SmRuntimeError):
        cause = cause.__cause__
    assert isinstance(cause, LookupError)
    assert [frame.f_code.co_name for frame, _ in traceback.walk_tb(cause.__traceback__)] == ["find"]


def test_errors_that_cause_each_other_are_handled() -> None:
    one, other = sm.ResponseError("one"), sm.ResponseError("other")
    one.__cause__, other.__cause__ = other, one
    assert without_internals(one) is one
