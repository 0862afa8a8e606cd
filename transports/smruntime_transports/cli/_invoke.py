"""Call an endpoint and print the response; `--dry-run` prints the request instead of sending it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from smruntime_core import (
    NEW_SESSION,
    ConstructionError,
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
)
from smruntime_core.conversation import OPENING_BODY, SessionId

from ..client import ResponseStream
from ..client._settings import Settings
from ..sockets import Client
from ._dry_run import describe_call

if TYPE_CHECKING:
    from argparse import _SubParsersAction

STREAM_MODES: Final = ("text", "lines", "sse", "json", "raw")
MEMBERS_BY_OPTION: Final[Mapping[str, str]] = {
    "content-type": "content_type",
    "accept": "accept",
    "custom-attributes": "custom_attributes",
    "target-variant": "target_variant",
    "target-container": "target_container_hostname",
    "inference-component": "inference_component_name",
    "inference-id": "inference_id",
    "prefix-aware-id": "prefix_aware_id",
}
SHORT_OPTIONS: Final[Mapping[str, str]] = {"content-type": "-t"}
LONG_UPLOAD_SIZE: Final = 1_000_000  # bytes; progress is shown from here on


def add_command(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `invoke` to the commands."""
    parser = commands.add_parser("invoke", help="call an endpoint", description=__doc__)
    parser.add_argument("endpoint", metavar="ENDPOINT")
    parser.add_argument(
        "-d", "--data", default="", help="the body: text, @file, or - for standard input"
    )
    for option, member in MEMBERS_BY_OPTION.items():
        names = [f"--{option}"]
        if option in SHORT_OPTIONS:
            names.insert(0, SHORT_OPTIONS[option])
        parser.add_argument(*names, dest=member, metavar="TEXT")
    parser.add_argument("--target-model", metavar="TEXT")
    parser.add_argument(
        "--stream",
        choices=STREAM_MODES,
        help="print the response as it arrives: text, lines, server-sent events, JSON, bytes",
    )
    parser.add_argument(
        "--session",
        metavar="new|ID",
        help="use a session, or open one and print its id to standard error",
    )
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", metavar="URL")
    parser.add_argument("--profile")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for the whole call")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing; print the request, its signature, and the same call with curl",
    )
    parser.set_defaults(command=run_invoke)


def run_invoke(options: argparse.Namespace) -> int:
    """Make the call, print the response and return 0."""
    operation = _make_operation(options)
    if options.dry_run:
        print(describe_call(options, operation))
        return 0
    settings = Settings(
        region=options.region, endpoint_url=options.endpoint_url, profile=options.profile
    )
    with Client(**settings) as base_client:
        client = base_client.with_options(timeout=options.timeout)
        body_size = len(operation.body)
        if body_size >= LONG_UPLOAD_SIZE and sys.stderr.isatty():
            client = client.with_options(progress=ProgressMeter(body_size))
        if isinstance(operation, InvokeEndpointWithResponseStream):
            with client.stream(operation) as stream:
                for printed_part in _format_stream(stream, options.stream):
                    _write_output(printed_part)
            return 0
        output = client.call(operation)
        if options.session == "new":
            print(f"session {SessionId.of(output).id}", file=sys.stderr)
        _write_output(output.body)
    return 0


class ProgressMeter:
    """The progress of an upload on a terminal, removed when the response begins."""

    def __init__(self, upload_size: int) -> None:
        self._upload_size = upload_size
        self._shown_percent = -1

    def __call__(self, sent_size: int, received_size: int) -> None:
        percent = min(100, sent_size * 100 // self._upload_size)
        if received_size:
            sys.stderr.write("\r\x1b[K" if self._shown_percent >= 0 else "")
            self._shown_percent = -1
        elif percent != self._shown_percent:
            self._shown_percent = percent
            sys.stderr.write(f"\rsending {self._upload_size / 1e6:.1f} MB: {percent} %")
        sys.stderr.flush()


def _make_operation(
    options: argparse.Namespace,
) -> InvokeEndpoint | InvokeEndpointWithResponseStream:
    members = {
        member: value
        for member in MEMBERS_BY_OPTION.values()
        if (value := getattr(options, member)) is not None
    }
    opens_session = options.session == "new"
    if options.stream is not None and opens_session:
        rule = "opened without --stream"
        raise ConstructionError("session", rule, "a streamed invocation cannot open one")
    if options.stream is not None and options.target_model is not None:
        rule = "left out with --stream"
        raise ConstructionError("target_model", rule, "a streamed invocation has no such member")
    body = OPENING_BODY if opens_session and not options.data else _read_body(options.data)
    session_id = NEW_SESSION if opens_session else options.session
    if options.stream is not None:
        return InvokeEndpointWithResponseStream(
            endpoint_name=options.endpoint, body=body, session_id=session_id, **members
        )
    return InvokeEndpoint(
        endpoint_name=options.endpoint,
        body=body,
        session_id=session_id,
        target_model=options.target_model,
        **members,
    )


def _read_body(data_option: str) -> bytes:
    if data_option == "-":
        if sys.stdin is None:
            raise ConstructionError("data", "text or @file", "there is no standard input")
        return sys.stdin.buffer.read()
    if not data_option.startswith("@"):
        return data_option.encode("utf-8", "surrogateescape")
    path = data_option[1:]
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise ConstructionError("data", "text, @file or -", f"{path}: {error}") from None


def _format_stream(stream: ResponseStream[Any], stream_mode: str) -> Iterator[bytes]:
    """Yield what to print for each part of a streamed response, as it arrives."""
    if stream_mode == "raw":
        yield from stream.bytes()
    elif stream_mode == "text":
        yield from (text.encode() for text in stream.text())
    elif stream_mode == "lines":
        yield from (f"{line}\n".encode() for line in stream.lines())
    elif stream_mode == "sse":
        yield from (f"{event.data}\n".encode() for event in stream.sse())
    else:
        for value in stream.json():
            yield f"{json.dumps(value, ensure_ascii=False)}\n".encode()


def _write_output(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
