"""Call an endpoint and print the response; `--dry-run` prints the request instead of sending it.

    smruntime invoke iris -d @row.csv
    smruntime invoke iris -d 5.1,3.5,1.4,0.2 -t text/csv --accept application/json --json
    smruntime invoke chat -d @question.json --accept text/event-stream --stream sse
    smruntime invoke slow -d @image.png --async -o answer.json

The content type follows from the name of a file; -t sets it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from functools import partial
from typing import Any, Final, NoReturn

from smruntime_core import (
    DispatchFailure,
    InvokeEndpoint,
    InvokeEndpointAsync,
    InvokeEndpointOutput,
    InvokeEndpointWithResponseStream,
    ResponseError,
    RetryPolicy,
    SmRuntimeError,
)
from smruntime_core.conversation import OptionChanges, SessionId

from ..client import ResponseStream
from ..client._settings import Settings
from ..sockets import Client
from ._dry_run import describe_call
from ._exit import CommandError
from ._guard import print_output, require_output
from ._operations import MEMBERS_BY_OPTION, AnyOperation, make_operation
from ._output import ResponseWriter
from ._parser import CommandParser, parse_count, parse_seconds
from ._terminal import print_message, upload_progress
from ._verbose import print_notice, print_size

STREAM_MODES: Final = ("text", "lines", "sse", "json", "raw")
MOST_RETRIES: Final = 99
END_OF_CHAT: Final = "[DONE]"  # the last event of OpenAI-compatible containers; it is no JSON

_MEMBER_HELP: Final = {
    "content_type": "MIME type of the body; by default it follows from the name of the file",
    "accept": "MIME type wanted for the response",
    "input_location": "with --async, the s3:// URL of the body",
    "session_id": "use a session, or open one and print its id to standard error",
}


def run(arguments: list[str], program_name: str) -> int:
    """Make the call, write the response and return 0."""
    options = make_parser(program_name).parse_args(_join_data(arguments))
    _check_json(options)
    operation = make_operation(options)
    if options.dry_run:
        require_output()
        print_output(describe_call(options, operation))
        return 0
    writer = ResponseWriter(options.output, include_head=options.include)
    try:
        _call(options, operation, writer)
    except DispatchFailure:
        raise
    except SmRuntimeError as error:
        writer.write_head(error.metadata)
        raise
    finally:
        writer.close()
    return 0


def make_parser(program_name: str) -> CommandParser:
    """Return the parser of `invoke`."""
    usage = f"{program_name} ENDPOINT [-d DATA] [OPTION …]"
    parser = CommandParser(prog=program_name, usage=usage, description=__doc__ or "")
    add = parser.add_argument
    add("endpoint", metavar="ENDPOINT")
    add("-d", "--data", metavar="DATA", help="the body: text, @file, or - for standard input")
    for option, member in MEMBERS_BY_OPTION.items():
        names = ["-t", option] if member == "content_type" else [option]
        metavar = "new|ID" if member == "session_id" else "TEXT"
        add(*names, dest=member, metavar=metavar, help=_MEMBER_HELP.get(member))
    add(
        "--stream",
        metavar="MODE",
        type=_parse_stream_mode,
        help="print the response as it arrives: as text, lines, sse (the data of each event), "
        "json (one value a line) or raw",
    )
    add(
        "--async",
        dest="is_async",
        action="store_true",
        help="submit an asynchronous invocation, wait for its answer in S3 and print that",
    )
    add(
        "--json",
        action="store_true",
        help="print the response as indented JSON, or a stream as one JSON value a line; fail if "
        "it is not JSON",
    )
    add("-o", "--output", metavar="FILE", help="write the response to a file")
    add("-i", "--include", action="store_true", help="write status and headers before the body")
    add("-v", "--verbose", action="store_true", help="print what happens to standard error")
    add("--region", metavar="NAME")
    add("--endpoint-url", metavar="URL")
    add("--profile", metavar="NAME")
    add(
        "--timeout",
        type=parse_seconds,
        metavar="SECONDS",
        help="for the whole call; with --async, also for waiting",
    )
    add(
        "--retries",
        type=partial(parse_count, lowest=0, highest=MOST_RETRIES),
        metavar="N",
        help="at most so many further attempts, default 2",
    )
    add(
        "--dry-run",
        action="store_true",
        help="send nothing; print the request, its signature, and the same call with curl",
    )
    return parser


def _join_data(arguments: list[str]) -> list[str]:
    """Join -d with the argument after it, since argparse takes "-1.5,2" for an option."""
    joined: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        value = next(remaining, None) if argument in ("-d", "--data") else None
        joined.append(argument if value is None else f"--data={value}")
    return joined


def _parse_stream_mode(text: str) -> str:
    if text not in STREAM_MODES:
        raise argparse.ArgumentTypeError(f"{text!r} must be one of {', '.join(STREAM_MODES)}")
    return text


def _check_json(options: argparse.Namespace) -> None:
    if options.json and options.stream in ("text", "raw"):
        raise CommandError(f"--json cannot be combined with --stream {options.stream}")


def _call(options: argparse.Namespace, operation: AnyOperation, writer: ResponseWriter) -> None:
    settings = Settings(
        region=options.region, endpoint_url=options.endpoint_url, profile=options.profile
    )
    if options.verbose:
        settings["observe"] = print_notice
    changes = OptionChanges()
    if options.timeout is not None:
        changes["timeout"] = options.timeout
    if options.retries is not None:
        changes["retries"] = RetryPolicy(max_attempts=options.retries + 1)
    with Client(**settings) as base_client, upload_progress(len(operation.body or b"")) as progress:
        if progress is not None:
            changes["progress"] = progress
        client = base_client.with_options(**changes)
        if isinstance(operation, InvokeEndpointWithResponseStream):
            _write_stream(client, operation, options, writer)
        else:
            output = _find_output(client, operation, options)
            if options.verbose:
                print_size(output.body, output.content_type)
            writer.write_head(output.metadata)
            _write_body(output.body, options, writer)


def _find_output(
    client: Client, operation: InvokeEndpoint | InvokeEndpointAsync, options: argparse.Namespace
) -> InvokeEndpointOutput:
    """Return the answer of a call that is not streamed."""
    if isinstance(operation, InvokeEndpointAsync):
        job = client.submit(operation)
        print_message(f"output_location {job.output_location}")
        return job.result() if options.timeout is None else job.result(timeout=options.timeout)
    output = client.call(operation)
    if options.session_id == "new":
        print_message(f"session {SessionId.of(output).id}")
    return output


def _write_body(body: bytes, options: argparse.Namespace, writer: ResponseWriter) -> None:
    """Write a body; with --json, one that is not JSON is written as it is before that is raised."""
    if not options.json:
        writer.write(body)
        return
    try:
        indented = _encode_json(_parse_json(body), indent=2)
    except ResponseError:
        writer.write(body)
        raise
    writer.write(indented)


def _write_stream(
    client: Client,
    operation: InvokeEndpointWithResponseStream,
    options: argparse.Namespace,
    writer: ResponseWriter,
) -> None:
    with client.stream(operation) as stream:
        writer.write_head(stream.metadata)
        writer.write(b"")  # an empty response makes an empty file
        for printed_part in format_stream(stream, options.stream, as_json=options.json):
            writer.write(printed_part)


def format_stream(
    stream: ResponseStream[Any], stream_mode: str, *, as_json: bool
) -> Iterator[bytes]:
    """Yield what to print for each part of a streamed response, as it arrives."""
    if stream_mode == "raw":
        yield from stream.bytes()
    elif stream_mode == "text":
        yield from (text.encode() for text in stream.text())
    elif stream_mode == "json":
        yield from map(_format_json_line, stream.json())
    elif stream_mode == "lines":
        if as_json:
            yield from map(_format_json_line, stream.jsonl())
        else:
            yield from (f"{line}\n".encode() for line in stream.lines())
    else:
        for event in stream.sse():
            if not as_json:
                yield f"{event.data}\n".encode()
            elif event.data and event.data != END_OF_CHAT:
                yield _format_json_line(_parse_json(event.data.encode()))


def _parse_json(data: bytes) -> object:
    try:
        value: object = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ResponseError(f"the response is not JSON: {error}") from None
    return value


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _format_json_line(value: object) -> bytes:
    return _encode_json(value, indent=None)


def _encode_json(value: object, indent: int | None) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        return f"{text}\n".encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can express
        return f"{json.dumps(value, indent=indent)}\n".encode()
    except RecursionError:
        raise ResponseError("the JSON is nested too deep to print") from None
