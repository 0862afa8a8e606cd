"""Faults 60 to 66, early: a response, or the end of the connection, during the upload."""

from __future__ import annotations

from typing import Final

from ..effects import Flow
from ._builders import HEALTHY_OUTPUT, declare, then_recover
from ._head import INTERIM_RESPONSES
from ._scenario import Expectation, ExpectedError, ExpectedFailure, Scenario
from ._server_script import (
    HEALTHY_RESPONSE,
    ConnectionEnding,
    ReceiveRequest,
    SendBytes,
    build_response,
    close_connection,
    finish_sending,
    keep_open_unread,
    on_first_connection,
    reset_at_once,
    reset_later,
    respond,
)
from ._time import LARGE_UPLOAD

_CONTINUE_RESPONSE = INTERIM_RESPONSES["100"]
_CHUNKED_SUCCESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nwell\r\n0\r\n\r\n"
_RESET_DURING_UPLOAD: Final = ExpectedFailure("reset", "send", "maybe_sent", reused=False)


def _respond_early(
    fault: str,
    name: str,
    response: bytes,
    ending: ConnectionEnding,
    expected: Expectation,
    received: int = 1_000_000,
) -> Scenario:
    """Return a scenario where the server responds after `received` bytes of a large upload."""

    def serve_connection() -> Flow[None]:
        yield from ReceiveRequest(received)
        if response:
            yield from SendBytes(response)
        return (yield from ending())

    operations = (LARGE_UPLOAD, LARGE_UPLOAD.replace(body=b"1"))
    return then_recover(
        fault, name, on_first_connection(serve_connection), expected, operations=operations
    )


def _refuse_upload(
    fault: str, name: str, ending: ConnectionEnding, status: int = 413, received: int = 1_000_000
) -> Scenario:
    """Return a scenario where the upload stops and the caller gets the service's error."""
    response = build_response(b'{"Message":"no"}', f"{status} x")
    expected = ExpectedError(str(status), status, "no")
    return _respond_early(fault, name, response, ending, expected, received)


def _succeed_early(
    name: str, ending: ConnectionEnding, response: bytes = HEALTHY_RESPONSE
) -> Scenario:
    return _respond_early("64", name, response, ending, HEALTHY_OUTPUT)


def _end_after_continue(
    name: str, kind: str, ending: ConnectionEnding, served: int = 0
) -> Scenario:
    script = respond(_CONTINUE_RESPONSE, ending=ending, served=served)
    failure = ExpectedFailure(kind, reused=bool(served))
    return declare(
        "66", name, script, *(HEALTHY_OUTPUT,) * served, failure, HEALTHY_OUTPUT, connections=2
    )


EARLY_SCENARIOS: list[Scenario] = [
    _refuse_upload("60", "the body unread", close_connection),
    _refuse_upload("60", "nothing but the head read", close_connection, received=200),
    _refuse_upload("61", "the body read", finish_sending),
    _refuse_upload("62", "the body unread", keep_open_unread),
    _refuse_upload("62", "nothing but the head read", keep_open_unread, received=200),
    _refuse_upload("63", "closed", close_connection, 403),
    _refuse_upload("63", "kept open", keep_open_unread, 403),
    _refuse_upload("63", "400, closed for sending", finish_sending, 400),
    _succeed_early("kept open, the body unread", keep_open_unread),
    _succeed_early("closed for sending, the body read", finish_sending),
    _succeed_early("in chunks", keep_open_unread, _CHUNKED_SUCCESS),
    _succeed_early(
        "after an interim response", keep_open_unread, _CONTINUE_RESPONSE + HEALTHY_RESPONSE
    ),
    _respond_early("65", "RST", b"", reset_at_once, _RESET_DURING_UPLOAD),
    _respond_early("65", "RST at once", b"", reset_at_once, _RESET_DURING_UPLOAD, received=1),
    _respond_early("65", "FIN, the body unread", b"", close_connection, _RESET_DURING_UPLOAD),
    _end_after_continue("FIN", "truncated", close_connection),
    _end_after_continue("RST", "reset", reset_later),
    _end_after_continue("FIN on a kept connection", "truncated", close_connection, served=1),
    _end_after_continue("RST on a kept connection", "reset", reset_later, served=1),
]
