"""The pool with its callers interleaved by hand, on real sockets and a clock of the test's.

Each request carries a number that the server returns, so an answer to another caller is noticed.
For each connection the server knows whether it may be used again, so a request on one that may not
is noticed too. Hypothesis drives three callers through all events; two callers go through every
interleaving, and are cancelled at every step.

A busy machine may deliver bytes late. So what the server sends is waited for at the client's end of
the connection, and a request's age is reckoned from when the caller made it.
"""

from __future__ import annotations

import os
import re
import select
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import combinations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from smruntime_core import DispatchFailure, Request, Timeouts
from smruntime_core.effects import Effect, Open, Receive, Send
from smruntime_transports.wire._wire import Wire

READ = 1
PATIENT = Timeouts(connect=30.0, response=30.0, idle=30.0, pool=30.0)
DELIVERY = 10.0  # seconds that bytes may take on a busy machine
HUNG_UP = getattr(select, "POLLRDHUP", select.POLLIN)
LONG_BODY = bytes(24 << 20)  # more than the buffers of a connection take
_FIRST_NUMBER = 10
_REQUEST = re.compile(
    rb"POST /(\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n"
)


class Peer:
    """The server's end of a connection."""

    def __init__(self, sock: socket.socket, stage: Stage) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent is there
        self.sock, self._stage = sock, stage
        self.client_port: int = sock.getpeername()[1]
        self.last_asked: int | None = None  # the number of the last request
        self.asked: int | None = None  # the same, until its answer is sent
        self.missing = 0  # bytes of its body that have not been read
        self.owed = b""  # what of the answer has not been sent
        self.spent: str | None = None  # why no further request may be made
        self._spent_at = 0  # the number of moves at that time
        self.closed = False
        self.idle_since = self.born = stage.now
        self._held = b""

    def read(self) -> None:
        """Take what is there, which has to be a request that may come."""
        if self.closed:
            return
        with suppress(BlockingIOError, ConnectionError):
            while data := self.sock.recv(1 << 22):
                self._take(data)
            self.closed = True
            self.sock.close()

    def _take(self, data: bytes) -> None:
        rest = len(data) - self.missing
        self.missing = max(0, -rest)
        if rest <= 0:
            return
        self._held += data[len(data) - rest :]
        found = _REQUEST.match(self._held)
        if found is None:
            return
        assert self.asked is None, "a request before the answer to the one before"
        caller = self._stage.caller(int(found[1]))
        assert self.spent is None or caller.last_move < self._spent_at, (
            f"a request on a connection that is spent: {self.spent}"
        )
        if self.last_asked is not None:
            idle_seconds, age = caller.last_time - self.idle_since, caller.last_time - self.born
            assert idle_seconds <= 45 and age <= 600, "a request on a connection that is too old"
        self.asked = self.last_asked = caller.number
        self.missing = max(0, int(found[2]) - (len(self._held) - found.end()))
        assert len(self._held) <= found.end() + int(found[2]), "bytes that belong to no request"
        self._held = b""

    def send(self, data: bytes) -> None:
        with suppress(OSError):
            self.sock.sendall(data)
        self._stage.wait_for_delivery(self.client_port, select.POLLIN)

    def spend(self, reason: str) -> None:
        """Let no request come that is made from now on."""
        if self.spent is None:
            self.spent, self._spent_at = reason, self._stage.next_move()

    def answer(self, how: str) -> None:
        """Send the answer in one of several ways; after most the connection may be used again."""
        assert self.asked is not None
        body = b"%d" % self.asked
        length, chunk = (
            b"Content-Length: %d\r\n" % len(body),
            b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
        )
        head = b"HTTP/1.1 200 OK\r\n"
        wire = {
            "length": head + length + b"\r\n" + body,
            "chunks": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk,
            "interim": b"HTTP/1.1 103 E\r\n\r\n" + head + length + b"\r\n" + body,
            "error": head.replace(b"200", b"503") + length + b"\r\n" + body,
            "close": head + length + b"Connection: close\r\n\r\n" + body,
            "left over": head + length + b"\r\n" + body + head + b"Content-Length: 4\r\n\r\n9999",
            "to the end": head + b"\r\n" + body,
            "cut": head + b"Content-Length: 9\r\n\r\n" + body,
        }[how]
        if how in ("close", "left over", "to the end", "cut"):
            self.spend(how)
        self.asked = None
        self.send(wire)
        if how in ("to the end", "cut"):
            self.close()

    def begin_answer(self) -> None:
        assert self.asked is not None
        body = b"%d" % self.asked
        self.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:1])
        self.owed = body[1:]

    def end_answer(self) -> None:
        self.send(self.owed)
        self.asked, self.owed = None, b""

    def close(self) -> None:
        """Close the connection: a FIN, or a reset if something has not been read."""
        self.closed = True
        self.sock.close()
        self._stage.wait_for_delivery(self.client_port, HUNG_UP)


