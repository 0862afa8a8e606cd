"""The exchange: each case whole, byte by byte, in pairs of pieces and with bytes after it."""

from __future__ import annotations

import http.client
import io
import re
from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, DispatchFailure, Request
from smruntime_core.http1 import MAX_HEAD, MAX_INTERIM_RESPONSES, MAX_SINGLE_WRITE, Exchange, write
from smruntime_transports.wire._h11_engine import h11_engine

from .vectors import cases

REQUEST = Request("POST", "http://host:8080/x?y=1", (("A", "b"),), b"hi")
OK = b"HTTP/1.1 200 OK\r\n"

GOOD: dict[str, tuple[bytes, int, bytes]] = {
    "length": (OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b""),
    "chunks": (
        OK
        + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
        + b'A;x="y; \\"z";n;m=1\r\n0123456789\r\n0\r\n\r\n',
        200,
        b"abc0123456789",
    ),
    "trailers": (
        OK + b"Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n",
        200,
        b"a",
    ),
    "interim": (
        b"HTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
        + OK
        + b"Content-Length: 1\r\n\r\n!",
        200,
        b"!",
    ),
    "no content": (b"HTTP/1.1 204 N\r\n\r\n", 204, b""),
    "latin-1 value": (OK + b"A: caf\xe9\r\nContent-Length: 0\r\n\r\n", 200, b""),
}
AFTER_CLOSE = "bytes after a complete answer: it stands, and its connection is not used again"
SET_ASIDE = {
    "HTTP/1.1 with keep-alive disabled and 204 status": AFTER_CLOSE,
    "HTTP/1.1 with keep-alive disabled, content-length": AFTER_CLOSE,
}


def title_and_line(case: Any) -> str:
    return f"{case['title']} ({case['file']}:{case['line']})"


@pytest.mark.parametrize("case", cases("http1-responses.json", label=title_and_line))
def test_published_vectors_are_accepted_or_refused_as_they_say(case: Any) -> None:
    raw = bytes.fromhex(case["raw_hex"])
    verdict = whole(raw)
    for step in (1, 3):
        cut = whole(raw, step)
        assert cut == verdict if isinstance(verdict, str) else cut[:2] == verdict[:2]
    if case["error"] and case["title"] not in SET_ASIDE:
        assert isinstance(verdict, str), (
            "what must be refused is refused; being stricter is allowed"
        )
    elif case["title"] in SET_ASIDE:
        assert not isinstance(verdict, str) and not verdict[2]


