"""A refused argument gets a message that names the one that was meant."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
from smruntime_core import service
from smruntime_core.errors import describe_unexpected
from smruntime_core.values._constructor import REQUIRED
from smruntime_transports import sockets
from smruntime_transports import urllib3 as on_urllib3

from .drift import model

CLIENT = sockets.Client(region="eu-west-1", credentials=sm.Credentials("AKID", "secret"))
METHODS: dict[str, Any] = {
    "InvokeEndpoint": CLIENT.invoke_endpoint,
    "InvokeEndpointAsync": CLIENT.invoke_endpoint_async,
    "InvokeEndpointWithResponseStream": CLIENT.invoke_endpoint_with_response_stream,
}
RECORDS = [*service.OPERATIONS, sm.Timeouts, sm.RetryPolicy, sm.Credentials, sm.Config]


def type_error(call: Any, **arguments: Any) -> str:
    with pytest.raises(TypeError) as refused:
        call(**arguments)
    return str(refused.value)


def boto_members(operation: str) -> list[str]:
    """Return the names of an operation's members in botocore's model."""
    loaded = model()
    shape = loaded["operations"][operation]["input"]["shape"]
    return list(loaded["shapes"][shape]["members"])


@pytest.mark.parametrize("operation", METHODS)
def test_every_member_of_botocore_suggests_ours(operation: str) -> None:
    kind = getattr(sm, operation)
    ours = {name.replace("_", ""): name for name in inspect.signature(kind).parameters}
    members = boto_members(operation)
    assert len(members) > 8
    for member in members:
        expected = ours[member.lower()]
        for call in (kind, METHODS[operation]):
            message = type_error(call, **{member: "x"})
            assert message == (f"unexpected keyword argument {member!r}: did you mean {expected}=?")


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_every_record_of_users_suggests_its_members(kind: Any) -> None:
    for name in inspect.signature(kind).parameters:
        message = type_error(kind, **{name.title().replace("_", ""): None})
        assert f"did you mean {name}=?" in message
        if len(name) > 4:
            assert f"did you mean {name}=?" in type_error(kind, **{name[:-2] + name[-1]: None})


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_help_of_a_record_shows_its_members(kind: Any) -> None:
    assert list(inspect.signature(kind).parameters) == [field.name for field in kind._fields]


def test_missing_arguments_are_named_together() -> None:
    assert type_error(sm.InvokeEndpoint) == "missing arguments: pass endpoint_name=, body="
    assert type_error(sm.InvokeEndpoint, endpoint_name="e") == "missing argument: pass body="
    assert type_error(sm.Credentials, access_key_id="A") == (
        "missing argument: pass secret_access_key="
    )
    assert "unexpected" in type_error(sm.InvokeEndpoint, Body=b"", endpoint_name="e")


def test_traceback_of_a_missing_argument_shows_no_other_error() -> None:
    with pytest.raises(TypeError) as refused:
        sm.InvokeEndpoint(body=b"")  # type: ignore[call-arg]
    assert "another exception" not in "".join(traceback.format_exception(refused.value))


def test_members_by_position_stay_where_they_are() -> None:
    credentials = sm.Credentials("AKID", "secret", "token")
    assert credentials == sm.Credentials(
        access_key_id="AKID", secret_access_key="secret", session_token="token"
    )
    with pytest.raises(TypeError, match="multiple values"):
        sm.Credentials("AKID", access_key_id="AKID", secret_access_key="s")  # type: ignore[misc]


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_rule_of_each_required_member_refuses_a_missing_one(kind: Any) -> None:
    """Python does not check for it, since unknown arguments are collected."""
    required = {field.name for field in kind._fields if field.default is REQUIRED}
    refused = {field.name for field in kind._fields if field.check is not None}
    assert required <= refused


@pytest.mark.parametrize("kind", [sockets.Client, on_urllib3.Client])
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("region_name", "did you mean region=?"),
        ("aws_session_token", "pass credentials=Credentials("),
        ("verify", "tls=TLS(ca_bundle="),
        ("cert", "tls=TLS(certificate="),
        ("use_ssl", "endpoint_url="),
        ("proxies", "proxy= with one URL"),
        ("boto_session", "credentials=session"),
        ("api_version", "leave it out"),
        ("http_client", "io="),
        ("debug", "SMRUNTIME_LOG=debug"),
        ("nonsense", "the arguments are region, endpoint_url"),
    ],
)
def test_client_says_what_to_use_instead(kind: Any, argument: str, said: str) -> None:
    assert said in type_error(kind, **{argument: "x"})


@given(
    st.lists(st.text(max_size=80), max_size=5, unique=True),
    st.sets(st.from_regex("[a-z_]{1,20}", fullmatch=True)),
)
def test_any_unknown_names_give_one_printable_line(given: list[str], known: set[str]) -> None:
    message = describe_unexpected(given, sorted(known))
    assert (message is None) is (not set(given) - known)
    if message is not None:
        assert message.isprintable()


def test_traceback_of_a_misspelt_member_holds_no_value() -> None:
    with pytest.raises(TypeError) as refused:
        sm.Credentials(**{"AccessKeyId": "hush", "secret_access_key": "hush"})  # type: ignore[arg-type]
    traceback = refused.value.__traceback__
    assert traceback is not None
    frames = []
    while (traceback := traceback.tb_next) is not None:
        frames.append(traceback.tb_frame)
    assert frames, "there is no frame of ours"
    assert not [frame for frame in frames if "hush" in repr(frame.f_locals)]
