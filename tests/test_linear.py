"""Each reader of outside bytes takes steps in proportion to their number, however they are cut.

Steps are counted, not timed: lines of our code that run, and calls of C functions from it. Twice
as many bytes may take at most 2.3 times the steps. The work inside a C function cannot be counted
this way. So for HTTP's chunks the bytes that each operation receives are counted; elsewhere 1 MB
must be read within ten times the usual time, which is a tenth of the time that a reader took when
it looked at its bytes again and again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NamedTuple, SupportsIndex, cast

import pytest

from smruntime_core import (
    ConstructionError,
    Credentials,
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
    Request,
    Response,
    ResponseError,
    Scope,
    ServiceError,
    StreamError,
    service,
    verify,
)
from smruntime_core.config._profiles import parse
from smruntime_core.eventstream import EventStreamDecoder, Message, encode
from smruntime_core.http1 import Exchange
from smruntime_core.payload import (
    JSONLinesDecoder,
    JSONRecordDecoder,
    LineDecoder,
    SSEDecoder,
    TextDecoder,
)
from smruntime_core.signing import (
    S3,
    STREAMING_EVENTS,
    ChunkSigner,
    ChunkVerifier,
    EventSigner,
    EventVerifier,
    sign,
)
from smruntime_core.streaming import PayloadPart, ResponseParser
from smruntime_core.values._decoder import NEED_DATA, Decoder
from smruntime_local.hosting._model_host import ModelHost
from smruntime_local.hosting._request_handler import RequestHandler
from smruntime_local.hosting._stream_behavior import StreamBehavior
from smruntime_local.server._connection import ServerConnection
from smruntime_local.server._limits import ServerLimits
from smruntime_local.server._slots import ConnectionSlots
from smruntime_transports.connect._proxies import Proxy, tunnel

KEYS, HERE, NOW = Credentials("AKID", "secret"), Scope("us-east-1", "s3"), 1_800_000_000
PUT = Request("PUT", "https://b.s3.amazonaws.com/k", (("Host", "b.s3.amazonaws.com"),))

Read = Callable[[Iterable[bytes]], object]
OURS = ("smruntime_core", "smruntime_transports", "smruntime_local", "h11")


# ── the readers ──


def decoding(make: Callable[[], Decoder[object]]) -> Read:
    def read(pieces: Iterable[bytes]) -> None:
        decoder = make()
        with suppress(ResponseError, ServiceError):
            for piece in pieces:
                decoder.receive_data(piece)
                while decoder.next_event() is not NEED_DATA:
                    pass
            decoder.receive_eof()
            while decoder.next_event() is not NEED_DATA:
                pass

    return read


def streamed_answer() -> ResponseParser:
    parser = ResponseParser(InvokeEndpointWithResponseStream(endpoint_name="e", body=b""))
    parser.receive_head(Response(200, (("Content-Type", "application/vnd.amazon.eventstream"),)))
    return parser


def exchanges(pieces: Iterable[bytes]) -> None:
    """Read one exchange after another, so that the input may exceed the limits of one."""
    exchange = None
    for piece in pieces:
        if exchange is None:
            exchange = Exchange(Request("POST", "http://h/x"))
        with suppress(DispatchFailure):
            exchange.receive_data(piece)
            if not exchange.done:
                continue
        exchange = None


def chunk_verifier() -> ChunkVerifier:
    signer = ChunkSigner(PUT, KEYS, HERE, now=NOW, length=0, trailers=("x-0",), sign_chunks=False)
    return ChunkVerifier(Request(PUT.method, PUT.url, (*PUT.headers, *signer.headers)), KEYS, HERE)


SEED = sign(PUT, KEYS, HERE, now=NOW, payload_hash=STREAMING_EVENTS, dialect=S3)


def verified_events(pieces: Iterable[bytes]) -> None:
    head = Request(PUT.method, PUT.url, (*PUT.headers, *SEED.headers))
    decoder, verifier = EventStreamDecoder(), EventVerifier(head, KEYS, HERE)
    for piece in pieces:
        decoder.receive_data(piece)
        while (message := decoder.next_event()) is not NEED_DATA:
            verifier.verify(message, now=NOW)


def signed_events(size: int) -> bytes:
    signer = EventSigner(KEYS, HERE, SEED.signature)
    return b"".join(signer.sign(Message({}, b"x"), now=NOW) for _ in range(size // 150))


def profiles(pieces: Iterable[bytes]) -> None:
    with suppress(ConstructionError):
        parse(b"".join(pieces), b"[a]\nb=c")


def verified_url(pieces: Iterable[bytes]) -> None:
    verified(
        Request(
            "GET",
            "https://h/" + b"".join(pieces).decode(),
            (("Host", "h"), ("Authorization", AUTHORIZATION + "host")),
        )
    )


def verified_names(pieces: Iterable[bytes]) -> None:
    text = b"".join(pieces).decode()
    fields = [(name, "x") for name in text.split(";")]
    verified(
        Request(
            "GET", "https://h/", (("Host", "h"), *fields, ("Authorization", AUTHORIZATION + text))
        )
    )


def verified_value(pieces: Iterable[bytes]) -> None:
    text = b"".join(pieces).decode()
    verified(
        Request(
            "GET",
            "https://h/",
            (("Host", "h"), ("X-A", text), ("Authorization", AUTHORIZATION + "host;x-a")),
        )
    )


def verified_authorization(pieces: Iterable[bytes]) -> None:
    verified(
        Request("GET", "https://h/", (("Host", "h"), ("Authorization", b"".join(pieces).decode())))
    )


AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=AKID/20270115/us-east-1/s3/aws4_request, SignedHeaders="
)


def verified(request: Request) -> None:
    headers = [
        (name, value + f", Signature={'0' * 64}" * (name == "Authorization"))
        for name, value in request.headers
    ]
    with suppress(ServiceError):
        verify(
            Request(request.method, request.url, (*headers, ("X-Amz-Date", "20270115T080000Z"))),
            {"AKID": KEYS},
            HERE,
            now=NOW,
        )


def error_answers(pieces: Iterable[bytes]) -> None:
    body = b"".join(pieces)
    for kind in ("", "ModelError"):
        try:
            InvokeEndpoint(endpoint_name="e", body=b"").parse(
                Response(424, (("x-amzn-errortype", kind),), body)
            )
        except ServiceError as error:
            str(error)


LOCAL_URL = "http://127.0.0.1:8080"


class Peer:
    """A socket that receives `pieces` and accepts anything to send."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)

    def recv(self, size: int) -> bytes:
        return next(self._pieces, b"")

    def send(self, data: bytes) -> int:
        return len(data)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class PeerConnection(NamedTuple):
    sock: Peer


