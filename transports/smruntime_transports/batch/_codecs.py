"""Records to the body of a request, and the body of an answer to one output for each record."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, cast

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.codecs import as_csv, as_json, read_csv, read_json, read_jsonl, read_text

RecordFormat: TypeAlias = Literal["json", "csv"]

RECORDS_MARK: Final = '"$records"'
RECORD_MARK: Final = '"$record"'
NO_FORMAT: Final = ("", "*/*", "application/octet-stream", "binary/octet-stream", "text/plain")


class EncodedRecord(NamedTuple):
    """A record as a file has it: valid JSON in one line, or one row of CSV without its line end."""

    data: bytes
    format: RecordFormat


class BatchCodec(Protocol):
    """How records become a body, and how an answer is split; `max_records` limits a group."""

    @property
    def content_type(self) -> str: ...
    @property
    def accept(self) -> str: ...
    @property
    def max_records(self) -> int | None: ...
    def encode(self, record: object, /) -> bytes:
        """Return one record as a part of a body; raise `ConstructionError` if it cannot be."""
        ...

    def join(self, parts: Sequence[bytes], /) -> bytes:
        """Return the body of a request with the encoded records."""
        ...

    def split(self, body: bytes, content_type: str | None, count: int, /) -> list[object]:
        """Return the `count` outputs of an answer; raise `ResponseError` for another number."""
        ...

    def describe(self) -> dict[str, object]:
        """Return what makes two codecs different, as JSON values."""
        ...


class _Codec:
    """What the codecs have in common: media types, and the reading of answers by content type."""

    _default_format: Literal["json", "jsonl", "csv"]
    max_records: int | None = None

    def __init__(
        self, content_type: str, accept: str, output_key: str | None, answer_header: bool
    ) -> None:
        for member, value in (("content_type", content_type), ("accept", accept)):
            if not isinstance(value, str) or not value:
                raise ConstructionError(member, "a MIME type", f"found {value!r}")
        if output_key is not None and (not isinstance(output_key, str) or not output_key):
            raise ConstructionError("output_key", "the name of a member, or names with dots")
        self.content_type = content_type
        self.accept = accept
        self._output_key = output_key
        self._answer_header = answer_header

    def split(self, body: bytes, content_type: str | None, count: int) -> list[object]:
        """Return the outputs of an answer, one for each of `count` records.

        Its content type decides how it is read: lines of JSON, the list in a JSON document, or rows
        of CSV. Raises `ResponseError`, also for another number of outputs.
        """
        outputs = self._read_outputs(body, content_type)
        if len(outputs) != count:
            found = f"{len(outputs)} output{'s' * (len(outputs) != 1)}"
            raise ResponseError(f"the answer has {found} for {count} record{'s' * (count != 1)}")
        return outputs

    def describe(self) -> dict[str, object]:
        return {
            "codec": type(self).__name__,
            "content_type": self.content_type,
            "accept": self.accept,
            "output_key": self._output_key,
            "answer_header": self._answer_header,
        }

    def _read_outputs(self, body: bytes, content_type: str | None) -> list[object]:
        answer_format = _find_format(content_type) or self._default_format
        if answer_format == "csv":
            rows: list[object] = [row for row in read_csv(body, content_type) if row]
            return rows[1:] if self._answer_header else rows
        if answer_format == "jsonl":
            lines = cast("list[object]", read_jsonl(body, content_type))
            return [self._pick(line) for line in lines] if self._output_key else lines
        return _find_list(self._pick(read_json(body, content_type)))

    def _pick(self, document: object) -> object:
        """Return what `output_key` names in a JSON document."""
        for name in (self._output_key or "").split("."):
            if not name:
                continue
            members = cast("Mapping[str, object]", document)
            if not isinstance(document, dict) or name not in members:
                raise ResponseError(f"the answer has no member {self._output_key!r} (output_key)")
            document = members[name]
        return document


def _find_format(content_type: str | None) -> Literal["json", "jsonl", "csv"] | None:
    media_type = (content_type or "").partition(";")[0].strip(" \t").lower()
    if media_type in NO_FORMAT:
        return None
    if "jsonl" in media_type or "ndjson" in media_type:
        return "jsonl"
    if "csv" in media_type:
        return "csv"
    return "json" if "json" in media_type else None


def _find_list(document: object) -> list[object]:
    """Return a document that is a list, or the only list among the members of an object."""
    if isinstance(document, dict):
        members = cast("Mapping[str, object]", document).values()
        lists = [cast("list[object]", member) for member in members if isinstance(member, list)]
        if len(lists) == 1:
            return lists[0]
        raise ResponseError(f"the answer has {len(lists)} lists; name one with output_key")
    if isinstance(document, list):
        return cast("list[object]", document)
    raise ResponseError("the answer is no list with an output for each record")


def _encode_json(record: object) -> bytes:
    """Return a record as JSON in one line."""
    if isinstance(record, EncodedRecord):
        if record.format == "json":
            return record.data
        record = read_csv(record.data, None)[0]
    return as_json(record, default=_convert)["body"]


def _convert(value: object) -> object:
    """Return dates, times and arrays as JSON has them."""
    for method_name in ("isoformat", "tolist"):
        method = getattr(value, method_name, None)
        if callable(method):
            return method()
    raise TypeError(f"{type(value).__name__} is no JSON value")


class JSONLinesCodec(_Codec):
    """A line of JSON for each record. `output_key` names the member of each line that is wanted."""

    _default_format = "jsonl"

    def __init__(
        self,
        *,
        content_type: str = "application/jsonlines",
        accept: str = "application/jsonlines",
        output_key: str | None = None,
        answer_header: bool = False,
    ) -> None:
        super().__init__(content_type, accept, output_key, answer_header)

    def encode(self, record: object) -> bytes:
        return _encode_json(record)

    def join(self, parts: Sequence[bytes]) -> bytes:
        return b"\n".join([*parts, b""])


class JSONCodec(_Codec):
    """A JSON array of the records in a template, as in `{"instances": "$records"}`.

    `"$records"` stands once in the template, which by default is the array alone. With `"$record"`
    instead, a request has one record, and the whole answer is its output: JSON, else text, else
    base64. `output_key` names the member of the answer that is wanted, as in "result.scores".
    """

    _default_format = "json"

    def __init__(
        self,
        template: str = RECORDS_MARK,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        output_key: str | None = None,
        answer_header: bool = False,
    ) -> None:
        super().__init__(content_type, accept, output_key, answer_header)
        _check_template(template)
        self._template = template
        self.max_records = 1 if RECORD_MARK in template else None
        mark = RECORD_MARK if self.max_records == 1 else RECORDS_MARK
        before, _, after = template.partition(mark)
        brackets = (b"", b"") if self.max_records == 1 else (b"[", b"]")
        self._before = before.encode() + brackets[0]
        self._after = brackets[1] + after.encode()

    def encode(self, record: object) -> bytes:
        return _encode_json(record)

    def join(self, parts: Sequence[bytes]) -> bytes:
        return self._before + b",".join(parts) + self._after

    def describe(self) -> dict[str, object]:
        return {**super().describe(), "template": self._template}

    def _read_outputs(self, body: bytes, content_type: str | None) -> list[object]:
        if self.max_records is None:
            return super()._read_outputs(body, content_type)
        if self._output_key or _find_format(content_type) == "json":
            return [self._pick(read_json(body, content_type))]
        return [_read_whole(body, content_type)]


def _check_template(template: object) -> None:
    requirement = f"JSON with {RECORDS_MARK} (a list) or {RECORD_MARK} (one record) in it, once"
    if not isinstance(template, str):
        raise ConstructionError("template", requirement, f"found {type(template).__name__}")
    try:
        json.loads(template)
    except (ValueError, RecursionError):
        raise ConstructionError("template", requirement, "it is not JSON") from None
    marks = template.count(RECORDS_MARK) + template.count(RECORD_MARK)
    if marks != 1:
        raise ConstructionError("template", requirement, f"found {marks} marks")


def _read_whole(body: bytes, content_type: str | None) -> object:
    """Return an answer of any kind as a JSON value."""
    if _find_format(content_type) == "jsonl":
        return read_jsonl(body, content_type)
    try:
        return read_text(body, content_type)
    except ResponseError:
        return {"base64": base64.b64encode(body).decode()}


class CSVCodec(_Codec):
    """A row of CSV for each record, after a `header` if one is given.

    The output of a record is the list of its cells, as text. `answer_header` says that an answer
    begins with a header, which is left out.
    """

    _default_format = "csv"

    def __init__(
        self,
        header: Iterable[str] | None = None,
        *,
        content_type: str = "text/csv",
        accept: str = "text/csv",
        output_key: str | None = None,
        answer_header: bool = False,
    ) -> None:
        super().__init__(content_type, accept, output_key, answer_header)
        self._columns = None if header is None else list(header)
        self._header = b"" if self._columns is None else as_csv([self._columns])["body"]

    def encode(self, record: object) -> bytes:
        if isinstance(record, EncodedRecord):
            if record.format == "csv":
                return record.data
            record = read_json(record.data, None)
        if isinstance(record, Mapping):
            record = self._order_cells(cast("Mapping[str, object]", record))
        if isinstance(record, str | bytes) or not isinstance(record, Iterable):
            requirement = "rows: lists of cells, or mappings from column to cell"
            raise ConstructionError("records", requirement, f"found {type(record).__name__}")
        return as_csv([cast("Iterable[object]", record)])["body"][:-1]

    def _order_cells(self, record: Mapping[str, object]) -> list[object]:
        if self._columns is None:
            return list(record.values())
        missing = [name for name in self._columns if name not in record]
        if missing:
            raise ConstructionError("records", f"rows with every column; {missing[0]!r} is missing")
        return [record[name] for name in self._columns]

    def join(self, parts: Sequence[bytes]) -> bytes:
        return self._header + b"\n".join([*parts, b""])

    def describe(self) -> dict[str, object]:
        return {**super().describe(), "header": self._columns}
