"""Run an endpoint on this machine that verifies signatures as AWS does, for work without AWS.

    smruntime serve --port 8080             print shell exports and serve until Ctrl-C
    smruntime serve -- python program.py    run a command with the variables set, then stop
    smruntime serve --record calls.jsonl    pass calls on to AWS and write them down
    smruntime serve --replay calls.jsonl    answer as written down

The endpoints are iris, ngram, chat, echo and flaky, and those of --config and --backend.
"""

from __future__ import annotations

import argparse
import inspect
import os
import shlex
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, cast

from smruntime_core import Credentials

from ._exit import CommandError
from ._guard import require_output, write_output
from ._parser import CommandParser, parse_count
from ._terminal import is_terminal, print_message

if TYPE_CHECKING:
    from smruntime_local import Endpoint

HIGHEST_PORT: Final = 65_535
CANNOT_RUN_CODE: Final = 126  # as shells report it
NOT_FOUND_CODE: Final = 127
LIMIT_UNITS: Final[Mapping[str, str]] = {
    "max_connections": "",
    "max_body": " bytes",
    "head_seconds": " seconds",
    "body_seconds": " seconds",
    "idle_seconds": " seconds",
    "send_seconds": " seconds",
}
# They would make a command ignore the credentials or the URL that it is given.
REMOVED_VARIABLES: Final = (
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SECURITY_TOKEN",
    "AWS_SESSION_TOKEN",
)


def run(arguments: list[str], program_name: str) -> int:
    """Serve until a signal arrives, or until the command after `--` ends; return its exit code."""
    serve = _load_serve()
    separator = arguments.index("--") if "--" in arguments else len(arguments)
    command = arguments[separator + 1 :]
    options = _make_parser(program_name, serve).parse_args(arguments[:separator])
    if separator < len(arguments) and not command:
        raise CommandError("there is no command after --")
    if not command:
        require_output()
    with _start(serve, options) as endpoint:
        return run_with(endpoint, command) if command else _serve_until_signal(endpoint)


def _load_serve() -> Callable[..., Endpoint]:
    """Import the local endpoint, which other commands do not need."""
    try:
        return cast("Callable[..., Endpoint]", import_module("smruntime_local").serve)
    except ImportError as error:
        raise CommandError(str(error)) from None


def _make_parser(program_name: str, serve: Callable[..., Endpoint]) -> CommandParser:
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(serve).parameters.items()
    }
    parser = CommandParser(
        prog=program_name,
        usage=f"{program_name} [--port N] [OPTION …] [-- COMMAND …]",
        description=__doc__ or "",
    )
    add = parser.add_argument
    parse_port = partial(parse_count, lowest=0, highest=HIGHEST_PORT)
    add("--port", metavar="N", type=parse_port, default=0, help="default 0: any free port")
    add("--region", metavar="NAME", help="default us-east-1; with --record, as a client finds it")
    add("--access-key-id", metavar="ID", help="fixed credentials; by default they are random")
    add("--secret-access-key", metavar="KEY")
    add("--session-token", metavar="TOKEN")
    add(
        "--config",
        metavar="FILE",
        help="endpoints from a TOML file: variants, several models, components (repeatable)",
        action="append",
        default=[],
    )
    add(
        "--backend",
        metavar="NAME=URL",
        type=_parse_backend,
        action="append",
        default=[],
        help="another endpoint: a container with /ping and /invocations, "
        "as http://127.0.0.1:8080 (repeatable)",
    )
    _add_recording_options(parser)
    add(
        "--cut",
        metavar="HOW",
        default=defaults["cut"],
        help="how streams are cut: aligned, bytes, inside or random:SEED",
    )
    for name, unit in LIMIT_UNITS.items():
        option, limit_type = f"--{name.replace('_', '-')}", int if "max" in name else float
        help_text = f"default {defaults[name]}{unit}"
        add(option, type=limit_type, default=defaults[name], metavar="N", help=help_text)
    return parser


def _add_recording_options(parser: CommandParser) -> None:
    add = parser.add_argument
    add("--record", metavar="FILE", help="pass every call on, and write it to this new file")
    add("--upstream", metavar="URL", help="where --record passes calls on; default: AWS")
    add(
        "--redact",
        metavar="NAME",
        action="append",
        default=[],
        help="what --record leaves out: request-bodies, response-bodies, or a member such as "
        "custom_attributes (repeatable)",
    )
    add("--replay", metavar="FILE", help="answer as recorded in this file")
    add("--replay-delays", action="store_true", help="with the delays that were recorded")


def _parse_backend(text: str) -> tuple[str, str]:
    endpoint_name, separator, container_url = text.partition("=")
    if not (endpoint_name and separator and container_url):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=URL")
    return endpoint_name, container_url