def proxy_answers(pieces: Iterable[bytes]) -> None:
    peer = Peer(pieces)
    proxy = Proxy.of("http://proxy:3128")
    flow = tunnel(cast("Any", PeerConnection(peer)), proxy, "h", 443, lambda: 1.0)
    with suppress(DispatchFailure, StopIteration):
        flow.send(None)


def local_endpoint(pieces: Iterable[bytes]) -> None:
    host = ModelHost(
        {},
        region="us-east-1",
        url=LOCAL_URL,
        stream_behavior=StreamBehavior(),
        sleep=lambda _: None,
    )
    scope = Scope("us-east-1", "sagemaker")
    handler = RequestHandler(host, KEYS, scope, url=LOCAL_URL, clock=lambda: NOW)
    slots, connection = ConnectionSlots(1), cast("Any", Peer(pieces))
    assert slots.acquire(connection, threading.current_thread())
    ServerConnection(connection, "http", handler, ServerLimits(max_body=2_000_000), slots).run()


READERS: dict[str, Read] = {
    "event stream": decoding(EventStreamDecoder),
    "streamed answer": decoding(streamed_answer),
    "exchange": exchanges,
    "text": decoding(TextDecoder),
    "lines": decoding(LineDecoder),
    "server-sent events": decoding(SSEDecoder),
    "JSON lines": decoding(JSONLinesDecoder),
    "JSON records": decoding(JSONRecordDecoder),
    "ChunkVerifier": decoding(chunk_verifier),
    "EventVerifier": verified_events,
    "profiles": profiles,
    "verify, URL": verified_url,
    "verify, names": verified_names,
    "verify, value": verified_value,
    "verify, authorization": verified_authorization,
    "errors": error_answers,
    "CONNECT": proxy_answers,
    "local endpoint": local_endpoint,
}

# ── the inputs: functions from a size in bytes to about as many bytes ──

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
POST = b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: h\r\n"
RELAYED = 'Received client error (400) from x with message "'


