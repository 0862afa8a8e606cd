"""Faults 12 to 18, pool: connections that end, or receive bytes, after they served a call."""

from __future__ import annotations

from typing import Any, Final

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..protocol._operations import InvokeEndpoint
from ._builders import CHUNKED_HEAD, FIRST_ATTEMPT, HEALTHY_OUTPUT, STATUS_LINE, accept, declare
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
    perform_steps,
    reset_at_once,
    reset_later,
    respond,
)

_OPENS_SESSION: Final = InvokeEndpoint(endpoint_name="iris", body=b"", session_id="NEW_SESSION")
_TIMED_OUT = build_response(b"", "408 Request Timeout", "Connection: close")
_SAYS_CLOSE = build_response(b"well", "200 OK", "Connection: close")
_NO_CONTENT: Final = b"HTTP/1.1 204 No Content\r\n"
_ONE_ATTEMPT: Final = RetryPolicy(max_attempts=1)
_RESEND_POLICY: Final = RetryPolicy(max_attempts=3, base_delay=0.0, resend=True)
_CONNECTION_FAILURES = {"FIN": ("closed", close_connection), "RST": ("reset", reset_at_once)}
_CLOSED_UNREAD: Final = ExpectedFailure(
    "closed|reset|refused", "connect|send|head", "maybe_sent|not_sent", reused=False
)


def _fail_request(
    ending_name: str, *, served: int, others_serve: bool = True, received: int | None = None
) -> Script:
    """Return a script that serves `served` requests on its first connection and then fails.

    It fails after `received` bytes of the next request (None: all). The other connections serve,
    or fail during their first request.
    """
    ending = _CONNECTION_FAILURES[ending_name][1]

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

    def serve_connection() -> Flow[None]:
        yield from ReceiveRequest()
        yield from perform_steps((HEALTHY_RESPONSE, *steps))
        if reset:
            yield from reset_later()

    return on_each_connection(serve_connection)


def _close_idle(name: str, script: Script) -> Scenario:
    expected = (FIRST_ATTEMPT,) * 3
    return declare("12", name, script, *expected, interval=LONG_DELAY, connections=3)


def _send_unrequested(name: str, response: bytes) -> Scenario:
    """Return a scenario where `response` comes while the connection is idle in the pool."""
    script = respond(HEALTHY_RESPONSE, SHORT_DELAY, response)
    return declare(
        "15", name, script, FIRST_ATTEMPT, FIRST_ATTEMPT, interval=LONG_DELAY, connections=2
    )


def _append_bytes(name: str, response: bytes, body: bytes = b"abc") -> Scenario:
    """Return a scenario with bytes after a complete response."""
    return accept("16", name, response, body, reusable=False, interval=LONG_DELAY)


def _fail_reused(ending_name: str) -> list[Scenario]:
    """Return scenarios of a reused connection that fails: replaced once, even with one attempt."""
    kind = _CONNECTION_FAILURES[ending_name][0]
    expected = (FIRST_ATTEMPT, ExpectedOutput(attempts=(kind, "ok")))
    failure = ExpectedFailure(kind, reused=False, attempts=(kind, kind))
    fails_once = _fail_request(ending_name, served=1)
    fails_again = _fail_request(ending_name, served=1, others_serve=False)
    expected_counts: dict[str, Any] = {"requests": 3, "connections": 2}
    return [
        declare("13", ending_name, fails_once, *expected, **expected_counts),
        declare(
            "13",
            f"{ending_name}, one attempt",
            fails_once,
            *expected,
            **expected_counts,
            retries=_ONE_ATTEMPT,
        ),
        declare("13", f"{ending_name}, twice", fails_again, HEALTHY_OUTPUT, failure, requests=3),
    ]


def _fail_new(ending_name: str) -> list[Scenario]:
    """Return scenarios of a new connection that fails: the model may have run."""
    kind = _CONNECTION_FAILURES[ending_name][0]
    failure = ExpectedFailure(kind, reused=False, attempts=(kind,))
    resent_output = ExpectedOutput(attempts=(kind, "ok"))
    script = _fail_request(ending_name, served=0, others_serve=False)
    fails_inside = _fail_request("RST", served=0, others_serve=False, received=20)
    session_settings: dict[str, Any] = {"operations": (_OPENS_SESSION,)}
    resend_settings: dict[str, Any] = {"requests": 2, "retries": _RESEND_POLICY}
    return [
        declare("14", ending_name, script, failure),
        declare("14", f"{ending_name}, opening a session", script, failure, **session_settings),
        declare(
            "14",
            f"{ending_name}, opening a session, with resend=True",
            script,
            failure,
            **session_settings,
            retries=_RESEND_POLICY,
        ),
        declare(
            "14",
            f"{ending_name}, with resend=True",
            _fail_request(ending_name, served=0),
            resent_output,
            **resend_settings,
        ),
        declare(
            "14",
            f"{ending_name} inside the request",
            fails_inside,
            ExpectedFailure("reset", "send|head"),
            requests=1,
        ),
    ]


def _close_unread(name: str, ending_name: str) -> Scenario:
    script = on_each_connection(_CONNECTION_FAILURES[ending_name][1])
    return declare("14", name, script, _CLOSED_UNREAD, requests=0, retries=_ONE_ATTEMPT)


POOL_SCENARIOS: list[Scenario] = [
    _close_idle("FIN", _respond_once(SHORT_DELAY)),
    declare("12", "FIN at once", _respond_once(), *(HEALTHY_OUTPUT,) * 3),
    _close_idle("RST", _respond_once(reset=True)),
    _close_idle("408 and FIN", _respond_once(SHORT_DELAY, _TIMED_OUT)),
    accept("12", "Connection: close, but kept open", _SAYS_CLOSE, b"well", reusable=False),
    *[scenario for ending_name in _CONNECTION_FAILURES for scenario in _fail_reused(ending_name)],
    *[scenario for ending_name in _CONNECTION_FAILURES for scenario in _fail_new(ending_name)],
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
            *(HEALTHY_OUTPUT,) * 3,
            connections=1,
        )
        for status, response in INTERIM_RESPONSES.items()
    ],
    declare(
        "18",
        "all of them at once",
        respond(b"".join(INTERIM_RESPONSES.values()) + HEALTHY_RESPONSE),
        *(HEALTHY_OUTPUT,) * 3,
        splittable=True,
    ),
    declare(
        "18",
        "100 before each of two",
        respond(INTERIM_RESPONSES["100"] + HEALTHY_RESPONSE, served=1),
        *(HEALTHY_OUTPUT,) * 3,
        connections=1,
    ),
]
