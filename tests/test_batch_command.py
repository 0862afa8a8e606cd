"""`smruntime batch`: options, exit codes, signals and progress."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import smruntime_local
from smruntime_transports import batch
from smruntime_transports.cli._batch_progress import (
    TimeLeft,
    _LineProgress,
    describe_progress,
    format_seconds,
)

from .batch_server import Answer, BatchServer, serving
from .test_batch_resume import environment as server_environment
from .test_cli import environment, run_command, run_on_terminal

IRIS_ROW = "5.1,3.5,1.4,0.2\n"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[smruntime_local.Endpoint]:
    with smruntime_local.serve() as made:
        yield made


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def run_batch(
    endpoint: smruntime_local.Endpoint, folder: Path, *arguments: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return run_command(endpoint, "batch", "iris", *arguments, stdin=stdin)


def test_csv_is_sent_in_groups_and_its_summary_is_printed(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("a,b,c,d\n" + IRIS_ROW * 25)
    options = ("--header", "skip", "--accept", "application/json", "--rows-per-request", "10")
    done = run_batch(
        endpoint, tmp_path, "-i", f"{tmp_path}/in.csv", "-o", f"{tmp_path}/out", *options
    )
    assert done.returncode == 0, done.stderr
    assert b"25 answered, 0 failed; 3 requests, 0 throttled; 0 records may have" in done.stderr
    lines = read_lines(tmp_path / "out")
    assert sorted(str(line["index"]) for line in lines) == sorted(map(str, range(25)))
    assert {line["output"]["label"] for line in lines} == {"setosa"}


def test_records_that_fail_are_lines_and_an_exit_code(
    endpoint: smruntime_local.Endpoint, tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("[5.1,3.5,1.4,0.2]\n{\n[1]\n")
    arguments = ["-i", f"{tmp_path}/in.jsonl", "-o", f"{tmp_path}/out", "--codec", "json"]
    arguments += ["--rows-per-request", "9"]
    done = run_batch(endpoint, tmp_path, *arguments)
    assert done.returncode == 2
    assert b"line 2 is not JSON" in done.stderr
    done = run_batch(endpoint, tmp_path, *arguments, "--resume", "--skip-invalid")
    assert done.returncode == 10
    assert b"0 answered, 2 failed (1 of them invalid); 1 were finished before" in done.stderr
    errors = [line["error"]["type"] for line in read_lines(tmp_path / "out") if "error" in line]
    assert sorted(errors) == ["InvalidRecord", "ModelError"]


def test_standard_input_and_output(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    arguments = ("-i", "-", "-o", "-", "--input-format", "csv", "--accept", "application/json")
    done = run_batch(endpoint, tmp_path, *arguments, "--ordered", stdin=IRIS_ROW.encode() * 3)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["index"] for line in done.stdout.splitlines()] == [0, 1, 2]


def test_asynchronous_inference(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("[5.1,3.5,1.4,0.2]\n" * 10)
    arguments = ("-i", f"{tmp_path}/in.jsonl", "-o", f"{tmp_path}/out", "--codec", "json")
    done = run_batch(endpoint, tmp_path, *arguments, "--async", "--rows-per-request", "5")
    assert done.returncode == 0, done.stderr
    assert len(read_lines(tmp_path / "out")) == 10


WRONG_ARGUMENTS = [
    (["-i", "in.jsonl"], "required: -o/--output"),
    (["-i", "absent.jsonl", "-o", "out"], "cannot read absent.jsonl"),
    (["-i", "in.xml", "-o", "out"], "--input-format jsonl, csv or parquet"),
    (["-i", "in.jsonl", "-o", "in.jsonl"], "the output is the input"),
    (["-i", "in.jsonl", "-o", "out", "--header", "skip"], "--header is for CSV"),
    (["-i", "in.jsonl", "-o", "out", "--template", "{}"], "template"),
    (["-i", "in.jsonl", "-o", "out", "--template", "{}", "--codec", "csv"], "--template cannot"),
    (["-i", "in.jsonl", "-o", "out", "--rate", "0"], "requests a second above 0"),
    (["-i", "in.jsonl", "-o", "out", "--rows-per-request", "0"], "whole number from 1"),
    (["-i", "in.jsonl", "-o", "out", "--input-prefix", "s3://b/"], "without --async"),
    (["-i", "in.jsonl", "-o", "out", "--async", "--target-model", "m"], "with --async"),
    (["-i", "-", "-o", "out", "--input-format", "csv", "--resume"], "--resume needs an input"),
    (["-i", "in.jsonl", "-o", "-", "--resume"], "--resume needs an output"),
    (["-i", "in.jsonl", "-o", "no/such/folder"], "No such file"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG_ARGUMENTS, ids=lambda v: str(v)[:40])
def test_wrong_arguments_are_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    arguments: list[str],
    message: str,
) -> None:
    from smruntime_transports.cli import main

    (tmp_path / "in.jsonl").write_text("1\n")
    monkeypatch.chdir(tmp_path)
    assert main(["batch", "e", "--region", "eu-west-1", *arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "out").exists()


def start_slow_run(server: BatchServer, folder: Path) -> subprocess.Popen[bytes]:
    (folder / "in.jsonl").write_text("".join(f"{index}\n" for index in range(1000)))
    arguments = [sys.executable, "-m", "smruntime_transports", "batch", "e"]
    arguments += ["-i", f"{folder}/in.jsonl", "-o", f"{folder}/out", "--max-in-flight", "4"]
    arguments += ["--region", server.region, "--endpoint-url", server.url, "--resume"]
    return subprocess.Popen(arguments, env=server_environment(server), stderr=subprocess.PIPE)


def wait_for_requests(server: BatchServer, count: int) -> None:
    deadline = time.monotonic() + 20
    while server.requests < count:
        assert time.monotonic() < deadline, "no request was sent"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_what_is_in_flight(tmp_path: Path, number: signal.Signals) -> None:
    with (
        serving(lambda body, _in_flight: Answer(body, seconds=0.05)) as server,
        start_slow_run(server, tmp_path) as process,
    ):
        wait_for_requests(server, 8)
        process.send_signal(number)
        _, printed = process.communicate(timeout=20)
    assert process.returncode == 130, printed
    assert b"finishing the calls in flight; interrupt again to stop at once" in printed
    assert b"stopped (interrupted); --resume continues" in printed
    answered = {line["index"] for line in read_lines(tmp_path / "out")}
    assert answered == set(server.runs), "every call in flight was finished and written"


def test_a_second_sigint_stops_at_once(tmp_path: Path) -> None:
    with (
        serving(lambda body, _in_flight: Answer(body, seconds=30)) as server,
        start_slow_run(server, tmp_path) as process,
    ):
        wait_for_requests(server, 4)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert process.poll() is None
        stopped_at = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, printed = process.communicate(timeout=20)
        assert time.monotonic() - stopped_at < 5
    assert process.returncode == 130, printed
    assert b"Traceback" not in printed
    checkpoint = (tmp_path / "out.checkpoint").read_text()
    assert [line for line in checkpoint.splitlines() if line.startswith("+")] == [
        f"+ {index}-{index}" for index in range(4)
    ]


def test_a_bar_is_shown_on_a_terminal(endpoint: smruntime_local.Endpoint, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("[5.1,3.5,1.4,0.2]\n" * 50)
    line = [sys.executable, "-m", "smruntime_transports", "batch", "iris", "--codec", "json"]
    line += ["-i", f"{tmp_path}/in.jsonl", "-o", f"{tmp_path}/out"]
    code, shown = run_on_terminal(endpoint, line, {})
    assert code == 0, shown
    assert b"a second" in shown and b"%" in shown
    assert b"50 records in" in shown


def test_elsewhere_a_line_is_printed_each_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    (tmp_path / "in").write_text("1\n" * 50)
    reader = batch.read_jsonl(tmp_path / "in")
    lines = _LineProgress(TimeLeft(reader, time.monotonic))
    for _ in range(360):
        now += 0.5
        reader.position += 1 if reader.position < 50 else 0
        seconds = now - 1000.0
        lines.show(batch.Progress(answered=30, requests=3, in_flight=2, limit=9, seconds=seconds))
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 3
    assert printed[0] == (
        "30 records, 0 a second, 0 failed, 2 of at most 9 in flight, 0:01:01 left"
    )


def test_counts_are_described_in_words() -> None:
    progress = batch.Progress(
        answered=90,
        failed=10,
        invalid=2,
        finished_before=5,
        requests=12,
        seconds=2.0,
        possibly_repeated=4,
        stopped="max_failures",
    )
    assert describe_progress(progress) == (
        "100 records in 2.0 s (50 a second): 90 answered, 10 failed (2 of them invalid); 5 were "
        "finished before; 12 requests, 0 throttled; 4 records may have run twice; stopped (too "
        "many failures); --resume continues"
    )
    assert format_seconds(3725.4) == "1:02:05"


def test_help_names_every_option_of_the_library(endpoint: smruntime_local.Endpoint) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smruntime_transports", "batch", "--help"],
        env=environment(endpoint) | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    elsewhere = {"endpoint", "codec", "checkpoint", "records_name", "should_stop", "observe"}
    elsewhere |= {"max_request_size"}
    for name in set(batch.BatchOptions.__annotations__) - elsewhere:
        assert f"--{name.replace('_', '-')}" in done.stdout, name
    assert os.linesep in done.stdout
