"""A batch on Dask: `map_partitions` sends the rows of each partition from the worker that has it.

    pip install 'smruntime-core' 'dask[dataframe,distributed]'

Each worker finds credentials as any client does: in its environment, its role or a profile. A
partition is sent while its rows are in memory, so Dask's own scheduling is the back-pressure. The
number in flight is per worker: all workers together share the endpoint's quota.
"""

from __future__ import annotations

import os

import dask.dataframe
import pandas
from distributed import Client as DaskClient
from distributed import LocalCluster

import smruntime_local
from smruntime_transports import Client, batch


def score(frame: pandas.DataFrame, endpoint: str) -> pandas.DataFrame:
    """Return a partition with a column of result lines."""
    results: list[batch.Result] = []
    with Client() as client:
        rows = frame.itertuples(index=False, name=None)
        codec = batch.CSVCodec(accept="application/json")
        batch.run(
            client,
            rows,
            results.append,
            endpoint=endpoint,
            codec=codec,
            rows_per_request=50,
            max_in_flight=16,
            ordered=True,
        )
    lines = [result.as_line().decode() for result in results]
    return frame.assign(result=lines)


def main() -> None:
    rows = pandas.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]] * 2000)
    with smruntime_local.serve() as endpoint:
        os.environ.update({name: value for name, value in endpoint.environment.items() if value})
        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            DaskClient(cluster),
        ):
            frame = dask.dataframe.from_pandas(rows, npartitions=8)
            columns = rows.assign(result="")
            scored = frame.map_partitions(score, "iris", meta=columns).compute()
    lines = list(scored["result"])
    print(len(lines), "results,", sum('"virginica"' in line for line in lines), "virginica")


if __name__ == "__main__":
    main()
