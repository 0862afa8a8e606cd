"""The methods of outputs that read their body; `test_codecs*` hold for the formats themselves."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

import smruntime_core as sm
from smruntime_core import codecs
from smruntime_transports import sockets

from .callers import CREDENTIALS
from .servers import scripted

OUTPUTS: list[type[Any]] = [sm.InvokeEndpointOutput, sm.InvokeEndpointWithResponseStreamOutput]
METHODS = ("json", "text", "jsonl", "csv", "numpy", "pandas")


def output(body: bytes, content_type: str | None) -> sm.InvokeEndpointOutput:
    metadata = sm.Metadata("r-1", 200)
    return sm.InvokeEndpointOutput(body=body, content_type=content_type, metadata=metadata)


def test_body_is_read_in_each_format() -> None:
    assert output(b'{"a": [1, 2.5]}', "application/json").json() == {"a": [1, 2.5]}
    assert output(b'"\xe9"', "application/json; charset=latin-1").json() == "é"
    assert output(b"\xe9", "text/plain; charset=latin-1").text() == "é"
    assert output(b"\xe9", "text/plain").text(encoding="latin-1") == "é"
    assert output(b'{"a": 1}\n{"a": 2}\n', "application/jsonlines").jsonl() == [{"a": 1}, {"a": 2}]
    assert output(b'a,"b\n"\n1,2\n', "text/csv").csv() == [["a", "b\n"], ["1", "2"]]
    assert output(b"a;b\n", "text/csv").csv(delimiter=";") == [["a", "b"]]


def test_other_parser_reads_json() -> None:
    assert output(b"[NaN]", None).json(loads=json.loads) != [None]
    assert output(b"1\n2", None).jsonl(loads=float) == [1.0, 2.0]


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("method", METHODS)
def test_methods_have_the_options_of_the_codecs(kind: type[Any], method: str) -> None:
    reader: Callable[..., object] = getattr(codecs, f"read_{method}")
    of_reader = dict(inspect.signature(reader).parameters)
    del of_reader["body"], of_reader["content_type"]
    of_method = dict(inspect.signature(getattr(kind, method)).parameters)
    del of_method["self"]
    assert {name: p.default for name, p in of_method.items()} == {
        name: p.default for name, p in of_reader.items()
    }


@pytest.mark.parametrize(
    ("body", "content_type", "method"),
    [(b"1,2", "text/csv", "json"), (b"{", "application/json", "json"), (b"\xff", None, "text")],
)
def test_error_names_the_method_and_the_call(body: bytes, content_type: str, method: str) -> None:
    with pytest.raises(sm.ResponseError, match=rf"{method}\(\)") as caught:
        getattr(output(body, content_type), method)()
    assert caught.value.metadata.request_id == "r-1"


def test_answer_of_a_server_is_read_by_its_content_type() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n"
        b'{"scores": [1]}'
    )
    with (
        scripted(answer, answer) as server,
        sockets.Client(
            region="us-east-1", endpoint_url=server.url, credentials=CREDENTIALS
        ) as client,
    ):
        assert client.invoke_endpoint("iris", **codecs.as_json([1])).json() == {"scores": [1]}
        with pytest.raises(sm.ResponseError, match=r"'application/json'; call \.json\(\)"):
            client.invoke_endpoint("iris", **codecs.as_csv([[1]])).csv()
    assert b"POST /endpoints/iris/invocations" in server.requests[0]
    assert b"\r\ncontent-type: application/json\r\n" in server.requests[0].lower()


def test_endpoint_name_is_the_only_member_by_position() -> None:
    for operation in (
        sm.InvokeEndpoint,
        sm.InvokeEndpointWithResponseStream,
        sm.InvokeEndpointAsync,
    ):
        make: Any = operation
        assert make("iris", body=b"1") == make(endpoint_name="iris", body=b"1")
        with pytest.raises(TypeError, match="positional"):
            make("iris", b"1")
