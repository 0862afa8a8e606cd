"""Rows 67 to 81, service: an error of the service's is heard as what it is, whatever its bytes."""

from __future__ import annotations

import itertools
import json
import zlib
from typing import Any

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
from ._scenario import SPARE, Answer, Refusal, Scenario
from ._server import WELL, Hear, Now, Pause, Say, Script, answer, fin, keep, rst
from ._ways import no

EAGER = RetryPolicy(base_delay=0.0, throttling_delay=0.0)
MEMBERS = (
    b'{"Message":"no","OriginalStatusCode":500,"OriginalMessage":"boom","LogStreamArn":"arn:x"}'
)
TOLD = (("original_status_code", 500), ("original_message", "boom"), ("log_stream_arn", "arn:x"))


def refusal(
    body: bytes = b'{"Message":"no"}', kind: str | None = None, status: int = 400, *lines: str
) -> bytes:
    named = () if kind is None else (f"x-amzn-ErrorType: {kind}",)
    return answer(body, f"{status} x", "x-amzn-RequestId: r-1", *named, *lines)


def says(
    row: str,
    name: str,
    body: bytes,
    code: str,
    kind: str | None = None,
    status: int = 400,
    **right: Any,
) -> Scenario:
    return no(row, name, refusal(body, kind, status), Refusal(code, status, **right))


MODELLED: list[tuple[type[ServiceError], tuple[tuple[str, object], ...]]] = [
    (ValidationError, ()),
    (ModelError, TOLD),
    (ModelNotReadyException, ()),
    (InternalFailure, ()),
    (ServiceUnavailable, ()),
    (InternalDependencyException, ()),
]


def modelled(kind: type[ServiceError], members: tuple[tuple[str, object], ...]) -> Scenario:
    """One of the six; those that may be gone a little later are tried three times."""
    code, status = kind.default_code, kind.default_status
    times = 3 if status in (429, 500, 503) else 1
    right = Refusal(code, status, "no", type=kind, members=members, attempts=(code,) * times)
    said: list[bytes | float] = [refusal(MEMBERS, code, status)]
    return Scenario(
        row="67",
        name=f"{code}, {status}",
        script=each(said * times),
        right=(right, Answer()),
        requests=times + 1,
        connections=1,
    )


def each(said: list[bytes | float]) -> Script:
    """A request after the other, on whatever connection, is answered with what is `said`; then all is well. For one call at a time."""

    def script(number: int) -> Flow[None]:
        for raw in said if number == 1 else ():
            yield from Hear()
            yield from Say(raw) if isinstance(raw, bytes) else Pause(raw)
        return (yield from keep())

    return script


