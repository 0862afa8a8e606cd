"""Many callers of one client: each gets its own answer, and nothing is kept too long."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Generator
from contextlib import ExitStack
from threading import Thread
from typing import Any

import pytest
import trio

import smruntime_local
from smruntime_core import InvokeEndpoint, service
from smruntime_core.streaming import PayloadPart

from .callers import AWAITED, BLOCKING, CREDENTIALS, IRIS, STREAMED
from .servers import OK, Peer, Stage, acting


def all_left(stage: Stage) -> bool:
    """Return whether the client closes every connection within two seconds."""
    end = time.monotonic() + 2.0
    while stage.under_way and time.monotonic() < end:
        time.sleep(0.01)
    return not stage.under_way


def own(output: Any, text: str) -> bool:
    """Return whether `output` is the answer of the endpoint `echo` to `text`."""
    return b64decode(json.loads(output.body)["body"]) == text.encode()


def asking(text: str) -> InvokeEndpoint:
    return InvokeEndpoint(endpoint_name="echo", body=text.encode())


@pytest.mark.parametrize("name", BLOCKING)
def test_threads_never_get_each_others_responses(name: str) -> None:
    with smruntime_local.serve() as endpoint:
        where = {
            "region": endpoint.region,
            "endpoint_url": endpoint.url,
            "credentials": endpoint.credentials,
        }
        with BLOCKING[name](**where) as client:
            good: list[bool] = []

            def ask(thread: int) -> None:
                for k in range(50):
                    good.append(own(client.call(asking(f"{thread}-{k}")), f"{thread}-{k}"))

            threads = [Thread(target=ask, args=(number,)) for number in range(16)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert good == [True] * 800


async def all_at_once(name: str, tasks: list[Callable[[], Awaitable[None]]]) -> None:
    if name.startswith("trio"):
        async with trio.open_nursery() as nursery:
            for task in tasks:
                nursery.start_soon(task)
    else:
        await asyncio.gather(*(task() for task in tasks))


@pytest.mark.parametrize("name", [name for name in AWAITED if not name.endswith("-h11")])
def test_tasks_never_get_each_others_responses(name: str) -> None:
    make, loop = AWAITED[name]
    good: list[bool] = []

    def act(peer: Peer) -> None:
        """Says back what it was told, a little later, so that many are under way."""
        while request := peer.read():
            body = request.partition(b"\r\n\r\n")[2]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def main(url: str) -> None:
        async with make(region="us-east-1", endpoint_url=url, credentials=CREDENTIALS) as client:
            for _ in range(10):  # a hundred connections, which are kept and used again

                async def ask(text: str) -> None:
                    output = await client.call(asking(text))
                    good.append(output.body == text.encode())

                await all_at_once(name, [lambda k=k: ask(f"{len(good)}-{k}") for k in range(100)])  # type: ignore[misc]  # mypy and defaults

    with acting(act) as stage:
        loop.run(lambda: main(stage.url))
        assert stage.connections <= 100
    assert good == [True] * 1000


PROGRAM = """if True:
    import json, os, sys
    from base64 import b64decode
    import smruntime_core as sm
    from smruntime_transports import {module} as transport
    keys = sm.Credentials(*sys.argv[2:5])
    client = transport.{kind}(region="us-east-1", endpoint_url=sys.argv[1], credentials=keys)
    def own(output, text):
        return b64decode(json.loads(output.body)["body"]) == text.encode()
    def asking(text):
        return sm.InvokeEndpoint(endpoint_name="echo", body=text.encode())
    {good}
    assert good(["before"])
    child = os.fork()
    mine = good([f"{{child}}-{{k}}" for k in range(60)])
    if not child:
        os._exit(not mine)
    client.close()
    sys.exit(bool(os.waitpid(child, 0)[1]) or not mine)
"""
BLOCKING_GOOD = "good = lambda texts: all([own(client.call(asking(text)), text) for text in texts])"
AWAITED_GOOD = """
    import {module}
    async def awaited(texts):
        return all([own(await client.call(asking(text)), text) for text in texts])
    def good(texts):
        return {run}
