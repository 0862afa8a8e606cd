"""Records: files that are damaged or hostile, and codecs that join and split without loss."""

from __future__ import annotations

import datetime
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_transports.batch import (
    CSVCodec,
    EncodedRecord,
    InvalidRecord,
    JSONCodec,
    JSONLinesCodec,
    RecordReader,
    read_csv,
    read_jsonl,
    read_parquet,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FINITE = SCALARS.filter(lambda value: value not in (float("inf"), float("-inf")))
JSON_VALUES = st.recursive(
    FINITE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=8)


@given(st.lists(JSON_VALUES, min_size=1, max_size=8))
def test_json_lines_are_split_into_what_was_joined(records: list[object]) -> None:
    codec = JSONLinesCodec()
    body = codec.join([codec.encode(record) for record in records])
    assert codec.split(body, codec.content_type, len(records)) == records


@given(st.lists(JSON_VALUES, min_size=1, max_size=8), st.sampled_from(["", "predictions"]))
def test_json_arrays_are_split_into_what_was_joined(records: list[object], key: str) -> None:
    codec = JSONCodec(f'{{"{key}": "$records"}}' if key else '"$records"', output_key=key or None)
    body = codec.join([codec.encode(record) for record in records])
    assert codec.split(body, codec.content_type, len(records)) == records


@given(ROWS)
def test_csv_is_split_into_what_was_joined(rows: list[list[str]]) -> None:
    codec = CSVCodec()
    body = codec.join([codec.encode(row) for row in rows])
    assert codec.split(body, codec.content_type, len(rows)) == rows


@given(ROWS)
def test_rows_of_a_csv_file_are_the_rows_that_were_written(rows: list[list[str]]) -> None:
    codec = CSVCodec()
    body = codec.join([codec.encode(row) for row in rows])
    records = list(read_csv(io.BytesIO(body)))
    parts = [codec.encode(record) for record in records]
    not_blank = [row for row in rows if len(row) > 1 or row[0].strip(" \t") or '"' in row[0]]
    kept = [row for row in rows if codec.encode(row).strip(b" \t\r\n")]
    assert len(parts) == len(kept) >= len(not_blank)
    assert codec.split(codec.join(parts), "text/csv", len(kept)) == kept


@given(st.lists(JSON_VALUES, max_size=8))
def test_records_of_a_json_lines_file_are_the_values_that_were_written(
    values: list[object],
) -> None:
    body = "".join(f"{json.dumps(value)}\r\n\n" for value in values).encode()
    records: list[Any] = list(read_jsonl(io.BytesIO(body)))
    assert [json.loads(record.data) for record in records] == values


@given(st.binary(max_size=200))
def test_readers_survive_any_bytes(data: bytes) -> None:
    for reader in (read_jsonl(io.BytesIO(data)), read_csv(io.BytesIO(data))):
        for record in reader:
            assert isinstance(record, EncodedRecord | InvalidRecord)


@given(st.binary(max_size=200), st.sampled_from(["text/csv", "application/json", "a/jsonl", None]))
def test_any_answer_is_split_or_refused(body: bytes, content_type: str | None) -> None:
    for codec in (CSVCodec(), JSONCodec(), JSONLinesCodec(), JSONCodec('"$record"')):
        with suppress(ResponseError):
            assert len(codec.split(body, content_type, 1)) == 1


def write(folder: Path, data: bytes | str, name: str = "in") -> Path:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def read_all(reader: RecordReader) -> list[object]:
    """Return the data of valid records and the messages of others."""
    return [
        record.data.decode() if isinstance(record, EncodedRecord) else record.message
        for record in reader
        if isinstance(record, EncodedRecord | InvalidRecord)
    ]


def test_byte_order_mark_and_blank_lines_are_no_records(tmp_path: Path) -> None:
    path = write(tmp_path, b"\xef\xbb\xbf\n[1]\r\n \t\n\n[2]")
    assert read_all(read_jsonl(path)) == ["[1]", "[2]"]
    path = write(tmp_path, b"\xef\xbb\xbfa,b\r\n\r\n   \n1,2\n")
    assert read_all(read_csv(path)) == ["a,b", "1,2"]
    assert read_csv(path, header=True).columns == ["a", "b"]


def test_empty_files_have_no_records(tmp_path: Path) -> None:
    path = write(tmp_path, b"")
    assert read_all(read_jsonl(path)) == read_all(read_csv(path)) == []
    assert read_all(read_csv(path, header=True)) == []


def test_quotes_and_line_breaks_of_csv_stay_in_their_row(tmp_path: Path) -> None:
    rows = ['1,"two\nlines, and ""quotes"""', '2,5" pipe', '"",x']
    path = write(tmp_path, "\n".join(rows))
    assert read_all(read_csv(path)) == rows


def test_invalid_rows_of_csv_name_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, b'a,b\n1,2\n"x" y,2\n\xff,1\n1\n3,4\n"open,\n5,6\n')
    header_reader = read_csv(path, header=True)
    assert read_all(header_reader) == [
        "1,2",
        "line 3 is not CSV: ',' expected after '\"'",
        "line 4 is not UTF-8: invalid start byte at byte 0",
        "line 5 has 1 cells, the header has 2",
        "3,4",
        "line 7 is not CSV: unexpected end of data",
    ]
    assert read_all(header_reader) == read_all(read_csv(path, header=True))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{", "line 2 is not JSON: Expecting property name"),
        (b"[1] 2", "line 2 is not JSON: Extra data"),
        (b"NaN", "line 2 is not JSON: NaN is not a JSON value"),
        (b'"\xff"', "line 2 is not UTF-8: invalid start byte"),
        (b"[" * 100_000, "line 2 is not JSON"),
        (b"1" * 5000, "line 2 is not JSON: Exceeds the limit"),
    ],
)
def test_invalid_lines_of_json_name_their_line(tmp_path: Path, line: bytes, problem: str) -> None:
    first, second, third = read_all(read_jsonl(write(tmp_path, b"1\n" + line + b"\n3\n")))
    assert (first, third) == ("1", "3")
    assert str(second).startswith(problem)


