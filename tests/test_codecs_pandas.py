"""Tables in Parquet, CSV, JSON and JSON Lines; small bodies do not become huge tables."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.codecs import (
    _pandas,
    as_csv,
    as_json,
    as_jsonl,
    as_npy,
    as_parquet,
    read_pandas,
)

pandas = pytest.importorskip("pandas", reason="needs the dependency group `codecs`: pandas")
pyarrow = pytest.importorskip("pyarrow", reason="needs the dependency group `codecs`: pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

names = st.lists(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=4, unique=True)
floats = st.floats(-1e300, 1e300, allow_subnormal=False)


@st.composite
def frames(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> object:
    """Draw a frame whose columns hold whole numbers, floats or texts."""
    size = draw(st.integers(1, 5))
    kinds = (st.integers(-(2**53), 2**53), floats, texts)
    return pandas.DataFrame(
        {
            name: draw(st.lists(draw(st.sampled_from(kinds)), min_size=size, max_size=size))
            for name in draw(names)
        }
    )


@given(
    frame=frames(st.text(st.characters(codec="utf-8"))),
    compression=st.sampled_from(["snappy", "zstd", "none"]),
)
@settings(max_examples=30)
def test_frames_survive_a_round_trip_in_parquet(frame: object, compression: str) -> None:
    encoded = as_parquet(frame, compression=compression)
    for content_type in (encoded["content_type"], "application/vnd.apache.parquet", None):
        pandas.testing.assert_frame_equal(
            read_pandas(encoded["body"], content_type), frame, check_exact=True
        )


# Text that is not a number, a date or a missing value to pandas.
@given(frame=frames(st.text('xyz,;"\n ', max_size=5).map(lambda text: f"t{text}t")))
@settings(max_examples=30)
def test_frames_survive_a_round_trip_in_csv_and_json(frame: object) -> None:
    encoded = as_csv(frame, header=True)  # type: ignore[arg-type]
    pandas.testing.assert_frame_equal(
        read_pandas(encoded["body"], encoded["content_type"]), frame, check_exact=True
    )
    records = frame.to_dict("records")  # type: ignore[attr-defined]
    for encoded in (as_json(records), as_jsonl(records), as_json(frame.to_dict())):  # type: ignore[attr-defined]
        found = read_pandas(encoded["body"], encoded["content_type"])
        pandas.testing.assert_frame_equal(found, frame, check_dtype=False, check_exact=True)


def test_arrow_tables_are_encoded() -> None:
    table = pyarrow.table({"a": [1, 2], "b": ["x", None]})
    assert read_pandas(as_parquet(table)["body"], None).to_dict("list")["a"] == [1, 2]


def test_index_is_left_out() -> None:
    frame = pandas.DataFrame({"a": [1, 2]}, index=["x", "y"])
    assert read_pandas(as_parquet(frame)["body"], None).equals(pandas.DataFrame({"a": [1, 2]}))
    assert as_csv(frame)["body"] == b"1\n2\n"


def test_header_false_reads_the_first_line_as_data() -> None:
    assert read_pandas(b"1,2\n3,4\n", "text/csv", header=False).to_numpy().tolist() == [
        [1, 2],
        [3, 4],
    ]
    with pytest.raises(ConstructionError, match=r"^header: found NoneType; must be True or False"):
        read_pandas(b"1", "text/csv", header=None)  # type: ignore[arg-type]


def test_format_is_recognised_without_content_type() -> None:
    expected = pandas.DataFrame({"a": [1, 2]})
    for body in (
        b"a\n1\n2\n",
        b'\xef\xbb\xbf [{"a":1},{"a":2}]',
        b'{"a":{"0":1,"1":2}}',
        as_parquet(expected)["body"],
    ):
        assert read_pandas(body, "application/octet-stream").equals(expected)


@pytest.mark.parametrize("lines", [False, True])
def test_json_with_numbers_near_zero_is_read(lines: bool) -> None:
    records = [{"a": 1e-310}, {"a": 0.25}]
    encoded = as_jsonl(records) if lines else as_json(records)
    assert read_pandas(encoded["body"], encoded["content_type"])["a"].tolist() == [1e-310, 0.25]


def test_charset_is_honoured() -> None:
    encoded = as_csv([["a"], ["ö"]], encoding="utf-16")
    assert read_pandas(encoded["body"], encoded["content_type"]).to_dict("list") == {"a": ["ö"]}


@pytest.mark.parametrize(
    ("frame", "options", "said"),
    [
        (
            [1],
            {},
            "frame: found list; "
            "must be a pandas DataFrame or a pyarrow Table, such as pandas.DataFrame(rows)",
        ),
        (
            pandas.DataFrame({"a": [1, "b"]}),
            {},
            "frame: found DataFrame: Conversion failed for column a with type object; "
            "must be columns",
        ),
        (
            pandas.DataFrame([[1, 2]], columns=["a", "a"]),
            {},
            "frame: found DataFrame: Duplicate column names",
        ),
        (
            pandas.DataFrame({"a": [1]}),
            {"compression": "nope"},
            "compression: found 'nope'; must be one of snappy, gzip, zstd, lz4, brotli, none",
        ),
        (
            pandas.DataFrame({"a": [1]}),
            {"compression": 7},
            "compression: found '7'; must be one of snappy",
        ),
    ],
)
def test_frames_that_parquet_cannot_hold_are_refused(
    frame: object, options: dict[str, str], said: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_parquet(frame, **options)
    assert str(caught.value).startswith(said)


def test_frame_of_mixed_objects_is_not_pickled_into_npy() -> None:
    with pytest.raises(
        ConstructionError,
        match=r"^array: found DataFrame of Python objects, which would be pickled",
    ):
        as_npy(pandas.DataFrame({"a": [1], "b": ["x"]}))


MANY = 100_000
WIDE = {
    "csv of short rows": (b"," * 1_000_000 + b"\n" * 1_000_000, "text/csv"),
    "csv of short rows before a long one": (b"a\n" * 1_000_000 + b"," * 1_000_000, "text/csv"),
    "json of short lists": (
        b"[[" + b"1," * 500_000 + b"1]" + b",[1]" * 500_000 + b"]",
        "application/json",
    ),
    "json of records without a common key": (
        b"[" + b",".join(b'{"%d":1}' % i for i in range(MANY)) + b"]",
        "application/json",
    ),
    "json of columns without a common key": (
        b"{" + b",".join(b'"a%d":{"%d":1}' % (i, i) for i in range(MANY)) + b"}",
        "application/json",
    ),
    "json lines without a common key": (
        b"\n".join(b'{"%d":1}' % i for i in range(MANY)),
        "application/jsonlines",
    ),
}


@pytest.mark.parametrize(("body", "content_type"), WIDE.values(), ids=WIDE)
def test_body_that_claims_a_huge_table_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(
        ResponseError,
        match=r"^pandas\(\): [0-9]+ rows of up to [0-9]+ columns are too many for a body of",
    ):
        read_pandas(body, content_type)


def test_commas_within_quotes_are_no_columns() -> None:
    body = b'text,score\n"' + b"word, " * 5_000 + b'",1\n' + b"a,1\n" * 1_000
    assert read_pandas(body, "text/csv").shape == (1001, 2)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_parquet_that_repeats_a_large_value_is_refused(
    compression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "x" * 1_000_000
    column = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 10_000, pyarrow.int32()), pyarrow.array([value])
    )
    buffer = io.BytesIO()
    parquet.write_table(
        pyarrow.table({"a": column}), buffer, compression=compression, store_schema=False
    )
    assert len(buffer.getvalue()) < 2_000_000
    monkeypatch.setattr(_pandas, "MAX_PARQUET_SIZE", 100_000_000)  # to touch a tenth of the memory
    before = pyarrow.default_memory_pool().max_memory()
    with pytest.raises(
        ResponseError, match=r"^pandas\(\): the table has more than 100000000 bytes"
    ):
        read_pandas(buffer.getvalue(), "application/x-parquet")
    assert pyarrow.default_memory_pool().max_memory() - before < 400_000_000


@pytest.mark.parametrize("kind", ["nulls", "bools", "structs", "lists"])
def test_frame_that_is_larger_than_its_arrow_table_is_refused(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Arrow needs no memory for nulls; pandas makes an object of each."""
    rows = 1_000_000
    columns = {
        "nulls": lambda: pyarrow.nulls(rows),
        "bools": lambda: pyarrow.nulls(rows, pyarrow.bool_()),
        "structs": lambda: pyarrow.StructArray.from_arrays([pyarrow.nulls(rows)], ["x"]),
        "lists": lambda: pyarrow.ListArray.from_arrays([0, rows], pyarrow.nulls(rows)),
    }
    body = as_parquet(pyarrow.table({"a": columns[kind]()}))["body"]
    assert len(body) < 50_000
    assert len(read_pandas(body, "application/x-parquet")) in (1, rows)
    monkeypatch.setattr(_pandas, "MAX_PARQUET_SIZE", 7_000_000)
    with pytest.raises(ResponseError, match=r"^pandas\(\): the table has more than 7000000 bytes"):
        read_pandas(body, "application/x-parquet")


