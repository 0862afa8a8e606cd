"""JSON values out of a stream: one a line, or one after another with nothing between them that tells where each ends.

The end of a value is found without parsing it. Within an array or object only brackets and strings matter: it ends where as many
brackets are closed as were opened, and a string ends at the first quote that no backslash is before. So the state between two
parts is a depth and whether a string is open, every character is looked at once, and a value is parsed once, when it is whole.
(To try `json.loads` at each part takes time that grows with the square of a value's size, and cannot tell half from broken.)

A string, array or object says itself where it ends. A number or word does not, so it ends where something else begins or the
stream ends: `12` may be half of `123`.

What Python reads beyond JSON (`NaN`, `Infinity`) is refused. So is what is nested deeper than `MAX_DEPTH`, which is
counted, not tried: how deep a parser gets before `RecursionError` depends on who called it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import NoReturn, TypeAlias, cast

from ..errors import StreamError, TruncatedStream
from ..values._incremental import MAX_SIZE, IncrementalDecoder, checked_limit
from ._lines import LineDecoder
from ._text import TextDecoder

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"

MAX_DEPTH = 256

# The rest of a string: up to its quote (group 1), or to the end of the part, perhaps with a backslash there (group 2).
_STRING = r'[^"\\]*+(?:\\.[^"\\]*+)*+(?:(")|(\\?))'
_rest_of_string = re.compile(_STRING, re.DOTALL).match
_tokens = re.compile(rf'[\[\]{{}}]|"{_STRING}', re.DOTALL).finditer
# A whole string, or a whole array or object with no more than one level of others in it, after
# blanks: most records are found by this alone, in 2.2 µs where `_Nesting` takes 11.7.
_WHOLE_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT = rf'[\[{{](?:[^\[\]{{}}"]++|{_WHOLE_STRING})*+[\]}}]'
_SHALLOW = rf'{_WHOLE_STRING}|[\[{{](?:[^\[\]{{}}"]++|{_WHOLE_STRING}|{_FLAT})*+[\]}}]'
_shallow = re.compile(rf"[ \t\r\n]*+({_SHALLOW})", re.DOTALL).match
_gap = re.compile(r"[ \t\r\n]*+")
_scalar = re.compile(r"[-+.0-9A-Za-z]*+")
_half_scalar = re.compile(
    r"-?(?:(?:0|[1-9][0-9]*)(?:\.|(?:\.[0-9]+)?[eE][+-]?))?|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?"
).fullmatch
_BLANKS = frozenset(" \t\r\n")
_FIRST_OF_SCALAR = frozenset("-0123456789tfn")
_FIRST_OF_NESTED = frozenset('"[{')


class JSONLinesDecoder(IncrementalDecoder[JSON]):
    """Lines of UTF-8 in any pieces → the JSON value of each; blank lines are skipped.

    The last line needs no end. Raises `StreamError` for a line that is not one JSON value, or longer than `max_line` bytes, or
    nested too deeply; `TruncatedStream` if the stream ends in a line that has no end and is not one. A byte order mark at
    the start is ignored.
    """

    def __init__(self, *, max_line: int = MAX_SIZE) -> None:
        super().__init__()
        self._lines = LineDecoder(max_line=max_line)
        self._parse = _parser()
        self._at_start = True

    def _read(self, part: bytes) -> Iterator[JSON]:
        for line in self._filled(self._lines._read(part)):
            try:
                yield self._parse(line)
            except ValueError as error:
                raise StreamError(f"not JSON: {error}") from None

    def _finish(self) -> Iterator[JSON]:
        for line in self._filled(self._lines._finish()):
            try:
                yield self._parse(line)
            except ValueError:
                raise TruncatedStream(
                    "the stream ended within a line, and what there is of it is not JSON"
                ) from None

    def _filled(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            text = line.removeprefix("\ufeff") if self._at_start else line
            self._at_start = False
            if text.strip(" \t"):
                if text.count("[") + text.count("{") > MAX_DEPTH and not _shallow(text):
                    _Nesting().end(text, 0, len(text))
                yield text


class JSONRecordDecoder(IncrementalDecoder[JSON]):
    """JSON values one after another, in any pieces → the values. White space between them may be there or not.

    Raises `StreamError` for what is not JSON, and for a value of more than `max_record` characters or nested too deeply;
    `TruncatedStream` if the stream ends within a value. A byte order mark at the start is ignored.
    A value is parsed at once: if it holds a million tiny arrays, that takes 0.1 s for each MiB.
    Lower `max_record` where nothing may wait so long.
    """

    def __init__(self, *, max_record: int = MAX_SIZE) -> None:
        super().__init__()
        self._max_record = checked_limit("max_record", max_record)
        self._text = TextDecoder()
        self._parse = _parser()
        self._at_start = True
        self._held = StringIO()  # the beginning of a value
        self._size = 0  # of `_held`
        self._in_value = False
        self._is_scalar = False
        self._nesting: _Nesting | None = None  # of a string, array or object that is not `_shallow`

    def _read(self, part: bytes) -> Iterator[JSON]:
        return self._values(self._text._read(part))

    def _finish(self) -> Iterator[JSON]:
        yield from self._values(self._text._finish())
        if self._in_value:
            if not self._is_scalar or _half_scalar(self._held.getvalue()):
                raise TruncatedStream("the stream ended within a JSON value")
            yield self._complete("")

    def _values(self, texts: Iterator[str]) -> Iterator[JSON]:
        for text in texts:
            start = int(self._at_start and text.startswith("\ufeff"))
            self._at_start = False
            while True:
                if not self._in_value:
                    whole = _shallow(text, start)
                    if whole and len(whole[1]) <= self._max_record:
                        yield self._parsed(whole[1])
                        start = whole.end()
                        continue
                    start = _end(_gap, text, start)
                    if start == len(text):
                        break
                    self._begin(text[start])
                end = self._end_of_value(text, start)
                if end < 0:
                    self._hold(text[start:])
                    break
                yield self._complete(text[start:end])
                start = end

    def _begin(self, first: str) -> None:
        self._is_scalar = first in _FIRST_OF_SCALAR
        if not self._is_scalar and first not in _FIRST_OF_NESTED:
            raise StreamError(f"{first!r} stands where a JSON value should begin")
        self._in_value = True

    def _end_of_value(self, text: str, start: int) -> int:
        """Where in `text` the value ends of which the next character is at `start`; -1 if not in this text."""
        if self._is_scalar:
            end = _end(_scalar, text, start)
            return end if end < len(text) else -1
        stop = start + self._max_record - self._size + 1  # one more: too long
        self._nesting = self._nesting or _Nesting()
        return self._nesting.end(text, start, stop)

    def _hold(self, text: str) -> None:
        self._size += len(text)
        if self._size > self._max_record:
            raise StreamError(f"a JSON value is longer than {self._max_record} characters")
        self._held.write(text)

    def _complete(self, text: str) -> JSON:
        """The value that ends with `text`."""
        if self._size or len(text) > self._max_record:
            self._hold(text)
            text = self._held.getvalue()
            self._held = StringIO()
            self._size = 0
        self._in_value = False
        self._nesting = None
        return self._parsed(text)

    def _parsed(self, text: str) -> JSON:
        try:
            return self._parse(text)
        except ValueError as error:
            raise StreamError(f"not JSON: {error}") from None


class _Nesting:
    """Finds where a string, array or object ends."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._after_backslash = False

    def end(self, text: str, start: int, stop: int) -> int:
        """Where in `text[start:stop]` the value ends that began at `start` or in an earlier text; -1 if it does not end there."""
        if self._in_string:
            tail = _rest_of_string(text, start + self._after_backslash, stop)
            if tail is None or not self._closes(tail):
                return -1
            start = tail.end()
            if not self._depth:
                return start
        depth = self._depth
        for token in _tokens(text, start, stop):
            first = text[token.start()]
            if first == '"':
                if not self._closes(token):
                    break
            elif first in "[{":
                depth += 1
                if depth > MAX_DEPTH:
                    raise StreamError(f"JSON nested more than {MAX_DEPTH} deep")
            else:
                depth -= 1
            if depth <= 0:
                return token.end()
        self._depth = depth
        return -1

    def _closes(self, string: re.Match[str]) -> bool:
        """Whether the string ends here; if not, what the next text has to know."""
        self._in_string = not string[1]
        self._after_backslash = bool(string[2])
        return not self._in_string


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Where a pattern ends that matches everywhere."""
    found = pattern.match(text, start)
    return start if found is None else found.end()


def _parser() -> Callable[[str], JSON]:
    """Return a function from text to JSON value that raises `ValueError`.

    `json` is imported here because that takes 5 ms.
    """
    from json import JSONDecodeError, JSONDecoder

    decoder = JSONDecoder(parse_constant=_refuse)
    decode = cast("Callable[[str], JSON]", decoder.decode)
    raw_decode = cast("Callable[[str], tuple[JSON, int]]", decoder.raw_decode)

    def parse(text: str) -> JSON:
        try:
            if text[0] in _BLANKS or text[-1] in _BLANKS:
                return decode(text)
            value, end = raw_decode(text)  # 0.2 µs for `[]`, where `decode` takes 1.5
            return value if end == len(text) else decode(text)  # which raises
        except JSONDecodeError:
            raise
        except ValueError:
            raise StreamError("a number of JSON has more digits than Python converts") from None
        except RecursionError:
            raise StreamError(
                "JSON nested deeper than what is left of the caller's stack"
            ) from None

    return parse


def _refuse(word: str) -> NoReturn:
    raise StreamError(f"not JSON: {word}")