def _start(serve: Callable[..., Endpoint], options: argparse.Namespace) -> Endpoint:
    """Start the endpoint; raise `CommandError` if the port or another option cannot be used."""
    arguments: dict[str, Any] = {name: getattr(options, name) for name in LIMIT_UNITS}
    _check_recording(options)
    if options.region is not None:
        arguments["region"] = options.region
    file_names: dict[str, str] = {}
    try:
        with warnings.catch_warnings(record=True) as caught_warnings:
            warnings.simplefilter("always", RuntimeWarning)
            endpoint = serve(
                port=options.port,
                credentials=_read_credentials(options),
                endpoints=_read_configs(options.config, file_names),
                backends=dict(options.backend),
                cut=options.cut,
                record=_make_recording(options),
                replay=options.replay,
                replay_delays=options.replay_delays,
                **arguments,
            )
    except OSError as error:
        # only a recording is opened by name
        place = error.filename or f"cannot listen on port {options.port} of 127.0.0.1"
        raise CommandError(f"{place}: {os.strerror(error.errno or 0)}") from None
    except ValueError as error:
        file_name = file_names.get(getattr(error, "endpoint_name", ""))
        raise CommandError(f"{file_name}: {error}" if file_name else str(error)) from None
    for warning in caught_warnings:
        print_message(f"warning: {warning.message}")
    return endpoint


def _check_recording(options: argparse.Namespace) -> None:
    """Raise `CommandError` for an option that needs another one."""
    if options.record is None and (options.upstream or options.redact):
        raise CommandError(f"{'--upstream' if options.upstream else '--redact'} needs --record")
    if options.replay is None and options.replay_delays:
        raise CommandError("--replay-delays needs --replay")


def _make_recording(options: argparse.Namespace) -> object:
    """Return the `Recording` of --record; None without."""
    if options.record is None:
        return None
    return import_module("smruntime_local").Recording(
        path=options.record, upstream=options.upstream, region=options.region, redact=options.redact
    )


def _read_configs(file_names: list[str], names_by_endpoint: dict[str, str]) -> dict[str, Any]:
    """Return the endpoints of TOML files, and enter the file of each into `names_by_endpoint`.

    Raises `CommandError` for a file that is not readable.
    """
    endpoints: dict[str, Any] = {}
    if file_names:
        sys.path.insert(0, os.getcwd())  # for module:function, as `python -m` has it
    for file_name in file_names:
        try:
            found = import_module("smruntime_local").read_config(file_name)
        except OSError as error:
            raise CommandError(f"cannot read {file_name}: {error.strerror}") from None
        endpoints |= found
        names_by_endpoint |= dict.fromkeys(found, file_name)
    return endpoints


def _read_credentials(options: argparse.Namespace) -> Credentials | None:
    """Return the fixed credentials; None for random ones."""
    access_key_id, secret_access_key = options.access_key_id, options.secret_access_key
    if (access_key_id is None) != (secret_access_key is None):
        raise CommandError("give both --access-key-id and --secret-access-key, or neither")
    if access_key_id is None:
        if options.session_token is not None:
            raise CommandError("--session-token needs --access-key-id and --secret-access-key")
        return None
    return Credentials(access_key_id, secret_access_key, options.session_token)


def _serve_until_signal(endpoint: Endpoint) -> int:
    """Print lines for `eval` and serve until SIGINT or SIGTERM, which are the regular end."""
    stop_event = threading.Event()

    def stop(_signal_number: int, _frame: FrameType | None) -> None:
        stop_event.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, stop)
    exports = [
        f"export {name}={shlex.quote(value) if value else ''}\n"
        for name, value in endpoint.environment.items()
    ]
    write_output("".join(exports).encode("utf-8", "surrogateescape"))
    if is_terminal():
        remedy = "run these lines in another shell, or use `smruntime serve -- COMMAND`"
        print_message(f"serving until Ctrl-C; {remedy}")
    stop_event.wait()
    return 0


def run_with(endpoint: Endpoint, command: list[str]) -> int:
    """Run a command with the variables of an endpoint; return its exit code, as a shell does.

    Ctrl-C reaches the command by itself; SIGTERM is passed on to it.
    """
    given = {name: value for name, value in endpoint.environment.items() if value}
    kept = {name: value for name, value in os.environ.items() if name not in REMOVED_VARIABLES}
    process: subprocess.Popen[bytes] | None = None

    def pass_on(signal_number: int, _frame: FrameType | None) -> None:
        if signal_number == signal.SIGTERM and process is not None:
            process.terminate()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, pass_on)
    try:
        process = subprocess.Popen(command, env={**kept, **given})  # noqa: S603 - the user's
    except FileNotFoundError:
        raise CommandError(f"cannot run {command[0]}: not found", NOT_FOUND_CODE) from None
    except OSError as error:
        message = f"cannot run {command[0]}: {error.strerror}"
        raise CommandError(message, CANNOT_RUN_CODE) from None
    exit_status = process.wait()
    return exit_status if exit_status >= 0 else 128 - exit_status
