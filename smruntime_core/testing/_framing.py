"""Faults 26 to 39, framing: where a body ends.

A client that misjudges the end gives the rest of one response to the next caller.
"""

from __future__ import annotations

import zlib
from itertools import repeat
from typing import Any, Final

from ._builders import (
    CHUNKED_HEAD,
    EMPTY_BODY,
    HEALTHY_OUTPUT,
    STATUS_LINE,
    accept,
    build_for_each,
    cut_response,
    expect_failure,
    reject_body,
    reject_head,
    then_recover,
)
from ._head import HEAD_MEMORY, THREE_BYTES
from ._scenario import SPARE_MEMORY, ExpectedFailure, Scenario
from ._server_script import (
    build_response,
    close_connection,
    keep_serving,
    reset_later,
    stream_pieces,
)

_TRUNCATED: Final = ExpectedFailure("truncated", "body", "answered", 200)
_NO_RESPONSE: Final = ExpectedFailure("truncated", "head", "maybe_sent")
_LARGE_PIECE: Final = b"x" * 65536
_GZIP_WINDOW_BITS: Final = 31  # the window bits by which zlib knows gzip
_ZIPPED_BODY = zlib.compress(b"abc", wbits=_GZIP_WINDOW_BITS)
_ZIP_BOMB = zlib.compress(bytes(2_000_000), wbits=_GZIP_WINDOW_BITS)

# `tests/test_linear.py` proves that time does not grow with the square of their number: a server
# cannot send pieces so small that a client receives each of them alone, except slowly
_SMALL_TRAILER_PIECES: Final = [b"A: ", *[b"x" * 16] * 3750, b"\r\n\r\n"]


def _with_length(value: bytes) -> bytes:
    return STATUS_LINE + b"Content-Length: " + value + b"\r\n\r\nabc"


def _with_codings(*transfer_codings: bytes) -> bytes:
    fields = b"".join(b"Transfer-Encoding: %b\r\n" % coding for coding in transfer_codings)
    return STATUS_LINE + fields + b"\r\n3\r\nabc\r\n0\r\n\r\n"


def _with_chunk_size(size: bytes) -> bytes:
    return CHUNKED_HEAD + size + b"\r\nabcdefghijklm\r\n0\r\n\r\n"


def _overflow_body(
    fault: str,
    name: str,
    head: bytes,
    stream_piece: bytes,
    kind: str = "too_large",
    **settings: Any,
) -> Scenario:
    """Return a scenario where `head` and an endless repetition of `stream_piece` are refused."""
    script = stream_pieces(repeat(stream_piece), head=head)
    settings = {"memory_limit": HEAD_MEMORY, **settings}
    return then_recover(fault, name, script, _TRUNCATED.replace(kind=kind), **settings)


def _exceed_body_limit(name: str, head: bytes, stream_piece: bytes) -> Scenario:
    limits: dict[str, Any] = {"memory_limit": SPARE_MEMORY + 2_000_000, "max_body": 1_000_000}
    return _overflow_body("32b", f"{name}, more than max_body", head, stream_piece, **limits)


def _claim_length(name: str, length: bytes) -> list[Scenario]:
    """Return scenarios of a huge Content-Length; without `max_body` it may not reserve memory."""
    scenarios: list[Scenario] = []
    for ending_name, kind, ending in (
        ("FIN", "truncated", close_connection),
        ("RST", "reset", reset_later),
    ):
        limits: list[tuple[str, str, dict[str, int]]] = [
            (f"{name}, {ending_name}", f"{kind}|too_large", {}),
            (f"{name}, {ending_name}, no limit", kind, {"max_body": 10**19}),
        ]
        scenarios += [
            expect_failure(
                "32b",
                scenario_name,
                _with_length(length),
                _TRUNCATED.replace(kind=kind_choices),
                ending=ending,
                memory_limit=HEAD_MEMORY,
                **limit_settings,
            )
            for scenario_name, kind_choices, limit_settings in limits
        ]
    return scenarios


