"""Credentials in clients: accepted forms, one refresh for many callers, programs and files."""

from __future__ import annotations

import asyncio
import os
import re
import select
import shlex
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import boto3
import botocore.credentials
import botocore.session
import pytest
import trio

from smruntime_core import ConstructionError, Credentials, CredentialsError, SmRuntimeError, run
from smruntime_core.credentials import (
    ANONYMOUS,
    DefaultChain,
    Environment,
    Process,
    ProviderContext,
    make_provider,
)
from smruntime_core.effects import Flow, GetCredentials, ReadFile, RunProcess, Sleep, WriteFile
from smruntime_core.testing import FrozenClock
from smruntime_core.values._record import unchecked
from smruntime_transports import asyncio as on_asyncio_
from smruntime_transports import sockets
from smruntime_transports import trio as on_trio_
from smruntime_transports.asyncio import AsyncioIO
from smruntime_transports.sockets import SocketIO
from smruntime_transports.system import _files as files
from smruntime_transports.trio import TrioIO
from smruntime_transports.wire._wire import Wire

from .callers import AWAITED, PERFORMERS, Performer, Step
from .recordings import NOW, make_context, on_sockets
from .servers import OK, scripted

KEYS = Credentials("AKIDGIVEN", "a secret", "token")


def signer(requests: list[bytes]) -> list[str]:
    """Return the access key that signed each request."""
    return [
        request.partition(b"Credential=")[2].partition(b"/")[0].decode() for request in requests
    ]


# ── accepted forms ──


def a_flow() -> Flow[Credentials]:
    """Return keys after reading a file, as a user's own flow may."""
    found = yield from ReadFile("/nonexistent")
    assert found is None
    return KEYS


class APlainProvider:
    def itself(self) -> APlainProvider:
        return self

    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        yield from world.settings()
        return KEYS


async def awaited() -> Credentials:
    return KEYS


