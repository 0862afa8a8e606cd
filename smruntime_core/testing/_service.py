"""Faults 67 to 81, service: an error of the service is reported as itself, whatever its bytes."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final

from ..conversation._retries import RetryPolicy
from ..effects import Flow
from ..errors import (
    InternalDependencyException,
    InternalFailure,
    ModelError,
    ModelNotReadyException,
    ServiceError,
    ServiceUnavailable,
    ValidationError,
)
from ..values._dates import format_http_date, parse_timestamp
from ..values._http import MAX_ERROR_BODY
from ..values._timeouts import Timeouts
from ._builders import FIRST_ATTEMPT, accept, declare, then_recover
from ._scenario import SPARE_MEMORY, ExpectedError, ExpectedOutput, Scenario
from ._server_script import (
    HEALTHY_RESPONSE,
    ReadClock,
    ReceiveRequest,
    Script,
    SendBytes,
    build_response,
    close_connection,
    keep_serving,
    on_first_connection,
    reset_later,
    stream_pieces,
)

_SKEWED: Final = "RequestTimeTooSkewed"
_YEAR: Final = 365 * 86400.0
_RETRY_AT_ONCE: Final = RetryPolicy(base_delay=0.0, throttling_delay=0.0)
_MODEL_ERROR_BODY: Final = (
    b'{"Message":"no","OriginalStatusCode":500,"OriginalMessage":"boom","LogStreamArn":"arn:x"}'
)
_MODEL_ERROR_MEMBERS: Final[tuple[tuple[str, object], ...]] = (
    ("original_status_code", 500),
    ("original_message", "boom"),
    ("log_stream_arn", "arn:x"),
)
_MODELLED_ERRORS: Final[list[type[ServiceError]]] = [
    ValidationError,
    ModelError,
    ModelNotReadyException,
    InternalFailure,
    ServiceUnavailable,
    InternalDependencyException,
]
_TRUNCATED: Final = ExpectedError(
    "ValidationError", 400, truncated=True, error_type=ValidationError
)


def _error_response(
    body: bytes = b'{"Message":"no"}', error_type: str | None = None, status: int = 400, *lines: str
) -> bytes:
    type_lines = () if error_type is None else (f"x-amzn-ErrorType: {error_type}",)
    return build_response(body, f"{status} x", "x-amzn-RequestId: r-1", *type_lines, *lines)


def _read_error(
    fault: str,
    name: str,
    body: bytes,
    code: str,
    header_type: str | None = None,
    status: int = 400,
    **members: Any,
) -> Scenario:
    """Return a scenario where an error with `body` is read as `code`."""
    response = _error_response(body, header_type, status)
    return accept(fault, name, response, ExpectedError(code, status, **members))


def _respond_in_turn(responses: Iterable[bytes]) -> Script:
    """Return a script that answers requests with `responses` in turn, then with healthy ones."""

    def serve_connection() -> Flow[None]:
        for response in responses:
            yield from ReceiveRequest()
            yield from SendBytes(response)
        return (yield from keep_serving())

    return on_first_connection(serve_connection)


def _modelled_error(error_type: type[ServiceError]) -> Scenario:
    """Return a scenario of one modelled error; a transient one is tried three times."""
    code, status = error_type.default_code, error_type.default_status
    attempts = 3 if status in (429, 500, 503) else 1
    expected = ExpectedError(
        code,
        status,
        "no",
        error_type=error_type,
        members=_MODEL_ERROR_MEMBERS if error_type is ModelError else (),
        attempts=(code,) * attempts,
    )
    script = _respond_in_turn([_error_response(_MODEL_ERROR_BODY, code, status)] * attempts)
    expected_counts = {"requests": attempts + 1, "connections": 1}
    return then_recover("67", f"{code}, {status}", script, expected, **expected_counts)


_ERROR_TYPES = {
    "ValidationError": "ValidationError",
    "ValidationError:http://internal.amazon.com/coral/com.amazon.coral.service/": "ValidationError",
    "com.amazonaws.sagemaker#ValidationError": "ValidationError",
    "com.amazonaws.sagemaker#ValidationError:http://a/b#c": "ValidationError",
    " \tValidationError \t": "ValidationError",
    "ValidationError : x": "ValidationError",
    "": "ModelError",
    ":": "ModelError",
    "#": "ModelError",
    "a#:b": "ModelError",
    "Novel.Error-1": "Novel.Error-1",
    "validationerror": "validationerror",
}
_NOT_OBJECTS = {
    "a list": b'["Message"]',
    "a string": b'"Message"',
    "a number": b"42",
    "null": b"null",
    "deeply nested": b'{"a":' + b"[" * 100_000,
    "deeply nested and whole": b"[" * 100_000 + b"]" * 100_000,
    "NaN": b'{"OriginalStatusCode":NaN}',
    "10,000 digits": b'{"OriginalStatusCode":%s}' % (b"9" * 10_000),
}
_NOT_JSON_BODIES = {
    "not UTF-8": b'{"Message":"\xff\xfe\xc3"}',
    "compressed": zlib.compress(b'{"Message":"no"}', wbits=31),
    "a byte order mark": b'\xef\xbb\xbf{"Message":"no"}',
    "UTF-16": '{"Message":1}'.encode("utf-16"),
    "XML": b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
    "HTML": b"<html><body>503 Service Unavailable</body></html>",
    "NULs": bytes(100),
    "empty": b"",
}
_NOT_TEXTS = ("7", "null", "[1]", "{}", "true", '""', '":"')
_CODE_KEYS = ("__type", "code", "Code")
_NOT_SECONDS = ("soon", "-1", "", "1.5", "9999999999999", "Fri, 31 Dec 2999 23:59:59 GMT")
_NOT_DELAYS = ("x-amz-retry-after: 1e9", *(f"Retry-After: {value}" for value in _NOT_SECONDS))
_ERROR_MESSAGES = {
    "CR LF": ("76", "a\r\nERROR forged", r"a\r\nERROR forged"),
    "ESC": ("76", "\x1b[2J\x1b]0;t\x07", r"\x1b[2J\x1b]0;t\x07"),
    "other controls": ("76", "\0\x7f\x85\u2028\u202e", r"\x00\x7f\x85\u2028\u202e"),
    "a lone surrogate": ("77", "\ud800 and \udfff", r"\ud800 and \udfff"),
    "harmless": ("76", "naïve — ok", "naïve — ok"),
}


def _unreadable_body(fault: str, name: str, body: bytes) -> list[Scenario]:
    """Return scenarios where only the header, or else the status, says what the error is."""
    named_error, unnamed_error = (
        f"{name}, the header names the error",
        f"{name}, nothing names the error",
    )
    script = _respond_in_turn([_error_response(body, None, status) for status in (500, 502)])
    retried_output = ExpectedOutput(attempts=("500", "502", "ok"))
    expected_counts = {"requests": 4, "connections": 1}
    return [
        _read_error(
            fault, named_error, body, "ModelError", "ModelError", 424, error_type=ModelError
        ),
        _read_error(fault, unnamed_error, body, "403", None, 403),
        then_recover(fault, f"{name}, with 500 and 502", script, retried_output, **expected_counts),
    ]


def _code_not_text(value: str) -> Scenario:
    body = f'{{"__type":{value},"code":{value},"message":{value}}}'.encode()
    return _read_error("70", value, body, "418", None, 418)


def _code_in_body(key: str) -> Scenario:
    body = b'{"%s":"ns#ValidationError:u"}' % key.encode()
    return _read_error("69", key, body, "ValidationError", error_type=ValidationError)


def _show_message(name: str) -> Scenario:
    fault, raw_message, shown_message = _ERROR_MESSAGES[name]
    body = json.dumps({"message": raw_message}).encode()
    return _read_error(fault, name, body, "400", message=shown_message, raw_message=raw_message)


def _cut_bodies() -> list[Scenario]:
    """Return scenarios with a cut error body; the header names the error."""
    body = b'{"Message":"the instance count"}'
    whole = _error_response(body, "ValidationError")
    chunked = whole.replace(
        b"Content-Length: 32\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n20\r\n"
    )
    responses = {
        "before the body": whole[: -len(body)],
        "in the body": whole[:-3],
        "in a chunk": chunked[:-9],
        "before the last chunk": chunked,
        "before the last chunk's size": chunked + b"\r\n",
        "before the final CRLF": chunked + b"\r\n0\r\n",
    }
    timeouts = Timeouts(connect=5.0, response=5.0, idle=0.8)
    endings: dict[str, dict[str, Any]] = {
        "FIN": {"ending": close_connection},
        "RST": {"ending": reset_later},
        "silence": {"timeouts": timeouts, "duration": 0.8},
    }
    return [
        accept("73", f"{name}, {ending_name}", response, _TRUNCATED, reusable=False, **settings)
        for ending_name, settings in endings.items()
        for name, response in responses.items()
    ]


def _huge_error(
    fault: str, name: str, framing: bytes, pieces: Iterable[bytes], interval: float = 0.0
) -> Scenario:
    """Return a scenario with a long error body, of which 1 MiB is read."""
    head = b"HTTP/1.1 400 x\r\nx-amzn-ErrorType: ValidationError\r\n" + framing + b"\r\n\r\n"
    script = stream_pieces(pieces, head=head, interval=interval, ending=close_connection)
    settings: dict[str, Any] = {"memory_limit": SPARE_MEMORY + 2 * MAX_ERROR_BODY}
    if interval:
        settings |= {"timeouts": Timeouts(total=1.0), "duration": 1.0}
    return then_recover(fault, name, script, _TRUNCATED, **settings)


_LARGE_PIECE: Final = b"x" * 65536
_LARGE_CHUNK: Final = b"10000\r\n" + _LARGE_PIECE + b"\r\n"
_HUGE_LENGTH: Final = b"Content-Length: 1000000000000000000"


def _redirect(status: int, location: str) -> Scenario:
    """Return a scenario with a redirect; following it would send secrets to another server."""
    expected = ExpectedError(str(status), status, attempts=(str(status),))
    response = _error_response(b"", None, status, f"Location: {location}")
    return accept("78", f"{status} to {location}", response, expected)


def _retry_after(name: str, field: str, seconds: float) -> Scenario:
    """Return a scenario of a busy server that says when to retry; at most 5 s are waited."""
    script = _respond_in_turn([_error_response(b"{}", "ServiceUnavailable", 503, field)])
    expected = ExpectedOutput(attempts=("ServiceUnavailable", "ok"))
    settings: dict[str, Any] = {"requests": 3, "connections": 1, "retries": _RETRY_AT_ONCE}
    return then_recover("79", name, script, expected, duration=seconds, **settings)


def _retry_too_late(name: str, field: str) -> Scenario:
    """Return a scenario where the error is reported at once: a retry would exceed the timeout."""
    expected = ExpectedError("ServiceUnavailable", 503, attempts=("ServiceUnavailable",))
    response = _error_response(b"{}", "ServiceUnavailable", 503, field)
    script = _respond_in_turn([response])
    return then_recover("79", name, script, expected, connections=1, timeouts=Timeouts(total=4.0))


def _wrong_clock(name: str, offset: float, code: str = _SKEWED) -> Scenario:
    """Return a scenario of a server with a clock `offset` seconds ahead, which it checks."""

    def script(number: int) -> Flow[None]:
        while request := (yield from ReceiveRequest()):
            now = (yield from ReadClock()) + offset
            signed_at = _signing_time(request)
            if signed_at is not None and abs(now - signed_at) < 300:
                yield from SendBytes(HEALTHY_RESPONSE)
            else:
                yield from SendBytes(
                    _error_response(b"{}", code, 403, f"Date: {format_http_date(now)}")
                )

    corrected = ExpectedOutput(attempts=(code, "ok"))
    settings: dict[str, Any] = {"requests": 4, "connections": 1}
    retries = RetryPolicy(max_attempts=1)
    expected = (corrected, FIRST_ATTEMPT, FIRST_ATTEMPT)
    return declare("80", name, script, *expected, retries=retries, **settings)


def _uncorrectable_clock(name: str, *fields: str) -> Scenario:
    """Return a scenario of an error without the server's time, or without a credible one."""
    code = _SKEWED
    expected = ExpectedError(code, 403, attempts=(code,))
    return accept("80", name, _error_response(b"{}", code, 403, *fields), expected)


