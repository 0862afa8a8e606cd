"""Streamed responses on real sockets, over every transport: complete, or ended by an error."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import pytest

from smruntime_core import (
    DispatchFailure,
    InternalStreamFailure,
    InvokeEndpointWithResponseStreamOutput,
    ModelError,
    ModelStreamError,
    ResponseError,
    ServiceError,
    StreamError,
    Timeouts,
    TruncatedStream,
    service,
)
from smruntime_core.eventstream import Message, encode
from smruntime_core.payload import ServerSentEvent
from smruntime_core.streaming import PayloadPart, ResponseEnded, UnknownEvent
from smruntime_transports import sockets

from .callers import AWAITED, BLOCKING, CREDENTIALS, IRIS, STREAMED, STREAMERS, Streamer
from .servers import OK, cutting, scripted

HEAD = InvokeEndpointWithResponseStreamOutput(
    content_type="text/plain", invoked_production_variant="V", custom_attributes="a=b"
)
TEXT = "Once — upon\na time. "
PARTS = [TEXT.encode()[:6], TEXT.encode()[6:9], TEXT.encode()[9:]]  # cut inside the dash
FRAMES = [service.event(PayloadPart(part)) for part in PARTS]


@pytest.fixture(params=STREAMERS)
def stream(request: pytest.FixtureRequest) -> Streamer:
    return STREAMERS[request.param]


def head(*fields: str) -> bytes:
    response = service.begin(HEAD, request_id="q-1")
    lines = [
        "HTTP/1.1 200 OK",
        *(f"{name}: {value}" for name, value in response.headers),
        *fields,
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def chunks(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + end


def chunked(*pieces: bytes) -> bytes:
    return head("Transfer-Encoding: chunked") + chunks(*pieces)


def by_length(*pieces: bytes) -> bytes:
    body = b"".join(pieces)
    return head(f"Content-Length: {len(body)}") + body


def json_error(status: str, kind: str, body: bytes = b'{"Message":"no"}') -> bytes:
    lines = [
        f"HTTP/1.1 {status}",
        f"x-amzn-errortype: {kind}",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def test_stream_has_head_and_parts_and_keeps_its_connection(stream: Streamer) -> None:
    with scripted(chunked(*FRAMES), by_length(*FRAMES), chunked(b"".join(FRAMES))) as server:
        for told in stream(server.url, calls=3):
            assert told.error is None
            assert told.items == PARTS
            assert told.heads == [HEAD]
            assert told.heads[0].metadata.request_id == "q-1"
            assert [attempt.outcome for attempt in told.heads[0].metadata.attempts] == ["ok"]
        assert server.connections == 1


def test_every_method_reads_the_same_response(stream: Streamer) -> None:
    sse = b'data: {"a":1}\n\ndata: [DONE]\n\n'
    for how, body, expected in (
        ("text", TEXT.encode(), None),
        ("lines", TEXT.encode(), ["Once — upon", "a time. "]),
        ("sse", sse, [ServerSentEvent(data='{"a":1}'), ServerSentEvent(data="[DONE]")]),
        ("json", b'{"a":[1,2]}\n{"b":"\xe2\x80\x94"}3', [{"a": [1, 2]}, {"b": "—"}, 3]),
        ("jsonl", b'{"a":[1,2]}\n\n{"b":"\xe2\x80\x94"}\n3', [{"a": [1, 2]}, {"b": "—"}, 3]),
        ("events", b"abc", [PayloadPart(b"abc"), ResponseEnded()]),
        ("iteration", b"abc", [PayloadPart(b"abc"), ResponseEnded()]),
    ):
        size = len(body) if how in ("events", "iteration") else 4
        cut = [body[i : i + size] for i in range(0, len(body), size)]
        with scripted(chunked(*(service.event(PayloadPart(piece)) for piece in cut))) as server:
            (told,) = stream(server.url, how=how)
        assert told.error is None
        assert told.items == expected or (how == "text" and "".join(told.items) == TEXT)


def test_larger_json_values_need_a_larger_max_record(stream: Streamer) -> None:
    large = chunked(service.event(PayloadPart(b'"%s"' % (b"x" * 1_100_000))))
    with scripted(large, large) as server:
        (refused,) = stream(server.url, how="json")
        (told,) = stream(server.url, how="json", max_record=2_000_000)
    assert type(refused.error) is StreamError
    assert "raise max_record" in str(refused.error)
    assert (told.error, told.items) == (None, ["x" * 1_100_000])


def test_part_is_delivered_when_it_arrives(stream: Streamer) -> None:
    for whole in (chunked(*FRAMES), by_length(*FRAMES)):
        first = whole.index(FRAMES[0]) + len(FRAMES[0])
        with scripted(whole[:first]) as server:
            begun = time.monotonic()
            (told,) = stream(server.url, leave_after=1)
            assert told.items == PARTS[:1]
            assert time.monotonic() - begun < 5, "it waited for more than there was"


def test_leaving_early_closes_the_connection(stream: Streamer) -> None:
    with scripted(chunked(*FRAMES), chunked(*FRAMES)) as server:
        left, after = stream(server.url, calls=2, leave_after=1)
        assert left.items == after.items == PARTS[:1]
        assert server.connections == 2


@pytest.mark.parametrize("framed", [chunked, by_length])
def test_stream_cut_anywhere_raises_after_its_whole_events(
    stream: Streamer, framed: object
) -> None:
    answer = chunked(*FRAMES) if framed is chunked else by_length(*FRAMES)
    with cutting(answer) as url:
        outcomes = stream(url, calls=len(answer))
    *cut, whole = outcomes
    assert (whole.error, whole.items) == (None, PARTS)
    ends = [answer.index(frame) + len(frame) for frame in FRAMES]
    for length, told in enumerate(cut, 1):
        assert told.error is not None, (
            f"{length} bytes of {len(answer)} were taken for the whole answer"
        )
        if told.items != PARTS or framed is by_length:
            assert told.items == PARTS[: sum(length >= end for end in ends)]


def test_stream_that_ends_inside_a_frame_is_truncated(stream: Streamer) -> None:
    for kept in (4, 12, len(FRAMES[1]) - 6):
        with scripted(chunked(FRAMES[0], FRAMES[1][:kept])) as server:
            (told,) = stream(server.url)
        assert told.items == PARTS[:1]
        assert isinstance(told.error, TruncatedStream)
        assert told.error.metadata.request_id == "q-1"


def test_error_event_is_typed_and_ends_the_stream(stream: Streamer) -> None:
    model = ModelStreamError("it broke")
    model.error_code = "ModelInvocationTimeExceeded"
    html = {":message-type": "exception", ":exception-type": "ModelStreamError"}
    for frame, kind, code, message in (
        (service.event(model), ModelStreamError, "ModelStreamError", "it broke"),
        (
            service.event(InternalStreamFailure("we broke")),
            InternalStreamFailure,
            "InternalStreamFailure",
            "we broke",
        ),
        (service.event(ServiceError("odd", code="Unheard")), ServiceError, "Unheard", "odd"),
        (encode(Message({**html, ":exception-type": "Novel"}, b"{}")), ServiceError, "Novel", ""),
        (encode(Message(html, b"<html>")), ModelStreamError, "ModelStreamError", ""),
    ):
        with scripted(chunked(FRAMES[0], frame, FRAMES[1])) as server:
            (told,) = stream(server.url, attempts=3)
        assert told.items == PARTS[:1]
        assert type(told.error) is kind
        assert isinstance(told.error, ServiceError)
        assert (told.error.code, told.error.message) == (code, message)
        assert told.error.metadata.request_id == "q-1"
        assert told.error.body or code == "Unheard"
        if code == "ModelStreamError" and message:
            assert getattr(told.error, "error_code") == "ModelInvocationTimeExceeded"  # noqa: B009 - of one kind only
        assert len(server.requests) == 1, "nothing is sent twice once an answer has begun"


def test_unknown_event_is_delivered(stream: Streamer) -> None:
    novel = Message({":message-type": "event", ":event-type": "Usage"}, b"{}")
    opening = Message({":message-type": "event", ":event-type": "initial-response"}, b"{}")
    with scripted(
        chunked(encode(opening), FRAMES[0], encode(novel)), chunked(encode(novel), FRAMES[0])
    ) as server:
        (told,) = stream(server.url, how="events")
        (parts,) = stream(server.url, how="bytes")
    assert told.items == [PayloadPart(PARTS[0]), UnknownEvent("Usage", novel), ResponseEnded()]
    assert parts.items == PARTS[:1]


@pytest.mark.parametrize(
    "frame",
    [
        FRAMES[1][:20] + b"\xff" + FRAMES[1][21:],
        FRAMES[1][:-1] + b"\xff",
        encode(Message({":event-type": "PayloadPart"}, b"")),
        encode(Message({":message-type": 1}, b"")),
        encode(Message({":message-type": "event"}, b"")),
        encode(Message({":message-type": "novel"}, b"")),
    ],
)
def test_malformed_event_is_a_stream_error(stream: Streamer, frame: bytes) -> None:
    with scripted(chunked(FRAMES[0], frame)) as server:
        (told,) = stream(server.url)
    assert told.items == PARTS[:1]
    assert isinstance(told.error, StreamError)


def test_success_without_an_event_stream_is_a_response_error(stream: Streamer) -> None:
    with scripted(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nhi"
    ) as server:
        (told,) = stream(server.url)
    assert isinstance(told.error, StreamError)
    assert told.items == told.heads == []


def test_error_before_the_stream_is_typed_and_retried(stream: Streamer) -> None:
    busy = json_error("503 x", "ServiceUnavailable")
    with scripted(
        busy,
        chunked(*FRAMES),
        json_error("424 x", "ModelError", b'{"Message":"bad","OriginalStatusCode":500}'),
    ) as server:
        again, refused = stream(server.url, calls=2, attempts=2)
        assert again.items == PARTS
        assert [attempt.outcome for attempt in again.heads[0].metadata.attempts] == [
            "ServiceUnavailable",
            "ok",
        ]
        assert isinstance(refused.error, ModelError)
        assert (refused.error.original_status_code, refused.error.message) == (500, "bad")
        assert server.connections == 1


def test_stall_inside_the_stream_is_a_timeout(stream: Streamer) -> None:
    first = chunked(*FRAMES)
    first = first[: first.index(FRAMES[0]) + len(FRAMES[0]) + 2]
    with scripted(first, 5.0) as server:
        (told,) = stream(server.url, timeouts=Timeouts(idle=0.2, response=0.2))
    assert told.items == PARTS[:1]
    assert isinstance(told.error, DispatchFailure)
    assert (told.error.kind, told.error.phase, told.error.delivery) == (
        "timeout",
        "body",
        "answered",
    )


def test_stall_until_the_end_of_the_call_names_its_limit(stream: Streamer) -> None:
    first = chunked(*FRAMES)
    first = first[: first.index(FRAMES[0]) + len(FRAMES[0]) + 2]
    with scripted(first, 5.0) as server:
        (told,) = stream(server.url, timeouts=Timeouts(total=0.2))
    assert isinstance(told.error, DispatchFailure)
    assert told.error.hint == "the setting is timeout=0.2, or Timeouts(total=0.2)"


@pytest.mark.parametrize(
    ("body", "remedy"), [(b' \n{"a":1}', ".json()"), (b"[1]", ".json()"), (b"<html>", ".text()")]
)
def test_answer_that_is_no_event_is_refused_with_the_method_to_use(
    stream: Streamer, body: bytes, remedy: str
) -> None:
    pieces = [body[i : i + 1] for i in range(len(body))]
    with scripted(chunked(*(service.event(PayloadPart(piece)) for piece in pieces))) as server:
        (told,) = stream(server.url, how="sse")
    assert isinstance(told.error, ResponseError)
    for said in ("sse()", "text/plain", remedy):
        assert said in str(told.error)
    assert told.items == []


@pytest.mark.parametrize("beginning", [b"", b"\n\n", b": {\n\n", b"\xef\xbb\xbf", b"id: [\n"])
def test_events_are_read_whatever_their_content_type(stream: Streamer, beginning: bytes) -> None:
    body = beginning + b"data: {}\n\n"
    with scripted(chunked(service.event(PayloadPart(body)))) as server:
        (told,) = stream(server.url, how="sse")
    assert told.error is None
    assert [event.data for event in told.items] == ["{}"]


def test_error_with_a_truncated_body_keeps_its_code(stream: Streamer) -> None:
    with scripted(
        b"HTTP/1.1 500 x\r\nx-amzn-errortype: InternalFailure\r\nContent-Length: 99\r\n"
        b"Connection: close\r\n\r\n{"
    ) as server:
        (told,) = stream(server.url)
    assert isinstance(told.error, ServiceError)
    assert (told.error.code, told.error.truncated) == ("InternalFailure", True)


def test_stream_that_was_left_early_cannot_be_read_on() -> None:
    with scripted(chunked(*FRAMES)) as server:
        client = sockets.Client(
            endpoint_url=server.url, region="us-east-1", credentials=CREDENTIALS
        )
        with client.stream(STREAMED) as left:
            assert next(left.bytes()) == PARTS[0]
        with pytest.raises(TruncatedStream):
            list(left.text())


def test_error_of_a_stream_lists_the_attempts(stream: Streamer) -> None:
    model = service.event(ModelStreamError("it broke"))
    text = service.event(PayloadPart(b"\xff"))
    for pieces, how in (
        ((FRAMES[0], model), "bytes"),
        ((FRAMES[0][:-1],), "bytes"),
        ((text,), "text"),
        ((FRAMES[0], FRAMES[1][:9]), "events"),
    ):
        with scripted(chunked(*pieces)) as server:
            (told,) = stream(server.url, how=how)
        assert told.error is not None
        assert told.error.metadata.request_id == "q-1"
        assert [attempt.outcome for attempt in told.error.metadata.attempts] == ["ok"]


def test_second_reader_of_a_stream_is_refused() -> None:
    with scripted(chunked(*FRAMES)[:300], 2.0) as server:
        client = sockets.Client(
            endpoint_url=server.url, region="us-east-1", credentials=CREDENTIALS
        )
        with client, client.stream(STREAMED) as one:
            flow = one._stream.more()
            next(flow)
            with pytest.raises(RuntimeError, match="reader"):
                next(one._stream.more())
            flow.close()


# ── streams that are forgotten, or closed elsewhere ──

BEGUN = head("Transfer-Encoding: chunked")


def _one_connection(url: str) -> dict[str, Any]:
    timeouts = Timeouts(pool=1.0, idle=20.0)
    return {
        "region": "us-east-1",
        "endpoint_url": url,
        "credentials": CREDENTIALS,
        "max_connections": 1,
        "timeouts": timeouts,
    }


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BLOCKING)
def test_forgotten_stream_releases_its_connection(name: str) -> None:
    with scripted(BEGUN, OK) as server, BLOCKING[name](**_one_connection(server.url)) as client:
        client.stream(STREAMED)
        gc.collect()
        assert client.call(IRIS).body == b"abc"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", AWAITED)
def test_forgotten_async_stream_releases_its_connection(name: str) -> None:
    make, loop = AWAITED[name]

    async def main() -> None:
        async with make(**_one_connection(server.url)) as client:
            await client.stream(STREAMED)
            gc.collect()
            assert (await client.call(IRIS)).body == b"abc"

    with scripted(BEGUN, OK) as server:
        loop.run(main)


@pytest.mark.parametrize("name", BLOCKING)
def test_stream_may_be_closed_by_another_thread(name: str) -> None:
    with (
        scripted(BEGUN, 20.0, OK) as server,
        BLOCKING[name](**_one_connection(server.url)) as client,
    ):
        stream = client.stream(STREAMED)
        begun = time.monotonic()
        threading.Timer(0.1, stream.close).start()
        with pytest.raises(TruncatedStream, match="closed before its end"):
            list(stream.bytes())
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("name", AWAITED)
def test_stream_may_be_closed_by_another_task(name: str) -> None:
    """The reading task closes the socket: until then the loop watches its descriptor."""
    make, loop = AWAITED[name]

    async def read(stream: Any) -> None:
        with pytest.raises(TruncatedStream, match="closed before its end"):
            async for _ in stream.bytes():
                pass

    async def main() -> None:
        async with make(**_one_connection(server.url)) as client:
            stream = await client.stream(STREAMED)
            begun = time.monotonic()
            timer = threading.Timer(0.1, stream.close)
            timer.start()
            await read(stream)
            assert time.monotonic() - begun < 5

    with scripted(BEGUN, 20.0, OK) as server:
        loop.run(main)


@pytest.mark.parametrize("name", BLOCKING)
def test_rest_of_a_stream_is_read_as_an_output(name: str) -> None:
    body = service.event(PayloadPart(b'{"a":')), service.event(PayloadPart(b"[1, 2]}"))
    with (
        scripted(chunked(*body)) as server,
        BLOCKING[name](**_one_connection(server.url)) as client,
    ):
        with client.stream(STREAMED) as stream:
            assert not stream.ended
            output = stream.read()
            assert stream.ended
        assert output.body == b'{"a":[1, 2]}'
        assert output.content_type == "text/plain"
        assert output.json() == {"a": [1, 2]}
        assert output.metadata.request_id == "q-1"
        assert output.replace(body=b"") == stream.output


@pytest.mark.parametrize("name", AWAITED)
def test_rest_of_an_async_stream_is_read_as_an_output(name: str) -> None:
    make, loop = AWAITED[name]

    async def main() -> None:
        async with make(**_one_connection(server.url)) as client, client.stream(STREAMED) as stream:
            first = await anext(stream.bytes())
            assert (await stream.read()).body == b"".join(PARTS).removeprefix(first)
            assert stream.ended

    with scripted(chunked(*FRAMES)) as server:
        loop.run(main)


def test_stream_longer_than_max_body_is_not_read_as_an_output() -> None:
    too_large = pytest.raises(DispatchFailure, match="10 bytes allowed by max_body")
    with (
        scripted(chunked(*FRAMES), OK) as server,
        sockets.Client(**_one_connection(server.url)) as client,
    ):
        with client.with_options(max_body=10).stream(STREAMED) as stream, too_large as caught:
            stream.read()
        assert (caught.value.kind, caught.value.delivery) == ("too_large", "answered")
        assert client.call(IRIS).body


def test_stream_that_breaks_off_is_not_read_as_an_output() -> None:
    whole = chunked(*FRAMES)
    with scripted(whole[:-20]) as server, sockets.Client(**_one_connection(server.url)) as client:
        with client.stream(STREAMED) as stream, pytest.raises((TruncatedStream, DispatchFailure)):
            stream.read()
        assert not stream.ended