GIVEN: dict[str, Callable[[], Any]] = {
    "credentials": lambda: KEYS,
    "a callable": lambda: lambda: KEYS,
    "a flow": lambda: a_flow,
    "a provider": APlainProvider,
    "a session of boto3": lambda: boto3.Session("AKIDGIVEN", "a secret", "token"),
    "credentials of botocore": lambda: botocore.credentials.Credentials(
        "AKIDGIVEN", "a secret", "token"
    ),
    "a callable that returns those": lambda: (
        lambda: botocore.credentials.Credentials("AKIDGIVEN", "a secret", "token")
    ),
    "frozen ones": lambda: botocore.credentials.ReadOnlyCredentials(
        "AKIDGIVEN", "a secret", "token"
    ),
    "a class": lambda: APlainProvider,
    "a callable that returns a session": lambda: (
        lambda: boto3.Session("AKIDGIVEN", "a secret", "token")
    ),
    "a callable that returns a provider": lambda: APlainProvider().itself,
    "a callable that returns a callable": lambda: lambda: lambda: KEYS,
    "a callable that returns frozen ones": lambda: (
        botocore.credentials.Credentials("AKIDGIVEN", "a secret").get_frozen_credentials
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_every_form_of_credentials_is_accepted(perform: Performer, name: str) -> None:
    with scripted(OK, OK) as server:
        first, second = perform(server.url, Step(), Step(), credentials=GIVEN[name]())
    assert first.body == second.body == b"abc"
    assert signer(server.requests) == ["AKIDGIVEN"] * 2


def test_botocore_refreshes_its_own_credentials() -> None:
    """Credentials of botocore without an expiry are asked for again within five minutes."""
    clock, made = FrozenClock(time.time()), iter(range(100))

    def metadata() -> dict[str, str]:
        expiry = datetime.fromtimestamp(clock.now + 3600, UTC).isoformat()
        return {
            "access_key": f"AKID{next(made)}",
            "secret_key": "s",
            "token": "t",
            "expiry_time": expiry,
        }

    theirs = botocore.credentials.RefreshableCredentials.create_from_metadata(
        metadata(), metadata, "test"
    )
    theirs._time_fetcher = lambda: datetime.fromtimestamp(clock.now, UTC)
    for given, ages in ((theirs, 2000), (botocore.credentials.Credentials("AKID0", "s", "t"), 200)):
        here = ProviderContext({}, home="/", clock=clock, random=lambda: 0.0)
        found = run(make_provider(given).provide(here), SocketIO.reading())
        assert found.expires_at is not None
        assert ages < found.expires_at - clock.now < 3601
    io = SocketIO.reading()
    io.configure(theirs, ProviderContext({}, home="/", clock=clock, random=lambda: 0.0), None)
    assert io.credentials(GetCredentials()).access_key_id == "AKID0"
    clock.now += 3601
    assert io.credentials(GetCredentials()).access_key_id == "AKID1"


@pytest.mark.parametrize("name", PERFORMERS)
def test_awaited_provider_needs_an_asynchronous_client(name: str) -> None:
    with scripted(OK) as server:
        (outcome,) = PERFORMERS[name](server.url, credentials=awaited)
    if name in AWAITED:
        assert outcome.body == b"abc"
    else:
        assert isinstance(outcome, CredentialsError)
        assert "asynchronous client" in str(outcome)


def test_keys_in_the_environment_are_used(
    perform: Performer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    for given in (None, DefaultChain(), Environment()):
        with scripted(OK) as server:
            (outcome,) = perform(server.url, credentials=given)
        assert outcome.body == b"abc"
        assert signer(server.requests) == ["AKIDENV"]


def test_error_lists_the_sources_without_credentials(perform: Performer) -> None:
    (error,) = perform("http://127.0.0.1:9", credentials=None)
    assert isinstance(error, CredentialsError)
    assert error.tried[0][0] == "the environment"


def test_anonymous_calls_are_not_signed(perform: Performer) -> None:
    with scripted(OK) as server:
        (outcome,) = perform(server.url, credentials=ANONYMOUS)
    assert outcome.body == b"abc"
    assert b"authorization" not in server.requests[0].lower()


class Unfit:
    def provide(self, world: ProviderContext) -> Flow[Any]:
        yield from ()
        return "AKID"


class NoFlow:
    def provide(self, world: ProviderContext) -> Credentials:
        return KEYS


class NoFlowEither:
    async def provide(self, world: ProviderContext) -> Credentials:
        return KEYS


class Exits:
    def provide(self, world: ProviderContext) -> Flow[Credentials]:
        yield from Sleep(0.0)
        sys.exit(3)


def exiting() -> Credentials:
    sys.exit(3)


def failing() -> Credentials:
    raise LookupError("hush")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (failing, "failing raised LookupError"),
        (lambda: None, "returned no credentials"),
        (lambda: "AKID", "must return Credentials, not str"),
        (Unfit(), "Unfit.provide must return Credentials, not str"),
        (NoFlow(), "NoFlow.provide must be a flow, that is a generator; it returns Credentials"),
        (
            NoFlowEither(),
            "NoFlowEither.provide must be a flow, that is a generator; it returns coroutine",
        ),
        (botocore.session.Session, "returned no credentials"),
        (
            lambda: botocore.credentials.ReadOnlyCredentials("A", "hush\n", None),
            "secret_access_key",
        ),
        (lambda: Credentials("A", "s", expires_at=time.time() - 5), "expired 5 s ago"),
        (
            lambda: KEYS.replace(expires_at="2030-01-31T00:00:00Z"),
            "expires_at: found str; must be seconds since the epoch",
        ),
        (
            lambda: unchecked(Credentials, {**vars(KEYS), "expires_at": "2030-01-31T00:00:00Z"}),
            "raised TypeError",
        ),
        (exiting, "raised SystemExit"),
        (Exits(), "raised SystemExit"),
    ],
)
def test_provider_that_fails_is_named_without_its_secrets(
    perform: Performer, given: Any, says: str
) -> None:
    (error,) = perform(
        "http://127.0.0.1:9", credentials=given() if given is botocore.session.Session else given
    )
    assert isinstance(error, CredentialsError)
    assert says in str(error)
    assert "hush" not in str(error)


EXPIRED = (
    b"HTTP/1.1 403 x\r\nx-amzn-ErrorType: ExpiredTokenException\r\nContent-Length: 2\r\n\r\n{}"
)


def test_rejected_credentials_are_fetched_again(perform: Performer) -> None:
    made: Iterator[int] = iter(range(100))
    with scripted(OK, EXPIRED, OK, OK) as server:
        outcomes = perform(
            server.url,
            Step(),
            Step(),
            Step(),
            credentials=lambda: Credentials(f"AKID{next(made)}", "s"),
        )
    assert [outcome.body for outcome in outcomes] == [b"abc"] * 3
    assert signer(server.requests) == ["AKID0", "AKID0", "AKID1", "AKID1"]


# ── one refresh for many callers ──


class Source:
    """A slow provider that counts how often it is asked."""

    def __init__(self, clock: FrozenClock, seconds: float = 0.1) -> None:
        self.clock = clock
        self.seconds = seconds
        self.asked = 0
        self.at_once = 0
        self.broken = False

    def __call__(self) -> Credentials:
        self.asked += 1
        self.at_once += 1
        assert self.at_once == 1
        time.sleep(self.seconds)
        self.at_once -= 1
        if self.broken:
            raise OSError("it is down")
        return Credentials(f"AKID{self.asked}", "s", expires_at=self.clock.now + 3600)


def by_threads(io: Any, calls: int, timeout: float | None = None) -> list[Any]:
    def one(_: int) -> Any:
        try:
            return io.credentials(GetCredentials(timeout)).access_key_id
        except SmRuntimeError as error:
            return error

    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(one, range(calls)))


