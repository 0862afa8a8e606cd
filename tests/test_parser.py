"""The response parser: any cutting gives the same events, any bytes raise only our errors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core import service
from smruntime_core.streaming import (
    NEED_DATA,
    PayloadPart,
    ResponseEnded,
    ResponseParser,
    ResponseStarted,
    UnknownEvent,
)

OPERATION = sm.InvokeEndpointWithResponseStream(endpoint_name="story", body=b"Once")
OUTPUT = sm.InvokeEndpointWithResponseStreamOutput(
    content_type="text/plain", custom_attributes="a=b"
)
HEAD = service.begin(OUTPUT, request_id="q")

OURS = (sm.ServiceError, sm.ResponseError)
part_bodies = st.lists(st.binary(max_size=80), max_size=6)


def events(parser: ResponseParser) -> list[object]:
    found: list[object] = []
    try:
        while (event := parser.next_event()) is not NEED_DATA:
            found.append(event)
    except OURS as error:
        found.append((type(error), str(error)))
    return found


def read(pieces: list[bytes], head: sm.Response = HEAD) -> list[object]:
    parser = ResponseParser(OPERATION)
    parser.receive_head(head)
    found = events(parser)
    for piece in pieces:
        if (
            found
            and isinstance(found[-1], tuple)
            and not isinstance(found[-1], PayloadPart | UnknownEvent)
        ):
            return found
        parser.receive_data(piece)
        found += events(parser)
    if not (found and type(found[-1]) is tuple):
        parser.receive_eof()
        found += events(parser)
    return found


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]


@given(part_bodies, st.lists(st.integers(0, 5000), max_size=12))
def test_events_do_not_depend_on_how_the_body_is_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(service.event(PayloadPart(part)) for part in parts)
    expected = [ResponseStarted(OUTPUT), *map(PayloadPart, parts), ResponseEnded()]
    assert read(cut(stream, places)) == expected
    assert read([stream[i : i + 1] for i in range(len(stream))]) == expected


@given(
    part_bodies,
    st.integers(0, 5000),
    st.integers(0, 255),
    st.lists(st.integers(0, 5000), max_size=5),
)
def test_error_of_a_damaged_body_does_not_depend_on_how_it_is_cut(
    parts: list[bytes], place: int, value: int, places: list[int]
) -> None:
    stream = bytearray(b"".join(service.event(PayloadPart(part)) for part in parts) or b"\0")
    stream[place % len(stream)] = value
    assert read(cut(bytes(stream), places)) == read([bytes(stream)])


@given(
    st.binary(max_size=200),
    st.integers(200, 599),
    st.lists(st.tuples(st.sampled_from(["content-type", "x-amzn-errortype"]), st.text())),
)
def test_any_response_raises_only_our_errors(
    body: bytes, status: int, headers: list[tuple[str, str]]
) -> None:
    found = read([body], sm.Response(status, tuple(headers)))
    assert found
    if status >= 300:
        assert type(found[-1]) is tuple


def test_error_comes_after_earlier_events_and_is_final() -> None:
    parser = ResponseParser(OPERATION)
    parser.receive_head(HEAD)
    error = sm.ModelStreamError("broke")
    error.error_code = "E"
    parser.receive_data(
        service.event(PayloadPart(b"a")) + service.event(error) + service.event(PayloadPart(b"b"))
    )
    assert parser.next_event() == ResponseStarted(OUTPUT)
    assert parser.next_event() == PayloadPart(b"a")
    for _ in range(2):
        with pytest.raises(sm.ModelStreamError, match="broke") as caught:
            parser.next_event()
        assert caught.value.error_code == "E"
        assert caught.value.metadata.request_id == "q"


def test_error_body_is_limited_to_one_mebibyte() -> None:
    parser = ResponseParser(OPERATION)
    parser.receive_head(sm.Response(500))
    for _ in range(40):
        parser.receive_data(b"x" * 65536)
    parser.receive_eof()
    with pytest.raises(sm.ServiceError) as caught:
        parser.next_event()
    assert (len(caught.value.body), caught.value.truncated) == (1024 * 1024, True)


def test_end_without_head_raises_truncated_stream() -> None:
    parser = ResponseParser(OPERATION)
    assert parser.next_event() is NEED_DATA
    parser.receive_eof()
    with pytest.raises(sm.TruncatedStream):
        parser.next_event()


def test_parse_reads_a_complete_stream_at_once() -> None:
    body = service.event(PayloadPart(b"ab")) + service.event(PayloadPart(b"cd"))
    output = OPERATION.parse(HEAD.replace(body=body))
    assert output == OUTPUT.replace(body=b"abcd")
    assert output.metadata.request_id == "q"
    with pytest.raises(sm.TruncatedStream):
        OPERATION.parse(HEAD.replace(body=body[:-1]))
    with pytest.raises(sm.ModelError):
        OPERATION.parse(sm.Response(424, (("x-amzn-errortype", "ModelError"),)))


def test_repr_of_part_hides_its_bytes() -> None:
    assert repr(PayloadPart(b"secret")) == "PayloadPart(<6 bytes>)"


def test_truncated_body_raises_and_end_is_reported_once() -> None:
    body = service.event(PayloadPart(b"ab"))
    with pytest.raises(sm.TruncatedStream):
        OPERATION.parse(HEAD.replace(body=body, truncated=True))
    parser = ResponseParser(OPERATION)
    parser.receive_head(HEAD)
    parser.receive_data(body)
    parser.receive_eof()
    parser.receive_eof()
    assert events(parser) == [ResponseStarted(OUTPUT), PayloadPart(b"ab"), ResponseEnded()]