"""
FORKING = {
    "sockets": PROGRAM.format(module="sockets", kind="Client", good=BLOCKING_GOOD),
    "urllib3": PROGRAM.format(module="urllib3", kind="Client", good=BLOCKING_GOOD),
    "trio": PROGRAM.format(
        module="trio",
        kind="AsyncClient",
        good=AWAITED_GOOD.format(module="trio", run="trio.run(awaited, texts)"),
    ),
    "asyncio": PROGRAM.format(
        module="asyncio",
        kind="AsyncClient",
        good=AWAITED_GOOD.format(module="asyncio", run="asyncio.run(awaited(texts))"),
    ),
}
if "uvloop" in AWAITED:
    RUN = "asyncio.Runner(loop_factory=uvloop.new_event_loop).run(awaited(texts))"
    GOOD = AWAITED_GOOD.format(module="asyncio, uvloop", run=RUN)
    FORKING["uvloop"] = PROGRAM.format(module="asyncio", kind="AsyncClient", good=GOOD)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("name", FORKING)
def test_forked_child_never_gets_its_parents_responses(name: str) -> None:
    """Parent and child go on with the same client (on an event loop: each on one of its own)."""
    with smruntime_local.serve() as endpoint:
        keys = endpoint.credentials
        arguments = [
            endpoint.url,
            keys.access_key_id,
            keys.secret_access_key,
            keys.session_token or "",
        ]
        line = [
            sys.executable,
            *(["-P"] if "-P" in sys.orig_argv else []),
            "-c",
            FORKING[name],
            *arguments,
        ]
        assert subprocess.run(line, timeout=60, check=False).returncode == 0


class Counting:
    """Awaits `coroutine`, and calls `leave` when it is suspended for the `nth` time."""

    def __init__(self, coroutine: Any, nth: int, leave: Callable[[], object]) -> None:
        self._coroutine = coroutine
        self._nth = nth
        self._leave = leave
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, None]:
        step, given = self._coroutine.send, None
        while True:
            try:
                suspended = step(given)
            except StopIteration:
                return
            self.suspensions += 1
            if self.suspensions == self._nth:
                self._leave()
            try:
                step, given = self._coroutine.send, (yield suspended)
            except BaseException as error:
                step, given = self._coroutine.throw, error


async def cancelled_at(name: str, nth: int, coroutine: Any) -> bool:
    """Cancel `coroutine` at its `nth` suspension; return whether it came that far."""
    if name.startswith("trio"):
        with trio.CancelScope() as scope:
            await Counting(coroutine, nth, scope.cancel)
        return scope.cancelled_caught
    task = asyncio.current_task()
    assert task is not None
    try:
        await Counting(coroutine, nth, task.cancel)
    except asyncio.CancelledError:
        task.uncancel()
        return True
    return False


STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def in_pieces(peer: Peer) -> None:
    """Whatever is asked is answered in pieces, each of which is waited for."""
    while request := peer.read():
        if b"-response-stream" in request:
            frame = service.event(PayloadPart(b"part"))
            answer = STREAM + b"%x\r\n%b\r\n" % (len(frame), frame) * 2 + b"0\r\n\r\n"
        else:
            answer = OK
        for begin in range(0, len(answer), 60):
            peer.send(answer[begin : begin + 60])
            peer.idle(0.005)


@pytest.mark.parametrize("what", ["call", "stream"])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", AWAITED)
def test_cancelled_anywhere(name: str, kept: bool, what: str) -> None:
    """Cancel a call at each of its suspensions; the next call of the client must work each time."""
    make, loop = AWAITED[name]

    async def streaming(client: Any) -> None:
        async with client.stream(STREAMED) as stream:
            async for _ in stream.bytes():
                pass

    async def main(url: str) -> int:
        async with make(region="us-east-1", endpoint_url=url, credentials=CREDENTIALS) as client:
            await client.call(IRIS)  # settings are known
            for nth in range(1, 200):
                if not kept:
                    client.close()
                was_cancelled = await cancelled_at(
                    name, nth, client.call(IRIS) if what == "call" else streaming(client)
                )
                begun = time.monotonic()
                assert (await client.call(IRIS)).body == b"abc", f"cancelled at {nth}"
                assert time.monotonic() - begun < 1.0, f"cancelled at {nth}"
                if not was_cancelled:
                    return nth
        raise AssertionError("it was never through")

    with acting(in_pieces) as stage:
        assert loop.run(lambda: main(stage.url)) > 2
        assert all_left(stage), "a socket is left over"


@pytest.mark.parametrize("name", BLOCKING)
def test_unread_streams_are_closed(name: str) -> None:
    """Each keeps its connection while it is open; closing it closes the connection."""
    frame = service.event(PayloadPart(b"part"))

    def act(peer: Peer) -> None:
        peer.read()
        peer.send(STREAM + b"%x\r\n%b\r\n" % (len(frame), frame))
        peer.read()

    with (
        acting(act) as stage,
        BLOCKING[name](
            region="us-east-1", endpoint_url=stage.url, credentials=CREDENTIALS
        ) as client,
    ):
        with ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(client.stream(STREAMED))
            assert stage.connections == 50
            assert stage.under_way == 50
        assert all_left(stage)


@pytest.mark.parametrize("name", BLOCKING)
def test_old_connections_are_let_go_of(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections close after 45 s of idleness, and at the age of ten minutes; the clock is set."""
    now = float(int(time.monotonic()))  # whole seconds, so that sums of them are exact
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def act(peer: Peer) -> None:
        while peer.read():
            peer.send(OK)

    with (
        acting(act) as stage,
        BLOCKING[name](
            region="us-east-1", endpoint_url=stage.url, credentials=CREDENTIALS
        ) as client,
    ):
        seen = []
        for pause in (0, 44, 46, *[40] * 15, 40):
            now += pause
            client.call(IRIS)
            seen.append(stage.connections)
    assert seen == [1, 1, 2, *[2] * 15, 3]
