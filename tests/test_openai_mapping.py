"""The mapping between OpenAI-style requests and operations, as pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core.errors import Kind, Phase
from smruntime_core.payload import NEED_DATA, ServerSentEvent, SSEDecoder
from smruntime_core.service import event, header_names
from smruntime_core.streaming import PayloadPart, ResponseParser
from smruntime_transports.openai import (
    CallMembers,
    Dialect,
    EventUnwrapper,
    Plan,
    RequestMapping,
    TransportFailure,
    _events,
    _failures,
    answer_error,
    answer_output,
)

CHAT = "http://sagemaker/v1/chat/completions"
JSON_FIELD = ("Content-Type", "application/json")


def post(
    url: str = CHAT, document: object = None, *fields: tuple[str, str], body: bytes | None = None
) -> sm.Request:
    content = json.dumps(document or {"model": "m", "messages": []}).encode()
    return sm.Request("POST", url, (JSON_FIELD, *fields), content if body is None else body)


ANY_MAPPING: Any = RequestMapping  # for arguments that its types do not allow


def plan(request: sm.Request, endpoint_name: Any = "llm", **members: Any) -> Plan:
    planned = ANY_MAPPING(endpoint_name, members).plan(request)
    assert isinstance(planned, Plan), planned.body
    return planned


def refusal(request: sm.Request, endpoint_name: Any = "llm", **members: Any) -> tuple[int, str]:
    answer = ANY_MAPPING(endpoint_name, members).plan(request)
    assert isinstance(answer, sm.Response)
    assert answer.named["x-should-retry"] == "false"
    message: str = json.loads(answer.body)["error"]["message"]
    return answer.status, message


@pytest.mark.parametrize(
    "path", ["/chat/completions", "/v1/completions", "/a/embeddings", "/v1/messages", "/responses/"]
)
def test_body_is_passed_on_unchanged(path: str) -> None:
    body = b'{ "model":"m","x":1.0e2 , "stream": false}'
    operation = plan(post(f"http://sagemaker{path}", body=body)).operation
    assert operation == sm.InvokeEndpoint("llm", body=body, content_type="application/json")


def test_stream_true_asks_for_a_response_stream() -> None:
    planned = plan(post(document={"stream": True}))
    assert isinstance(planned.operation, sm.InvokeEndpointWithResponseStream)


@pytest.mark.parametrize("streamed", [False, True])
def test_every_member_of_an_operation_can_come_from_a_header_field(streamed: bool) -> None:
    operation_type = sm.InvokeEndpointWithResponseStream if streamed else sm.InvokeEndpoint
    names = {
        member: name
        for member, name in header_names(operation_type).items()
        if name.lower().startswith("x-amzn-sagemaker-")
    }
    assert len(names) >= 8
    fields = [(name.lower(), "value") for name in names.values()]
    operation = plan(post(CHAT, {"stream": streamed}, *fields)).operation
    assert {getattr(operation, member) for member in names} == {"value"}


def test_header_field_precedes_a_member_of_the_transport() -> None:
    field = ("X-Amzn-SageMaker-Target-Variant", "green")
    operation = plan(post(CHAT, None, field), target_variant="blue").operation
    assert operation.target_variant == "green"


def test_endpoint_component_and_prefix_can_be_functions() -> None:
    operation = plan(
        post(document={"model": "small", "messages": ["be kind"]}),
        {"small": "ep-1"}.__getitem__,
        inference_component_name=lambda model: f"{model}-ic",
        prefix_aware_id=lambda document: document["messages"][0].replace(" ", "-"),
    ).operation
    assert operation.endpoint_name == "ep-1"
    assert (operation.inference_component_name, operation.prefix_aware_id) == (
        "small-ic",
        "be-kind",
    )


def test_mistake_in_a_function_of_the_caller_is_raised() -> None:
    with pytest.raises(KeyError):
        plan(post(document={"input": ""}), prefix_aware_id=lambda document: document["messages"])


def test_session_is_an_id_or_an_open_session() -> None:
    class Opened:
        id = "s-2"

    assert plan(post(), session="s-1").operation.session_id == "s-1"
    assert plan(post(), session=Opened()).operation.session_id == "s-2"
    client = sm_client()
    status, message = refusal(post(), session=client.session("llm"))
    assert (status, message) == (400, "session: must be open: use it in a `with` block")
    with pytest.raises(sm.ConstructionError, match="session: must be an open session, or its id"):
        ANY_MAPPING("llm", {"session": 3})


def sm_client() -> Any:
    from smruntime_transports import Client

    return Client(region="eu-west-1")


def test_accept_is_the_request_s_unless_the_transport_has_one() -> None:
    accepting = post(CHAT, None, ("Accept", "application/json"))
    assert plan(accepting).operation.accept == "application/json"
    assert plan(accepting, accept="application/jsonlines").operation.accept != "application/json"
    assert plan(post(CHAT, None, ("Accept", "*/*"))).operation.accept is None


def test_wrong_members_are_refused_when_the_transport_is_made() -> None:
    with pytest.raises(sm.ConstructionError, match="endpoint_name"):
        RequestMapping("no endpoint", {})
    with pytest.raises(sm.ConstructionError, match="endpoint_name: found NoneType"):
        ANY_MAPPING(None, {})
    with pytest.raises(sm.ConstructionError, match="target_variant"):
        RequestMapping("llm", {"target_variant": "a b"})
    with pytest.raises(TypeError, match="did you mean target_variant"):
        ANY_MAPPING("llm", {"TargetVariant": "a"})
    with pytest.raises(sm.ConstructionError, match="target_variant"):
        ANY_MAPPING("llm", {"target_variant": str})
    with pytest.raises(sm.ConstructionError, match="models: must be names of models"):
        RequestMapping("llm", {"models": "small"})


def test_requests_that_no_container_could_understand_are_refused_with_a_sentence() -> None:
    for method, path in (
        ("POST", "/v1/audio/speech"),
        ("POST", "/v1/messages/count_tokens"),
        ("DELETE", "/v1/chat/completions"),
        ("GET", "/v1/files"),
        ("POST", ""),
    ):
        status, message = refusal(sm.Request(method, f"http://sagemaker{path}", (JSON_FIELD,)))
        assert status == 404
        assert message.startswith(f"{method} {path or '/'} cannot be sent: SageMaker passes only")
    multipart = sm.Request("POST", CHAT, (("Content-Type", "multipart/form-data; boundary=x"),))
    assert refusal(multipart)[0] == 415
    assert refusal(sm.Request("POST", CHAT))[0] == 415
    assert refusal(post(CHAT, None, ("Content-Encoding", "gzip")))[0] == 415
    assert refusal(post(body=b"[1]")) == (400, "the body must be a JSON object")
    assert refusal(post(body=b"[" * 200_000))[0] == 400
    unknown = post(CHAT, {"stream": True}, ("X-Amzn-SageMaker-Target-Model", "a"))
    assert "InvokeEndpointWithResponseStream has no such member" in refusal(unknown)[1]
    assert "no such member" in refusal(post(document={"stream": True}), target_model="a")[1]
    assert refusal(post(document={"model": "big"}), {}.__getitem__) == (
        404,
        "the model 'big' does not exist",
    )
    assert refusal(post(document={"model": 3}), {}.__getitem__)[0] == 400


def test_models_are_those_that_were_configured() -> None:
    def get(path: str, endpoint_name: Any = "llm", **members: Any) -> tuple[int, Any]:
        request = sm.Request("GET", f"http://sagemaker/v1{path}")
        answer = ANY_MAPPING(endpoint_name, members).plan(request)
        assert isinstance(answer, sm.Response)
        return answer.status, json.loads(answer.body)

    assert [model["id"] for model in get("/models")[1]["data"]] == ["llm"]
    assert [model["id"] for model in get("/models", str, models=["a/b", "c"])[1]["data"]] == [
        "a/b",
        "c",
    ]
    assert get("/models", str)[1]["data"] == []
    assert get("/models/a%2Fb", str, models=["a/b"])[1]["id"] == "a/b"
    assert get("/models/d", str, models=["a/b"])[0] == 404


# Answers.


def test_output_keeps_body_type_and_header_fields_of_the_service() -> None:
    answer = sm.Response(
        200,
        (
            ("x-amzn-RequestId", "r-1"),
            ("Content-Type", "application/json; charset=utf-8"),
            ("X-Amzn-SageMaker-New-Session-Id", "s-1; Expires=2026-11-28T12:00:00Z"),
            ("Set-Cookie", "a=b"),
        ),
        b'{"id": 1}',
    )
    response = answer_output(sm.InvokeEndpoint("llm", body=b"").parse(answer))
    assert (response.status, response.body) == (200, b'{"id": 1}')
    fields = response.named
    assert fields["content-type"] == "application/json; charset=utf-8"
    assert fields["x-request-id"] == fields["request-id"] == "r-1"
    assert fields["x-amzn-sagemaker-new-session-id"].startswith("s-1")
    assert "set-cookie" not in fields


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_error_has_status_message_hint_and_request_id(dialect: Dialect) -> None:
    error = sm.ServiceError("no", code="AccessDeniedException", status=403)
    error.about(sm.Metadata(request_id="r-1"))
    answer = answer_error(error, dialect)
    assert isinstance(answer, sm.Response)
    document = json.loads(answer.body)
    assert answer.status == 403
    assert answer.named["x-request-id"] == "r-1"
    assert answer.named["x-smruntime-hint"] in document["error"]["message"]
    assert "r-1" in document["error"]["message"]
    if dialect == "anthropic":
        assert document["type"] == "error"
        assert document["error"]["type"] == "permission_error"
    else:
        assert document["error"]["code"] == "AccessDeniedException"


def test_error_of_the_container_is_passed_on_if_it_is_json() -> None:
    def answered(status: int, message: str) -> sm.Response:
        error = sm.ModelError("relayed")
        error.original_status_code, error.original_message = status, message
        answer = answer_error(error, "openai")
        assert isinstance(answer, sm.Response)
        return answer

    passed_on = answered(422, '{"detail": [1]}')
    assert (passed_on.status, passed_on.body) == (422, b'{"detail": [1]}')
    for text in ("no JSON", "[1]", "[" * 100_000, '{"a": "' + "x" * 70_000 + '"}', "\ud800"):
        described = answered(500, text)
        assert described.status == 500
        assert json.loads(described.body)["error"]["code"] == "ModelError"
    assert answered(0, "").status == 424


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (sm.CredentialsError("no credentials"), 401),
        (sm.ConstructionError("region", "given"), 400),
        (sm.ServiceError("moved", status=302), 502),
        (sm.SmRuntimeError("what"), 500),
    ],
)
def test_other_errors_have_a_status(error: sm.SmRuntimeError, status: int) -> None:
    answer = answer_error(error, "openai")
    assert isinstance(answer, sm.Response)
    assert answer.status == status
    assert answer.named["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("kind", "phase", "name"),
    [
        ("timeout", "pool", "PoolTimeout"),
        ("timeout", "tls", "ConnectTimeout"),
        ("timeout", "send", "WriteTimeout"),
        ("timeout", "head", "ReadTimeout"),
        ("refused", "connect", "ConnectError"),
        ("refused", "resolve", "ConnectError"),
        ("refused", "proxy", "ProxyError"),
        ("tls", "tls", "ConnectError"),
        ("reset", "send", "WriteError"),
        ("reset", "head", "ReadError"),
        ("closed", "head", "RemoteProtocolError"),
        ("protocol", "head", "RemoteProtocolError"),
        ("truncated", "body", "RemoteProtocolError"),
        ("too_large", "body", "RemoteProtocolError"),
    ],
)
def test_failure_becomes_the_exception_of_its_kind_and_phase(
    kind: Kind, phase: Phase, name: str
) -> None:
    failure = sm.DispatchFailure("x", kind=kind, phase=phase, delivery="maybe_sent")
    failure.add_hint("look")
    answer = answer_error(failure, "openai")
    assert isinstance(answer, TransportFailure)
    assert answer.error_name == name
    assert "maybe sent" in answer.message
    assert answer.message.endswith("; look")


# Streams.


def unwrap(parts: Iterable[bytes], dialect: Dialect = "openai") -> list[bytes]:
    unwrapper = EventUnwrapper("text/plain", dialect)
    return [*map(unwrapper.receive_data, parts), unwrapper.receive_eof()]


def read_events(pieces: Iterable[bytes]) -> list[ServerSentEvent]:
    decoder, events = SSEDecoder(), list[ServerSentEvent]()
    for piece in pieces:
        decoder.receive_data(piece)
    decoder.receive_eof()
    while (found := decoder.next_event()) is not NEED_DATA:
        assert isinstance(found, ServerSentEvent)
        events.append(found.replace(terminated=True))
    return events


line_ends = st.sampled_from(["\n", "\r", "\r\n"])
field_lines = st.builds(
    lambda name, blank, value: f"{name}:{blank}{value}",
    st.sampled_from(["data", "event", "id", "", "data"]),
    st.sampled_from(["", " "]),
    st.text("aé海{}:\x85\u2028", max_size=6),
)


@st.composite
def sse_streams(draw: st.DrawFn) -> bytes:
    """Return events with any line ends, comments and blank lines; the last one may be unended."""
    text = "data: first" + draw(line_ends)
    for _ in range(draw(st.integers(0, 6))):
        text += draw(st.one_of(field_lines, st.just(""))) + draw(line_ends)
    return (text + draw(st.sampled_from(["data: last", "data: last\n\n"]))).encode()


def cut(content: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(content) + 1) for place in places} | {len(content)})
    return [content[start:end] for start, end in zip([0, *ends], ends, strict=False)]


places = st.lists(st.integers(0, 10_000), max_size=12)


@given(sse_streams(), places, places)
def test_any_cutting_gives_the_same_events(
    content: bytes, part_cuts: list[int], byte_cuts: list[int]
) -> None:
    frames = b"".join(event(PayloadPart(part)) for part in cut(content, part_cuts))
    parser = ResponseParser(sm.InvokeEndpointWithResponseStream("llm", body=b""))
    parser.receive_head(sm.Response(200, (("Content-Type", "application/vnd.amazon.eventstream"),)))
    parts: list[bytes] = []
    for received in cut(frames, byte_cuts):
        parser.receive_data(received)
        while (next_item := parser.next_event()) is not NEED_DATA:
            if isinstance(next_item, PayloadPart):
                parts.append(next_item.bytes)
    pieces = unwrap(parts)
    assert b"".join(pieces).startswith(content)
    assert read_events(pieces) == read_events([content])


@given(sse_streams(), places, st.integers(0, 10_000))
def test_error_event_follows_whole_events_wherever_a_stream_fails(
    content: bytes, part_cuts: list[int], place: int
) -> None:
    arrived = content[: place % len(content)]
    unwrapper = EventUnwrapper("text/event-stream", "openai")
    pieces = [unwrapper.receive_data(part) for part in cut(arrived, part_cuts)]
    ending = unwrapper.fail(sm.ModelStreamError("broken"))
    assert isinstance(ending, bytes)
    *events, last = read_events([*pieces, ending])
    assert "broken" in json.loads(last.data)["error"]["message"]
    assert events == read_events([content])[: len(events)]


@given(st.lists(st.dictionaries(st.text(max_size=3), st.floats(0, 1)), min_size=1), places)
def test_json_lines_become_events_however_they_are_cut(
    documents: list[dict[str, float]], part_cuts: list[int]
) -> None:
    written = [json.dumps(document, ensure_ascii=False) for document in documents]
    content = "\r\n\n".join(written).encode("utf-8", "surrogatepass")
    pieces = unwrap(cut(content, part_cuts))
    assert [found.data for found in read_events(pieces)] == [*written, "[DONE]"]


def test_json_lines_for_anthropic_are_named_by_their_type() -> None:
    pieces = unwrap([b'{"type": "message_stop"}\n{"a": 1}\n{"type": "a b"}\nx\n'], "anthropic")
    assert [found.event for found in read_events(pieces)] == ["message_stop", *["message"] * 3]


def test_whole_events_are_passed_on_at_once() -> None:
    unwrapper = EventUnwrapper(None, "openai")
    assert unwrapper.receive_data(b"\n\n \ndata: 1\n") == b""
    assert unwrapper.receive_data(b"\nda") == b"data: 1\n\n"
    assert unwrapper.receive_data(b"ta: 2\r\n\r\n") == b"data: 2\r\n\r\n"
    assert unwrapper.receive_eof() == b""


@pytest.mark.parametrize(
    "content", [b"<html>\n", b"Once upon a time there was", b"Once", b"\xff\n"]
)
def test_contents_that_are_no_events_are_named(content: bytes) -> None:
    with pytest.raises(sm.ServiceError, match="neither server-sent events nor JSON lines") as found:
        unwrap([content[:3], content[3:]])
    assert "text/plain" in str(found.value)


def test_broken_stream_is_a_failure_of_the_transport() -> None:
    unwrapper = EventUnwrapper(None, "openai")
    failure = unwrapper.fail(sm.TruncatedStream("cut"))
    assert failure == TransportFailure("RemoteProtocolError", "cut")


def test_event_without_end_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_events, "MAX_EVENT", 1000)
    unwrapper = EventUnwrapper(None, "openai")
    for _ in range(14):
        assert unwrapper.receive_data(b"data: " + b"x" * 60 + b"\n") == b""
    with pytest.raises(sm.StreamError, match="more than 1000 bytes"):
        unwrapper.receive_data(b"data: " + b"x" * 60 + b"\n")


# Retries.


def test_failures_are_remembered_for_retries_only_and_in_bounded_number() -> None:
    memory = _failures.FailureMemory()
    failure = TransportFailure("ReadTimeout", "slow")

    def planned(number: int, retry: str = "0") -> Plan:
        return plan(post(CHAT, {"number": number}, ("x-stainless-retry-count", retry)))

    for number in range(1000):
        memory.keep(planned(number), failure)
    assert memory.find(planned(999)) is None
    assert memory.find(planned(999, "1")) is failure
    assert memory.find(planned(0, "1")) is None
    assert memory.find(planned(1001, "2")) is None
    assert len(memory._failures) == _failures.MAX_FAILURES
    assert not plan(post(CHAT, None, ("x-stainless-retry-count", "many"))).is_retry


def test_transports_take_the_members_that_calls_and_streams_have() -> None:
    calls, streams = (
        {binding.name for binding in operation._table.bindings}
        for operation in (sm.InvokeEndpoint, sm.InvokeEndpointWithResponseStream)
    )
    set_by_the_mapping = {"endpoint_name", "body", "content_type", "session_id"}
    accepted = set(CallMembers.__annotations__) - {"models", "session"}
    assert (calls & streams) - set_by_the_mapping <= accepted <= calls
