"""Event streams: round trips, any cutting of the bytes, and errors at their position."""

from __future__ import annotations

import base64
import copy
import enum
import pickle
import struct
import tracemalloc
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, ResponseError
from smruntime_core.errors import StreamError, TruncatedStream
from smruntime_core.eventstream import (
    MAX_HEADERS,
    MAX_PAYLOAD,
    Byte,
    EventStreamDecoder,
    HeaderValue,
    Integer,
    Long,
    Message,
    Short,
    Timestamp,
    encode,
    encode_headers,
)
from smruntime_core.eventstream._decoder import MAX_KNOWN_HEAD_SIZE, MAX_KNOWN_HEADS
from smruntime_core.eventstream._headers import WIRE_TYPES
from smruntime_core.values._decoder import NEED_DATA, Decoder

from .vectors import cases

PART: dict[str, HeaderValue] = {
    ":event-type": "PayloadPart",
    ":content-type": "application/octet-stream",
    ":message-type": "event",
}

# ── helpers: any stream, in any pieces, to events and at most one error ──


def drain(decoder: EventStreamDecoder) -> tuple[list[Message], str | None]:
    """Return the messages and the error of a decoder; check that the error is final."""
    events: list[Message] = []
    try:
        while (event := decoder.next_event()) is not NEED_DATA:
            events.append(event)
    except StreamError as error:
        with pytest.raises(type(error)) as again:
            decoder.next_event()
        assert again.value is error
        assert str(error).isprintable()
        return events, f"{type(error).__name__}: {error}"
    return events, None


def decode(pieces: Iterable[bytes]) -> tuple[list[Message], str | None]:
    decoder = EventStreamDecoder()
    for piece in pieces:
        decoder.receive_data(piece)
    decoder.receive_eof()
    return drain(decoder)


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def frame(
    block: bytes = b"", payload: bytes = b"", *, total: int | None = None, length: int | None = None
) -> bytes:
    """Return a frame with valid checksums, whatever its sizes are."""
    sizes = struct.pack(
        ">II",
        16 + len(block) + len(payload) if total is None else total,
        len(block) if length is None else length,
    )
    body = sizes + struct.pack(">I", zlib.crc32(sizes)) + block + payload
    return body + struct.pack(">I", zlib.crc32(body))


def exactly(messages: list[Message]) -> list[Any]:
    """Return messages with the types of all values, because `True == 1 == Byte(1)` in Python."""
    return [
        ([(name, type(value), value) for name, value in message.headers.items()], message.payload)
        for message in messages
    ]


# ── strategies ──

name_ = st.text(min_size=1, max_size=12)
value_: st.SearchStrategy[HeaderValue] = st.one_of(
    st.booleans(),
    st.integers(-(2**7), 2**7 - 1).map(Byte),
    st.integers(-(2**15), 2**15 - 1).map(Short),
    st.integers(-(2**31), 2**31 - 1).map(Integer),
    st.integers(-(2**63), 2**63 - 1).map(Long),
    st.binary(max_size=20),
    st.text(max_size=12),
    st.integers(-(2**63), 2**63 - 1).map(Timestamp),
    st.uuids(),
)
headers_ = st.dictionaries(name_, value_, max_size=6)
message_ = st.builds(Message, headers_, st.binary(max_size=80))
# A stream repeats its heads, which the decoder remembers: a few of them in any order.
stream_ = st.lists(message_, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=12)
)
places_ = st.lists(st.integers(0, 10_000), max_size=12)

# ── round trips ──


@given(message_)
@example(Message({"é" * 127 + "e": Byte(-1)}))
@example(Message({"bytes": b"\xff" * 32_767, "text": "a" * 32_767, "none": b"", "empty": ""}))
def test_encoded_message_is_decoded_to_equal_message(message: Message) -> None:
    events, error = decode([encode(message)])
    assert exactly(events) == exactly([message]) and error is None
    assert encode(events[0]) == encode(message)


@given(stream_, places_)
def test_messages_do_not_depend_on_how_bytes_are_cut(
    messages: list[Message], places: list[int]
) -> None:
    stream = b"".join(map(encode, messages))
    events, error = decode(cut(stream, places))
    assert exactly(events) == exactly(messages) and error is None
    assert decode(stream[i : i + 1] for i in range(len(stream))) == (messages, None)


