"""Measure how the throughput of batches grows with calls in flight and with workers of an engine.

    python benchmarks/scale.py asyncio|dask|ray|spark

The model takes 20 ms; a request has 10 records. An engine has 1, 2 and 4 workers with 8 calls in
flight each; the time to start it is not counted. The figures are those of docs/scale.md.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from batches import KEY_ID, LATENCY, REGION, ROWS_PER_REQUEST, SECRET, run_batch_server

PARTITION = 2000  # records
PARTITIONS_PER_WORKER = 6
IN_FLIGHT = 8


def score_partition(url: str) -> int:
    """Send one partition, as a worker does, and return its number of answers."""
    from smruntime_core import Credentials
    from smruntime_transports import Client, batch

    results: list[batch.Result] = []
    credentials = Credentials(KEY_ID, SECRET)
    with Client(region=REGION, endpoint_url=url, credentials=credentials) as client:
        progress = batch.run(
            client,
            ([index, 5.1, 3.5, 1.4, 0.2] for index in range(PARTITION)),
            results.append,
            endpoint="model",
            rows_per_request=ROWS_PER_REQUEST,
            max_in_flight=IN_FLIGHT,
        )
    return progress.answered


def count_result(_result: object) -> None:
    """Take a result; the run itself counts them."""


def measure_asyncio(url: str) -> None:
    """Print the records a second of one process."""
    from smruntime_core import Credentials
    from smruntime_transports import AsyncClient, batch

    async def run(in_flight: int) -> float:
        credentials = Credentials(KEY_ID, SECRET)
        async with AsyncClient(
            region=REGION, endpoint_url=url, credentials=credentials, max_connections=in_flight
        ) as client:
            progress = await batch.run_async(
                client,
                ([index, 5.1, 3.5, 1.4, 0.2] for index in range(3000 * in_flight // 4)),
                count_result,
                endpoint="model",
                rows_per_request=ROWS_PER_REQUEST,
                max_in_flight=in_flight,
            )
        return progress.records / progress.seconds

    for in_flight in (4, 8, 16, 32):
        report(f"asyncio, {in_flight} in flight", asyncio.run(run(in_flight)), in_flight)


def report(name: str, rate: float, in_flight: int) -> None:
    """Print one line, with the share of what calls alone would allow."""
    ideal = in_flight * ROWS_PER_REQUEST / LATENCY
    print(f"| {name} | {rate:.0f} | {100 * rate / ideal:.0f} % |", flush=True)


def measure(name: str, workers: int, run: Callable[[int], Iterable[int]]) -> None:
    """Print the records a second of an engine: `run` scores a number of partitions."""
    sum(run(workers))  # the first tasks import
    started = time.perf_counter()
    records = sum(run(workers * PARTITIONS_PER_WORKER))
    rate = records / (time.perf_counter() - started)
    report(f"{name}, {workers} workers", rate, workers * IN_FLIGHT)


def measure_dask(url: str) -> None:
    """Print the records a second of Dask's workers."""
    from distributed import Client as DaskClient
    from distributed import LocalCluster

    for workers in (1, 2, 4):
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            DaskClient(cluster) as engine,
        ):

            def run(count: int, engine: Any = engine) -> list[int]:
                return list(engine.gather(engine.map(score_partition, [url] * count, pure=False)))

            measure("Dask", workers, run)


def measure_ray(url: str) -> None:
    """Print the records a second of Ray's tasks."""
    import ray

    for workers in (1, 2, 4):
        ray.init(num_cpus=workers, include_dashboard=False, log_to_driver=False)
        task: Any = ray.remote(score_partition)

        def run(count: int, task: Any = task) -> list[int]:
            return list(ray.get([task.remote(url) for _ in range(count)]))

        measure("Ray", workers, run)
        ray.shutdown()


def measure_spark(url: str) -> None:
    """Print the records a second of Spark's tasks."""
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for workers in (1, 2, 4):
        builder = SparkSession.builder.master(f"local[{workers}]")
        session = builder.config("spark.ui.enabled", "false").getOrCreate()
        context = session.sparkContext
        context.setLogLevel("ERROR")

        def run(count: int, context: Any = context) -> list[int]:
            return list(context.parallelize([url] * count, count).map(score_partition).collect())

        measure("Spark", workers, run)
        session.stop()


MEASUREMENTS = {
    "asyncio": measure_asyncio,
    "dask": measure_dask,
    "ray": measure_ray,
    "spark": measure_spark,
}

if __name__ == "__main__":
    with run_batch_server() as server_url:
        MEASUREMENTS[sys.argv[1]](server_url)
