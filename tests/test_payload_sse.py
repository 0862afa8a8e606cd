"""Server-sent events: round trips, and the rules of the standard one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import ConstructionError, StreamError, TruncatedStream
from smruntime_core.payload import ServerSentEvent, SSEDecoder, encode_sse

from .test_payload import cut, decode, places

E = ServerSentEvent
value = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=20)
events = st.builds(
    ServerSentEvent,
    data=st.lists(value, min_size=1, max_size=3).map("\n".join),
    event=value.map(lambda name: name or "message"),
    id=value,
    retry=st.none() | st.integers(0, 10**18 - 1),
)


def encode(event: ServerSentEvent, end: str) -> bytes:
    """Return the lines of one event, with one kind of line end."""
    written = [f"data: {line}" for line in event.data.split("\n")]
    written += [
        ": a comment",
        f"event:{' ' * event.event.startswith(' ')}{event.event}",
        f"id: {event.id}",
    ]
    if event.retry is not None:
        written.append(f"retry: {event.retry}")
    return "".join(f"{line}{end}" for line in [*written, ""]).encode()


@given(expected=st.lists(events, max_size=4), end=st.sampled_from(["\n", "\r", "\r\n"]), at=places)
def test_written_events_are_decoded(
    expected: list[ServerSentEvent], end: str, at: list[int]
) -> None:
    data = b"".join(encode(event, end) for event in expected)
    assert decode(SSEDecoder(), cut(data, at)) == (expected, None)


text = st.text(st.characters(codec="utf-8"), max_size=20)


@given(event=events, at=places)
def test_encoded_event_is_decoded(event: ServerSentEvent, at: list[int]) -> None:
    assert decode(SSEDecoder(), cut(encode_sse(event), at)) == ([event], None)


@given(data=text, name=text, number=text, retry=st.none() | st.integers())
def test_any_event_is_encoded_so_that_it_is_decoded_or_refused(
    data: str, name: str, number: str, retry: int | None
) -> None:
    event = ServerSentEvent(data, name, number, retry)
    lines = data.replace("\r\n", "\n").replace("\r", "\n")
    try:
        encoded = encode_sse(event)
    except ConstructionError:
        assert not name or set(name + number) & set("\r\n\0") or not 0 <= (retry or 0) < 10**18
    else:
        assert decode(SSEDecoder(), [encoded]) == ([event.replace(data=lines)], None)


def test_event_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ConstructionError, match="surrogates"):
        encode_sse(ServerSentEvent("\ud800"))


@given(expected=st.lists(events, min_size=1, max_size=3))
def test_stream_cut_anywhere_has_the_complete_events_then_shows_the_cut(
    expected: list[ServerSentEvent],
) -> None:
    encoded = [encode(event, "\n") for event in expected]
    data = b"".join(encoded)
    complete_at = {len(b"".join(encoded[:count])): count for count in range(len(encoded) + 1)}
    count = 0
    for end in range(len(data)):
        count = complete_at.get(end, count)
        found, error = decode(SSEDecoder(), [data[:end]])
        assert found[:count] == expected[:count]
        unterminated = [isinstance(event, E) and not event.terminated for event in found]
        if end in complete_at:
            assert (unterminated, error) == ([False] * count, None)
        elif error is None:
            message = "an event that may have been cut looks like a complete one"
            assert unterminated == [False] * count + [True], message
        else:
            assert isinstance(error, TruncatedStream)
            assert unterminated == [False] * count


RULES: dict[str, tuple[str, list[ServerSentEvent]]] = {
    "data lines are joined by LF": (
        "data: first\ndata:second\ndata\ndata: fourth\n\n",
        [E("first\nsecond\n\nfourth")],
    ),
    "one blank is removed": (
        "data:a\n\ndata: a\n\ndata:  a\n\ndata:\ta\n\n",
        [E("a"), E("a"), E(" a"), E("\ta")],
    ),
    "a blank before the colon is part of the name": ("data : a\n\n", []),
    "names are case-sensitive": ("Data: a\nDATA: b\ndata: c\n\n", [E("c")]),
    "only the first colon counts": ("data: a: b:c\n\n", [E("a: b:c")]),
    "a field without colon is empty": ("data\n\ndata\ndata\n\n", [E(""), E("\n")]),
    "an empty field with colon as well": ("data:\n\n", [E("")]),
    "a comment is nothing": (": hello\n\n:\n\ndata: a\n:data: b\n\n", [E("a")]),
    "no data, no event": ("event: ping\n\nevent: pong\nid: 4\n\n", []),
    "the event's name does not last": (
        "event: ping\n\ndata: a\n\nevent: x\ndata: b\n\ndata: c\n\n",
        [E("a"), E("b", "x"), E("c")],
    ),
    "an empty name is no name": ("event: x\nevent:\ndata: a\n\n", [E("a")]),
    "the last name counts": ("event: x\ndata: a\nevent: y\n\n", [E("a", "y")]),
    "an id lasts": (
        "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [E("a", id="1"), E("b", id="1"), E("c")],
    ),
    "an id lasts from where no event was": ("id: 1\n\ndata: b\n\n", [E("b", id="1")]),
    "an id with NUL is ignored": ("id: 1\nid: 2\0\ndata: a\n\n", [E("a", id="1")]),
    "retry is digits": ("retry: 10\ndata: a\n\n", [E("a", retry=10)]),
    "retry is said once": ("retry: 010\n\ndata: a\n\ndata: b\n\n", [E("a", retry=10), E("b")]),
    "an absurd retry is ignored": (f"retry: {'9' * 5000}\ndata: a\n\n", [E("a")]),
    "a byte order mark is ignored": ("\ufeffdata: a\n\n", [E("a")]),
    "once": ("\ufeff\ufeffdata: a\n\ndata: b\n\n", [E("b")]),
    "and at the start only": ("data: a\n\n\ufeffdata: b\n\n", [E("a")]),
    "a byte order mark before a comment": ("\ufeff: a\n", []),
    "blank lines alone are nothing": ("\n\n\r\r\n\n", []),
    "line ends may be mixed": ("data: a\rdata: b\r\ndata: c\n\r\n", [E("a\nb\nc")]),
    "comments may follow the last event": ("data: a\n\n: b\n: c", [E("a")]),
}


@pytest.mark.parametrize("rule", RULES)
def test_events_follow_the_rules_of_the_standard(rule: str) -> None:
    text, expected = RULES[rule]
    assert decode(SSEDecoder(), [text.encode()]) == (expected, None)


@pytest.mark.parametrize("value", ["", "-1", "+1", "1.0", "1 ", "0x1", "1_0", "١", "²"])
def test_retry_that_is_not_ascii_digits_is_ignored(value: str) -> None:
    assert decode(SSEDecoder(), [f"retry: {value}\ndata: a\n\n".encode()]) == ([E("a")], None)


REST = {
    "data": "",
    "data: b": "b",
    "data: b\n": "b",
    "data: b\r\n": "b",
    "data: b\r": "b",
    "data: b\nev": "b",
    "data: b\n: c": "b",
}


@pytest.mark.parametrize(("rest", "value"), REST.items())
def test_last_event_without_blank_line_is_unterminated(rest: str, value: str) -> None:
    """Some containers end their stream right after the line that says why the model stopped."""
    for parts in ([f"data: a\n\n{rest}".encode()], cut(f"data: a\n\n{rest}".encode(), range(100))):
        found, error = decode(SSEDecoder(), parts)
        assert (found, error) == ([E("a"), E(value, terminated=False)], None)
    assert E("a").terminated


def test_unterminated_event_keeps_its_name_and_id() -> None:
    found, _ = decode(SSEDecoder(), [b"id: 7\nevent: end\ndata: a\ndata: [DONE]"])
    assert found == [E("a\n[DONE]", "end", "7", terminated=False)]


@pytest.mark.parametrize("rest", ["d", "event: x\n", "id: 1\n", "retry: 1", "unknown\n"])
def test_last_event_without_blank_line_and_data_raises_truncated_stream(rest: str) -> None:
    found, error = decode(SSEDecoder(), [f"data: a\n\n{rest}".encode()])
    assert found == [E("a")]
    assert isinstance(error, TruncatedStream)


def test_half_a_character_at_the_end_raises_truncated_stream() -> None:
    found, error = decode(SSEDecoder(), [b"data: a\n\ndata: b\ndata: \xe2\x82"])
    assert found == [E("a")]
    assert isinstance(error, TruncatedStream)


def test_invalid_bytes_raise_stream_error_or_are_replaced() -> None:
    found, error = decode(SSEDecoder(), [b"data: a\n\ndata: \xff\n\n"])
    assert found == [E("a")]
    assert type(error) is StreamError
    assert decode(SSEDecoder(errors="replace"), [b"data: \xff\n\n"]) == ([E("\ufffd")], None)


def test_event_longer_than_max_event_is_refused() -> None:
    fits = b"data:abc\n" * 2
    assert decode(SSEDecoder(max_event=8), [fits + b"\n" + fits + b"\n"])[0] == [E("abc\nabc")] * 2
    found, error = decode(SSEDecoder(max_event=8), [fits + b"\n" + fits + b"data:a\n\n"])
    assert found == [E("abc\nabc")]
    assert type(error) is StreamError
    assert decode(SSEDecoder(max_event=8), [b"data\n" * 9 + b"\n"])[0] == [E("\n" * 8)]
    assert type(decode(SSEDecoder(max_event=8), [b"data\n" * 10])[1]) is StreamError
