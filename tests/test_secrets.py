"""A caller's secrets are shown nowhere: keys, token, body, attributes, extra headers.

Each of them contains a canary text. It must not appear in a repr, a message, a log, a notice or a
pickle, nor in a traceback that shows the locals of each frame (error trackers send those on), if
the error comes from a public method of a client or from the constructor of a record. Frames of
tests are left out, since they made the secret. Functions of the core that are called directly
promise less, see SECURITY.md.
"""

from __future__ import annotations

import base64
import logging
import pickle
import re
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any
from urllib.parse import quote

import pytest

import smruntime_core as sm
import smruntime_core.eventstream
from smruntime_core import service
from smruntime_core.effects import GetCredentials, Send
from smruntime_core.http1 import Exchange, write
from smruntime_core.notices import FirstByte, Notice
from smruntime_core.signing import (
    BearerToken,
    ChunkSigner,
    ChunkVerifier,
    EventSigner,
    RegionSet,
    bearer_token,
    explain,
    presign,
    sign,
    verify_bearer,
)
from smruntime_core.streaming import PayloadPart
from smruntime_core.testing import FrozenClock
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import sockets

from .callers import Performer, Step
from .servers import OK, Peer, acting, scripted
from .test_proxies import tunnelling

CANARY = "Canary"
KEYS = sm.Credentials("AKIDEXAMPLE", f"{CANARY}/secret+key", f"{CANARY}/session+token")
SCOPE = sm.Scope("us-east-1", "sagemaker")
BODY = f"{CANARY} body".encode()
MEMBERS: dict[str, Any] = {
    "endpoint_name": "e",
    "body": BODY,
    "custom_attributes": f"{CANARY} attributes",
}
OPERATION = sm.InvokeEndpoint(**MEMBERS)
LARGE = sm.InvokeEndpoint(**{**MEMBERS, "body": BODY * 2_000_000})
STREAMING = sm.InvokeEndpointWithResponseStream(**MEMBERS)
EXTRA: dict[str, Any] = {"extra_headers": {"x-a": f"{CANARY} header"}}
HERE = Path(__file__).parent


def shown(error: BaseException) -> Iterator[tuple[str, str]]:
    """Yield each place where `error` shows something, and what it shows."""
    yield "repr", repr(error)
    yield "str", str(error)
    yield "attributes", repr(vars(error))
    yield "pickle", pickle.dumps(error).decode("latin-1")
    told: traceback.TracebackException | None = traceback.TracebackException.from_exception(
        error, capture_locals=True
    )
    while told is not None:
        for frame in told.stack:
            if not Path(frame.filename).is_relative_to(HERE):
                for name, value in (frame.locals or {}).items():
                    yield (
                        f"{Path(frame.filename).name}:{frame.lineno} {frame.name}, local {name}",
                        value,
                    )
        told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)


def assert_silent(error: BaseException) -> None:
    found = sorted({where for where, text in shown(error) if CANARY in text})
    assert not found, "\n".join(found)


def assert_message_silent(error: BaseException) -> None:
    """Assert that messages hold no secret; frames of core functions may show header values."""
    found = sorted(
        {
            where
            for where, text in shown(error)
            if ("local" not in where and CANARY in text) or KEYS.secret_access_key in text
        }
    )
    assert not found, "\n".join(found)


