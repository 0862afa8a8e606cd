"""JSON and JSON Lines: what is written is what `json.dumps` writes, and comes back equal."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.codecs import as_json, as_jsonl, read_json, read_jsonl
from smruntime_core.payload import JSON

text = st.text(st.characters(codec="utf-8"))
scalar: st.SearchStrategy[JSON] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values: st.SearchStrategy[JSON] = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
separators = st.sampled_from([None, (",", ":"), (" , ", "\t:")])
DEEP = 200_000
LONG_NUMBER = b"1" * 5000


class ArrayLike:
    """What has numpy's method and none of numpy."""

    def tolist(self) -> list[float]:
        return [0.5, 1.5]


@given(value=values, separators=separators, escape=st.booleans(), sort=st.booleans())
def test_json_equals_json_dumps_and_survives_a_round_trip(
    value: JSON, separators: tuple[str, str] | None, escape: bool, sort: bool
) -> None:
    encoded = as_json(value, separators=separators, ensure_ascii=escape, sort_keys=sort)
    expected = json.dumps(value, separators=separators, ensure_ascii=escape, sort_keys=sort)
    assert encoded == {
        "body": expected.encode(),
        "content_type": "application/json",
        "accept": "application/json",
    }
    assert read_json(encoded["body"], encoded["content_type"]) == value
    assert read_json(b"\xef\xbb\xbf" + encoded["body"], None) == value


@given(
    records=st.lists(values),
    separators=separators,
    escape=st.booleans(),
    end=st.sampled_from([b"\n", b"\r\n", b"\n \t\n"]),
)
def test_json_lines_survive_a_round_trip(
    records: list[JSON], separators: tuple[str, str] | None, escape: bool, end: bytes
) -> None:
    encoded = as_jsonl(iter(records), separators=separators, ensure_ascii=escape)
    assert encoded["body"].count(b"\n") == len(records)
    assert read_jsonl(encoded["body"], encoded["content_type"]) == records
    assert read_jsonl(encoded["body"].replace(b"\n", end).rstrip(), None) == records


def test_arrays_are_written_as_lists() -> None:
    assert as_json({"inputs": ArrayLike()})["body"] == b'{"inputs": [0.5, 1.5]}'
    assert as_jsonl([ArrayLike()])["body"] == b"[0.5, 1.5]\n"


def test_default_converts_what_json_does_not_have() -> None:
    when = datetime(2026, 1, 31, tzinfo=UTC)
    assert as_json([when], default=str)["body"] == b'["2026-01-31 00:00:00+00:00"]'


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            datetime(2026, 1, 31, tzinfo=UTC),
            "found datetime in it; must be made of JSON values and arrays; "
            "convert it first, or pass default=",
        ),
        ({"a": {1, 2}}, "found set in it"),
        (b"bytes", "found bytes in it"),
        (
            {(1, 2): 3},
            "found dict: keys must be str, int, float, bool or None, not tuple; "
            "must be made of JSON values with str keys",
        ),
        (float("nan"), "allow_nan=True writes NaN, which is not JSON"),
        ([float("inf")], "allow_nan=True"),
    ],
)
def test_value_that_json_lacks_names_argument_type_and_remedy(value: object, said: str) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_json(value)
    assert caught.value.member == "obj"
    assert said in str(caught.value)
    with pytest.raises(ConstructionError) as caught:
        as_jsonl([1, value])
    assert caught.value.member == "records"
    assert said in str(caught.value)


def test_cycles_and_deep_nesting_are_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(ConstructionError, match=r"^obj: found list: Circular reference"):
        as_json(cycle)
    deep: object = 1
    for _ in range(DEEP):
        deep = [deep]
    with pytest.raises(
        ConstructionError, match=r"^obj: it is nested too deep; must be nested less deeply"
    ):
        as_json(deep)


def test_lone_surrogate_is_refused_unless_escaped() -> None:
    assert as_json("\ud800")["body"] == b'"\\ud800"'
    with pytest.raises(
        ConstructionError,
        match=r"^obj: it has U\+D800 at index 1; must be text that utf-8 can encode",
    ):
        as_json("\ud800", ensure_ascii=False)