class Caller:
    """A call as a flow, and the effect that it waits for."""

    def __init__(
        self, stage: Stage, number: int, flow: Generator[Effect[object], object, Any]
    ) -> None:
        self.number, self._stage, self._flow = number, stage, flow
        self.waits: Effect[object] | None = None
        self.over = False
        self.outcome: object = None
        self.last_time = stage.now  # of the step that may have made a request
        self.last_move = 0

    def step(self, reply: object = None) -> None:
        """Answer what it waits for."""
        try:
            self.waits = self._flow.send(reply)
            self._stage.note_socket(self.waits)
        except StopIteration as end:
            self.finish(end.value)
        except DispatchFailure as failure:
            self.finish(failure)

    def finish(self, outcome: object) -> None:
        self.over, self.waits, self.outcome = True, None, outcome
        self._stage.note_end(self)
        if not isinstance(outcome, DispatchFailure | None):
            assert outcome == b"%d" % self.number, "another caller's answer"

    def go_on(self) -> bool:
        """Answer what it waits for if that has come about; whether it had."""
        if self.over:
            return False
        reply = (None,) if self.waits is None else self._stage.reply(self.waits)
        if reply is None:
            return False
        self.last_time, self.last_move = self._stage.now, self._stage.next_move()
        self.step(reply[0])
        return True

    def waits_for_slot(self) -> bool:
        effect: Any = self.waits
        return effect is not None and effect.method == "wait_turn"

    def time_out(self) -> None:
        effect: Any = self.waits
        if effect is not None:
            assert effect.seconds is not None
            self._stage.now += effect.seconds
            self.step([] if effect.method == "wait_any_writable" else 0)

    def cancel(self, error: type[BaseException] | None = None) -> None:
        """Cancel as asyncio, trio and Ctrl-C do: close the flow, or throw an exception into it."""
        if self.over:
            return
        if error is None:
            self._flow.close()
        else:
            with suppress(error):
                self._flow.throw(error())
        self.finish(None)


