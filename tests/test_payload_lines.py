"""Text and lines, compared with what Python makes of the whole."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import StreamError, TruncatedStream
from smruntime_core.payload import LineDecoder, TextDecoder

from .test_payload import cut, decode, hostile, places

lines = st.lists(st.text("ab\r\n\x85\u2028é🦉")).map("".join)


@given(data=hostile | st.binary() | st.text().map(str.encode), at=places)
def test_joined_text_equals_decoding_the_whole(data: bytes, at: list[int]) -> None:
    pieces, error = decode(TextDecoder(), cut(data, at))
    try:
        expected = data.decode()
    except UnicodeDecodeError as reason:
        assert "".join(map(str, pieces)) == data[: reason.start].decode()
        assert isinstance(error, StreamError)
        truncated = reason.reason == "unexpected end of data"
        assert isinstance(error, TruncatedStream) is truncated
        assert truncated or f"at byte {reason.start}" in str(error) or reason.end == len(data)
    else:
        assert ("".join(map(str, pieces)), error) == (expected, None)


@given(data=hostile | st.binary(), at=places)
def test_replaced_text_equals_decoding_the_whole(data: bytes, at: list[int]) -> None:
    pieces, error = decode(TextDecoder(errors="replace"), cut(data, at))
    assert ("".join(map(str, pieces)), error) == (data.decode(errors="replace"), None)


def split(text: str) -> list[str]:
    """Split at each CRLF, CR or LF; the rest after the last is a line if it is not empty."""
    found = re.split("\r\n|\r|\n", text)
    return found if found[-1] else found[:-1]


@given(text=lines, at=places)
def test_lines_equal_splitting_the_whole(text: str, at: list[int]) -> None:
    assert decode(LineDecoder(), cut(text.encode(), at)) == (split(text), None)


@given(data=hostile | st.binary(), at=places)
def test_replaced_lines_equal_splitting_the_whole(data: bytes, at: list[int]) -> None:
    assert decode(LineDecoder(errors="replace"), cut(data, at)) == (
        split(data.decode(errors="replace")),
        None,
    )


@given(text=lines)
def test_stream_cut_anywhere_has_the_lines_of_its_start(text: str) -> None:
    data = text.encode()
    for end in range(len(data)):
        whole = data[:end].decode(errors="ignore")
        events, error = decode(LineDecoder(), [data[:end]])
        if whole.encode() == data[:end]:
            assert (events, error) == (split(whole), None)
        else:
            assert events == split(whole + "é")[:-1]
            assert isinstance(error, TruncatedStream)


def test_byte_order_mark_is_text() -> None:
    assert decode(TextDecoder(), [b"\xef\xbb", b"\xbfa"]) == (["\ufeffa"], None)
    assert decode(LineDecoder(), [b"\xef\xbb", b"\xbfa\n"]) == (["\ufeffa"], None)


def test_text_before_an_invalid_byte_is_returned() -> None:
    events, error = decode(TextDecoder(), [b"caf\xc3", b"\xa9 \xc3", b"("])
    assert "".join(map(str, events)) == "café "
    assert str(error) == "not UTF-8: invalid continuation byte at byte 6"


def test_lines_before_an_invalid_line_are_returned() -> None:
    events, error = decode(LineDecoder(), [b"one\ntwo\nth\xffree\nfour\n"])
    assert events == ["one", "two"]
    assert str(error) == "a line is not UTF-8: invalid start byte at its byte 2"


def test_half_a_character_before_a_line_end_is_invalid_not_truncated() -> None:
    _, error = decode(LineDecoder(), [b"caf\xc3\n"])
    assert type(error) is StreamError


@pytest.mark.parametrize("data", [b"123456", b"123456\n", b"12345\n123456", b"\r\n123456\r\n"])
def test_line_longer_than_max_line_is_refused(data: bytes) -> None:
    events, error = decode(LineDecoder(max_line=5), [data])
    assert events == split(data.decode())[:-1]
    assert type(error) is StreamError
    assert decode(LineDecoder(max_line=6), [data]) == (split(data.decode()), None)
    assert decode(LineDecoder(max_line=5), ["éé\n€€".encode()])[0] == ["éé"]