def test_lines_longer_than_a_request_are_invalid_and_bounded_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path, b"1\n" + b"[" + b" " * 60_000_000 + b"]\n3\n")
    first, second, third = read_all(read_jsonl(path))
    assert (first, third) == ("1", "3")
    assert second == "line 2 is longer than 26214400 bytes"


def test_a_record_of_5_mb_is_read(tmp_path: Path) -> None:
    text = json.dumps("x" * 5_000_000)
    assert read_all(read_jsonl(write(tmp_path, f"1\n{text}\n3\n")))[1] == text


def test_what_is_appended_to_a_file_later_is_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, b"[1]\n[2]\n")
    reader = read_jsonl(path)
    iterator = iter(reader)
    assert next(iterator) == EncodedRecord(b"[1]", "json")
    with path.open("ab") as file:
        file.write(b"[3]\n")
    assert list(iterator) == [EncodedRecord(b"[2]", "json")]
    assert read_all(read_jsonl(path)) == ["[1]", "[2]", "[3]"]


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConstructionError, match=r"cannot read .*absent: No such file"):
        read_jsonl(tmp_path / "absent")
    number: Any = 3
    with pytest.raises(ConstructionError, match="found int"):
        read_csv(number)


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        with pytest.raises(ImportError, match=r"pip install 'smruntime-core\[parquet\]'"):
            read_parquet(write(tmp_path, b"PAR1"))
    else:
        with pytest.raises(ConstructionError, match="no Parquet file"):
            read_parquet(write(tmp_path, b"PAR1"))


def test_parquet_rows_are_objects(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `parquet` is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"a": [1, 2], "b": ["x", None]}), path)
    reader = read_parquet(path)
    assert list(reader) == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert reader.position == reader.size
    assert [JSONLinesCodec().encode(row) for row in reader][1] == b'{"a": 2, "b": null}'
    assert [CSVCodec(["b", "a"]).encode(row) for row in reader] == [b"x,1", b",2"]