class Stage:
    """A wire, its callers, and a server whose every move is made from outside."""

    def __init__(self, most: int = 2) -> None:
        self.now = 1000.0
        self._open_before = _open_sockets()
        self.wire = Wire(lambda: self.now, {"max_connections": most})
        self.most = most
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self._listener.setblocking(False)
        self._address = self._listener.getsockname()
        self.callers: list[Caller] = []
        self._moves = 0  # of callers, and of the server when a connection is spent
        self._client_sockets: dict[int, socket.socket] = {}  # by port
        self.peers: list[Peer] = []

    # ── callers ──

    def call(self, *, streamed: bool = False, body: bytes = b"", fresh: bool = False) -> Caller:
        number = _FIRST_NUMBER + len(self.callers)
        request = Request("POST", f"http://127.0.0.1:{self._address[1]}/{number}", (), body)
        flow = self._streamed(request, fresh) if streamed else self._whole(request, fresh)
        self.callers.append(Caller(self, number, flow))
        return self.callers[-1]

    def caller(self, number: int) -> Caller:
        return self.callers[number - _FIRST_NUMBER]

    def next_move(self) -> int:
        self._moves += 1
        return self._moves

    def note_socket(self, effect: Any) -> None:
        """Remember the client's socket that an effect waits for."""
        if effect.method == "wait":
            sock = effect.connection.sock
            self._client_sockets[sock.getsockname()[1]] = sock

    def note_end(self, caller: Caller) -> None:
        """Let the connection of a caller that is over be idle from now on."""
        for peer in self.peers:
            if peer.last_asked == caller.number:
                peer.idle_since = self.now

    def wait_for_delivery(self, client_port: int, mask: int) -> None:
        """Wait until the client's end of a connection, if it is open, can read what was sent."""
        sock = self._client_sockets.get(client_port)
        if sock is not None and sock.fileno() >= 0:
            poll = select.poll()
            poll.register(sock, mask)
            assert poll.poll(DELIVERY * 1000), "what the server sent did not arrive"

    def _whole(self, request: Request, fresh: bool) -> Generator[Effect[object], object, bytes]:
        response = yield from self.wire.exchange(Send(request, None, PATIENT, fresh))
        return b"" if response.truncated else bytes(response.body)

    def _streamed(self, request: Request, fresh: bool) -> Generator[Effect[object], object, bytes]:
        response = yield from self.wire.open(Open(request, None, PATIENT, fresh))
        parts: list[bytes] = []
        try:
            while part := (yield from self.wire.receive(Receive(response.body, None, PATIENT))):
                parts.append(part)
        except BaseException:
            response.body.abort()
            raise
        return b"".join(parts)

    def reply(self, effect: Any) -> tuple[object] | None:
        """Return the reply of an IO, None if it would go on waiting."""
        if effect.method == "wait_any_writable":
            opened = [
                connection
                for connection in effect.connections
                if connection.poll(select.POLLOUT, 0.0)
            ]
            return (opened,) if opened else None
        if effect.method == "wait_turn":
            return (None,) if effect.ticket.called else None
        assert effect.method == "wait"
        poll = select.poll()
        poll.register(effect.connection.sock, effect.mask)
        found = poll.poll(0)
        return ((found[0][1] & effect.mask or effect.mask),) if found else None

    # ── the server ──

    def accept(self) -> None:
        with suppress(BlockingIOError):
            while True:
                sock, _ = self._listener.accept()
                self.peers.append(Peer(sock, self))

    def read(self) -> None:
        self.accept()
        for peer in self.peers:
            peer.read()
        assert sum(peer.asked is not None and not peer.closed for peer in self.peers) <= len(
            self.callers
        )

    def asked(self) -> list[Peer]:
        return [peer for peer in self.peers if peer.asked is not None and not peer.closed]

    def __repr__(self) -> str:
        callers = [
            f"{caller.number} waits for {caller.waits}"
            for caller in self.callers
            if not caller.over
        ]
        peers = [
            f"{peer.asked} lacks {peer.missing}, owes {peer.owed!r}, {peer.spent}"
            for peer in self.peers
            if not peer.closed
        ]
        return f"{callers}, {peers}"

    # ── the end ──

    def settle(self) -> None:
        """Answer every caller that waits for it; check that none is stuck."""
        give_up = time.monotonic() + DELIVERY
        while not all(caller.over for caller in self.callers) and time.monotonic() < give_up:
            self.read()
            for peer in self.asked():
                if not peer.missing:
                    peer.end_answer() if peer.owed else peer.answer("length")
            for caller in self.callers:
                caller.go_on()
        assert all(caller.over for caller in self.callers), f"stuck: {self}"

    def kept_connections(self) -> int:
        return sum(not peer.closed and peer.spent is None for peer in self.peers)

    def end(self) -> None:
        """Check that a call works, and that closing the wire ends every connection."""
        try:
            self.settle()
            last = self.call()
            self.settle()
            assert last.outcome == b"%d" % last.number, "the pool is broken"
            give_up = time.monotonic() + DELIVERY
            while self.kept_connections() > self.most and time.monotonic() < give_up:
                self.read()
            assert self.kept_connections() <= self.most
        finally:
            self.wire.close()
            for peer in self.peers:
                peer.sock.close()
            self._listener.close()
        assert not _open_sockets() - self._open_before, "a connection was left open"


def _open_sockets() -> set[str]:
    """Return the sockets of this process, where the system tells."""
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        with suppress(OSError):  # closed meanwhile
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return {link for link in found if link.startswith("socket:")}


@contextmanager
def stage(most: int = 2) -> Iterator[Stage]:
    made = Stage(most)
    try:
        yield made
    finally:
        made.end()


# ── three callers and whatever can happen ──

