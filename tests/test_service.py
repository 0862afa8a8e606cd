"""The service's side mirrors the client: what one writes, the other reads as an equal value."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
    InvokeEndpointWithResponseStreamOutput,
    ModelError,
    Operation,
    Output,
    Request,
    Response,
    ServiceError,
    ValidationError,
    service,
)
from smruntime_core.protocol._bindings import Binding, MessageRecord
from smruntime_core.values._rules import Blob, WholeNumber

URL = "https://runtime.sagemaker.us-east-1.amazonaws.com"
ASCII = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
TEXT = st.text()  # lone surrogates too: JSON can carry them


def values(binding: Binding) -> st.SearchStrategy[Any]:
    """Return a strategy for the values that the binding's rule allows."""
    rule = binding.rule
    if isinstance(rule, Blob):
        return st.binary()
    if isinstance(rule, WholeNumber):
        return st.integers(rule.minimum, rule.maximum)
    return st.from_regex(rule.pattern, fullmatch=True, alphabet=ASCII).filter(
        lambda text: len(text) <= rule.maximum
    )


def records(kind: type[MessageRecord]) -> st.SearchStrategy[Any]:
    required = {b.name: values(b) for b in kind._table.bindings if b.required}
    optional = {b.name: values(b) for b in kind._table.bindings if not b.required}
    members = st.fixed_dictionaries(required, optional=optional)
    if kind is InvokeEndpointAsync:  # exactly one of the two
        members = members.map(
            lambda given: {**given, "body": given.get("body", b""), "input_location": None}
        ) | members.map(
            lambda given: {
                **given,
                "body": None,
                "input_location": given.get("input_location") or "s3://b/k",
            }
        )
    return members.map(lambda given: kind(**given))


def errors() -> st.SearchStrategy[ServiceError]:
    members: dict[type, st.SearchStrategy[Any]] = {
        int: st.none() | st.integers(),
        str: st.none() | TEXT,
    }

    def make(kind: type[ServiceError]) -> st.SearchStrategy[ServiceError]:
        def build(message: str, extra: dict[str, Any]) -> ServiceError:
            error = kind(message, code=None if kind.default_code else "Unheard")
            vars(error).update(extra)
            return error

        return st.builds(
            build,
            TEXT,
            st.fixed_dictionaries({name: members[type_] for name, _, type_ in kind.members}),
        )

    return st.sampled_from([*InvokeEndpoint.errors, ServiceError]).flatmap(make)


@pytest.mark.parametrize("kind", service.OPERATIONS)
@settings(max_examples=30)
@given(
    data=st.data(), prefix=st.sampled_from(["", ":8443", "/", "/stage", "/endpoints/x/invocations"])
)
def test_read_returns_the_operation_that_was_sent(
    kind: type[MessageRecord], data: st.DataObject, prefix: str
) -> None:
    operation = data.draw(records(kind))
    read = service.read(operation.request(URL + prefix))
    assert read == operation
    assert vars(read) == vars(operation)  # a member left out stays left out


@pytest.mark.parametrize("kind", service.OPERATIONS)
@settings(max_examples=30)
@given(data=st.data())
def test_parse_returns_the_output_that_was_answered(
    kind: type[Operation[Output]], data: st.DataObject
) -> None:
    output = data.draw(records(kind.output))
    answered = service.answer(output, request_id="r-1")
    assert answered.status == kind.success
    operation: Any = cast("Any", kind)(endpoint_name="e", body=b"x")
    parsed = operation.parse(answered)
    assert parsed == output
    assert parsed.metadata.request_id == "r-1"


@given(error=errors())
def test_parse_raises_the_error_that_was_answered(error: ServiceError) -> None:
    with pytest.raises(ServiceError) as caught:
        InvokeEndpoint(endpoint_name="e", body=b"").parse(service.answer(error, request_id="r-2"))
    parsed = caught.value
    assert type(parsed) is type(error)
    assert (parsed.code, parsed.status, parsed.message_raw) == (
        error.code,
        error.status,
        error.message_raw,
    )
    assert [getattr(parsed, name) for name, _, _ in parsed.members] == [
        getattr(error, name) for name, _, _ in error.members
    ]
    assert parsed.metadata.request_id == "r-2"


@given(message=st.text(st.characters(codec="utf-8")))
def test_stream_error_without_a_model_keeps_its_message(message: str) -> None:
    head = service.begin(InvokeEndpointWithResponseStreamOutput(), request_id="r-3")
    body = service.event(ServiceError(message, code="Unheard"))
    operation = InvokeEndpointWithResponseStream(endpoint_name="e", body=b"")
    with pytest.raises(ServiceError) as caught:
        operation.parse(Response(head.status, head.headers, body))
    assert (caught.value.code, caught.value.message_raw) == ("Unheard", message)


def request(
    path: str = "/endpoints/e/invocations", *headers: tuple[str, str], method: str = "POST"
) -> Request:
    return Request(method, URL + path, headers, b"x")


def test_read_ignores_case_of_header_names_and_joins_repeated_fields() -> None:
    read = service.read(
        request(
            "/endpoints/e/invocations?q=1",
            ("ACCEPT", "text/csv"),
            ("accept", "*/*"),
            ("x-other", "\x00"),
        )
    )
    assert read == InvokeEndpoint(endpoint_name="e", body=b"x", accept="text/csv, */*")
    assert "content_type" not in vars(read)


def test_read_decodes_percent_encoded_labels() -> None:
    assert service.read(request("/endpoints/%65/invocations")) == InvokeEndpoint(
        endpoint_name="e", body=b"x"
    )


@pytest.mark.parametrize(
    ("member", "bad"),
    [
        ("endpoint_name", request("/endpoints//invocations")),
        ("endpoint_name", request("/endpoints/%2e%2e/invocations")),
        ("endpoint_name", request("/endpoints/a%0Ab/invocations")),
        (
            "custom_attributes",
            request("/endpoints/e/invocations", ("X-Amzn-SageMaker-Custom-Attributes", "caf\xe9")),
        ),
        ("content_type", request("/endpoints/e/invocations", ("Content-Type", ""))),
        (
            "target_variant",
            request("/endpoints/e/invocations", ("x-amzn-sagemaker-target-variant", "a b")),
        ),
        ("url", Request("POST", "/endpoints/e/invocations")),
    ],
)
def test_read_names_the_invalid_member(member: str, bad: Request) -> None:
    with pytest.raises(ValidationError, match=f"{member}: ") as caught:
        service.read(bad)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "unknown",
    [
        request(method="GET"),
        request("/"),
        request("/endpoints/e/invocations/"),
        request("/endpoints/e/f/invocations"),
        request("/my-endpoints/e"),
    ],
)
def test_read_raises_unknown_operation_for_other_methods_and_paths(unknown: Request) -> None:
    with pytest.raises(ServiceError) as caught:
        service.read(unknown)
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)


def test_error_response_has_status_type_header_and_json_body() -> None:
    error = ModelError("no")
    error.original_status_code = 400
    answered: Response = service.answer(error, request_id="r")
    assert answered.status == 424
    assert set(answered.headers) == {
        ("x-amzn-RequestId", "r"),
        ("x-amzn-ErrorType", "ModelError"),
        ("Content-Type", "application/json"),
    }
    assert json.loads(answered.body) == {"Message": "no", "OriginalStatusCode": 400}
