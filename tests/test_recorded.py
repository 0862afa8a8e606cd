"""Recordings: calls of an endpoint are written down without secrets, and replayed."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_local import Call, Recording, throttle
from smruntime_local.hosting import _recording_file
from smruntime_local.hosting._recording_file import (
    PART_HEADERS,
    RecordedBody,
    RecordedEvent,
    RecordedExchange,
    RecordedResponse,
    Redaction,
    read_recording,
    write_exchange,
    write_header,
)
from smruntime_transports.sockets import Client

from .servers import closed_port, scripted

ONE_ATTEMPT = sm.RetryPolicy(max_attempts=1)
UPSTREAM_KEYS = sm.Credentials("AKIDUPSTREAM", "upstream-secret", "upstream-token")
PAUSE = 0.05


def double(call: Call) -> object:
    numbers: Any = call.json()
    return 2 * numbers


def story(call: Call) -> Iterator[str]:
    for word in ("Once ", "upon ", "naïve"):
        time.sleep(PAUSE)
        yield word


def break_off(call: Call) -> Iterator[str]:
    yield "a"
    raise RuntimeError("boom")


def connect(endpoint: smruntime_local.Endpoint, **settings: Any) -> Client:
    return Client(
        region=endpoint.region,
        endpoint_url=endpoint.url,
        credentials=endpoint.credentials,
        retries=ONE_ATTEMPT,
        **settings,
    )


@pytest.fixture
def upstream() -> Iterator[smruntime_local.Endpoint]:
    models: dict[str, Callable[[Call], object]] = {
        "double": double,
        "story": story,
        "breaks": break_off,
    }
    with smruntime_local.serve(models=models, credentials=UPSTREAM_KEYS) as endpoint:
        yield endpoint


def record(
    upstream: smruntime_local.Endpoint, path: Path, **members: Any
) -> smruntime_local.Endpoint:
    recording = Recording(
        path=path,
        upstream=upstream.url,
        **{"region": upstream.region, "credentials": UPSTREAM_KEYS, **members},
    )
    return smruntime_local.serve(record=recording)


def stream(client: Client, name: str, **members: Any) -> object:
    text = ""
    with client.invoke_endpoint_with_response_stream(name, body=b"x", **members) as opened:
        try:
            for part in opened.text():
                text += part
        except sm.SmRuntimeError as error:
            return text, type(error).__name__, str(error)
    return text


CALLS: dict[str, Callable[[Client], object]] = {
    "a number": lambda client: client.invoke_endpoint("double", **as_json(21)).json(),
    "not UTF-8": lambda client: (
        client.invoke_endpoint("echo", body=b"\xff\x00", accept="application/x-binary").body
    ),
    "an error": lambda client: client.invoke_endpoint("double", body=b"{").body,
    "no endpoint": lambda client: client.invoke_endpoint("nowhere", body=b"").body,
    "a stream": lambda client: stream(client, "story"),
    "a stream with an error": lambda client: stream(client, "breaks"),
    "a stream that breaks off": lambda client: stream(
        client, "story", custom_attributes="fault=close@1"
    ),
    "an async call": lambda client: (
        client.invoke_endpoint_async("double", input_location="s3://b/k").output_location
    ),
    "a session": lambda client: (
        client.invoke_endpoint(
            "chat", body=b'{"requestType": "NEW_SESSION"}', session_id="NEW_SESSION"
        ).new_session_id
    ),
}


def observe(client: Client, call: Callable[[Client], object]) -> object:
    try:
        return call(client)
    except sm.SmRuntimeError as error:
        return type(error).__name__, str(error), error.metadata.status


@pytest.mark.parametrize("name", CALLS)
def test_replay_returns_what_was_recorded(
    upstream: smruntime_local.Endpoint, tmp_path: Path, name: str
) -> None:
    path, call = tmp_path / "calls.jsonl", CALLS[name]
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        recorded = observe(client, call)
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        assert observe(client, call) == recorded
        assert observe(client, call) == recorded, "the last exchange is returned again"


def test_recorder_shows_the_client_what_upstream_answers(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    with connect(upstream) as client:
        direct = {name: observe(client, CALLS[name]) for name in ("a number", "not UTF-8")}
        direct["a stream"] = observe(client, CALLS["a stream"])
    with record(upstream, tmp_path / "calls.jsonl") as endpoint, connect(endpoint) as client:
        assert {name: observe(client, CALLS[name]) for name in direct} == direct


def test_repeated_requests_are_returned_in_order(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    upstream.script("double", 1, *throttle(1), 3)

    def call(client: Client) -> list[object]:
        return [observe(client, CALLS["a number"]) for _ in range(4)]

    with record(upstream, path) as endpoint, connect(endpoint) as client:
        recorded = call(client)
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        assert call(client) == recorded
        endpoint.reset()
        assert call(client) == recorded
        assert [found.endpoint_name for found in endpoint.calls] == ["double"] * 4


def test_streams_come_at_once_or_as_they_came(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        stream(client, "story")
    seconds: list[float] = []
    for delays in (True, False):
        with (
            smruntime_local.serve(replay=path, replay_delays=delays) as endpoint,
            connect(endpoint) as client,
        ):
            started = time.monotonic()
            assert stream(client, "story") == "Once upon naïve"
            seconds.append(time.monotonic() - started)
    assert seconds[0] >= 3 * PAUSE
    assert seconds[1] < seconds[0]


MISMATCHES: dict[str, Any] = {
    "body.rows[1].age: recorded 41, received 42": as_json({"rows": [{"age": 1}, {"age": 42}]}),
    "body.rows: recorded 2 items, received 1": as_json({"rows": [{"age": 1}]}),
    "body.rows: recorded [{'age': 1}, {'age': 41}], received nothing": as_json({}),
    "body at byte 0: recorded b'{": {"body": b"no", "content_type": "application/json"},
    "accept: recorded 'application/json', received 'text/csv'": as_json(
        {"rows": [{"age": 1}, {"age": 41}]}, accept="text/csv"
    ),
}


@pytest.mark.parametrize("difference", MISMATCHES)
def test_request_that_matches_nothing_fails_with_the_nearest_and_the_difference(
    upstream: smruntime_local.Endpoint, tmp_path: Path, difference: str
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        client.invoke_endpoint("double", **as_json([]))
        client.invoke_endpoint("echo", **as_json({"rows": [{"age": 1}, {"age": 41}]}))
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        with pytest.raises(sm.ServiceError) as caught:
            client.invoke_endpoint("echo", **MISMATCHES[difference])
        assert (caught.value.code, caught.value.status) == ("NoRecordedExchange", 404)
        assert difference in caught.value.message_raw
        assert "the nearest is line 3" in caught.value.message_raw
        with pytest.raises(sm.ServiceError, match="endpoint_name: recorded 'double', rec"):
            client.invoke_endpoint("doubel", **as_json([]))
        with pytest.raises(sm.ServiceError, match="operation: recorded InvokeEndpoint"):
            stream(client, "double", content_type="application/json", accept="application/json")


def test_inference_id_and_the_spelling_of_json_do_not_matter(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        client.invoke_endpoint("double", **as_json([1, 2]), inference_id="1")
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        members = as_json([1, 2], separators=(" , ", ":"))
        assert client.invoke_endpoint("double", **members, inference_id="2").json() == [1, 2, 1, 2]


def test_steps_go_before_recorded_exchanges(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        client.invoke_endpoint("double", **as_json(1))
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        endpoint.script("double", *throttle(1), {"from": "script"})
        with pytest.raises(sm.ServiceError, match="ThrottlingException"):
            client.invoke_endpoint("double", **as_json(1))
        assert client.invoke_endpoint("double", **as_json(1)).json() == {"from": "script"}
        assert client.invoke_endpoint("double", **as_json(1)).json() == 2


def test_recording_holds_no_secret(upstream: smruntime_local.Endpoint, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    # the service quotes what was signed, token and key id included
    wrong_keys = sm.Credentials("AKIDUPSTREAM", "wrong-secret", "upstream-token")
    with record(upstream, path, credentials=wrong_keys) as endpoint, connect(endpoint) as client:
        with pytest.raises(sm.ServiceError) as caught:
            client.with_options(extra_headers={"Cookie": "id=crumbs", "X-Key": "hush"}).call(
                sm.InvokeEndpoint("double", body=b"1")
            )
        assert caught.value.status == 403
        local_secrets = tuple(vars(endpoint.credentials).values())
    text = path.read_text("utf-8")
    assert '"status": 403' in text
    secrets = ("AKIDUPSTREAM", "wrong-secret", "upstream-token", "crumbs", "hush", "uthorization")
    assert not [secret for secret in (*secrets, *local_secrets) if str(secret) in text]
    assert "upstream-token" not in str(caught.value.body)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_cookies_of_an_answer_are_not_recorded(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: id=crumbs\r\nX-Other: hush\r\nContent-Length: 1\r\n\r\n1"
    )
    path = tmp_path / "calls.jsonl"
    with scripted(answer) as server:
        recording = Recording(
            path=path, upstream=server.url, region="us-east-1", credentials=UPSTREAM_KEYS
        )
        with smruntime_local.serve(record=recording) as endpoint, connect(endpoint) as client:
            output = client.invoke_endpoint("double", body=b"1")
    assert output.body == b"1"
    assert "crumbs" not in path.read_text("utf-8")
    assert "hush" not in path.read_text("utf-8")


def test_redacted_bodies_and_members_are_replayed(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    redact = ["request-bodies", "response-bodies", "custom_attributes"]
    with record(upstream, path, redact=redact) as endpoint, connect(endpoint) as client:
        client.invoke_endpoint("double", **as_json("private"), custom_attributes="user=Ada")
        stream(client, "story")
    text = path.read_text("utf-8")
    assert not [secret for secret in ("private", "Ada", "Once", "upon") if secret in text]
    with smruntime_local.serve(replay=path) as endpoint, connect(endpoint) as client:
        output = client.invoke_endpoint("double", **as_json("private"), custom_attributes="other=1")
        assert (output.body, output.custom_attributes) == (b"x" * 14, "redacted")
        assert stream(client, "story") == "x" * 16
        with pytest.raises(sm.ServiceError, match="body: differs from the one whose SHA-256"):
            client.invoke_endpoint("double", **as_json("public"))


def test_upstream_that_does_not_answer_is_an_error_and_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    with closed_port() as url:
        recording = Recording(
            path=path, upstream=url, region="us-east-1", credentials=UPSTREAM_KEYS
        )
        with (
            smruntime_local.serve(record=recording) as endpoint,
            connect(endpoint) as client,
            pytest.raises(sm.ServiceError, match="upstream did not answer") as caught,
        ):
            client.invoke_endpoint("double", body=b"1")
    assert (caught.value.code, caught.value.status) == ("UpstreamFailure", 502)
    assert read_recording(path) == []


def test_stream_that_the_client_leaves_is_recorded_so_far(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        opened = client.invoke_endpoint_with_response_stream(
            "ngram", body=b"The import", custom_attributes="delay=0.01"
        )
        with opened:
            next(iter(opened.text()))
    (exchange,) = read_recording(path)
    assert exchange.response.events
    assert not exchange.response.ended


def test_exchange_that_is_too_large_is_passed_on_and_left_out(
    upstream: smruntime_local.Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "calls.jsonl"
    monkeypatch.setattr("smruntime_local.hosting._recorder.MAX_EXCHANGE_SIZE", 1000)
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        assert len(client.invoke_endpoint("double", **as_json("x" * 600)).body) == 1200
        client.invoke_endpoint("double", **as_json(1))
        stream(client, "ngram")
    assert "InvokeEndpoint of double: 1802 bytes, more than 1000" in path.read_text("utf-8")
    assert [exchange.body.data for exchange in read_recording(path)] == [b"1"]


def test_existing_file_is_not_overwritten(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text("mine", "utf-8")
    with pytest.raises(FileExistsError):
        record(upstream, path)
    assert path.read_text("utf-8") == "mine"


def test_recorder_goes_without_models_and_knows_what_it_redacts(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="redact: unknown name 'bodies'; known are request-bodies"):
        record(upstream, tmp_path / "a", redact=["bodies"])
    recording = Recording(path=tmp_path / "a", upstream=upstream.url)
    with pytest.raises(ValueError, match="record: passes every call on"):
        smruntime_local.serve(record=recording, models={"double": double})
    with pytest.raises(sm.ConstructionError, match="no region"):
        smruntime_local.serve(record=recording)
    assert not (tmp_path / "a").exists()


def test_endpoint_is_replayed_or_has_a_model(
    upstream: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    path = tmp_path / "calls.jsonl"
    with record(upstream, path) as endpoint, connect(endpoint) as client:
        client.invoke_endpoint("double", **as_json(1))
    with pytest.raises(ValueError, match="double is in the recording and has a model"):
        smruntime_local.serve(replay=path, models={"double": double})
    models: dict[str, Any] = {"half": lambda call: call.json() / 2}
    with smruntime_local.serve(replay=path, models=models) as endpoint, connect(endpoint) as client:
        assert client.invoke_endpoint("half", **as_json(1)).json() == 0.5
        assert client.invoke_endpoint("double", **as_json(1)).json() == 2


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
HEADER_TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
BODIES = st.binary(max_size=30) | TEXTS.map(str.encode)
SECONDS = st.floats(0, 3600).map(lambda seconds: round(seconds, 6))
EVENTS = st.builds(
    RecordedEvent, SECONDS, st.just(PART_HEADERS) | st.dictionaries(TEXTS, TEXTS), BODIES
)
RESPONSES = st.builds(
    RecordedResponse,
    SECONDS,
    st.integers(200, 599),
    st.lists(st.tuples(HEADER_TEXTS, HEADER_TEXTS)).map(tuple),
    BODIES,
) | st.builds(
    RecordedResponse,
    SECONDS,
    st.integers(200, 599),
    st.just(()),
    st.just(b""),
    events=st.lists(EVENTS).map(tuple),
    ended=st.booleans(),
)
EXCHANGES = st.builds(
    RecordedExchange,
    st.sampled_from(["InvokeEndpoint", "InvokeEndpointWithResponseStream"]),
    st.just({"endpoint_name": "churn", "content_type": "text/csv"}),
    st.builds(RecordedBody, BODIES),
    RESPONSES,
)


@given(exchanges=st.lists(EXCHANGES, max_size=4))
def test_reading_returns_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, exchanges: list[RecordedExchange]
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.jsonl"
    lines = [write_header(), *[write_exchange(exchange, Redaction()) for exchange in exchanges]]
    path.write_text("".join(lines), "utf-8", newline="\n")
    assert read_recording(path) == exchanges


REQUEST = {"operation": "InvokeEndpoint", "members": {"endpoint_name": "churn"}, "body": "1"}
RESPONSE = {"status": 200, "headers": [], "body": "0.5"}


def line(**changes: Any) -> str:
    """Return a line with changes of the request or the response."""
    request = {**REQUEST, **changes.pop("request", {})}
    return json.dumps({"request": request, "response": {**RESPONSE, **changes}})


BAD_LINES = {
    "{": "not JSON at column 1: Expecting property name",
    "[]": "the line must be a JSON object",
    "[" * 100_000: "too many brackets",
    "{}": '"request" must be a JSON object',
    '{"request": {}, "respons": {}}': 'unknown key "respons"; known are request, response',
    line(request={"operation": "Invoke"}): '"operation" must be one of InvokeEndpoint, ',
    line(request={"members": {}}): '"members" must have "endpoint_name"',
    line(request={"members": {"endpoint_name": "a b"}}): '"members": endpoint_name: ',
    line(request={"members": {"endpoint_name": "a", "color": 1}}): '"members": ',
    line(request={"body_base64": "!"}): '"request" must have one of body, body_base64',
    line(status="200"): '"status" must be a whole number from 200 to 599',
    line(status=True): '"status" must be a whole number',
    line(seconds=-1): '"seconds" must be from 0 to 3600',
    line(seconds=float("nan")): '"seconds" must be a number',
    line(headers={"a": "b"}): '"headers" must be a list of pairs',
    line(headers=[["a", "b\r\nc: d"]]): '"headers" must be a list of pairs of printable texts',
    line(body=1): '"body" must be a text',
    line(body_size=10**12): "must have one of body, body_size",
    line(events={}): '"events" must be a list',
    line(events=[{"seconds": 0, "part": "a"}]): 'an event has the unknown key "part"',
    line(events=[{"headers": {"a": 1}}]): '"headers" of an event must be texts by name',
    line(events=[], ended=1): '"ended" must be true or false',
}


@pytest.mark.parametrize("text", BAD_LINES, ids=BAD_LINES.values())
def test_wrong_line_is_refused_with_file_and_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(f"{write_header()}{line()}\n\n{text}\n", "utf-8")
    with pytest.raises(ValueError, match=r"calls\.jsonl, line 4: ") as caught:
        smruntime_local.serve(replay=path)
    assert BAD_LINES[text] in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the file is empty"),
        ("{}\n", 'line 1: "format" must be "smruntime-recording": this is no recording'),
        ('{"format": "smruntime-recording", "version": 2}\n', "reads version 1"),
        ("\xff\n", "line 1: not "),
    ],
)
def test_file_that_is_no_recording_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        read_recording(path)


def test_size_of_a_file_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_text(f"{write_header()}{line()}\n", "utf-8")
    monkeypatch.setattr(_recording_file, "MAX_FILE_SIZE", 100)
    with pytest.raises(ValueError, match="must have at most 100"):
        read_recording(path)
    with pytest.raises(OSError, match=os.strerror(2)):
        read_recording(tmp_path / "missing")
