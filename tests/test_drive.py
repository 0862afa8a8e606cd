"""The two loops: replies and failures go into the flow, everything else closes it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import trio

from smruntime_core import Credentials, CredentialsError, Request, Response, run, run_async
from smruntime_core.effects import Flow, GetCredentials, Send, Sleep

KEYS = Credentials("AKID", "secret")
REQUEST = Request("GET", "https://h/")


class Script:
    """A sync IO that answers `send` from a list, and raises the exceptions in it."""

    def __init__(self, *replies: object) -> None:
        self.replies = list(replies)
        self.seen: list[str] = []

    def credentials(self, effect: GetCredentials) -> Credentials:
        self.seen.append(effect.method)
        return KEYS

    def send(self, effect: Send) -> Any:
        self.seen.append(effect.method)
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    def sleep(self, effect: Sleep) -> None:
        self.seen.append(f"sleep {effect.seconds}")


class AsyncScript:
    """An async IO that lets other tasks run before it answers from a `Script`."""

    def __init__(self, script: Script, pause: Callable[[float], Any]) -> None:
        self._script = script
        self._pause = pause

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        async def answer(effect: Any) -> Any:
            await self._pause(0)
            return getattr(self._script, name)(effect)

        return answer


def driven(flow: Flow[Any], script: Script, way: str) -> Any:
    if way == "run":
        return run(flow, script)
    if way == "trio":
        return trio.run(run_async, flow, AsyncScript(script, trio.sleep))
    return asyncio.run(run_async(flow, AsyncScript(script, asyncio.sleep)))


WAYS = pytest.mark.parametrize("way", ["run", "trio", "asyncio"])
closed: list[str] = []


def conversation() -> Flow[tuple[str, int]]:
    try:
        keys = yield from GetCredentials()
        try:
            response = yield from Send(REQUEST)
        except CredentialsError:
            yield from Sleep(1.5)
            response = yield from Send(REQUEST)
        return keys.access_key_id, response.status
    finally:
        closed.append("closed")


@WAYS
def test_replies_and_failures_reach_the_flow(way: str) -> None:
    script = Script(CredentialsError("no"), Response(201))
    assert driven(conversation(), script, way) == ("AKID", 201)
    assert script.seen == ["credentials", "send", "sleep 1.5", "send"]


@WAYS
def test_failure_that_the_flow_does_not_catch_is_raised(way: str) -> None:
    failure = CredentialsError("again")
    with pytest.raises(CredentialsError) as caught:
        driven(conversation(), Script(CredentialsError("no"), failure), way)
    assert caught.value is failure


class Cancelled(BaseException):
    """An exception that a loop may raise from an await."""


@WAYS
@pytest.mark.parametrize("kind", [Cancelled, ValueError])
def test_any_other_exception_closes_the_flow_and_propagates(
    way: str, kind: type[BaseException]
) -> None:
    closed.clear()
    flow = conversation()
    with pytest.raises(kind):
        driven(flow, Script(kind("stop")), way)
    assert closed == ["closed"]
    assert list(flow) == []


@WAYS
def test_flow_without_effects_returns(way: str) -> None:
    def nothing() -> Flow[int]:
        yield from ()
        return 7

    assert driven(nothing(), Script(), way) == 7
