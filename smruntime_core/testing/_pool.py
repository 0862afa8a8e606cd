"""Faults 12 to 18, pool: connections that end, or receive bytes, after they served a call."""

from __future__ import annotations

from typing import Any, Final

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..protocol._operations import InvokeEndpoint
from ._builders import CHUNKED_HEAD, FIRST_TRY, OUTPUT, STATUS_LINE, accept, declare
from ._head import INTERIM_RESPONSES, THREE_BYTES
from ._scenario import ExpectedFailure, ExpectedOutput, Scenario
from ._server_script import (
    HEALTHY_RESPONSE,
    LONG_DELAY,
    SHORT_DELAY,
    STRAY_RESPONSE,
    ReceiveRequest,
    Script,
    SendBytes,
    build_response,
    close_connection,
    keep_serving,
    on_each_connection,
    perform,
    reset_later,
    reset_now,
    respond,
)

_OPENS_SESSION: Final = InvokeEndpoint(endpoint_name="iris", body=b"", session_id="NEW_SESSION")
_TIMED_OUT = build_response(b"", "408 Request Timeout", "Connection: close")
_SAYS_CLOSE = build_response(b"well", "200 OK", "Connection: close")
_NO_CONTENT: Final = b"HTTP/1.1 204 No Content\r\n"
_ONE_ATTEMPT: Final = RetryPolicy(max_attempts=1)
_RESEND: Final = RetryPolicy(max_attempts=3, base_delay=0.0, resend=True)
_WAYS = {"FIN": ("closed", close_connection), "RST": ("reset", reset_now)}
_CLOSED_UNREAD: Final = ExpectedFailure(
    "closed|reset|refused", "connect|send|head", "maybe_sent|not_sent", reused=False
)


def _fail_request(
    way: str, *, served: int, others_serve: bool = True, received: int | None = None
) -> Script:
    """Return a script whose first connection serves `served` requests and fails during the next.

    It fails after `received` bytes of the request (None: all). The other connections serve, or fail
    during their first request.
    """
    ending = _WAYS[way][1]

    def script(number: int) -> Flow[None]:
        if number > 1 and others_serve:
            return (yield from keep_serving())
        for _ in range(served if number == 1 else 0):
            yield from ReceiveRequest()
            yield from SendBytes(HEALTHY_RESPONSE)
        yield from ReceiveRequest(received)
        return (yield from ending())

    return script


def _respond_once(*steps: bytes | float, reset: bool = False) -> Script:
    """Return a script that answers one request on each connection, performs `steps` and closes."""

    def act() -> Flow[None]:
        yield from ReceiveRequest()
        yield from perform((HEALTHY_RESPONSE, *steps))
        if reset:
            yield from reset_later()

    return on_each_connection(act)


def _close_idle(name: str, script: Script) -> Scenario:
    expected = (FIRST_TRY,) * 3
    return declare("12", name, script, *expected, interval=LONG_DELAY, connections=3)


def _send_unrequested(name: str, response: bytes) -> Scenario:
    """Return a scenario where `response` comes while the connection is idle in the pool."""
    script = respond(HEALTHY_RESPONSE, SHORT_DELAY, response)
    return declare("15", name, script, FIRST_TRY, FIRST_TRY, interval=LONG_DELAY, connections=2)


def _append_bytes(name: str, response: bytes, body: bytes = b"abc") -> Scenario:
    """Return a scenario with bytes after a complete response."""
    return accept("16", name, response, body, reusable=False, interval=LONG_DELAY)


def _fail_reused(way: str) -> list[Scenario]:
    """Return scenarios of a reused connection that fails: replaced once, even with one attempt."""
    kind = _WAYS[way][0]
    expected = (FIRST_TRY, ExpectedOutput(attempts=(kind, "ok")))
    failure = ExpectedFailure(kind, reused=False, attempts=(kind, kind))
    once = _fail_request(way, served=1)
    again = _fail_request(way, served=1, others_serve=False)
    counts: dict[str, Any] = {"requests": 3, "connections": 2}
    return [
        declare("13", way, once, *expected, **counts),
        declare("13", f"{way}, one attempt", once, *expected, **counts, retries=_ONE_ATTEMPT),
        declare("13", f"{way}, and so does the next", again, OUTPUT, failure, requests=3),
    ]


