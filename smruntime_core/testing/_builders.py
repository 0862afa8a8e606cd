"""Builders of scenarios: most have one bad response and then a healthy call.

The healthy call shows what the bad response did to the client and its pool: the connection is
reused, or it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ._scenario import Expectation, ExpectedError, ExpectedFailure, ExpectedOutput, Scenario
from ._server_script import (
    ConnectionEnding,
    Script,
    close_connection,
    keep_serving,
    reset_later,
    respond,
)

STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED_HEAD: Final = STATUS_LINE + b"Transfer-Encoding: chunked\r\n\r\n"
EMPTY_BODY: Final = b"Content-Length: 0\r\n\r\n"
CONNECTION_ENDINGS: Final[dict[str, ConnectionEnding]] = {
    "FIN": close_connection,
    "RST": reset_later,
}
HEALTHY_OUTPUT: Final = ExpectedOutput()
FIRST_ATTEMPT: Final = ExpectedOutput(attempts=("ok",))
MAX_SPLITTABLE: Final = 2000  # bytes; sending more byte by byte takes too long


def declare(
    fault: str, name: str, script: Script, *expected: Expectation, **settings: Any
) -> Scenario:
    """Return a scenario with one call for each of the `expected` outcomes."""
    return Scenario(fault=fault, name=name, script=script, expected=expected, **settings)


def then_recover(
    fault: str, name: str, script: Script, expected: Expectation, **settings: Any
) -> Scenario:
    """Return a scenario with the `expected` outcome, then a healthy call on a new connection."""
    settings = {"connections": 2, **settings}
    return declare(fault, name, script, expected, HEALTHY_OUTPUT, **settings)


def expect_failure(
    fault: str,
    name: str,
    response: bytes,
    expected: ExpectedFailure,
    *,
    ending: ConnectionEnding = keep_serving,
    **settings: Any,
) -> Scenario:
    """Return a scenario where `response`, on a new connection, is a network failure."""
    settings = {"splittable": len(response) < MAX_SPLITTABLE, **settings}
    expected = expected.replace(reused=False)
    return then_recover(fault, name, respond(response, ending=ending), expected, **settings)


def reject_head(
    fault: str, name: str, response: bytes, kind: str = "protocol", **settings: Any
) -> Scenario:
    """Return a scenario where `response` is refused before its body; it is not sent again."""
    return expect_failure(fault, name, response, ExpectedFailure(kind), **settings)


def reject_body(fault: str, name: str, response: bytes, **settings: Any) -> Scenario:
    """Return a scenario where the head of `response` is valid and its body is not."""
    expected = ExpectedFailure("protocol", "body", "answered", 200)
    return expect_failure(fault, name, response, expected, **settings)


def cut_response(
    fault: str, name: str, response: bytes, expected: ExpectedFailure
) -> list[Scenario]:
    """Return a scenario for each way to end the connection after `response`: FIN and RST."""
    failure_kinds = {"FIN": expected.kind, "RST": "reset"}
    return [
        expect_failure(
            fault,
            f"{name}, {ending_name}",
            response,
            expected.replace(kind=failure_kinds[ending_name]),
            ending=ending,
        )
        for ending_name, ending in CONNECTION_ENDINGS.items()
    ]


def accept(
    fault: str,
    name: str,
    response: bytes,
    expected: bytes | ExpectedOutput | ExpectedError,
    *,
    reusable: bool = True,
    ending: ConnectionEnding = keep_serving,
    **settings: Any,
) -> Scenario:
    """Return a scenario where `response` is read: a body, an output or an error of the service.

    `reusable` says whether the next call uses the same connection.
    """
    outcome = ExpectedOutput(expected) if isinstance(expected, bytes) else expected
    splittable = len(response) < MAX_SPLITTABLE and not isinstance(outcome, ExpectedError)
    settings = {"connections": 1 if reusable else 2, "splittable": splittable, **settings}
    return then_recover(fault, name, respond(response, ending=ending), outcome, **settings)


def build_for_each(
    build: Callable[..., Scenario], fault: str, responses: Mapping[str, bytes]
) -> list[Scenario]:
    """Return one scenario for each of `responses`, by name."""
    return [build(fault, name, response) for name, response in responses.items()]
