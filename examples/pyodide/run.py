"""Run the core in Pyodide, CPython for browsers, inside of Node.js.

    npm install --prefix examples/pyodide        # 14 MB
    python examples/pyodide/run.py

This program starts the endpoint on loopback and Node with `run.mjs`, which runs `program.py`: the
typed client over `fetch`, the HTTP client that a browser has.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import smruntime_core
import smruntime_local
import smruntime_transports


def main() -> None:
    node = shutil.which("node")
    assert node is not None, "Node.js is not installed"
    with smruntime_local.serve() as endpoint:
        credentials = endpoint.credentials
        settings = {
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_REGION": endpoint.region,
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
            "SMRUNTIME_CORE": str(Path(smruntime_core.__file__).parent),
            "SMRUNTIME_TRANSPORTS": str(Path(smruntime_transports.__file__).parent),
        }
        program = Path(__file__).with_name("run.mjs")
        subprocess.run([node, str(program)], env=os.environ | settings, check=True)  # noqa: S603


if __name__ == "__main__":
    main()