def whole(raw: bytes, step: int = 0) -> str | tuple[int, bytes, bool]:
    """Return the kind of failure, or status, body and whether the connection can be reused."""
    made = Exchange(REQUEST)
    while (data := made.data_to_send()) is not None:
        made.sent(len(data))
    try:
        for piece in [raw] if not step else [raw[i : i + step] for i in range(0, len(raw), step)]:
            if not made.done:
                made.receive_data(piece)
        if not made.done:
            made.receive_eof()
    except DispatchFailure as failure:
        return failure.kind
    return made.response().status, made.response().body, made.reusable() and not step


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BAD: dict[str, tuple[bytes, str]] = {
    "not HTTP": (b"ICY 200 OK\r\n\r\n", "protocol"),
    "a TLS alert": (b"\x15\x03\x03\x00\x02\x02\x46", "protocol"),
    "blank lines before": (b"\r\n" + OK + b"\r\n", "protocol"),
    "HTTP/2": (b"HTTP/2.0 200 OK\r\n\r\n", "protocol"),
    "status 000": (b"HTTP/1.1 000 OK\r\n\r\n", "protocol"),
    "status 2000": (b"HTTP/1.1 2000 OK\r\n\r\n", "protocol"),
    "status abc": (b"HTTP/1.1 abc OK\r\n\r\n", "protocol"),
    "switching protocols": (b"HTTP/1.1 101 S\r\n\r\n", "protocol"),
    "bare CR": (OK + b"A: b\rC: d\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "bare LF": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n", "protocol"),
    "bare LF, and no end": (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", "protocol"),
    "bare LF ends the head": (OK + b"Content-Length: 0\r\n\n", "protocol"),
    "bare LF, then a long head": (OK + b"A: b\n" + b"x" * MAX_HEAD, "protocol"),
    "NUL": (OK + b"A: \0\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "no colon": (OK + b"Abc\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "blank before colon": (OK + b"A : b\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "no name": (OK + b": b\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "fold": (OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "protocol"),
    "two lengths": (OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "protocol"),
    "list of lengths": (OK + b"Content-Length: 3, 3\r\n\r\nabc", "protocol"),
    "negative length": (OK + b"Content-Length: -1\r\n\r\n", "protocol"),
    "signed length": (OK + b"Content-Length: +3\r\n\r\nabc", "protocol"),
    "length with underscore": (OK + b"Content-Length: 1_3\r\n\r\n", "protocol"),
    "non-ASCII digits": (OK + b"Content-Length: \xb2\r\n\r\nabc", "protocol"),
    "empty length": (OK + b"Content-Length:\r\n\r\n", "protocol"),
    "length of 20 digits": (OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", "protocol"),
    "length and chunks": (
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "protocol",
    ),
    "gzip, chunked": (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "protocol"),
    "chunked twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "protocol",
    ),
    "chunks in HTTP/1.0": (
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "protocol",
    ),
    "chunk size +3": (CHUNKED + b"+3\r\nabc\r\n0\r\n\r\n", "protocol"),
    "chunk size 0x3": (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "protocol"),
    "chunk size blank": (CHUNKED + b" 3\r\nabc\r\n0\r\n\r\n", "protocol"),
    "chunk size of 17 digits": (CHUNKED + b"0" * 16 + b"3\r\nabc\r\n0\r\n\r\n", "protocol"),
    "chunk ends elsewhere": (CHUNKED + b"3\r\nabcde0\r\n\r\n", "protocol"),
    "chunk with bare LF": (CHUNKED + b"3\nabc\n0\n\n", "protocol"),
    "bad trailer": (CHUNKED + b"0\r\nno colon\r\n\r\n", "protocol"),
    "bad trailer, and no end": (CHUNKED + b"0\r\nA: b\n\n", "protocol"),
    "a length in a trailer": (CHUNKED + b"0\r\ncontent-length: 7\r\n\r\n", "protocol"),
    "a coding in a trailer": (CHUNKED + b"0\r\nA: b\r\nTransfer-Encoding: x\r\n\r\n", "protocol"),
    "blank before an extension": (CHUNKED + b"3 ;a=b\r\nabc\r\n0\r\n\r\n", "protocol"),
    "blank in an extension": (CHUNKED + b"3;a= b\r\nabc\r\n0\r\n\r\n", "protocol"),
    "extension without a name": (CHUNKED + b"3;\r\nabc\r\n0\r\n\r\n", "protocol"),
    "extension whose quotes stay open": (CHUNKED + b'3;a="b\r\nabc\r\n0\r\n\r\n', "protocol"),
    "no size, and no end": (CHUNKED + b"x" * 20_000, "protocol"),
    "endless extension": (CHUNKED + b"3;" + b"x" * 20_000, "too_large"),
    "endless trailers": (CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000, "too_large"),
    "endless head": (OK + b"A: " + b"x" * MAX_HEAD, "too_large"),
    "257 fields": (OK + b"A: b\r\n" * 257 + b"\r\n", "too_large"),
    "no end of interim": (b"HTTP/1.1 102 P\r\n\r\n" * (MAX_INTERIM_RESPONSES + 1), "protocol"),
    "silence": (b"", "closed"),
    "cut head": (b"HTTP/1.1 200 OK\r\nContent-Le", "truncated"),
    "cut body": (OK + b"Content-Length: 1000000000000\r\n\r\nabc", "truncated"),
    "cut chunk": (CHUNKED + b"5\r\nabc", "truncated"),
    "cut after last chunk": (CHUNKED + b"3\r\nabc\r\n0\r\n", "truncated"),
}


def exchange(raw: bytes, cuts: list[int], engine: str = "native") -> Exchange:
    made = Exchange(REQUEST, engine=h11_engine if engine == "h11" else None)
    while (data := made.data_to_send()) is not None:
        made.sent(len(data))
    for start, end in pairwise([0, *cuts, len(raw)]):
        if made.done:
            break
        made.receive_data(raw[start:end])
    if not made.done:
        made.receive_eof()
    return made


def verdict(raw: bytes, cuts: list[int], engine: str) -> tuple[object, ...]:
    try:
        made = exchange(raw, cuts, engine)
    except DispatchFailure as failure:
        return failure.kind, failure.phase, failure.delivery
    return made.response().status, made.response().body, made.response().headers


def every(step: int, raw: bytes) -> list[int]:
    return list(range(step, len(raw), step))


@pytest.mark.parametrize("engine", ["native", "h11"])
@pytest.mark.parametrize("name", GOOD)
def test_valid_response_is_read(name: str, engine: str) -> None:
    raw, status, body = GOOD[name]
    for step in (len(raw) + 1, 1, 3):
        made = exchange(raw, every(step, raw), engine)
        assert (made.response().status, made.response().body) == (status, body)
        assert made.reusable()
    made = exchange(raw + b"HTTP/1.1 200 OK\r\n", [], engine)
    assert (made.response().status, made.response().body) == (status, body)
    assert not made.reusable(), "what is left over may be the answer of another call"


@pytest.mark.parametrize("engine", ["native", "h11"])
@pytest.mark.parametrize("name", BAD)
def test_invalid_response_is_refused(name: str, engine: str) -> None:
    raw, kind = BAD[name]
    whole = verdict(raw, [], engine)
    assert whole[0] == kind, whole
    for step in (1, 3) if len(raw) < 5000 else (4096,):
        assert verdict(raw, every(step, raw), engine)[0] == kind


ALL = [
    raw
    for raw in (*(case[0] for case in GOOD.values()), *(case[0] for case in BAD.values()))
    if len(raw) < 2000
]


@given(st.sampled_from(ALL), st.data())
def test_splitting_the_bytes_differently_changes_nothing(raw: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    assert verdict(raw, cuts, "native")[0] == verdict(raw, [], "native")[0]


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_raise_only_dispatch_failure(raw: bytes, prefixed: bool) -> None:
    verdict((CHUNKED if prefixed else b"HTTP/1.1 2") + raw, [], "native")


@given(st.lists(st.binary(min_size=1, max_size=50)), st.data())
def test_chunked_body_is_read_back(pieces: list[bytes], data: st.DataObject) -> None:
    raw = (
        CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    for engine in ("native", "h11"):
        assert exchange(raw, cuts, engine).response().body == b"".join(pieces)


def test_body_without_length_ends_with_the_connection() -> None:
    made = exchange(OK + b"\r\nabc", [20])
    assert made.response().body == b"abc"
    assert not made.reusable()


@pytest.mark.parametrize(
    "value", ["close", "Close", "Upgrade, close", "Upgrade,\tClose", "close\t, x", "\tclose"]
)
def test_connection_close_prevents_reuse(value: str) -> None:
    made = exchange(OK + f"Connection: {value}\r\nContent-Length: 0\r\n\r\n".encode(), [])
    assert made.done
    assert not made.reusable()


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_length_of_a_bodiless_response_is_not_too_large(method: str, status: int) -> None:
    made = Exchange(Request(method, "http://h/"))
    made.max_body = 3
    made.receive_data(b"HTTP/1.1 %d X\r\nContent-Length: 1000\r\n\r\n" % status)
    assert made.done
    assert made.response().body == b""


def test_incomplete_body_of_an_error_is_kept() -> None:
    made = exchange(b"HTTP/1.1 500 E\r\nContent-Length: 9\r\n\r\nabc", [])
    assert made.response().truncated
    assert made.response().body == b"abc"
    assert not made.reusable()


def test_early_answer_leaves_the_connection_unusable() -> None:
    made = Exchange(Request("POST", "http://h/", (), bytes(MAX_SINGLE_WRITE + 1)))
    made.sent(10)
    made.receive_data(OK + b"Content-Length: 0\r\n\r\n")
    assert made.done
    assert not made.reusable()


def test_failure_reports_delivery_by_the_bytes_sent() -> None:
    made = Exchange(REQUEST)
    assert made.failure("timeout", "x").delivery == "not_sent"
    made.sent(1)
    assert made.failure("timeout", "x").delivery == "maybe_sent"
    made.receive_data(OK + b"Content-Length: 9\r\n\r\n")
    assert made.failure("timeout", "x").delivery == "answered"


def test_small_request_is_one_buffer_and_large_body_is_not_copied() -> None:
    assert len(write(REQUEST)[1]) == 1
    body = bytes(MAX_SINGLE_WRITE + 1)
    _, (_, sent) = write(Request("POST", "http://h/", (), body))
    assert sent.obj is body


TEXT = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)


@given(TEXT, st.binary(max_size=99))
def test_written_headers_are_read_back(value: str, body: bytes) -> None:
    _, (piece,) = write(Request("PUT", "https://host/a%20b", (("X-It", value),), body))
    raw = bytes(piece)
    server = h11.Connection(h11.SERVER)
    server.receive_data(raw)
    read = server.next_event()
    assert isinstance(read, h11.Request)
    assert dict(read.headers)[b"x-it"] == value.strip(" ").encode()
    parsed = http.client.parse_headers(io.BytesIO(raw.partition(b"\r\n")[2]))
    assert parsed["Host"] == "host"
    assert raw.endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    "value", ["a\r\nB: c", "a\rb", "a\nb", "a\0", "\x7f", "\t", "é", "\ud800", "\u2028"]
)
def test_request_that_http_cannot_carry_is_refused(value: str) -> None:
    for request in (
        Request("POST", "http://h/", (("A", value),)),
        Request("POST", "http://h/", ((f"A{value}", "b"),)),
        Request("POST", f"http://h/{value}"),
        Request(f"P{value}", "http://h/"),
    ):
        with pytest.raises(ConstructionError):
            write(request)


ANY_TEXT = st.text(
    st.sampled_from("aZ0-_:/ ,;\t\r\n\0#?%é\ud800\x7f") | st.characters(), max_size=8
)
FIELD = st.tuples(
    st.sampled_from(("Host", "content-length", "Transfer-Encoding", "x-a")) | ANY_TEXT, ANY_TEXT
)


@example(method="POST", path="?", headers=[], body=b"")
@given(
    method=st.just("POST") | ANY_TEXT,
    path=ANY_TEXT,
    headers=st.lists(FIELD, max_size=4),
    body=st.binary(max_size=3),
)
def test_written_head_has_the_lines_of_the_request_and_no_other(
    method: str, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    """Any text is refused, or the head split at its line ends is what was asked for."""
    try:
        _, (piece,) = write(Request(method, f"http://h/{path}", tuple(headers), body))
    except ConstructionError:
        return
    head, _, rest = bytes(piece).partition(b"\r\n\r\n")
    start, *lines = head.decode("ascii").split("\r\n")
    assert rest == body
    assert start == f"{method} /{path} HTTP/1.1" and len(start.split(" ")) == 3 and "#" not in start
    assert all(line.isprintable() for line in (start, *lines))
    fields = [tuple(line.split(": ", 1)) for line in lines]
    names = [name.lower() for name, _ in headers]
    added = {"host": ("Host", "h"), "content-length": ("Content-Length", str(len(body)))}
    expected = [*headers, *(field for name, field in added.items() if name not in names)]
    assert sorted(fields) == sorted(expected)
    assert all(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) for name, _ in fields)
    assert [value for name, value in fields if name.lower() == "content-length"] == [str(len(body))]
    assert [name.lower() for name, _ in fields].count(
        "host"
    ) == 1 and "transfer-encoding" not in names


@pytest.mark.parametrize(
    ("method", "headers"),
    [("", ()), ("", (("A", "b"),)), ("POST", (("", "b"),)), ("POST", (("A", "b"), ("", "")))],
)
def test_empty_token_is_refused(method: str, headers: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ConstructionError):
        write(Request(method, "http://h/", headers))
