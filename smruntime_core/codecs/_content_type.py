"""What a content type says about a body: its format, its charset, and which method reads it.

Each content type belongs to one format, and each method reads some formats. A body whose content
type says nothing about its format is read as what the caller asks for.
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

_FORMATS: dict[str, Format] = {
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
_FAMILIES: dict[str, Format] = {
    "text": "text",
    "image": "binary",
    "audio": "binary",
    "video": "binary",
    "font": "binary",
}

_READABLE: dict[Method, frozenset[Format]] = {
    "json": frozenset(("unstated", "plain", "json")),
    "jsonl": frozenset(("unstated", "plain", "jsonl")),
    "csv": frozenset(("unstated", "plain", "csv")),
    "text": frozenset(
        ("unstated", "plain", "json", "jsonl", "csv", "sse", "html", "text", "unknown")
    ),
    "numpy": frozenset(("unstated", "npy", "json", "csv")),
    "pandas": frozenset(("unstated", "parquet", "json", "jsonl", "csv")),
}

_REMEDIES: dict[Format, str] = {
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

_charset = re.compile(r';[ \t]*charset[ \t]*=[ \t]*"?([^\s;"]*)', re.IGNORECASE).search


def format_for(content_type: str | None, method: Method) -> Format:
    """Return the format of a content type; raise `ResponseError` if `method` does not read it."""
    essence = (content_type or "").partition(";")[0].strip(" \t").lower()
    stated = _FORMATS.get(essence) or _format_by_structure(essence)
    if stated not in _READABLE[method]:
        remedy = _REMEDIES.get(stated, "use the bytes in .body")
        raise ResponseError(
            f"{method}() does not read the content type {shown(content_type)}; {remedy}"
        )
    return stated


def charset_of(content_type: str | None) -> str | None:
    """Return the charset parameter in lower case; None if there is none."""
    found = _charset(content_type or "")
    return found[1].lower() or None if found else None


def shown(content_type: str | None) -> str:
    """Return a content type as an error message quotes it: escaped, and at most 100 characters."""
    text = content_type or ""
    return repr(text if len(text) <= 100 else f"{text[:100]}…")


def _format_by_structure(essence: str) -> Format:
    if essence.endswith("+json"):
        return "json"
    if essence.endswith(("+xml", "/xml")):
        return "text"
    return _FAMILIES.get(essence.partition("/")[0], "unknown")
