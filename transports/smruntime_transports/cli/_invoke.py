"""`invoke`: one call from the shell; `--dry-run` shows what would be sent and how it is signed."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from typing import TYPE_CHECKING

from smruntime_core import (
    NEW_SESSION,
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    InvokeEndpointWithResponseStream,
    Operation,
    Output,
    Request,
    run,
    sign,
)
from smruntime_core.config import make_config
from smruntime_core.conversation import OPENING_BODY, SessionId
from smruntime_core.credentials import DefaultChain

from ..client._settings import Settings
from ..client._setup import read_settings, this_process
from ..sockets import Client, SocketIO

if TYPE_CHECKING:
    from argparse import _SubParsersAction

MODES = ("text", "lines", "sse", "json", "raw")
# option, member: the rest of the operation's members, for the shell
MEMBERS = {
    "content-type": "content_type",
    "accept": "accept",
    "custom-attributes": "custom_attributes",
    "target-variant": "target_variant",
    "target-container": "target_container_hostname",
    "inference-component": "inference_component_name",
    "inference-id": "inference_id",
    "prefix-aware-id": "prefix_aware_id",
}
LONG_UPLOAD = 1_000_000


def add_to(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Make `invoke` known."""
    parser = commands.add_parser("invoke", help="call an endpoint", description=__doc__)
    parser.add_argument("endpoint", metavar="ENDPOINT")
    parser.add_argument(
        "-d", "--data", default="", help="the body: text, @file, or - for standard input"
    )
    parser.add_argument("-t", "--content-type", help="what the body is")
    for option, member in list(MEMBERS.items())[1:]:
        parser.add_argument(f"--{option}", dest=member, metavar="TEXT")
    parser.add_argument("--target-model", metavar="TEXT")
    parser.add_argument(
        "--stream",
        choices=MODES,
        help="take the answer part by part, as text, lines, server-sent events, JSON, bytes",
    )
    parser.add_argument(
        "--session",
        metavar="new|ID",
        help="open a session (its id goes to standard error), or use one",
    )
    parser.add_argument("--region")
    parser.add_argument("--endpoint-url", metavar="URL")
    parser.add_argument("--profile")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="for the whole call")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="send nothing; show the request, how it is signed, and the same with curl",
    )
    parser.set_defaults(command=invoke)


def invoke(options: argparse.Namespace) -> int:
    """Make the call and print the answer."""
    operation = _operation(options)
    if options.dry_run:
        print(dry_run(options, operation))
        return 0
    settings = Settings(
        region=options.region, endpoint_url=options.endpoint_url, profile=options.profile
    )
    with Client(**settings) as plain:
        client = plain.with_options(timeout=options.timeout)
        if len(operation.body) >= LONG_UPLOAD and sys.stderr.isatty():
            client = client.with_options(progress=Meter(len(operation.body)))
        if isinstance(operation, InvokeEndpointWithResponseStream):
            _print_stream(client, operation, options.stream)
            return 0
        output = client.call(operation)
        if options.session == "new":
            print(f"session {SessionId.of(output).id}", file=sys.stderr)
        _write(output.body)
    return 0


