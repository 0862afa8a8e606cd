"""JSON Lines: one JSON value a line, in UTF-8."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar, overload

from ..errors import ConstructionError
from ._content_type import checked_format
from ._encoded import EncodedBody, is_collection
from ._json import make_parser, make_serializer
from ._text import convert_to_utf_8, encode_text

if TYPE_CHECKING:
    from ..payload import JSON

ValueT = TypeVar("ValueT")


def as_jsonl(
    records: Iterable[object],
    /,
    *,
    default: Callable[[object], object] | None = None,
    separators: tuple[str, str] | None = None,
    ensure_ascii: bool = True,
    sort_keys: bool = False,
    allow_nan: bool = False,
    content_type: str = "application/jsonlines",
    accept: str = "application/jsonlines",
) -> EncodedBody:
    r"""Return the members of a request with a line of JSON for each record as its body.

    The options are those of `as_json`.

    >>> as_jsonl([{"id": 1}, {"id": 2}])["body"]
    b'{"id": 1}\n{"id": 2}\n'
    """
    if not is_collection(records):
        requirement = "an iterable of records; put a single record into a list: [record]"
        raise ConstructionError("records", requirement, f"found {type(records).__name__}")
    if separators is not None and any(
        "\n" in str(part) or "\r" in str(part) for part in separators
    ):
        raise ConstructionError("separators", "without line breaks: each record is one line")
    serialize = make_serializer("records", default, separators, ensure_ascii, sort_keys, allow_nan)
    text = "".join(f"{serialize(record)}\n" for record in records)
    return encode_text("records", text, "utf-8", content_type, accept)


@overload
def read_jsonl(body: bytes, content_type: str | None, *, loads: None = None) -> list[JSON]: ...
@overload
def read_jsonl(
    body: bytes, content_type: str | None, *, loads: Callable[[bytes], ValueT]
) -> list[ValueT]: ...
def read_jsonl(
    body: bytes, content_type: str | None, *, loads: Callable[[bytes], ValueT] | None = None
) -> list[JSON] | list[ValueT] | list[JSON | ValueT]:
    """Return the JSON value of each line of a response; blank lines are skipped.

    `loads` is called with each line, as in `read_json`.
    """
    checked_format(content_type, "jsonl")
    return parse_json_lines(
        convert_to_utf_8(body, content_type, "jsonl"), make_parser("jsonl", loads)
    )


def parse_json_lines(body: bytes, parse: Callable[[bytes], ValueT]) -> list[ValueT]:
    """Return what `parse` makes of each line that is not blank.

    A line break within a value of JSON is always escaped, so one that is not ends the line.
    """
    return [parse(line) for line in body.splitlines() if line.strip(b" \t")]