def _misleading_date(name: str, offset: float, status: int, code: str, **settings: Any) -> Scenario:
    """Return a scenario where a response's `Date` must not correct the clock, which is right.

    It is `offset` seconds ahead; the next request must be signed with the right time.
    """

    def script(number: int) -> Flow[None]:
        yield from ReceiveRequest()
        now = yield from ReadClock()
        date_line = f"Date: {format_http_date(now + offset)}"
        if status == 200:
            yield from SendBytes(build_response(b"well", "200 OK", date_line))
        else:
            yield from SendBytes(_error_response(b"{}", code, status, date_line))
        while request := (yield from ReceiveRequest()):
            now = yield from ReadClock()
            signed_at = _signing_time(request)
            if settings.get("anonymous") or (signed_at is not None and abs(now - signed_at) < 60):
                yield from SendBytes(HEALTHY_RESPONSE)
            else:
                yield from SendBytes(_error_response(b"{}", _SKEWED, 403))

    expected = FIRST_ATTEMPT if status == 200 else ExpectedError(code, status, attempts=(code,))
    return declare(
        "80",
        name,
        script,
        expected,
        FIRST_ATTEMPT,
        FIRST_ATTEMPT,
        connections=1,
        retries=RetryPolicy(max_attempts=1),
        **settings,
    )


