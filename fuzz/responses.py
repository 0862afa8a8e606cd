"""Responses that the HTTP target mutates: every framing, odd heads, a hostile one for each rule.

`FRAGMENTS` are pieces of the grammar that a mutation inserts where they do not belong.
"""

from __future__ import annotations

import json
from pathlib import Path

VECTORS = Path(__file__).parents[2] / "shared" / "vectors" / "http1-responses.json"

OK_LINE = b"HTTP/1.1 200 OK\r\n"
CHUNKED_HEAD = OK_LINE + b"Transfer-Encoding: chunked\r\n\r\n"

VALID_RESPONSES = [
    OK_LINE + b"Content-Length: 3\r\n\r\nabc",
    OK_LINE
    + b"Content-Type: text/csv\r\nx-amzn-RequestId: r-1\r\nContent-Length: 12\r\n"
    + b"Date: Mon, 23 Nov 2026 10:00:00 GMT\r\n\r\n0.1,0.2,0.7\n",
    OK_LINE + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n!",
    b"HTTP/1.1 200 \r\ncontent-length:3 \r\nConnection: keep-alive\r\n\r\nabc",
    OK_LINE + b"Content-Length: 3\r\nConnection: close\r\n\r\nabc",
    OK_LINE + b"Transfer-Encoding: chunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.0 103 Early Hints\r\n\r\n" + OK_LINE + b"Content-Length: 3\r\n\r\nabc",
    OK_LINE + b"Connection: Upgrade,\tClose\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"Connection: Upgrade, Close\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"\r\nto the end of the connection",
    OK_LINE + b"Content-Type: text/plain\r\nConnection: close\r\n\r\n\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.0 200 OK\r\n\r\nold",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: "x"\r\n\r\n',
    b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    OK_LINE
    + b"X-Amzn-SageMaker-Custom-Attributes: caf\xe9 \xe2\x82\xac\r\nContent-Length: 2\r\n\r\n{}",
    OK_LINE + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08",
    OK_LINE + b"A:\r\nB: \r\nC:\t\r\nContent-Length: 1\r\n\r\nx",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b'5\r\nhello\r\nA;x="y z"\r\n0123456789\r\n001;n\r\n!\r\n000\r\n\r\n',
    OK_LINE + b"transfer-encoding: Chunked\r\nTrailer: X\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n",
    CHUNKED_HEAD + b"0\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    + OK_LINE
    + b"Content-Length: 1\r\n\r\n!",
    b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + CHUNKED_HEAD + b"2\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 424 Failed\r\nx-amzn-ErrorType: ModelError\r\nContent-Length: 15\r\n\r\n"
    + b'{"message":"x"}',
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"4\r\nbusy\r\n0\r\n\r\n",
    b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n<html>",
    b"HTTP/1.1 307 Elsewhere\r\nLocation: http://evil/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
]

HOSTILE_RESPONSES = [
    OK_LINE + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    OK_LINE + b"Content-Length: 3\r\n\r\nab",
    OK_LINE + b"Content-Length: 1000000000000\r\n\r\nabc",
    OK_LINE + b"Content-Length: 9999999999999999999\r\n\r\nabc",
    OK_LINE + b"Content-Length: 18446744073709551617\r\n\r\nabc",
    OK_LINE + b"Content-Length: 00000000000000000003\r\n\r\nabc",
    OK_LINE + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    OK_LINE + b"Content-Length: 3, 3\r\n\r\nabc",
    OK_LINE + b"Content-Length: -1\r\n\r\n",
    OK_LINE + b"Content-Length: +3\r\n\r\nabc",
    OK_LINE + b"Content-Length: 0x3\r\n\r\nabc",
    OK_LINE + b"Content-Length: 1_0\r\n\r\n0123456789",
    OK_LINE + b"Content-Length: \xb2\r\n\r\nabc",
    OK_LINE + b"Content-Length:\r\n\r\nabc",
    OK_LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    OK_LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    OK_LINE + b"Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    OK_LINE + b"Transfer-Encoding: identity\r\n\r\nabc",
    OK_LINE
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n",
    CHUNKED_HEAD + b"zz\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"+3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"0x3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"-3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b" 3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"3 \r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"\r\n3\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"00000000000000003\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"10000000000000003\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabcXX0\r\n\r\n",
    CHUNKED_HEAD + b"3\nabc\n0\n\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n",
    CHUNKED_HEAD + b"3\r\nab",
    CHUNKED_HEAD + b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"3 ; a = b\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b'3;a="b\\"c";d\r\nabc\r\n0;e\r\nF: g\r\n\r\n',
    CHUNKED_HEAD + b"3;\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nX: y\r\n folded\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nno colon\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nA: \x01\r\n\r\n",
    CHUNKED_HEAD + b"3\r\nabc\r\n0\r\nConnection: close\r\n\r\n",
    OK_LINE + b"Proxy-Connection: close\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    OK_LINE + b"Content-Length: 3\r\n\nabc",
    OK_LINE + b"A: b\rContent-Length: 5\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A: b\r\n folded\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b" A: b\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A: \0\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A: \x01\x7f\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"no colon\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A : b\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b": b\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A\xe9: b\r\nContent-Length: 3\r\n\r\nabc",
    OK_LINE + b"A:b\r\n" * 256 + b"Content-Length: 3\r\n\r\nabc",
    b"\r\n\r\n" + OK_LINE + b"Content-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 100 C\r\n\r\n" * 17 + OK_LINE + b"Content-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 110 C\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/0.9 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.2 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"http/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1  200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 000 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 099 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 abc OK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 O\x01K\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 O\rK\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1\t200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"ICY 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"RTSP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    b"\x15\x03\x03\x00\x02\x02\x46",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"<html>no head</html>",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"",
]

LONG_RESPONSES = [
    OK_LINE + b"Content-Length: 140000\r\n\r\n" + b"0123456789" * 14_000,
    OK_LINE + b"A: " + b"x" * 66_000 + b"\r\nContent-Length: 0\r\n\r\n",
    CHUNKED_HEAD + b"3;" + b"x" * 16_400 + b"\r\nabc\r\n0\r\n\r\n",
    CHUNKED_HEAD + b"0\r\nX: " + b"y" * 66_000 + b"\r\n\r\n",
]

FRAGMENTS = [
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b":", b";", b",", b"\x00"),
    *(b"\x0b", b"\x7f", b"\x80", b"0", b"a", b"\r\n ", b"HTTP/1.1 ", b"HTTP/1.0 "),
    *(b"HTTP/2.0 ", b"100", b"101", b"199", b"200", b"204", b"304", b"500", b"+", b"-", b"0x"),
    *(b"_", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"A: b\r\n", b"chunked"),
    *(b"gzip", b"identity", b"close", b"keep-alive", b"Upgrade: h2c\r\n", b"0\r\n\r\n"),
    *(b"3\r\nabc\r\n", b"0\r\n", b";x=y", b'="'),
]


def seed_responses() -> list[bytes]:
    """Return all short responses, and the conformance vectors if they lie beside the checkout."""
    return VALID_RESPONSES + HOSTILE_RESPONSES + conformance_vectors()


def conformance_vectors() -> list[bytes]:
    """Return cases collected from other projects, none if only this checkout is there."""
    if not VECTORS.exists():
        return []
    return [bytes.fromhex(case["raw_hex"]) for case in json.loads(VECTORS.read_bytes())]
