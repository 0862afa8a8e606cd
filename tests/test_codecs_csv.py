"""CSV: cells come back as text, whatever they hold."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.codecs import as_csv, read_csv

cells = st.text(st.characters(codec="utf-8")) | st.text(',;"\r\n\t\0 ', max_size=5)
tables = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=5)


class Bars(csv.excel):
    """A dialect of the caller's."""

    delimiter = "|"
    quotechar = "'"
    lineterminator = "\r\n"


class FrameLike:
    """As much of a DataFrame as is used."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.options: dict[str, object] = {}

    @property
    def to_csv(self) -> Callable[..., str | None]:
        def write(**options: object) -> str:
            if self.error:
                raise self.error
            self.options = options
            return "1,2\n"

        return write


@given(
    rows=tables,
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    encoding=st.sampled_from(["utf-8", "utf-16", "gb18030"]),
)
def test_rows_survive_a_round_trip(rows: list[list[str]], delimiter: str, encoding: str) -> None:
    encoded = as_csv(iter(rows), delimiter=delimiter, encoding=encoding)
    assert read_csv(encoded["body"], encoded["content_type"], delimiter=delimiter) == rows


@given(rows=tables, dialect=st.sampled_from(["excel", "excel-tab", "unix", Bars, Bars()]))
def test_rows_survive_a_round_trip_in_a_dialect(
    rows: list[list[str]], dialect: str | csv.Dialect
) -> None:
    encoded = as_csv(rows, dialect=dialect)
    assert read_csv(encoded["body"], None, dialect=dialect) == rows


@given(rows=st.lists(st.lists(st.none() | st.integers() | st.floats(), min_size=2, max_size=2)))
def test_numbers_are_written_so_that_they_can_be_read_exactly(
    rows: list[list[float | None]],
) -> None:
    read = [
        [float(cell) if cell else None for cell in row]
        for row in read_csv(as_csv(rows)["body"], None)
    ]
    assert repr(read) == repr(
        [[None if cell is None else float(cell) for cell in row] for row in rows]
    )


def test_rows_end_with_a_line_feed_and_are_quoted_where_needed() -> None:
    assert (
        as_csv([[1, 'say "a, b"'], (2.5, None), iter(["x\ry", ""])])["body"]
        == b'1,"say ""a, b"""\n2.5,\n"x\ry",\n'
    )
    assert as_csv([[None]])["body"] == b'""\n'
    assert as_csv([])["body"] == b""


def test_header_is_the_first_row() -> None:
    assert as_csv([[1, 2]], header=["a", "b,c"])["body"] == b'a,"b,c"\n1,2\n'
    assert as_csv([[1, 2]], header=("a", "b"), delimiter=";")["body"] == b"a;b\n1;2\n"


def test_dialect_decides_how_rows_end_and_delimiter_goes_before_it() -> None:
    assert as_csv([[1, "'|"]], dialect=Bars)["body"] == b"1|'''|'\r\n"
    assert as_csv([[1, 2]], dialect=Bars, delimiter=";")["body"] == b"1;2\r\n"
    assert read_csv(b"1;'2;'", None, dialect=Bars, delimiter=";") == [["1", "2;"]]


def test_data_frame_is_written_without_its_index() -> None:
    frame = FrameLike()
    assert as_csv(frame, header=True, delimiter=";")["body"] == b"1,2\n"
    assert frame.options == {"header": True, "index": False, "sep": ";", "lineterminator": "\n"}
    with pytest.raises(
        ConstructionError,
        match=r"^dialect: found 'unix'; must be left out for a DataFrame; use delimiter=",
    ):
        as_csv(frame, dialect="unix")
    with pytest.raises(
        ConstructionError,
        match=r"^header: Writing 3 cols; must be True, or a name for each column of the DataFrame",
    ):
        as_csv(FrameLike(ValueError("Writing 3 cols")), header=["a"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "1,2\n3,4",
            "rows: found '1,2\\n3,4'; must be an iterable of rows; for finished CSV, as_text(",
        ),
        (b"1,2", "rows: found bytes; must be an iterable of rows"),
        ({"a": [1]}, "rows: found dict; must be an iterable of rows"),
        (None, "rows: found NoneType; must be an iterable of rows"),
        (
            [1, 2, 3],
            "rows: found int as row 0; must be rows of cells, each a list; "
            "put a single row into a list: [row]",
        ),
        ([[1], "2,3"], "rows: found '2,3' as row 1; must be rows of cells"),
        ([{"a": 1}], "rows: found dict as row 0; must be rows of cells"),
        ([[1], []], "rows: row 1 is empty; must be rows of at least one cell"),
    ],
)
def test_rows_of_another_shape_name_the_row_its_type_and_the_remedy(
    rows: object, said: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_csv(rows)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"header": True},
            "header: found True; must be the names of the columns; True is for a DataFrame",
        ),
        ({"header": "a,b"}, "header: found 'a,b'; must be False, True (for a DataFrame) or a list"),
        ({"header": []}, "header: found list; must be False"),
        ({"header": [1]}, "header: found list; must be False"),
        ({"header": None}, "header: found NoneType; must be False"),
        ({"delimiter": ""}, "delimiter: found ''; must be one character"),
        ({"delimiter": ", "}, "delimiter: found ', '; must be one character"),
        ({"delimiter": "\n"}, "delimiter: found '\\n'; must be one character"),
        ({"delimiter": '"'}, "delimiter: found '\"'; must be one character"),
        ({"delimiter": 1}, "delimiter: found int; must be one character"),
        (
            {"dialect": "nope"},
            "dialect: found 'nope'; must be a name from csv.list_dialects() or a csv.Dialect",
        ),
        ({"dialect": 1}, "dialect: found int; must be a name from csv.list_dialects()"),
        ({"encoding": "nope"}, "encoding: found 'nope'; must be a charset of the web"),
        ({"encoding": None}, "encoding: found NoneType; must be a charset of the web"),
    ],
)
def test_wrong_option_names_itself_its_value_and_the_remedy(
    options: dict[str, object], said: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_csv([[1, 2]], **options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)
    if "delimiter" in options or "dialect" in options:
        with pytest.raises(ConstructionError) as caught:
            read_csv(b"1,2", None, **options)  # type: ignore[arg-type]
        assert str(caught.value).startswith(said)


def test_dialect_that_cannot_write_a_cell_is_refused() -> None:
    class Bare(csv.excel):
        quoting = csv.QUOTE_NONE

    with pytest.raises(
        ConstructionError,
        match=r"^rows: need to escape.* at row 1; must be rows that the dialect can write",
    ):
        as_csv([["a"], ["a,b"]], dialect=Bare)


@pytest.mark.parametrize(
    "body", [b'"1', b'1,"2\n3', b'"a"b', b"\xff", b"1" * 200_000], ids=lambda body: repr(body[:12])
)
def test_broken_csv_raises_response_error(body: bytes) -> None:
    with pytest.raises(ResponseError, match=r"^csv\(\)"):
        read_csv(body, "text/csv")


def test_byte_order_mark_is_no_part_of_the_first_cell() -> None:
    assert read_csv(b'\xef\xbb\xbf"a",b\n', "text/csv") == [["a", "b"]]


def test_blank_lines_are_rows_without_cells() -> None:
    assert read_csv(b"1\r\n\r\n2\n\n", None) == [["1"], [], ["2"], []]