def _fail_new(way: str) -> list[Scenario]:
    """Return scenarios of a new connection that fails: the model may have run."""
    kind = _WAYS[way][0]
    failure = ExpectedFailure(kind, reused=False, attempts=(kind,))
    resent = ExpectedOutput(attempts=(kind, "ok"))
    script = _fail_request(way, served=0, others_serve=False)
    inside = _fail_request("RST", served=0, others_serve=False, received=20)
    session: dict[str, Any] = {"operations": (_OPENS_SESSION,)}
    resending: dict[str, Any] = {"requests": 2, "retries": _RESEND}
    return [
        declare("14", way, script, failure),
        declare("14", f"{way}, opening a session", script, failure, **session),
        declare(
            "14",
            f"{way}, opening a session, though it may be sent again",
            script,
            failure,
            **session,
            retries=_RESEND,
        ),
        declare(
            "14",
            f"{way}, and it may be sent again",
            _fail_request(way, served=0),
            resent,
            **resending,
        ),
        declare(
            "14",
            f"{way} inside the request",
            inside,
            ExpectedFailure("reset", "send|head"),
            requests=1,
        ),
    ]


def _close_unread(name: str, way: str) -> Scenario:
    script = on_each_connection(_WAYS[way][1])
    return declare("14", name, script, _CLOSED_UNREAD, requests=0, retries=_ONE_ATTEMPT)


POOL: list[Scenario] = [
    _close_idle("FIN", _respond_once(SHORT_DELAY)),
    declare("12", "FIN at once", _respond_once(), *(OUTPUT,) * 3),
    _close_idle("RST", _respond_once(reset=True)),
    _close_idle("408 and FIN", _respond_once(SHORT_DELAY, _TIMED_OUT)),
    accept("12", "the server says close and does not", _SAYS_CLOSE, b"well", reusable=False),
    *[scenario for way in _WAYS for scenario in _fail_reused(way)],
    *[scenario for way in _WAYS for scenario in _fail_new(way)],
    _close_unread("closed unread", "FIN"),
    _close_unread("broken unread", "RST"),
    _send_unrequested("a response", STRAY_RESPONSE),
    _send_unrequested("the beginning of one", b"HTTP/1.1 200 OK\r\n"),
    _send_unrequested("an interim response", INTERIM_RESPONSES["100"]),
    _send_unrequested("CRLF", b"\r\n"),
    _append_bytes("a response, after a length", THREE_BYTES + STRAY_RESPONSE),
    _append_bytes("a byte, after a length", THREE_BYTES + b"d"),
    _append_bytes("CRLF, after a length", THREE_BYTES + b"\r\n"),
    _append_bytes(
        "a response, after chunks", CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\n" + STRAY_RESPONSE
    ),
    _append_bytes("CRLF, after chunks", CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\n\r\n"),
    _append_bytes(
        "a response, after no body",
        STATUS_LINE + b"Content-Length: 0\r\n\r\n" + STRAY_RESPONSE,
        b"",
    ),
    _append_bytes("a body, after 204", _NO_CONTENT + b"Content-Length: 3\r\n\r\nabc", b""),
    _append_bytes(
        "chunks, after 204", _NO_CONTENT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""
    ),
    *[
        declare(
            "18",
            f"{status}, then a late 200",
            respond(response, LONG_DELAY, HEALTHY_RESPONSE),
            *(OUTPUT,) * 3,
            connections=1,
        )
        for status, response in INTERIM_RESPONSES.items()
    ],
    declare(
        "18",
        "all of them at once",
        respond(b"".join(INTERIM_RESPONSES.values()) + HEALTHY_RESPONSE),
        *(OUTPUT,) * 3,
        splittable=True,
    ),
    declare(
        "18",
        "100 before each of two",
        respond(INTERIM_RESPONSES["100"] + HEALTHY_RESPONSE, served=1),
        *(OUTPUT,) * 3,
        connections=1,
    ),
]
