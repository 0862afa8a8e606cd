"""Rows 26 to 39, framing: where a body ends. A client that misjudges it gives one caller another's answer."""

from __future__ import annotations

import zlib

from ..effects import Flow
from ..http1 import MAX_HEAD
from ._scenario import SPARE, Answer, Failure, Scenario
from ._server import Hear, Say, answer, fin, keep, rst
from ._ways import CHUNKED, NO_BODY, OK, cut, fails, misframed, refused, several, whole

ANSWERED = Failure("truncated", "body", "answered", 200)
ENDLESS = ANSWERED.replace(kind="too_large")
UNHEARD = Failure("truncated", "head", "maybe_sent")
MANY = b"x" * 65536


def length(value: bytes) -> bytes:
    return OK + b"Content-Length: " + value + b"\r\n\r\n" + b"abc"


def coding(*lines: bytes) -> bytes:
    return (
        OK
        + b"".join(b"Transfer-Encoding: " + line + b"\r\n" for line in lines)
        + b"\r\n3\r\nabc\r\n0\r\n\r\n"
    )


def chunk(size: bytes) -> bytes:
    return CHUNKED + size + b"\r\nabcdefghijklm\r\n0\r\n\r\n"


def endless(
    row: str,
    name: str,
    head: bytes,
    piece: bytes,
    right: Failure,
    memory: int,
    max_body: int | None = None,
) -> Scenario:
    """`piece` again and again, until the client has enough."""

    def script(number: int) -> Flow[None]:
        if number > 1:
            return (yield from keep())
        yield from Hear()
        yield from Say(head)
        while True:
            yield from Say(piece)

    return Scenario(
        row=row,
        name=name,
        script=script,
        right=(right, Answer()),
        connections=2,
        memory=memory,
        max_body=max_body,
    )


def unholdable(name: str, raw: bytes) -> list[Scenario]:
    """A length that is too large at once for who has a limit; who has none must not set anything aside for it."""
    found: list[Scenario] = []
    for way, kind, end in (("FIN", "truncated", fin), ("RST", "reset", rst)):
        right, limited = ANSWERED.replace(kind=kind), ANSWERED.replace(kind=f"{kind}|too_large")
        found.append(fails("32b", f"{name}, {way}", length(raw), limited, end=end, memory=LIMITED))
        found.append(
            fails(
                "32b",
                f"{name}, {way}, no limit",
                length(raw),
                right,
                end=end,
                memory=LIMITED,
                max_body=10**19,
            )
        )
    return found


