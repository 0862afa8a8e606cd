"""npy: arrays come back with type, shape and bits; a header that lies costs nothing."""

from __future__ import annotations

import contextlib
import pickle
import resource
import struct
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.codecs import as_csv, as_json, as_npy, read_numpy

numpy = pytest.importorskip("numpy", reason="needs the dependency group `codecs`: numpy")
arrays = pytest.importorskip("hypothesis.extra.numpy")

NPY = "application/x-npy"
HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}, }}"
dtypes = (
    arrays.boolean_dtypes()
    | arrays.integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?")
    | arrays.complex_number_dtypes(endianness="?")
    | arrays.datetime64_dtypes()
    | arrays.unicode_string_dtypes(endianness="?")
)


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    """Return a body of that version, its header as given."""
    written = header.encode() + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(written))
    return b"\x93NUMPY" + bytes((version, 0)) + size + written + data


@pytest.fixture(autouse=True)
def _bounded_memory() -> Iterator[None]:
    """Let an allocation of what a hostile header claims fail, where the system can."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 1024**3, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@given(
    array=arrays.arrays(dtypes, arrays.array_shapes(min_dims=0, min_side=0)),
    transposed=st.booleans(),
)
def test_arrays_survive_a_round_trip(array: object, transposed: bool) -> None:
    given_array = numpy.transpose(array) if transposed else numpy.asarray(array)
    encoded = as_npy(given_array)
    found = read_numpy(encoded["body"], encoded["content_type"])
    assert (found.dtype, found.shape) == (given_array.dtype, given_array.shape)
    assert found.tobytes() == given_array.tobytes()
    assert found.flags.writeable
    assert read_numpy(encoded["body"], None).tobytes() == given_array.tobytes()


@given(
    array=arrays.arrays(
        arrays.integer_dtypes() | arrays.floating_dtypes(),
        arrays.array_shapes(min_dims=2, max_dims=2),
    )
)
def test_numbers_survive_a_round_trip_in_csv_and_json(array: object) -> None:
    dtype = array.dtype  # type: ignore[attr-defined]
    encoded = as_csv(array)  # type: ignore[arg-type]
    assert numpy.array_equal(
        read_numpy(encoded["body"], encoded["content_type"], dtype=dtype),
        array,
        equal_nan=dtype.kind == "f",
    )
    if numpy.isfinite(array).all():
        encoded = as_json(array)
        assert numpy.array_equal(
            read_numpy(encoded["body"], encoded["content_type"], dtype=dtype), array
        )


def test_structured_arrays_survive_a_round_trip() -> None:
    array = numpy.array([(1, 2.5), (3, 4.5)], dtype=[("id", "<i4"), ("score", "<f8")])
    assert (read_numpy(as_npy(array)["body"], NPY) == array).all()


def test_lists_are_converted_and_dtype_is_applied_both_ways() -> None:
    body = as_npy([[1, 2], [3, 4]], dtype="float32")["body"]
    assert read_numpy(body, NPY).dtype == numpy.float32
    assert read_numpy(body, NPY, dtype="int8").tolist() == [[1, 2], [3, 4]]
    assert read_numpy(body, NPY, dtype="int8").dtype == numpy.int8


def test_csv_is_two_dimensional_float64_whatever_it_holds() -> None:
    for body, expected in (
        (b"1,2\n3,4\n", [[1, 2], [3, 4]]),
        (b"1\n\n2", [[1], [2]]),
        (b"7", [[7]]),
        (b"", []),
    ):
        found = read_numpy(body, "text/csv")
        assert (found.tolist(), found.ndim, found.dtype) == (expected, 2, numpy.float64)
    assert read_numpy(b"9007199254740993", "text/csv", dtype="int64").tolist() == [
        [9007199254740993]
    ]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (
            [{}],
            "array: found list of Python objects, which would be pickled; "
            "must be numbers, bools, strings or dates; convert it",
        ),
        (
            [[1], [1, 2]],
            "array: numpy cannot convert this list; "
            "must be numbers, or nested lists of numbers with the same length",
        ),
        (object(), "array: found object of Python objects"),
    ],
)
def test_array_that_would_be_pickled_or_is_ragged_is_refused(array: object, said: str) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_npy(array)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("dtype", ["nope", "O", object, 7, [("a", "O")]])
def test_dtype_that_is_none_or_holds_objects_is_refused(dtype: object) -> None:
    said = (
        "^dtype: found .*; must be a type of numpy without Python objects, for instance 'float32'"
    )
    with pytest.raises(ConstructionError, match=said):
        as_npy([1], dtype=dtype)
    with pytest.raises(ConstructionError, match=said):
        read_numpy(as_npy([1])["body"], NPY, dtype=dtype)


class NeverPickled:
    """What leaves a trace if anything unpickles it."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import sys; sys.unpickled = True",)


