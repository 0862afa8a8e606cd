"""Faults 60 to 66, early: a response, or the end of the connection, during the upload."""

from __future__ import annotations

from typing import Final

from ..effects import Flow
from ._builders import OUTPUT, declare, then_recover
from ._head import INTERIM_RESPONSES
from ._scenario import Expectation, ExpectedError, ExpectedFailure, Scenario
from ._server_script import (
    HEALTHY_RESPONSE,
    Ending,
    ReceiveRequest,
    SendBytes,
    build_response,
    close_connection,
    finish_sending,
    on_first_connection,
    reset_later,
    reset_now,
    respond,
    stay_open,
)
from ._time import LARGE_UPLOAD

_CONTINUE = INTERIM_RESPONSES["100"]
_CHUNKED_SUCCESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n"
_BROKEN: Final = ExpectedFailure("reset", "send", "maybe_sent", reused=False)


def _respond_early(
    fault: str,
    name: str,
    response: bytes,
    ending: Ending,
    expected: Expectation,
    received: int = 1_000_000,
) -> Scenario:
    """Return a scenario where the server responds after `received` bytes of a large upload."""

    def act() -> Flow[None]:
        yield from ReceiveRequest(received)
        if response:
            yield from SendBytes(response)
        return (yield from ending())

    operations = (LARGE_UPLOAD, LARGE_UPLOAD.replace(body=b"1"))
    return then_recover(fault, name, on_first_connection(act), expected, operations=operations)


def _refuse(
    fault: str, name: str, ending: Ending, status: int = 413, received: int = 1_000_000
) -> Scenario:
    """Return a scenario where the upload stops and the caller gets the service's error."""
    response = build_response(b'{"Message":"no"}', f"{status} x")
    expected = ExpectedError(str(status), status, "no")
    return _respond_early(fault, name, response, ending, expected, received)


def _succeed(name: str, ending: Ending, response: bytes = HEALTHY_RESPONSE) -> Scenario:
    return _respond_early("64", name, response, ending, OUTPUT)


def _end_after_continue(name: str, kind: str, ending: Ending, served: int = 0) -> Scenario:
    script = respond(_CONTINUE, ending=ending, served=served)
    failure = ExpectedFailure(kind, reused=bool(served))
    return declare("66", name, script, *(OUTPUT,) * served, failure, OUTPUT, connections=2)


EARLY: list[Scenario] = [
    _refuse("60", "the body unread", close_connection),
    _refuse("60", "nothing but the head read", close_connection, received=200),
    _refuse("61", "the body read", finish_sending),
    _refuse("62", "the body unread", stay_open),
    _refuse("62", "nothing but the head read", stay_open, received=200),
    _refuse("63", "closed", close_connection, 403),
    _refuse("63", "kept open", stay_open, 403),
    _refuse("63", "400, closed for sending", finish_sending, 400),
    _succeed("kept open, the body unread", stay_open),
    _succeed("closed for sending, the body read", finish_sending),
    _succeed("in chunks", stay_open, _CHUNKED_SUCCESS),
    _succeed("after an interim response", stay_open, _CONTINUE + HEALTHY_RESPONSE),
    _respond_early("65", "RST", b"", reset_now, _BROKEN),
    _respond_early("65", "RST at once", b"", reset_now, _BROKEN, received=1),
    _respond_early("65", "FIN, the body unread", b"", close_connection, _BROKEN),
    _end_after_continue("FIN", "truncated", close_connection),
    _end_after_continue("RST", "reset", reset_later),
    _end_after_continue("FIN on a kept connection", "truncated", close_connection, served=1),
    _end_after_continue("RST on a kept connection", "reset", reset_later, served=1),
]