@pytest.mark.parametrize(
    ("codec", "body", "content_type", "expected"),
    [
        (JSONCodec(), b'{"predictions": [1, 2], "model": "m"}', "application/json", [1, 2]),
        (JSONCodec(output_key="a.b"), b'{"a": {"b": [1, 2]}}', "application/json", [1, 2]),
        (JSONCodec(), b"1\n2\n", "application/jsonlines", [1, 2]),
        (JSONLinesCodec(output_key="s"), b'{"s": 1}\n{"s": 2}', "application/jsonlines", [1, 2]),
        (JSONLinesCodec(), b"[1, 2]", "application/json", [1, 2]),
        (CSVCodec(), b"1,x\n2,y\n", "text/csv; charset=utf-8", [["1", "x"], ["2", "y"]]),
        (CSVCodec(answer_header=True), b"h\n1\n2", None, [["1"], ["2"]]),
        (CSVCodec(), b'{"predictions": [1, 2]}', "application/json", [1, 2]),
    ],
)
def test_answers_are_read_by_their_content_type(
    codec: JSONCodec, body: bytes, content_type: str | None, expected: list[object]
) -> None:
    assert codec.split(body, content_type, 2) == expected
    with pytest.raises(ResponseError, match="the answer has 2 outputs for 3 records"):
        codec.split(body, content_type, 3)


@pytest.mark.parametrize(
    ("body", "content_type", "output"),
    [
        (b'{"generated_text": "x"}', "application/json", {"generated_text": "x"}),
        (b"[1, 2]", "application/json", [1, 2]),
        (b"hello", "text/plain", "hello"),
        (b"\x89PNG\xff", "image/png", {"base64": "iVBOR/8="}),
        (b"\xff\xfe", None, {"base64": "//4="}),
    ],
)
def test_the_answer_for_one_record_is_its_output(
    body: bytes, content_type: str | None, output: object
) -> None:
    codec = JSONCodec('{"inputs": "$record"}')
    assert codec.join([codec.encode("hi")]) == b'{"inputs": "hi"}'
    assert codec.split(body, content_type, 1) == [output]


@pytest.mark.parametrize("template", ["", "{}", '["$records", "$record"]', '{"$records"', 3])
def test_templates_without_exactly_one_mark_are_refused(template: str) -> None:
    with pytest.raises(ConstructionError, match="template"):
        JSONCodec(template)


def test_records_that_a_codec_cannot_encode_are_refused() -> None:
    for codec, record in (
        (JSONCodec(), object()),
        (JSONLinesCodec(), float("nan")),
        (CSVCodec(), 3),
        (CSVCodec(), "text"),
        (CSVCodec(["a"]), {"b": 1}),
    ):
        with pytest.raises(ConstructionError):
            codec.encode(record)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("content_type", ""), ("accept", None), ("output_key", ""), ("output_key", 1)],
)
def test_wrong_setting_of_a_codec_is_refused(setting: str, value: Any) -> None:
    with pytest.raises(ConstructionError, match=setting):
        JSONLinesCodec(**{setting: value})


def test_record_of_another_format_is_converted() -> None:
    row, document = EncodedRecord(b"1,a", "csv"), EncodedRecord(b'{"y":2,"x":1}', "json")
    assert json.loads(JSONLinesCodec().encode(row)) == ["1", "a"]
    assert CSVCodec().encode(document) == b"2,1"
    assert CSVCodec(header=["x", "y"]).encode(document) == b"1,2"


def test_dates_and_arrays_are_written_as_json() -> None:
    class Array:
        def tolist(self) -> list[int]:
            return [1, 2]

    record = {"when": datetime.date(2027, 1, 2), "values": Array()}
    encoded = json.loads(JSONLinesCodec().encode(record))
    assert encoded == {"when": "2027-01-02", "values": [1, 2]}
    with pytest.raises(ConstructionError, match="set"):
        JSONLinesCodec().encode({"values": {1, 2}})


@pytest.mark.parametrize("record", ["1,2", b"1,2", 7])
def test_record_that_is_no_row_is_refused_for_csv(record: object) -> None:
    with pytest.raises(ConstructionError, match="rows"):
        CSVCodec().encode(record)


def test_row_without_a_column_is_refused() -> None:
    with pytest.raises(ConstructionError, match="'y' is missing"):
        CSVCodec(header=["x", "y"]).encode({"x": 1})


@pytest.mark.parametrize("body", [b'{"a": [1], "b": [2]}', b'{"a": 1}', b"7"])
def test_answer_without_a_list_of_outputs_is_refused(body: bytes) -> None:
    with pytest.raises(ResponseError, match="list"):
        JSONCodec().split(body, "application/json", 1)