def test_allow_nan_writes_what_a_lenient_parser_reads() -> None:
    body = as_json([float("inf")], allow_nan=True)["body"]
    assert body == b"[Infinity]"
    with pytest.raises(
        ResponseError, match=r"Infinity is not a JSON value; pass loads=json.loads to read it"
    ):
        read_json(body, None)
    assert read_json(body, None, loads=json.loads) == [float("inf")]


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        (
            "default",
            "str",
            "default: found str; "
            "must be a function from a value to one that JSON has, for instance default=str",
        ),
        ("separators", ",:", "separators: found str; must be two strings"),
        ("separators", (",",), "separators: found (',',); must be two strings"),
        ("separators", (";", ":"), "separators: found (';', ':'); must be two strings"),
        ("separators", (1, ":"), "separators: found (1, ':'); must be two strings"),
        ("ensure_ascii", "no", "ensure_ascii: found str; must be True or False"),
        ("sort_keys", 1, "sort_keys: found int; must be True or False"),
        ("allow_nan", None, "allow_nan: found NoneType; must be True or False"),
    ],
)
def test_wrong_option_names_itself_its_type_and_the_remedy(
    option: str, value: object, said: str
) -> None:
    with pytest.raises(ConstructionError) as caught:
        as_json(1, **{option: value})  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("records", ["text", b"bytes", {"a": 1}, 1, None])
def test_records_must_be_an_iterable_of_records(records: object) -> None:
    with pytest.raises(
        ConstructionError,
        match=f"^records: found {type(records).__name__}; .*put a single record into a list",
    ):
        as_jsonl(records)  # type: ignore[arg-type]


def test_separators_of_json_lines_have_no_line_breaks() -> None:
    with pytest.raises(ConstructionError, match=r"^separators: must be without line breaks"):
        as_jsonl([1], separators=(",\n", ":"))


def test_loads_receives_utf_8_and_its_errors_propagate() -> None:
    seen: list[bytes] = []

    def loads(data: bytes) -> int:
        seen.append(data)
        return len(data)

    assert read_json("\ufeff[1]".encode(), None, loads=loads) == 3
    assert read_json('"ö"'.encode("latin-1"), "application/json; charset=latin-1", loads=loads) == 4
    assert read_jsonl(b"1\r\n\n 2 \n", None, loads=loads) == [1, 3]
    assert seen == [b"[1]", b'"\xc3\xb6"', b"1", b" 2 "]
    with pytest.raises(json.JSONDecodeError):
        read_json(b"{", None, loads=json.loads)
    with pytest.raises(
        ConstructionError, match=r"^loads: found str; must be a function from bytes"
    ):
        read_json(b"{", None, loads="json")  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1",
        b'"a',
        b"nul",
        b"NaN",
        b"[-Infinity]",
        b"1 2",
        b"\0",
        b'"\0"',
        b"\xff",
        b"[" * DEEP,
        b'{"a":' * DEEP,
        LONG_NUMBER,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_broken_json_raises_response_error(body: bytes) -> None:
    with pytest.raises(ResponseError, match=r"^json\(\)") as caught:
        read_json(body, "application/json")
    assert len(str(caught.value)) < 300
    if body:
        with pytest.raises(ResponseError, match=r"^jsonl\(\)"):
            read_jsonl(b"1\n" + body, "application/jsonlines")


def test_responses_of_known_containers_are_read() -> None:
    """Sources: DJL Serving and Text Generation Inference as they answer `{"inputs": ...}`."""
    assert read_json(b'{"generated_text": " 4"}', "application/json") == {"generated_text": " 4"}
    assert read_json(b'[{"generated_text": " 4"}]', "application/json") == [
        {"generated_text": " 4"}
    ]
    assert read_jsonl(b'{"token": {"id": 1}}\n{"token": {"id": 2}}\n', "application/jsonlines") == [
        {"token": {"id": 1}},
        {"token": {"id": 2}},
    ]
