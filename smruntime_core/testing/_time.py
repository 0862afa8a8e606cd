"""Faults 52 to 57, time: a server that is slow at every point of an exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..protocol._operations import InvokeEndpoint
from ..values._timeouts import Timeouts
from ._builders import CHUNKED_HEAD, HEALTHY_OUTPUT, STATUS_LINE, declare, then_recover
from ._head import HEAD_TIMEOUT
from ._scenario import ExpectedFailure, ExpectedOutput, Scenario
from ._server_script import (
    HEALTHY_RESPONSE,
    LONG_DELAY,
    ReceiveRequest,
    SendBytes,
    StayIdle,
    keep_open_unread,
    on_first_connection,
    respond,
)

LARGE_UPLOAD: Final = InvokeEndpoint(endpoint_name="e", body=bytes(30_000_000))
# Limits that a busy machine keeps, too: the call after a timeout has the same.
_EACH_WAIT: Final = Timeouts(connect=5.0, response=0.8, idle=0.8)
_WHOLE_CALL: Final = Timeouts(connect=5.0, response=5.0, idle=5.0, total=1.0)
_SLOW_BODY: Final = Timeouts(response=5.0, idle=2.0)
_BODY_TIMEOUT: Final = ExpectedFailure("timeout", "body", "answered", 200)
_MILLION_BYTES: Final = STATUS_LINE + b"Content-Length: 1000000\r\n\r\n"
_NINE_BYTES: Final = STATUS_LINE + b"Content-Length: 9\r\n\r\n"
_PADDED_RESPONSE = HEALTHY_RESPONSE.replace(b"\r\nx-", b"\r\nx-padding: %s\r\nx-" % (b"." * 300))
_PADDED_BYTES = [bytes((byte,)) for byte in _PADDED_RESPONSE]
_HALF_HEAD = HEALTHY_RESPONSE.partition(b"\r\n\r\n")[0]


def _late_head(
    fault: str, name: str, *steps: bytes | float, timeouts: Timeouts = _EACH_WAIT, **settings: Any
) -> Scenario:
    """Return a scenario where the head comes too late; the next call is served well."""
    settings = {"expected": HEAD_TIMEOUT, "duration": timeouts.total or 0.8, **settings}
    return then_recover(fault, name, respond(*steps), timeouts=timeouts, **settings)


def _slow_body(name: str, head: bytes, stream_piece: bytes, times: int = 200) -> Scenario:
    """Return a scenario where a piece of the body comes every 50 ms."""
    steps = (head, *_with_pauses([stream_piece] * times, 0.05))
    return _late_head("55", name, *steps, expected=_BODY_TIMEOUT, timeouts=_WHOLE_CALL)


def _stalled_body(name: str, response: bytes, timeouts: Timeouts = _EACH_WAIT) -> Scenario:
    return _late_head("56", name, response, expected=_BODY_TIMEOUT, timeouts=timeouts)


def _with_pauses(pieces: Iterable[bytes], interval: float) -> list[bytes | float]:
    return [script_step for stream_piece in pieces for script_step in (stream_piece, interval)]


def _read_slowly() -> Flow[None]:
    """Read 100 kB at a time with short pauses."""
    while (yield from ReceiveRequest(100_000)):
        yield from StayIdle(0.1)


def _respond_late_once(number: int) -> Flow[None]:
    """Send the connection's number as the body, on the first connection after the timeout."""
    while (yield from ReceiveRequest()):
        if number == 1:
            yield from StayIdle(1.2)
        yield from SendBytes(STATUS_LINE + b"Content-Length: 1\r\n\r\n%d" % number)


TIME_SCENARIOS: list[Scenario] = [
    _late_head("52", "never"),
    _late_head("52", "never, with timeouts.total", timeouts=_WHOLE_CALL),
    declare(
        "52",
        "never, with resend=True",
        respond(),
        ExpectedOutput(attempts=("timeout", "ok")),
        requests=2,
        timeouts=_EACH_WAIT,
        duration=0.8,
        retries=RetryPolicy(base_delay=0.0, resend=True),
    ),
    declare(
        "53",
        "a late response is discarded",
        _respond_late_once,
        HEAD_TIMEOUT,
        ExpectedOutput(b"2"),
        ExpectedOutput(b"2"),
        connections=2,
        timeouts=Timeouts(response=0.8),
        duration=0.8,
    ),
    _late_head("53", "after the timeout", 1.6, HEALTHY_RESPONSE),
    _late_head("53", "after timeouts.total", 1.6, HEALTHY_RESPONSE, timeouts=_WHOLE_CALL),
    _late_head("54", "a byte each 50 ms", *_with_pauses(_PADDED_BYTES, 0.05)),
    _late_head(
        "54",
        "a byte each 50 ms, with timeouts.total",
        *_with_pauses(_PADDED_BYTES, 0.05),
        timeouts=_WHOLE_CALL,
    ),
    _late_head("54", "a field each 0.1 s", STATUS_LINE, *_with_pauses([b"A: b\r\n"] * 100, 0.1)),
    _late_head("54", "half of it, then silence", _HALF_HEAD),
    _slow_body("a byte each 50 ms", _MILLION_BYTES, b"."),
    _slow_body("chunks each 50 ms", CHUNKED_HEAD, b"1\r\n.\r\n"),
    _slow_body("the size of a chunk each 50 ms", CHUNKED_HEAD, b"0", 14),
    _slow_body("until the end, each 50 ms", STATUS_LINE + b"\r\n", b"."),
    _late_head(
        "55",
        "less than a byte a second",
        _MILLION_BYTES,
        1.6,
        *_with_pauses([b"."] * 20, 1.6),
        expected=_BODY_TIMEOUT,
        timeouts=_SLOW_BODY,
        duration=3.0,
    ),
    _stalled_body("of a length", _NINE_BYTES + b"abc"),
    _stalled_body("none of it", _NINE_BYTES),
    _stalled_body("of 200 MB", STATUS_LINE + b"Content-Length: 200000000\r\n\r\nabc"),
    _stalled_body("inside a chunk", CHUNKED_HEAD + b"9\r\nabc"),
    _stalled_body("between chunks", CHUNKED_HEAD + b"3\r\nabc\r\n"),
    _stalled_body("before the final CRLF", CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n"),
    _stalled_body("without a length", STATUS_LINE + b"\r\nabc"),
    _stalled_body("with timeouts.total", _NINE_BYTES + b"abc", _WHOLE_CALL),
    declare(
        "57",
        "never",
        on_first_connection(keep_open_unread),
        ExpectedFailure("timeout", "send"),
        HEALTHY_OUTPUT,
        operations=(LARGE_UPLOAD, LARGE_UPLOAD.replace(body=b"")),
        requests=1,
        timeouts=_EACH_WAIT,
        duration=0.8,
    ),
    declare(
        "57",
        "slower than timeouts.total",
        on_first_connection(_read_slowly),
        ExpectedFailure("timeout", "send"),
        operations=(LARGE_UPLOAD,),
        timeouts=_WHOLE_CALL.replace(total=1.5),  # signing 30 MB takes a part of it
        duration=1.5,
    ),
    then_recover(
        "57",
        "late, within the timeout",
        respond(LONG_DELAY, HEALTHY_RESPONSE),
        HEALTHY_OUTPUT,
        connections=1,
    ),
]