def test_parquet_that_compresses_a_huge_value_is_refused() -> None:
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({"a": ["x" * 20_000_000]}), buffer, compression="zstd")
    with pytest.raises(
        ResponseError, match=r"^pandas\(\): a body of [0-9]+ bytes claims a column of [0-9]+ bytes"
    ):
        read_pandas(buffer.getvalue(), None)


def test_parquet_of_many_rows_is_read() -> None:
    frame = pandas.DataFrame(
        {"a": range(200_000), "b": [f"text {number}" for number in range(200_000)]}
    )
    assert read_pandas(as_parquet(frame)["body"], None).equals(frame)


BROKEN = {
    "csv empty": (b"", "text/csv"),
    "csv ragged": (b"a\n1,2\n1,2,3\n", "text/csv"),
    "csv quote": (b'a\n"1\n', "text/csv"),
    "csv not utf-8": (b"\xff", "text/csv"),
    "json scalar": (b"1", "application/json"),
    "json of scalars": (b'{"a": 1}', "application/json"),
    "json broken": (b"[", "application/json"),
    "json deep": (b'{"a":' * 200_000, "application/json"),
    "json not utf-8": (b'["\xff"]', "application/json"),
    "jsonl broken": (b'{"a": 1}\n{', "application/jsonlines"),
    "parquet empty": (b"", "application/x-parquet"),
    "parquet magic": (b"PAR1", None),
    "parquet footer": (b"PAR1" + b"\xff" * 20 + b"\x14\0\0\0PAR1", None),
    "parquet footer longer than the body": (b"PAR1" + b"\xff" * 20 + b"\xff\xff\xff\x7fPAR1", None),
}


@pytest.mark.parametrize(("body", "content_type"), BROKEN.values(), ids=BROKEN)
def test_broken_tables_raise_response_error(body: bytes, content_type: str | None) -> None:
    with pytest.raises(ResponseError, match=r"^pandas\(\)") as caught:
        read_pandas(body, content_type)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_parquet_cut_anywhere_raises_response_error() -> None:
    body = as_parquet(pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))["body"]
    for size in range(0, len(body), 7):
        with pytest.raises(ResponseError):
            read_pandas(body[:size], "application/x-parquet")
