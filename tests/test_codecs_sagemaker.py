"""sagemaker v2's serializers write the same bytes, its deserializers read the same values.

Run by `tools/test-codecs` in an environment of its own. Differences that are meant:

- our CSV and JSON Lines end their last line, theirs do not;
- they write a row that is no list of rows, or a text, as it is; we refuse both;
- numbers in CSV are always two-dimensional float64 here, theirs lose dimensions of size 1;
- their CSV reader loses line breaks within cells, and splits lines at other characters too.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smruntime_core.codecs import (
    as_csv,
    as_json,
    as_jsonl,
    as_npy,
    as_text,
    read_csv,
    read_json,
    read_jsonl,
    read_numpy,
    read_pandas,
    read_text,
)
from smruntime_core.payload import JSON

from .test_codecs_json import values

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("sagemaker", reason="needs an environment of its own: tools/test-codecs")
    from sagemaker import base_deserializers as theirs_in
    from sagemaker import base_serializers as theirs_out

    numpy = pytest.importorskip("numpy")
    pandas = pytest.importorskip("pandas")
    arrays = pytest.importorskip("hypothesis.extra.numpy")

cells = st.text(
    st.characters(codec="utf-8", categories=["L", "N", "P", "S"]) | st.just(" ")
) | st.text(',;" ', max_size=4)
numbers = arrays.arrays(
    "<f8", arrays.array_shapes(min_dims=2, max_dims=2), elements=st.floats(-1e300, 1e300)
)
integers = arrays.arrays("<i8", arrays.array_shapes(min_dims=2, max_dims=2))


def deserialized(deserializer: object, body: bytes, content_type: str) -> object:
    """Return what a deserializer of theirs reads."""
    read: Callable[[object, str], object] = deserializer.deserialize  # type: ignore[attr-defined]
    return read(io.BytesIO(body), content_type)


@given(value=values)
def test_json_is_equal(value: JSON) -> None:
    encoded = as_json(value)
    serializer = theirs_out.JSONSerializer()
    assert encoded["body"] == serializer.serialize(value).encode()
    assert encoded["content_type"] == serializer.CONTENT_TYPE
    assert deserialized(
        theirs_in.JSONDeserializer(), encoded["body"], "application/json"
    ) == read_json(encoded["body"], "application/json")


@given(array=numbers)
def test_json_of_arrays_is_equal(array: object) -> None:
    for value in (array, {"instances": array}):
        assert as_json(value)["body"] == theirs_out.JSONSerializer().serialize(value).encode()


@given(records=st.lists(values, min_size=1))
def test_json_lines_are_equal_but_for_the_final_newline(records: list[JSON]) -> None:
    encoded = as_jsonl(records)
    serializer = theirs_out.JSONLinesSerializer()
    assert encoded["body"] == serializer.serialize(records).encode() + b"\n"
    assert encoded["content_type"] == serializer.CONTENT_TYPE
    assert deserialized(theirs_in.JSONLinesDeserializer(), encoded["body"], "") == read_jsonl(
        encoded["body"], encoded["content_type"]
    )


@given(
    rows=st.lists(
        st.lists(cells | st.none() | st.integers() | st.floats(), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_csv_is_equal_but_for_the_final_newline(rows: list[list[object]]) -> None:
    encoded = as_csv(rows)
    serializer = theirs_out.CSVSerializer()
    if not (len(rows[0]) == 1 and isinstance(rows[0][0], str)):
        assert encoded["body"] == serializer.serialize(rows).encode() + b"\n"
    assert encoded["content_type"] == serializer.CONTENT_TYPE
    assert deserialized(theirs_in.CSVDeserializer(), encoded["body"], "text/csv") == read_csv(
        encoded["body"], "text/csv"
    )


@given(array=numbers | integers)
def test_csv_of_arrays_is_equal_but_for_the_final_newline(array: object) -> None:
    assert as_csv(array)["body"] == theirs_out.CSVSerializer().serialize(array).encode() + b"\n"  # type: ignore[arg-type]


@given(rows=st.lists(st.tuples(st.integers(), st.floats(), cells), min_size=1, max_size=4))
def test_csv_of_frames_is_equal(rows: list[tuple[int, float, str]]) -> None:
    frame = pandas.DataFrame(rows, columns=["a", "b", "c"])
    assert as_csv(frame)["body"] == theirs_out.CSVSerializer().serialize(frame).encode()


@given(array=arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes()))
def test_npy_is_equal(array: object) -> None:
    encoded = as_npy(array)
    serializer = theirs_out.NumpySerializer()
    assert encoded["body"] == serializer.serialize(array)
    assert encoded["content_type"] == serializer.CONTENT_TYPE
    found = deserialized(theirs_in.NumpyDeserializer(), encoded["body"], encoded["content_type"])
    assert found.tobytes() == read_numpy(encoded["body"], encoded["content_type"]).tobytes()  # type: ignore[attr-defined]


@given(array=numbers | integers)
def test_numbers_out_of_csv_and_json_are_equal(array: object) -> None:
    body = as_json(array)["body"]
    found = deserialized(theirs_in.NumpyDeserializer(), body, "application/json")
    ours = read_numpy(body, "application/json")
    assert (ours == found).all()
    assert ours.shape == found.shape  # type: ignore[attr-defined]
    body = as_csv(array)["body"]  # type: ignore[arg-type]
    found = deserialized(theirs_in.NumpyDeserializer(), body, "text/csv")
    dtype = found.dtype  # type: ignore[attr-defined]
    assert (numpy.squeeze(read_numpy(body, "text/csv", dtype=dtype)) == numpy.squeeze(found)).all()


@given(
    text=st.text(st.characters(codec="utf-8")),
    encoding=st.sampled_from(["UTF-8", "utf-16", "utf-32"]),
)
def test_text_is_equal(text: str, encoding: str) -> None:
    encoded = as_text(text)
    serializer = theirs_out.StringSerializer()
    assert encoded["body"] == serializer.serialize(text)
    assert encoded["content_type"] == serializer.CONTENT_TYPE
    encoded = as_text(text, encoding=encoding)
    found = deserialized(
        theirs_in.StringDeserializer(encoding=encoding), encoded["body"], encoded["content_type"]
    )
    assert found == read_text(encoded["body"], encoded["content_type"])


@given(
    rows=st.lists(
        st.tuples(st.integers(-(2**53), 2**53), st.floats(-1e15, 1e15), cells),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=30)
def test_frames_out_of_csv_and_json_are_equal(rows: list[tuple[int, float, str]]) -> None:
    frame = pandas.DataFrame(rows, columns=["a", "b", "c"])
    body = as_csv(frame, header=True)["body"]
    pandas.testing.assert_frame_equal(
        deserialized(theirs_in.PandasDeserializer(), body, "text/csv"),
        read_pandas(body, "text/csv"),
        check_exact=True,
    )
    body = json.dumps(frame.to_dict()).encode()
    found = deserialized(theirs_in.PandasDeserializer(), body, "application/json")
    # Ours reads floats exactly if none is below 2.3e-308; pandas' fast parser, which they use, is
    # off by up to 4.5e-12 (measured).
    pandas.testing.assert_frame_equal(
        found, read_pandas(body, "application/json"), check_exact=False, rtol=5e-12, atol=0
    )