async def one(io: Any, timeout: float | None, outcomes: list[Any]) -> None:
    try:
        outcomes.append((await io.credentials(GetCredentials(timeout))).access_key_id)
    except SmRuntimeError as error:
        outcomes.append(error)


class CallerKind:
    """A real IO and its loop, kept over several rounds of calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.clock = FrozenClock(NOW)
        self.source = Source(self.clock)
        wire = Wire(time.monotonic)
        self.io: Any = {"threads": SocketIO, "trio": TrioIO, "asyncio": AsyncioIO}[name](wire)
        self.io.configure(
            self.source, ProviderContext({}, home="/", clock=self.clock, random=lambda: 0.0), None
        )

    def rounds(self, *what: Callable[[], object] | int) -> list[Any]:
        """Run rounds of simultaneous calls and functions; return the last round's outcomes."""
        if self.name == "threads":
            return self._threads(what)
        return (trio.run if self.name == "trio" else lambda do: asyncio.run(do()))(
            lambda: self._awaited(what)
        )

    def _threads(self, what: tuple[Callable[[], object] | int, ...]) -> list[Any]:
        outcomes: list[Any] = []
        for step in what:
            if isinstance(step, int):
                outcomes = by_threads(self.io, step)
            else:
                step()
        return outcomes

    async def _awaited(self, what: tuple[Callable[[], object] | int, ...]) -> list[Any]:
        outcomes: list[Any] = []
        for step in what:
            if isinstance(step, int):
                outcomes = []
                await self._at_once([one] * step, outcomes)
            elif step is pause:
                await (trio.sleep if self.name == "trio" else asyncio.sleep)(0.3)
            else:
                step()
        return outcomes

    async def _at_once(self, calls: list[Any], outcomes: list[Any]) -> None:
        if self.name == "trio":
            async with trio.open_nursery() as nursery:
                for call in calls:
                    nursery.start_soon(call, self.io, None, outcomes)
        else:
            await asyncio.gather(*(call(self.io, None, outcomes) for call in calls))


def pause() -> None:
    """Wait for a refresh that runs in a thread or task to end."""
    time.sleep(0.3)


@pytest.fixture(params=["threads", "trio", "asyncio"])
def caller_kind(request: pytest.FixtureRequest) -> CallerKind:
    return CallerKind(request.param)


def test_fifty_callers_at_expiry_cause_one_refresh(caller_kind: CallerKind) -> None:
    clock, source = caller_kind.clock, caller_kind.source
    assert caller_kind.rounds(50) == ["AKID1"] * 50
    assert source.asked == 1

    def expire() -> None:
        clock.now += 3600

    assert caller_kind.rounds(50, expire, 50) == ["AKID2"] * 50
    assert source.asked == 2


def test_no_caller_waits_for_an_early_refresh(caller_kind: CallerKind) -> None:
    def age() -> None:
        caller_kind.clock.now += 3000
        caller_kind.source.seconds = 0.2

    def look() -> None:
        moments.append(time.monotonic())

    moments: list[float] = []
    assert caller_kind.rounds(1, age, look, 50, look, pause, 1) == ["AKID2"]
    assert moments[1] - moments[0] < 0.15
    assert caller_kind.source.asked == 2


