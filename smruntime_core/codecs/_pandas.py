"""pandas frames: encoded as Parquet, decoded from Parquet, CSV, JSON and JSON Lines.

pandas fills short rows up to the longest and missing keys with NaN, so a small body can claim a
table of any size. So the cells are counted before pandas reads the text. In Parquet a value may be
repeated for each row, so it is decoded batch by batch up to a limit; this relies on the sizes in
its metadata. Arrow needs no memory for nulls and a bit for a bool, but a frame has an object for
each, so the limit is on what the frame will take.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO, StringIO
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import ConstructionError, ResponseError
from ..values._rules import check_flag
from ._content_type import Format, checked_format
from ._csv import parse_csv_rows
from ._encoded import EncodedBody, describe_error, import_optional
from ._json import make_parser
from ._jsonl import parse_json_lines
from ._limits import MAX_BATCH_SIZE, MAX_PARQUET_SIZE, check_cell_count, is_plausible_size
from ._text import convert_to_utf_8, decode_text

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore  # unknown where pandas is not installed

    from ..payload import JSON

    class _ColumnMetadata(Protocol):
        physical_type: str
        total_uncompressed_size: int

    class _RowGroupMetadata(Protocol):
        num_columns: int

        def column(self, index: int, /) -> _ColumnMetadata: ...

    class _FileMetadata(Protocol):
        num_row_groups: int

        def row_group(self, index: int, /) -> _RowGroupMetadata: ...

    class ArrowValues(Protocol):
        """The part of pyarrow's class `Array` that is used here."""

        nbytes: int

        def __len__(self) -> int: ...

    class ParquetFile(Protocol):
        """The part of pyarrow's class that is used here."""

        metadata: _FileMetadata


_CELL_SIZE = 8  # bytes of a number, or of a reference to an object
_OBJECT_SIZE = 200  # bytes of a dict or an array, which pandas makes of each nested value
_COMPRESSIONS = ("snappy", "gzip", "zstd", "lz4", "brotli", "none")


def as_parquet(
    frame: object,
    /,
    *,
    compression: str = "snappy",
    content_type: str = "application/x-parquet",
    accept: str = "application/x-parquet",
) -> EncodedBody:
    """Return the members of a request with a table in Parquet as its body.

    `frame` is a pandas `DataFrame` (its index is left out, as in `as_csv`) or a pyarrow `Table`.
    `compression` is one of snappy, gzip, zstd, lz4, brotli and none.
    """
    pyarrow = import_optional("pyarrow", "as_parquet", "parquet")
    parquet = import_optional("pyarrow.parquet", "as_parquet", "parquet")
    if not isinstance(frame, pyarrow.Table) and not callable(getattr(frame, "to_parquet", None)):
        requirement = "a pandas DataFrame or a pyarrow Table, such as pandas.DataFrame(rows)"
        raise ConstructionError("frame", requirement, f"found {type(frame).__name__}")
    if compression not in _COMPRESSIONS:
        requirement = f"one of {', '.join(_COMPRESSIONS)}"
        raise ConstructionError("compression", requirement, f"found {str(compression)[:40]!r}")
    try:
        is_table = isinstance(frame, pyarrow.Table)
        table = frame if is_table else pyarrow.Table.from_pandas(frame, preserve_index=False)
        encoded_buffer = BytesIO()
        parquet.write_table(table, encoded_buffer, compression=compression)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        # The last argument names the column; the first may quote a value.
        error_detail = str(error.args[-1])[:200] if error.args else ""
        requirement = "columns of one type each; convert mixed ones, for instance with .astype(str)"
        found = f"found {type(frame).__name__}: {error_detail}"
        raise ConstructionError("frame", requirement, found) from None
    return {"body": encoded_buffer.getvalue(), "content_type": content_type, "accept": accept}


def read_pandas(  # pyright: ignore[reportUnknownParameterType]  # where pandas is not installed
    body: bytes, content_type: str | None, *, header: bool = True
) -> DataFrame:
    """Return the table of a response in Parquet, CSV, JSON (by columns or records) or JSON Lines.

    CSV and JSON are read as `pandas.read_csv` and `pandas.read_json` read them: text that looks
    like a number becomes one. `header=False` says that the first line of CSV is data. Without a
    content type, the first bytes decide.
    """
    stated_format = checked_format(content_type, "pandas")
    check_flag("header", header)
    if stated_format == "unstated":
        stated_format = _guess_format(body)
    pandas = import_optional("pandas", "pandas", "pandas")
    frame = (
        _from_parquet(body)
        if stated_format == "parquet"
        else _from_text(pandas, body, content_type, stated_format, header)
    )
    # pandas need not be installed where types are checked
    return cast("DataFrame", frame)  # pyright: ignore[reportUnknownVariableType]


