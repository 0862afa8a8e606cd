"""Decoding of JSON values from a stream: one a line, or one after another without separators.

The end of a value is found without parsing it. Within an array or object only brackets and strings
matter: it ends where as many brackets are closed as were opened, and a string ends at the first
quote that no backslash precedes. So the state between two parts is a depth and whether a string is
open, each character is looked at once, and a value is parsed once, when it is complete. (Trying
`json.loads` at each part takes time that grows with the square of a value's size, and cannot tell
incomplete from invalid.)

A string, array or object shows itself where it ends. A number or literal does not, so it ends where
something else begins or the stream ends: `12` may be half of `123`.

Python's extensions of JSON (`NaN`, `Infinity`) are refused. So is nesting deeper than `MAX_DEPTH`,
which is counted: how deep a parser gets before `RecursionError` depends on its caller's stack.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Final, NoReturn, TypeAlias, cast

from ..errors import StreamError, TruncatedStream
from ..values._incremental import IncrementalDecoder, checked_limit
from ._lines import LineDecoder
from ._text import TextDecoder

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

MAX_DEPTH: Final = 256
# The default limit for a value, which is parsed at once while other tasks wait. One MiB takes
# 0.13 s if it is nested arrays and 0.03 s if it is numbers or text; 8 MiB take 1.6 s and 0.25 s.
MAX_RECORD: Final = 1024 * 1024

# The rest of a string: up to its quote (group 1), or to the end of the part, which may be a
# backslash (group 2).
_REST_OF_STRING = r'[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|(\\?))'
_match_rest_of_string = re.compile(_REST_OF_STRING, re.DOTALL).match
_find_tokens = re.compile(rf'[\[\]{{}}]|"{_REST_OF_STRING}', re.DOTALL).finditer
# A whole string, or a whole array or object with no more than one level of others in it, after
# blanks: most records are found by this alone, in 2.2 µs where `_NestingTracker` takes 11.7.
_WHOLE_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT_VALUE = rf'[\[{{](?:[^\[\]{{}}"]++|{_WHOLE_STRING})*+[\]}}]'
_SHALLOW_VALUE = rf'{_WHOLE_STRING}|[\[{{](?:[^\[\]{{}}"]++|{_WHOLE_STRING}|{_FLAT_VALUE})*+[\]}}]'
_match_shallow_value = re.compile(rf"[ \t\r\n]*+({_SHALLOW_VALUE})", re.DOTALL).match
_blanks_pattern = re.compile(r"[ \t\r\n]*+")
_scalar_pattern = re.compile(r"[-+.0-9A-Za-z]*+")
_is_partial_scalar = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.|(?:\.[0-9]+)?[eE][+-]?))?|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?"
).fullmatch
_BLANKS = frozenset(" \t\r\n")
_FIRST_OF_SCALAR = frozenset("-0123456789tfn")
_FIRST_OF_NESTED = frozenset('"[{')


class JSONLinesDecoder(IncrementalDecoder[JSON]):
    """Decoder of lines of UTF-8 in any pieces into their JSON values; blank lines are skipped.

    The last line needs no end. Raises `StreamError` for a line that is not one JSON value, is
    longer than `max_line` bytes or nested too deep; `TruncatedStream` if the stream ends within a
    line that is not JSON so far. A byte order mark at the start is ignored.
    """

    def __init__(self, *, max_line: int = MAX_RECORD) -> None:
        super().__init__()
        self._line_decoder = LineDecoder(max_line=max_line)
        self._parse_text = _make_parser()
        self._at_stream_start = True

    def _read(self, part: bytes) -> Iterator[JSON]:
        for line in self._filled_lines(self._line_decoder._read(part)):
            try:
                yield self._parse_text(line)
            except ValueError as error:
                raise StreamError(f"not JSON: {error}") from None

    def _finish(self) -> Iterator[JSON]:
        for line in self._filled_lines(self._line_decoder._finish()):
            try:
                yield self._parse_text(line)
            except ValueError:
                raise TruncatedStream(
                    "the stream ended within a line, and what there is of it is not JSON"
                ) from None

    def _filled_lines(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            text = line.removeprefix("\ufeff") if self._at_stream_start else line
            self._at_stream_start = False
            if text.strip(" \t"):
                may_be_deep = text.count("[") + text.count("{") > MAX_DEPTH
                if may_be_deep and not _match_shallow_value(text):
                    _NestingTracker().find_end(text, 0, len(text))
                yield text


class JSONRecordDecoder(IncrementalDecoder[JSON]):
    """Decoder of JSON values one after another, in any pieces, with or without blanks between.

    Raises `StreamError` for what is not JSON, and for a value of more than `max_record` characters
    or nested too deep; `TruncatedStream` if the stream ends within a value. A byte order mark at
    the start is ignored.

    A value is parsed at once, and an event loop waits: for 0.03 s for each MiB of numbers or text,
    for up to 0.2 s for each MiB of nested arrays. Raise `max_record` for larger values, such as
    images in base64.
    """

    def __init__(self, *, max_record: int = MAX_RECORD) -> None:
        super().__init__()
        self._max_record = checked_limit("max_record", max_record)
        self._text_decoder = TextDecoder()
        self._parse_text = _make_parser()
        self._at_stream_start = True
        self._value_start = StringIO()
        self._held_size = 0  # of `_value_start`
        self._inside_value = False
        self._is_scalar = False
        self._nesting_tracker: _NestingTracker | None = None  # of a value that is not shallow

    def _read(self, part: bytes) -> Iterator[JSON]:
        return self._decode_texts(self._text_decoder._read(part))

    def _finish(self) -> Iterator[JSON]:
        yield from self._decode_texts(self._text_decoder._finish())
        if self._inside_value:
            if not self._is_scalar or _is_partial_scalar(self._value_start.getvalue()):
                raise TruncatedStream("the stream ended within a JSON value")
            yield self._complete_value("")

    def _decode_texts(self, text_pieces: Iterator[str]) -> Iterator[JSON]:
        for text in text_pieces:
            start = int(self._at_stream_start and text.startswith("\ufeff"))
            self._at_stream_start = False
            while True:
                if not self._inside_value:
                    shallow_value = _match_shallow_value(text, start)
                    if shallow_value and len(shallow_value[1]) <= self._max_record:
                        yield self._parse_or_fail(shallow_value[1])
                        start = shallow_value.end()
                        continue
                    start = _end_of_match(_blanks_pattern, text, start)
                    if start == len(text):
                        break
                    self._begin_value(text[start])
                end = self._find_end_of_value(text, start)
                if end < 0:
                    self._hold_text(text[start:])
                    break
                yield self._complete_value(text[start:end])
                start = end

    def _begin_value(self, first_character: str) -> None:
        self._is_scalar = first_character in _FIRST_OF_SCALAR
        if not self._is_scalar and first_character not in _FIRST_OF_NESTED:
            raise StreamError(f"{first_character!r} stands where a JSON value should begin")
        self._inside_value = True

    def _find_end_of_value(self, text: str, start: int) -> int:
        """Return the end of the value that goes on at `start`; -1 if it is not in this text."""
        if self._is_scalar:
            end = _end_of_match(_scalar_pattern, text, start)
            return end if end < len(text) else -1
        stop_offset = start + self._max_record - self._held_size + 1  # one more is too long
        self._nesting_tracker = self._nesting_tracker or _NestingTracker()
        return self._nesting_tracker.find_end(text, start, stop_offset)

    def _hold_text(self, text: str) -> None:
        self._held_size += len(text)
        if self._held_size > self._max_record:
            shown_limit = f"{self._max_record} characters"
            raise StreamError(f"a JSON value is longer than {shown_limit}; raise max_record")
        self._value_start.write(text)

    def _complete_value(self, text: str) -> JSON:
        """Return the value that ends with `text`."""
        if self._held_size or len(text) > self._max_record:
            self._hold_text(text)
            text = self._value_start.getvalue()
            self._value_start = StringIO()
            self._held_size = 0
        self._inside_value = False
        self._nesting_tracker = None
        return self._parse_or_fail(text)

    def _parse_or_fail(self, text: str) -> JSON:
        try:
            return self._parse_text(text)
        except ValueError as error:
            raise StreamError(f"not JSON: {error}") from None


class _NestingTracker:
    """The nesting of a string, array or object, to find where it ends."""

    def __init__(self) -> None:
        self._nesting_depth = 0
        self._inside_string = False
        self._after_backslash = False

    def find_end(self, text: str, start: int, stop_offset: int) -> int:
        """Return the end of the value in `text[start:stop]`; -1 if it does not end there.

        The value began at `start` or in an earlier text. Raises `StreamError` if it is nested too
        deep.
        """
        if self._inside_string:
            rest_of_string = _match_rest_of_string(text, start + self._after_backslash, stop_offset)
            if rest_of_string is None or not self._closes_string(rest_of_string):
                return -1
            start = rest_of_string.end()
            if not self._nesting_depth:
                return start
        nesting_depth = self._nesting_depth
        for structural_token in _find_tokens(text, start, stop_offset):
            first_character = text[structural_token.start()]
            if first_character == '"':
                if not self._closes_string(structural_token):
                    break
            elif first_character in "[{":
                nesting_depth += 1
                if nesting_depth > MAX_DEPTH:
                    raise StreamError(f"JSON nested more than {MAX_DEPTH} deep")
            else:
                nesting_depth -= 1
            if nesting_depth <= 0:
                return structural_token.end()
        self._nesting_depth = nesting_depth
        return -1

    def _closes_string(self, string_match: re.Match[str]) -> bool:
        """Return whether the string ends here; note where the next text goes on if it does not."""
        self._inside_string = not string_match[1]
        self._after_backslash = bool(string_match[2])
        return not self._inside_string


def _end_of_match(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Return the end of a pattern that matches everywhere."""
    found_match = pattern.match(text, start)
    return start if found_match is None else found_match.end()


def _make_parser() -> Callable[[str], JSON]:
    """Return a function from text to JSON value that raises `ValueError`.

    `json` is imported here because that takes 5 ms.
    """
    from json import JSONDecodeError, JSONDecoder

    decoder = JSONDecoder(parse_constant=_refuse_constant)
    decode_text = cast("Callable[[str], JSON]", decoder.decode)
    raw_decode = cast("Callable[[str], tuple[JSON, int]]", decoder.raw_decode)

    def parse_value(text: str) -> JSON:
        try:
            if text[0] in _BLANKS or text[-1] in _BLANKS:
                return decode_text(text)
            value, end = raw_decode(text)  # 0.2 µs for `[]`, where `decode_text` takes 1.5
            return value if end == len(text) else decode_text(text)  # which raises
        except JSONDecodeError:
            raise
        except ValueError:
            raise StreamError("a number of JSON has more digits than Python converts") from None
        except RecursionError:
            raise StreamError("JSON nested deeper than the rest of the caller's stack") from None

    return parse_value


def _refuse_constant(constant: str) -> NoReturn:
    raise StreamError(f"not JSON: {constant}")
