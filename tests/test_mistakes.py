"""Mistakes that people make with clients, and the message that each gets: `docs/mistakes.md`.

The page is compared with what the code says. Write it anew with `python -m tests.test_mistakes`,
and read what has changed: each message names the setting, its value and the remedy.
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import socket
import ssl
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import trustme

import smruntime_core as sm
import smruntime_local
import smruntime_transports
from smruntime_core import service
from smruntime_core.streaming import PayloadPart
from smruntime_transports.client import TLS, _logging

from .servers import scripted
from .test_messages import RIDDLES

PAGE = Path(__file__).parents[1] / "docs" / "mistakes.md"
SECRET = "hush"
KEYS = sm.Credentials("AKID", SECRET)
ONE_ATTEMPT = sm.RetryPolicy(max_attempts=1)
UNUSED = "http://127.0.0.1:9"
ENVIRONMENT = {
    "HOME": "/home/me",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
Namespace = dict[str, Any]
Surroundings = Callable[[], AbstractContextManager[Namespace]]


class Mistake(NamedTuple):
    """What somebody writes, `where`, and what the message must say.

    `where` returns names for the code: at least `client`, and perhaps the `URL` of a server.
    """

    code: str
    says: tuple[str, ...]
    note: str = ""
    where: Surroundings | None = None
    variables: tuple[tuple[str, str], ...] = ()
    in_async: bool = False


def names_for(url: str, **settings: Any) -> Namespace:
    """Return the names that code finds, with clients of the server at `url`."""
    given = {
        "region": "eu-west-1",
        "endpoint_url": url,
        "credentials": KEYS,
        "retries": ONE_ATTEMPT,
        **settings,
    }
    return {
        **{name: getattr(sm, name) for name in sm.__all__},
        "Client": smruntime_transports.Client,
        "AsyncClient": smruntime_transports.AsyncClient,
        "TLS": TLS,
        "URL": url,
        "KEYS": KEYS,
        "settings": {**given, "endpoint_url": url},
        "client": smruntime_transports.Client(**given),
        "async_client": smruntime_transports.AsyncClient(**given),
    }


# ── servers ──


def head(status: str, body: bytes, *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def answers(*given: bytes | float, **settings: Any) -> Surroundings:
    """Return a server that gives these answers."""

    @contextmanager
    def start() -> Iterator[Namespace]:
        with scripted(*given) as server:
            yield names_for(server.url, **settings)

    return start


def says_bytes(data: bytes, scheme: str = "http") -> Surroundings:
    """Return a server that answers the first bytes it gets with `data`."""

    @contextmanager
    def start() -> Iterator[Namespace]:
        listener = socket.create_server(("127.0.0.1", 0))

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                connection.sendall(data)
                connection.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield names_for(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")
        finally:
            thread.join(5)
            listener.close()

    return start


@contextmanager
def silence(scheme: str = "http") -> Iterator[Namespace]:
    """Start a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield names_for(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")


@contextmanager
def unknown_authority() -> Iterator[Namespace]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with scripted(b"", tls=context) as server:
        yield names_for(server.url)


@contextmanager
def local_endpoint() -> Iterator[Namespace]:
    """Start the local endpoint, which verifies signatures."""
    with smruntime_local.serve(region="eu-west-1", credentials=KEYS) as server:
        yield names_for(server.url)


def stream_answer(*parts: bytes, content_type: str) -> bytes:
    output = sm.InvokeEndpointWithResponseStreamOutput(content_type=content_type)
    fields = [f"{name}: {value}" for name, value in service.begin(output, request_id="r-1").headers]
    return head("200 OK", b"".join(service.event(PayloadPart(part)) for part in parts), *fields)


def error_answer(status: str, code: str, message: str) -> bytes:
    return head(status, b'{"Message": "%b"}' % message.encode(), f"x-amzn-ErrorType: {code}")


PAGE_502 = head(
    "502 Bad Gateway",
    b"<html><head><title>502 Bad Gateway</title></head></html>",
    "Content-Type: text/html",
)
JSON_STREAM = stream_answer(b'{"generated_text": "..."}', content_type="application/json")
TEXT_STREAM = stream_answer(b"A model says\n\n", content_type="text/plain")
HTML_STREAM = head("200 OK", b"<html><title>Sign in</title></html>", "Content-Type: text/html")
TLS_ALERT = bytes.fromhex("15030100020246")
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"
INVOKE = 'client.invoke_endpoint(endpoint_name="churn", body=b"1,2")'
STREAM = 'client.invoke_endpoint_with_response_stream(endpoint_name="chat", body=b"...")'
ASYNC_STREAM = f"async_{STREAM}"

ARGUMENTS = [
    Mistake(
        'client.invoke_endpoint(EndpointName="churn", Body=b"1,2", ContentType="text/csv")',
        ("endpoint_name=", "body=", "content_type="),
        "The names of boto3.",
    ),
    Mistake(
        'InvokeEndpoint(EndpointName="churn", Body=b"1,2")',
        ("endpoint_name=", "body="),
        "The same, for an operation.",
    ),
    Mistake('client.invoke_endpoint(endpont_name="churn", body=b"")', ("endpoint_name=",)),
    Mistake('client.invoke_endpoint(endpoint="churn", data=b"1,2")', ("endpoint_name=", "body=")),
    Mistake('client.invoke_endpoint(endpoint_name="churn", json={"a": 1})', ("body=", "as_json")),
    Mistake('client.invoke_endpoint(endpoint_name="churn", body={"a": 1})', ("as_json",)),
    Mistake('client.invoke_endpoint(endpoint_name="churn", body="1,2")', (".encode()",)),
    Mistake(
        'client.invoke_endpoint(endpoint_name="churn", body=b"", headers={"x-team": "a"})',
        ("with_options(extra_headers=",),
    ),
    Mistake(
        'client.invoke_endpoint(endpoint_name="churn", body=b"", timeout=5)',
        ("with_options(timeout=",),
    ),
    Mistake('client.invoke_endpoint(endpoint_name="churn")', ("pass body=",)),
    Mistake('client.invoke_endpoint(endpoint_name="my endpoint", body=b"")', ("endpoint_name",)),
    Mistake(
        'name = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/churn"\n'
        'client.invoke_endpoint(endpoint_name=name, body=b"")',
        ("endpoint_name", "ARN"),
    ),
    Mistake(
        'client.invoke_endpoint_with_response_stream(endpoint_name="chat", body=b"", '
        'target_model="a.tar.gz")',
        ("target_model", "invoke_endpoint"),
    ),
    Mistake(
        'client.invoke_endpoint_async(endpoint_name="churn", body=b"", '
        'input_location="s3://bucket/key")',
        ("body", "input_location"),
    ),
    Mistake("client.with_options(max_retries=3)", ("retries=RetryPolicy(max_attempts=",)),
    Mistake(
        'client = client.with_options(extra_headers={"accept": "text/csv"})\n'
        'client.invoke_endpoint(endpoint_name="churn", body=b"")',
        ("accept=",),
    ),
    Mistake("Timeouts(read=5)", ("response=",)),
    Mistake('Timeouts(response="5")', ("response", "number of seconds")),
    Mistake('client.session("chat").invoke(body=b"hello")', ("`with` block",)),
]
SETTINGS = [
    Mistake('Client(region_name="eu-west-1")', ("region=",)),
    Mistake(
        'Client(aws_access_key_id="AKID", aws_secret_access_key="...")',
        ("credentials=Credentials(",),
    ),
    Mistake('Client(profile_name="work")', ("profile=",)),
    Mistake("Client(config=object())", ("timeouts=Timeouts(", "retries=RetryPolicy(")),
    Mistake("Client(verify=False)", ("tls=TLS(ca_bundle=",)),
    Mistake("Client(read_timeout=5)", ("timeouts=Timeouts(",)),
    Mistake('Client(endpoint="http://localhost:8080")', ("endpoint_url=",)),
    Mistake('Client(endpoint_name="churn")', ("client.invoke_endpoint(endpoint_name=",)),
    Mistake(
        'Client(region="eu-west-1", endpoint_url="localhost:8080")', ("endpoint_url", "http://")
    ),
    Mistake('Client(region="eu-west-1", proxy="socks5://proxy.example")', ("proxy", "http://")),
    Mistake('Client(region="eu-west-1", credentials="AKID")', ("credentials", "Credentials")),
    Mistake(f"Client().{INVOKE.partition('.')[2]}", ("region=", "AWS_REGION")),
    Mistake(
        f'Client(region="eu-west-1").{INVOKE.partition(".")[2]}',
        ("AWS_ACCESS_KEY_ID", "profile"),
        "No credentials anywhere.",
    ),
    Mistake(
        f"Client().{INVOKE.partition('.')[2]}",
        ("AWS_PROFILE",),
        "AWS_PROFILE=work, and there is no such profile.",
        variables=(("AWS_PROFILE", "work"),),
    ),
    Mistake(
        INVOKE,
        ("SMRUNTIME_LOG", "info or debug"),
        "SMRUNTIME_LOG=bogus",
        where=answers(head("200 OK", b"0.5")),
        variables=(("SMRUNTIME_LOG", "bogus"),),
    ),
]
CONNECTIONS = [
    Mistake(
        INVOKE,
        ("plain text", "http://"),
        "`endpoint_url=` says https, and the server speaks plain HTTP.",
        where=says_bytes(head("400 Bad Request", b""), "https"),
    ),
    Mistake(
        INVOKE,
        ("https://",),
        "`endpoint_url=` says http, and the server speaks TLS.",
        where=says_bytes(TLS_ALERT),
    ),
    Mistake(
        INVOKE,
        ("certificate", "tls=TLS(ca_bundle="),
        "The certificate is from an authority of your own.",
        where=unknown_authority,
    ),
    Mistake(INVOKE, ("refused", "endpoint_url="), "Nothing listens at `endpoint_url=`."),
    Mistake(
        "client = Client(**settings, timeouts=Timeouts(connect=0.05, response=9.0))\n" + INVOKE,
        ("Timeouts(connect=0.05)",),
        "A server that does not answer the TLS handshake.",
        where=partial(silence, "https"),
    ),
    Mistake(
        f"client = Client(**settings, timeouts=Timeouts(response=0.05))\n{INVOKE}",
        ("Timeouts(response=0.05)", "may have run"),
        "A model that takes longer.",
        where=silence,
    ),
    Mistake(
        f"client = client.with_options(timeout=0.05)\n{INVOKE}",
        ("timeout=0.05", "Timeouts(total=0.05)"),
        "The limit of the whole call.",
        where=silence,
    ),
    Mistake(
        f"client = Client(**settings, timeouts=Timeouts(idle=0.05))\n{INVOKE}",
        ("Timeouts(idle=0.05)",),
        "An answer that stops half way.",
        where=answers(HALF, 5.0),
    ),
    Mistake(
        "client = Client(**settings, max_connections=1, timeouts=Timeouts(pool=0.05))\n"
        f"with {STREAM} as stream:\n    {INVOKE}",
        ("Timeouts(pool=0.05)", "max_connections="),
        "More calls at once than connections.",
        where=answers(JSON_STREAM),
    ),
    Mistake(
        f"client = client.with_options(max_body=2)\n{INVOKE}",
        ("2 bytes", "max_body="),
        "An answer of 3 bytes.",
        where=answers(head("200 OK", b"0.5")),
    ),
]
ANSWERS = [
    Mistake(
        'client = Client(**{**settings, "credentials": Credentials("AKID", "other")})\n'
        'client.invoke_endpoint(endpoint_name="echo", body=b"1,2")',
        ("InvalidSignatureException (403)", "secret access key"),
        "A wrong secret access key. `error.explain()` shows what was signed.",
        where=local_endpoint,
    ),
    Mistake(
        'client = Client(**settings, signing_host="proxy.example")\n'
        'client.invoke_endpoint(endpoint_name="echo", body=b"1,2")',
        ("header host", "proxy.example"),
        "A request that was signed for another host.",
        where=local_endpoint,
    ),
    Mistake(
        'client = Client(**{**settings, "region": "us-east-1"})\n'
        'client.invoke_endpoint(endpoint_name="echo", body=b"1,2")',
        ("eu-west-1", "us-east-1", "`region`"),
        "A wrong region.",
        where=local_endpoint,
    ),
    Mistake(
        INVOKE,
        ("IAM policy", "sagemaker:InvokeEndpoint"),
        "Permissions are missing.",
        where=answers(error_answer("403 Forbidden", "AccessDeniedException", "no")),
    ),
    Mistake(
        INVOKE,
        ("endpoint name", "region", "InService"),
        "There is no such endpoint.",
        where=answers(
            error_answer("400 x", "ValidationError", "Endpoint churn of account 1 not found.")
        ),
    ),
    Mistake(
        INVOKE,
        ("InvokeEndpointAsync",),
        "The body is too large.",
        where=answers(head("413 Payload Too Large", b"")),
    ),
    Mistake(
        INVOKE,
        ("502 Bad Gateway", "proxy", "endpoint_url"),
        "A proxy answers with an error page.",
        where=answers(PAGE_502),
    ),
    Mistake(
        f"with {STREAM} as stream:\n    list(stream.text())",
        ("text/html", "proxy", "endpoint_url="),
        "A proxy answers with its page for signing in.",
        where=answers(HTML_STREAM),
    ),
    Mistake(
        f"with {STREAM} as stream:\n    list(stream.sse())",
        ("sse()", "application/json", ".json()"),
        "The model answers with JSON.",
        where=answers(JSON_STREAM),
    ),
    Mistake(
        f"with {STREAM} as stream:\n    list(stream.sse())",
        ("sse()", "text/plain", 'accept="text/event-stream"', ".text()"),
        "The model answers with text.",
        where=answers(TEXT_STREAM),
    ),
    Mistake(
        f"with {STREAM} as stream:\n    pass\nlist(stream.text())",
        ("closed", "`with` block"),
        "Reading after the `with` block.",
        where=answers(JSON_STREAM),
    ),
]
ASYNC = [
    Mistake("with AsyncClient() as client:\n    pass", ("`async with`",), in_async=True),
    Mistake(
        f"stream = {ASYNC_STREAM}\nasync for text in stream.text():\n    pass",
        ("`async with",),
        in_async=True,
    ),
    Mistake(
        f"stream = {ASYNC_STREAM}\nasync for event in stream:\n    pass",
        ("`async with",),
        in_async=True,
    ),
    Mistake(ASYNC_STREAM, ("never opened", "`async with"), in_async=True),
    Mistake(
        f"output = async_{INVOKE}\noutput.body",
        ("coroutine", "never awaited"),
        "Python's own messages: without `await` there is only a coroutine.",
        in_async=True,
    ),
    Mistake(
        f"answer = async_{INVOKE}\n"
        'await async_client.invoke_endpoint(endpoint_name="next", body=answer)',
        ("body", "await it first"),
        in_async=True,
    ),
    Mistake(
        'await async_client.session("chat").invoke(body=b"hello")',
        ("an `async with` block",),
        in_async=True,
    ),
]
SECTIONS = {
    "Arguments": ARGUMENTS,
    "Settings of clients": SETTINGS,
    "Connections and time": CONNECTIONS,
    "Answers": ANSWERS,
    "Async": ASYNC,
}
MISTAKES = [mistake for mistakes in SECTIONS.values() for mistake in mistakes]


# ── what each gets ──


def run_code(mistake: Mistake, names: Namespace) -> None:
    """Run the code of a mistake."""
    if not mistake.in_async:
        exec(mistake.code, names)  # noqa: S102 - our own code
        return
    exec(f"async def main():\n{textwrap.indent(mistake.code, '    ')}", names)  # noqa: S102 - ours
    asyncio.run(names["main"]())


@cache  # for the page, which shows what the tests of each mistake have seen
def messages_of(mistake: Mistake) -> list[str]:
    """Return the error and the warnings that a mistake gets, without what differs in each run."""
    _logging._warn_of_level.cache_clear()
    surroundings = mistake.where() if mistake.where else nullcontext(names_for(UNUSED))
    found = []
    with (
        patch.dict(os.environ, {**ENVIRONMENT, **dict(mistake.variables)}, clear=True),
        warnings.catch_warnings(record=True) as warned,
        surroundings as names,
    ):
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # nothing here closes its client
        try:
            run_code(mistake, names)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
            error.__traceback__ = None
        names.clear()
        gc.collect()
    found += [f"{each.category.__name__}: {each.message}" for each in warned]
    return [re.sub(r"(127\.0\.0\.1|localhost):\d+", r"\1:PORT", message) for message in found]


def wrap(line: str) -> list[str]:
    """Return a line in pieces that fit the page, all with its indentation."""
    indentation = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line, 96, break_on_hyphens=False, break_long_words=False, subsequent_indent=indentation
    )