def _signing_time(request: bytes) -> float | None:
    """Return the time at which `request` says that it was signed."""
    return parse_timestamp(request.lower().partition(b"x-amz-date: ")[2][:16].decode().upper())


def _flood_of_errors(name: str, code: str, status: int, *attempts: int) -> Scenario:
    """Return a scenario where every request fails: retries stop when the quota is used up.

    `attempts` are those of each call.
    """

    def script(number: int) -> Flow[None]:
        while (yield from ReceiveRequest()):
            yield from SendBytes(_error_response(b"{}", code, status))

    expected = [ExpectedError(code, status, attempts=(code,) * number) for number in attempts]
    settings: dict[str, Any] = {
        "requests": sum(attempts),
        "connections": 1,
        "retries": _RETRY_AT_ONCE,
    }
    return declare("81", name, script, *expected, duration=3.0, **settings)


SERVICE_SCENARIOS: list[Scenario] = [
    *[_modelled_error(error_type) for error_type in _MODELLED_ERRORS],
    *[
        _read_error("68", repr(header_type), b'{"__type":"x#ModelError"}', code, header_type)
        for header_type, code in _ERROR_TYPES.items()
    ],
    *[_code_in_body(key) for key in _CODE_KEYS],
    *[_code_not_text(value) for value in _NOT_TEXTS],
    *[
        scenario
        for name, body in _NOT_OBJECTS.items()
        for scenario in _unreadable_body("71", name, body)
    ],
    *[
        scenario
        for name, body in _NOT_JSON_BODIES.items()
        for scenario in _unreadable_body("72", name, body)
    ],
    *_cut_bodies(),
    _huge_error("74", "200 MB", b"Content-Length: 200000000", [_LARGE_PIECE] * 3052),
    _huge_error("74", "200 MB in chunks", b"Transfer-Encoding: chunked", [_LARGE_CHUNK] * 3052),
    _huge_error("75", "in chunks", b"Transfer-Encoding: chunked", repeat(_LARGE_CHUNK)),
    _huge_error("75", "until the connection is closed", b"X: y", repeat(_LARGE_PIECE)),
    _huge_error("75", "of 10^18 bytes", _HUGE_LENGTH, repeat(_LARGE_PIECE)),
    _huge_error("75", "dripping", b"X: y", repeat(b"x"), interval=0.05),
    *[_show_message(name) for name in _ERROR_MESSAGES],
    _read_error("76", "in the code", b'{"__type":"Bad\\u001b[1m"}', "Bad\x1b[1m"),
    accept(
        "76",
        "in the request id",
        _error_response().replace(b"r-1", b"\xff\xfe\x85\xad"),
        ExpectedError("400", 400, "no"),
    ),
    *[_redirect(status, "http://localhost:$PORT/evil") for status in (301, 302, 303, 307, 308)],
    _redirect(307, "/endpoints/iris/invocations"),
    _redirect(307, "//localhost:$PORT/evil"),
    _retry_after("150 ms", "x-amz-retry-after: 150", 0.15),
    _retry_after("a day: waits five seconds", "Retry-After: 86400", 5.0),
    _retry_after("a day in milliseconds: waits five seconds", "x-amz-retry-after: 86400000", 5.0),
    *[_retry_after(field, field, 0.0) for field in _NOT_DELAYS],
    _retry_too_late("a minute, longer than timeouts.total", "Retry-After: 60"),
    _retry_too_late("eleven days, longer than timeouts.total", "Retry-After: 999999999"),
    _wrong_clock("ten minutes behind", -600.0),
    _wrong_clock("ten minutes ahead", 600.0),
    _wrong_clock("a year ahead", _YEAR, "InvalidSignatureException"),
    _uncorrectable_clock("no Date"),
    _uncorrectable_clock("an invalid Date", "Date: yesterday"),
    _uncorrectable_clock("a Date from a cache", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Age: 60"),
    _misleading_date("a refusal whose Date is that of the signature", 0, 403, _SKEWED),
    _misleading_date("a refusal that no wrong clock explains", _YEAR, 400, "ValidationError"),
    _misleading_date("an error of the service a year ahead", _YEAR, 500, "InternalFailure"),
    _misleading_date("a success a year ahead", _YEAR, 200, ""),
    _misleading_date("a refusal a century ahead", 100 * _YEAR, 403, _SKEWED),
    _misleading_date("a refusal of an unsigned request", _YEAR, 403, _SKEWED, anonymous=True),
    _flood_of_errors("of 503", "ServiceUnavailable", 503, *[3] * 17, 2, *[1] * 22),
    _flood_of_errors("of throttling", "ThrottlingException", 400, *[3] * 50, *[1] * 10),
]
