"""The known disagreements between our exchange and another reader of HTTP/1.1, with their reasons.

We refuse what others accept, never the reverse, except for the last rows, where llhttp disagrees
with h11 and us. A run fails on a disagreement that no row settles, and a full run on a row that
settles none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from smruntime_core.http1 import MAX_HEAD, MAX_INTERIM_RESPONSES

MAX_FIELDS = 256
MAX_CHUNK_LINE = 16 * 1024
MAX_TRAILERS = 64 * 1024


class Dispute(NamedTuple):
    """One disagreement: with a reader ("h11", "httptools"), in an aspect ("refused by us" …)."""

    reader: str
    difference: str
    data: bytes

    @property
    def head(self) -> bytes:
        """All heads, as a lenient reader finds their ends."""
        return self.data[: self._body_offset]

    @property
    def body(self) -> bytes:
        """The bytes after the heads."""
        return self.data[self._body_offset :]

    @property
    def _body_offset(self) -> int:
        heads = _match_heads(self.data)
        return heads.end() if heads else len(self.data)


_match_heads = re.compile(rb"(?is)(?:\s*HTTP/\d\.\d[ \t]+1\d\d.*?\n\r?\n)*\s*\S.*?\n\r?\n").match


class Row(NamedTuple):
    """A known disagreement: the pattern that shows it in the heads or the body, and the reason."""

    name: str
    pattern: bytes
    reason: str
    zone: str = "head"
    differences: tuple[str, ...] = ("refused by us",)

    def settles(self, dispute: Dispute) -> bool:
        """Return whether `dispute` is this disagreement."""
        if dispute.difference not in self.differences:
            return False
        if dispute.difference != "refused by us" and dispute.reader != "httptools":
            return False
        searched = dispute.head if self.zone == "head" else dispute.body
        return re.search(self.pattern, searched, re.IGNORECASE | re.DOTALL) is not None


_HEAD_START = rb"(?:\A|\n\r?\n(?!\Z))"
_LINE_START = rb"(?:\A|\r\n)"  # in the body
_CHUNK_SIZE = _LINE_START + rb"[0-9a-f]+"
_LAST_CHUNK = (
    _LINE_START + rb"0+(?:;[^\r\n]*)?\r\n(?:.*\n)?"
)  # the last chunk, then perhaps trailers
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9a-z]+"
_CHUNK_EXTENSIONS = (
    rb"(?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"(?:[^"\\\0-\x1f\x7f]|\t|\\[\t -~\x80-\xff])*"))?)*'
)

TABLE = (
    Row("a head too long", rb"\A.{%d}" % MAX_HEAD, "a limit of ours (RFC 9112 section 5)"),
    Row(
        "a line ends with LF",
        rb"(?<!\r)\n",
        "optional, and used for request smuggling (RFC 9112 section 2.2)",
    ),
    Row(
        "blank lines before",
        rb"\A\r\n",
        "servers may skip them, clients need not (RFC 9112 section 2.2)",
    ),
    Row(
        "another version",
        _HEAD_START + rb"(?!HTTP/1\.[01] )",
        "only HTTP/1.0 and 1.1 have this framing (RFC 9112 section 2.3)",
    ),
    Row(
        "a status below 100",
        _HEAD_START + rb"HTTP/1\.. 0",
        "not a status code (RFC 9110 section 15)",
    ),
    Row(
        "a folded line",
        rb"\r\n[ \t]",
        "obsolete, and readers disagree on it (RFC 9112 section 5.2)",
    ),
    Row(
        "controls in a field or reason",
        rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]",
        "only HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5)",
    ),
    Row(
        "coding and length",
        rb"\A(?=.*\ntransfer-encoding:).*\ncontent-length:",
        "ought to be handled as an error (RFC 9112 section 6.3, 3)",
    ),
    Row(
        "a coding in HTTP/1.0",
        rb"HTTP/1\.0 .*\ntransfer-encoding:",
        "its framing is faulty (RFC 9112 section 6.1)",
    ),
    Row(
        "a coding that is not chunked",
        rb"\ntransfer-encoding:(?![ \t]*chunked[ \t]*\r)",
        "its end cannot be known (RFC 9112 section 6.3, 4)",
    ),
    Row(
        "two codings",
        rb"\ntransfer-encoding:.*\ntransfer-encoding:",
        "chunked twice is forbidden (RFC 9112 section 6.1)",
    ),
    Row(
        "two lengths",
        rb"\ncontent-length:(?:.*\ncontent-length:|[^\r]*,)",
        "accepting equal ones is optional (RFC 9112 section 6.3, 5)",
    ),
    Row(
        "a length of 20 digits",
        rb"\ncontent-length:[ \t]*\d{20}",
        "no integer conversion may overflow (RFC 9110 section 8.6)",
    ),
    Row(
        "a change of protocol",
        _HEAD_START + rb"HTTP/1\.. 101",
        "the request asked for none (RFC 9110 section 15.2.2)",
    ),
    Row(
        "too many interim responses",
        rb"(?:HTTP/1\.. 1\d\d.*?\n\r?\n){%d}" % (MAX_INTERIM_RESPONSES + 1),
        "they may never end (RFC 9110 section 15.2)",
    ),
    Row(
        "too many fields",
        rb"(?:[^\n]*\n){%d}" % (MAX_FIELDS + 3),
        "a limit of ours (RFC 9112 section 5)",
    ),
    Row(
        "blanks after a chunk's size",
        _CHUNK_SIZE + rb"[ \t]",
        "not in the grammar, or bad whitespace (RFC 9112 section 7.1)",
        "body",
    ),
    Row(
        "a chunk's size of 17 digits",
        _LINE_START + rb"[0-9a-f]{17}",
        "no integer conversion may overflow (RFC 9112 section 7.1)",
        "body",
    ),
    Row(
        "a malformed chunk extension",
        _CHUNK_SIZE + rb"(?=;)(?!" + _CHUNK_EXTENSIONS + rb"\r\n)",
        "not in the grammar (RFC 9112 section 7.1.1)",
        "body",
    ),
    Row(
        "a chunk's line too long",
        _CHUNK_SIZE + rb";[^\r]{%d}" % (MAX_CHUNK_LINE - 99),
        "a limit of ours (RFC 9112 section 7.1.1)",
        "body",
    ),
    Row(
        "a trailer's line ends with LF",
        _LAST_CHUNK + rb"[^\r\n]*(?<!\r)\n",
        "as in the head (RFC 9112 section 2.2)",
        "body",
    ),
    Row(
        "a folded trailer", _LAST_CHUNK + rb"[ \t]", "as in the head (RFC 9112 section 5.2)", "body"
    ),
    Row(
        "controls in a trailer",
        _LAST_CHUNK + rb"[^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]",
        "as in the head (RFC 9110 section 5.5)",
        "body",
    ),
    Row(
        "trailers too long",
        _LINE_START + rb"0+(?:;[^\r\n]*)?\r\n.{%d}" % (MAX_TRAILERS - 99),
        "a limit of ours (RFC 9112 section 7.1.2)",
        "body",
    ),
    Row(
        "framing in a trailer",
        _LAST_CHUNK + rb"(?:content-length|transfer-encoding):",
        "forbidden in trailers (RFC 9110 section 6.5.1)",
        "body",
    ),
    # llhttp disagrees with h11 and us
    Row(
        "Proxy-Connection",
        rb"\nproxy-connection:",
        "no meaning (RFC 9112 appendix C.2.2); a closed connection is noticed before it is reused",
        differences=("reuse",),
    ),
    Row(
        "framing in an interim response",
        _HEAD_START + rb"HTTP/1\.. 1(?!0[0-3]).*\n(?:content-length|transfer-encoding):",
        "no 1xx has content (RFC 9112 section 6.3, 1); llhttp applies that to 100 to 103 only",
        differences=("refused by them",),
    ),
    Row(
        "an interim response that ends the connection",
        _HEAD_START + rb"HTTP/1\.(?:0 1|1 1.*\n(?:proxy-)?connection:)",
        "every interim response is skipped (RFC 9110 section 15.2); llhttp obeys its `close`",
        differences=("refused by them",),
    ),
    Row(
        "a tab after a coding",
        rb"\ntransfer-encoding:[\t ]*chunked[ ]*\t",
        "optional whitespace (RFC 9110 section 5.5), which llhttp takes for part of the name",
        differences=("refused by them", "body"),
    ),
    Row(
        "Connection in a trailer",
        _LAST_CHUNK + rb"(?:proxy-)?connection:",
        "trailers are dropped (RFC 9110 section 6.5.1)",
        "body",
        ("reuse",),
    ),
)
