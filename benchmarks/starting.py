"""Fresh processes: the import, the time to the first answer, and the memory of a client.

CPU milliseconds of whole processes, the least of several, since other work only adds to them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from measuring import (
    Bench,
    Missing,
    Value,
    child_environment,
    find_python,
    run_server,
    write_certificates,
)
from work import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, SESSION_TOKEN

SCRIPT_TEMPLATE = """
import sys
{imports}
def resident():
    if not sys.platform.startswith("linux"):
        return -1.0
    with open("/proc/self/status") as status:
        return int(status.read().partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
before = resident()
{call}
print(resident() - before)
"""
OUR_SCRIPT = SCRIPT_TEMPLATE.format(
    imports="from smruntime_transports.sockets import Client",
    call="""
client = Client(endpoint_url=sys.argv[1])
members = {"inference_id": "order-1", "custom_attributes": "trace=1"}
client.invoke_endpoint(endpoint_name="churn", body=b"1,2,3", **members).body
""",
)
BOTO3_SCRIPT = SCRIPT_TEMPLATE.format(
    imports="import boto3",
    call="""
client = boto3.client("sagemaker-runtime", endpoint_url=sys.argv[1])
members = {"InferenceId": "order-1", "CustomAttributes": "trace=1"}
client.invoke_endpoint(EndpointName="churn", Body=b"1,2,3", **members)["Body"].read()
""",
)
AWS_SETTINGS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


class ProcessCost(NamedTuple):
    """The CPU time that a process took, and the memory that it printed."""

    milliseconds: float
    megabytes: float = 0.0


def run_process(python: str, script: str, *arguments: str, **settings: str) -> ProcessCost:
    """Run `script` in a fresh interpreter."""
    command = [python, "-P", "-c", script, *arguments]
    variables = child_environment(python, **settings)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        printed = process.stdout.read().split()
        _, status, resource_usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{python} failed to run {script}")
    seconds = resource_usage.ru_utime + resource_usage.ru_stime
    return ProcessCost(seconds * 1e3, *map(float, printed))


def measure_least(
    bench: Bench, commands: Mapping[str, tuple[str, ...]], **settings: str
) -> dict[str, ProcessCost]:
    """Return the least of each value of each command; the commands take turns."""
    turn_costs: dict[str, list[ProcessCost]] = {command_name: [] for command_name in commands}
    for turn_number in range(bench.effort.starts + 1):
        for command_name, (python, *arguments) in commands.items():
            process_cost = run_process(python, *arguments, **settings)
            if turn_number:  # the first may have compiled modules
                turn_costs[command_name].append(process_cost)
    return {
        command_name: ProcessCost(*map(min, zip(*process_costs, strict=True)))
        for command_name, process_costs in turn_costs.items()
    }


def measure_imports(bench: Bench) -> dict[str, Value]:
    """Import, less the start of a bare interpreter."""
    own_python, peer_python = sys.executable, find_python("boto3")
    our_import, peer_import = "import smruntime_core", "import botocore.session"
    commands: dict[str, tuple[str, ...]] = {
        "bare": (own_python, "pass"),
        our_import: (own_python, our_import),
    }
    if isinstance(peer_python, str):
        commands |= {"peer bare": (peer_python, "pass"), peer_import: (peer_python, peer_import)}
    milliseconds_by_command = {
        command_name: process_cost.milliseconds
        for command_name, process_cost in measure_least(bench, commands).items()
    }
    return {
        our_import: milliseconds_by_command[our_import] - milliseconds_by_command["bare"],
        peer_import: peer_python
        if isinstance(peer_python, Missing)
        else milliseconds_by_command[peer_import] - milliseconds_by_command["peer bare"],
    }


LOCAL_SCRIPT = """
import time
import smruntime_local
smruntime_local.serve
begun = time.perf_counter()
endpoint = smruntime_local.serve()
print((time.perf_counter() - begun) * 1e3)
endpoint.close()
"""


def measure_local_endpoint(bench: Bench) -> dict[str, Value]:
    """Start the local endpoint in a fresh process, after its import; wall milliseconds."""
    milliseconds: list[float] = []
    for _ in range(bench.effort.starts):
        printed = subprocess.check_output(
            [sys.executable, "-P", "-c", LOCAL_SCRIPT],
            text=True,
            env=child_environment(sys.executable),
        )
        milliseconds.append(float(printed))
    return {"start of the local endpoint": min(milliseconds), "no peer": Missing("no peer does it")}


def measure_first_answer(bench: Bench) -> dict[str, Value]:
    """Import, make a client, call once and end; keys and region come from the environment."""
    peer_python = find_python("boto3")
    values: dict[str, Value] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle, certificate = write_certificates(Path(folder))
        with run_server(certificate) as ports:
            for scheme, url in (("https", ports.tls_url), ("http", ports.url)):
                commands: dict[str, tuple[str, ...]] = {"ours": (sys.executable, OUR_SCRIPT, url)}
                if isinstance(peer_python, str):
                    commands["peer"] = (peer_python, BOTO3_SCRIPT, url)
                process_costs = measure_least(bench, commands, AWS_CA_BUNDLE=bundle, **AWS_SETTINGS)
                our_cost = process_costs["ours"]
                values[f"process start to first answer, {scheme}"] = our_cost.milliseconds
                values[f"memory of a client, {scheme}"] = our_cost.megabytes
                if isinstance(peer_python, Missing):
                    values[f"boto3, {scheme}"] = values[f"boto3, memory, {scheme}"] = peer_python
                else:
                    values[f"boto3, {scheme}"] = process_costs["peer"].milliseconds
                    values[f"boto3, memory, {scheme}"] = process_costs["peer"].megabytes
    if not sys.platform.startswith("linux"):
        missing_memory = Missing("only Linux reports resident memory")
        values |= {name: missing_memory for name in values if "memory" in name}
    return values