def times(unit: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda size: before + unit * ((size - len(before) - len(after)) // len(unit)) + after


def blocks(size: int, block: Callable[[int], bytes], limit: int = 60_000) -> bytes:
    """Return blocks of at most `limit` bytes each, for readers that refuse longer ones."""
    return b"".join(block(min(limit, size - start)) for start in range(0, size, limit))


def header_blocks(size: int) -> bytes:
    """Return frames whose header block differs from the one before."""
    return b"".join(
        encode(Message({"a": bytes(10), "n": number % 2 == 0})) for number in range(size // 40)
    )


SHAPES: dict[tuple[str, str], Callable[[int], bytes]] = {
    ("event stream", "one frame"): lambda size: encode(Message({}, bytes(size))),
    ("event stream", "one header block"): lambda size: blocks(
        size, lambda part: encode(Message({"a": bytes(min(part, 30_000))})), 30_000
    ),
    ("event stream", "empty frames"): times(encode(Message({}))),
    ("event stream", "parts"): times(service.event(PayloadPart(b"token"))),
    ("event stream", "header blocks that alternate"): header_blocks,
    ("streamed answer", "events that are skipped"): times(
        encode(Message({":message-type": "event", ":event-type": "initial-response"}))
    ),
    ("streamed answer", "parts"): times(service.event(PayloadPart(b"token"))),
    ("exchange", "one field"): lambda size: blocks(
        size, times(b"x", b"HTTP/1.1 200 OK\r\nA: ", b"\r\nContent-Length: 0\r\n\r\n")
    ),
    ("exchange", "blanks"): lambda size: blocks(
        size, times(b" ", b"HTTP/1.1 200 OK\r\nA: ", b"\r\nContent-Length: 0\r\n\r\n")
    ),
    ("exchange", "many fields"): lambda size: blocks(
        size, times(b"A:b\r\n", b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r\n\r\n"), 1000
    ),
    ("exchange", "a field that is none"): lambda size: blocks(
        size, times(b" \t", b"HTTP/1.1 200 OK\r\nA: ", b"\0\r\n\r\n")
    ),
    ("exchange", "interim responses"): times(
        b"HTTP/1.1 103 E\r\nA: b\r\n\r\n" * 15 + b"HTTP/1.1 204 N\r\n\r\n"
    ),
    ("exchange", "one chunk"): lambda size: CHUNKED + b"%x\r\n" % size + bytes(size),
    ("exchange", "chunks"): times(b"1\r\nx\r\n", CHUNKED),
    ("exchange", "an extension"): times(b"1;a=" + b"x" * 16_000 + b"\r\nx\r\n", CHUNKED),
    ("exchange", "extensions"): times(b"1" + b';a="\\""' * 2000 + b"\r\nx\r\n", CHUNKED),
    ("exchange", "one trailer"): lambda size: blocks(
        size, times(b"x", CHUNKED + b"0\r\nA: ", b"\r\n\r\n")
    ),
    ("exchange", "trailers"): lambda size: blocks(
        size, times(b"A:b\r\n", CHUNKED + b"0\r\n", b"\r\n")
    ),
    ("exchange", "trailers that are none"): lambda size: blocks(
        size, times(b"A:b\r\n", CHUNKED + b"0\r\n", b"\0\r\n\r\n")
    ),
    ("exchange", "a body"): lambda size: (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
    ),
    ("text", "ASCII"): times(b"text "),
    ("text", "characters of 4 bytes"): times("𝄞".encode()),
    ("lines", "one"): times(b"x"),
    ("lines", "LF"): times(b"\n"),
    ("lines", "CR"): times(b"\r"),
    ("lines", "CRLF"): times(b"\r\n"),
    ("server-sent events", "of one line"): times(b"data:\n\n"),
    ("server-sent events", "one of many lines"): times(b"data\n"),
    ("server-sent events", "one of one line"): times(b"x", b"data:"),
    ("server-sent events", "comments"): times(b":\n"),
    ("server-sent events", "blank lines"): times(b"\n"),
    ("server-sent events", "other fields"): times(b"id:1\n"),
    ("JSON lines", "arrays"): times(b"[]\n"),
    ("JSON lines", "blank lines"): times(b" \n"),
    ("JSON lines", "one array"): times(b"[],", b"[", b"[]]\n"),
    ("JSON records", "arrays"): times(b"[]"),
    ("JSON records", "numbers"): times(b"1 "),
    ("JSON records", "blanks"): times(b" "),
    ("JSON records", "one array"): times(b"[],", b"[", b"[]]"),
    ("JSON records", "one deep array"): times(b"[[[]]],", b"[", b"[]]"),
    ("JSON records", "a string without end"): times(b'\\"', b'"'),
    ("JSON records", "arrays without end"): times(b'["[",', b"["),
    ("JSON records", "deep arrays"): times(b"[" * 200 + b"]" * 200),
    ("JSON records", "digits"): times(b"1"),
    ("ChunkVerifier", "chunks"): times(b"1\r\nx\r\n"),
    ("ChunkVerifier", "one chunk"): lambda size: b"%x\r\n" % size + bytes(size) + b"\r\n",
    ("EventVerifier", "events"): signed_events,
    ("profiles", "sections"): times(b"[profile x]\na=b\n"),
    ("profiles", "many sections"): lambda size: b"".join(
        b"[profile %d]\na=b\n" % number for number in range(size // 20)
    ),
    ("profiles", "one value"): times(b" #", b"[default]\na="),
    ("profiles", "a value of many lines"): times(b" b\n", b"[default]\na=b\n"),
    ("profiles", "nested settings"): times(b" b=c\n", b"[default]\na=\n"),
    ("profiles", "a title"): times(b"' ", b"[profile '", b"]"),
    ("profiles", "blanks"): times(b" ", b"[default]\na=b", b"c"),
    ("verify, URL", "a path of dots"): times(b"a/../"),
    ("verify, URL", "a path of slashes"): times(b"/"),
    ("verify, URL", "a query"): times(b"a=%41&", b"?"),
    ("verify, URL", "ampersands"): times(b"&", b"?"),
    ("verify, names", "of headers"): lambda size: b";".join(
        b"a%d" % number for number in range(size // 8)
    ),
    ("verify, names", "one again and again"): times(b";a", b"a"),
    ("verify, value", "blanks"): times(b" ", b"a", b"a"),
    ("verify, value", "words"): times(b"a  "),
    ("verify, authorization", "blanks"): times(b" ", AUTHORIZATION.encode(), b"x"),
    ("verify, authorization", "slashes"): times(b"/", b"AWS4-HMAC-SHA256 Credential="),
    ("errors", "JSON"): times(b'"a":1,', b"{", b'"message":"x"}'),
    ("errors", "a message"): times(b"\\u0000", b'{"message":"', b'"}'),
    ("errors", "relayed messages"): times(
        RELAYED.replace('"', '\\"').encode(), b'{"message":"', b'"}'
    ),
    ("errors", "tokens"): times(b"x-amz-security-token:"),
    ("errors", "a page"): times(b"<html>"),
    ("CONNECT", "one field"): times(b"x", b"HTTP/1.1 200 OK\r\nA: ", b"\r\n\r\n"),
    ("CONNECT", "interim responses"): times(b"HTTP/1.1 103 E\r\nA: b\r\n\r\n"),
    ("local endpoint", "a body"): lambda size: (
        POST + b"Content-Length: %d\r\n\r\n" % size + bytes(size)
    ),
    ("local endpoint", "chunks"): times(
        b"1\r\nx\r\n", POST + b"Transfer-Encoding: chunked\r\n\r\n"
    ),
    ("local endpoint", "fields"): times(b"A: b\r\n", POST),
    ("local endpoint", "requests"): times(POST + b"Content-Length: 0\r\n\r\n"),
}
# What reads no more than that at once, or only what is whole, which then cannot be cut
LIMITS = {
    "CONNECT": 64 * 1024,
    "local endpoint": 250_000,
    "verify, names": 64 * 1024,
    "verify, authorization": 64 * 1024,
}
WHOLE = {
    "profiles",
    "errors",
    "verify, URL",
    "verify, names",
    "verify, value",
    "verify, authorization",
}
names = [pytest.param(reader, shape, id=f"{reader}: {shape}") for reader, shape in SHAPES]


def one_by_one(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))


# ── counting ──


class Steps:
    count = 0


@contextmanager
def counted() -> Iterator[Steps]:
    """Count the lines of our code that run in this thread, and the calls from it."""
    steps = Steps()

    def on_line(frame: FrameType, event: str, argument: object) -> Any:
        steps.count += 1
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> Any:
        return on_line if any(name in frame.f_code.co_filename for name in OURS) else None

    def on_c_call(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call":
            steps.count += 1

    before, profile_before = sys.gettrace(), sys.getprofile()
    sys.setprofile(on_c_call)
    sys.settrace(on_call)
    try:
        yield steps
    finally:
        sys.settrace(before)
        sys.setprofile(profile_before)


def steps_of(reader: str, pieces: Iterable[bytes]) -> int:
    with counted() as steps:
        READERS[reader](pieces)
    return steps.count


def test_each_reader_has_inputs() -> None:
    assert {reader for reader, _ in SHAPES} == set(READERS)


@pytest.mark.parametrize(("reader", "shape"), names)
def test_steps_grow_linearly_with_the_input(reader: str, shape: str) -> None:
    make = SHAPES[reader, shape]
    READERS[reader]([make(100)])  # what is imported or compiled at first use
    small, large = (steps_of(reader, [make(size)]) for size in (12_000, 24_000))
    assert large <= 2.3 * small, f"{small} steps for 12 kB, {large} for 24 kB"
    if reader not in WHOLE:
        small, large = (steps_of(reader, one_by_one(make(size))) for size in (2000, 4000))
        assert large <= 2.3 * small, f"byte by byte: {small} steps for 2 kB, {large} for 4 kB"


@pytest.mark.parametrize(("reader", "shape"), names)
def test_megabyte_is_read_within_the_time_limit(reader: str, shape: str) -> None:
    data = SHAPES[reader, shape](min(1_000_000, LIMITS.get(reader, 1_000_000)))
    began = time.process_time()
    READERS[reader]([data])
    assert time.process_time() - began < 20


FIRST_SHAPES = {
    reader: make for (reader, _), make in reversed(SHAPES.items()) if reader not in WHOLE
}


@pytest.mark.parametrize("reader", FIRST_SHAPES)
def test_megabyte_is_read_byte_by_byte_within_the_time_limit(reader: str) -> None:
    data = FIRST_SHAPES[reader](min(1_000_000, LIMITS.get(reader, 1_000_000)))
    began = time.process_time()
    READERS[reader](one_by_one(data))
    assert time.process_time() - began < 60


@pytest.mark.parametrize("value", [b" " * 8150, b"a " * 4075, b"a" * 4075 + b" " * 4075])
def test_invalid_trailers_are_refused_quickly(value: bytes) -> None:
    """Sixty take some milliseconds; an earlier version took a quarter of a second for each."""
    verifier = chunk_verifier()
    began = time.process_time()
    verifier.receive_data(b"0\r\n" + b"x-0:%b\0\r\n" % value * 60 + b"\r\n")
    with pytest.raises(StreamError, match="trailers"):
        verifier.next_event()
    assert time.process_time() - began < 2


class Counted(bytes):
    """Bytes that count the bytes that each operation on them reads or returns."""

    looked_at = 0

    @classmethod
    def _made(cls, data: bytes, looked_at: int = 0) -> Counted:
        cls.looked_at += max(looked_at, len(data))
        return cls(data)

    def __radd__(self, other: bytes | bytearray) -> Any:
        if isinstance(other, bytearray):  # appended in place
            Counted.looked_at += len(self)
            other.extend(bytes(self))
            return other
        return self._made(other + bytes(self))

    def __add__(self, other: Any) -> Counted:
        return self._made(bytes(self) + other)

    def __getitem__(self, key: Any) -> Any:
        found = bytes(self)[key]
        return self._made(found) if isinstance(found, bytes) else found

    def find(
        self, wanted: Any, start: SupportsIndex | None = None, end: SupportsIndex | None = None, /
    ) -> int:
        Counted.looked_at += len(bytes(self)[start:end])
        return bytes(self).find(wanted, start, end)


@pytest.mark.parametrize(
    "shape", ["one chunk", "chunks", "an extension", "extensions", "one trailer", "trailers"]
)
@pytest.mark.parametrize("step", [1, 7])
def test_each_byte_of_chunks_and_trailers_is_read_at_most_five_times(shape: str, step: int) -> None:
    data = SHAPES["exchange", shape](50_000)
    Counted.looked_at = 0
    exchanges(
        [
            data[: len(CHUNKED)],
            *(
                Counted(data[start : start + step])
                for start in range(len(CHUNKED), len(data), step)
            ),
        ]
    )
    assert Counted.looked_at <= 5 * len(data)
