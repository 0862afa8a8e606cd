"""Content types: the format and charset of a body, and which methods read it.

Each content type belongs to one format, and each method reads some formats. A body with a
content type that states no format is read in the format that the caller asks for.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from ..errors import ResponseError

Format: TypeAlias = Literal[
    "unstated",
    "plain",
    "json",
    "jsonl",
    "csv",
    "npy",
    "parquet",
    "sse",
    "html",
    "text",
    "binary",
    "unknown",
]
Method: TypeAlias = Literal["json", "jsonl", "csv", "text", "numpy", "pandas"]

_FORMATS_BY_TYPE: dict[str, Format] = {
    "": "unstated",
    "application/octet-stream": "unstated",
    "binary/octet-stream": "unstated",
    "*/*": "unstated",
    "text/plain": "plain",
    "application/json": "json",
    "text/json": "json",
    "application/jsonlines": "jsonl",
    "application/x-jsonlines": "jsonl",
    "application/jsonl": "jsonl",
    "application/x-jsonl": "jsonl",
    "application/ndjson": "jsonl",
    "application/x-ndjson": "jsonl",
    "text/csv": "csv",
    "application/csv": "csv",
    "application/x-npy": "npy",
    "application/x-parquet": "parquet",
    "application/parquet": "parquet",
    "application/vnd.apache.parquet": "parquet",
    "text/event-stream": "sse",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "application/x-npz": "binary",
    "application/x-recordio-protobuf": "binary",
    "application/zip": "binary",
    "application/gzip": "binary",
    "application/x-tar": "binary",
    "application/pdf": "binary",
}
_FORMATS_BY_FAMILY: dict[str, Format] = {
    "text": "text",
    "image": "binary",
    "audio": "binary",
    "video": "binary",
    "font": "binary",
}

_READABLE_FORMATS: dict[Method, frozenset[Format]] = {
    "json": frozenset(("unstated", "plain", "json")),
    "jsonl": frozenset(("unstated", "plain", "jsonl")),
    "csv": frozenset(("unstated", "plain", "csv")),
    "text": frozenset(
        ("unstated", "plain", "json", "jsonl", "csv", "sse", "html", "text", "unknown")
    ),
    "numpy": frozenset(("unstated", "npy", "json", "csv")),
    "pandas": frozenset(("unstated", "parquet", "json", "jsonl", "csv")),
}

_REMEDIES_BY_FORMAT: dict[Format, str] = {
    "json": "call .json()",
    "jsonl": "call .jsonl()",
    "csv": "call .csv()",
    "npy": "call .numpy()",
    "parquet": "call .pandas()",
    "sse": "call .text(), or .sse() on a stream",
    "html": "call .text() to see the page; it may come from a proxy instead of the model",
    "plain": "call .text()",
    "text": "call .text()",
}

_find_charset_parameter = re.compile(
    r';[ \t]*charset[ \t]*=[ \t]*"?([^\s;"]*)', re.IGNORECASE
).search


def checked_format(content_type: str | None, method: Method) -> Format:
    """Return the format of a content type; raise `ResponseError` if `method` does not read it."""
    media_type = (content_type or "").partition(";")[0].strip(" \t").lower()
    stated_format = _FORMATS_BY_TYPE.get(media_type) or _format_by_structure(media_type)
    if stated_format not in _READABLE_FORMATS[method]:
        suggested_remedy = _REMEDIES_BY_FORMAT.get(stated_format, "use the bytes in .body")
        quoted_type = quote_content_type(content_type)
        problem = f"{method}() does not read the content type {quoted_type}"
        raise ResponseError(f"{problem}; {suggested_remedy}")
    return stated_format


def find_charset(content_type: str | None) -> str | None:
    """Return the charset parameter in lower case; None if there is none."""
    charset_match = _find_charset_parameter(content_type or "")
    return charset_match[1].lower() or None if charset_match else None


def quote_content_type(content_type: str | None) -> str:
    """Return a content type as an error message quotes it: escaped, and at most 100 characters."""
    shown_text = content_type or ""
    return repr(shown_text if len(shown_text) <= 100 else f"{shown_text[:100]}…")


def _format_by_structure(media_type: str) -> Format:
    if media_type.endswith("+json"):
        return "json"
    if media_type.endswith(("+xml", "/xml")):
        return "text"
    return _FORMATS_BY_FAMILY.get(media_type.partition("/")[0], "unknown")