def test_failing_refresh_is_raised_only_after_expiry(caller_kind: CallerKind) -> None:
    """300 s are left, then 30, then none."""

    def breaks() -> None:
        caller_kind.source.broken = True
        caller_kind.clock.now += 3300

    def ages() -> None:
        caller_kind.clock.now += 270

    def expires() -> None:
        caller_kind.clock.now += 30

    assert caller_kind.rounds(1, breaks, 50, pause, 50) == ["AKID1"] * 50
    assert caller_kind.source.asked == 2
    assert caller_kind.rounds(ages, 50) == ["AKID1"] * 50
    errors = caller_kind.rounds(expires, 5)
    assert all(isinstance(error, CredentialsError) and "OSError" in str(error) for error in errors)
    assert len({id(error) for error in errors}) == 5, "each caller has an error of its own"


def test_cancelled_caller_does_not_fail_callers_that_wait_for_its_refresh(
    caller_kind: CallerKind,
) -> None:
    """A thread cannot be cancelled, but its call may time out."""
    outcomes: list[Any] = []

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(0.03):
                await one(caller_kind.io, None, outcomes)
            assert not outcomes
            for _ in range(5):
                nursery.start_soon(one, caller_kind.io, None, outcomes)

    async def on_asyncio() -> None:
        leader = asyncio.create_task(one(caller_kind.io, None, outcomes))
        followers = [asyncio.create_task(one(caller_kind.io, None, outcomes)) for _ in range(5)]
        await asyncio.sleep(0.03)
        leader.cancel()
        await asyncio.gather(leader, *followers, return_exceptions=True)

    if caller_kind.name == "threads":
        (late,) = by_threads(caller_kind.io, 1, timeout=0.03)
        assert isinstance(late, CredentialsError) and "within 0.03 s" in str(late)
        outcomes = by_threads(caller_kind.io, 5)
    elif caller_kind.name == "trio":
        trio.run(on_trio)
    else:
        asyncio.run(on_asyncio())
    assert outcomes == ["AKID1"] * 5
    assert caller_kind.source.asked == 1


@pytest.mark.parametrize("name", ["trio", "asyncio"])
def test_simultaneous_first_calls_fetch_once(name: str) -> None:
    source = Source(FrozenClock(time.time()))
    bodies: list[bytes] = []

    async def call(client: Any) -> None:
        bodies.append((await client.invoke_endpoint(endpoint_name="e", body=b"")).body)

    async def on_trio() -> None:
        client = on_trio_.AsyncClient(
            region="us-east-1", endpoint_url=server.url, credentials=source
        )
        async with client, trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call, client)

    async def on_asyncio() -> None:
        async with on_asyncio_.AsyncClient(
            region="us-east-1", endpoint_url=server.url, credentials=source
        ) as client:
            await asyncio.gather(*(call(client) for _ in range(20)))

    with scripted(*[OK] * 20) as server:
        trio.run(on_trio) if name == "trio" else asyncio.run(on_asyncio())
    assert bodies == [b"abc"] * 20
    assert source.asked == 1