def raised(do: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as info:  # noqa: PT011 - any error
        do()
    return info.value


# ── through a proxy ──

CODED = base64.b64encode(f"me:{CANARY}".encode())
INSTEAD = {
    "407": b"HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n",
    "too much": b"HTTP/1.1 200 x\r\n\r\nmore",
    "what it was told": b"HTTP/1.1 200 x\r\n" + CODED + b"\r\n\r\n",
}


@pytest.mark.parametrize("instead", INSTEAD)
def test_password_of_a_refusing_proxy_is_not_shown(perform: Performer, instead: str) -> None:
    with tunnelling(answer=INSTEAD[instead]) as proxy:
        url = proxy.url.replace("//", f"//me:{CANARY}@")
        (failure,) = perform("http://h", proxy=url, retries=sm.RetryPolicy(max_attempts=1))
    assert isinstance(failure, sm.DispatchFailure)
    assert failure.phase == "proxy"
    heard = re.compile(
        "local (held|raw|data)$"
    )  # what the proxy itself said is seen there, and told nowhere
    assert not [
        where
        for where, text in shown(failure)
        if (CANARY in text or CODED.decode() in text) and not heard.search(where)
    ]


@pytest.mark.parametrize(
    "refused",
    [
        {"max_connections": 0},
        {"engine": "x"},
        {"socket_options": 5},
        {"tls": 5},
        {"trust_env": 5},
        {"region": 5},
    ],
)
def test_password_of_a_proxy_is_not_shown_when_another_setting_is_refused(
    refused: dict[str, Any],
) -> None:
    assert_silent(
        raised(
            lambda: sockets.Client(
                **{"region": "eu-west-1", "proxy": f"http://me:{CANARY}@h", **refused}
            )
        )
    )


def test_password_of_a_proxy_in_a_bad_environment_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"ftp://me:{CANARY}@h")
    assert_silent(raised(lambda: sockets.Client(region="eu-west-1", trust_env=True)))


# ── failing calls ──


def streamed(body: bytes) -> bytes:
    head = service.begin(
        sm.InvokeEndpointWithResponseStreamOutput(content_type="text/plain"), request_id="q"
    )
    fields = [f"{name}: {value}" for name, value in head.headers]
    return (
        "\r\n".join(["HTTP/1.1 200 OK", *fields, f"Content-Length: {len(body)}", "", ""]).encode()
        + body
    )


def answering(data: bytes) -> Callable[[Peer], None]:
    def act(peer: Peer) -> None:
        peer.read()
        peer.send(data)

    return act


def silent(peer: Peer) -> None:
    peer.read()
    peer.idle()


def reset_while_sent(peer: Peer) -> None:
    peer.read_part(100_000)
    peer.reset()


def reset(peer: Peer) -> None:
    peer.read()
    peer.reset()


