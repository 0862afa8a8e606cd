"""pandas frames: as Parquet, and from Parquet, CSV, JSON and JSON Lines.

pandas fills short rows up to the longest and missing keys with NaN, so a small body can claim a
table of any size. The number of cells is counted before pandas sees the text. In Parquet a value may
be repeated for each row: it is decoded batch by batch until a limit, as far as the sizes in its
metadata are true.
"""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO, StringIO
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, cast

from ..errors import ConstructionError, ResponseError
from ._content_type import Format, format_for
from ._csv import parse_rows
from ._encoded import EncodedBody, checked_flag, load, reason
from ._json import parser
from ._jsonl import parse_lines
from ._limits import MAX_BATCH_SIZE, MAX_PARQUET_SIZE, check_cells, fits
from ._text import decode_text, utf_8_of

if TYPE_CHECKING:
    from pandas import DataFrame  # pyright: ignore  # unknown where pandas is not installed

    from ..payload import JSON

    class _Column(Protocol):
        physical_type: str
        total_uncompressed_size: int

    class _RowGroup(Protocol):
        num_columns: int

        def column(self, index: int, /) -> _Column: ...

    class _Metadata(Protocol):
        num_row_groups: int

        def row_group(self, index: int, /) -> _RowGroup: ...

    class ParquetFile(Protocol):
        """pyarrow's, as far as it is used here."""

        metadata: _Metadata


_COMPRESSIONS = ("snappy", "gzip", "zstd", "lz4", "brotli", "none")


def as_parquet(
    frame: object,
    /,
    *,
    compression: str = "snappy",
    content_type: str = "application/x-parquet",
    accept: str = "application/x-parquet",
) -> EncodedBody:
    """Return the members of a request whose body is a table in Parquet.

    `frame` is a pandas `DataFrame` (its index is left out, as in `as_csv`) or a pyarrow `Table`.
    `compression` is one of snappy, gzip, zstd, lz4, brotli and none.
    """
    pyarrow = load("pyarrow", "as_parquet", "parquet")
    parquet = load("pyarrow.parquet", "as_parquet", "parquet")
    if not isinstance(frame, pyarrow.Table) and not callable(getattr(frame, "to_parquet", None)):
        rule = "a pandas DataFrame or a pyarrow Table; pandas.DataFrame(...) makes one of rows"
        raise ConstructionError("frame", rule, f"found {type(frame).__name__}")
    if compression not in _COMPRESSIONS:
        rule = f"one of {', '.join(_COMPRESSIONS)}"
        raise ConstructionError("compression", rule, f"found {str(compression)[:40]!r}")
    try:
        is_table = isinstance(frame, pyarrow.Table)
        table = frame if is_table else pyarrow.Table.from_pandas(frame, preserve_index=False)
        buffer = BytesIO()
        parquet.write_table(table, buffer, compression=compression)
    except (pyarrow.ArrowException, TypeError, ValueError) as error:
        # The last argument names the column; the first may quote a value.
        detail = str(error.args[-1])[:200] if error.args else ""
        rule = "columns of one type each; convert mixed ones, for instance with .astype(str)"
        found = f"found {type(frame).__name__}: {detail}"
        raise ConstructionError("frame", rule, found) from None
    return {"body": buffer.getvalue(), "content_type": content_type, "accept": accept}


def read_pandas(  # pyright: ignore[reportUnknownParameterType]  # where pandas is not installed
    body: bytes, content_type: str | None, *, header: bool = True
) -> DataFrame:
    """Return the table of an answer in Parquet, CSV, JSON (by columns or records) or JSON Lines.

    CSV and JSON are read as `pandas.read_csv` and `pandas.read_json` read them: text that looks like
    a number becomes one. `header=False` says that the first line of CSV is data. Without a content
    type the first bytes tell the format.
    """
    stated = format_for(content_type, "pandas")
    checked_flag("header", header)
    if stated == "unstated":
        stated = _guess_format(body)
    pandas = load("pandas", "pandas", "pandas")
    frame = (
        _from_parquet(body)
        if stated == "parquet"
        else _from_text(pandas, body, content_type, stated, header)
    )
    return cast("DataFrame", frame)  # pyright: ignore[reportUnknownVariableType]


def _from_text(
    pandas: ModuleType, body: bytes, content_type: str | None, stated: Format, header: bool
) -> object:
    text = decode_text(body, content_type, "pandas").removeprefix("\ufeff")
    if stated == "csv":
        _check_csv(text, len(body))
    elif stated == "jsonl":
        _check_table(parse_lines(text.encode(), parser("pandas", None)), len(body))
    else:
        _check_table(parser("pandas", None)(utf_8_of(body, content_type, "pandas")), len(body))
    try:
        if stated == "csv":
            made = pandas.read_csv(StringIO(text, newline=""), header=0 if header else None)
        else:
            made = _read_json(pandas, text, lines=stated == "jsonl")
    except (
        Exception
    ) as error:  # pandas raises its parser's errors, but also TypeError, KeyError and others
        raise ResponseError(
            f"pandas(): {stated} is not a table: {reason(error)}; call .{stated}()"
        ) from None
    return cast("object", made)


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
    pyarrow = load("pyarrow", "pandas", "parquet")
    parquet = load("pyarrow.parquet", "pandas", "parquet")
    size = 0
    batches: list[object] = []
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(body))
        rows = _rows_per_batch(file, len(body))
        for batch in file.iter_batches(batch_size=rows, use_threads=False):
            batches.append(batch)
            size += batch.nbytes
            if size > MAX_PARQUET_SIZE:
                raise ResponseError(f"pandas(): the table has more than {MAX_PARQUET_SIZE} bytes")
        table = pyarrow.Table.from_batches(batches, schema=file.schema_arrow)
        return cast("object", table.to_pandas())
    except ResponseError:
        raise
    except (
        Exception
    ) as error:  # Arrow's errors, OSError for broken Thrift, and what its metadata provokes
        raise ResponseError(f"pandas(): the body is not Parquet: {reason(error)}") from None


def _rows_per_batch(file: ParquetFile, size: int) -> int:
    """Return how many rows to decode at once, the fewer the larger a text in them may be.

    A text is at most the data of its column. 64 rows are the least: 4,700 batches of 64 cost twice the
    time of 5 large ones (measured: 1.7 s and 0.9 s for 13 MB).
    """
    metadata = file.metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    largest = max(
        (c.total_uncompressed_size for c in columns if c.physical_type == "BYTE_ARRAY"), default=0
    )
    if largest > max(MAX_BATCH_SIZE // 4, 20 * size):
        raise ResponseError(f"pandas(): a body of {size} bytes claims a column of {largest} bytes")
    return max(64, min(65_536, MAX_BATCH_SIZE // max(1, largest)))


def _check_csv(text: str, size: int) -> None:
    rows = columns = 0
    for line in StringIO(text, newline=None):
        rows += 1
        columns = max(columns, line.count(",") + 1)
    if '"' in text and not fits(rows, columns, size):  # commas within quotes separate nothing
        table = parse_rows(text, "pandas")
        rows, columns = len(table), max(map(len, table))
    check_cells(rows, columns, size, "pandas")


def _check_table(value: JSON | list[JSON], size: int) -> None:
    if not isinstance(value, dict | list):
        return
    lines: Iterable[JSON] = value.values() if isinstance(value, dict) else value
    keys: set[str] = set()
    longest = 1
    for line in lines:
        if isinstance(line, dict):
            keys.update(line)
        elif isinstance(line, list):
            longest = max(longest, len(line))
    check_cells(len(value), max(longest, len(keys)), size, "pandas")
