"""Parsing: outputs, the modelled errors, every form of an error code, and hostile bytes."""

from __future__ import annotations

import gzip
import json
import pickle
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    Attempt,
    ConstructionError,
    CredentialsError,
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointOutput,
    ModelError,
    Response,
    ResponseError,
    ServiceError,
    SmRuntimeError,
    ValidationError,
)

from .vectors import cases

OPERATION = InvokeEndpoint(endpoint_name="churn", body=b"")


def error_of(status: int = 400, body: bytes = b"", **headers: str) -> ServiceError:
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    with pytest.raises(ServiceError) as caught:
        OPERATION.parse(Response(status, pairs, body))
    return caught.value


def test_output_has_the_members_of_the_response() -> None:
    headers = (
        ("content-TYPE", "text/csv"),
        ("X-Amzn-Invoked-Production-Variant", "blue"),
        ("x-amzn-sagemaker-custom-attributes", "a"),
        ("X-Amzn-SageMaker-Custom-Attributes", "caf\xe9"),
        ("X-Amzn-SageMaker-New-Session-Id", "s; Expires=2026-01-31T23:59:59Z"),
        ("X-Amzn-SageMaker-Closed-Session-Id", "not a session id!"),
        ("x-amzn-RequestId", "r-1"),
    )
    attempts = (Attempt("ok"),)
    output = OPERATION.parse(Response(200, headers, b"0.5\n"), attempts=attempts)
    assert output.body == b"0.5\n"
    assert (output.content_type, output.invoked_production_variant, output.custom_attributes) == (
        "text/csv",
        "blue",
        "a, caf\xe9",
    )
    assert (output.new_session_id, output.closed_session_id) == (
        "s; Expires=2026-01-31T23:59:59Z",
        "not a session id!",
    )
    metadata = output.metadata
    assert (metadata.request_id, metadata.status, metadata.headers, metadata.attempts) == (
        "r-1",
        200,
        headers,
        attempts,
    )
    assert OPERATION.parse(Response(204)) == InvokeEndpointOutput(body=b"")
    assert "caf" not in repr(output) and "0.5" not in repr(output)


def test_truncated_success_raises_error_with_its_request_id() -> None:
    with pytest.raises(ResponseError) as caught:
        OPERATION.parse(Response(200, (("x-amzn-requestid", "r"),), b"0.", truncated=True))
    assert caught.value.metadata.request_id == "r"


@pytest.mark.parametrize("kind", InvokeEndpoint.errors, ids=lambda kind: str(kind.default_code))
def test_error_code_selects_the_modelled_class(kind: type[ServiceError]) -> None:
    body = json.dumps(
        {
            "Message": "no",
            "OriginalStatusCode": 500,
            "OriginalMessage": "oom",
            "LogStreamArn": "arn:x",
        }
    ).encode()
    error = error_of(
        kind.default_status, body, x_amzn_errortype=kind.default_code, x_amzn_requestid="r-1"
    )
    assert type(error) is kind
    assert (error.code, error.status, error.message, error.body) == (
        kind.default_code,
        kind.default_status,
        "no",
        body,
    )
    assert str(error) == f"{kind.default_code} ({kind.default_status}): no [request id r-1]"
    if isinstance(error, ModelError):
        assert (error.original_status_code, error.original_message, error.log_stream_arn) == (
            500,
            "oom",
            "arn:x",
        )


def test_error_members_of_another_type_are_none() -> None:
    error = error_of(
        424,
        b'{"OriginalStatusCode": "500", "OriginalMessage": 1, "Message": []}',
        x_amzn_errortype="ModelError",
    )
    assert isinstance(error, ModelError)
    assert (
        error.original_status_code,
        error.original_message,
        error.log_stream_arn,
        error.message,
    ) == (None, None, None, "")
    true = error_of(424, b'{"OriginalStatusCode": true}', x_amzn_errortype="ModelError")
    assert isinstance(true, ModelError) and true.original_status_code is None


CODES = (
    "ValidationError",
    " ValidationError ",
    "ValidationError:http://x/y#z",
    "aws.x#ValidationError",
    "a#b#ValidationError:http://x",
)


@pytest.mark.parametrize("text", CODES)
@pytest.mark.parametrize("place", ["x-amzn-errortype", "__type", "code", "Code"])
def test_error_code_is_found_in_every_form(place: str, text: str) -> None:
    named = place.startswith("x-")
    error = (
        error_of(400, b"", **{place: text})
        if named
        else error_of(400, json.dumps({place: text}).encode())
    )
    assert type(error) is ValidationError