OTHER: dict[str, HeaderValue] = PART | {
    ":event-type": "payloadPart"
}  # as many bytes, another block
heads_ = st.sampled_from([PART, OTHER, PART | {"x": True}, {}])


@given(st.lists(st.builds(Message, heads_, st.integers(0, 2).map(bytes)), max_size=12))
@example([Message(PART), Message(PART), Message(OTHER), Message(PART)])
@example([Message(PART), Message(OTHER), Message(OTHER, b"x"), Message(PART), Message(PART, b"x")])
def test_alternating_heads_are_decoded_to_their_own_headers(messages: list[Message]) -> None:
    assert decode([b"".join(map(encode, messages))]) == (messages, None)


@given(st.integers(-(2**63), 2**63 - 1))
@example(2**31)
@example(-(2**31) - 1)
@example(-(2**63))
def test_plain_int_is_sent_in_four_bytes_if_it_fits_else_in_eight(number: int) -> None:
    [event], _ = decode([encode(Message({"n": number}))])
    assert event.headers["n"] == number
    assert type(event.headers["n"]) is (Integer if -(2**31) <= number < 2**31 else Long)


def test_subclasses_are_sent_as_their_base_types() -> None:
    class Word(enum.StrEnum):
        EVENT = "event"

    class Size(enum.IntEnum):
        SMALL = 3

    assert encode_headers({"w": Word.EVENT, "s": Size.SMALL}) == encode_headers(
        {"w": "event", "s": Integer(3)}
    )


def test_each_type_is_encoded_as_specified() -> None:
    headers: dict[str, HeaderValue] = {
        "0": True,
        "1": False,
        "2": Byte(-2),
        "3": Short(-2),
        "4": -2,
        "5": Long(-2),
        "6": b"ab",
        "7": "é",
        "8": Timestamp(1),
        "9": UUID(int=1),
    }
    raw = [
        "",
        "",
        "fe",
        "fffe",
        "fffffffe",
        "ff" * 7 + "fe",
        "00026162",
        "0002c3a9",
        "00" * 7 + "01",
        "00" * 15 + "01",
    ]
    assert encode_headers(headers).hex() == "".join(
        f"013{code}0{code}{value}" for code, value in enumerate(raw)
    )
    names = [wire_type.name for wire_type in WIRE_TYPES]
    assert names[:6] == ["true", "false", "byte", "short", "integer", "long"]


@given(st.lists(message_, max_size=4))
def test_botocore_decodes_what_we_encode(messages: list[Message]) -> None:
    eventstream = pytest.importorskip("botocore.eventstream")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(b"".join(map(encode, messages)))
    theirs = [(event.headers, event.payload) for event in buffer]
    ours = [
        ({name: v.bytes if isinstance(v, UUID) else v for name, v in m.headers.items()}, m.payload)
        for m in messages
    ]
    assert theirs == ours


# ── the published frames ──


def plain(value: HeaderValue) -> object:
    """Return a header's value as the vectors write it."""
    raw = value.bytes if isinstance(value, UUID) else value
    return {"b64": base64.b64encode(raw).decode()} if isinstance(raw, bytes) else raw


def frame_of_case(case: Any) -> bytes:
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    return zlib.decompress(base64.b64decode(case["zlib_b64"]))


def cuttings(data: bytes) -> list[list[bytes]]:
    """Return ways to receive a frame: alone, before and after another, and byte by byte."""
    after = encode(Message({"after": True}))
    pieces = [[data], [data + after], [encode(Message({})), data]]
    if len(data) < 1000:
        pieces.append([data[index : index + 1] for index in range(len(data))])
    return pieces


