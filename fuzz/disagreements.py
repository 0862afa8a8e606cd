"""Where the exchange and another reader of HTTP/1.1 may disagree: each way in one line, with its reason.

We refuse what they take, and never the other way round: but for the last lines, where llhttp is alone against h11 and us. The run fails
on a disagreement that no line settles, and a full run on a line that settles none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from smruntime_core.http1 import MAX_HEAD, MAX_INTERIM_RESPONSES

MAX_FIELDS = 256
MAX_LINE = 16 * 1024
MAX_TRAILERS = 64 * 1024


class Dispute(NamedTuple):
    """One disagreement: with whom ("h11", "httptools"), how ("refused by us" …), over which bytes."""

    who: str
    how: str
    data: bytes

    @property
    def head(self) -> bytes:
        """All heads, as a lenient reader finds their ends."""
        return self.data[: self._body]

    @property
    def body(self) -> bytes:
        """What follows them."""
        return self.data[self._body :]

    @property
    def _body(self) -> int:
        found = _heads(self.data)
        return found.end() if found else len(self.data)


_heads = re.compile(rb"(?is)(?:\s*HTTP/\d\.\d[ \t]+1\d\d.*?\n\r?\n)*\s*\S.*?\n\r?\n").match


class Row(NamedTuple):
    """A way to disagree: what is to be seen in the bytes (in the heads, or in what follows them), and why we differ."""

    name: str
    pattern: bytes
    why: str
    zone: str = "head"
    how: tuple[str, ...] = ("refused by us",)

    def settles(self, dispute: Dispute) -> bool:
        """This is such a disagreement."""
        if dispute.how not in self.how or (
            dispute.how != "refused by us" and dispute.who != "httptools"
        ):
            return False
        return (
            re.search(self.pattern, getattr(dispute, self.zone), re.IGNORECASE | re.DOTALL)
            is not None
        )


_START = rb"(?:\A|\n\r?\n(?!\Z))"  # of a head
_LINE = rb"(?:\A|\r\n)"  # of a line in the body
_SIZE = _LINE + rb"[0-9a-f]+"
_LAST = _LINE + rb"0+(?:;[^\r\n]*)?\r\n(?:.*\n)?"  # the last chunk, then perhaps trailers
_NAME = rb"[-!#$%&'*+.^_`|~0-9a-z]+"
_EXTENSIONS = (
    rb"(?:;"
    + _NAME
    + rb"(?:=(?:"
    + _NAME
    + rb'|"(?:[^"\\\0-\x1f\x7f]|\t|\\[\t -~\x80-\xff])*"))?)*'
)

TABLE = (
    Row("a head too long", rb"\A.{%d}" % MAX_HEAD, "a limit of ours (RFC 9112 section 5)"),
    Row(
        "a line ends with LF", rb"(?<!\r)\n", "a MAY that smuggling lives on (RFC 9112 section 2.2)"
    ),
    Row(
        "blank lines before",
        rb"\A\r\n",
        "servers may skip them, clients need not (RFC 9112 section 2.2)",
    ),
    Row(
        "another version",
        _START + rb"(?!HTTP/1\.[01] )",
        "only HTTP/1.0 and 1.1 are framed so (RFC 9112 section 2.3)",
    ),
    Row(
        "a status below 100",
        _START + rb"HTTP/1\.. 0",
        "no class of status has it (RFC 9110 section 15)",
    ),
    Row("a folded line", rb"\r\n[ \t]", "obsolete, and read in two ways (RFC 9112 section 5.2)"),
    Row(
        "controls in a field or reason",
        rb"[\0-\x08\x0b\x0c\x0e-\x1f\x7f]",
        "only HTAB, SP, VCHAR and obs-text (RFC 9110 section 5.5)",
    ),
    Row(
        "coding and length",
        rb"\A(?=.*\ntransfer-encoding:).*\ncontent-length:",
        "ought to be an error (RFC 9112 section 6.3, 3)",
    ),
    Row(
        "a coding in HTTP/1.0",
        rb"HTTP/1\.0 .*\ntransfer-encoding:",
        "its framing is faulty (RFC 9112 section 6.1)",
    ),
    Row(
        "a coding that is not chunked",
        rb"\ntransfer-encoding:(?![ \t]*chunked[ \t]*\r)",
        "ends with the connection, maybe (RFC 9112 section 6.3, 4)",
    ),
    Row(
        "two codings",
        rb"\ntransfer-encoding:.*\ntransfer-encoding:",
        "chunked twice is forbidden (RFC 9112 section 6.1)",
    ),
    Row(
        "two lengths",
        rb"\ncontent-length:(?:.*\ncontent-length:|[^\r]*,)",
        "a MAY, if they are equal (RFC 9112 section 6.3, 5)",
    ),
    Row(
        "a length of 20 digits",
        rb"\ncontent-length:[ \t]*\d{20}",
        "no integer conversion may overflow (RFC 9110 section 8.6)",
    ),
    Row(
        "a change of protocol",
        _START + rb"HTTP/1\.. 101",
        "nobody asked for one (RFC 9110 section 15.2.2)",
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
        _SIZE + rb"[ \t]",
        "not in the grammar, or bad whitespace (RFC 9112 section 7.1)",
        "body",
    ),
    Row(
        "a chunk's size of 17 digits",
        _LINE + rb"[0-9a-f]{17}",
        "no integer conversion may overflow (RFC 9112 section 7.1)",
        "body",
    ),
    Row(
        "an odd chunk extension",
        _SIZE + rb"(?=;)(?!" + _EXTENSIONS + rb"\r\n)",
        "no name, or no value (RFC 9112 section 7.1.1)",
        "body",
    ),
    Row(
        "a chunk's line too long",
        _SIZE + rb";[^\r]{%d}" % (MAX_LINE - 99),
        "a limit of ours (RFC 9112 section 7.1.1)",
        "body",
    ),
    Row(
        "a trailer's line ends with LF",
        _LAST + rb"[^\r\n]*(?<!\r)\n",
        "as in the head (RFC 9112 section 2.2)",
        "body",
    ),
    Row("a folded trailer", _LAST + rb"[ \t]", "as in the head (RFC 9112 section 5.2)", "body"),
    Row(
        "controls in a trailer",
        _LAST + rb"[^\r\n]*[\0-\x08\x0b\x0c\x0e-\x1f\x7f]",
        "as in the head (RFC 9110 section 5.5)",
        "body",
    ),
    Row(
        "trailers too long",
        _LINE + rb"0+(?:;[^\r\n]*)?\r\n.{%d}" % (MAX_TRAILERS - 99),
        "a limit of ours (RFC 9112 section 7.1.2)",
        "body",
    ),
    Row(
        "framing in a trailer",
        _LAST + rb"(?:content-length|transfer-encoding):",
        "comes too late (RFC 9110 section 6.5.1)",
        "body",
    ),
    # llhttp alone
    Row(
        "Proxy-Connection",
        rb"\nproxy-connection:",
        "means nothing (RFC 9112 appendix C.2.2); that a peer closes is seen before the next request",
        how=("reuse",),
    ),
    Row(
        "framing in an interim response",
        _START + rb"HTTP/1\.. 1(?!0[0-3]).*\n(?:content-length|transfer-encoding):",
        "llhttp knows 100 to 103 only; all of 1xx has no content (RFC 9112 section 6.3, 1)",
        how=("refused by them",),
    ),
    Row(
        "an interim response that ends the connection",
        _START + rb"HTTP/1\.(?:0 1|1 1.*\n(?:proxy-)?connection:)",
        "to llhttp, by its version or by `close`; it is skipped as any other (RFC 9110 section 15.2)",
        how=("refused by them",),
    ),
    Row(
        "a tab after a coding",
        rb"\ntransfer-encoding:[\t ]*chunked[ ]*\t",
        "llhttp takes it for the coding's name; it is optional whitespace (RFC 9110 section 5.5)",
        how=("refused by them", "body"),
    ),
    Row(
        "Connection in a trailer",
        _LAST + rb"(?:proxy-)?connection:",
        "trailers are dropped (RFC 9110 section 6.5.1)",
        "body",
        ("reuse",),
    ),
)
