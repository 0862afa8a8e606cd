"""Members are checked at construction: refusals read well, the rest is sent as it was given."""

from __future__ import annotations

import array
import ctypes
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core import (
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointWithResponseStream,
)

TEXTS = {"content_type": 1024, "accept": 1024, "custom_attributes": 1024, "target_model": 1024}
SHORT_TEXTS = {"inference_id": 64, "enable_explanations": 64, "prefix_aware_id": 64}
NAMES = {
    "endpoint_name": 63,
    "target_variant": 63,
    "target_container_hostname": 63,
    "inference_component_name": 63,
    "session_id": 256,
}
MEMBERS = {**TEXTS, **SHORT_TEXTS, **NAMES}

NEVER = (
    "",
    "\r",
    "a\rb",
    "a\nb",
    "a\r\nX-Evil: 1",
    "a\0b",
    "a\x7fb",
    "a\tb",
    "é",
    "\ud800",
    "日本",
    " a",
    "a ",
    " ",
    "a\x1bb",
    "a\n",
)
NO_NAME = ("..", ".", "a/b", "-a", "a-", "a_b", "a b", "a%2Fb", "a?b", "a.b", "-", "NEW_SESSION2")

any_text = (
    st.text(max_size=80)
    | st.text("ab- \t\r\n\x7f\ud800é~!/._", max_size=8)
    | st.from_regex(r"[!-~]([ -~]{0,70}[!-~])?", fullmatch=True)
)


def made(**members: Any) -> InvokeEndpoint:
    return InvokeEndpoint(**{"endpoint_name": "churn", "body": b"", **members})


def sent(operation: InvokeEndpoint) -> dict[str, str]:
    return dict(operation.request("https://h").headers)


def wire_name(member: str) -> str:
    return next(
        binding.wire_name for binding in InvokeEndpoint._table.bindings if binding.name == member
    )


def refusal(member: str, value: object) -> ConstructionError:
    with pytest.raises(ConstructionError) as caught:
        made(**{member: value})
    return caught.value


def test_table_of_members_covers_all_but_the_body() -> None:
    assert set(MEMBERS) | {"body"} == {binding.name for binding in InvokeEndpoint._table.bindings}


@pytest.mark.parametrize("member", MEMBERS)
def test_value_that_breaks_its_rule_is_refused(member: str) -> None:
    for value in (*NEVER, "a" * (MEMBERS[member] + 1), *(NO_NAME if member in NAMES else ())):
        error = refusal(member, value)
        assert error.member == member
        assert error.rule in str(error)
        assert str(error).startswith(f"{member}: ")
        assert str(error).isprintable()
        assert len(value.strip()) < 2 or value not in str(error), "the value may be a secret"
        assert isinstance(error, ValueError)


@pytest.mark.parametrize("member", MEMBERS)
def test_value_that_follows_its_rule_is_sent_as_header(member: str) -> None:
    values = ["a", "A1", "a-b", "a--b", "9", "a" * MEMBERS[member]]
    if member not in NAMES:
        values += ["..", "a/b", "a  b", "é".encode().hex(), "!~", 'a=b; c="d"', "NEW_SESSION"]
    for value in values:
        request = made(**{member: value}).request("https://h")
        if member == "endpoint_name":
            assert request.url == f"https://h/endpoints/{value}/invocations"
        else:
            assert request.headers == ((wire_name(member), value),)


def test_new_session_is_requested_by_its_constant() -> None:
    assert sent(made(session_id="NEW_SESSION")) == {"X-Amzn-SageMaker-Session-Id": "NEW_SESSION"}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", [1, 1.5, b"a", True, ["a"], {"a": 1}, object()])
def test_value_that_is_not_a_str_is_refused(member: str, value: object) -> None:
    error = refusal(member, value)
    assert error.member == member
    assert f"found {type(value).__name__}" in str(error)