ANSWERS = [
    "length",
    "length",
    "chunks",
    "interim",
    "error",
    "close",
    "left over",
    "to the end",
    "cut",
]


class Pools(RuleBasedStateMachine):
    """Callers that call, are cancelled or time out; a server that answers or breaks off.

    A rule that has nothing to act upon does nothing, since what is drawn must not depend on how
    fast the system moves bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(most=2)

    def some(self, index: int) -> Caller | None:
        """One that is not done."""
        alive = [caller for caller in self.stage.callers if not caller.over]
        return alive[index % len(alive)] if alive else None

    @rule(
        streamed=st.booleans(),
        long=st.sampled_from((False, False, False, True)),
        fresh=st.sampled_from((False, False, False, True)),
    )
    def come(self, streamed: bool, long: bool, fresh: bool) -> None:
        if sum(not caller.over for caller in self.stage.callers) < 4:
            self.stage.call(
                streamed=streamed, body=LONG_BODY if long else b"x", fresh=fresh
            ).go_on()

    @rule(how=st.sampled_from(ANSWERS), streamed=st.booleans(), long=st.booleans())
    def call_through(self, how: str, streamed: bool, long: bool) -> None:
        """Make a call from beginning to end while no other caller moves."""
        caller = self.stage.call(streamed=streamed, body=LONG_BODY if long else b"x")
        give_up = time.monotonic() + DELIVERY
        while not (caller.over or caller.waits_for_slot()) and time.monotonic() < give_up:
            caller.go_on()
            self.stage.read()
            for peer in self.stage.asked():
                if peer.asked == caller.number:
                    peer.answer(how)

    @rule()
    def live_long(self) -> None:
        """Make calls so often that a connection is never idle for too long, until it is too old."""
        for _ in range(0 if self.in_use() else 15):
            self.call_through("length", False, False)
            self.stage.now += 44.0

    @rule(index=st.integers(0, 3))
    def go_on(self, index: int) -> None:
        if caller := self.some(index):
            caller.go_on()

    @rule()
    def all_go_on(self) -> None:
        for caller in self.stage.callers:
            for _ in range(8):
                if not caller.go_on():
                    break
            self.stage.accept()

    @rule(index=st.integers(0, 3), error=st.sampled_from((None, KeyboardInterrupt)))
    def cancel(self, index: int, error: type[BaseException] | None) -> None:
        if caller := self.some(index):
            self.spoil(caller)
            caller.cancel(error)

    @rule(index=st.integers(0, 3))
    def time_out(self, index: int) -> None:
        if caller := self.some(index):
            self.spoil(caller)
            caller.time_out()

    def spoil(self, caller: Caller) -> None:
        """Cancel a caller whose request has arrived: its connection must not be used again."""
        self.stage.read()
        for peer in self.stage.peers:
            if peer.asked == caller.number:
                peer.spend("given up")

    @rule()
    def read(self) -> None:
        self.stage.read()

    @rule(index=st.integers(0, 3), how=st.sampled_from(ANSWERS))
    def answer(self, index: int, how: str) -> None:
        self.stage.read()
        if asked := self.stage.asked():
            peer = asked[index % len(asked)]
            peer.end_answer() if peer.owed else peer.answer(how)

    @rule(index=st.integers(0, 3))
    def begin_answer(self, index: int) -> None:
        self.stage.read()
        if asked := [peer for peer in self.stage.asked() if not peer.owed]:
            asked[index % len(asked)].begin_answer()

    @rule(index=st.integers(0, 3))
    def break_off(self, index: int) -> None:
        self.stage.read()
        if alive := [peer for peer in self.stage.peers if not peer.closed]:
            alive[index % len(alive)].close()

    @rule(index=st.integers(0, 3))
    def speak_unasked(self, index: int) -> None:
        """Send bytes on an idle connection (on one in use they would look like an answer)."""
        self.stage.read()
        if idle := [
            peer
            for peer in self.stage.peers
            if not peer.closed and peer.asked is None and not self.in_use()
        ]:
            peer = idle[index % len(idle)]
            peer.spend("it spoke unasked")
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n9999")

    def in_use(self) -> bool:
        return any(not caller.over for caller in self.stage.callers)

    @rule(seconds=st.sampled_from((1.0, 44.0, 46.0, 300.0, 601.0)))
    def wait(self, seconds: float) -> None:
        if not self.in_use():
            self.stage.now += seconds

    @rule()
    def close(self) -> None:
        """Close the client; when it is used again it opens new connections."""
        if not self.in_use():
            self.stage.wire.close()
            self.stage.read()
            for peer in self.stage.peers:
                peer.spend("the client was closed")

    def teardown(self) -> None:
        self.stage.end()


Pools.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestPools = Pools.TestCase


# ── two callers, every interleaving ──

# two calls, one after the other: resolve, connect, answer; then answer on the kept connection
STEPS = 6


def twice(made: Stage, streamed: bool) -> Callable[[], bool]:
    """Return a caller of two calls that takes one step at a time and returns whether it is done."""
    calls = [made.call(streamed=streamed), made.call(streamed=streamed)]

    def step() -> bool:
        caller = next((caller for caller in calls if not caller.over), None)
        if caller is None:
            return True
        made.read()
        for peer in made.asked():
            if peer.asked == caller.number:
                peer.answer("length")
        caller.go_on()
        return False

    return step


def interleavings() -> Iterator[tuple[int, ...]]:
    for firsts in combinations(range(2 * STEPS), STEPS):
        yield tuple(0 if place in firsts else 1 for place in range(2 * STEPS))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("most", [1, 2])
def test_two_calls_in_every_interleaving(most: int, streamed: bool) -> None:
    count = 0
    for order in interleavings():
        with stage(most) as made:
            steps = [twice(made, streamed), twice(made, streamed)]
            for who in order:
                steps[who]()
            made.settle()
            assert len(made.peers) <= 2 * most
            assert [caller.outcome for caller in made.callers] == [
                b"%d" % caller.number for caller in made.callers
            ]
        count += 1
    assert count == 924


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
@pytest.mark.parametrize("how", ["length", "left over"])
def test_cancelled_at_every_step_while_another_waits(
    error: type[BaseException] | None, how: str
) -> None:
    for streamed in (False, True):
        for at in range(8):
            for other_begins in range(at + 1):
                with stage(most=1) as made:
                    first, second = made.call(streamed=streamed), made.call()
                    for step in range(at):
                        if step == other_begins:
                            second.go_on()
                        made.read()
                        for peer in made.asked():
                            if step > 2 and not peer.owed:
                                peer.begin_answer() if step == 3 else peer.answer(how)
                            elif peer.owed:
                                peer.end_answer()
                        first.go_on()
                    first.cancel(error)
                    made.read()
                    for peer in made.peers:
                        if peer.asked == first.number:
                            peer.spend("given up")
                    made.settle()
                    assert second.outcome == b"%d" % second.number


@pytest.mark.parametrize("how", sorted(set(ANSWERS)))
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("body", [b"x", LONG_BODY], ids=["short", "long"])
def test_call_after_any_response_gets_its_own(how: str, streamed: bool, body: bytes) -> None:
    """A long request is answered before it is through."""
    with stage() as made:
        first = made.call(streamed=streamed, body=body)
        while not made.asked():
            first.go_on()
            made.read()
        made.peers[0].answer(how)
        while not first.over:  # the server reads no more
            first.go_on()
        second = made.call()
        made.settle()
        assert second.outcome == b"%d" % second.number
        assert len(made.peers) == (
            1 if how in ("length", "chunks", "interim", "error") and body == b"x" else 2
        )


def test_waiting_calls_are_served_in_turn() -> None:
    with stage(most=1) as made:
        callers = [made.call() for _ in range(6)]
        for caller in callers:
            caller.go_on()
        callers[2].cancel()
        callers[4].time_out()
        assert isinstance(callers[4].outcome, DispatchFailure)
        assert (callers[4].outcome.kind, callers[4].outcome.phase, callers[4].outcome.delivery) == (
            "timeout",
            "pool",
            "not_sent",
        )
        served: list[int] = []
        while not all(caller.over for caller in callers):
            for caller in callers:
                caller.go_on()
            made.read()
            for peer in made.asked():
                assert peer.asked is not None
                served.append(peer.asked)
                peer.answer("length")
        assert served == [callers[index].number for index in (0, 1, 3, 5)]
        assert len(made.peers) == 1
