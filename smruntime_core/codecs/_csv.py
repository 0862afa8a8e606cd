"""CSV: rows of cells, quoted as Excel does; each row ends with a line feed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from ..errors import ConstructionError, ResponseError
from ._content_type import checked_format
from ._encoded import EncodedBody, is_collection
from ._text import decode_text, encode_text

if TYPE_CHECKING:
    import csv

    DialectLike: TypeAlias = str | csv.Dialect | type[csv.Dialect]

_EXCEL_END = "\r\n"


class SupportsToCSV(Protocol):
    """The part of a pandas `DataFrame` that `as_csv` uses."""

    @property
    def to_csv(self) -> Callable[..., str | None]:
        """Return the frame as CSV."""
        ...


def as_csv(
    rows: Iterable[Iterable[object]] | SupportsToCSV,
    /,
    *,
    header: bool | Sequence[str] = False,
    delimiter: str = ",",
    dialect: DialectLike | None = None,
    encoding: str = "utf-8",
    content_type: str = "text/csv",
    accept: str = "text/csv",
) -> EncodedBody:
    r"""Return the members of a request with `rows` as CSV as its body.

    `rows` are lists of cells, a two-dimensional numpy array, or a pandas `DataFrame` (its index is
    left out). `header` names the columns, True those of a DataFrame; most built-in algorithms want
    none. None becomes an empty cell. A `dialect` of the module `csv` also decides how rows end.

    >>> as_csv([[1, "a, b"], [2, None]], header=["id", "text"])["body"]
    b'id,text\n1,"a, b"\n2,\n'
    """
    _check_delimiter(delimiter)
    column_names = _checked_header(header)
    to_csv = getattr(rows, "to_csv", None)
    if callable(to_csv):
        if dialect is not None:
            requirement = "left out for a DataFrame; use delimiter=, or as_text(frame.to_csv(...))"
            raise ConstructionError("dialect", requirement, f"found {_described(dialect)}")
        text = _frame_text(cast("Callable[..., str | None]", to_csv), column_names, delimiter)
    else:
        text = _rows_text(_checked_rows(rows, column_names), delimiter, dialect)
    return encode_text("rows", text, encoding, content_type, accept)


def read_csv(
    body: bytes,
    content_type: str | None,
    *,
    delimiter: str | None = None,
    dialect: DialectLike | None = None,
) -> list[list[str]]:
    """Return the rows of a response, each a list of its cells; a header is the first row.

    An empty line is a row without cells. Quoting is read strictly: a quote that is not closed is an
    error. `csv.field_size_limit` bounds a cell, 131,072 characters unless the program raises it.
    """
    checked_format(content_type, "csv")
    if delimiter is not None:
        _check_delimiter(delimiter)
    text = decode_text(body, content_type, "csv")
    return parse_csv_rows(text, "csv", delimiter, dialect)


def parse_csv_rows(
    text: str, method: str, delimiter: str | None = None, dialect: DialectLike | None = None
) -> list[list[str]]:
    """Return the cells of CSV; raise `ResponseError` for wrong quotes and too long cells."""
    import csv

    csv_lines = StringIO(text.removeprefix("\ufeff"), newline="")
    csv_options = _format_options(delimiter, dialect)
    try:
        # csv checks the options itself; its types list them one by one
        csv_reader = csv.reader(csv_lines, **csv_options, strict=True)  # type: ignore[arg-type]
    except (csv.Error, TypeError, ValueError) as error:
        raise _unknown_dialect(dialect) from error
    try:
        return list(csv_reader)
    except csv.Error as error:
        suggested_remedy = (
            "raise csv.field_size_limit"
            if "field limit" in str(error)
            else "call .text() to see it"
        )
        described_problem = f"line {csv_reader.line_num} is not CSV: {error}"
        raise ResponseError(f"{method}(): {described_problem}; {suggested_remedy}") from None


def _rows_text(rows: Iterable[list[object]], delimiter: str, dialect: DialectLike | None) -> str:
    import csv

    csv_lines: list[str] = []
    csv_options = _format_options(None if delimiter == "," else delimiter, dialect)
    try:
        # as above
        csv_writer = csv.writer(_LineCollector(csv_lines), **csv_options)  # type: ignore[arg-type]
    except (csv.Error, TypeError, ValueError) as error:
        raise _unknown_dialect(dialect) from error
    for row in rows:
        try:
            csv_writer.writerow(row)
        except csv.Error as error:
            requirement = "rows that the dialect can write; use one that quotes or escapes"
            raise ConstructionError(
                "rows", requirement, f"{error} at row {len(csv_lines)}"
            ) from None
    if dialect is None:
        # Up to Python 3.12 a carriage return is quoted only if it is a part of how rows end.
        return "".join(f"{encoded_line.removesuffix(_EXCEL_END)}\n" for encoded_line in csv_lines)
    return "".join(csv_lines)


def _frame_text(to_csv: Callable[..., str | None], header: bool | list[str], delimiter: str) -> str:
    try:
        return to_csv(header=header, index=False, sep=delimiter, lineterminator="\n") or ""
    except ValueError as error:
        requirement = "True, or a name for each column of the DataFrame"
        raise ConstructionError("header", requirement, str(error)) from None


class _LineCollector:
    """A file object that collects what is written in a list: csv writes each row at once."""

    def __init__(self, csv_lines: list[str]) -> None:
        self.write = csv_lines.append


def _format_options(delimiter: str | None, dialect: DialectLike | None) -> dict[str, object]:
    """Return the arguments of `csv.reader` and `csv.writer` that are given."""
    csv_options: dict[str, object] = {}
    if dialect is not None:
        csv_options["dialect"] = _checked_dialect(dialect)
    if delimiter is not None:
        csv_options["delimiter"] = delimiter
    return csv_options


def _checked_dialect(dialect: object) -> object:
    """Return `dialect` if it is one; csv accepts any object, as a dialect without attributes."""
    import csv

    dialect_type: type[object] = dialect if isinstance(dialect, type) else type(dialect)
    if not issubclass(dialect_type, str | csv.Dialect):
        raise _unknown_dialect(dialect)
    return dialect


def _checked_rows(rows: object, header: bool | list[str]) -> Iterable[list[object]]:
    """Yield the header and each row as a list of cells."""
    if header is True:
        requirement = "the names of the columns; True is for a DataFrame, which knows them"
        raise ConstructionError("header", requirement, "found True")
    if header:
        yield list[object](header)
    if not is_collection(rows):
        requirement = "an iterable of rows; for finished CSV, as_text(..., content_type='text/csv')"
        raise ConstructionError("rows", requirement, f"found {_described(rows)}")
    for row_index, row in enumerate(rows):
        if not is_collection(row):
            requirement = "rows of cells, each a list; put a single row into a list: [row]"
            found = f"found {_described(row)} as row {row_index}"
            raise ConstructionError("rows", requirement, found)
        row_cells = list(row)
        if not row_cells:
            raise ConstructionError(
                "rows", "rows of at least one cell", f"row {row_index} is empty"
            )
        yield row_cells


def _checked_header(header: object) -> bool | list[str]:
    if isinstance(header, bool):
        return header
    if is_collection(header):
        column_names = list(header)
        text_names = [name for name in column_names if isinstance(name, str)]
        if text_names and text_names == column_names:
            return text_names
    requirement = "False, True (for a DataFrame) or a list with the name of each column"
    raise ConstructionError("header", requirement, f"found {_described(header)}")


def _check_delimiter(delimiter: object) -> None:
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n\0':
        requirement = "one character that is neither a quote nor a line break, such as ';' or '\\t'"
        raise ConstructionError("delimiter", requirement, f"found {_described(delimiter)}")


def _unknown_dialect(dialect: object) -> ConstructionError:
    requirement = "a name from csv.list_dialects() or a csv.Dialect"
    return ConstructionError("dialect", requirement, f"found {_described(dialect)}")


def _described(value: object) -> str:
    """Return the type of a refused value, or a short text itself."""
    return f"{value!r}" if isinstance(value, str) and len(value) <= 8 else type(value).__name__