def test_error_never_quotes_the_refused_value() -> None:
    for member in MEMBERS:
        assert "hush" not in str(refusal(member, "hush\n"))


def test_missing_and_unknown_members_raise_type_error() -> None:
    assert refusal("endpoint_name", None).member == "endpoint_name"
    assert refusal("body", None).member == "body"
    with pytest.raises(TypeError):
        InvokeEndpoint(body=b"")  # type: ignore[call-arg]  # a required member is missing
    with pytest.raises(TypeError):
        made(endpoint="x")
    assert sent(made(accept=None)) == {}


class Csv(str, Enum):  # noqa: UP042 - the older kind, whose format() is its name
    PLAIN = "text/csv"


class Loud(str):
    def __str__(self) -> str:
        return "loud\r\n"


def test_str_subclass_is_sent_as_its_value() -> None:
    for value, expected in ((Csv.PLAIN, "text/csv"), (Loud("quiet"), "quiet")):
        operation = made(content_type=value)
        assert type(operation.content_type) is str
        assert sent(operation)["Content-Type"] == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"\0\xff", b"\0\xff"),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abc")[1:], b"bc"),
        (memoryview(array.array("H", [1, 2])), array.array("H", [1, 2]).tobytes()),
        (memoryview(array.array("d")), b""),
        (memoryview(b"abcd").cast("b", (2, 2)), b"abcd"),
        (memoryview((ctypes.c_uint8 * 3)(1, 2, 3)), b"\1\2\3"),
        (memoryview((ctypes.c_int32 * 2)()), bytes(8)),
    ],
    ids=lambda value: getattr(value, "format", type(value).__name__),
)
def test_body_is_sent_byte_for_byte(body: Any, expected: bytes) -> None:
    request = made(body=body).request("https://h")
    assert bytes(request.body) == expected
    assert len(request.body) == len(expected)


@pytest.mark.parametrize(
    "body", ["text", 1, None, [1], array.array("B"), memoryview(b"abcd")[::2], object()]
)
def test_body_that_is_not_bytes_is_refused(body: object) -> None:
    error = refusal("body", body)
    assert error.member == "body"
    assert (".encode()" in str(error)) == isinstance(body, str)


def test_repr_shows_neither_body_nor_custom_attributes() -> None:
    shown = repr(made(body=b"hush", custom_attributes="hush", accept="text/csv"))
    assert (
        shown == "InvokeEndpoint(endpoint_name='churn', body=<4 bytes>, accept='text/csv', "
        "custom_attributes=<redacted>)"
    )


def test_operation_is_frozen_and_equal_by_value() -> None:
    one = made(accept="a")
    with pytest.raises(AttributeError):
        one.accept = "b"  # type: ignore[misc]  # it is frozen
    with pytest.raises(AttributeError):
        del one.accept
    assert one == made(accept="a") and hash(one) == hash(made(accept="a"))
    assert one != made(accept="b") and one != made() and one != "a"
    assert made(body=bytearray(b"a")) == made(body=b"a")
    assert made(accept=None) == made()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h",
        "ftp://h",
        "https://",
        "https://u@h",
        "https://h?a",
        "https://h#f",
        "https://h/ x",
        "https://é",
        "x\nhttps://h",
    ],
)
def test_endpoint_that_is_not_a_service_url_is_refused(url: str) -> None:
    with pytest.raises(ConstructionError):
        made().request(url)


@given(st.sampled_from([member for member in MEMBERS if member != "endpoint_name"]), any_text)
def test_any_text_is_sent_unchanged_or_refused(member: str, text: str) -> None:
    try:
        operation = made(**{member: text})
    except ConstructionError as error:
        assert error.member == member
    else:
        assert sent(operation) == {wire_name(member): text}
        assert text.isascii() and text.isprintable() and text == text.strip() != ""


def asynchronous(**members: Any) -> InvokeEndpointAsync:
    return InvokeEndpointAsync(**{"endpoint_name": "churn", "body": b"x", **members})