def shown(number: int, mistake: Mistake) -> str:
    """Return a mistake as the page shows it."""
    lines = [
        wrapped
        for message in messages_of(mistake)
        for line in re.sub(r" \[request id [^\]]+\]", "", message).split("\n")
        for wrapped in wrap(line)
    ]
    note = f" {mistake.note}" if mistake.note else ""
    text = "\n".join(lines)
    return f"**{number}.**{note}\n\n```py\n{mistake.code}\n```\n```text\n{text}\n```\n"


def written_page() -> str:
    """Return the whole page."""
    parts = [
        "# Mistakes and their messages\n\n"
        "What people write, or what goes wrong, and what this library says then. `client` is a\n"
        "`Client`, `async_client` an `AsyncClient`. `tests/test_mistakes.py` makes each mistake\n"
        "and compares this page with the messages.\n"
    ]
    number = 0
    for title, mistakes in SECTIONS.items():
        parts.append(f"## {title}\n")
        for mistake in mistakes:
            number += 1
            parts.append(shown(number, mistake))
    return "\n".join(parts)


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_message_of_a_mistake_says_what_to_do(number: int) -> None:
    mistake = MISTAKES[number]
    messages = messages_of(mistake)
    assert messages, f"nothing is said about {mistake.code}"
    together = "\n".join(messages)
    for said in mistake.says:
        assert said in together, f"the message does not say {said!r}: {together}"
    assert SECRET not in together
    assert not RIDDLES.search(together), f"the message needs a second reading: {together}"
    assert all(len(message) <= 700 for message in messages), "too long to read"
    assert f"\n{mistake.code}\n```" in PAGE.read_text("utf-8"), "python -m tests.test_mistakes"


def test_page_of_mistakes_is_up_to_date() -> None:
    """The fix: `python -m tests.test_mistakes`, then read the changes."""
    assert PAGE.read_text("utf-8") == written_page()


def test_page_has_forty_mistakes() -> None:
    assert len(MISTAKES) >= 40
    assert len({(mistake.code, mistake.note) for mistake in MISTAKES}) == len(MISTAKES)


if __name__ == "__main__":
    PAGE.write_text(written_page(), "utf-8")
