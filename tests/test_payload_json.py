"""JSON from a stream: dumped values are decoded, and anything else is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import StreamError, TruncatedStream
from smruntime_core.payload import JSON, NEED_DATA, JSONLinesDecoder, JSONRecordDecoder
from smruntime_core.payload._json import MAX_DEPTH, MAX_RECORD

from .test_payload import cut, decode, places

text = st.text(st.characters(codec="utf-8")) | st.text('"\\{}[]/u', max_size=9)
number = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalar: st.SearchStrategy[JSON] = st.none() | st.booleans() | number | text
values: st.SearchStrategy[JSON] = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
# Values, each with how it is written and which blanks follow it.
written = st.lists(
    st.tuples(
        values,
        st.booleans(),
        st.sampled_from([None, 1]),
        st.sampled_from(["", " ", "\n", "\r\n\t "]),
    ),
    max_size=5,
)
blanks = st.sampled_from(["", " ", "\n", "\r", "\r\n \n"])


def is_bare(value: JSON) -> bool:
    """Return whether the text of a value does not show its own end, as of a number or literal."""
    return not isinstance(value, str | list | dict)


@given(records=written, start=blanks, at=places)
def test_records_are_decoded_with_any_blanks_between(
    records: list[tuple[JSON, bool, int | None, str]], start: str, at: list[int]
) -> None:
    data = start
    previous: JSON = ""
    for value, escape, indent, gap in records:
        data += " " * (is_bare(previous) and is_bare(value) and not data[-1].isspace())
        data += json.dumps(value, ensure_ascii=escape, indent=indent) + gap
        previous = value
    expected = [value for value, *_ in records]
    assert decode(JSONRecordDecoder(), cut(data.encode(), at)) == (expected, None)


@given(
    expected=st.lists(values),
    end=st.sampled_from(["\n", "\r", "\r\n", "\n \t\n"]),
    escape=st.booleans(),
    last=st.booleans(),
    at=places,
)
def test_json_lines_are_decoded(
    expected: list[JSON], end: str, escape: bool, last: bool, at: list[int]
) -> None:
    data = end.join(json.dumps(value, ensure_ascii=escape) for value in expected) + end * last
    assert decode(JSONLinesDecoder(), cut(data.encode(), at)) == (expected, None)


@given(
    expected=st.lists(
        st.lists(values, max_size=3) | st.dictionaries(text, values, max_size=3),
        min_size=1,
        max_size=3,
    )
)
def test_stream_cut_anywhere_has_the_complete_values_then_truncated_stream(
    expected: list[JSON],
) -> None:
    encoded = [json.dumps(value, ensure_ascii=False).encode() for value in expected]
    for decoder, end in ((JSONRecordDecoder, b""), (JSONLinesDecoder, b"\n")):
        data = end.join(encoded) + end
        found, position = 0, 0
        for cut_at in range(len(data)):
            if found < len(encoded) and cut_at == position + len(encoded[found]):
                position += len(encoded[found]) + len(end)
                found += 1
            events, error = decode(decoder(), [data[:cut_at]])
            assert events == expected[:found]
            begun = cut_at > position
            assert isinstance(error, TruncatedStream) is begun


@pytest.mark.parametrize("word", ["true", "false", "null", "-1.5e+30", "0.25", "1E-5"])
def test_scalar_cut_anywhere_is_truncated_unless_it_is_complete(word: str) -> None:
    for end in range(1, len(word)):
        part = word[:end]
        events, error = decode(JSONRecordDecoder(), [b"[] " + part.encode()])
        try:
            assert (events, error) == ([[], json.loads(part)], None)
        except json.JSONDecodeError:
            assert events == [[]]
            assert isinstance(error, TruncatedStream)


@pytest.mark.parametrize(
    "data",
    [
        *(
            "NaN",
            "Infinity",
            "-Infinity",
            "[NaN]",
            '{"a": -Infinity}',
            "nan",
            "undefined",
            "None",
            "True",
        ),
        *(
            "}",
            "]",
            ",",
            ":",
            "'a'",
            "#",
            "[1]]",
            "{}}",
            "{]",
            "[}",
            "[1,]",
            "{,}",
            "{1:2}",
            '{"a"}',
            '["a" "b"]',
            "[1 2]",
        ),
        *(
            "01",
            "-01",
            "+1",
            ".5",
            "1.e5",
            "1ee5",
            "--1",
            "1-",
            "truefalse",
            "trux",
            "nul ",
            "tru{}",
            "-a",
            "1a",
            "1.5.2",
        ),
        *(
            '"\x01"',
            '"\n"',
            '"\\x"',
            '"\\u12"',
            "\0",
            "\x1e{}",
            "\x0b1",
            "\xa01",
            "\u20281",
            "1 \ufeff2",
            "/* a */ 1",
            "// a",
        ),
    ],
)
def test_invalid_json_raises_stream_error(data: str) -> None:
    for decoder in (JSONRecordDecoder(), JSONLinesDecoder()):
        _, error = decode(decoder, [f"{data}\n".encode()])
        assert type(error) is StreamError
    events, error = decode(JSONRecordDecoder(), [f'{{"a":1}}"b"{data} '.encode()])
    assert events[:2] == [{"a": 1}, "b"]
    assert type(error) is StreamError


def test_comma_between_records_raises_an_error_after_the_first() -> None:
    for first in ("{}", "1", '"a"'):
        events, error = decode(JSONRecordDecoder(), [f"{first},{first}".encode()])
        assert events == [json.loads(first)]
        assert str(error) == "',' stands where a JSON value should begin"


def test_backslash_after_a_string_is_not_part_of_it() -> None:
    for parts in ([b'"a"\\'], [b'"', b'a"\\'], [b'"a"', b"\\"]):
        events, error = decode(JSONRecordDecoder(), parts)
        assert events == ["a"]
        assert str(error) == "'\\\\' stands where a JSON value should begin"


def test_number_ends_at_another_token_or_at_the_end() -> None:
    decoder = JSONRecordDecoder()
    for part, expected in (
        (b"1", NEED_DATA),
        (b"2", NEED_DATA),
        (b" ", 12),
        (b"3", NEED_DATA),
        (b'"', 3),
        (b'"', ""),
        (b"4", NEED_DATA),
    ):
        decoder.receive_data(part)
        assert decoder.next_event() == expected
    assert decode(decoder, []) == ([4], None)


def test_scalars_may_be_adjacent_to_strings_arrays_and_objects() -> None:
    assert decode(JSONRecordDecoder(), [b'1"a"2[3]4{"b":5}true"c"null{}']) == (
        [1, "a", 2, [3], 4, {"b": 5}, True, "c", None, {}],
        None,
    )


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_nesting_deeper_than_the_limit_is_refused(opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    fits = (opening * MAX_DEPTH + "1" + closing * MAX_DEPTH).encode()
    deeper = opening.encode() + fits + closing.encode()
    for decoder in (JSONRecordDecoder, JSONLinesDecoder):
        assert len(decode(decoder(), [fits])[0]) == 1
        for data in (deeper, deeper + b"\n", opening.encode() * 100_000):
            assert str(decode(decoder(), [data])[1]) == f"JSON nested more than {MAX_DEPTH} deep"
        wide = b"[" + b"[]," * 1000 + b'"' + b"[" * 1000 + b'"]'
        assert len(decode(decoder(), [wide])[0]) == 1


def test_exhausted_stack_raises_stream_error() -> None:
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    def descend(levels: int) -> tuple[list[object], StreamError | None]:
        return descend(levels - 1) if levels else decode(JSONRecordDecoder(), [data])

    found: list[StreamError | None] = []
    for levels in range(0, 2000, 50):
        try:
            found.append(descend(levels)[1])
        except RecursionError:
            break  # the stack is used up before the decoder is called
    assert all(error is None or type(error) is StreamError for error in found)


def test_number_of_too_many_digits_raises_stream_error() -> None:
    for decoder in (JSONRecordDecoder(), JSONLinesDecoder()):
        assert type(decode(decoder, [b"1" * 5000])[1]) is StreamError


@pytest.mark.parametrize("decoder_type", [JSONRecordDecoder, JSONLinesDecoder])
def test_record_of_more_than_one_mib_is_refused_by_default(decoder_type: Any) -> None:
    """A value is parsed at once, while an event loop waits: 8 MiB take up to 1.6 s."""
    fits = b'"%s"' % (b"x" * (MAX_RECORD - 2))
    assert len(fits) == 1024 * 1024
    assert decode(decoder_type(), [fits, b"\n"]) == ([fits[1:-1].decode()], None)
    assert type(decode(decoder_type(), [b'"x' + fits[1:], b"\n"])[1]) is StreamError


def test_record_longer_than_max_record_is_refused() -> None:
    fits = '["€€€"]'
    assert decode(JSONRecordDecoder(max_record=7), [(fits * 3).encode()])[0] == [["€€€"]] * 3
    events, error = decode(
        JSONRecordDecoder(max_record=7), [(f"{fits}  {'[1,   2]'}{fits}").encode()]
    )
    assert events == [["€€€"]]
    assert str(error) == "a JSON value is longer than 7 characters; raise max_record"
    assert decode(JSONRecordDecoder(max_record=1), [b" " * 1000 + b"1" + b" " * 1000]) == (
        [1],
        None,
    )


def test_byte_order_mark_at_the_start_is_ignored() -> None:
    for decoder in (JSONRecordDecoder, JSONLinesDecoder):
        assert decode(decoder(), [b"\xef", b"\xbb", b"\xbf1\n2"]) == ([1, 2], None)
        assert decode(decoder(), [b"\xef\xbb\xbf"]) == ([], None)
        assert type(decode(decoder(), ["\ufeff\ufeff1\n".encode()])[1]) is StreamError


def test_half_a_character_raises_truncated_stream() -> None:
    for decoder in (JSONRecordDecoder(), JSONLinesDecoder()):
        events, error = decode(decoder, [b'"a"\n"\xe2\x82'])
        assert events == ["a"]
        assert isinstance(error, TruncatedStream)
