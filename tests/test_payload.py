"""Properties of all payload decoders: any cutting gives the same events and error; limits."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, StreamError, TruncatedStream
from smruntime_core.payload import (
    NEED_DATA,
    JSONLinesDecoder,
    JSONRecordDecoder,
    LineDecoder,
    ServerSentEvent,
    SSEDecoder,
    TextDecoder,
)
from smruntime_core.values._decoder import Decoder

from .helpers import modules_after

Make = Callable[[], Decoder[object]]
DECODERS: dict[str, Make] = {
    "text": TextDecoder,
    "text, replaced": lambda: TextDecoder(errors="replace"),
    "lines": LineDecoder,
    "lines, replaced": lambda: LineDecoder(errors="replace"),
    "short lines": lambda: LineDecoder(max_line=5),
    "events": SSEDecoder,
    "events, replaced": lambda: SSEDecoder(errors="replace"),
    "short events": lambda: SSEDecoder(max_event=12),
    "JSON lines": JSONLinesDecoder,
    "short JSON lines": lambda: JSONLinesDecoder(max_line=5),
    "JSON records": JSONRecordDecoder,
    "short JSON records": lambda: JSONRecordDecoder(max_record=5),
    "JSON records of 300": lambda: JSONRecordDecoder(max_record=300),
}
LIMITED: dict[str, tuple[Callable[[int], Decoder[object]], bytes]] = {
    "lines": (lambda limit: LineDecoder(max_line=limit), b""),
    "events, a line": (lambda limit: SSEDecoder(max_event=limit), b"data:"),
    "events, a comment": (lambda limit: SSEDecoder(max_event=limit), b":"),
    "JSON lines": (lambda limit: JSONLinesDecoder(max_line=limit), b'"'),
    "JSON records, a string": (lambda limit: JSONRecordDecoder(max_record=limit), b'"'),
    "JSON records, an array": (lambda limit: JSONRecordDecoder(max_record=limit), b"["),
    "JSON records, a word": (lambda limit: JSONRecordDecoder(max_record=limit), b"t"),
}
FRAGMENTS = [
    *(bytes((byte,)) for byte in b'\r\n\n :{}[],"\\0123tfn-.eE\xe2\xff\xed\xa0\xf0\x80\0'),
    *(
        text.encode()
        for text in (
            "€",
            "\ufeff",
            "data: x",
            "data",
            "event:y",
            "id:1",
            "retry:5",
            ": z",
            "\n\n",
            "\r\n",
            "true",
            "null",
            '{"a":1}',
            '"\\""',
            "NaN",
        )
    ),
    b"[" * 200,
]
hostile = st.lists(st.sampled_from(FRAGMENTS) | st.binary(max_size=3)).map(b"".join)
places = st.lists(st.integers(0, 1 << 16), max_size=12)


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """Return `data` in parts, some of which may be empty."""
    ends = sorted(place % (len(data) + 1) for place in at)
    return [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def decode(
    decoder: Decoder[object], parts: Iterable[bytes]
) -> tuple[list[object], StreamError | None]:
    """Return all events, and the error that came after them, if any."""
    events: list[object] = []
    try:
        for part in parts:
            decoder.receive_data(part)
            while (event := decoder.next_event()) is not NEED_DATA:
                events.append(event)
        decoder.receive_eof()
        while (event := decoder.next_event()) is not NEED_DATA:
            events.append(event)
    except StreamError as error:
        return events, error
    return events, None


def outcome(name: str, parts: Iterable[bytes]) -> tuple[list[object], object, str]:
    """Return comparable events and error; pieces of text are joined, as they follow the parts."""
    events, error = decode(DECODERS[name](), parts)
    if name.startswith("text"):
        assert "" not in events
        return ["".join(map(str, events))], type(error), str(error)
    return events, type(error), str(error)


@pytest.mark.parametrize("name", DECODERS)
@given(data=hostile, at=places)
def test_events_and_error_do_not_depend_on_how_bytes_are_cut(
    name: str, data: bytes, at: list[int]
) -> None:
    whole = outcome(name, [data])
    assert outcome(name, cut(data, at)) == whole
    assert outcome(name, cut(data, range(len(data)))) == whole


@pytest.mark.parametrize("name", DECODERS)
@given(data=hostile)
def test_error_is_final_printable_and_picklable(name: str, data: bytes) -> None:
    decoder = DECODERS[name]()
    _, error = decode(decoder, [data])
    if error is None:
        assert decoder.next_event() is NEED_DATA
        return
    assert str(error).isprintable()
    decoder.receive_data(b'\n\n1 "x"\n\n')
    decoder.receive_eof()
    depths: set[int] = set()
    for _ in range(3):
        with pytest.raises(StreamError) as caught:
            decoder.next_event()
        assert caught.value is error
        depths.add(len(caught.traceback))
    assert len(depths) == 1
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(
    "kind", [TextDecoder, LineDecoder, SSEDecoder, JSONLinesDecoder, JSONRecordDecoder]
)
def test_buffer_can_be_reused_after_receive_data(
    kind: type[TextDecoder]
    | type[LineDecoder]
    | type[SSEDecoder]
    | type[JSONLinesDecoder]
    | type[JSONRecordDecoder],
) -> None:
    decoder, expected = kind(), kind()
    buffer = bytearray(5)
    for part in (b'"data', b': x"\n', b"\n \n\n\n"):
        buffer[:] = part
        decoder.receive_data(buffer)
        expected.receive_data(part)
    for part in (b"12345", b" \n\n\r\n"):
        buffer[:] = part
        decoder.receive_data(memoryview(buffer))
        expected.receive_data(part)
    buffer[:] = b"99999"
    assert decode(decoder, []) == decode(expected, [])


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("data", ["text", 3, None])
def test_data_that_is_not_bytes_raises_type_error(name: str, data: bytes) -> None:
    with pytest.raises(TypeError):
        DECODERS[name]().receive_data(data)


@pytest.mark.parametrize("name", DECODERS)
def test_empty_stream_has_no_events_and_no_error(name: str) -> None:
    assert decode(DECODERS[name](), []) == ([], None)
    assert decode(DECODERS[name](), [b"", b""]) == ([], None)


@pytest.mark.parametrize("name", DECODERS)
def test_bytes_after_the_end_raise_an_error_after_the_events(name: str) -> None:
    decoder = DECODERS[name]()
    decoder.receive_data(b"\n7")
    decoder.receive_eof()
    decoder.receive_data(b"")
    decoder.receive_eof()
    decoder.receive_data(b"8\n")
    events, error = decode(decoder, [])
    assert events == outcome(name, [b"\n7"])[0] or name.startswith("text")
    assert isinstance(error, StreamError)


@pytest.mark.parametrize("name", LIMITED)
def test_endless_event_is_refused_at_the_limit(name: str) -> None:
    make, start = LIMITED[name]
    decoder, limit = make(1000), 1000
    decoder.receive_data(start)
    for _ in range(limit - len(start)):
        decoder.receive_data(b"1")
    assert decoder.next_event() is NEED_DATA
    decoder.receive_data(b"1")
    with pytest.raises(StreamError, match="longer than 1000"):
        decoder.next_event()


@pytest.mark.parametrize("name", LIMITED)
@pytest.mark.parametrize("limit", [0, -1, True, 1.5, None])
def test_limit_that_is_not_a_positive_int_is_refused(name: str, limit: int) -> None:
    with pytest.raises(ConstructionError, match=r"max_(line|event|record)"):
        LIMITED[name][0](limit)


@pytest.mark.parametrize("kind", [TextDecoder, LineDecoder, SSEDecoder])
def test_errors_other_than_strict_and_replace_are_refused(
    kind: type[TextDecoder] | type[LineDecoder] | type[SSEDecoder],
) -> None:
    with pytest.raises(ConstructionError, match="errors"):
        kind(errors="ignore")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("decoder", "start", "part", "end"),
    [
        (LineDecoder(max_line=1 << 25), b"", b"a" * 256, b"\n"),
        (SSEDecoder(max_event=1 << 25), b"data:", b"a" * 256, b"\n\n"),
        (SSEDecoder(max_event=1 << 25), b"", b"data:" + b"a" * 250 + b"\n", b"\n\n"),
        (JSONLinesDecoder(max_line=1 << 25), b'"', b"a" * 256, b'"\n'),
        (JSONRecordDecoder(max_record=1 << 25), b'["\\', b'"a\\' * 85, b'""]'),
        (JSONRecordDecoder(max_record=1 << 25), b"[0", b",111111111" * 25, b"]"),
    ],
)
def test_time_for_many_small_parts_is_linear(
    decoder: Decoder[object], start: bytes, part: bytes, end: bytes
) -> None:
    """Linear time is a fraction of a second; scanning what is held with each part takes minutes."""
    began = time.process_time()
    events, error = decode(decoder, [start, *[part] * (1 << 16), end])
    assert (len(events), error) == (1, None)
    assert time.process_time() - began < 20


def test_importing_the_decoders_does_not_load_json() -> None:
    assert "json" not in modules_after("import smruntime_core.payload")


# ── faults of other readers of such streams, each of them seen in the wild ──


def test_last_line_without_newline_is_returned() -> None:
    """A loop that waits for a newline that never comes does not end."""
    assert decode(LineDecoder(), [b"one\ntwo"]) == (["one", "two"], None)
    assert decode(JSONLinesDecoder(), [b'{"a":1}\n{"a":2}']) == ([{"a": 1}, {"a": 2}], None)


@pytest.mark.parametrize("name", DECODERS)
def test_empty_parts_change_nothing(name: str) -> None:
    """A keep-alive has no bytes; treating it as text is a TypeError."""
    parts = [b'"\xe2', b'\x82\xac\\"', b'\\"', b'"\r', b"\n\r", b"\n7\n"]
    assert outcome(name, [padded for part in parts for padded in (b"", part, b"")]) == outcome(
        name, parts
    )


def test_character_cut_in_two_is_decoded() -> None:
    """Decoding each part by itself fails on half a character."""
    data = 'data: "naïve 東京 🦉"\n\n'.encode()
    for make in (TextDecoder, LineDecoder):
        assert "".join(
            map(str, decode(make(), cut(data, range(len(data))))[0])
        ) == data.decode().replace("\n", "\n" * (make is TextDecoder))
    events, error = decode(SSEDecoder(), cut(data, range(len(data))))
    assert (events, error) == ([ServerSentEvent('"naïve 東京 🦉"')], None)


def test_field_name_is_removed_once_as_a_prefix() -> None:
    """Stripping a set of characters instead of a prefix makes " dane" of "great dane"."""
    words = ["great dane", "data: at a date", "next token", "  two blanks", ":colon", ""]
    events, _ = decode(SSEDecoder(), ["".join(f"data: {word}\n\n" for word in words).encode()])
    assert [getattr(event, "data", None) for event in events] == words


def test_all_events_in_one_part_are_returned() -> None:
    """Taking one event from each part drops the others."""
    events, _ = decode(SSEDecoder(), [b"data: a\n\ndata: b\n\ndata: c\n", b"\ndata: d\n\n"])
    assert [getattr(event, "data", None) for event in events] == ["a", "b", "c", "d"]
    assert decode(JSONRecordDecoder(), [b'{"a":1}{"a":2}\n[3]4 ', b"5"]) == (
        [{"a": 1}, {"a": 2}, [3], 4, 5],
        None,
    )


def test_unknown_events_are_returned_and_unknown_fields_ignored() -> None:
    """Looking its name up in a table is a KeyError."""
    events, error = decode(SSEDecoder(), [b"event: brand_new\nsurprise: 1\ndata: x\n\n"])
    assert (events, error) == ([ServerSentEvent("x", "brand_new")], None)


@pytest.mark.parametrize("name", ["text", "lines", "events", "JSON lines", "JSON records"])
def test_binary_data_raises_stream_error(name: str) -> None:
    """Searching a binary stream for text finds nothing, silently."""
    events, error = decode(
        DECODERS[name](), [b"\x00\x00\x00\x85\x00\x00\x00\x71\xfe\x01\x02\x03\n\n"]
    )
    assert isinstance(error, StreamError) and not isinstance(error, TruncatedStream)
    assert "".join(map(str, events)) in ("", "\x00\x00\x00\x85\x00\x00\x00\x71"[:3])


def test_record_cut_in_two_parts_is_one_record() -> None:
    """Parsing each part by itself fails on half a record."""
    for decoder in (JSONLinesDecoder(), JSONRecordDecoder()):
        assert decode(decoder, [b'{"text": "a', b'b"}\n{"te', b'xt": "}\\"{"}']) == (
            [{"text": "ab"}, {"text": '}"{'}],
            None,
        )


def test_stream_cut_in_half_raises_truncated_stream() -> None:
    """Dropping what is left at the end hides that the stream was cut."""
    for decoder, data in (
        (TextDecoder(), b"caf\xc3"),
        (LineDecoder(), b"caf\xc3"),
        (SSEDecoder(), b"event: par"),
        (SSEDecoder(), b"data: part\ndata: caf\xc3"),
        (JSONLinesDecoder(), b'{"a": '),
        (JSONRecordDecoder(), b'{"a": '),
    ):
        assert isinstance(decode(decoder, [data])[1], TruncatedStream)


def test_event_is_returned_as_soon_as_it_is_complete() -> None:
    """Reading everything first, or one byte ahead, delays tokens."""
    for decoder, data in (
        (TextDecoder(), b"a"),
        (LineDecoder(), b"a\n"),
        (LineDecoder(), b"a\r"),
        (SSEDecoder(), b"data: a\n\n"),
        (SSEDecoder(), b"data: a\r\r"),
        (SSEDecoder(), b"data: a\r\n\r"),
        (JSONLinesDecoder(), b"[1]\r"),
        (JSONRecordDecoder(), b"[1]"),
        (JSONRecordDecoder(), b'"a"'),
        (JSONRecordDecoder(), b"1 "),
    ):
        decoder.receive_data(data)
        assert decoder.next_event() is not NEED_DATA


def test_line_end_cut_in_two_ends_one_line() -> None:
    """Counting CR and LF separately makes a blank line, which ends an event too early."""
    assert decode(LineDecoder(), [b"a\r", b"\nb\r", b"", b"\n\r", b"\nc"]) == (
        ["a", "b", "", "c"],
        None,
    )
    events, _ = decode(SSEDecoder(), [b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"])
    assert [getattr(event, "data", None) for event in events] == ["a\nb"]


def test_only_cr_and_lf_end_a_line() -> None:
    """Splitting text at everything that Unicode calls a line end cuts JSON strings in half."""
    text = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i"
    assert decode(LineDecoder(), [text.encode()]) == ([text], None)
    assert decode(JSONLinesDecoder(), ['"\x85\u2028\u2029"\n'.encode()]) == (
        ["\x85\u2028\u2029"],
        None,
    )


def test_blanks_around_tokens_are_kept() -> None:
    """Stripping lines or parts joins words."""
    assert decode(LineDecoder(), [b"  a \n\t\n"]) == (["  a ", "\t"], None)
    assert "".join(map(str, decode(TextDecoder(), [b" a ", b"\n", b" b"])[0])) == " a \n b"
    events, _ = decode(SSEDecoder(), [b"data:  a \n\n"])
    assert [getattr(event, "data", None) for event in events] == [" a "]


def test_done_marker_is_an_event() -> None:
    """Parsing every event as JSON fails on it; what follows it is still decoded."""
    events, error = decode(SSEDecoder(), [b'data: {"a":1}\n\ndata: [DONE]\n\n: bye\n\n'])
    assert [getattr(event, "data", None) for event in events] == [
        '{"a":1}',
        "[DONE]",
    ] and error is None


def test_decoders_do_not_share_state() -> None:
    first, second = SSEDecoder(), SSEDecoder()
    first.receive_data(b"id: 1\ndata: a\n")
    second.receive_data(b"data: b\n\n")
    assert decode(second, []) == ([ServerSentEvent("b")], None)