HUGE = {"10^12": b"1000000000000", "10^18": b"1" + b"0" * 18, "19 digits": b"9" * 19}
CUT_BODIES = {
    "no byte of the body": OK + b"Content-Length: 9\r\n\r\n",
    "a part of the body": OK + b"Content-Length: 9\r\n\r\nabc",
    "all but one byte": OK + b"Content-Length: 4\r\n\r\nabc",
}
CUT_CHUNKS = {
    "before the first chunk": CHUNKED,
    "inside a size": CHUNKED + b"1",
    "inside a size's CRLF": CHUNKED + b"5\r",
    "before the data": CHUNKED + b"5\r\n",
    "inside the data": CHUNKED + b"5\r\nabc",
    "before the chunk's CRLF": CHUNKED + b"3\r\nabc",
    "inside the chunk's CRLF": CHUNKED + b"3\r\nabc\r",
    "between chunks": CHUNKED + b"3\r\nabc\r\n",
    "inside an extension": CHUNKED + b"3;name=val",
}
CUT_ENDS = {
    "the size of the last chunk": CHUNKED + b"3\r\nabc\r\n0",
    "half its CRLF": CHUNKED + b"3\r\nabc\r\n0\r",
    "the final CRLF": CHUNKED + b"3\r\nabc\r\n0\r\n",
    "half the final CRLF": CHUNKED + b"3\r\nabc\r\n0\r\n\r",
    "after a trailer": CHUNKED + b"3\r\nabc\r\n0\r\nA: b\r\n",
}
CUT_HEADS = {
    "after the status line": OK,
    "inside a name": OK + b"Content-Le",
    "inside a value": OK + b"Content-Length: 1",
    "after a field": OK + b"Content-Length: 4\r\n",
    "inside the blank line": OK + b"Content-Length: 4\r\n\r",
    "after an interim response": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
}
CUT_STATUS = {
    "one byte": b"H",
    "inside the version": b"HTTP/1",
    "inside the status": b"HTTP/1.1 20",
    "inside the reason": b"HTTP/1.1 200 O",
}
NOT_HTTP = {
    "HTTP/0.9": b"<html>hello</html>",
    "ICY": b"ICY 200 OK\r\n\r\n",
    "a TLS alert": b"\x15\x03\x03\x00\x02\x02\x46",
    "HTTP/2 settings": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80\x00\x04\x00\x01\x00\x00",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "JSON": b'{"prediction":1}',
    "lower case": b"http/1.1 200 OK\r\n\r\n",
    "no blank": b"HTTP/1.1200 OK\r\n\r\n",
    "NUL": bytes(64),
}
CONFLICTING = {
    "two, different": OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two, the same": OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "two, apart and in other letters": OK
    + b"Content-Length: 3\r\nA: b\r\ncontent-length: 5\r\n\r\nabcde",
    "a list of equals": length(b"3, 3"),
    "a list": length(b"3, 4"),
    "a list in reverse": length(b"4,3"),
}
NO_LENGTHS = {
    "-1": b"-1",
    "+3": b"+3",
    "1_3": b"1_3",
    "superscript": b"\xb3",
    "Arabic digits": "٣".encode(),
    "0xd": b"0xd",
    "d": b"d",
    "empty": b"",
    "blank": b" \t ",
    "3.0": b"3.0",
    "3e0": b"3e0",
    "1 3": b"1 3",
    "3;": b"3;",
    "20 digits": b"9" * 20,
    "5000 digits": b"9" * 5000,
    "5000 zeros": b"0" * 5000 + b"3",
}
NO_CODINGS = {
    "gzip, chunked": (b"gzip, chunked",),
    "chunked, gzip": (b"chunked, gzip",),
    "gzip": (b"gzip",),
    "xchunked": (b"xchunked",),
    "identity": (b"identity",),
    "chunked twice in a list": (b"chunked, chunked",),
    "chunked twice": (b"chunked", b"chunked"),
    "identity, then chunked": (b"identity", b"chunked"),
    "with a parameter": (b"chunked;q=1",),
    "in quotes": (b'"chunked"',),
    "an empty member": (b"chunked,",),
    "empty": (b"",),
}
NO_SIZES = {
    "garbage": b"zz",
    "+d": b"+d",
    "-d": b"-d",
    "0xd": b"0xd",
    "0_d": b"0_d",
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
NO_CHUNK_ENDS = {
    "junk": CHUNKED + b"3\r\nabcXX0\r\n\r\n",
    "junk that hides a response": CHUNKED + b"3\r\nabcXX2\r\n45\r\n0\r\n\r\n",
    "CR and junk": CHUNKED + b"3\r\nabc\rX0\r\n\r\n",
    "longer than its size": CHUNKED + b"3\r\nabcde\r\n0\r\n\r\n",
}
BARE_LF = {
    "all over": CHUNKED + b"3\nabc\n0\n\n",
    "after a size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "after an extension": CHUNKED + b"3;a=b\nabc\r\n0\r\n\r\n",
    "after the data": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
}
BARE_LF_AT_THE_END = {
    "after the last size": CHUNKED + b"3\r\nabc\r\n0\n\r\n",
    "inside a trailer": CHUNKED + b"3\r\nabc\r\n0\r\nA: b\nC: d\r\n\r\n",
}
BAD_TRAILERS = {
    "no colon": b"abc",
    "folded": b"A: b\r\n c",
    "no name": b": b",
    "NUL": b"A: \0",
    "bare CR": b"A: b\rC: d",
}

GOOD = {
    "by length": (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
    "a length with blanks": (OK + b"Content-Length: \t 003 \t\r\n\r\nabc", b"abc"),
    "nothing": (OK + NO_BODY, b""),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "chunks": (CHUNKED + b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", b"abc0123456789"),
    "chunks with extensions": (CHUNKED + b'3;a=b;c="d e";f\r\nabc\r\n0;g\r\n\r\n', b"abc"),
    "sixteen digits": (CHUNKED + b"0000000000000003\r\nabc\r\n0000\r\n\r\n", b"abc"),
    "trailers": (CHUNKED + b"3\r\nabc\r\n0\r\nX-Sum: 9\r\nX:\r\n\r\n", b"abc"),
    "Chunked": (OK + b"TRANSFER-ENCODING:Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
}
GZIP = 31  # what zlib calls it
BOMB = zlib.compress(bytes(2_000_000), wbits=GZIP)
ZIPPED = zlib.compress(b"abc", wbits=GZIP)
LIMITED = SPARE + 3 * MAX_HEAD

FRAMING: list[Scenario] = [
    *[way for name, raw in CUT_BODIES.items() for way in cut("26", name, raw, ANSWERED)],
    *[way for name, raw in CUT_CHUNKS.items() for way in cut("27", name, raw, ANSWERED)],
    *[way for name, raw in CUT_ENDS.items() for way in cut("28", name, raw, ANSWERED)],
    *[way for name, raw in CUT_HEADS.items() for way in cut("29", name, raw, UNHEARD)],
    *[way for name, raw in CUT_STATUS.items() for way in cut("30", f"cut: {name}", raw, UNHEARD)],
    *several(refused, "30", NOT_HTTP),
    *several(refused, "31", CONFLICTING),
    *[refused("32", name, length(value)) for name, value in NO_LENGTHS.items()],
    *[way for name, raw in HUGE.items() for way in unholdable(name, raw)],
    fails(
        "32b",
        "10^12, more than max_body",
        length(b"1000000000000"),
        ANSWERED.replace(kind="too_large"),
        max_body=1000,
    ),
    endless(
        "32b",
        "chunks without end, more than max_body",
        CHUNKED,
        b"10000\r\n" + MANY + b"\r\n",
        ENDLESS,
        SPARE + 2_000_000,
        1_000_000,
    ),
    endless(
        "32b",
        "no end at all, more than max_body",
        OK + b"\r\n",
        MANY,
        ENDLESS,
        SPARE + 2_000_000,
        1_000_000,
    ),
    fails(
        "32b",
        "a chunk of 10^18",
        CHUNKED + b"de0b6b3a7640000\r\nabc",
        ANSWERED,
        end=fin,
        memory=LIMITED,
    ),
    refused(
        "33",
        "both",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    refused(
        "33",
        "both, the other way round",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 13\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    *[refused("34", name, coding(*lines)) for name, lines in NO_CODINGS.items()],
    refused("34", "chunked in HTTP/1.0", coding(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0")),
    *[misframed("35", name, chunk(size)) for name, size in NO_SIZES.items()],
    *several(misframed, "36", NO_CHUNK_ENDS),
    *several(misframed, "37", BARE_LF | BARE_LF_AT_THE_END),
    endless(
        "38",
        "an extension without end",
        CHUNKED + b"3;",
        MANY,
        ANSWERED.replace(kind="too_large"),
        LIMITED,
    ),
    endless(
        "38",
        "extensions without end",
        CHUNKED,
        b"1;" + b"x" * 60_000 + b"\r\nx\r\n",
        ANSWERED.replace(kind="too_large"),
        LIMITED,
    ),
    endless(
        "38",
        "a size without end",
        CHUNKED,
        b"0" * 65536,
        ANSWERED.replace(kind="protocol|too_large"),
        LIMITED,
    ),
    endless(
        "38",
        "trailers without end",
        CHUNKED + b"3\r\nabc\r\n0\r\n",
        b"A: b\r\n" * 10_000,
        ANSWERED.replace(kind="too_large"),
        LIMITED,
    ),
    endless(
        "38",
        "a trailer without end",
        CHUNKED + b"0\r\nA: ",
        MANY,
        ANSWERED.replace(kind="too_large"),
        LIMITED,
    ),
    *[
        misframed("38", f"a bad trailer: {name}", CHUNKED + b"0\r\n" + raw + b"\r\n\r\n")
        for name, raw in BAD_TRAILERS.items()
    ],
    whole("39", "compressed", answer(ZIPPED, "200 OK", "Content-Encoding: gzip"), ZIPPED),
    whole("39", "a bomb", answer(BOMB, "200 OK", "Content-Encoding: gzip"), BOMB, memory=SPARE),
    whole(
        "39",
        "said to be compressed",
        answer(b"\x1f\x8bno", "200 OK", "Content-Encoding: br, gzip"),
        b"\x1f\x8bno",
    ),
    *[whole("26", f"whole: {name}", raw, body) for name, (raw, body) in GOOD.items()],
    whole(
        "26", "whole: until the connection is closed", OK + b"\r\nabc", b"abc", kept=False, end=fin
    ),
    whole(
        "26",
        "whole: HTTP/1.0",
        b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"abc",
        kept=False,
    ),
    whole(
        "26",
        "whole: the server says close",
        OK + b"Connection: x, Close\r\nContent-Length: 3\r\n\r\nabc",
        b"abc",
        kept=False,
    ),
]