@pytest.mark.parametrize("text", ["", " ", ":", "#", "a#", ":ValidationError", "a#:x"])
def test_empty_error_code_falls_back_to_the_status(text: str) -> None:
    assert error_of(418, x_amzn_errortype=text).code == "418"
    assert (
        error_of(418, json.dumps({"code": "Other"}).encode(), x_amzn_errortype=text).code == "Other"
    )
    assert (
        error_of(418, json.dumps({"__type": text, "code": 5, "Code": "Last"}).encode()).code
        == "Last"
    )


HOSTILE = {
    "list": b'[{"code": "x"}]',
    "string": b'"code"',
    "number": b"1e999",
    "null": b"null",
    "deep": b"[" * 100_000,
    "NaN": b"NaN",
    "deep object": b'{"a":' * 100_000,
    "many digits": b'{"code": ' + b"9" * 10_000 + b"}",
    "not UTF-8": b'{"code": "\xff\xfe"}',
    "gzip": gzip.compress(b'{"code": "x"}'),
    "BOM": b"\xef\xbb\xbf{}",
    "HTML": b"<html>502 Bad Gateway</html>",
    "empty": b"",
    "NULs": bytes(9),
    "cut": b'{"code": "x',
    "UTF-16 BOM": b"\xff\xfe",
    "wrong types": b'{"__type": [], "code": {}, "Code": 1, "message": 2}',
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_hostile_body_becomes_a_service_error(body: bytes) -> None:
    error = error_of(502, body)
    assert type(error) is ServiceError
    assert (error.code, error.status, error.message, error.body) == ("502", 502, "", body)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3),
)
documents = st.dictionaries(
    st.sampled_from(("__type", "code", "Code", "message", "Message", "OriginalStatusCode")),
    json_values,
)
any_text = st.text(
    st.characters(exclude_categories=()) | st.sampled_from("\ud800\x1b\n\u2028\x85\u202e"),
    max_size=20,
)


@given(
    status=st.integers(100, 999),
    headers=st.lists(
        st.tuples(
            st.sampled_from(("x-amzn-errortype", "X-Amzn-RequestId", "content-type")) | any_text,
            any_text,
        ),
        max_size=4,
    ),
    body=st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()),
    truncated=st.booleans(),
)
def test_any_response_gives_an_output_or_service_error(
    status: int, headers: list[tuple[str, str]], body: bytes, truncated: bool
) -> None:
    try:
        output = OPERATION.parse(Response(status, tuple(headers), body, truncated))
    except SmRuntimeError as error:
        assert str(error).isprintable()
        assert pickle.loads(pickle.dumps(error)).metadata == error.metadata
    else:
        assert 200 <= status < 300 and output.body == body


def published_errors(all_cases: list[Any]) -> list[Any]:
    return [
        case
        for case in all_cases
        if case["trait"] == "httpResponseTests" and "Error" in case["id"] and case["code"] >= 400
    ]


@pytest.mark.parametrize("case", cases("rest-json-1.json", published_errors, itemgetter("id")))
def test_responses_decode_like_the_published_vectors(case: Any) -> None:
    error = error_of(case["code"], case.get("body", "").encode(), **case.get("headers", {}))
    assert (error.code, error.status) == (case["target"], case["code"])
    params = case.get("params", {})
    assert error.message == params.get("Message", params.get("message", ""))


SERVICE_ERRORS: list[type[ServiceError]] = [ServiceError, *InvokeEndpoint.errors]
ERRORS = (
    SmRuntimeError("a"),
    ConstructionError("member", "rule", "found"),
    CredentialsError("none"),
    ResponseError("cut"),
    DispatchFailure(
        "no\n",
        kind="reset",
        phase="head",
        delivery="maybe_sent",
        reused=True,
        bytes_sent=3,
        status=200,
    ),
    *(kind("message\x1b\ud800", status=499, body=b"b") for kind in SERVICE_ERRORS),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_error_is_one_printable_line_and_survives_pickling(error: SmRuntimeError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.args, vars(again), str(again)) == (
        type(error),
        error.args,
        vars(error),
        str(error),
    )
    assert str(error).isprintable()


def test_quoted_session_token_is_redacted() -> None:
    body = json.dumps(
        {
            "message": "The Canonical String should have been\n"
            "'POST\nx-amz-security-token:hush/+=\n\nhost'"
        }
    ).encode()
    error = error_of(403, body, **{"x-amzn-errortype": "SignatureDoesNotMatch"})
    assert "hush" not in str(error) + repr(error.body) + error.message_raw
    assert "x-amz-security-token:<redacted>\n\nhost" in error.message_raw
