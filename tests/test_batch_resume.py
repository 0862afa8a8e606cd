"""Runs that are killed at random moments and continued: nothing is lost, nothing is written twice.

`BATCH_KILLS` and `BATCH_RECORDS` make it longer, as `make test-all` does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from .batch_server import Answer, BatchServer, serving
from .helpers import ROOT

KILLS = int(os.environ.get("BATCH_KILLS", "20"))
RECORDS = int(os.environ.get("BATCH_RECORDS", "20000"))
ROWS, IN_FLIGHT = 20, 8
LONGEST_SLICE = 0.25  # seconds of a run before it is killed
TRANSPORTS = str(Path(ROOT) / "transports")


def command(server: BatchServer, folder: Path, *options: str) -> list[str]:
    return [
        *(sys.executable, "-m", "smruntime_transports", "batch", "e"),
        *("-i", str(folder / "in.jsonl"), "-o", str(folder / "out.jsonl")),
        *("--rows-per-request", str(ROWS), "--max-in-flight", str(IN_FLIGHT)),
        *("--region", server.region, "--endpoint-url", server.url, *options),
    ]


def environment(server: BatchServer) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "PYTHONPATH": os.pathsep.join((ROOT, TRANSPORTS)),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": server.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.credentials.secret_access_key,
    }


def write_records(folder: Path, count: int) -> None:
    (folder / "in.jsonl").write_text("".join(f"[{index}, 0.5]\n" for index in range(count)))


def read_results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out.jsonl").read_bytes().splitlines()]


def tear(folder: Path, random: Random) -> None:
    """Append what a torn write would leave."""
    for name, line in (("out.jsonl", '{"index": 12, "outp'), ("out.jsonl.checkpoint", "+ 1")):
        if (folder / name).exists() and random.random() < 0.3:
            with (folder / name).open("a") as file:
                file.write(line)


def kill_and_resume(server: BatchServer, folder: Path, *options: str) -> str:
    """Kill a run `KILLS` times, then let it end; return its summary."""
    random = Random(26)  # noqa: S311 - a test is repeatable
    arguments = command(server, folder, "--resume", *options)
    variables = environment(server)
    for _ in range(KILLS):
        with subprocess.Popen(arguments, env=variables, stderr=subprocess.PIPE) as process:
            first_requests = server.requests
            deadline = time.monotonic() + 20
            while server.requests == first_requests and process.poll() is None:
                assert time.monotonic() < deadline, "no request was sent"
                time.sleep(0.005)
            time.sleep(random.random() * LONGEST_SLICE)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "the run ended before it was killed"
        tear(folder, random)
    done = subprocess.run(
        arguments, env=variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode in (0, 10), done.stderr
    return done.stderr


def model_seconds() -> float:
    """Return a latency with which no slice is long enough for the whole run."""
    slices = KILLS * LONGEST_SLICE / 2
    return 1.5 * slices * IN_FLIGHT * ROWS / RECORDS


def test_killed_runs_send_no_record_twice_unless_told_to(tmp_path: Path) -> None:
    write_records(tmp_path, RECORDS)
    seconds = model_seconds()
    with serving(lambda body, _in_flight: Answer(body, seconds=seconds)) as server:
        summary = kill_and_resume(server, tmp_path)
    results = read_results(tmp_path)
    assert sorted(result["index"] for result in results) == list(range(RECORDS))
    errors = [result for result in results if "error" in result]
    kinds = Counter((e["error"]["type"], e["error"]["delivery"]) for e in errors)
    assert set(kinds) <= {("Interrupted", "maybe_sent")}
    assert len(errors) <= KILLS * IN_FLIGHT * ROWS
    assert all(
        result["output"] == [result["index"], 0.5] for result in results if "error" not in result
    )
    assert max(server.runs.values()) == 1, "a record has run twice"
    unanswered = {result["index"] for result in errors}
    assert set(range(RECORDS)) - set(server.runs) <= unanswered
    assert "0 records may have run twice" in summary


def test_killed_idempotent_runs_answer_every_record_and_count_what_may_have_run_twice(
    tmp_path: Path,
) -> None:
    write_records(tmp_path, RECORDS)
    seconds = model_seconds()
    with serving(lambda body, _in_flight: Answer(body, seconds=seconds)) as server:
        summary = kill_and_resume(server, tmp_path, "--idempotent")
    results = read_results(tmp_path)
    assert sorted(result["index"] for result in results) == list(range(RECORDS))
    assert all(result.get("output") == [result["index"], 0.5] for result in results)
    repeated = sum(runs > 1 for runs in server.runs.values())
    found = re.search(r"(\d+) records may have run twice", summary)
    assert found is not None
    assert repeated <= int(found[1]) <= KILLS * IN_FLIGHT * ROWS
    assert repeated > 0, "no kill came while a request was in flight"
