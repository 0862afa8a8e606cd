"""A plugin of pytest that runs botocore's own tests against our bodies and event streams.

`tools/test-boto` loads it, from the folder of botocore's source distribution. The classes under
test are replaced before the test modules import them:

    StreamingBody                   ours
    EventStreamBuffer               our decoder; each message is compared with the frame that our
                                    encoder makes of it
    EventStream                     ours, over our parser of responses
    ChecksumMismatch and the like   `StreamError`

`NOT_APPLICABLE` names the tests that cannot apply, with the reason; each must exist.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import botocore.eventstream
import botocore.response
import pytest

import smruntime_core as sm
from smruntime_core.eventstream import NEED_DATA, EventStreamDecoder, encode
from smruntime_core.protocol import _response_parser
from smruntime_core.streaming import ResponseParser
from smruntime_transports import boto
from smruntime_transports.boto._failures import make_exception
from smruntime_transports.boto._parameters import STREAM

UNDER_URLLIB3 = "no body of ours is read from urllib3: it has been received before"
PARSER_OF_BOTOCORE = "it tests botocore's parser of other services' XML"
VALUES_OF_BOTOCORE = "it tests values that botocore's decoder makes in between, and ours does not"
NO_INITIAL_RESPONSE = "the service sends no initial response, so our streams have no method for it"
NOT_APPLICABLE = {
    "test_streaming_body_readinto_catches_urllib3_read_timeout": UNDER_URLLIB3,
    "test_streaming_body_readinto_catches_urllib3_protocol_error": UNDER_URLLIB3,
    "test_catches_urllib3_read_timeout": UNDER_URLLIB3,
    "test_catches_urllib3_protocol_error": UNDER_URLLIB3,
    "test_get_response_streaming_ok": PARSER_OF_BOTOCORE,
    "test_get_response_streaming_ng": PARSER_OF_BOTOCORE,
    "test_get_response_nonstreaming_ok": PARSER_OF_BOTOCORE,
    "test_get_response_nonstreaming_ng": PARSER_OF_BOTOCORE,
    "test_header_parser": VALUES_OF_BOTOCORE,
    "test_message_prelude_properties": VALUES_OF_BOTOCORE,
    "test_message_to_response_dict": VALUES_OF_BOTOCORE,
    "test_message_to_response_dict_error": VALUES_OF_BOTOCORE,
    "test_unpack_uint8": VALUES_OF_BOTOCORE,
    "test_unpack_uint32": VALUES_OF_BOTOCORE,
    "test_unpack_int8": VALUES_OF_BOTOCORE,
    "test_unpack_int16": VALUES_OF_BOTOCORE,
    "test_unpack_int32": VALUES_OF_BOTOCORE,
    "test_unpack_int64": VALUES_OF_BOTOCORE,
    "test_unpack_array_short": VALUES_OF_BOTOCORE,
    "test_unpack_byte_array_int": VALUES_OF_BOTOCORE,
    "test_unpack_utf8_string": VALUES_OF_BOTOCORE,
    "test_unpack_prelude": VALUES_OF_BOTOCORE,
    "test_event_stream_wrapper_iteration": "it expects a call of botocore's parser",
    "test_event_stream_initial_response": NO_INITIAL_RESPONSE,
    "test_event_stream_initial_response_wrong_type": NO_INITIAL_RESPONSE,
    "test_event_stream_initial_response_no_event": NO_INITIAL_RESPONSE,
}


def as_botocore(value: object) -> object:
    """Return the value of a header as botocore has it: a UUID is 16 bytes."""
    return value.bytes if isinstance(value, UUID) else value


class Buffer:
    """Our decoder with the methods of botocore's buffer."""

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder()

    def add_data(self, data: bytes) -> None:
        self._decoder.receive_data(data)

    def __iter__(self) -> Iterator[object]:
        while (message := self._decoder.next_event()) is not NEED_DATA:
            frame = encode(message)
            prelude = botocore.eventstream.MessagePrelude(*struct.unpack(">III", frame[:12]))
            yield botocore.eventstream.EventStreamMessage(
                prelude,
                {name: as_botocore(value) for name, value in message.headers.items()},
                message.payload,
                int.from_bytes(frame[-4:]),
            )


class Received:
    """A streamed response over the chunks of `raw_stream`, as our `EventStream` reads it."""

    def __init__(self, raw_stream: Any) -> None:
        self.close = raw_stream.close
        self._raw_stream = raw_stream

    def events(self) -> Iterator[object]:
        operation = sm.InvokeEndpointWithResponseStream(endpoint_name="e", body=b"")
        parser = ResponseParser(operation)
        content_type = ("content-type", _response_parser.CONTENT_TYPE)
        parser.receive_head(sm.Response(200, (content_type,)))
        for chunk in self._raw_stream.stream():
            parser.receive_data(chunk)
            while (event := parser.next_event()) is not NEED_DATA:
                yield event


def make_event_stream(raw_stream: object, *_: object) -> boto.EventStream:
    received: Any = Received(raw_stream)
    return boto.EventStream(
        received, lambda error: make_exception(error, STREAM, "", 1, streaming=True)
    )


botocore.response.StreamingBody = boto.StreamingBody
botocore.eventstream.EventStreamBuffer = Buffer
botocore.eventstream.EventStream = make_event_stream
for error_name in (
    "ChecksumMismatch",
    "DuplicateHeader",
    "InvalidHeadersLength",
    "InvalidPayloadLength",
):
    setattr(botocore.eventstream, error_name, sm.StreamError)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that do not apply; raise for one that does not exist."""
    names = {item.name for item in items}
    unknown = NOT_APPLICABLE.keys() - names
    if unknown:
        raise pytest.UsageError(f"botocore has no test called {', '.join(sorted(unknown))}")
    applicable = [item for item in items if item.name not in NOT_APPLICABLE]
    config.hook.pytest_deselected(items=[i for i in items if i.name in NOT_APPLICABLE])
    items[:] = applicable


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print which tests did not apply, and why."""
    for reason in dict.fromkeys(NOT_APPLICABLE.values()):
        tests = [name for name, known in NOT_APPLICABLE.items() if known == reason]
        terminalreporter.write_line(f"{len(tests)} do not apply, {reason}: {', '.join(tests)}")