@pytest.mark.parametrize("case", cases("event-stream-frames.json"))
def test_published_frames_are_decoded_and_encoded(case: Any) -> None:
    data = frame_of_case(case)
    for pieces in cuttings(data):
        events, error = decode(pieces)
        if not case["valid"]:
            assert error is not None and error.startswith("StreamError")
            continue
        assert error is None
        [found] = [event for event in events if event.headers != {"after": True}][-1:]
        assert [[name, plain(value)] for name, value in found.headers.items()] == [
            [name, value] for name, _, value in case["headers"]
        ]
        assert found.payload == base64.b64decode(case["payload_b64"])
        assert encode(found) == data


# ── what is broken ──


def string(name: bytes, size: int, text: bytes, code: int = 7) -> bytes:
    return b"%c%b%c%b%b" % (len(name), name, code, size.to_bytes(2, "big"), text)


BLOCKS = {
    "a value runs over": (string(b"a", 9, b"text"), "'a' (string) runs past"),
    "no size of a value": (b"\x01a\x07\x00", "'a' (string) runs past"),
    "no bytes after a size": (b"\x01a\x06\x00\x01", "'a' (byte array) runs past"),
    "a cut byte": (b"\x01a\x02", "'a' (byte) runs past"),
    "a cut number": (b"\x01a\x04\x00\x00", "'a' (integer) runs past"),
    "a cut timestamp": (b"\x01a\x08" + bytes(7), "'a' (timestamp) runs past"),
    "a cut uuid": (b"\x01a\x09" + bytes(15), "'a' (uuid) runs past"),
    "type 10": (b"\x01a\x0a\x00", "of type 10"),
    "type 99": (b"\x01a\x63", "of type 99"),
    "text that is not UTF-8": (string(b"a", 2, b"\xff\xfe"), "'a' is not UTF-8"),
    "text with a surrogate": (string(b"a", 3, b"\xed\xa0\x80"), "'a' is not UTF-8"),
    "a name that is not UTF-8": (b"\x01\xff\x00", "name is not UTF-8"),
    "the same name twice": (b"\x01a\x00\x01a\x01", "'a' is there twice"),
    "no name": (b"\x00\x00", "empty name"),
    "nothing but a size": (b"\x00", "past the end"),
    "a name runs over": (b"\x05ab", "past the end"),
    "no type": (b"\x02ab", "past the end"),
    "a value of 32,768 bytes": (string(b"a", 32_768, bytes(32_768)), "32767 are allowed"),
}
PRELUDES = {
    "total 0": (0, 0, "cannot hold"),
    "total 12": (12, 0, "cannot hold"),
    "total 15": (15, 0, "cannot hold"),
    "headers longer than the frame": (20, 5, "cannot hold"),
    "4 GiB": (2**32 - 1, 0, "a payload of 4294967279 bytes"),
    "25 MB": (26_000_000, 100, "a payload of"),
    "one byte too much": (16 + MAX_PAYLOAD + 1, 0, "a payload of 25165825 bytes"),
    "headers of 128 KiB and a byte": (16 + MAX_HEADERS + 1, MAX_HEADERS + 1, "a header block of"),
    "headers of 4 GiB": (100, 2**32 - 1, "a header block of"),
}
GOOD = [Message(PART, b"one"), Message(PART, b"two")]
BEFORE = b"".join(map(encode, GOOD))


@pytest.mark.parametrize(("block", "says"), BLOCKS.values(), ids=BLOCKS)
def test_invalid_header_block_raises_stream_error_after_messages_before_it(
    block: bytes, says: str
) -> None:
    stream = BEFORE + frame(block, b"payload") + BEFORE
    whole, error = decode([stream])
    assert whole == GOOD
    assert (
        error is not None
        and error.startswith(f"StreamError: the frame at byte {len(BEFORE)}: ")
        and says in error
    )
    assert (
        decode(stream[i : i + 1] for i in range(min(len(stream), 2000))) == (GOOD, error)
        or len(stream) > 2000
    )


@pytest.mark.parametrize(("total", "length", "says"), PRELUDES.values(), ids=PRELUDES)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_invalid_prelude_is_refused_at_its_last_byte(
    total: int, length: int, says: str, step: int
) -> None:
    start = frame(total=total, length=length)[:12]
    decoder = EventStreamDecoder()
    early = BEFORE + start[:-1]
    for i in range(0, len(early), step):
        decoder.receive_data(early[i : i + step])
    assert drain(decoder) == (GOOD, None)
    decoder.receive_data(start[-1:])
    events, error = drain(decoder)
    assert events == []
    assert error is not None and says in error


