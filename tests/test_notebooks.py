"""What a notebook shows: status, variant, type and size, as escaped HTML, and never a body."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smruntime_core as sm
import smruntime_transports
from smruntime_core.errors import html_table
from smruntime_core.eventstream import Message, encode
from smruntime_core.values import Headers
from smruntime_transports import sockets

from .servers import scripted
from .test_jobs import ANSWER, settings

HOSTILE = '"><script>alert(1)</script>&<img src=x onerror=alert(2)>'
SECRET = "hush"
KEYS = sm.Credentials("AKID", SECRET, SECRET)
HEADERS = (
    ("Content-Type", "text/csv"),
    ("x-Amzn-Invoked-Production-Variant", "blue"),
    ("x-amzn-RequestId", "r-1"),
    ("X-Amzn-SageMaker-Custom-Attributes", SECRET),
)
HOSTILE_HEADERS = tuple((name, HOSTILE) for name, _ in HEADERS)


class TableReader(HTMLParser):
    """The elements and rows of a table; anything but a plain table fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read_table(shown: Any) -> str:
    """Return the texts of what a notebook shows, which must be a plain table."""
    reader = TableReader(shown._repr_html_())
    assert reader.elements == {"table", "caption", "tbody", "tr", "th", "td"}
    assert reader.attributes == {"style"}
    return "\n".join(text for text in reader.texts if text.strip())


def make_output(headers: Headers = HEADERS, body: bytes = SECRET.encode()) -> Any:
    operation = sm.InvokeEndpoint(endpoint_name="e", body=b"")
    attempts = (sm.Attempt("ok", 0.25, 0.5, 200, "r-1"),)
    return operation.parse(sm.Response(200, headers, body), attempts=attempts)


def make_error(headers: Headers = HEADERS, message: str = "m", status: int = 424) -> Any:
    operation = sm.InvokeEndpoint(endpoint_name="e", body=b"")
    body = b'{"Message": "%b"}' % message.replace('"', '\\"').encode()
    all_headers = (*headers, ("x-amzn-ErrorType", "ModelError"))
    with pytest.raises(sm.ServiceError) as raised:
        operation.parse(sm.Response(status, all_headers, body))
    return raised.value


def make_failure(headers: Headers = HEADERS, message: str = "m") -> Any:
    failure = sm.DispatchFailure(message, kind="reset", phase="head", delivery="maybe_sent")
    failure.add_hint(message)
    return failure.about(sm.Metadata(headers[2][1], None, headers))


# ── reprs ──


def test_repr_of_an_output_shows_status_variant_type_and_size() -> None:
    assert repr(make_output()) == (
        "InvokeEndpointOutput(status=200, body=<4 bytes>, content_type='text/csv', "
        "invoked_production_variant='blue', custom_attributes=<redacted>)"
    )
    assert repr(sm.InvokeEndpointOutput(body=b"1")) == "InvokeEndpointOutput(body=<1 bytes>)"


def test_repr_of_an_error_shows_sizes_and_not_the_texts() -> None:
    assert repr(make_error(message=SECRET)) == (
        "ModelError(424, code='ModelError', variant='blue', content_type='text/csv', "
        "request_id='r-1', message=<4 characters>, body=<19 bytes>)"
    )


def test_repr_of_a_stream_shows_how_far_it_is() -> None:
    frame = encode(
        Message({":message-type": "event", ":event-type": "PayloadPart"}, SECRET.encode())
    )
    fields = "\r\n".join(
        f"{name}: {value}"
        for name, value in (
            ("Content-Type", "application/vnd.amazon.eventstream"),
            ("X-Amzn-SageMaker-Content-Type", "text/plain"),
            HEADERS[1],
            ("Content-Length", str(len(frame))),
        )
    )
    answer = f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode() + frame
    origin = "variant='blue', content_type='text/plain'"
    with scripted(answer, answer) as server, sockets.Client(**settings(server.url)) as client:
        stream = client.invoke_endpoint_with_response_stream(endpoint_name="e", body=b"1")
        with stream:
            assert repr(stream) == f"<ResponseStream 200 open, {origin}, 0 bytes received>"
            assert b"".join(stream.bytes()) == SECRET.encode()
            size = f"{len(frame)} bytes"
            assert repr(stream) == f"<ResponseStream 200 ended, {origin}, {size} received>"
        assert SECRET not in read_table(stream)
        with client.invoke_endpoint_with_response_stream(endpoint_name="e", body=b"1") as stream:
            pass
        assert "closed" in repr(stream)


