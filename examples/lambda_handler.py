"""An AWS Lambda handler, and what its cold start costs.

    python examples/lambda_handler.py

A new Lambda environment imports the module, makes the client and then makes the first call; the
caller waits for all of it. `main` measures that: it starts new processes that import this module
and call `handler` once, against an endpoint on loopback, and prints the fastest of several, beside
a process that does nothing, and one that makes the call with boto3 if that is installed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from typing import Protocol

from smruntime_core.codecs import as_json
from smruntime_transports.sockets import Client


class LambdaContext(Protocol):
    def get_remaining_time_in_millis(self) -> int: ...


client = Client()  # region and credentials are in Lambda's environment; calls share connections


def handler(event: dict[str, object], context: LambdaContext) -> object:
    """Classify the rows of `event` while there is time left, and half a second to report."""
    seconds = context.get_remaining_time_in_millis() / 1000 - 0.5
    output = client.with_options(timeout=seconds).invoke_endpoint("iris", **as_json(event))
    return output.json()


# The measurement.

FIRST_CALLS = {
    "a process that does nothing": "pass",
    "this handler": """
import types, lambda_handler
context = types.SimpleNamespace(get_remaining_time_in_millis=lambda: 3000)
print(lambda_handler.handler({"instances": [[5.1, 3.5, 1.4, 0.2]]}, context))
""",
    "the same with boto3": """
import json, boto3
client = boto3.client("sagemaker-runtime")
body = json.dumps({"instances": [[5.1, 3.5, 1.4, 0.2]]})
answer = client.invoke_endpoint(EndpointName="iris", Body=body, ContentType="application/json")
print(json.loads(answer["Body"].read()))
""",
}
PROCESSES = 5


def measure(program: str, environment: dict[str, str]) -> tuple[float, str]:
    """Return the seconds of the fastest of several processes, and what it printed."""
    results: list[tuple[float, str]] = []
    for _ in range(PROCESSES):
        started = time.perf_counter()
        completed = subprocess.run(  # noqa: S603 - our own interpreter, our own programs
            [sys.executable, "-c", program],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        results.append((time.perf_counter() - started, completed.stdout.strip()))
    return min(results)


def main() -> None:
    import smruntime_local

    with smruntime_local.serve() as endpoint:
        credentials = endpoint.credentials
        import_paths = [os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token or "",
            "AWS_REGION": endpoint.region,
            "AWS_DEFAULT_REGION": endpoint.region,  # for boto3, which does not read AWS_REGION
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": endpoint.url,
            "PYTHONPATH": os.pathsep.join(import_paths),
        }
        for name, program in FIRST_CALLS.items():
            if "boto3" in program and importlib.util.find_spec("boto3") is None:
                print("boto3 is not installed")
                continue
            seconds, printed = measure(program, environment)
            print(f"{name:<28}{seconds * 1000:5.0f} ms   {printed[:45]}")
    assert "setosa" in json.dumps(printed)


if __name__ == "__main__":
    main()
