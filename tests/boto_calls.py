"""Calls through boto3 and through our client of its shape, and how their results are compared."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import botocore.exceptions

import smruntime_core as sm
from smruntime_local import Cut, Delay, Drip, Endpoint, HtmlPage, Reset, SlowHead, throttle

Members: TypeAlias = "dict[str, object]"

INVOKE = "invoke_endpoint"
ASYNC = "invoke_endpoint_async"
STREAM = "invoke_endpoint_with_response_stream"
ONE_ATTEMPT = {"retries": {"mode": "standard", "total_max_attempts": 1}}
SHORT = {**ONE_ATTEMPT, "read_timeout": 0.2}
TWO_ATTEMPTS = {"retries": {"mode": "standard", "total_max_attempts": 2}}

_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Call(NamedTuple):
    """A call; each client gets the steps of `script` before it, and `config` when it is made."""

    name: str
    method: str
    members: Callable[[], Members]
    script: tuple[object, ...] = ()
    config: Mapping[str, object] = {}
    difference: str = ""  # the line of the table in docs/from-boto3.md


class Failure(NamedTuple):
    """What was raised, with the parts that came before it."""

    error: Exception
    received: list[object]


def with_members(
    method: str, endpoint: str = "echo", /, **members: object
) -> Callable[[], Members]:
    body: Members = {} if "InputLocation" in members else {"Body": b"1"}
    return lambda: {"EndpointName": endpoint, **body, **members}


OPTIONAL: dict[str, dict[str, object]] = {
    INVOKE: {
        "ContentType": "text/csv",
        "Accept": "application/json",
        "CustomAttributes": "trace=1",
        "TargetModel": "eu/churn.tar.gz",
        "TargetVariant": "blue",
        "TargetContainerHostname": "first",
        "InferenceId": "id-1",
        "EnableExplanations": "`true`",
        "InferenceComponentName": "small",
        "SessionId": "NEW_SESSION",
        "PrefixAwareId": "prefix",
    },
    ASYNC: {
        "ContentType": "text/csv",
        "Accept": "application/json",
        "CustomAttributes": "trace=1",
        "InferenceId": "id-1",
        "InputLocation": "s3://bucket/key",
        "S3OutputPathExtension": "a/b",
        "Filename": "out.csv",
        "RequestTTLSeconds": 60,
        "InvocationTimeoutSeconds": 30,
    },
    STREAM: {
        "ContentType": "text/csv",
        "Accept": "application/json",
        "CustomAttributes": "trace=1",
        "TargetVariant": "blue",
        "TargetContainerHostname": "first",
        "InferenceId": "id-1",
        "InferenceComponentName": "small",
        "SessionId": "open-1",
        "PrefixAwareId": "prefix",
    },
}
MEMBERS = [
    Call(f"{method} {name}", method, with_members(method, "echo", **{name: value}))
    for method, optional in OPTIONAL.items()
    for name, value in optional.items()
]

BODIES: dict[str, Callable[[], object]] = {
    "text": lambda: "ä",
    "bytearray": lambda: bytearray(b"12"),
    "file": lambda: io.BytesIO(b"from a file"),
    "empty": lambda: b"",
    "large": lambda: bytes(1 << 18),
}


def with_body(make: Callable[[], object]) -> Callable[[], Members]:
    return lambda: {"EndpointName": "echo", "Body": make()}


BODY_CALLS = [
    Call(f"{method}, body: {name}", method, with_body(make))
    for method in (INVOKE, ASYNC, STREAM)
    for name, make in BODIES.items()
    if not (method == ASYNC and name == "large")
]

ERRORS = {
    "ModelError": sm.ModelError("broken"),
    "ModelNotReadyException": sm.ModelNotReadyException("loading"),
    "ServiceUnavailable": sm.ServiceUnavailable("busy"),
    "InternalFailure": sm.InternalFailure("oops"),
    "InternalDependencyException": sm.InternalDependencyException("dependency"),
    "ValidationError": sm.ValidationError("no"),
    "throttled": throttle(1)[0],
    "unmodelled": sm.ServiceError("teapot", code="Teapot", status=418),
    "page of HTML, 502": HtmlPage(502),
}
ERROR_CALLS = [
    Call(f"{method} {name}", method, with_members(method), (step,), ONE_ATTEMPT)
    for method in (INVOKE, ASYNC, STREAM)
    for name, step in ERRORS.items()
]

RETRY_CALLS = [
    Call(
        "retried once", INVOKE, with_members(INVOKE), (ERRORS["ServiceUnavailable"],), TWO_ATTEMPTS
    ),
    Call(
        "retried without success",
        INVOKE,
        with_members(INVOKE),
        (ERRORS["InternalFailure"],) * 2,
        TWO_ATTEMPTS,
    ),
    Call("not retried", INVOKE, with_members(INVOKE), (ERRORS["ModelError"],), TWO_ATTEMPTS),
]


def streamed(attributes: str, endpoint: str = "ngram") -> Callable[[], Members]:
    return lambda: {"EndpointName": endpoint, "Body": b"The", "CustomAttributes": attributes}


STREAM_CALLS = [
    Call("stream", STREAM, streamed("a=1")),
    Call("stream of bytes", STREAM, streamed("cut=bytes")),
    Call("stream, cut anywhere", STREAM, streamed("cut=random:3")),
    Call("unmodelled error", STREAM, streamed("fault=error:Overloaded@2")),
    Call("unmodelled error at once", STREAM, streamed("fault=error:Overloaded@0")),
    Call("truncated", STREAM, streamed("fault=truncate@2"), (), {}, "truncated stream"),
    Call("closed", STREAM, streamed("fault=close@2"), (), {}, "closed stream"),
    Call("wrong checksum", STREAM, streamed("fault=flip@2"), (), {}, "damaged event"),
    Call("silent", STREAM, streamed("fault=stall:0.5@2"), (), SHORT, "silent stream"),
]

NETWORK_CALLS = [
    Call("slow answer", INVOKE, with_members(INVOKE), (Delay(0.1),)),
    Call("slow head", INVOKE, with_members(INVOKE), (SlowHead(0.1),)),
    Call("dripping answer", INVOKE, with_members(INVOKE), (Drip(0.0005),)),
    Call("late answer", INVOKE, with_members(INVOKE), (Delay(0.5),), SHORT),
    Call("late head", INVOKE, with_members(INVOKE), (SlowHead(0.5),), SHORT),
    Call("late stream", STREAM, with_members(STREAM), (Delay(0.5),), SHORT),
    Call("late acceptance", ASYNC, with_members(ASYNC), (Delay(0.5),), SHORT),
    Call("reset", INVOKE, with_members(INVOKE), (Reset(),), ONE_ATTEMPT),
    Call(
        "cut in the head", INVOKE, with_members(INVOKE), (Cut(20),), ONE_ATTEMPT, "cut in the head"
    ),
    Call(
        "cut in the body", INVOKE, with_members(INVOKE, Body=bytes(999)), (Cut(800),), ONE_ATTEMPT
    ),
]


def given(**members: object) -> Callable[[], Members]:
    return lambda: dict(members)


VALID: Members = {"EndpointName": "echo", "Body": b"1"}
BAD_CALLS = [
    Call("nothing", INVOKE, given()),
    Call("no name", INVOKE, given(Body=b"1")),
    Call("no body", INVOKE, given(EndpointName="echo")),
    Call("no body, stream", STREAM, given(EndpointName="echo")),
    Call("unknown member", INVOKE, given(**VALID, Name="x")),
    Call("two unknown members", ASYNC, given(**VALID, Name="x", Size=1)),
    Call("member of another operation", STREAM, given(**VALID, TargetModel="x")),
    Call("misspelt as here", INVOKE, given(endpoint_name="echo", body=b"1")),
    Call("None", INVOKE, given(**VALID, Accept=None), difference="values in messages"),
    Call("number", INVOKE, given(**VALID, Accept=1), difference="values in messages"),
    Call("text", ASYNC, given(**VALID, RequestTTLSeconds="60"), difference="values in messages"),
    Call(
        "dict", INVOKE, given(EndpointName="echo", Body={"a": 1}), difference="values in messages"
    ),
    Call("list", STREAM, given(EndpointName="echo", Body=[1]), difference="values in messages"),
    Call("name", INVOKE, given(EndpointName=3, Body=b""), difference="values in messages"),
    Call("blank", INVOKE, given(EndpointName="a b", Body=b""), difference="local checks"),
    Call("long", INVOKE, given(**VALID, InferenceId="x" * 65), difference="local checks"),
    Call("no input", ASYNC, given(EndpointName="echo"), difference="local checks"),
    Call("range", ASYNC, given(**VALID, RequestTTLSeconds=1), difference="local checks"),
    Call("two inputs", ASYNC, given(**VALID, InputLocation="s3://b/k"), difference="local checks"),
    Call("empty", INVOKE, given(**VALID, Accept="", InferenceId=""), difference="empty text"),
]

CALLS = [
    *MEMBERS,
    *BODY_CALLS,
    *ERROR_CALLS,
    *RETRY_CALLS,
    *STREAM_CALLS,
    *NETWORK_CALLS,
    *BAD_CALLS,
]


def perform(client: Any, call: Call, endpoint: Endpoint) -> object:
    """Return the answer, with its body read, or the failure."""
    if call.script:
        endpoint.script("echo", *call.script)
    received: list[object] = []
    try:
        answer = getattr(client, call.method)(**call.members())
        if call.method == INVOKE:
            return {**answer, "Body": answer["Body"].read()}
        if call.method == STREAM:
            for event in answer["Body"]:
                received.append(event)
            return {**answer, "Body": received}
        return answer
    except Exception as error:
        return Failure(error, received)


async def perform_async(client: Any, call: Call, endpoint: Endpoint) -> object:
    """Return the answer of an async client, with its body read, or the failure."""
    if call.script:
        endpoint.script("echo", *call.script)
    received: list[object] = []
    try:
        answer = await getattr(client, call.method)(**call.members())
        if call.method == INVOKE:
            async with answer["Body"] as body:
                return {**answer, "Body": await body.read()}
        if call.method == STREAM:
            async for event in answer["Body"]:
                received.append(event)
            return {**answer, "Body": received}
        return answer
    except Exception as error:
        return Failure(error, received)


def normalize(value: object) -> Any:
    """Return `value` without the ids that the server chooses for each request."""
    if isinstance(value, Mapping):
        return {name: normalize(item) for name, item in value.items()}
    if isinstance(value, list):
        return [normalize(item) for item in value]
    return _UUID.sub("<id>", value) if isinstance(value, str) else value


def describe(result: object) -> Any:
    """Return a result as values that can be compared."""
    if not isinstance(result, Failure):
        return normalize(result)
    error = result.error
    response = getattr(error, "response", None)
    return {
        "error": exception_name(error),
        "response": normalize(response) if isinstance(response, Mapping) else None,
        "text": None if "{error}" in getattr(error, "fmt", "") else normalize(str(error)),
        "received": result.received,
    }


def exception_name(error: Exception) -> str:
    """Return the name of botocore's class, or of a modelled one."""
    for base in type(error).__mro__:
        if getattr(botocore.exceptions, base.__name__, None) is base:
            return f"{base.__name__}: {type(error).__name__}"
    return type(error).__name__
