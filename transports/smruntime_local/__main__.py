"""`python -m smruntime_local`: print what a shell must export, then serve until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from types import FrameType

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


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m smruntime_local", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0, the default, for any free one")
    parser.add_argument("--region", default="us-east-1")
    options = parser.parse_args(arguments)
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with serve(port=options.port, region=options.region) as endpoint:
        print(exports(endpoint), end="", flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