@pytest.mark.parametrize(
    ("member", "good", "bad"),
    [
        ("request_ttl_seconds", (60, 21_600), (59, 21_601, True, "60", 60.0, 10**30)),
        ("invocation_timeout_seconds", (1, 3_600), (0, 3_601, -1)),
        (
            "filename",
            ("a", "a.csv", "A-1_b.x", "9" * 32),
            ("", "a.b.c", ".a", "-a", "a/b", "a b", "9" * 33),
        ),
        (
            "s3_output_path_extension",
            ("a/b", "x!_.*'()/-", "s3", "a" * 512),
            ("", "s3:x", "https:x", "a b", "a:b", "a" * 513),
        ),
        ("custom_attributes", ("a b",), ("a\r\nb",)),
    ],
)
def test_async_invocation_sends_its_members_as_headers(
    member: str, good: tuple[object, ...], bad: tuple[object, ...]
) -> None:
    for value in good:
        ((_, text),) = asynchronous(**{member: value}).request("https://h").headers
        assert text == str(value)
    for value in bad:
        with pytest.raises(ConstructionError) as caught:
            asynchronous(**{member: value})
        assert caught.value.member == member


def test_async_invocation_requires_exactly_one_input() -> None:
    for good in ("s3://bucket/key", "https://bucket.s3.amazonaws.com/a key.csv", "s3://b"):
        assert asynchronous(body=None, input_location=good).request("https://h").body == b""
    for bad in ("", "http://b/k", "s3://", "s3:///k", "bucket/key", "s3://b/k ", "s3://b/\n"):
        with pytest.raises(ConstructionError):
            asynchronous(body=None, input_location=bad)
    for members in ({"input_location": "s3://b/k"}, {"body": None}):
        with pytest.raises(ConstructionError) as caught:
            asynchronous(**members)
        assert caught.value.member == "body"
    assert len(asynchronous(body=bytes(128_000)).request("https://h").body) == 128_000
    with pytest.raises(ConstructionError, match="128000"):
        asynchronous(body=bytes(128_001))


def test_member_has_the_wire_name_of_its_operation() -> None:
    members: dict[str, Any] = {
        "endpoint_name": "e",
        "body": b"x",
        "content_type": "a/b",
        "accept": "c/d",
    }
    assert InvokeEndpoint(**members).request("https://h").headers == (
        ("Content-Type", "a/b"),
        ("Accept", "c/d"),
    )
    streamed = InvokeEndpointWithResponseStream(**members).request("https://h")
    assert streamed.headers == (("Content-Type", "a/b"), ("X-Amzn-SageMaker-Accept", "c/d"))
    assert streamed.url == "https://h/endpoints/e/invocations-response-stream"
    later = InvokeEndpointAsync(**members).request("https://h")
    assert later.headers == (
        ("X-Amzn-SageMaker-Content-Type", "a/b"),
        ("X-Amzn-SageMaker-Accept", "c/d"),
    )
    assert later.url == "https://h/endpoints/e/async-invocations"


def test_only_invoke_endpoint_opens_a_session() -> None:
    assert (
        made(session_id="NEW_SESSION").send_once
        and not made(session_id="s-1").send_once
        and not made().send_once
    )
    with pytest.raises(ConstructionError):
        InvokeEndpointWithResponseStream(endpoint_name="e", body=b"", session_id="NEW_SESSION")


def test_text_that_may_be_an_arn_is_not_called_one() -> None:
    with pytest.raises(ConstructionError, match=r"U\+000A at index 9"):
        InvokeEndpoint("e", body=b"", custom_attributes="arn:aws:s\n")
    with pytest.raises(ConstructionError, match="it is an ARN, not a name"):
        InvokeEndpoint("arn:aws:sagemaker:eu-west-1:000000000000:endpoint/e", body=b"")
