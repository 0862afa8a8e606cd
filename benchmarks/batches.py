"""Batches beside a thread pool that calls boto3: a model of 20 ms, 10 records a request.

Both read the same kind of file and write a line for each record. With 32 calls in flight the model
is the limit, with 64 the client is.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from measuring import resident_megabytes

ROWS_PER_REQUEST, IN_FLIGHT, LATENCY = 10, 32, 0.020
RECORDS, FEW_RECORDS, MANY_RECORDS = 50_000, 10_000, 1_000_000
BENCHMARKS = Path(__file__).parent
REGION, KEY_ID, SECRET = "us-east-1", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def ideal_seconds(record_count: int) -> float:
    """Return the seconds that calls alone would take."""
    return -(-record_count // ROWS_PER_REQUEST) * LATENCY / IN_FLIGHT


@contextmanager
def run_batch_server() -> Iterator[str]:
    """Run `batch_server.py` in a process of its own and provide its URL."""
    command = [sys.executable, str(BENCHMARKS / "batch_server.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


class BatchRun(NamedTuple):
    """Wall seconds of a run over a file of `number` records; or megabytes resident at most."""

    run: Callable[[Path, Path], object]
    measures_memory: bool = False

    def measure(self, number: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            records, results = Path(folder, "in.jsonl"), Path(folder, "out.jsonl")
            with records.open("w") as file:
                for index in range(number):
                    file.write(f"[{index}, 5.1, 3.5, 1.4, 0.2]\n")
            started = perf_counter()
            self.run(records, results)
            seconds = perf_counter() - started
            with results.open() as file:
                assert sum(1 for _ in file) == number
        return resident_megabytes("VmHWM") if self.measures_memory else seconds


def on_asyncio(
    url: str, in_flight: str = "32", rows_per_request: int = ROWS_PER_REQUEST
) -> BatchRun:
    """Run `batch.run_async` with a checkpoint."""
    from smruntime_core import Credentials
    from smruntime_transports import AsyncClient, batch

    async def run(records: Path, results: Path) -> None:
        credentials = Credentials(KEY_ID, SECRET)
        async with AsyncClient(region=REGION, endpoint_url=url, credentials=credentials) as client:
            await batch.run_async(
                client,
                batch.read_jsonl(records),
                results,
                endpoint="model",
                rows_per_request=rows_per_request,
                max_in_flight=int(in_flight),
                checkpoint=results.with_suffix(".checkpoint"),
            )

    return BatchRun(lambda records, results: asyncio.run(run(records, results)))


def memory_on_asyncio(url: str) -> BatchRun:
    """Measure the memory of a run."""
    return on_asyncio(url, rows_per_request=200)._replace(measures_memory=True)


def in_threads(url: str, in_flight: str = "32") -> BatchRun:
    """Run `batch.run`."""
    from smruntime_core import Credentials
    from smruntime_transports import Client, batch

    def run(records: Path, results: Path) -> None:
        credentials = Credentials(KEY_ID, SECRET)
        with Client(region=REGION, endpoint_url=url, credentials=credentials) as client:
            batch.run(
                client,
                batch.read_jsonl(records),
                results,
                endpoint="model",
                rows_per_request=ROWS_PER_REQUEST,
                max_in_flight=int(in_flight),
                checkpoint=results.with_suffix(".checkpoint"),
            )

    return BatchRun(run)


def boto3_in_threads(url: str, in_flight: str = "32") -> BatchRun:
    """Call boto3 from a thread pool, as it is usually done."""
    import boto3
    from botocore.config import Config

    os.environ |= {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET}
    config = Config(max_pool_connections=int(in_flight))
    client: Any = boto3.client(
        "sagemaker-runtime", region_name=REGION, endpoint_url=url, config=config
    )

    def call(group: tuple[int, list[str]]) -> list[str]:
        first_index, lines = group
        answer = client.invoke_endpoint(
            EndpointName="model",
            Body="".join(lines).encode(),
            ContentType="application/jsonlines",
            Accept="application/jsonlines",
        )
        outputs = [json.loads(line) for line in answer["Body"].read().splitlines()]
        return [
            json.dumps({"index": first_index + position, "output": output})
            for position, output in enumerate(outputs)
        ]

    def run(records: Path, results: Path) -> None:
        lines = records.read_text().splitlines(keepends=True)
        groups = [
            (first_index, lines[first_index : first_index + ROWS_PER_REQUEST])
            for first_index in range(0, len(lines), ROWS_PER_REQUEST)
        ]
        with ThreadPoolExecutor(int(in_flight)) as pool, results.open("w") as file:
            for result_lines in pool.map(call, groups):
                file.writelines(f"{line}\n" for line in result_lines)

    return BatchRun(run)