FRAME = service.event(PayloadPart(b"abc"))
CALLS: dict[str, tuple[sm.Operation[Any], Callable[[Peer], None], type[sm.SmRuntimeError]]] = {
    "a refusal": (
        OPERATION,
        answering(b"HTTP/1.1 403 x\r\nContent-Length: 2\r\n\r\n{}"),
        sm.ServiceError,
    ),
    "a cut refusal": (
        OPERATION,
        answering(b"HTTP/1.1 403 x\r\nContent-Length: 9\r\n\r\n{}"),
        sm.ServiceError,
    ),
    "a redirect": (
        OPERATION,
        answering(b"HTTP/1.1 307 x\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"),
        sm.ServiceError,
    ),
    "closed without an answer": (OPERATION, answering(b""), sm.DispatchFailure),
    "reset without an answer": (OPERATION, reset, sm.DispatchFailure),
    "reset while it is sent": (LARGE, reset_while_sent, sm.DispatchFailure),
    "not taken": (LARGE, Peer.idle, sm.DispatchFailure),
    "not answered": (OPERATION, silent, sm.DispatchFailure),
    "no HTTP": (OPERATION, answering(b"ICY 200 OK\r\n\r\n"), sm.DispatchFailure),
    "a malformed head": (OPERATION, answering(b"HTTP/1.1 200 OK\r\nA\r\n\r\n"), sm.DispatchFailure),
    "a cut head": (OPERATION, answering(OK[:30]), sm.DispatchFailure),
    "a cut body": (OPERATION, answering(OK[:-1]), sm.DispatchFailure),
    "no chunk": (
        OPERATION,
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"),
        sm.DispatchFailure,
    ),
    "a refused stream": (
        STREAMING,
        answering(b"HTTP/1.1 403 x\r\nContent-Length: 9\r\n\r\n{}"),
        sm.ServiceError,
    ),
    "no stream": (STREAMING, answering(OK), sm.StreamError),
    "no event": (
        STREAMING,
        answering(streamed(FRAME + FRAME[:20] + b"\xff" + FRAME[21:])),
        sm.StreamError,
    ),
    "a cut event": (STREAMING, answering(streamed(FRAME + FRAME[:20])), sm.TruncatedStream),
    "a cut stream": (STREAMING, answering(streamed(FRAME + FRAME)[:-9]), sm.DispatchFailure),
    "a model that fails": (
        STREAMING,
        answering(streamed(FRAME + service.event(sm.ModelStreamError("no")))),
        sm.ModelStreamError,
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_failing_call_shows_no_secret(
    perform: Performer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    operation, act, kind = CALLS[name]
    notices: list[Notice] = []
    timeouts = sm.Timeouts(response=0.3, idle=0.3)
    with caplog.at_level(logging.DEBUG), acting(act) as stage:
        (error,) = perform(
            stage.url,
            Step(operation, EXTRA),
            credentials=KEYS,
            timeouts=timeouts,
            observe=notices.append,
        )
    assert isinstance(error, kind), error
    assert_silent(error)
    assert CANARY not in caplog.text
    assert CANARY not in repr(notices)
    assert notices
    assert "AttemptEnded" in caplog.text


def test_unsent_call_shows_no_secret(perform: Performer) -> None:
    with scripted() as server:
        closed = server.url
    with acting(lambda peer: peer.send(b"no TLS")) as stage:
        for url in (closed, "http://no-such-host.invalid", stage.url.replace("http:", "https:")):
            (error,) = perform(
                url,
                Step(OPERATION, EXTRA),
                credentials=KEYS,
                retries=sm.RetryPolicy(max_attempts=1),
            )
            assert isinstance(error, sm.DispatchFailure)
            assert error.delivery == "not_sent"
            assert_silent(error)


def test_call_with_a_member_as_extra_header_shows_no_secret(perform: Performer) -> None:
    extra = {"extra_headers": {"accept": f"{CANARY} header"}}
    (error,) = perform("http://127.0.0.1:9", Step(OPERATION, extra), credentials=KEYS)
    assert isinstance(error, sm.ConstructionError)
    assert_silent(error)


def test_call_that_an_observer_breaks_shows_no_secret(perform: Performer) -> None:
    """The error is not ours, and comes from deep inside a call."""

    def observe(notice: Notice) -> None:
        if isinstance(notice, FirstByte):
            raise LookupError

    with scripted(OK) as server:
        assert_silent(
            raised(
                lambda: perform(
                    server.url, Step(OPERATION, EXTRA), credentials=KEYS, observe=observe
                )
            )
        )


# ── arguments that are refused ──


@pytest.mark.parametrize(
    "changes",
    [
        {"endpoint_name": "no/name"},
        {"custom_attributes": f"{CANARY}\r\n"},
        {"session_id": " "},
        {"body": CANARY},
    ],
)
def test_refused_operation_shows_no_secret(changes: dict[str, Any]) -> None:
    """The operation is made by hand, and by the methods of sync and async clients."""
    members = {**MEMBERS, **changes}
    assert_silent(raised(lambda: sm.InvokeEndpoint(**members)))
    with sockets.Client(region="us-east-1", credentials=KEYS) as client:
        assert_silent(raised(lambda: client.invoke_endpoint(**members)))
        assert_silent(raised(lambda: client.invoke_endpoint_with_response_stream(**members)))
    awaited = on_asyncio.AsyncClient(region="us-east-1", credentials=KEYS)
    assert_silent(raised(lambda: awaited.invoke_endpoint(**members)))


def test_misspelt_member_shows_no_secret() -> None:
    with sockets.Client(region="us-east-1", credentials=KEYS) as client:
        invoke: Any = client.invoke_endpoint
        assert_silent(raised(lambda: invoke(**MEMBERS, atributes=f"{CANARY}")))


@pytest.mark.parametrize(
    "keys",
    [
        ("AKID", f"{CANARY}\n"),
        ("AKID", f"{CANARY}", f"{CANARY}\n"),
        ("\n", f"{CANARY}", f"{CANARY}"),
        ("AKID", CANARY.encode()),
    ],
)
def test_refused_credentials_show_no_secret(keys: tuple[Any, ...]) -> None:
    assert_silent(raised(lambda: sm.Credentials(*keys)))


@pytest.mark.parametrize(
    "extra",
    [
        {"x-a": f"{CANARY}\n"},
        {"x-b": CANARY, "x-a": "\n"},
        {"x-b": CANARY, "host": "h"},
        {"x b": CANARY},
    ],
)
def test_refused_options_show_no_secret(extra: Any) -> None:
    assert_silent(raised(lambda: sm.Options(extra_headers=extra)))
    with sockets.Client(region="us-east-1", credentials=KEYS) as client:
        assert_silent(raised(lambda: client.with_options(extra_headers=extra)))
    runtime = sm.Runtime(sm.Config(region="us-east-1"), clock=FrozenClock(), random=lambda: 0.5)
    assert_message_silent(raised(lambda: runtime.with_options(extra_headers=extra)))


HEADERS = (("x-amz-security-token", f"{CANARY} token"), ("authorization", f"{CANARY} signature"))
UNWRITABLE = {
    "a line end in a value": sm.Request(
        "POST", "http://h/", (*HEADERS, ("x", f"{CANARY}\r\n")), BODY
    ),
    "a name that is no token": sm.Request("POST", "http://h/", (*HEADERS, ("x y", CANARY)), BODY),
    "not ASCII": sm.Request("POST", "http://h/", (*HEADERS, ("x", f"{CANARY} é")), BODY),
    "another length": sm.Request("POST", "http://h/", (*HEADERS, ("content-length", "1")), BODY),
    "two hosts": sm.Request("POST", "http://h/", (*HEADERS, ("host", "a"), ("host", "b")), BODY),
    "a coding": sm.Request("POST", "http://h/", (*HEADERS, ("transfer-encoding", "chunked")), BODY),
    "a blank in the path": sm.Request("POST", "http://h/a b", HEADERS, BODY),
    "no URL": sm.Request("POST", "h", HEADERS, BODY),
    "a method with a blank": sm.Request("PO ST", "http://h/", HEADERS, BODY),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_unwritable_request_shows_no_secret(name: str) -> None:
    for error in (
        raised(lambda: write(UNWRITABLE[name])),
        raised(lambda: Exchange(UNWRITABLE[name])),
    ):
        assert isinstance(error, sm.ConstructionError)
        assert_message_silent(error)


@pytest.mark.parametrize(
    "request_",
    [
        sm.Request("POST", "http://h/", (*HEADERS, ("x", f"{CANARY} \ud800")), BODY),
        sm.Request("POST", "http://h/\ud800", HEADERS, BODY),
        sm.Request("POST", "ftp://h/", HEADERS, BODY),
    ],
)
def test_unsignable_request_shows_no_secret(request_: sm.Request) -> None:
    for error in (
        raised(lambda: sign(request_, KEYS, SCOPE, now=1.8e9)),
        raised(lambda: presign(request_, KEYS, SCOPE, now=1.8e9)),
        raised(lambda: sign(request_, KEYS, RegionSet("*", "s3"), now=1.8e9)),
        raised(lambda: ChunkSigner(request_, KEYS, SCOPE, now=1.8e9, length=0)),
    ):
        assert isinstance(error, sm.ConstructionError)
        assert_message_silent(error)


def test_other_refusals_of_signing_show_no_secret() -> None:
    for error in (
        raised(lambda: presign(sm.Request("GET", "https://h/"), KEYS, SCOPE, now=1.8e9, expires=0)),
        raised(lambda: bearer_token(KEYS, "no region", now=1.8e9)),
        raised(lambda: bearer_token(KEYS, "us-east-1", now=1.8e9, expires=0)),
        raised(
            lambda: EventSigner(KEYS, SCOPE, "0").sign(sm.eventstream.Message({"": 1}), now=1.8e9)
        ),
    ):
        assert isinstance(error, sm.ConstructionError)
        assert_message_silent(error)


def test_refusal_of_verify_shows_no_token() -> None:
    known, late = {KEYS.access_key_id: KEYS}, 1.9e9
    request = sm.Request("POST", "https://h/", (("host", "h"),), b"1")
    url = presign(request, KEYS, SCOPE, now=1.8e9).url
    token = bearer_token(KEYS, "us-east-1", now=1.8e9)
    signed = request.replace(
        headers=request.headers + sign(request, KEYS, SCOPE, now=1.8e9).headers
    )
    chunks = signed.replace(headers=(*signed.headers, ("x-amz-content-sha256", "STREAMING")))
    dateless = signed.replace(headers=signed.headers[:1] + signed.headers[2:])
    arrived = [
        request.replace(url=url, body=b""),
        signed.replace(body=b""),
        dateless,
        signed.replace(url=url),
    ]
    for error in (
        *[
            raised(partial(sm.verify, each, known, SCOPE, now=now))
            for each in arrived
            for now in (1.8e9, late)
        ],
        raised(lambda: verify_bearer(token, known, SCOPE, now=late)),
        raised(lambda: verify_bearer(f"{token}!", known, SCOPE, now=1.8e9)),
        raised(lambda: ChunkVerifier(chunks, KEYS, SCOPE)),
    ):
        assert isinstance(error, sm.ServiceError | sm.ConstructionError)
        assert_message_silent(error)
        told = [text for where, text in shown(error) if "local" not in where]
        assert not [
            text for text in told if token[30:50] in text or quote(CANARY, safe="") + "%2F" in text
        ]


def test_missing_cryptography_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    keys = KEYS.replace(account_id="1")  # a key is kept with those that signed before
    error = raised(
        lambda: sign(sm.Request("GET", "https://h/"), keys, RegionSet("*", "s3"), now=1.8e9)
    )
    assert isinstance(error, ImportError)
    assert_silent(error)


# ── reprs and pickles ──


def test_repr_shows_no_secret() -> None:
    request = OPERATION.request("https://h").replace(headers=HEADERS)
    signature = sign(request, KEYS, SCOPE, now=1.8e9)
    send = Send(request)
    with sockets.Client(region="us-east-1", credentials=KEYS) as client:
        things: list[object] = [
            KEYS,
            OPERATION,
            STREAMING,
            request,
            signature,
            send,
            sm.Options(**EXTRA),
            client,
            client.with_options(**EXTRA),
        ]
        things += [
            GetCredentials(rejected=KEYS),
            sm.Response(200, HEADERS, BODY),
            presign(request, KEYS, SCOPE, now=1.8e9),
            explain(signature, signature.canonical_request.replace("POST", "GET")),
            BearerToken(KEYS, "us-east-1"),
            sm.InvokeEndpointOutput(body=BODY),
            PayloadPart(BODY),
        ]
        for thing in things:
            assert CANARY not in repr(thing)
            assert CANARY not in str(thing)
            assert CANARY not in f"{[thing]}"


def test_credentials_are_not_pickled_even_inside_other_objects() -> None:
    sign(OPERATION.request("https://h"), KEYS, SCOPE, now=1.8e9)
    for thing in (KEYS, [KEYS], GetCredentials(rejected=KEYS)):
        with pytest.raises(TypeError, match="credentials are not pickled"):
            pickle.dumps(thing)


def test_leak_would_be_found() -> None:
    """A library that keeps a secret in a local makes these tests fail."""

    def careless() -> None:
        secret = f"{CANARY} {socket.AF_INET}"
        raise ValueError(len(secret))

    code = careless.__code__.replace(co_filename="/elsewhere/library.py")
    elsewhere = FunctionType(code, globals())
    with pytest.raises(AssertionError, match=r"library.py:\d+ careless, local secret"):
        assert_silent(raised(elsewhere))