@pytest.mark.parametrize("name", ["trio", "asyncio"])
def test_refresh_abandoned_by_a_closed_loop_is_started_again(name: str) -> None:
    caller_kind = CallerKind(name)
    caller_kind.source.seconds = 0.2

    async def leave() -> None:
        if name == "trio":
            with trio.move_on_after(0.05):
                await one(caller_kind.io, None, [])
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(one(caller_kind.io, None, []), 0.05)

    trio.run(leave) if name == "trio" else asyncio.run(leave())
    time.sleep(0.3)
    assert caller_kind.rounds(5) == ["AKID2"] * 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_forked_child_starts_its_own_refresh() -> None:
    caller_kind = CallerKind("threads")
    caller_kind.source.seconds = 0.3
    thread = threading.Thread(target=by_threads, args=(caller_kind.io, 1))
    thread.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        caller_kind.source.at_once = 0
        os._exit(0 if by_threads(caller_kind.io, 1, timeout=5.0) == ["AKID2"] else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_cached_credentials_cost_less_than_20_microseconds() -> None:
    """0.5 µs on a quiet machine."""
    caller_kind = CallerKind("threads")
    caller_kind.source.seconds = 0.0
    effect = GetCredentials()
    caller_kind.io.credentials(effect)
    begun = time.process_time()
    for _ in range(10_000):
        caller_kind.io.credentials(effect)
    assert (time.process_time() - begun) / 10_000 < 20e-6


# ── programs and files ──


@pytest.fixture(params=["poll", "no poll, as on Windows"])
def pipes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with both ways to read the output of a program."""
    if request.param != "poll":
        monkeypatch.delattr(select, "poll")


PRINTED = (
    '{"Version": 1, "AccessKeyId": "AKIDPROC", "SecretAccessKey": "s", '
    '"Expiration": "2099-01-31T00:00:00Z"}'
)


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return shlex.quote(str(path))


def test_credential_process_provides_keys(perform: Performer, tmp_path: Path) -> None:
    command = program(tmp_path / "keys", f"echo hush >&2; echo '{PRINTED}'")
    with scripted(OK) as server:
        (outcome,) = perform(server.url, credentials=Process(command))
    assert outcome.body == b"abc"
    assert signer(server.requests) == ["AKIDPROC"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("echo hush >&2; echo hush; exit 3", "status 3"),
        ("echo hush", "not a JSON object"),
        ('echo \'{"AccessKeyId": "hush"}\'', '"Version": 1'),
        (f"echo '{PRINTED}' | sed s/1,/true,/", '"Version": 1'),
        (f"echo '{PRINTED}' | sed s/2099-01-31T/hush/", "when it expires"),
        ("exec yes hush", "more than 65536 bytes"),
        ("kill -9 $$", "status -9"),
    ],
)
@pytest.mark.usefixtures("pipes")
def test_wrong_output_of_a_program_is_named_and_not_quoted(
    tmp_path: Path, text: str, says: str
) -> None:
    begun = time.monotonic()
    with on_sockets() as io, pytest.raises(CredentialsError) as info:
        run(Process(program(tmp_path / "keys", text)).provide(make_context()), io)
    assert says in str(info.value)
    assert "hush" not in str(info.value)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("command", ["/nonexistent/program hush", "'hush", "", "a\0b"])
def test_command_that_cannot_be_started_is_not_quoted(command: str) -> None:
    with on_sockets() as io, pytest.raises(CredentialsError) as info:
        run(Process(command).provide(make_context()), io)
    assert "hush" not in str(info.value)


@pytest.mark.usefixtures("pipes")
def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    command = program(tmp_path / "keys", f'[ "$1" = "\\$HOME;x" ] && echo \'{PRINTED}\'')
    with on_sockets() as io:
        assert (
            run(Process(f"{command} $HOME;x").provide(make_context()), io).access_key_id
            == "AKIDPROC"
        )


@pytest.mark.parametrize(
    "text",
    [
        "sleep 60",
        "sleep 60 & exit 0",
        "exec >&-; sleep 60",
        "trap '' TERM; while :; do sleep 1; done",
    ],
)
@pytest.mark.usefixtures("pipes")
def test_program_that_does_not_end_fails_after_its_timeout(tmp_path: Path, text: str) -> None:
    effect = RunProcess((program(tmp_path / "keys", text),), seconds=0.3)
    begun = time.monotonic()
    with on_sockets() as io, pytest.raises(CredentialsError, match=r"within 0\.3 s"):
        io.run_process(effect)
    assert time.monotonic() - begun < 3


@pytest.mark.usefixtures("pipes")
def test_program_fails_at_once_if_no_thread_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    effect = RunProcess((program(tmp_path / "keys", "exit 0"),))
    begun = time.monotonic()
    with on_sockets() as io:
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(CredentialsError, match="cannot be started"):
            io.run_process(effect)
    assert time.monotonic() - begun < 1


def alive(process_id: int) -> bool:
    """Return whether a process runs; one that has ended and is not waited for yet does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process_id}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


def ends(process_id: int, seconds: float = 15.0) -> bool:
    """Return whether a process ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while alive(process_id) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not alive(process_id)


def written(path: Path, lines: int, seconds: float = 30.0) -> list[int]:
    """Wait until `path` has so many lines, and return them as numbers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists() and len(found := path.read_text().split()) >= lines:
            return [int(text) for text in found]
        time.sleep(0.01)
    raise AssertionError(f"{path} does not have {lines} lines after {seconds} s")