class Meter:
    """Shows on a terminal how much of an upload is through, and wipes it away when it is."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._shown = -1

    def __call__(self, sent: int, received: int) -> None:
        percent = min(100, sent * 100 // self._size)
        if received:
            sys.stderr.write("\r\x1b[K" if self._shown >= 0 else "")
            self._shown = -1
        elif percent != self._shown:
            self._shown = percent
            sys.stderr.write(f"\rsending {self._size / 1e6:.1f} MB: {percent} %")
        sys.stderr.flush()


def _operation(options: argparse.Namespace) -> InvokeEndpoint | InvokeEndpointWithResponseStream:
    given = {
        member: value
        for member in MEMBERS.values()
        if (value := getattr(options, member)) is not None
    }
    opens = options.session == "new"
    if opens and options.stream is not None:
        raise ConstructionError(
            "session", "opened without --stream", "a streamed invocation cannot open one"
        )
    body = OPENING_BODY if opens and not options.data else _body(options.data)
    session_id = NEW_SESSION if opens else options.session
    if options.stream is None:
        return InvokeEndpoint(
            endpoint_name=options.endpoint,
            body=body,
            session_id=session_id,
            target_model=options.target_model,
            **given,
        )
    if options.target_model is not None:
        raise ConstructionError(
            "target_model", "left out", "a streamed invocation has no such member"
        )
    return InvokeEndpointWithResponseStream(
        endpoint_name=options.endpoint, body=body, session_id=session_id, **given
    )


def _body(data: str) -> bytes:
    if data == "-":
        if sys.stdin is None:
            raise ConstructionError("data", "text or @file", "there is no standard input")
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")
    try:
        with open(data[1:], "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise ConstructionError("data", "text, @file or -", f"{data[1:]}: {error}") from None


def _print_stream(client: Client, operation: InvokeEndpointWithResponseStream, mode: str) -> None:
    """The answer while it is made: every piece is shown when it comes."""
    import json

    with client.stream(operation) as stream:
        if mode == "raw":
            for part in stream.bytes():
                _write(part)
        elif mode == "text":
            for text in stream.text():
                _write(text.encode())
        elif mode == "lines":
            for line in stream.lines():
                _write(f"{line}\n".encode())
        elif mode == "sse":
            for event in stream.sse():
                _write(f"{event.data}\n".encode())
        else:
            for value in stream.json():
                _write(f"{json.dumps(value, ensure_ascii=False)}\n".encode())


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def dry_run(options: argparse.Namespace, operation: Operation[Output]) -> str:
    """The request, what is signed of it, and the same call with curl. The session token appears as a variable."""
    world, io = this_process(options.profile), SocketIO.reading()
    config = make_config(
        run(read_settings(world), io), region=options.region, endpoint_url=options.endpoint_url
    )
    world.region = config.region
    credentials = run(DefaultChain().provide(world), io)
    io.wire.close()
    request = operation.request(config.url)
    signed = sign(request, credentials, config.scope, now=time.time())
    sections = {
        "Request": f"{request.method} {request.url}\n"
        + "\n".join(f"{name}: {value}" for name, value in request.headers),
        "Canonical request": _without(signed.canonical_request, credentials),
        "String to sign": signed.string_to_sign,
        "The same with curl, which signs": curl(request, credentials, config.region, options.data),
        "The same with curl, signed already (for five minutes)": curl(
            request.replace(headers=request.headers + signed.headers),
            credentials,
            None,
            options.data,
        ),
    }
    return "\n\n".join(f"# {title}\n{text}" for title, text in sections.items())


def curl(request: Request, credentials: Credentials, region: str | None, data: str) -> str:
    """A curl command; it signs for `region`, or sends the headers as they are. Secrets are the usual variables."""
    words = ["curl", "--request", request.method, shlex.quote(request.url)]
    if region is not None:
        words += [
            "--aws-sigv4",
            f"aws:amz:{region}:sagemaker",
            "--user",
            '"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"',
        ]
        if credentials.session_token:
            words += ["--header", '"x-amz-security-token: $AWS_SESSION_TOKEN"']
    for name, value in request.headers:
        if value == credentials.session_token:
            words += ["--header", f'"{name}: $AWS_SESSION_TOKEN"']
        else:
            words += ["--header", shlex.quote(f"{name}: {value}")]
    if not any(name.lower() == "content-type" for name, _ in request.headers):
        words += ["--header", "'content-type:'"]  # or curl adds, and signs, one of its own
    words += ["--data-binary", shlex.quote(_curl_data(data, bytes(request.body)))]
    return " ".join(words)


def _curl_data(data: str, body: bytes) -> str:
    if data.startswith("@"):
        return f"@{os.path.abspath(data[1:])}"
    return "@-" if data == "-" else body.decode("utf-8", "surrogateescape")


def _without(text: str, credentials: Credentials) -> str:
    token = credentials.session_token
    return text.replace(token, "$AWS_SESSION_TOKEN") if token else text
