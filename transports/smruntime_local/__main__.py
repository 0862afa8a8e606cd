"""`python -m smruntime_local`: print shell exports, then serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from .server._endpoint import Endpoint, serve
from .server._limits import ServerLimits

DESCRIPTION = "Print what a shell must export, then serve until Ctrl-C or SIGTERM."


def format_exports(endpoint: Endpoint) -> str:
    """Return lines for `eval`, with which boto3, the AWS CLI and our clients find the endpoint."""
    credentials = endpoint.credentials
    variables = {
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token or "",
        "AWS_REGION": endpoint.region,
        "AWS_DEFAULT_REGION": endpoint.region,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
    }
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def _parse_backend(text: str) -> tuple[str, str]:
    endpoint_name, separator, container_url = text.partition("=")
    if not (endpoint_name and separator and container_url):
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=URL")
    return endpoint_name, container_url


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m smruntime_local", description=DESCRIPTION)
    parser.add_argument("--port", type=int, default=0, help="default 0: any free port")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument(
        "--backend",
        metavar="NAME=URL",
        type=_parse_backend,
        action="append",
        default=[],
        help="another endpoint: a container with /ping and /invocations, "
        "as http://127.0.0.1:8080 (repeatable)",
    )
    parser.add_argument(
        "--cut",
        default="aligned",
        help="how streams are cut: aligned, bytes, inside or random:SEED",
    )
    for name, default_value in ServerLimits()._asdict().items():
        is_count = name.startswith("max_")
        unit = {"max_body": " bytes", "max_connections": ""}.get(name, " seconds")
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int if is_count else float,
            default=default_value,
            metavar="N",
            help=f"default {default_value}{unit}",
        )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Serve until a signal arrives, and return the exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    limits = {name: getattr(options, name) for name in ServerLimits._fields}
    stop_event = threading.Event()

    def handle_signal(_signal_number: int, _frame: FrameType | None) -> None:
        stop_event.set()

    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, handle_signal)
    try:
        running_endpoint = serve(
            port=options.port,
            region=options.region,
            backends=dict(options.backend),
            cut=options.cut,
            **limits,
        )
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with running_endpoint as endpoint:
        print(format_exports(endpoint), end="", flush=True)
        stop_event.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
