"""Text: encoded in the charset that the content type names, UTF-8 if it names none.

Python has codecs that no charset names (`unicode_escape`, `punycode`), and it remembers each unknown
name for ever. So only the charsets of the web are looked up, whatever a server sends.
"""

from __future__ import annotations

import re
from codecs import lookup

from ..errors import ConstructionError, ResponseError
from ._content_type import Method, charset_of, format_for, shown
from ._encoded import EncodedBody

_UTF_8 = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))  # ASCII is a part of UTF-8
_is_charset = re.compile(
    r"utf-?8|utf-?(?:16|32)(?:-?[lb]e)?|(?:us-)?ascii|latin-?1|iso-8859-[0-9]{1,2}"
    r"|(?:windows-|cp)125[0-8]|gbk|gb2312|gb18030|big5|shift[-_]jis|euc-jp|euc-kr|koi8-[ru]",
    re.IGNORECASE,
).fullmatch
_BYTES_HINT = "; decode bytes first, or pass them as body="
_RULE = "a charset of the web, for instance 'utf-8', 'utf-16', 'iso-8859-1' or 'windows-1252'"


def as_text(
    text: str,
    /,
    *,
    encoding: str = "utf-8",
    content_type: str = "text/plain",
    accept: str = "text/plain",
) -> EncodedBody:
    """Return the members of a request whose body is `text`.

    The content type names the charset unless it is UTF-8, because many containers compare the
    content type as a whole. Finished CSV or JSON is text too: `as_text(csv, content_type="text/csv")`.

    >>> as_text("smørrebrød", encoding="iso-8859-1")["content_type"]
    'text/plain; charset=iso-8859-1'
    """
    if not isinstance(text, str):
        raise ConstructionError("text", f"a str{_BYTES_HINT}", f"found {type(text).__name__}")
    return encode_text("text", text, encoding, content_type, accept)


def read_text(body: bytes, content_type: str | None, *, encoding: str | None = None) -> str:
    """Return the text of an answer.

    `encoding` replaces the charset of the content type. A byte order mark of UTF-8 is kept, as
    `bytes.decode` keeps it.
    """
    format_for(content_type, "text")
    return decode_text(body, content_type, "text", encoding)


def encode_text(
    member: str, text: str, encoding: str, content_type: str, accept: str
) -> EncodedBody:
    """Return `text` in an encoding, and a content type that names it; errors name `member`."""
    check_encoding(encoding)
    try:
        body = text.encode(encoding)
    except UnicodeEncodeError as error:
        rule = f"text that {encoding} can encode; pass another encoding="
        found = f"it has U+{ord(text[error.start]):04X} at index {error.start}"
        raise ConstructionError(member, rule, found) from None
    if encoding.lower() not in _UTF_8 and charset_of(content_type) is None:
        content_type = f"{content_type}; charset={encoding}"
    return {"body": body, "content_type": content_type, "accept": accept}


def check_encoding(encoding: str) -> None:
    """Raise `ConstructionError` unless Python has `encoding` and a content type can name it."""
    if not isinstance(encoding, str):
        raise ConstructionError("encoding", _RULE, f"found {type(encoding).__name__}")
    try:
        if _is_charset(encoding) is None:
            raise LookupError
        lookup(encoding)
    except LookupError:
        raise ConstructionError("encoding", _RULE, f"found {encoding[:40]!r}") from None


def decode_text(
    body: bytes, content_type: str | None, method: Method, encoding: str | None = None
) -> str:
    """Return the text of a body; raise `ResponseError` if its charset is unknown or does not fit."""
    if encoding is not None:
        check_encoding(encoding)
    charset = encoding or charset_of(content_type) or "utf-8"
    try:
        if _is_charset(charset) is None:
            raise LookupError
        return body.decode("utf-8" if charset in _UTF_8 else charset)
    except LookupError:
        remedy = "call .text(encoding=...) with the right one, or use the bytes in .body"
        raise ResponseError(
            f"{method}() does not know the charset in {shown(content_type)}; {remedy}"
        ) from None
    except UnicodeDecodeError as error:
        raise ResponseError(
            f"{method}(): the body is not {charset}: {error.reason} at byte {error.start}; "
            "if it is another charset, call .text(encoding=...)"
        ) from None


def utf_8_of(body: bytes, content_type: str | None, method: Method) -> bytes:
    """Return a body in UTF-8 without a byte order mark, unchecked if it should be UTF-8."""
    if (charset_of(content_type) or "utf-8") not in _UTF_8:
        body = decode_text(body, content_type, method).encode("utf-8", "surrogatepass")
    return body.removeprefix(b"\xef\xbb\xbf")
