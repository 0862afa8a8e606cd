"""Requests equal the protocol's own cases: bodies, header fields, endpoints with a path."""

from __future__ import annotations

import pickle
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import InvokeEndpoint, Operation, Output, Response
from smruntime_core.protocol._bindings import header, payload
from smruntime_core.values._rules import header_text
from smruntime_core.values._url import Endpoint

from .vectors import cases

TEXT = header_text(1024)


class Answer(Output):
    body: bytes = payload("blob")
    foo: str | None = header("X-Foo", TEXT, default=None)
    content_type: str | None = header("Content-Type", TEXT, default=None)


class Blob(Operation[Answer]):
    output = Answer
    errors = ()

    body: bytes | None = payload("blob", default=None)
    foo: str | None = header("X-Foo", TEXT, default=None)
    content_type: str | None = header("Content-Type", TEXT, default=None)


def blob_cases(trait: str) -> list[Any]:
    def pick(all_cases: list[Any]) -> list[Any]:
        found = [case for case in all_cases if case["trait"] == trait and "Blob" in case["id"]]
        assert len(found) >= 6
        return found

    return cases("rest-json-1.json", pick, itemgetter("id"))


def members(case: Any) -> dict[str, Any]:
    params = case.get("params", {})
    body = next((params[name] for name in ("blob", "data") if name in params), None)
    media_type = params.get("contentType") or case.get("headers", {}).get("Content-Type")
    given = {
        "body": None if body is None else body.encode(),
        "foo": params.get("foo"),
        "content_type": media_type,
    }
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("case", blob_cases("httpRequestTests"))
def test_requests_equal_the_published_vectors(case: Any) -> None:
    kind = type(
        case["target"],
        (Blob,),
        {"method": case["method"], "path": case["uri"], "__annotations__": {}},
    )
    request = kind(**members(case)).request("https://example.com")
    assert (request.method, request.url) == (case["method"], f"https://example.com{case['uri']}")
    assert bytes(request.body) == case["body"].encode()
    sent = dict(request.headers)
    assert {name: sent.get(name) for name in case.get("headers", {})} == case.get("headers", {})
    assert not set(case.get("forbidHeaders", ())) & set(sent)


@pytest.mark.parametrize("case", blob_cases("httpResponseTests"))
def test_responses_equal_the_published_vectors(case: Any) -> None:
    output = Blob().parse(
        Response(case["code"], tuple(case.get("headers", {}).items()), case["body"].encode())
    )
    expected = members(case)
    assert output == Answer(body=expected.pop("body", b""), **expected)


def test_endpoint_path_precedes_the_operation_path() -> None:
    kind = type(
        "HostWithPath",
        (Blob,),
        {"method": "GET", "path": "/HostWithPathOperation", "__annotations__": {}},
    )
    assert (
        kind().request("https://example.com/custom").url
        == "https://example.com/custom/HostWithPathOperation"
    )


TEXTS = st.sampled_from((None, "a", "b", "text/csv"))


@given(
    st.sampled_from(("churn", "fraud")),
    TEXTS,
    TEXTS,
    st.sampled_from(("https://h:8/under", "https://i")),
)
def test_checked_endpoint_makes_the_same_request_as_its_text(
    name: str, content_type: str | None, accept: str | None, endpoint: str
) -> None:
    operation = InvokeEndpoint(
        endpoint_name=name, body=b"1", content_type=content_type, accept=accept
    )
    request = operation.request(Endpoint(endpoint))
    assert request == operation.request(endpoint) == operation.request(f"{endpoint}/")
    assert request.url == f"{endpoint}/endpoints/{name}/invocations"
    expected = {"Content-Type": content_type, "Accept": accept}
    assert dict(request.headers) == {
        header: text for header, text in expected.items() if text is not None
    }


def test_replaced_or_pickled_operation_makes_its_own_request() -> None:
    operation = InvokeEndpoint(endpoint_name="e", body=b"", accept="a/b")
    request = operation.request("https://h")
    other = operation.replace(accept="c/d", body=b"other")
    assert dict(other.request("https://h").headers)["Accept"] == "c/d"
    again: InvokeEndpoint = pickle.loads(pickle.dumps(operation))
    assert (again, again.request("https://h")) == (operation, request)
    assert vars(again) == {"endpoint_name": "e", "body": b"", "accept": "a/b"}