TYPES = {
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
NO_OBJECTS = {
    "a list": b'["Message"]',
    "a string": b'"Message"',
    "a number": b"42",
    "null": b"null",
    "deeply nested": b'{"a":' + b"[" * 100_000,
    "deeply nested and whole": b"[" * 100_000 + b"]" * 100_000,
    "NaN": b'{"OriginalStatusCode":NaN}',
    "10,000 digits": b'{"OriginalStatusCode":%s}' % (b"9" * 10_000),
}
NO_JSON = {
    "not UTF-8": b'{"Message":"\xff\xfe\xc3"}',
    "compressed": zlib.compress(b'{"Message":"no"}', wbits=31),
    "a byte order mark": b'\xef\xbb\xbf{"Message":"no"}',
    "UTF-16": '{"Message":1}'.encode("utf-16"),
    "XML": b"<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>",
    "HTML": b"<html><body>503 Service Unavailable</body></html>",
    "NULs": bytes(100),
    "empty": b"",
}
NO_TEXTS = ["7", "null", "[1]", "{}", "true", '""', '":"']
CODE_KEYS = ("__type", "code", "Code")
NO_SECONDS = ("soon", "-1", "", "1.5", "9999999999999", "Fri, 31 Dec 2999 23:59:59 GMT")
NO_TIMES = ["x-amz-retry-after: 1e9", *(f"Retry-After: {value}" for value in NO_SECONDS)]
MESSAGES = {
    "CR LF": ("76", "a\r\nERROR forged", r"a\r\nERROR forged"),
    "ESC": ("76", "\x1b[2J\x1b]0;t\x07", r"\x1b[2J\x1b]0;t\x07"),
    "other controls": ("76", "\0\x7f\x85\u2028\u202e", r"\x00\x7f\x85\u2028\u202e"),
    "a lone surrogate": ("77", "\ud800 and \udfff", r"\ud800 and \udfff"),
    "harmless": ("76", "naïve — ok", "naïve — ok"),
}


def unreadable(row: str, name: str, body: bytes) -> list[Scenario]:
    """The header names the error, or else the status; and by that it is tried again."""
    failing = [refusal(body, None, 500), refusal(body, None, 502)]
    return [
        says(
            row,
            f"{name}, the header names the error",
            body,
            "ModelError",
            "ModelError",
            424,
            type=ModelError,
        ),
        says(row, f"{name}, nothing names the error", body, "403", None, 403),
        Scenario(
            row=row,
            name=f"{name}, with 500 and 502",
            script=each([*failing]),
            right=(Answer(attempts=("500", "502", "ok")), Answer()),
            requests=4,
            connections=1,
        ),
    ]


def cut() -> list[Scenario]:
    """An error's body cut in every place; the error is known by its header, and the connection not used again."""
    body = b'{"Message":"the instance count"}'
    whole = refusal(body, "ValidationError")
    chunked = whole.replace(
        b"Content-Length: 32\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n20\r\n"
    )
    ways = {
        "before the body": whole[: -len(body)],
        "in the body": whole[:-3],
        "in a chunk": chunked[:-9],
        "before the last chunk": chunked,
    }
    ways |= {
        "before the last chunk's size": chunked + b"\r\n",
        "before the final CRLF": chunked + b"\r\n0\r\n",
    }
    right = Refusal("ValidationError", 400, truncated=True, type=ValidationError)
    found = [
        no("73", f"{name}, FIN", raw, right, kept=False, end=fin) for name, raw in ways.items()
    ]
    found += [
        no("73", f"{name}, RST", raw, right, kept=False, end=rst) for name, raw in ways.items()
    ]
    impatient = Timeouts(connect=5.0, response=5.0, idle=0.3)
    found += [
        no("73", f"{name}, silence", raw, right, kept=False, timeouts=impatient, takes=0.3)
        for name, raw in ways.items()
    ]
    return found


def huge(
    row: str, name: str, line: bytes, piece: bytes, times: int | None, every: float = 0.0
) -> Scenario:
    """An error of which a megabyte is read, however long it is."""

    def script(number: int) -> Flow[None]:
        if number > 1:
            return (yield from keep())
        yield from Hear()
        yield from Say(
            b"HTTP/1.1 400 x\r\nx-amzn-ErrorType: ValidationError\r\n" + line + b"\r\n\r\n"
        )
        for _ in itertools.repeat(None) if times is None else range(times):
            if every:
                yield from Pause(every)
            yield from Say(piece)
        return None

    right = Refusal("ValidationError", 400, truncated=True, type=ValidationError)
    more: dict[str, Any] = {"timeouts": Timeouts(total=0.6), "takes": 0.6} if every else {}
    return Scenario(
        row=row,
        name=name,
        script=script,
        right=(right, Answer()),
        connections=2,
        memory=SPARE + 2 * MAX_ERROR_BODY,
        **more,
    )


MANY = b"x" * 65536
CHUNK = b"10000\r\n" + MANY + b"\r\n"


def redirect(status: int, to: str) -> Scenario:
    """Never followed: the server would see another request, and that with secrets in it."""
    right = Refusal(str(status), status, attempts=(str(status),))
    return no("78", f"{status} to {to}", refusal(b"", None, status, f"Location: {to}"), right)


def asking(name: str, line: str, waits: float) -> Scenario:
    """A server that is busy says when to come again; no more than five seconds of that are believed."""
    busy = refusal(b"{}", "ServiceUnavailable", 503, line)
    right = (Answer(attempts=("ServiceUnavailable", "ok")), Answer())
    return Scenario(
        row="79",
        name=name,
        script=each([busy]),
        right=right,
        requests=3,
        connections=1,
        takes=waits,
        retries=EAGER,
    )


def impatient(name: str, line: str) -> Scenario:
    """Nothing is waited for that would come too late: the answer that is there is worth more than a timeout later."""
    right = (Refusal("ServiceUnavailable", 503, attempts=("ServiceUnavailable",)), Answer())
    script = each([refusal(b"{}", "ServiceUnavailable", 503, line)])
    return Scenario(
        row="79", name=name, script=script, right=right, connections=1, timeouts=Timeouts(total=4.0)
    )


def skewed(name: str, off: float, code: str = "RequestTimeTooSkewed") -> Scenario:
    """A server whose clock is `off` by so many seconds, and which takes what was signed at its time only."""

    def script(number: int) -> Flow[None]:
        while request := (yield from Hear()):
            now = (yield from Now()) + off
            signed = parse_timestamp(
                request.lower().partition(b"x-amz-date: ")[2][:16].decode().upper()
            )
            if signed is not None and abs(now - signed) < 300:
                yield from Say(WELL)
            else:
                yield from Say(refusal(b"{}", code, 403, f"Date: {format_http_date(now)}"))

    right = (Answer(attempts=(code, "ok")), Answer(attempts=("ok",)), Answer(attempts=("ok",)))
    return Scenario(
        row="80",
        name=name,
        script=script,
        right=right,
        requests=4,
        connections=1,
        retries=RetryPolicy(max_attempts=1),
    )


def incorrigible(name: str, *lines: str) -> Scenario:
    """A refusal that does not say what time it is, or not credibly, is one."""
    code = "RequestTimeTooSkewed"
    return no("80", name, refusal(b"{}", code, 403, *lines), Refusal(code, 403, attempts=(code,)))


def storm(
    name: str, said: bytes, code: str, status: int, calls: int, retries: int, attempts: list[int]
) -> Scenario:
    """Everything fails: a client soon stops adding to the trouble, and then every call is one request."""

    def script(number: int) -> Flow[None]:
        while (yield from Hear()):
            yield from Say(said)

    right = tuple(Refusal(code, status, attempts=(code,) * times) for times in attempts)
    assert len(right) == calls  # noqa: S101 - the table's own sums
    return Scenario(
        row="81",
        name=name,
        script=script,
        right=right,
        requests=calls + retries,
        connections=1,
        retries=EAGER,
        takes=3.0,
    )


SERVICE: list[Scenario] = [
    *[modelled(kind, members) for kind, members in MODELLED],
    *[
        says("68", repr(kind), b'{"__type":"x#ModelError"}', code, kind)
        for kind, code in TYPES.items()
    ],
    *[
        says(
            "69",
            key,
            b'{"%s":"ns#ValidationError:u"}' % key.encode(),
            "ValidationError",
            type=ValidationError,
        )
        for key in CODE_KEYS
    ],
    *[
        says(
            "70",
            value,
            f'{{"__type":{value},"code":{value},"message":{value}}}'.encode(),
            "418",
            None,
            418,
        )
        for value in NO_TEXTS
    ],
    *[scenario for name, body in NO_OBJECTS.items() for scenario in unreadable("71", name, body)],
    *[scenario for name, body in NO_JSON.items() for scenario in unreadable("72", name, body)],
    *cut(),
    huge("74", "200 MB", b"Content-Length: 200000000", MANY, 3052),
    huge("74", "200 MB in chunks", b"Transfer-Encoding: chunked", CHUNK, 3052),
    huge("75", "in chunks", b"Transfer-Encoding: chunked", CHUNK, None),
    huge("75", "until the connection is closed", b"X: y", MANY, None),
    huge("75", "of 10^18 bytes", b"Content-Length: 1000000000000000000", MANY, None),
    huge("75", "dripping", b"X: y", b"x", None, 0.05),
    *[
        says(row, name, json.dumps({"message": raw}).encode(), "400", message=message, raw=raw)
        for name, (row, raw, message) in MESSAGES.items()
    ],
    says("76", "in the code", b'{"__type":"Bad\\u001b[1m"}', "Bad\x1b[1m"),
    no(
        "76",
        "in the request id",
        refusal().replace(b"r-1", b"\xff\xfe\x85\xad"),
        Refusal("400", 400, "no"),
    ),
    *[redirect(status, "http://localhost:$PORT/evil") for status in (301, 302, 303, 307, 308)],
    redirect(307, "/endpoints/iris/invocations"),
    redirect(307, "//localhost:$PORT/evil"),
    asking("150 ms", "x-amz-retry-after: 150", 0.15),
    asking("a day, and five seconds are waited", "Retry-After: 86400", 5.0),
    asking(
        "a day in milliseconds, and five seconds are waited", "x-amz-retry-after: 86400000", 5.0
    ),
    *[asking(line, line, 0.0) for line in NO_TIMES],
    impatient("a minute, which the call has not", "Retry-After: 60"),
    impatient("eleven days, which the call has not", "Retry-After: 999999999"),
    skewed("ten minutes behind", -600.0),
    skewed("ten minutes ahead", 600.0),
    skewed("a year ahead", 365 * 86400.0, "InvalidSignatureException"),
    incorrigible("no Date"),
    incorrigible("a Date that is none", "Date: yesterday"),
    incorrigible("a Date from a cache", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Age: 60"),
    storm(
        "of 503",
        refusal(b"{}", "ServiceUnavailable", 503),
        "ServiceUnavailable",
        503,
        40,
        35,
        [3] * 17 + [2] + [1] * 22,
    ),
    storm(
        "of throttling",
        refusal(b"{}", "ThrottlingException"),
        "ThrottlingException",
        400,
        60,
        100,
        [3] * 50 + [1] * 10,
    ),
]