def _from_text(
    pandas: ModuleType, body: bytes, content_type: str | None, stated_format: Format, header: bool
) -> object:
    text = decode_text(body, content_type, "pandas").removeprefix("\ufeff")
    if stated_format == "csv":
        _check_csv(text, len(body))
    elif stated_format == "jsonl":
        _check_table(parse_json_lines(text.encode(), make_parser("pandas", None)), len(body))
    else:
        json_value = make_parser("pandas", None)(convert_to_utf_8(body, content_type, "pandas"))
        _check_table(json_value, len(body))
    try:
        if stated_format == "csv":
            decoded_frame = pandas.read_csv(
                StringIO(text, newline=""), header=0 if header else None
            )
        else:
            decoded_frame = _read_json(pandas, text, lines=stated_format == "jsonl")
    except Exception as error:  # pandas raises its parser's errors, TypeError, KeyError and others
        described_problem = f"{stated_format} is not a table: {describe_error(error)}"
        raise ResponseError(f"pandas(): {described_problem}; call .{stated_format}()") from None
    return cast("object", decoded_frame)


def _read_json(pandas: ModuleType, text: str, *, lines: bool) -> object:
    """Return the table that JSON holds, each float as exact as pandas can.

    Its exact parser refuses numbers below 2.3e-308 (a softmax has some). Its other parser reads
    them, but is off by up to 5e-12 of a number (measured with pandas 3.1).
    """
    try:
        return cast("object", pandas.read_json(StringIO(text), lines=lines, precise_float=True))
    except ValueError as error:
        if not str(error).startswith("Range error"):
            raise
        return cast("object", pandas.read_json(StringIO(text), lines=lines))


def _guess_format(body: bytes) -> Format:
    if body.startswith(b"PAR1"):
        return "parquet"
    return "json" if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{") else "csv"


def _from_parquet(body: bytes) -> object:
    pyarrow = import_optional("pyarrow", "pandas", "parquet")
    parquet = import_optional("pyarrow.parquet", "pandas", "parquet")
    decoded_size = 0
    record_batches: list[object] = []
    try:
        parquet_file = parquet.ParquetFile(pyarrow.BufferReader(body))
        batch_rows = _rows_per_batch(parquet_file, len(body))
        for record_batch in parquet_file.iter_batches(batch_size=batch_rows, use_threads=False):
            record_batches.append(record_batch)
            decoded_size += sum(map(_estimate_size, record_batch.columns))
            if decoded_size > MAX_PARQUET_SIZE:
                raise ResponseError(f"pandas(): the table has more than {MAX_PARQUET_SIZE} bytes")
        table = pyarrow.Table.from_batches(record_batches, schema=parquet_file.schema_arrow)
        return cast("object", table.to_pandas())
    except ResponseError:
        raise
    except Exception as error:  # Arrow's errors, OSError for broken Thrift, and others
        raise ResponseError(f"pandas(): the body is not Parquet: {describe_error(error)}") from None


def _estimate_size(values: ArrowValues) -> int:
    """Return about how many bytes the values of an Arrow array take in a frame."""
    flatten = getattr(values, "flatten", None)  # of lists, maps and structs
    if flatten is None:
        return max(values.nbytes, _CELL_SIZE * len(values))
    nested_values: ArrowValues | list[ArrowValues] = flatten()
    children = nested_values if isinstance(nested_values, list) else [nested_values]
    return _OBJECT_SIZE * len(values) + sum(map(_estimate_size, children))


def _rows_per_batch(parquet_file: ParquetFile, body_size: int) -> int:
    """Return how many rows to decode at once: fewer if a text in them may be larger.

    A text has at most the data of its column. The minimum is 64 rows: 4,700 batches of 64 take
    twice the time of 5 large ones (measured: 1.7 s and 0.9 s for 13 MB).
    """
    metadata = parquet_file.metadata
    row_groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    columns = [group.column(index) for group in row_groups for index in range(group.num_columns)]
    text_columns = [column for column in columns if column.physical_type == "BYTE_ARRAY"]
    largest_column = max((column.total_uncompressed_size for column in text_columns), default=0)
    if largest_column > max(MAX_BATCH_SIZE // 4, 20 * body_size):
        raise ResponseError(
            f"pandas(): a body of {body_size} bytes claims a column of {largest_column} bytes"
        )
    return max(64, min(65_536, MAX_BATCH_SIZE // max(1, largest_column)))


def _check_csv(text: str, body_size: int) -> None:
    rows = columns = 0
    for line in StringIO(text, newline=None):
        rows += 1
        columns = max(columns, line.count(",") + 1)
    # Commas within quotes do not separate cells.
    if '"' in text and not is_plausible_size(rows, columns, body_size):
        table = parse_csv_rows(text, "pandas")
        rows, columns = len(table), max(map(len, table))
    check_cell_count(rows, columns, body_size, "pandas")


def _check_table(value: JSON | list[JSON], body_size: int) -> None:
    if not isinstance(value, dict | list):
        return
    lines: Iterable[JSON] = value.values() if isinstance(value, dict) else value
    distinct_keys: set[str] = set()
    longest_line = 1
    for line in lines:
        if isinstance(line, dict):
            distinct_keys.update(line)
        elif isinstance(line, list):
            longest_line = max(longest_line, len(line))
    check_cell_count(len(value), max(longest_line, len(distinct_keys)), body_size, "pandas")
