"""Targets for every other reader of bytes: only our errors are raised, and cuts change no event."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeAlias
from zlib import crc32

from mutation import cut, mutate, random_below, random_offset

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
from smruntime_core.streaming import NEED_DATA, Decoder, NeedData, PayloadPart, ResponseParser
from smruntime_core.values._dates import format_timestamp, parse_http_date, parse_timestamp

Decoded: TypeAlias = "tuple[list[object], str | None]"  # the events, and the error that ended them


def decode_pieces(decoder: Decoder[object], pieces: Iterable[bytes]) -> Decoded:
    """Return all events and the error after them; check that a decoder repeats its error."""
    events: list[object] = []
    try:
        for piece in pieces:
            decoder.receive_data(piece)
            if len(piece) % 2:  # whether events are taken in between must not matter
                _take_events(decoder, events)
        decoder.receive_eof()
        _take_events(decoder, events)
    except (sm.StreamError, sm.ServiceError, sm.ResponseError) as error:
        for _ in range(2):
            try:
                repeated: object = decoder.next_event()
            except sm.SmRuntimeError as raised:
                repeated = raised
            assert repeated is error, f"after {error!r} the decoder returns or raises {repeated!r}"
        return events, f"{type(error).__name__}: {error}"
    assert decoder.next_event() is NEED_DATA
    return events, None


def _take_events(decoder: Decoder[object], events: list[object]) -> None:
    while (found := decoder.next_event()) is not NEED_DATA:
        events.append(found)


def check_cuts(random: Random, make_decoder: Callable[[], Decoder[object]], data: bytes) -> Decoded:
    """Return what `data` decodes to; check that it is the same when `data` comes in pieces.

    The repr is compared too, since `True == 1 == Byte(1)`.
    """
    whole = join_text(decode_pieces(make_decoder(), [data]))
    pieces = cut(random, data)
    in_pieces = join_text(decode_pieces(make_decoder(), pieces))
    is_same = (in_pieces, repr(in_pieces)) == (whole, repr(whole))
    assert is_same, f"in pieces {whole} becomes {in_pieces}: {pieces!r}"
    return whole


def join_text(decoded: Decoded) -> Decoded:
    """Return the events of a `TextDecoder` as one: how it divides text may vary."""
    events, error = decoded
    if events and all(type(event) is Text for event in events):
        return ["".join(map(str, events))], error
    return decoded


# ── event streams ──

EVENT_HEADERS: list[dict[str, object]] = [
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
EVENT_PAYLOADS = (b"", b"a", b'{"Message":"x","OriginalStatusCode":1}', b"0123456789" * 7)
HEADER_FRAGMENTS = [
    *(b"\0", b"\1", b"\2", b"\3", b"\4", b"\5", b"\6", b"\7", b"\x08", b"\x09", b"\x0a", b"\xff"),
    *(b"\0\0", b"\xff\xff", b"\x01a\x07\0\x01b"),
]
MAX_HEADERS, MAX_PAYLOAD = 128 << 10, 24 << 20
FALSE_SIZES = [
    *(0, 1, 12, 15, 16, 17, MAX_HEADERS, MAX_HEADERS + 1),
    *(MAX_PAYLOAD, MAX_PAYLOAD + 17, 2**31, 2**32 - 1),
]


def make_frame(random: Random, header_block: bytes, payload: bytes) -> bytes:
    """Return a frame, sometimes with a false size or checksum.

    The checksums of false sizes are right, otherwise a reader would stop there.
    """
    total_size, header_size = 16 + len(header_block) + len(payload), len(header_block)
    chance = random.random()
    if chance < 0.03:
        total_size = random.choice(FALSE_SIZES)
    elif chance < 0.06:
        header_size = random.choice(FALSE_SIZES)
    elif chance < 0.09:
        header_size = random_below(random, len(header_block) + len(payload) + 2)
    prelude = struct.pack(">II", total_size, header_size)
    frame = prelude + struct.pack(">I", crc32(prelude)) + header_block + payload
    return frame + struct.pack(">I", crc32(frame) ^ (random.random() < 0.02))


def make_stream(random: Random) -> bytes:
    """Return a few frames, some with damaged headers, and sometimes cut off."""
    frames: list[bytes] = []
    for _ in range(1 + random_below(random, 5)):
        header_block = random.choice(_HEADER_BLOCKS)
        if random.random() < 0.2:
            header_block = mutate(random, header_block, HEADER_FRAGMENTS)
        frames.append(make_frame(random, header_block, random.choice(EVENT_PAYLOADS)))
    stream = b"".join(frames)
    return stream[: random_offset(random, stream)] if random.random() < 0.1 else stream


_HEADER_BLOCKS = [
    encode(Message(headers))[12:-4]  # type: ignore[arg-type]  # mixed values, joined to object
    for headers in EVENT_HEADERS
]


def event_stream(random: Random) -> None:
    """Check that decoded messages are encoded to the same bytes."""
    data = make_stream(random)
    if random.random() >= 0.95:
        data = mutate(random, data, HEADER_FRAGMENTS)
    messages, error = check_cuts(random, EventStreamDecoder, data)
    encoded = b"".join(encode(message) for message in messages if isinstance(message, Message))
    is_same = data.startswith(encoded) if error else data == encoded
    assert is_same, f"{data!r} is encoded as {encoded!r}"


STREAMED_CALL = sm.InvokeEndpointWithResponseStream(endpoint_name="e", body=b"")
STREAMED_HEADS = [
    sm.Response(200, (("Content-Type", "application/vnd.amazon.eventstream"),)),
    sm.Response(200, (("Content-Type", "text/html"),)),
    sm.Response(424, (("x-amzn-ErrorType", "ModelError"), ("x-amzn-RequestId", "r"))),
    sm.Response(503),
]


def streamed_answer(random: Random) -> None:
    """Check the parser of streamed responses, head and body."""
    head = STREAMED_HEADS[0] if random.random() < 0.8 else random.choice(STREAMED_HEADS)

    def make_parser() -> Decoder[object]:
        parser = ResponseParser(STREAMED_CALL)
        parser.receive_head(head)
        return parser

    if random.random() < 0.8:
        data = make_stream(random)
    else:
        data = event(PayloadPart(b"x")) * random_below(random, 9)
    check_cuts(random, make_parser, data)


# ── payloads ──


class Text(str):
    """An event of a `TextDecoder`."""


class MarkedTextDecoder(TextDecoder):
    """A `TextDecoder` whose events can be told from lines."""

    def next_event(self) -> str | NeedData:
        text = super().next_event()
        return text if text is NEED_DATA else Text(text)


PAYLOAD_DECODERS: list[Callable[[], Decoder[object]]] = [
    MarkedTextDecoder,
    lambda: MarkedTextDecoder(errors="replace"),
    LineDecoder,
    lambda: LineDecoder(max_line=9, errors="replace"),
    SSEDecoder,
    lambda: SSEDecoder(max_event=20),
    JSONLinesDecoder,
    lambda: JSONLinesDecoder(max_line=9),
    JSONRecordDecoder,
    lambda: JSONRecordDecoder(max_record=20),
]
PAYLOADS = [
    'data: {"token": "é"}\n\nevent: end\nid: 7\nretry: 10\ndata: a\ndata: b\r\n\r\n'.encode()
    + b": comment\rdata\n\n",
    b'{"a": [1, 2.5e-3, true, null], "b": "\\u20ac\\"\\\\"}\n{"c": {}}\r\n\n[[]]\n',
    b'{"a":1}{"b":"}{"}[1,[2]] 3 "x"\ttrue\nnull',
    "\ufefffirst line\rsecond €\r\n\nlast 𝄞".encode(),
]
TEXT_FRAGMENTS = [
    *(bytes((byte,)) for byte in b'\r\n :{}[],"\\0-.eE\0\xe2\xff\xed\xa0\xf0\x80\xef'),
    *(b"data:", b"\r\n\r\n", b"\xef\xbb\xbf", b"NaN", b"Infinity", b"1e999", b"\\ud800"),
    *(b"[" * 50, b'{"a":' * 30, b"9" * 40, "€".encode()),
]


def payload(random: Random) -> None:
    """Check the decoders of text, lines, events and JSON, with wide and narrow limits."""
    data = mutate(random, random.choice(PAYLOADS), TEXT_FRAGMENTS)
    check_cuts(random, random.choice(PAYLOAD_DECODERS), data)


# ── messages that arrive whole ──

ERROR_BODIES: list[bytes] = [
    b'{"message": "x", "__type": "com.amazonaws.sagemaker#ModelError:http://x/", '
    b'"OriginalStatusCode": 500, "LogStreamArn": "a"}',
    b'{"Message": null, "code": 7, "Code": ["a"]}',
    b'["a"]',
    b"<html><body>502</body></html>",
    b'{"Message": "x-amz-security-token:abc\\nhost:h"}',
    b"42",
    b"",
]
ANSWER_HEADERS = [
    *("x-amzn-errortype", "x-amzn-requestid", "content-type", "date", "retry-after"),
    "x-amzn-sagemaker-custom-attributes",
]
ANSWER_VALUES = [
    *("ModelError", "ns#ModelError:http://x/", ":", "#", "", " ", "é\xff", "1"),
    *("ThrottlingException", "Sun, 06 Nov 1994 08:49:37 GMT"),
]
ANSWER_STATUSES = (200, 202, 204, 301, 400, 404, 424, 429, 500, 503, 599, 999)
OPERATIONS = [
    sm.InvokeEndpoint(endpoint_name="e", body=b""),
    sm.InvokeEndpointAsync(endpoint_name="e", input_location="s3://b/k"),
    STREAMED_CALL,
]


def answer(random: Random) -> None:
    """Check that any answer is an output or one of our errors."""
    headers = tuple(
        (random.choice(ANSWER_HEADERS), random.choice(ANSWER_VALUES))
        for _ in range(random_below(random, 4))
    )
    body = mutate(random, random.choice(ERROR_BODIES), TEXT_FRAGMENTS)
    truncated = random.random() < 0.1
    response = sm.Response(random.choice(ANSWER_STATUSES), headers, body, truncated)
    try:
        random.choice(OPERATIONS).parse(response)
    except (sm.ServiceError, sm.ResponseError) as error:
        assert str(error).isprintable(), f"{error!r} has terminal controls: {response!r}"
        repr(error)


REQUEST_URLS = [
    b"https://h/endpoints/e/invocations",
    b"http://h:80/base/endpoints/a%2Fb/async-invocations",
    b"https://h/endpoints/%/invocations-response-stream?x=y",
]
URL_FRAGMENTS = [b"%", b"/", b"?", b"#", b"@", b":", b" ", b"..", b"\xff", b"[", b"%ff", b"%00"]
REQUEST_HEADERS = [
    "X-Amzn-SageMaker-Session-Id",
    "X-Amzn-SageMaker-InputLocation",
    "X-Amzn-SageMaker-RequestTTLSeconds",
    "Content-Type",
]
REQUEST_VALUES = ("NEW_SESSION", "s3://b/k", "60", "0", "x" * 300, "é", "-1")


def request(random: Random) -> None:
    """Check that any request is an operation or an error to answer with."""
    url = mutate(random, random.choice(REQUEST_URLS), URL_FRAGMENTS).decode("latin-1")
    headers = tuple(
        (random.choice(REQUEST_HEADERS), random.choice(REQUEST_VALUES)) for _ in range(2)
    )
    received = sm.Request(random.choice(("POST", "GET")), url, headers, b"x")
    try:
        operation = read(received)
    except sm.ServiceError:
        return
    assert read(operation.request("https://h")) == operation


CONFIG_FILES = [
    b"[default]\nregion = eu-west-1\n\n[profile work] ; a comment\nregion = us-east-1 # x\n"
    b"services = here\ns3 =\n  endpoint_url = http://h\n",
    b"[services here]\nsagemaker_runtime =\n    endpoint_url = http://localhost:8080\n"
    b"[sso-session acme]\nsso_region = us-east-1\n",
    b"[work]\naws_access_key_id = AKID\naws_secret_access_key = CANARY\n"
    b"[profile 'quoted name']\na=b\n c\n",
]
CREDENTIALS_FILE = CONFIG_FILES[2]
FILE_FRAGMENTS = [
    *(b"[", b"]", b"=", b"\n", b"\r\n", b" ", b"\t", b";", b"#", b"'", b'"', b"\n ", b"\n  a = b"),
    *(b"profile ", b"services ", b"\xff", b"\0"),
    *(b"[default]\n", b"[profile x]\n", b"\xef\xbb\xbf", b"\xc2\x85", b"\xe2\x80\xa8", b"a = b\n"),
]


def profiles(random: Random) -> None:
    """Check that files of settings are parsed, or refused by an error that quotes none of them."""
    config = mutate(random, random.choice(CONFIG_FILES), FILE_FRAGMENTS)
    credentials = mutate(random, CREDENTIALS_FILE, FILE_FRAGMENTS)
    try:
        parsed = parse(config, credentials)
    except sm.ConstructionError as error:
        assert error.member in ("config", "credentials")
        assert "CANARY" not in str(error)
        return
    assert parse(config.decode(), credentials.decode()) == parsed
    assert "CANARY" not in repr(parsed) + repr(parsed.sections)


DATES = (b"20261123T101112Z", b"Sun, 06 Nov 1994 08:49:37 GMT")
DATE_FRAGMENTS = [b"0", b"9", b"2", b" ", b"T", b"Z"]


def dates(random: Random) -> None:
    """Check that a timestamp which is accepted is written back unchanged."""
    text = mutate(random, random.choice(DATES), DATE_FRAGMENTS).decode("latin-1")
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