def test_repr_of_a_session_shows_whether_it_is_open() -> None:
    client = sockets.Client(region="eu-west-1")
    assert repr(client.session("chat")) == "<Session of endpoint 'chat', not open>"


def test_repr_of_a_job_shows_the_status() -> None:
    with scripted(ANSWER) as server, sockets.Client(**settings(server.url)) as client:
        job = client.invoke_endpoint_async(endpoint_name="e", body=b"1")
    assert repr(job).startswith("Job(InvokeEndpointAsyncOutput(status=202, ")


# ── previews ──


@pytest.mark.parametrize(
    ("body", "size", "shown"),
    [
        (b'{"a": 1}\n', 200, '{"a": 1}\n'),
        ("grün".encode(), 3, "gr… (5 bytes)"),
        (b"\x00\x93NUMPY", 200, "00 93 4e 55 4d 50 59"),
        (b"\x93NUMPY" * 9, 2, "93 4e… (54 bytes)"),
        (b"a\x1b[2J", 200, "a\\x1b[2J"),
        (b"", 200, ""),
    ],
)
def test_preview_shows_text_or_digits(body: bytes, size: int, shown: str) -> None:
    assert make_output(body=body).preview(bytes=size) == shown


@given(st.binary(max_size=300), st.integers(1, 300))
def test_preview_is_printable_lines_of_bounded_size(body: bytes, size: int) -> None:
    shown = make_output(body=body).preview(bytes=size)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert len(shown) <= 10 * size + 20
    assert (f"({len(body)} bytes)" in shown) is (len(body) > size)


@pytest.mark.parametrize("size", [0, -1, True, 1.5, 2**20 + 1])
def test_preview_of_another_size_is_refused(size: Any) -> None:
    with pytest.raises(sm.ConstructionError, match=r"^bytes: "):
        make_output().preview(bytes=size)


# ── HTML ──

MAKERS: dict[str, Callable[..., Any]] = {
    "output": make_output,
    "service error": make_error,
    "dispatch failure": make_failure,
}


def test_table_of_an_output_shows_the_call_and_no_content() -> None:
    shown = read_table(make_output())
    for expected in ("200", "'text/csv'", "'blue'", "<4 bytes>", "r-1", "1, 0.750 s"):
        assert expected in shown
    assert SECRET not in shown


def test_table_of_an_error_shows_the_message_and_the_remedy() -> None:
    shown = read_table(make_error(message="no capacity: it has no capacity"))
    for expected in ("ModelError", "424", "has no capacity", "wait_for_capacity=", "blue", "r-1"):
        assert expected in shown


def test_table_of_a_failure_shows_its_hint() -> None:
    assert "reset in phase head" in read_table(make_failure())


@pytest.mark.parametrize("name", MAKERS)
def test_hostile_header_values_are_text_in_a_table(name: str) -> None:
    shown = read_table(MAKERS[name](HOSTILE_HEADERS))
    assert "<script>" in shown, "the value is shown, as text"


@pytest.mark.parametrize("maker", [make_error, make_failure])
def test_hostile_messages_are_text_in_a_table(maker: Callable[..., Any]) -> None:
    assert "<script>" in read_table(maker(message=HOSTILE))


@given(st.text(), st.text())
def test_any_text_is_text_in_a_table(name: str, value: str) -> None:
    reader = TableReader(html_table(name, {name: value, "none": None}))
    assert reader.elements == {"table", "caption", "tbody", "tr", "th", "td"}
    assert reader.attributes == {"style"}
    assert "none" not in reader.texts


@pytest.mark.parametrize("kind", [smruntime_transports.Client, smruntime_transports.AsyncClient])
def test_table_of_a_client_shows_settings_and_no_secret(kind: Any) -> None:
    timeouts = sm.Timeouts(response=5.0)
    client = kind(region="eu-west-1", credentials=KEYS, timeouts=timeouts)
    client = client.with_options(idempotent=True, extra_headers={"x-key": SECRET})
    shown = read_table(client)
    for expected in (
        "https://runtime.sagemaker.eu-west-1.amazonaws.com",
        "Timeouts(response=5.0)",
        "idempotent=True",
    ):
        assert expected in shown
    assert SECRET not in shown
    assert "found at the first call" in read_table(kind())


def test_table_of_a_client_with_a_resolver_names_no_url() -> None:
    with sockets.Client(region="eu-west-1", endpoint_resolver=lambda call: "https://x") as client:
        table = client._repr_html_()
    assert "chosen by endpoint_resolver" in table
    assert "https" not in table