def test_largest_allowed_frame_is_decoded() -> None:
    most: dict[str, HeaderValue] = {f"{i}": b"x" * 32_000 for i in range(4)}
    most["rest"] = b"x" * (MAX_HEADERS - len(encode_headers(most)) - 8)
    message = Message(most, bytes(MAX_PAYLOAD))
    stream = encode(message)
    assert len(stream) == 16 + MAX_HEADERS + MAX_PAYLOAD
    assert decode([stream[:100_000], stream[100_000:]]) == ([message], None)


@pytest.mark.parametrize("place", range(len(encode(GOOD[1]))))
def test_flipped_bit_raises_checksum_error(place: int) -> None:
    good = encode(GOOD[1])
    bad = good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :]
    for pieces in ([BEFORE + bad + BEFORE], [BEFORE, bad], [BEFORE + bad[:20], bad[20:] + BEFORE]):
        events, error = decode(pieces)
        assert events == GOOD
        assert error is not None and error.startswith("StreamError") and "checksum" in error


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_end_inside_a_frame_raises_truncated_stream(step: int) -> None:
    stream = BEFORE + encode(Message({"x": 1}, b"three"))
    whole = {0: 0, len(encode(GOOD[0])): 1, len(BEFORE): 2, len(stream): 3}
    for end in range(len(stream) + 1):
        events, error = decode(stream[i : min(i + step, end)] for i in range(0, end, step))
        place, count = max((place, count) for place, count in whole.items() if place <= end)
        assert len(events) == count
        if end in whole:
            assert error is None
        else:
            says = f"the stream ended inside the frame at byte {place}: {end - place} of "
            assert error is not None and error.startswith(f"TruncatedStream: {says}")


@given(
    headers_,
    st.binary(max_size=20),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    st.data(),
)
def test_altered_frames_with_valid_checksums_raise_only_stream_error(
    headers: dict[str, HeaderValue],
    payload: bytes,
    changes: list[tuple[int, int]],
    data: st.DataObject,
) -> None:
    block = bytearray(encode_headers(headers))
    for place, byte in changes:
        if block:
            block[place % len(block)] = byte
    small, any_size = st.integers(0, len(block) + 40), st.integers(0, 2**32 - 1)
    total = data.draw(st.none() | small | any_size)
    length = data.draw(st.none() | small | any_size)
    stream = BEFORE + frame(bytes(block), payload, total=total, length=length) + BEFORE
    whole, error = decode([stream])
    assert whole[:2] == GOOD
    assert decode(cut(stream, data.draw(places_))) == (whole, error)


@given(st.binary(max_size=200), places_)
def test_errors_do_not_depend_on_how_bytes_are_cut(data: bytes, places: list[int]) -> None:
    assert decode(cut(data, places)) == decode([data])


def test_parts_after_an_error_are_dropped() -> None:
    decoder = EventStreamDecoder()
    decoder.receive_data(encode(GOOD[0]) + bytes(12))
    events, error = drain(decoder)
    assert (events, error is None) == (GOOD[:1], False)
    tracemalloc.start()
    for _ in range(10):
        decoder.receive_data(bytes(1_000_000))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
    decoder.receive_eof()
    says = "the prelude's checksum is 6522df69 where 00000000 is stated"
    assert drain(decoder)[1] == error == f"StreamError: the frame at byte 108: {says}"


def test_truncated_stream_frees_its_frame_and_stays_truncated() -> None:
    stream = encode(Message(PART, bytes(1_000_000)))
    decoder = EventStreamDecoder()
    tracemalloc.start()
    for i in range(0, 900_000, 10_000):
        decoder.receive_data(stream[i : i + 10_000])
    decoder.receive_eof()
    arrived = f"900000 of {len(stream)} bytes arrived"
    says = f"TruncatedStream: the stream ended inside the frame at byte 0: {arrived}"
    assert drain(decoder) == ([], says)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
    decoder.receive_data(b"more")
    decoder.receive_eof()
    assert drain(decoder) == ([], says)


