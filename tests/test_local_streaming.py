"""Streams of the local endpoint: the same bytes however they are cut, and the requested faults."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_local
from smruntime_core import (
    DispatchFailure,
    InternalStreamFailure,
    ModelError,
    ModelStreamError,
    ResponseError,
    ServiceError,
    ServiceUnavailable,
    StreamError,
    TruncatedStream,
    ValidationError,
)
from smruntime_core.eventstream import EventStreamDecoder
from smruntime_core.streaming import NEED_DATA
from smruntime_local.hosting._stream_behavior import (
    PART_CUTTERS,
    StreamBehavior,
    encode_stream,
    parse_attributes,
    parse_cut,
)
from smruntime_transports.sockets import Client

PROMPT = b'{"prompt": "Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x8c\xb1", "max_tokens": 9}'


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as running,
    ):
        yield running


def parts(
    client: Client,
    attributes: str | None = None,
    *,
    name: str = "ngram",
    accept: str = "application/json",
) -> list[bytes]:
    members = {
        "content_type": "application/json",
        "accept": accept,
        "custom_attributes": attributes,
    }
    with client.invoke_endpoint_with_response_stream(
        endpoint_name=name, body=PROMPT, **members
    ) as stream:
        return list(stream.bytes())


@pytest.mark.parametrize("cut", ["aligned", "bytes", "inside", "random", "random:7"])
def test_streamed_parts_join_to_the_whole_response_however_they_are_cut(
    client: Client, cut: str
) -> None:
    whole = client.invoke_endpoint(
        endpoint_name="ngram", body=PROMPT, content_type="application/json"
    ).body
    got = parts(client, f"trace=1; cut={cut}")
    assert b"".join(got) == whole
    if cut == "aligned":
        assert len(got) == 11
    if cut == "bytes":
        assert {len(part) for part in got} == {1}
    if cut == "inside":
        assert sum(part[-1] >= 0xC0 for part in got) == 3
    if cut.startswith("random"):
        assert got == parts(client, f"cut={cut}") != parts(client, "cut=random:8")


def test_ngram_streams_text_json_lines_and_server_sent_events(client: Client) -> None:
    text = b"".join(parts(client, accept="text/plain")).decode()
    with client.invoke_endpoint_with_response_stream(
        endpoint_name="ngram",
        body=PROMPT,
        content_type="application/json",
        accept="text/event-stream",
        custom_attributes="cut=bytes",
    ) as stream:
        *events, last = [event.data for event in stream.sse()]
    assert (stream.content_type, stream.custom_attributes, last) == (
        "text/event-stream",
        "cut=bytes",
        "[DONE]",
    )
    assert "".join(json.loads(event)["token"] for event in events) == text
    lines = b"".join(parts(client, accept="application/jsonlines")).splitlines()
    assert "".join(json.loads(line)["token"] for line in lines) == text


def test_every_builtin_model_streams(client: Client) -> None:
    seen = json.loads(b"".join(parts(client, "cut=random:1", name="echo")))
    assert (seen["endpoint_name"], seen["accept"]) == ("echo", "application/json")
    with client.invoke_endpoint_with_response_stream(
        endpoint_name="iris", body=b"5.1,3.5,1.4,0.2\n" * 3
    ) as rows:
        assert len(list(rows.bytes())) == 3
    with client.invoke_endpoint_with_response_stream(endpoint_name="flaky", body=b"") as stream:
        assert [attempt.outcome for attempt in stream.metadata.attempts] == [
            "ServiceUnavailable",
            "ok",
        ]
        assert json.loads(b"".join(stream.bytes()))["endpoint_name"] == "flaky"


def test_model_that_fails_before_its_first_part_returns_an_error_response(client: Client) -> None:
    with pytest.raises(ModelError, match="row 1") as caught:
        client.invoke_endpoint_with_response_stream(endpoint_name="iris", body=b"1")
    assert (caught.value.status, caught.value.original_status_code) == (424, 400)
    with pytest.raises(ValidationError, match="not found"):
        client.invoke_endpoint_with_response_stream(endpoint_name="missing", body=b"1")


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("ModelStreamError", ModelStreamError, "ModelInvocationTimeExceeded"),
        ("ModelStreamError:StreamBroken", ModelStreamError, "StreamBroken"),
        ("InternalStreamFailure", InternalStreamFailure, ""),
        ("error:Overloaded", ServiceError, "Overloaded"),
        ("truncate", TruncatedStream, ""),
        ("close", DispatchFailure, "truncated"),
        ("flip", StreamError, "checksum"),
    ],
)
@pytest.mark.parametrize("after", [0, 3, 1000])
def test_fault_comes_after_the_requested_number_of_events(
    client: Client, fault: str, error: type[Exception], says: str, after: int
) -> None:
    received = list[bytes]()
    with client.invoke_endpoint_with_response_stream(
        endpoint_name="ngram", body=b"The for", custom_attributes=f"fault={fault}@{after}"
    ) as stream:
        with pytest.raises(error) as caught:
            received.extend(stream.bytes())
        assert type(caught.value) is error
    assert says in f"{caught.value} {getattr(caught.value, 'error_code', '')}"
    assert len(received) == min(after, 64)


def test_delay_and_stall_take_their_time(client: Client) -> None:
    begun = time.monotonic()
    assert len(parts(client, "delay=0.01")) == 11
    assert time.monotonic() - begun >= 0.1
    begun = time.monotonic()
    assert len(parts(client, "fault=stall:0.1@2")) == 11
    assert time.monotonic() - begun >= 0.1


def test_closing_the_endpoint_ends_a_stall() -> None:
    begun = time.monotonic()
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
        client.invoke_endpoint_with_response_stream(
            endpoint_name="ngram", body=b"The", custom_attributes="fault=stall:60@1"
        ) as stream,
    ):
        assert next(stream.bytes())
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "attributes",
    [
        "cut=",
        "cut=half",
        "cut=bytes:x",
        "delay=-1",
        "delay=nan",
        "delay=1e9",
        "fault=fire",
        "fault=stall:x",
        "fault=flip@-1",
    ],
)
def test_invalid_attribute_is_refused(client: Client, attributes: str) -> None:
    with pytest.raises(ValidationError, match=r"custom_attributes: (cut|delay|fault)"):
        parts(client, f"a=b,{attributes}")


def test_attributes_with_other_names_are_ignored() -> None:
    assert (
        parse_attributes("trace_id=1; haircut=short; fault tolerance", StreamBehavior())
        == StreamBehavior()
    )
    assert parse_attributes(
        "a=b,cut=random:7;fault=stall:0.5@3, delay=2", StreamBehavior()
    ) == StreamBehavior("random", 7, 2.0, "stall", "0.5", 3)
    assert parse_attributes(None, parse_cut("bytes", StreamBehavior())).cut == "bytes"
    with pytest.raises(ValueError, match="cut must be"):
        smruntime_local.serve(cut="half")


@given(
    st.lists(st.text().map(str.encode)), st.sampled_from(sorted(PART_CUTTERS)), st.integers(0, 9)
)
def test_cutting_loses_no_byte(made: list[bytes], cut: str, seed: int) -> None:
    decoder, slept, got = EventStreamDecoder(), list[float](), list[bytes]()
    for frame in encode_stream(iter(made), StreamBehavior(cut, seed, 0.5), slept.append):
        decoder.receive_data(frame)
        message = decoder.next_event()
        assert message is not NEED_DATA
        got.append(message.payload)
    assert b"".join(got) == b"".join(made)
    assert all(got)
    assert slept == [0.5] * len(got)


def test_model_that_fails_after_a_part_ends_the_stream_with_an_error() -> None:
    def failing() -> Iterator[bytes]:
        yield b"a"
        raise ServiceUnavailable("gone")

    *_, last = encode_stream(failing(), StreamBehavior(), lambda _: None)
    assert b"ModelStreamError" in last
    assert b"StreamBroken" in last


@pytest.mark.parametrize(
    "parts_sent",
    [["hello\n\n"], ["a: b\nc\n\n"], ["plain text\n"], ["\n", "da", "tx: 1\n\n"], ["x"]],
)
def test_reading_events_of_an_answer_that_has_none_names_accept(parts_sent: list[str]) -> None:
    with (
        smruntime_local.serve(models={"plain": lambda call: iter(parts_sent)}) as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
        client.invoke_endpoint_with_response_stream("plain", body=b"1") as stream,
        pytest.raises(ResponseError, match=r"no server-sent event.* accept=\"text/event-stream\""),
    ):
        list(stream.sse())


@pytest.mark.parametrize(
    "parts_sent",
    [
        [": only a comment\n\n"],
        ["id: 1\n\n"],
        ["\ufeffevent: empty\n\n"],
        ["unknown: 1\ndata: x\n\n"],
    ],
)
def test_reading_events_accepts_what_has_fields_of_events(parts_sent: list[str]) -> None:
    with (
        smruntime_local.serve(models={"events": lambda call: iter(parts_sent)}) as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
        client.invoke_endpoint_with_response_stream("events", body=b"1") as stream,
    ):
        assert [event.data for event in stream.sse()] == ["x"] * ("data" in parts_sent[0])