# The program and a grandchild, which keeps the pipe open; both write their ids and go on.
FAMILY = "echo $$ >> {ids}; sh -c 'echo $$ >> {ids}; sleep 60; true' & "
LONG_RUNS = {
    "sleeps": "sleep 60",
    "leaves its child": "exit 0",
    "closes its output": "exec >&-; sleep 60",
    "prints": "exec yes hush",
}


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.parametrize("then", LONG_RUNS)
@pytest.mark.usefixtures("pipes")
def test_program_that_times_out_is_killed_with_its_children(tmp_path: Path, then: str) -> None:
    ids = tmp_path / "ids"
    prints = then == "prints"
    wait = f"while [ $(wc -l < {ids}) -lt 2 ]; do sleep 0.01; done; "
    command = program(tmp_path / "keys", FAMILY.format(ids=ids) + wait + LONG_RUNS[then])
    with on_sockets() as io:
        if prints:
            assert io.run_process(RunProcess((command,), max_bytes=100)).status == -1
        else:
            with pytest.raises(CredentialsError, match=r"did not end within 0\.7 s"):
                io.run_process(RunProcess((command,), seconds=0.7))
    for process_id in written(ids, 2):
        assert ends(process_id), f"process {process_id} of {ids.read_text()!r} still runs"


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.parametrize("name", ["trio", "asyncio"])
def test_cancelled_program_is_killed_with_its_children(tmp_path: Path, name: str) -> None:
    ids = tmp_path / "ids"
    effect = RunProcess(
        (program(tmp_path / "keys", FAMILY.format(ids=ids) + "sleep 60"),), seconds=50.0
    )
    io: Any = {"trio": TrioIO, "asyncio": AsyncioIO}[name](Wire(time.monotonic))

    async def on_trio() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(io.run_process, effect)
            await trio.to_thread.run_sync(written, ids, 2)
            nursery.cancel_scope.cancel()

    async def on_asyncio() -> None:
        running = asyncio.create_task(io.run_process(effect))
        await asyncio.to_thread(written, ids, 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    trio.run(on_trio) if name == "trio" else asyncio.run(on_asyncio())
    for process_id in written(ids, 2):
        assert ends(process_id), f"process {process_id} still runs after the task was cancelled"


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.usefixtures("pipes")
def test_interrupted_program_is_killed_with_its_children(tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    effect = RunProcess(
        (program(tmp_path / "keys", FAMILY.format(ids=ids) + "sleep 60"),), seconds=50.0
    )
    # a shell starts its background jobs, and so these tests, with SIGINT ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt() -> None:
        written(ids, 2)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with on_sockets() as io, pytest.raises(KeyboardInterrupt):
            io.run_process(effect)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    for process_id in written(ids, 2):
        assert ends(process_id), f"process {process_id} still runs after Ctrl-C"


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="there are no process groups here")
@pytest.mark.usefixtures("pipes")
def test_agent_that_a_successful_program_leaves_behind_survives(tmp_path: Path) -> None:
    ids = tmp_path / "ids"
    agent_starts = f"sh -c 'echo $$ >> {ids}; exec sleep 60' >&- 2>&- & "
    text = f"{agent_starts} while [ ! -s {ids} ]; do sleep 0.01; done; echo '{PRINTED}'"
    with on_sockets() as io:
        assert (
            run(Process(program(tmp_path / "keys", text)).provide(make_context()), io).access_key_id
            == "AKIDPROC"
        )
    (agent,) = written(ids, 1)
    try:
        assert alive(agent)
    finally:
        os.kill(agent, signal.SIGKILL)


def test_programs_have_30_seconds_and_64_kib_by_default() -> None:
    assert (RunProcess(("x",)).seconds, RunProcess(("x",)).max_bytes) == (30.0, 65536)
    assert "hush" not in repr(RunProcess(("program", "hush")))


def test_file_is_replaced_whole_and_private_to_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.json"
    with on_sockets() as io:
        io.write_file(WriteFile(str(path), b"first"))
        io.write_file(WriteFile(str(path), b"second"))
        assert path.read_bytes() == b"second"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert os.listdir(path.parent) == ["file.json"]
        for unfit in (str(path.parent), str(path / "below"), "a\0b"):
            with pytest.raises(ConstructionError):
                io.write_file(WriteFile(unfit, b"x"))
        assert os.listdir(path.parent) == ["file.json"]


class Interrupt(BaseException):
    """What a signal handler may raise anywhere."""


def interrupted(function: Callable[[], object], moment: int) -> bool:
    """Call `function` with an `Interrupt` before one bytecode of `_files`.

    Return whether there are so many bytecodes.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename != files.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == moment:
                raise Interrupt
        return trace

    before = sys.gettrace()
    sys._getframe().f_trace_opcodes = True  # Python 3.12 asks when tracing begins
    sys.settrace(trace)
    try:
        function()
    except Interrupt:
        return True
    finally:
        sys.settrace(before)
    return False


# If the interrupt comes before the `with` statement, the finalizer closes the file, and warns.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_write_interrupted_at_any_bytecode_leaves_the_old_file_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "cache.json"
    moment = 0
    while True:
        moment += 1
        path.write_bytes(b"old")
        hit = interrupted(lambda: files.write_file(WriteFile(str(path), b"new")), moment)
        assert path.read_bytes() in ((b"old", b"new") if hit else (b"new",))
        assert os.listdir(tmp_path) == ["cache.json"], (
            f"a draft is left after an interrupt at bytecode {moment}"
        )
        if not hit:
            break
    assert moment > 50, "the sweep has not seen the function"


def test_write_interrupted_inside_a_system_call_leaves_no_draft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cache.json"
    path.write_bytes(b"old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                files.write_file(WriteFile(str(path), b"new"))
        assert (os.listdir(tmp_path), path.read_bytes()) == (["cache.json"], b"old")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    reading, writing = os.pipe()
    with listener:
        listener.bind(str(tmp_path / "socket"))
        unfit = {
            str(tmp_path / "fifo"): "a FIFO or pipe",
            str(tmp_path / "link"): "a FIFO or pipe",
            str(tmp_path / "folder"): "a directory",
            str(tmp_path / "socket"): "a socket",
            "/dev/zero": "a device",
            "/dev/tty": "a device",
            f"/dev/fd/{reading}": "a FIFO or pipe",
        }
        begun = time.monotonic()
        with on_sockets() as io:
            for path, kind in unfit.items():
                with pytest.raises(
                    ConstructionError,
                    match=f"^{re.escape(path)}: it is {kind}.*must be a regular file",
                ):
                    io.read_file(ReadFile(path))
        assert time.monotonic() - begun < 2
    os.close(reading)
    os.close(writing)


def test_links_to_files_are_read_and_the_null_device_is_empty(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    with on_sockets() as io:
        for path, data in ((tmp_path / "link", b"abc"), (os.devnull, b"")):
            found = io.read_file(ReadFile(str(path)))
            assert found is not None and found == data
        for absent in (tmp_path / "nowhere", tmp_path / "file" / "below"):
            assert io.read_file(ReadFile(str(absent))) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
def test_fifo_that_replaces_a_checked_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"[default]")
    checked = os.stat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda _: checked)
    with pytest.raises(ConstructionError, match="must be a regular file"):
        files.read_file(ReadFile(str(path)))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no FIFOs here")
def test_settings_file_that_is_a_fifo_fails_every_client_at_once(
    perform: Performer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "config")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    begun = time.monotonic()
    with pytest.raises(ConstructionError, match="must be a regular file"):
        raise perform("http://127.0.0.1:9", credentials=None)[0]
    assert time.monotonic() - begun < 3


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="there are no other users here")
def test_file_in_an_unreadable_folder_counts_as_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process with another user's HOME has no settings; a visible file must be readable."""
    monkeypatch.chdir(tmp_path)  # another user may not come here from above
    tmp_path.chmod(0o755)
    for folder, mode in (("theirs", 0), ("ours", 0o755)):
        Path(folder).mkdir()
        Path(folder, "config").touch(0)
        Path(folder).chmod(mode)
    root = os.geteuid() == 0
    if root:  # root may read every file
        os.seteuid(65534)
    try:
        with on_sockets() as io:
            assert io.read_file(ReadFile("theirs/config")) is None
            with pytest.raises(ConstructionError, match="a file that can be read"):
                io.read_file(ReadFile("ours/config"))
    finally:
        if root:
            os.seteuid(0)
        Path("theirs").chmod(0o755)


@pytest.mark.parametrize(
    "moment", [datetime.now(UTC), "2030-01-31T00:00:00Z", float("nan"), float("inf"), True, 10**400]
)
def test_expiry_that_is_no_time_is_refused(moment: Any) -> None:
    with pytest.raises(ConstructionError, match=r"expires_at: .* must be seconds since the epoch"):
        Credentials("AKID", "s", expires_at=moment)


def test_credentials_of_another_type_are_refused() -> None:
    for wrong in ("AKID", 7, ("a", "b")):
        with pytest.raises(ConstructionError, match="credentials"):
            sockets.Client(credentials=wrong)  # type: ignore[arg-type]  # that is the point