def test_traceback_does_not_grow_when_error_is_raised_again() -> None:
    decoder = EventStreamDecoder()
    decoder.receive_data(frame(b"\x01\xff\x00"))
    depths: list[int] = []
    for _ in range(3):
        with pytest.raises(StreamError) as caught:
            decoder.next_event()
        depths.append(len(caught.traceback))
        assert caught.value.__context__ is None
    assert len(set(depths)) == 1


def test_bytes_after_the_end_raise_stream_error() -> None:
    decoder = EventStreamDecoder()
    decoder.receive_eof()
    decoder.receive_data(b"")
    assert drain(decoder) == ([], None)
    decoder.receive_data(b"x")
    assert drain(decoder) == ([], "StreamError: bytes came after the end of the stream")


# ── what it costs, counted ──


def test_stated_length_reserves_no_memory() -> None:
    start = frame(bytes(10), total=16 + MAX_PAYLOAD, length=10)[:20]
    tracemalloc.start()
    decoder = EventStreamDecoder()
    decoder.receive_data(start)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert drain(decoder) == ([], None)
    assert peak < 20_000


def test_large_frame_uses_memory_for_itself_and_its_payload_only() -> None:
    size = 4_000_000
    stream = encode(Message(PART, bytes(size)))
    decoder = EventStreamDecoder()
    tracemalloc.start()
    for i in range(0, len(stream), 16_384):
        decoder.receive_data(stream[i : i + 16_384])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.3 * size  # the buffer grows by an eighth at a time
    assert drain(decoder) == ([Message(PART, bytes(size))], None)


class CountingBuffer:
    """A buffer that counts the bytes that are written and read."""

    moved = 0

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: bytes) -> None:
        self.held += data
        CountingBuffer.moved += len(data)

    def tell(self) -> int:
        return len(self.held)

    def getvalue(self) -> bytes:
        CountingBuffer.moved += len(self.held)
        return bytes(self.held)


