"""Rows 52 to 57, time: a server that is slow, in every place where it can be."""

from __future__ import annotations

from collections.abc import Iterable

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..protocol._operations import InvokeEndpoint
from ..values._timeouts import Timeouts
from ._head import LATE
from ._scenario import Answer, Failure, Scenario
from ._server import LATER, WELL, Hear, Pause, Say, first, keep
from ._ways import CHUNKED, OK

BIG = InvokeEndpoint(endpoint_name="e", body=bytes(30_000_000))
SOON = Timeouts(connect=5.0, response=0.3, idle=0.3)
WHOLE = Timeouts(connect=5.0, response=5.0, idle=5.0, total=0.6)
STALLED = Failure("timeout", "body", "answered", 200)
MILLION = OK + b"Content-Length: 1000000\r\n\r\n"


def late(
    name: str,
    *said: bytes | float,
    right: Failure = LATE,
    timeouts: Timeouts = SOON,
    row: str,
    takes: float = 0.0,
) -> Scenario:
    """What is `said` to the first request, by which time the client has given up; the next call is well."""
    takes = takes or timeouts.total or 0.3
    return Scenario(
        row=row,
        name=name,
        script=first(*said),
        right=(right, Answer()),
        connections=2,
        timeouts=timeouts,
        takes=takes,
    )


def drip(pieces: Iterable[bytes], every: float) -> list[bytes | float]:
    return [item for piece in pieces for item in (piece, every)]


def never_reading(number: int) -> Flow[None]:
    if number > 1:
        return (yield from keep())
    return (yield from Pause())


def reading_slowly(number: int) -> Flow[None]:
    """100 kB at a time, with pauses: slow, and never for long."""
    if number > 1:
        return (yield from keep())
    while (yield from Hear(part=100_000)):
        yield from Pause(0.1)
    return None


def out_of_step(number: int) -> Flow[None]:
    """The first connection answers so late that nobody may hear it; the others say which they are."""
    while (yield from Hear()):
        if number == 1:
            yield from Pause(0.4)
        yield from Say(OK + b"Content-Length: 1\r\n\r\n%d" % number)


HEAD_BYTES = [
    bytes((byte,)) for byte in WELL.replace(b"\r\nx-", b"\r\nx-padding: %s\r\nx-" % (b"." * 300))
]
TEXT = WELL.partition(b"\r\n\r\n")[0]

TIME: list[Scenario] = [
    late("never", row="52"),
    late("never, within the whole call", row="52", timeouts=WHOLE),
    Scenario(
        row="52",
        name="never, and it may be sent again",
        script=first(),
        right=(Answer(attempts=("timeout", "ok")),),
        requests=2,
        timeouts=SOON,
        takes=0.3,
        retries=RetryPolicy(base_delay=0.0, resend=True),
    ),
    Scenario(
        row="53",
        name="an answer that comes too late reaches nobody",
        script=out_of_step,
        right=(LATE, Answer(b"2"), Answer(b"2")),
        connections=2,
        timeouts=Timeouts(response=0.2),
        takes=0.2,
    ),
    late("after the timeout", 1.2, WELL, row="53"),
    late("after the timeout of the whole call", 1.2, WELL, row="53", timeouts=WHOLE),
    late("a byte each 50 ms", *drip(HEAD_BYTES, 0.05), row="54"),
    late(
        "a byte each 50 ms, within the whole call",
        *drip(HEAD_BYTES, 0.05),
        row="54",
        timeouts=WHOLE,
    ),
    late("a field each 0.1 s", OK, *drip([b"A: b\r\n"] * 100, 0.1), row="54"),
    late("half of it, then silence", TEXT, row="54"),
    late(
        "a byte each 50 ms",
        MILLION,
        *drip([b"."] * 200, 0.05),
        row="55",
        right=STALLED,
        timeouts=WHOLE,
    ),
    late(
        "chunks each 50 ms",
        CHUNKED,
        *drip([b"1\r\n.\r\n"] * 200, 0.05),
        row="55",
        right=STALLED,
        timeouts=WHOLE,
    ),
    late(
        "the size of a chunk each 50 ms",
        CHUNKED,
        *drip([b"0"] * 14, 0.05),
        row="55",
        right=STALLED,
        timeouts=WHOLE,
    ),
    late(
        "until the end, each 50 ms",
        OK + b"\r\n",
        *drip([b"."] * 200, 0.05),
        row="55",
        right=STALLED,
        timeouts=WHOLE,
    ),
    late(
        "less than a byte a second",
        MILLION,
        1.6,
        *drip([b"."] * 20, 1.6),
        row="55",
        right=STALLED,
        timeouts=Timeouts(response=5.0, idle=2.0),
        takes=3.0,
    ),
    late("of a length", OK + b"Content-Length: 9\r\n\r\nabc", row="56", right=STALLED),
    late("none of it", OK + b"Content-Length: 9\r\n\r\n", row="56", right=STALLED),
    late("of 200 MB", OK + b"Content-Length: 200000000\r\n\r\nabc", row="56", right=STALLED),
    late("inside a chunk", CHUNKED + b"9\r\nabc", row="56", right=STALLED),
    late("between chunks", CHUNKED + b"3\r\nabc\r\n", row="56", right=STALLED),
    late("before the final CRLF", CHUNKED + b"3\r\nabc\r\n0\r\n", row="56", right=STALLED),
    late("without a length", OK + b"\r\nabc", row="56", right=STALLED),
    late(
        "within the whole call",
        OK + b"Content-Length: 9\r\n\r\nabc",
        row="56",
        right=STALLED,
        timeouts=WHOLE,
    ),
    Scenario(
        row="57",
        name="never",
        script=never_reading,
        operations=(BIG, BIG.replace(body=b"")),
        right=(Failure("timeout", "send"), Answer()),
        requests=1,
        timeouts=SOON,
        takes=0.3,
    ),
    Scenario(
        row="57",
        name="slower than the whole call may last",
        script=reading_slowly,
        operations=(BIG,),
        right=(Failure("timeout", "send"),),
        timeouts=WHOLE.replace(total=1.5),  # signing 30 MB takes its time too
        takes=1.5,
    ),
    Scenario(
        row="57",
        name="late, but in time",
        script=first(LATER, WELL),
        right=(Answer(), Answer()),
        connections=1,
    ),
]
