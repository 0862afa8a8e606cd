"""The exchange compared with a model that parses nothing: it knows the response and counts bytes.

Hypothesis drives a `Pair` of both over many responses, and a loop drives it through every order of
events over a few. After each event they agree on what is done, what a failure reports, and whether
the connection can be reused. Whatever happened before, closing the connection ends the exchange.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, combinations, repeat
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smruntime_core import DispatchFailure, Request
from smruntime_core.http1 import MAX_HEAD, MAX_SINGLE_WRITE, Exchange
from smruntime_transports.wire._h11_engine import h11_engine

ENGINES = {"native": None, "h11": h11_engine}
MAX_ERROR_BODY = 1024 * 1024


class HasMetadata(NamedTuple):
    """A response and its meaning.

    Positions in `raw` are where the head ends, where the bytes of the body are, and where the
    response ends (None: with the connection).
    """

    raw: bytes
    status: int
    head_end: int
    places: tuple[int, ...]
    end: int | None
    keeps: bool

    def body(self, received: int) -> bytes:
        return bytes(self.raw[place] for place in self.places if place < received)


def told(
    status: int = 200,
    framing: str = "length",
    body: bytes = b"abc",
    *,
    chunk: int = 2,
    interim: int = 0,
    close: bool = False,
    minor: int = 1,
    after: bytes = b"",
) -> HasMetadata:
    """Return a response with its meaning."""
    head = b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" * interim + b"HTTP/1.%d %d X\r\n" % (minor, status)
    head += b"Connection: close\r\n" * close
    head += {
        "length": b"Content-Length: %d\r\n" % len(body),
        "chunks": b"Transfer-Encoding: chunked\r\n",
        "close": b"",
    }[framing] + b"\r\n"
    if status == 204:
        return HasMetadata(head + after, 204, len(head), (), len(head), not close and minor == 1)
    raw, places = head, list[int]()
    for piece in (
        (body[i : i + chunk] for i in range(0, len(body), chunk))
        if framing == "chunks"
        else (body,)
    ):
        raw += b"%x\r\n" % len(piece) if framing == "chunks" else b""
        places += range(len(raw), len(raw) + len(piece))
        raw += piece + (b"\r\n" if framing == "chunks" else b"")
    raw += b"0\r\nA: b\r\n\r\n" if framing == "chunks" else b""
    end = None if framing == "close" else len(raw)
    return HasMetadata(
        raw + (after if framing != "close" else b""),
        status,
        len(head),
        tuple(places),
        end,
        not close and minor == 1,
    )


class Pair:
    """An exchange and the model of it; each method is an event that happens to both."""

    def __init__(
        self,
        response: HasMetadata,
        size: int = 2,
        max_body: int | None = None,
        engine: str = "native",
    ) -> None:
        request = Request("POST", "http://h/x", (), bytes(size))
        self.exchange = Exchange(request, engine=ENGINES[engine])
        self.exchange.max_body = max_body
        self.response, self.max_body = response, max_body
        self.sent = self.received = 0
        self.to_send = Exchange(request)  # counts the bytes to send
        self.unsent = 0
        while (data := self.to_send.data_to_send()) is not None:
            self.unsent += len(data)
            self.to_send.sent(len(data))
        self.send_failed = self.ended = self.cut = False
        self.failed: str | None = None
        self.wire = b""

    # ── the model ──

    @property
    def has_head(self) -> bool:
        return self.received >= self.response.head_end

    @property
    def whole(self) -> bool:
        end = self.response.end
        return self.has_head and (self.ended if end is None else self.received >= end)

    @property
    def done(self) -> bool:
        return self.whole or self.cut

    @property
    def over(self) -> bool:
        return self.done or self.failed is not None

    @property
    def phase(self) -> str:
        return "body" if self.has_head else "send" if self.unsent or self.send_failed else "head"

    @property
    def reusable(self) -> bool:
        left_over = self.response.end is None or self.received > self.response.end
        return (
            self.whole
            and not (left_over or self.unsent or self.send_failed)
            and self.response.keeps
        )

    def _expect(self, kind: str | None, event: Callable[[], object]) -> None:
        """Check that `event` fails with `kind`, or does not fail if that is None."""
        self.failed = kind
        if kind is None:
            event()
            return
        with pytest.raises(DispatchFailure) as caught:
            event()
        assert caught.value.kind == kind
        self._check_failure(caught.value)

    # ── events ──

    def send(self, most: int) -> None:
        data = self.exchange.data_to_send()
        assert data is not None
        count = min(most, len(data))
        self.wire += bytes(data[:count])
        self.exchange.sent(count)
        self.sent += count
        self.unsent -= count

    def stop_sending(self) -> None:
        self.exchange.stop_sending()
        self.send_failed, self.unsent = True, 0

    def receive(self, most: int) -> None:
        data = self.response.raw[self.received : self.received + most]
        self.received += len(data)
        limit = self.max_body
        announced = self.response.end is not None and b"chunked" not in self.response.raw
        size = len(self.response.places if announced else self.response.body(self.received))
        too_large = (
            limit is not None and self.has_head and self.response.status < 300 and size > limit
        )
        self._expect("too_large" if too_large else None, lambda: self.exchange.receive_data(data))

    def eof(self) -> None:
        self.ended = True
        kind = None
        if not self.whole:
            self.cut = self.has_head and self.response.status >= 300
            if not self.cut:
                kind = "truncated" if self.received else "reset" if self.send_failed else "closed"
        self._expect(kind, self.exchange.receive_eof)

    def fail(self) -> None:
        self.cut = self.has_head and self.response.status >= 300
        self._expect(
            None if self.cut else "timeout", lambda: self.exchange.fail("timeout", "too late")
        )

    def end(self) -> None:
        """Close the connection: an exchange that is not over then ends."""
        over = self.over
        if not over:
            self.eof()
        assert self.over
        self.check()

    # ── invariants ──

    def check(self) -> None:
        assert (self.exchange.data_to_send() is None) == (self.unsent == 0)
        self._check_failure(self.exchange.failure("timeout", "x"))
        if self.failed is not None:
            return
        assert self.exchange.done == self.done
        assert self.exchange.reusable() == self.reusable
        if self.done:
            found = self.exchange.response()
            assert (found.status, found.truncated) == (self.response.status, self.cut)
            assert bytes(found.body) == self.response.body(self.received)

    def _check_failure(self, failure: DispatchFailure) -> None:
        delivery = "answered" if self.has_head else "maybe_sent" if self.sent else "not_sent"
        assert (failure.phase, failure.delivery) == (self.phase, delivery)
        assert (failure.bytes_sent, failure.bytes_received) == (self.sent, self.received)
        assert failure.status == (self.response.status if self.has_head else None)


# ── many responses, some orders of events ──


class Exchanges(RuleBasedStateMachine):
    """Any response, its events in any order that a transport could see."""

    pair: Pair

    @initialize(
        response=st.builds(
            told,
            st.sampled_from((200, 204, 424, 503)),
            st.sampled_from(("length", "chunks", "close")),
            st.binary(max_size=9),
            chunk=st.integers(1, 4),
            interim=st.integers(0, 2),
            close=st.booleans(),
            minor=st.just(1),
            after=st.sampled_from((b"", b"", b"HTTP/1.1 200 OK\r\n\r\n", b"\r\n")),
        ),
        size=st.sampled_from((0, 3, MAX_SINGLE_WRITE + 1)),
        max_body=st.sampled_from((None, None, 0, 4)),
        engine=st.sampled_from(sorted(ENGINES)),
    )
    def begin(self, response: HasMetadata, size: int, max_body: int | None, engine: str) -> None:
        self.pair = Pair(response, size, max_body, engine)

    @precondition(lambda self: self.pair.unsent and self.pair.failed is None)
    @rule(most=st.sampled_from((1, 50, 1 << 20)))
    def send(self, most: int) -> None:
        self.pair.send(most)

    @precondition(lambda self: not self.pair.over and self.pair.unsent)
    @rule()
    def stop_sending(self) -> None:
        self.pair.stop_sending()

    @precondition(
        lambda self: not self.pair.over and self.pair.received < len(self.pair.response.raw)
    )
    @rule(most=st.integers(1, 9) | st.just(1 << 16))
    def receive(self, most: int) -> None:
        self.pair.receive(most)

    @precondition(lambda self: not self.pair.over)
    @rule()
    def eof(self) -> None:
        self.pair.eof()

    @precondition(lambda self: not self.pair.over)
    @rule()
    def fail(self) -> None:
        self.pair.fail()

    @precondition(lambda self: self.pair.over)
    @rule()
    def over_is_over(self) -> None:
        """Check that an exchange that is over stays so and keeps its outcome."""

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check()

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.end()


Exchanges.TestCase.settings = settings(max_examples=300, stateful_step_count=25)
TestExchanges = Exchanges.TestCase


# ── a few responses, every order of events ──

# Each with the condition under which it can happen.
EVENTS: dict[str, tuple[Callable[[Pair], bool], Callable[[Pair], None]]] = {
    "send one": (lambda pair: pair.unsent > 0, lambda pair: pair.send(1)),
    "send all": (lambda pair: pair.unsent > 0, lambda pair: pair.send(1 << 20)),
    "stop sending": (lambda pair: pair.unsent > 0, Pair.stop_sending),
    "receive one": (
        lambda pair: pair.received < len(pair.response.raw),
        lambda pair: pair.receive(1),
    ),
    "receive the head": (
        lambda pair: not pair.has_head,
        lambda pair: pair.receive(pair.response.head_end - pair.received),
    ),
    "receive all": (
        lambda pair: pair.received < len(pair.response.raw),
        lambda pair: pair.receive(1 << 16),
    ),
    "eof": (lambda pair: True, Pair.eof),
    "fail": (lambda pair: True, Pair.fail),
}
FEW = {
    "length": told(),
    "chunks": told(framing="chunks", body=b"a"),
    "close": told(framing="close"),
    "error": told(503, interim=1),
    "left over": told(after=b"!"),
    "close said": told(close=True),
    "old": told(minor=0),
}


@pytest.mark.parametrize("name", FEW)
def test_every_order_of_six_events_matches_the_model(name: str) -> None:
    orders: list[tuple[str, ...]] = [()]
    ended = 0
    for order in orders:  # it grows during the loop
        pair = Pair(FEW[name])
        for event in order:
            EVENTS[event][1](pair)
        pair.check()
        if pair.over:
            ended += 1
        elif len(order) < 6:
            orders += [
                (*order, event) for event, (can_happen, _) in EVENTS.items() if can_happen(pair)
            ]
        else:
            pair.end()
    assert ended > 100


# ── every way to cut the bytes ──

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
TAILS = [
    (CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
    (CHUNKED, b"0\r\nA: b\r\n\r\n"),
    (CHUNKED, b"1;a=b\r\nx\r\n0"),
    (CHUNKED, b"0\r\n\r\nHTTP/1"),
    (CHUNKED, b"1\r\nab\r\n0\r\n"),
    (CHUNKED, b"0\r\nA b\r\n\r\n"),
    (CHUNKED, b"1\n\n0\r\n\r\n"),
    (HEAD + b"Content-Length: 2", b"\r\n\r\nabc"),
    (HEAD + b"Content-Length: 0", b"\r\n\r\n\r\n"),
    (HEAD + b"Content-Length: 2", b"\n\r\n\r\nab"),
    (HEAD + b"Content-Length: 2", b"\r\r\n\r\nab"),
    (HEAD, b"A:\r\n\r\n\r\nx"),
    (b"HTTP/1.1 100 C\r\n", b"\r\nHTTP/1.1 2"),
]


def every_cutting(data: bytes) -> Iterator[list[bytes]]:
    """Yield all 2^(n-1) ways to cut `data` into pieces that are not empty."""
    inner = range(1, len(data))
    for places in chain.from_iterable(combinations(inner, count) for count in range(len(data))):
        yield [
            data[start:end] for start, end in zip((0, *places), (*places, len(data)), strict=True)
        ]


def outcome(pieces: list[bytes], engine: str) -> tuple[object, ...]:
    exchange = Exchange(Request("POST", "http://h/x", (), b""), engine=ENGINES[engine])
    while (data := exchange.data_to_send()) is not None:
        exchange.sent(len(data))
    left_over = False
    try:
        for piece in pieces:
            if exchange.done:
                left_over = True
            else:
                exchange.receive_data(piece)
        if not exchange.done:
            exchange.receive_eof()
    except DispatchFailure as failure:
        return failure.kind, failure.phase, failure.delivery
    response = exchange.response()
    return (
        response.status,
        response.headers,
        bytes(response.body),
        response.truncated,
        exchange.reusable() and not left_over,
    )


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("head", "tail"), TAILS, ids=[str(tail)[2:-1] for _, tail in TAILS])
def test_every_split_of_a_response_has_the_same_outcome(
    head: bytes, tail: bytes, engine: str
) -> None:
    whole = outcome([head + tail], "native")
    for pieces in every_cutting(tail):
        assert outcome([head, *pieces], engine) == whole, pieces
        assert outcome([head + pieces[0], *pieces[1:]], engine) == whole, pieces


# ── a long body, some of it received into the buffer ──

LONG = bytes(range(256)) * 8192  # 2 MiB: the buffer grows once


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 1 << 20)), max_size=8),
    st.sampled_from((0, 1, 70)),
    st.booleans(),
)
def test_body_is_the_same_with_and_without_the_buffer(
    pieces: list[tuple[bool, int]], excess: int, whole: bool
) -> None:
    """Bytes go to the buffer or come in pieces, in turns; the rest comes in a piece."""
    raw = HEAD + b"Content-Length: %d\r\n\r\n" % len(LONG) + LONG + b"!" * excess
    exchange = Exchange(Request("POST", "http://h/x", (), b""))
    while (data := exchange.data_to_send()) is not None:
        exchange.sent(len(data))
    taken = 0
    for into_buffer, size in [
        (False, 99),
        *pieces,
        *[(True, 1 << 20)] * 3 * whole,
        *[(False, len(raw))] * whole,
    ]:
        buffer = exchange.get_buffer() if into_buffer else None
        if exchange.done:
            break
        if buffer is None:
            piece = raw[taken : taken + size]
            exchange.receive_data(piece)
            taken += len(piece)
        else:
            with buffer:
                count = min(len(buffer), size)
                buffer[:count] = raw[taken : taken + count]
            exchange.buffer_updated(count)
            taken += count
        assert exchange.bytes_received == taken
        assert exchange.done == (taken >= len(raw) - excess)
    if exchange.done:
        assert exchange.response().body == LONG
        assert exchange.reusable() == (taken == len(raw) - excess)
    else:
        with pytest.raises(DispatchFailure, match=f"{len(raw) - excess - taken} bytes early"):
            exchange.receive_eof()


# ── endless responses ──

ENDLESS: dict[str, tuple[bytes, bytes, str | None]] = {
    "a status line": (b"HTTP/1.1 200 ", b"x" * 4096, "too_large"),
    "a field": (HEAD + b"A: ", b"x" * 4096, "too_large"),
    "fields": (HEAD, b"A: b\r\n" * 700, "too_large"),
    "interim responses": (b"", b"HTTP/1.1 102 P\r\n\r\n" * 200, "protocol"),
    "long interim responses": (
        b"",
        b"HTTP/1.1 102 P\r\nA: " + b"x" * 60_000 + b"\r\n\r\n",
        "protocol",
    ),
    "blank lines": (b"", b"\r\n" * 2048, "protocol"),
    "a chunk's size": (CHUNKED, b"0" * 4096, "protocol"),
    "a chunk's extension": (CHUNKED + b"1;", b"x" * 4096, "too_large"),
    "trailers": (CHUNKED + b"0\r\n", b"A: b\r\n" * 700, "too_large"),
    "an error's body": (
        b"HTTP/1.1 500 E\r\nContent-Length: 1000000000000\r\n\r\n",
        b"x" * 4096,
        None,
    ),
    "an error's chunks": (
        b"HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"40\r\n%b\r\n" % (b"x" * 64) * 60,
        None,
    ),
    "a body": (HEAD + b"Content-Length: 1000000000000000000\r\n\r\n", b"x" * 4096, "too_large"),
    "chunks": (CHUNKED, b"40\r\n%b\r\n" % (b"x" * 64) * 60, "too_large"),
    "one chunk": (CHUNKED + b"ffffffffffffffff\r\n", b"x" * 4096, "too_large"),
    "a body to the end": (HEAD + b"\r\n", b"x" * 4096, "too_large"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ENDLESS)
def test_endless_response_is_refused_within_its_limit(name: str, engine: str) -> None:
    start, piece, kind = ENDLESS[name]
    exchange = Exchange(Request("POST", "http://h/x", (), b""), engine=ENGINES[engine])
    exchange.max_body = MAX_ERROR_BODY
    tracemalloc.start()
    try:
        exchange.receive_data(start or piece)
        for data in repeat(piece, (8 * MAX_ERROR_BODY) // len(piece)):
            if exchange.done:
                break
            exchange.receive_data(data)
    except DispatchFailure as failure:
        assert failure.kind == kind
    else:
        assert exchange.response().truncated
        assert len(exchange.response().body) == MAX_ERROR_BODY
        assert kind is None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 3 * MAX_ERROR_BODY + 8 * MAX_HEAD
