"""Text, encoded in the charset that the content type names; in UTF-8 if it names none.

Python has codecs that are no charsets (`unicode_escape`, `punycode`), and it caches each unknown
name for ever. So only the charsets of the web are looked up, whatever a server sends.
"""

from __future__ import annotations

import re
from codecs import lookup

from ..errors import ConstructionError, ResponseError
from ._content_type import Method, checked_format, find_charset, quote_content_type
from ._encoded import EncodedBody

_UTF_8_NAMES = frozenset(("utf-8", "utf8", "us-ascii", "ascii"))  # ASCII is a part of UTF-8
_is_web_charset = re.compile(
    r"utf-?8|utf-?(?:16|32)(?:-?[lb]e)?|(?:us-)?ascii|latin-?1|iso-8859-[0-9]{1,2}"
    r"|(?:windows-|cp)125[0-8]|gbk|gb2312|gb18030|big5|shift[-_]jis|euc-jp|euc-kr|koi8-[ru]",
    re.IGNORECASE,
).fullmatch
_BYTES_HINT = "; decode bytes first, or pass them as body="
_CHARSET_RULE = "a charset of the web, such as 'utf-8', 'iso-8859-1' or 'windows-1252'"


def as_text(
    text: str,
    /,
    *,
    encoding: str = "utf-8",
    content_type: str = "text/plain",
    accept: str = "text/plain",
) -> EncodedBody:
    """Return the members of a request with `text` as its body.

    The content type names the charset unless it is UTF-8, because many containers compare the
    content type as a whole. Finished CSV or JSON is text too, as in
    `as_text(csv, content_type="text/csv")`.

    >>> as_text("smørrebrød", encoding="iso-8859-1")["content_type"]
    'text/plain; charset=iso-8859-1'
    """
    if not isinstance(text, str):
        raise ConstructionError("text", f"a str{_BYTES_HINT}", f"found {type(text).__name__}")
    return encode_text("text", text, encoding, content_type, accept)


def read_text(body: bytes, content_type: str | None, *, encoding: str | None = None) -> str:
    """Return the text of a response.

    `encoding` replaces the charset of the content type. A byte order mark of UTF-8 is kept, as
    `bytes.decode` keeps it.
    """
    checked_format(content_type, "text")
    return decode_text(body, content_type, "text", encoding)


def encode_text(
    member: str, text: str, encoding: str, content_type: str, accept: str
) -> EncodedBody:
    """Return `text` in an encoding, and a content type that names it; errors name `member`."""
    check_encoding(encoding)
    try:
        body = text.encode(encoding)
    except UnicodeEncodeError as error:
        requirement = f"text that {encoding} can encode; pass another encoding="
        found = f"it has U+{ord(text[error.start]):04X} at index {error.start}"
        raise ConstructionError(member, requirement, found) from None
    if encoding.lower() not in _UTF_8_NAMES and find_charset(content_type) is None:
        content_type = f"{content_type}; charset={encoding}"
    return {"body": body, "content_type": content_type, "accept": accept}


def check_encoding(encoding: str) -> None:
    """Raise `ConstructionError` unless Python has `encoding` and a content type can name it."""
    if not isinstance(encoding, str):
        raise ConstructionError("encoding", _CHARSET_RULE, f"found {type(encoding).__name__}")
    try:
        if _is_web_charset(encoding) is None:
            raise LookupError
        lookup(encoding)
    except LookupError:
        found = f"found {encoding[:40]!r}"
        raise ConstructionError("encoding", _CHARSET_RULE, found) from None


def decode_text(
    body: bytes, content_type: str | None, method: Method, encoding: str | None = None
) -> str:
    """Return the text of a body; raise `ResponseError` for an unknown or a wrong charset."""
    if encoding is not None:
        check_encoding(encoding)
    charset_name = encoding or find_charset(content_type) or "utf-8"
    try:
        if _is_web_charset(charset_name) is None:
            raise LookupError
        return body.decode("utf-8" if charset_name in _UTF_8_NAMES else charset_name)
    except LookupError:
        suggested_remedy = "call .text(encoding=...) with the right one, or use the bytes in .body"
        quoted_type = quote_content_type(content_type)
        raise ResponseError(
            f"{method}() does not know the charset in {quoted_type}; {suggested_remedy}"
        ) from None
    except UnicodeDecodeError as error:
        raise ResponseError(
            f"{method}(): the body is not {charset_name}: {error.reason} at byte {error.start}; "
            "if it is another charset, call .text(encoding=...)"
        ) from None


def convert_to_utf_8(body: bytes, content_type: str | None, method: Method) -> bytes:
    """Return a body in UTF-8 without a byte order mark, unchecked if it should be UTF-8."""
    if (find_charset(content_type) or "utf-8") not in _UTF_8_NAMES:
        body = decode_text(body, content_type, method).encode("utf-8", "surrogatepass")
    return body.removeprefix(b"\xef\xbb\xbf")