@pytest.mark.parametrize("step", [1, 3, 100, 4096])
def test_each_byte_is_copied_at_most_twice(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smruntime_core.eventstream._decoder.BytesIO", CountingBuffer)
    monkeypatch.setattr(CountingBuffer, "moved", 0)
    stream = encode(Message(PART, bytes(30_000))) * 2
    events, error = decode(stream[i : i + step] for i in range(0, len(stream), step))
    assert len(events) == 2 and error is None
    assert CountingBuffer.moved <= 2 * len(stream)


def test_number_and_size_of_known_heads_are_limited() -> None:
    decoder = EventStreamDecoder()
    for size in range(2 * MAX_KNOWN_HEADS + 10):
        decoder.receive_data(encode(Message(PART, bytes(size))))
    assert len(decoder._known_heads) <= MAX_KNOWN_HEADS
    large: dict[str, HeaderValue] = {"large": bytes(MAX_KNOWN_HEAD_SIZE)}
    for size in range(10):
        decoder.receive_data(encode(Message(large, bytes(size))))
    assert decoder._known_heads == {}
    events, error = drain(decoder)
    assert [len(event.payload) for event in events] == [
        *range(2 * MAX_KNOWN_HEADS + 10),
        *range(10),
    ] and error is None
    assert len({id(event.headers) for event in events}) == 2


# ── values ──


def test_decoder_implements_the_decoder_protocol() -> None:
    decoder: Decoder[Message] = EventStreamDecoder()
    assert decoder.next_event() is NEED_DATA


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_bytearray_and_memoryview_are_accepted(kind: Any) -> None:
    decoder = EventStreamDecoder()
    for piece in cut(BEFORE, [5, 50, 150]):
        decoder.receive_data(kind(piece))
    events, _ = drain(decoder)
    assert events == GOOD
    assert {type(event.payload) for event in events} == {bytes}


def test_repr_of_message_shows_sizes_instead_of_bytes() -> None:
    message = Message(
        {":chunk-signature": b"secret", "n": Byte(1), ":date": Timestamp(2), "b": True},
        b"sensitive",
    )
    headers = "{':chunk-signature': <6 bytes>, 'n': Byte(1), ':date': Timestamp(2), 'b': True}"
    assert repr(message) == f"Message({headers}, <9 bytes>)"
    assert f"{Byte(5)} {Byte(5)!s}" == "5 5"


def test_decoded_headers_are_read_only() -> None:
    [event], _ = decode([encode(GOOD[0])])
    assert list(event.headers.items()) == list(PART.items())
    with pytest.raises(TypeError):
        event.headers["x"] = 1  # type: ignore[index]  # it is read-only


def test_decoded_message_can_be_pickled_and_copied() -> None:
    [event], _ = decode([encode(Message({"n": Short(7), "u": UUID(int=5)}, b"p"))])
    for other in (pickle.loads(pickle.dumps(event)), copy.deepcopy(event)):
        assert exactly([other]) == exactly([event])
        assert type(other) is Message


def test_timestamp_converts_to_datetime_within_years_1_to_9999() -> None:
    assert Timestamp(8_675_309).datetime == datetime(1970, 1, 1, 2, 24, 35, 309_000, tzinfo=UTC)
    assert Timestamp(-1).datetime.isoformat() == "1969-12-31T23:59:59.999000+00:00"
    for far in (2**63 - 1, -(2**63), 253_402_300_800_000, -62_135_596_800_001):
        with pytest.raises(ResponseError, match=f"{far} ms lies outside the years 1 to 9999"):
            _ = Timestamp(far).datetime


REFUSED: dict[str, tuple[dict[Any, Any], Any, str]] = {
    "no name": ({"": 1}, b"", "header name: it has 0 bytes; must be 1 to 255 bytes of UTF-8"),
    "a long name": ({"é" * 128: 1}, b"", "header name: it has 256 bytes"),
    "a name that is no text": ({b"a": 1}, b"", "header name: found bytes; must be a str"),
    "a name with a surrogate": ({"\ud800": 1}, b"", "header name: it has a lone surrogate"),
    "text with a surrogate": ({"a": "\ud800"}, b"", "header 'a': it has a lone surrogate"),
    "long text": (
        {"a": "é" * 16_384},
        b"",
        "header 'a': it has 32768 bytes; must be at most 32767 bytes",
    ),
    "long bytes": ({"a": bytes(32_768)}, b"", "header 'a': it has 32768"),
    "a large number": ({"a": 2**63}, b"", "header 'a': must be a number of at most 64 bits"),
    "a small number": ({"a": -(2**63) - 1}, b"", "header 'a': must be a number of at most 64 bits"),
    "no value": (
        {"a": None},
        b"",
        "header 'a': found NoneType; must be a bool, int, bytes, str, Timestamp or UUID",
    ),
    "a float": ({"a": 1.5}, b"", "header 'a': found float"),
    "headers of more than 128 KiB": (
        {str(i): bytes(32_767) for i in range(4)},
        b"",
        "headers: they have 131088 bytes; must be at most 131072",
    ),
    "a payload of more than 24 MiB": (
        {},
        bytes(MAX_PAYLOAD + 1),
        "payload: it has 25165825 bytes; must be at most 25165824",
    ),
    "a payload that is no bytes": ({}, "text", "payload: found str; must be bytes"),
}


@pytest.mark.parametrize(("headers", "payload", "says"), REFUSED.values(), ids=REFUSED)
def test_encode_names_what_cannot_be_encoded(headers: Any, payload: Any, says: str) -> None:
    with pytest.raises(ConstructionError) as caught:
        encode(Message(headers, payload))
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("kind", [Byte, Short, Integer, Long, Timestamp])
def test_number_that_does_not_fit_its_type_is_refused(kind: Any) -> None:
    limit = 2 ** (8 * kind.size - 1)
    assert (kind(limit - 1), kind(-limit)) == (limit - 1, -limit)
    for number in (limit, -limit - 1):
        with pytest.raises(
            ConstructionError, match=f"{kind.__name__}: must be {-limit} to {limit - 1}"
        ):
            kind(number)


def test_truncated_stream_is_a_stream_error() -> None:
    assert issubclass(TruncatedStream, StreamError) and issubclass(StreamError, ResponseError)
