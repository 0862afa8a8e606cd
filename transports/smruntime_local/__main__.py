"""`python -m smruntime_local`: print what a shell must export, then serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

from ._limits import ServerLimits
from ._server import Endpoint, serve


def exports(endpoint: Endpoint) -> str:
    """Lines for `eval`: with them boto3, the AWS CLI and this package's own clients find the endpoint."""
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


def _named_url(text: str) -> tuple[str, str]:
    name, separator, url = text.partition("=")
    if not (name and separator and url):
        raise argparse.ArgumentTypeError("must be NAME=URL")
    return name, url


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m smruntime_local", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, for any free one")
    parser.add_argument("--region", default="us-east-1")
    help_text = "an endpoint more: a container that speaks /ping and /invocations, as http://127.0.0.1:8080 (may be repeated)"
    parser.add_argument(
        "--backend",
        metavar="NAME=URL",
        type=_named_url,
        action="append",
        default=[],
        help=help_text,
    )
    parser.add_argument(
        "--cut",
        default="aligned",
        help="how streams are cut: aligned, bytes, inside or random:SEED",
    )
    for name, default in ServerLimits()._asdict().items():
        option, unit = f"--{name.replace('_', '-')}", "bytes" if name == "max_body" else ""
        parser.add_argument(
            option,
            type=int if name.startswith("max_") else float,
            default=default,
            metavar="N",
            help=f"{default} {unit}".strip() + " by default",
        )
    options = parser.parse_args(arguments)
    limits = {name: getattr(options, name) for name in ServerLimits._fields}
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        backends, port = dict(options.backend), options.port
        serving = serve(
            port=port, region=options.region, backends=backends, cut=options.cut, **limits
        )
    except (OSError, ValueError) as refused:
        parser.error(str(refused))
    with serving as endpoint:
        print(exports(endpoint), end="", flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