_HUGE_LENGTHS = {"10^12": b"1000000000000", "10^18": b"1" + b"0" * 18, "19 digits": b"9" * 19}
_CUT_BODIES = {
    "no byte of the body": STATUS_LINE + b"Content-Length: 9\r\n\r\n",
    "a part of the body": STATUS_LINE + b"Content-Length: 9\r\n\r\nabc",
    "all but one byte": STATUS_LINE + b"Content-Length: 4\r\n\r\nabc",
}
_CUT_CHUNKS = {
    "before the first chunk": CHUNKED_HEAD,
    "inside a size": CHUNKED_HEAD + b"1",
    "inside a size's CRLF": CHUNKED_HEAD + b"5\r",
    "before the data": CHUNKED_HEAD + b"5\r\n",
    "inside the data": CHUNKED_HEAD + b"5\r\nabc",
    "before the chunk's CRLF": CHUNKED_HEAD + b"3\r\nabc",
    "inside the chunk's CRLF": CHUNKED_HEAD + b"3\r\nabc\r",
    "between chunks": CHUNKED_HEAD + b"3\r\nabc\r\n",
    "inside an extension": CHUNKED_HEAD + b"3;name=val",
}
_CUT_ENDS = {
    "the size of the last chunk": CHUNKED_HEAD + b"3\r\nabc\r\n0",
    "half its CRLF": CHUNKED_HEAD + b"3\r\nabc\r\n0\r",
    "the final CRLF": CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n",
    "half the final CRLF": CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r",
    "after a trailer": CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nA: b\r\n",
}
_CUT_HEADS = {
    "after the status line": STATUS_LINE,
    "inside a name": STATUS_LINE + b"Content-Le",
    "inside a value": STATUS_LINE + b"Content-Length: 1",
    "after a field": STATUS_LINE + b"Content-Length: 4\r\n",
    "inside the blank line": STATUS_LINE + b"Content-Length: 4\r\n\r",
    "after an interim response": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + STATUS_LINE,
}
_CUT_STATUS_LINES = {
    "one byte": b"H",
    "inside the version": b"HTTP/1",
    "inside the status": b"HTTP/1.1 20",
    "inside the reason": b"HTTP/1.1 200 O",
}
_NOT_HTTP_RESPONSES = {
    "HTTP/0.9": b"<html>hello</html>",
    "ICY": b"ICY 200 OK\r\n\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "HTTP/2 settings": b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "JSON": b'{"prediction":1}',
    "lower case": b"http/1.1 200 OK\r\n\r\n",
    "no blank": b"HTTP/1.1200 OK\r\n\r\n",
    "NUL": bytes(64),
}
_LENGTH_3, _LENGTH_4, _LENGTH_5 = (b"Content-Length: %d\r\n" % size for size in (3, 4, 5))
_CONFLICTING_LENGTHS = {
    "two, different": STATUS_LINE + _LENGTH_3 + _LENGTH_4 + b"\r\nabcd",
    "two, the same": STATUS_LINE + _LENGTH_3 + _LENGTH_3 + b"\r\nabc",
    "two, apart and in lower case": b"%b%bA: b\r\n%b\r\nabcde"
    % (STATUS_LINE, _LENGTH_3, _LENGTH_5.lower()),
    "a list of equals": _with_length(b"3, 3"),
    "a list": _with_length(b"3, 4"),
    "a list in reverse": _with_length(b"4,3"),
}
_BAD_LENGTHS = {
    **{text: text.encode() for text in ("-1", "+3", "1_3")},
    "superscript": b"\xb3",
    "Arabic digits": "٣".encode(),
    **{text: text.encode() for text in ("0xd", "d")},
    "empty": b"",
    "blank": b" \t ",
    **{text: text.encode() for text in ("3.0", "3e0", "1 3", "3;")},
    "20 digits": b"9" * 20,
    "5000 digits": b"9" * 5000,
    "5000 zeros": b"0" * 5000 + b"3",
}
_BAD_CODINGS = {
    **{text: (text.encode(),) for text in ("gzip, chunked", "chunked, gzip", "gzip", "xchunked")},
    "identity": (b"identity",),
    "chunked twice in a list": (b"chunked, chunked",),
    "chunked twice": (b"chunked", b"chunked"),
    "identity, then chunked": (b"identity", b"chunked"),
    "with a parameter": (b"chunked;q=1",),
    "in quotes": (b'"chunked"',),
    "an empty member": (b"chunked,",),
    "empty": (b"",),
}
_BAD_CHUNK_SIZES = {
    "garbage": b"zz",
    **{text: text.encode() for text in ("+d", "-d", "0xd", "0_d")},
    "blank before": b" d",
    "tab before": b"\td",
    "blank after": b"d ",
    "two": b"d d",
    "empty": b"",
    "17 digits": b"0" * 16 + b"d",
    "40 digits": b"f" * 40,
    "comma": b"d,",
    "NUL": b"d\0",
    "non-ASCII digit": b"\xb2",
    "an extension without a name": b"d;=x",
}
_BAD_CHUNK_ENDS = {
    "junk": CHUNKED_HEAD + b"3\r\nabcXX0\r\n\r\n",
    "junk that hides a response": CHUNKED_HEAD + b"3\r\nabcXX2\r\n45\r\n0\r\n\r\n",
    "CR and junk": CHUNKED_HEAD + b"3\r\nabc\rX0\r\n\r\n",
    "longer than its size": CHUNKED_HEAD + b"3\r\nabcde\r\n0\r\n\r\n",
}
_BARE_LINE_FEEDS = {
    "all over": CHUNKED_HEAD + b"3\nabc\n0\n\n",
    "after a size": CHUNKED_HEAD + b"3\nabc\r\n0\r\n\r\n",
    "after an extension": CHUNKED_HEAD + b"3;a=b\nabc\r\n0\r\n\r\n",
    "after the data": CHUNKED_HEAD + b"3\r\nabc\n0\r\n\r\n",
    "after the last size": CHUNKED_HEAD + b"3\r\nabc\r\n0\n\r\n",
    "inside a trailer": CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nA: b\nC: d\r\n\r\n",
}
_BAD_TRAILERS = {
    "no colon": b"abc",
    "folded": b"A: b\r\n c",
    "no name": b": b",
    "NUL": b"A: \0",
    "bare CR": b"A: b\rC: d",
}
_VALID_RESPONSES: dict[str, tuple[bytes, bytes]] = {
    "by length": (THREE_BYTES, b"abc"),
    "a length with blanks": (STATUS_LINE + b"Content-Length: \t 003 \t\r\n\r\nabc", b"abc"),
    "nothing": (STATUS_LINE + EMPTY_BODY, b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "chunks": (CHUNKED_HEAD + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
    "chunks with extensions": (CHUNKED_HEAD + b'3;a=b;c="d e";f\r\nabc\r\n0;g\r\n\r\n', b"abc"),
    "sixteen digits": (CHUNKED_HEAD + b"0000000000000003\r\nabc\r\n0000\r\n\r\n", b"abc"),
    "trailers": (CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nX-Sum: 9\r\nX:\r\n\r\n", b"abc"),
    "Chunked": (STATUS_LINE + b"TRANSFER-ENCODING:Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
}
_CLOSED_BY_SERVER = STATUS_LINE + b"Connection: x, Close\r\nContent-Length: 3\r\n\r\nabc"
_LENGTH_AND_CHUNKED = STATUS_LINE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKED_AND_LENGTH = STATUS_LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n"
_CUT_RESPONSES: list[tuple[str, str, dict[str, bytes], ExpectedFailure]] = [
    ("26", "", _CUT_BODIES, _TRUNCATED),
    ("27", "", _CUT_CHUNKS, _TRUNCATED),
    ("28", "", _CUT_ENDS, _TRUNCATED),
    ("29", "", _CUT_HEADS, _NO_RESPONSE),
    ("30", "cut: ", _CUT_STATUS_LINES, _NO_RESPONSE),
]

FRAMING_SCENARIOS: list[Scenario] = [
    *[
        scenario
        for fault, name_prefix, responses, expected in _CUT_RESPONSES
        for name, response in responses.items()
        for scenario in cut_response(fault, name_prefix + name, response, expected)
    ],
    *build_for_each(reject_head, "30", _NOT_HTTP_RESPONSES),
    *build_for_each(reject_head, "31", _CONFLICTING_LENGTHS),
    *[reject_head("32", name, _with_length(value)) for name, value in _BAD_LENGTHS.items()],
    *[
        scenario
        for name, length in _HUGE_LENGTHS.items()
        for scenario in _claim_length(name, length)
    ],
    expect_failure(
        "32b",
        "10^12, more than max_body",
        _with_length(b"1000000000000"),
        _TRUNCATED.replace(kind="too_large"),
        max_body=1000,
    ),
    _exceed_body_limit("chunks without end", CHUNKED_HEAD, b"10000\r\n" + _LARGE_PIECE + b"\r\n"),
    _exceed_body_limit("no end at all", STATUS_LINE + b"\r\n", _LARGE_PIECE),
    expect_failure(
        "32b",
        "a chunk of 10^18",
        CHUNKED_HEAD + b"de0b6b3a7640000\r\nabc",
        _TRUNCATED,
        ending=close_connection,
        memory_limit=HEAD_MEMORY,
    ),
    reject_head("33", "both", _LENGTH_AND_CHUNKED + b"3\r\nabc\r\n0\r\n\r\n"),
    reject_head("33", "both, in reverse order", _CHUNKED_AND_LENGTH + b"3\r\nabc\r\n0\r\n\r\n"),
    *[reject_head("34", name, _with_codings(*fields)) for name, fields in _BAD_CODINGS.items()],
    reject_head("34", "chunked in HTTP/1.0", _with_codings(b"chunked").replace(b"1.1", b"1.0", 1)),
    *[reject_body("35", name, _with_chunk_size(size)) for name, size in _BAD_CHUNK_SIZES.items()],
    *build_for_each(reject_body, "36", _BAD_CHUNK_ENDS),
    *build_for_each(reject_body, "37", _BARE_LINE_FEEDS),
    _overflow_body("38", "an extension without end", CHUNKED_HEAD + b"3;", _LARGE_PIECE),
    _overflow_body(
        "38", "extensions without end", CHUNKED_HEAD, b"1;" + b"x" * 60_000 + b"\r\nx\r\n"
    ),
    _overflow_body("38", "a size without end", CHUNKED_HEAD, b"0" * 65536, "protocol|too_large"),
    _overflow_body(
        "38", "trailers without end", CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n", b"A: b\r\n" * 10_000
    ),
    _overflow_body("38", "a trailer without end", CHUNKED_HEAD + b"0\r\nA: ", _LARGE_PIECE),
    then_recover(
        "38",
        "60 KB of trailers in small pieces",
        stream_pieces(
            _SMALL_TRAILER_PIECES, head=CHUNKED_HEAD + b"4\r\nwell\r\n0\r\n", ending=keep_serving
        ),
        HEALTHY_OUTPUT,
        connections=1,
        memory_limit=SPARE_MEMORY,
    ),
    *[
        reject_body("38", f"a bad trailer: {name}", CHUNKED_HEAD + b"0\r\n" + line + b"\r\n\r\n")
        for name, line in _BAD_TRAILERS.items()
    ],
    accept(
        "39",
        "compressed",
        build_response(_ZIPPED_BODY, "200 OK", "Content-Encoding: gzip"),
        _ZIPPED_BODY,
    ),
    accept(
        "39",
        "a bomb",
        build_response(_ZIP_BOMB, "200 OK", "Content-Encoding: gzip"),
        _ZIP_BOMB,
        memory_limit=SPARE_MEMORY,
    ),
    accept(
        "39",
        "wrongly declared as compressed",
        build_response(b"\x1f\x8bno", "200 OK", "Content-Encoding: br, gzip"),
        b"\x1f\x8bno",
    ),
    *[accept("26", f"whole: {name}", *response) for name, response in _VALID_RESPONSES.items()],
    accept(
        "26",
        "whole: until the connection is closed",
        STATUS_LINE + b"\r\nabc",
        b"abc",
        reusable=False,
        ending=close_connection,
    ),
    accept("26", "whole: HTTP/1.0", THREE_BYTES.replace(b"1.1", b"1.0"), b"abc", reusable=False),
    accept("26", "whole: Connection: close", _CLOSED_BY_SERVER, b"abc", reusable=False),
]
