"""Every other reader of bytes from outside: only errors of ours come out, and any cutting of the bytes gives the same events."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeAlias
from zlib import crc32

from mutation import cut, mutate, place

import smruntime_core as sm
from smruntime_core.config._profiles import parse
from smruntime_core.eventstream import EventStreamDecoder, Long, Message, Timestamp, encode
from smruntime_core.payload import (
    JSONLinesDecoder,
    JSONRecordDecoder,
    LineDecoder,
    SSEDecoder,
    TextDecoder,
)
from smruntime_core.service import event, read
from smruntime_core.streaming import PayloadPart, ResponseParser
from smruntime_core.values._dates import format_timestamp, parse_http_date, parse_timestamp
from smruntime_core.values._decoder import NEED_DATA, Decoder, NeedData

HasMetadata: TypeAlias = "tuple[list[object], str | None]"


def drain(decoder: Decoder[object], pieces: Iterable[bytes]) -> HasMetadata:
    """All events, and the error that ended them, which has to be final."""
    events: list[object] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            if len(piece) % 2:  # whether somebody asks in between must not matter
                _take(decoder, events)
        decoder.receive_eof()
        _take(decoder, events)
    except (sm.StreamError, sm.ServiceError, sm.ResponseError) as error:
        for _ in range(2):
            try:
                again: object = decoder.next_event()
            except sm.SmRuntimeError as same:
                again = same
            assert again is error, f"after {error!r} it says {again!r}"
        return events, f"{type(error).__name__}: {error}"
    assert decoder.next_event() is NEED_DATA
    return events, None


def _take(decoder: Decoder[object], events: list[object]) -> None:
    while (found := decoder.next_event()) is not NEED_DATA:
        events.append(found)


def same_however_cut(
    random: Random, make: Callable[[], Decoder[object]], data: bytes
) -> HasMetadata:
    """What `data` comes to, twice the same: equal, and of the same types, which only a repr tells (`True == 1 == Byte(1)`)."""
    whole = joined(drain(make(), [data]))
    pieces = cut(random, data)
    again = joined(drain(make(), pieces))
    assert (again, repr(again)) == (whole, repr(whole)), (
        f"cut otherwise {whole} becomes {again}: {pieces!r}"
    )
    return whole


def joined(told: HasMetadata) -> HasMetadata:
    """Pieces of text are as long as they happen to be; only their sum counts."""
    events, error = told
    return (
        ["".join(map(str, events))]
        if events and all(type(event) is Text for event in events)
        else events
    ), error


# ── event streams ──

HEADERS: list[dict[str, object]] = [
    {},
    {
        ":message-type": "event",
        ":event-type": "PayloadPart",
        ":content-type": "application/octet-stream",
    },
    {
        ":message-type": "exception",
        ":exception-type": "ModelStreamError",
        ":content-type": "application/json",
    },
    {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "x"},
    {":message-type": "event", ":event-type": "initial-response"},
    {"yes": True, "no": False, "n": 7, "l": Long(1), "t": Timestamp(0), "b": b"\xff", "s": "é"},
]
BLOCK_WORDS = [
    b"\0",
    b"\1",
    b"\2",
    b"\3",
    b"\4",
    b"\5",
    b"\6",
    b"\7",
    b"\x08",
    b"\x09",
    b"\x0a",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\x01a\x07\0\x01b",
]
SIZES = [
    0,
    1,
    12,
    15,
    16,
    17,
    128 * 1024,
    128 * 1024 + 1,
    24 << 20,
    (24 << 20) + 17,
    2**31,
    2**32 - 1,
]


def frame(random: Random, block: bytes, payload: bytes) -> bytes:
    """A frame of them. Its sizes may lie; its checksums are right where sizes lie, or nobody would look further."""
    total, length = 16 + len(block) + len(payload), len(block)
    chance = random.random()
    if chance < 0.03:
        total = random.choice(SIZES)
    elif chance < 0.06:
        length = random.choice(SIZES)
    elif chance < 0.09:
        length = int(random.random() * (len(block) + len(payload) + 2))
    sizes = struct.pack(">II", total, length)
    body = sizes + struct.pack(">I", crc32(sizes)) + block + payload
    return body + struct.pack(">I", crc32(body) ^ (random.random() < 0.02))


def stream(random: Random) -> bytes:
    """Some frames; most are good, some bear a damaged block under good checksums, and the whole may be cut off."""
    frames: list[bytes] = []
    for _ in range(1 + int(random.random() * 5)):
        block = random.choice(_BLOCKS)
        if random.random() < 0.2:
            block = mutate(random, block, BLOCK_WORDS)
        payload = random.choice(
            (b"", b"a", b'{"Message":"x","OriginalStatusCode":1}', b"0123456789" * 7)
        )
        frames.append(frame(random, block, payload))
    data = b"".join(frames)
    return data[: place(random, data)] if random.random() < 0.1 else data


_BLOCKS = [encode(Message(headers))[12:-4] for headers in HEADERS]  # type: ignore[arg-type]  # mixed values, which mypy joins to object


def event_stream(random: Random) -> None:
    """What decodes is encoded to the very same bytes."""
    data = stream(random) if random.random() < 0.95 else mutate(random, stream(random), BLOCK_WORDS)
    messages, error = same_however_cut(random, EventStreamDecoder, data)
    again = b"".join(encode(message) for message in messages if isinstance(message, Message))
    assert data.startswith(again) if error else data == again, f"{data!r} is encoded as {again!r}"


STREAMED = sm.InvokeEndpointWithResponseStream(endpoint_name="e", body=b"")
HEADS = [
    sm.Response(200, (("Content-Type", "application/vnd.amazon.eventstream"),)),
    sm.Response(200, (("Content-Type", "text/html"),)),
    sm.Response(424, (("x-amzn-ErrorType", "ModelError"), ("x-amzn-RequestId", "r"))),
    sm.Response(503),
]


def streamed_answer(random: Random) -> None:
    """The head of a streamed answer and its body."""
    head = HEADS[0] if random.random() < 0.8 else random.choice(HEADS)

    def make() -> Decoder[object]:
        parser = ResponseParser(STREAMED)
        parser.receive_head(head)
        return parser

    data = (
        stream(random)
        if random.random() < 0.8
        else event(PayloadPart(b"x")) * int(random.random() * 9)
    )
    same_however_cut(random, make, data)


# ── payloads ──


class Text(str):
    """What a `TextDecoder` gives."""


class Texts(TextDecoder):
    """A `TextDecoder` whose events can be told from lines."""

    def next_event(self) -> str | NeedData:
        event = super().next_event()
        return event if event is NEED_DATA else Text(event)


PAYLOADS: list[Callable[[], Decoder[object]]] = [
    Texts,
    lambda: Texts(errors="replace"),
    LineDecoder,
    lambda: LineDecoder(max_line=9, errors="replace"),
    SSEDecoder,
    lambda: SSEDecoder(max_event=20),
    JSONLinesDecoder,
    lambda: JSONLinesDecoder(max_line=9),
    JSONRecordDecoder,
    lambda: JSONRecordDecoder(max_record=20),
]
TEXTS = [
    'data: {"token": "é"}\n\nevent: end\nid: 7\nretry: 10\ndata: a\ndata: b\r\n\r\n: comment\rdata\n\n'.encode(),
    b'{"a": [1, 2.5e-3, true, null], "b": "\\u20ac\\"\\\\"}\n{"c": {}}\r\n\n[[]]\n',
    b'{"a":1}{"b":"}{"}[1,[2]] 3 "x"\ttrue\nnull',
    "\ufefffirst line\rsecond €\r\n\nlast 𝄞".encode(),
]
TEXT_WORDS = [
    *(bytes((byte,)) for byte in b'\r\n :{}[],"\\0-.eE\0\xe2\xff\xed\xa0\xf0\x80\xef'),
    *(
        b"data:",
        b"\r\n\r\n",
        b"\xef\xbb\xbf",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"\\ud800",
        b"[" * 50,
        b'{"a":' * 30,
        b"9" * 40,
        "€".encode(),
    ),
]


def payload(random: Random) -> None:
    """Text, lines, server-sent events and JSON, with wide and narrow limits."""
    same_however_cut(
        random, random.choice(PAYLOADS), mutate(random, random.choice(TEXTS), TEXT_WORDS)
    )


# ── what arrives whole ──

ERRORS: list[bytes] = [
    b'{"message": "x", "__type": "com.amazonaws.sagemaker#ModelError:http://x/", "OriginalStatusCode": 500, "LogStreamArn": "a"}',
    b'{"Message": null, "code": 7, "Code": ["a"]}',
    b'["a"]',
    b"<html><body>502</body></html>",
    b'{"Message": "x-amz-security-token:abc\\nhost:h"}',
    b"42",
    b"",
]
FIELDS = [
    "x-amzn-errortype",
    "x-amzn-requestid",
    "content-type",
    "date",
    "retry-after",
    "x-amzn-sagemaker-custom-attributes",
]
VALUES = [
    "ModelError",
    "ns#ModelError:http://x/",
    ":",
    "#",
    "",
    " ",
    "é\xff",
    "ThrottlingException",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "1",
]
OPERATIONS = [
    sm.InvokeEndpoint(endpoint_name="e", body=b""),
    sm.InvokeEndpointAsync(endpoint_name="e", input_location="s3://b/k"),
    STREAMED,
]


def answer(random: Random) -> None:
    """An answer is an output or an error of ours, whatever it says."""
    count = int(random.random() * 4)
    headers = tuple((random.choice(FIELDS), random.choice(VALUES)) for _ in range(count))
    status = random.choice((200, 202, 204, 301, 400, 404, 424, 429, 500, 503, 599, 999))
    body = mutate(random, random.choice(ERRORS), TEXT_WORDS)
    response = sm.Response(status, headers, body, random.random() < 0.1)
    try:
        random.choice(OPERATIONS).parse(response)
    except (sm.ServiceError, sm.ResponseError) as error:
        assert str(error).isprintable(), f"{error!r} shows what a terminal would obey: {response!r}"
        repr(error)


URLS = [
    "https://h/endpoints/e/invocations",
    "http://h:80/base/endpoints/a%2Fb/async-invocations",
    "https://h/endpoints/%/invocations-response-stream?x=y",
]
MEMBERS = [
    "X-Amzn-SageMaker-Session-Id",
    "X-Amzn-SageMaker-InputLocation",
    "X-Amzn-SageMaker-RequestTTLSeconds",
    "Content-Type",
]


def request(random: Random) -> None:
    """A request from anybody is an operation or an error to answer with."""
    url = mutate(
        random,
        random.choice(URLS).encode(),
        [b"%", b"/", b"?", b"#", b"@", b":", b" ", b"..", b"\xff", b"[", b"%ff", b"%00"],
    )
    headers = tuple(
        (
            random.choice(MEMBERS),
            random.choice(("NEW_SESSION", "s3://b/k", "60", "0", "x" * 300, "é", "-1")),
        )
        for _ in range(2)
    )
    asked = sm.Request(random.choice(("POST", "GET")), url.decode("latin-1"), headers, b"x")
    try:
        operation = read(asked)
    except sm.ServiceError:
        return
    assert read(operation.request("https://h")) == operation


SETTINGS = [
    "[default]\nregion = eu-west-1\n\n[profile work] ; a comment\nregion = us-east-1 # x\nservices = here\ns3 =\n  endpoint_url = http://h\n",
    "[services here]\nsagemaker_runtime =\n    endpoint_url = http://localhost:8080\n[sso-session acme]\nsso_region = us-east-1\n",
    "[work]\naws_access_key_id = AKID\naws_secret_access_key = CANARY\n[profile 'quoted name']\na=b\n c\n",
]
SETTING_WORDS = [
    *(
        b"[",
        b"]",
        b"=",
        b"\n",
        b"\r\n",
        b" ",
        b"\t",
        b";",
        b"#",
        b"'",
        b'"',
        b"\n ",
        b"\n  a = b",
        b"profile ",
        b"services ",
        b"\xff",
        b"\0",
    ),
    *(b"[default]\n", b"[profile x]\n", b"\xef\xbb\xbf", b"\xc2\x85", b"\xe2\x80\xa8", b"a = b\n"),
]


def profiles(random: Random) -> None:
    """Files of settings; an error says which and where, and quotes nothing."""
    config = mutate(random, random.choice(SETTINGS).encode(), SETTING_WORDS)
    credentials = mutate(random, SETTINGS[2].encode(), SETTING_WORDS)
    try:
        found = parse(config, credentials)
    except sm.ConstructionError as error:
        assert error.member in ("config", "credentials")
        assert "CANARY" not in str(error)
        return
    assert parse(config.decode(), credentials.decode()) == found
    assert "CANARY" not in repr(found) + repr(found.sections)


def dates(random: Random) -> None:
    """A date is a moment or None; what is a moment is written back as it was."""
    text = mutate(
        random,
        random.choice((b"20261123T101112Z", b"Sun, 06 Nov 1994 08:49:37 GMT")),
        [b"0", b"9", b"2", b" ", b"T", b"Z"],
    ).decode("latin-1")
    seconds = parse_timestamp(text)
    assert seconds is None or format_timestamp(seconds) == text
    assert parse_http_date(text) is None or len(text) == 29


DECODERS: Sequence[Callable[[Random], None]] = (
    event_stream,
    streamed_answer,
    payload,
    answer,
    request,
    profiles,
    dates,
)