def test_pickled_objects_are_never_loaded() -> None:
    pickled = pickle.dumps(NeverPickled())
    for body in (
        npy(HEADER.format("|O", "(1,)"), pickled),
        npy("{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (1,), }", pickled),
    ):
        with pytest.raises(ResponseError, match="holds pickled objects, which are never loaded"):
            read_numpy(body, NPY)
    with pytest.raises(ResponseError):
        read_numpy(pickled, NPY)
    assert not hasattr(sys, "unpickled")


HOSTILE = {
    "petabytes": npy(HEADER.format("<f8", "(1000000000000000,)")),
    "long item": npy(HEADER.format("|S2000000000", "(1,)")),
    "negative sizes": npy(HEADER.format("<f8", "(-1, -8)"), bytes(64)),
    "negative and zero": npy(HEADER.format("<f8", "(-1, 0)")),
    "zero of many": npy(HEADER.format("<f8", "(0, 1000000000000000000000000)")),
    "items of no size": npy(HEADER.format("|V0", "(1000000000000,)")),
    "100 dimensions": npy(HEADER.format("|u1", f"({'1,' * 100})"), b"x"),
    "size is text": npy(HEADER.format("|u1", "('a',)"), b"x"),
    "size of 5000 digits": npy(HEADER.format("|u1", f"(1{'0' * 5000},)"), b"x"),
    "unknown type": npy(HEADER.format("zzz", "(1,)"), b"x"),
    "brackets": npy("(" * 9000),
    "signs": npy("-" * 9000 + "1"),
    "sums": npy("1+" * 4000 + "1"),
    "NUL": npy("{'descr':\0}"),
    "header of 60 kB": npy(" " * 60_000),
    "header of 6 MB": npy("{" * 6_000_000, version=2),
    "header longer than the body": b"\x93NUMPY\2\0\xff\xff\xff\xff{",
    "version 3": npy(HEADER.format("<f8", "(1,)"), bytes(8), version=3),
    "data after the end": as_npy([1.0])["body"] + b"x",
    "nothing": b"",
    "JSON": b"[1, 2]",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_npy_raises_response_error(body: bytes) -> None:
    with pytest.raises(ResponseError, match=r"^numpy\(\)") as caught:
        read_numpy(body, NPY)
    assert len(str(caught.value)) < 400
    assert str(caught.value).isprintable()


def test_npy_cut_anywhere_raises_response_error() -> None:
    body = as_npy([[1.5, 2.5], [3.5, 4.5]])["body"]
    for size in range(len(body)):
        with pytest.raises(ResponseError):
            read_numpy(body[:size], NPY)


@given(at=st.integers(0, 160), value=st.integers(0, 255))
@pytest.mark.filterwarnings(
    "ignore:Reading `.npy`:UserWarning",
    "ignore:invalid escape:DeprecationWarning",
    "ignore::SyntaxWarning",
)
def test_npy_changed_anywhere_gives_an_array_or_response_error(at: int, value: int) -> None:
    body = bytearray(as_npy([[1.5, 2.5], [3.5, 4.5]])["body"])
    body[min(at, len(body) - 1)] = value
    with contextlib.suppress(ResponseError):
        assert read_numpy(bytes(body), NPY).nbytes == 32


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"predictions": [1]}',
            "the JSON has a dict where only arrays and numbers are read; call .json()",
        ),
        (b'["a", "b"]', "the JSON has a str"),
        (b"[1, null]", "the JSON has null"),
        (b"[[1], [1, 2]]", "the body is not an array: ValueError"),
        (b"[" * 100 + b"]" * 100, "the body is not an array: ValueError"),
        (b"[" * 200_000, "the JSON is nested too deep"),
        (b"[100000000000000000000000]", "integers of more than 64 bits"),
        (b"[1, NaN]", "not JSON"),
    ],
)
def test_json_that_is_no_array_of_numbers_raises_response_error(body: bytes, said: str) -> None:
    with pytest.raises(ResponseError) as caught:
        read_numpy(body, "application/json")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "dtype", "said"),
    [
        (b"1,a", None, "row 1 has cells that are not numbers; call .csv() or .pandas()"),
        (b"1,2\n3,", None, "row 2 has cells that are not numbers"),
        (b"1,2\n3", None, "the rows have different numbers of cells; call .csv()"),
        (b"1.5", "int64", "row 1 has cells that are not whole numbers"),
        (b"300", "uint8", "the body is not an array: OverflowError"),
        (b'"1', None, "line 1 is not CSV"),
    ],
)
def test_csv_that_is_no_table_of_numbers_raises_response_error(
    body: bytes, dtype: str | None, said: str
) -> None:
    with pytest.raises(ResponseError) as caught:
        read_numpy(body, "text/csv", dtype=dtype)
    assert said in str(caught.value)
