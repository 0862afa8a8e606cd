"""Fresh processes: imports, the way to the first answer, memory, and what it costs to find credentials.

CPU time of the whole process, or of a part that it measures itself; the least of some, since nothing makes a process faster than it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import memory
import ours
from calls import certificates
from measuring import Bench, Missing, Subject, Value, environment, python_of, serving
from work import KEYS, REGION

from smruntime_core.effects import GetCredentials

FIRST = """
import sys, time
{imports}
def resident():
    try:
        with open("/proc/self/status") as status:
            return int(status.read().partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
    except OSError:
        return -1e9
before, begun = resident(), time.process_time()
{call}
print((time.process_time() - begun) * 1e3, resident() - before)
"""
OURS = FIRST.format(
    imports="import smruntime_core\nfrom smruntime_transports.sockets import Client",
    call='client = Client(endpoint_url=sys.argv[1])\nclient.invoke_endpoint(endpoint_name="churn", body=b"1,2,3").body',
)
GIVEN = OURS.replace("sys.argv[1]", "sys.argv[1], credentials=smruntime_core.Credentials(*sys.argv[2:])")
BOTO3 = FIRST.format(
    imports="import boto3",
    call='client = boto3.client("sagemaker-runtime", endpoint_url=sys.argv[1])\n'
    'client.invoke_endpoint(EndpointName="churn", Body=b"1,2,3")["Body"].read()',
)
KEYS_OUTSIDE = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), KEYS, strict=True))


class Start(NamedTuple):
    """A process as it ended: CPU milliseconds in all, and if it is a `FIRST`, those after its imports, and by how many MB it grew there."""

    total: float
    after: float = 0.0
    growth: float = 0.0


def start(python: str, code: str, *arguments: str, **settings: str) -> Start:
    """Run `code` to its end."""
    command = [python, "-P", "-c", code, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(python, **settings)) as process:
        assert process.stdout is not None
        said = process.stdout.read().split()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{python} failed at {code}")
    return Start((usage.ru_utime + usage.ru_stime) * 1e3, *map(float, said))


def least(bench: Bench, commands: Mapping[str, tuple[str, ...]], **settings: str) -> dict[str, Start]:
    """The least of each figure, all of them taking turns; the first turn, which may compile, does not count."""
    turns: dict[str, list[Start]] = {name: [] for name in commands}
    for turn in range(bench.effort.starts + 1):
        for name, command in commands.items():
            made = start(command[0], *command[1:], **settings)
            if turn:
                turns[name].append(made)
    return {name: Start(*map(min, zip(*starts, strict=True))) for name, starts in turns.items()}


def imports(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """Against `import botocore.session`, each less a bare interpreter."""
    here, peer = sys.executable, python_of("boto3")
    commands: dict[str, tuple[str, ...]] = {"bare": (here, "pass"), "ours": (here, "import smruntime_core")}
    if isinstance(peer, str):
        commands |= {"their bare": (peer, "pass"), "theirs": (peer, "import botocore.session")}
    took = {name: made.total for name, made in least(bench, commands).items()}
    yield took["ours"] - took["bare"], peer if isinstance(peer, Missing) else took["theirs"] - took["their bare"]


def first(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """A script that imports, makes a client, calls once and ends; keys and region from the environment."""
    peer = python_of("boto3")
    with tempfile.TemporaryDirectory() as folder:
        bundle, certificate = certificates(Path(folder))
        with serving(certificate) as ports:
            took: list[dict[str, Start]] = []
            for url in (ports.url, f"https://127.0.0.1:{ports.tls}"):
                commands = {"ours": (sys.executable, OURS, url)}
                if isinstance(peer, str):
                    commands["boto3"] = (peer, BOTO3, url)
                took.append(least(bench, commands, AWS_REGION=REGION, AWS_DEFAULT_REGION=REGION, AWS_CA_BUNDLE=bundle, **KEYS_OUTSIDE))
    for each in took:
        yield each["ours"].total, peer if isinstance(peer, Missing) else each["boto3"].total
    plain = took[0]
    mine = plain["ours"].growth
    unknown = Missing("only Linux says how much memory a process has")
    yield mine if memory.STATUS.exists() else unknown, peer if isinstance(peer, Missing) else plain["boto3"].growth


def credentials(bench: Bench) -> Iterator[tuple[Value, Value]]:
    """The first call of a process with keys from the environment, less one with keys that are given; and any later question for them."""
    none = Missing("")
    with serving() as ports:
        commands = {"found": (sys.executable, OURS, ports.url), "given": (sys.executable, GIVEN, ports.url, *KEYS)}
        took = least(bench, commands, AWS_REGION=REGION, **KEYS_OUTSIDE)
        yield took["found"].after - took["given"].after, none

        os.environ |= KEYS_OUTSIDE
        try:
            client = ours.client(ports.url, credentials=None)
            client.invoke_endpoint(**ours.MEMBERS)
        finally:
            for name in KEYS_OUTSIDE:
                del os.environ[name]
    io, asked = client._io, GetCredentials()
    yield bench.compare({"hit": Subject(lambda: io.credentials(asked))})["hit"], none
