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

from measuring import Bench, Missing, Value, certificates, environment, python_of, serving
from work import ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY, SESSION_TOKEN

SCRIPT = """
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
OURS = SCRIPT.format(
    imports="from smruntime_transports.sockets import Client",
    call="""
client = Client(endpoint_url=sys.argv[1])
members = {"inference_id": "order-1", "custom_attributes": "trace=1"}
client.invoke_endpoint(endpoint_name="churn", body=b"1,2,3", **members).body
""",
)
BOTO3 = SCRIPT.format(
    imports="import boto3",
    call="""
client = boto3.client("sagemaker-runtime", endpoint_url=sys.argv[1])
members = {"InferenceId": "order-1", "CustomAttributes": "trace=1"}
client.invoke_endpoint(EndpointName="churn", Body=b"1,2,3", **members)["Body"].read()
""",
)
SETTINGS = {
    "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
    "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    "AWS_SESSION_TOKEN": SESSION_TOKEN,
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


class Run(NamedTuple):
    """A process as it ended: its CPU milliseconds, and what it printed (megabytes)."""

    milliseconds: float
    megabytes: float = 0.0


def run(python: str, code: str, *arguments: str, **settings: str) -> Run:
    """Run `code` in a fresh interpreter."""
    command = [python, "-P", "-c", code, *arguments]
    variables = environment(python, **settings)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout is not None
        printed = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{python} failed at {code}")
    return Run((usage.ru_utime + usage.ru_stime) * 1e3, *map(float, printed))


def least(bench: Bench, commands: Mapping[str, tuple[str, ...]], **settings: str) -> dict[str, Run]:
    """Return the least of each value of each command; the commands take turns."""
    turns: dict[str, list[Run]] = {name: [] for name in commands}
    for turn in range(bench.effort.starts + 1):
        for name, (python, *arguments) in commands.items():
            ended = run(python, *arguments, **settings)
            if turn:  # the first may have compiled modules
                turns[name].append(ended)
    return {name: Run(*map(min, zip(*runs, strict=True))) for name, runs in turns.items()}


def imports(bench: Bench) -> dict[str, Value]:
    """Import, less the start of a bare interpreter."""
    here, peer = sys.executable, python_of("boto3")
    ours, theirs = "import smruntime_core", "import botocore.session"
    commands: dict[str, tuple[str, ...]] = {"bare": (here, "pass"), ours: (here, ours)}
    if isinstance(peer, str):
        commands |= {"peer bare": (peer, "pass"), theirs: (peer, theirs)}
    took = {name: ended.milliseconds for name, ended in least(bench, commands).items()}
    return {
        ours: took[ours] - took["bare"],
        theirs: peer if isinstance(peer, Missing) else took[theirs] - took["peer bare"],
    }


def first(bench: Bench) -> dict[str, Value]:
    """Import, make a client, call once and end; keys and region come from the environment."""
    peer = python_of("boto3")
    memory, peer_memory = "memory of a client, over its imports", "boto3, memory"
    values: dict[str, Value] = {}
    with tempfile.TemporaryDirectory() as folder:
        bundle, certificate = certificates(Path(folder))
        with serving(certificate) as ports:
            for scheme, url in (("https", ports.tls_url), ("http", ports.url)):
                commands: dict[str, tuple[str, ...]] = {"ours": (sys.executable, OURS, url)}
                if isinstance(peer, str):
                    commands["peer"] = (peer, BOTO3, url)
                runs = least(bench, commands, AWS_CA_BUNDLE=bundle, **SETTINGS)
                values[f"process start to first answer, {scheme}"] = runs["ours"].milliseconds
                values[memory] = runs["ours"].megabytes
                if isinstance(peer, Missing):
                    values[f"boto3, {scheme}"] = values[peer_memory] = peer
                else:
                    values[f"boto3, {scheme}"] = runs["peer"].milliseconds
                    values[peer_memory] = runs["peer"].megabytes
    if not sys.platform.startswith("linux"):
        unknown = Missing("only Linux reports resident memory")
        values |= {memory: unknown, peer_memory: unknown}
    return values
