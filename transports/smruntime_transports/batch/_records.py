"""Records in files: JSON Lines, CSV and Parquet, read bit by bit.

A reader is iterated over for its records, any number of times. It reads the bytes that the file has
when the reader is made: what is appended later belongs to another run. Blank lines are no records.
A record that cannot be read is an `InvalidRecord`, which says the line and the reason.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from importlib import import_module
from typing import BinaryIO, Final, NamedTuple, NoReturn, TypeAlias, cast

from smruntime_core import ConstructionError

from ._codecs import EncodedRecord

FilePath: TypeAlias = "str | os.PathLike[str]"
RecordSource: TypeAlias = "FilePath | BinaryIO"

MAX_RECORD_SIZE: Final = 25 * 1024 * 1024  # bytes: the most that a real-time endpoint accepts
DIGEST_BLOCK: Final = 1024 * 1024
UTF_8_MARK: Final = b"\xef\xbb\xbf"
PARQUET_BATCH: Final = 1000  # rows


class InvalidRecord(NamedTuple):
    """A record that cannot be read; `message` names its line and the reason."""

    message: str


class FileIdentity(NamedTuple):
    """The first `size` bytes of a file, by their SHA-256."""

    size: int
    sha256: str


class RecordReader:
    """The records of a file, or of an open binary file such as standard input.

    `size` is in bytes and None for a file that is open already, which can be read once only.
    `position` is where the last iteration is.
    """

    def __init__(self, source: RecordSource) -> None:
        self._source = source
        self.position: int = 0
        self.size: int | None = None
        if isinstance(source, str | os.PathLike):
            try:
                with open(source, "rb") as file:
                    self.size = os.fstat(file.fileno()).st_size
            except OSError as error:
                problem = f"cannot read {os.fspath(source)}: {error.strerror}"
                raise ConstructionError("records", "a readable file", message=problem) from None
        elif not callable(getattr(source, "readline", None)):
            requirement = "a path, or a file that is open for reading bytes"
            raise ConstructionError("records", requirement, f"found {type(source).__name__}")

    def __iter__(self) -> Iterator[object]:
        raise NotImplementedError

    def identify(self, size: int | None = None) -> FileIdentity:
        """Return the identity of the first `size` bytes, by default of all that are read.

        Raises `ConstructionError` for a file that is open already.
        """
        if not isinstance(self._source, str | os.PathLike):
            requirement = "a path: what is read from standard input cannot be read again"
            raise ConstructionError("records", requirement)
        remaining = self.size or 0
        remaining = remaining if size is None else min(size, remaining)
        digest, read_size = hashlib.sha256(), 0
        with open(self._source, "rb") as file:
            while block := file.read(min(DIGEST_BLOCK, remaining - read_size)):
                digest.update(block)
                read_size += len(block)
        return FileIdentity(read_size, digest.hexdigest())

    def limit_to(self, size: int) -> None:
        """Read the first `size` bytes only."""
        self.size = size

    def _lines(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield the number of each line and its bytes, None if it is too long."""
        if isinstance(self._source, str | os.PathLike):
            with open(self._source, "rb") as file:
                yield from self._lines_of(file)
        else:
            yield from self._lines_of(self._source)

    def _lines_of(self, file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
        self.position = 0
        line_number, is_too_long = 1, False
        while line := file.readline(self._next_size()):
            if self.position == 0:
                self.position = len(line)
                line = line.removeprefix(UTF_8_MARK)
            else:
                self.position += len(line)
            is_complete = line.endswith(b"\n")
            if len(line) > MAX_RECORD_SIZE and not is_complete:
                is_too_long = True  # the rest of it follows
                continue
            yield line_number, None if is_too_long else line
            is_too_long = False
            line_number += 1
        if is_too_long:
            yield line_number, None

    def _next_size(self) -> int:
        most = MAX_RECORD_SIZE + 2
        return most if self.size is None else min(most, self.size - self.position)


class JSONLinesReader(RecordReader):
    """The lines of a JSON Lines file, as `EncodedRecord` or `InvalidRecord`."""

    def __iter__(self) -> Iterator[object]:
        for line_number, line in self._lines():
            if line is None:
                yield _too_long(line_number)
            elif line := line.strip(b" \t\r\n"):
                yield _check_json(line, line_number)


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


_decode_json: Final = json.JSONDecoder(parse_constant=_refuse_constant).decode


def _too_long(line_number: int) -> InvalidRecord:
    return InvalidRecord(f"line {line_number} is longer than {MAX_RECORD_SIZE} bytes")


def _check_json(line: bytes, line_number: int) -> EncodedRecord | InvalidRecord:
    try:
        _decode_json(line.decode())
    except UnicodeDecodeError as error:
        return InvalidRecord(f"line {line_number} is not UTF-8: {error.reason} at {error.start}")
    except RecursionError:
        return InvalidRecord(f"line {line_number} is not JSON that can be read: nested too deep")
    except json.JSONDecodeError as error:
        problem = f"{error.msg} at column {error.colno}"
        return InvalidRecord(f"line {line_number} is not JSON: {problem}")
    except ValueError as error:
        return InvalidRecord(f"line {line_number} is not JSON: {error}")
    return EncodedRecord(line, "json")


class CSVReader(RecordReader):
    """The rows of a CSV file, as `EncodedRecord` or `InvalidRecord`.

    With `header`, the first row names the columns (`columns`) and is no record; rows with another
    number of cells are invalid. A cell in quotes may have line breaks. Quotes inside are doubled.
    `csv.field_size_limit` bounds a cell, 131,072 characters unless the program raises it.
    """

    def __init__(self, source: RecordSource, *, header: bool = False) -> None:
        super().__init__(source)
        self.columns: list[str] | None = None
        self._has_header = header
        self._open_rows: Iterator[_Row] | None = None
        if header:
            self._open_rows = self._rows()
            self.columns = _read_columns(self._open_rows)

    def __iter__(self) -> Iterator[object]:
        rows, self._open_rows = self._open_rows, None
        if rows is None:
            rows = self._rows()
            if self._has_header:
                next(rows, None)
        for row in rows:
            width = len(row.cells)
            if self.columns is not None and width != len(self.columns) and row.cells:
                problem = f"has {width} cells, the header has {len(self.columns)}"
                yield InvalidRecord(f"line {row.line_number} {problem}")
            else:
                yield row.record

    def _rows(self) -> Iterator[_Row]:
        """Yield the rows; `csv` takes as many lines as a row has, and the bytes are kept."""
        lines = _RowLines(self._lines())
        csv_reader = csv.reader(lines, strict=True)
        while True:
            lines.begin_row()
            try:
                cells = next(csv_reader)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                problem = f"is not UTF-8: {error.reason} at byte {error.start}"
            except csv.Error as error:
                problem = f"is not CSV: {error}"
            else:
                data = b"".join(lines.row_parts).rstrip(b"\r\n")
                if data.strip(b" \t"):
                    yield _Row(lines.first_line, cells, EncodedRecord(data, "csv"))
                continue
            yield _Row(lines.first_line, [], InvalidRecord(f"line {lines.first_line} {problem}"))


class _Row(NamedTuple):
    """A row, the line where it begins, and its cells; an invalid one has none."""

    line_number: int
    cells: list[str]
    record: EncodedRecord | InvalidRecord


class _RowLines:
    """The lines that `csv` reads, and the bytes of those that it took for one row."""

    def __init__(self, lines: Iterator[tuple[int, bytes | None]]) -> None:
        self._lines = lines
        self.begin_row()

    def begin_row(self) -> None:
        self.first_line = 0
        self.row_parts: list[bytes] = []
        self._row_size = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line_number, line = next(self._lines)
        self.first_line = self.first_line or line_number
        if line is None or self._row_size + len(line) > MAX_RECORD_SIZE:
            raise csv.Error(f"it is longer than {MAX_RECORD_SIZE} bytes")
        self.row_parts.append(line)
        self._row_size += len(line)
        return line.decode()


def _read_columns(rows: Iterator[_Row]) -> list[str] | None:
    first_row = next(rows, None)
    if first_row is None:
        return None
    if isinstance(first_row.record, InvalidRecord):
        problem = f"records: the header cannot be read: {first_row.record.message}"
        raise ConstructionError("records", "CSV with a header", message=problem)
    return first_row.cells


class ParquetReader(RecordReader):
    """The rows of a Parquet file, each a dict; needs pyarrow (extra `parquet`)."""

    def __init__(self, source: FilePath) -> None:
        super().__init__(source)
        try:
            self._parquet = import_module("pyarrow.parquet")
        except ImportError as error:
            remedy = "Parquet needs pyarrow: pip install 'smruntime-core[parquet]'"
            raise ImportError(remedy, name="pyarrow") from error
        try:
            self._parquet.ParquetFile(source).close()
        except (OSError, ValueError) as error:  # ArrowInvalid is a ValueError
            problem = f"{os.fspath(source)} is no Parquet file: {str(error)[:200]}"
            raise ConstructionError("records", "a Parquet file", message=problem) from None

    def __iter__(self) -> Iterator[object]:
        self.position: int = 0
        with self._parquet.ParquetFile(self._source) as file:
            row_count, read_count = cast("int", file.metadata.num_rows), 0
            for table in file.iter_batches(batch_size=PARQUET_BATCH):
                read_count += cast("int", table.num_rows)
                self.position = (self.size or 0) * read_count // max(row_count, 1)
                yield from cast("list[object]", table.to_pylist())
