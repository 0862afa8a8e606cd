"""A batch on Spark: `mapInPandas` sends the rows of each partition from the task that has it.

    pip install 'smruntime-core' 'pyspark[pandas_on_spark]'

Each task finds credentials as any client does: in its environment, its role or a profile. Spark
hands a task the next frame when it asks for it, which is the back-pressure. The number in flight
is per task: all tasks together share the endpoint's quota. Spark may run a task twice; what an
endpoint does must bear that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pandas
from pyspark.sql import SparkSession

import smruntime_local
from smruntime_transports import Client, batch


def score(frames: Iterator[pandas.DataFrame]) -> Iterator[pandas.DataFrame]:
    """Return each frame with a column of result lines."""
    with Client() as client:
        for frame in frames:
            results: list[batch.Result] = []
            rows = frame.itertuples(index=False, name=None)
            codec = batch.CSVCodec(accept="application/json")
            batch.run(
                client,
                rows,
                results.append,
                endpoint="iris",
                codec=codec,
                rows_per_request=50,
                max_in_flight=16,
                ordered=True,
            )
            yield frame.assign(result=[result.as_line().decode() for result in results])


def main() -> None:
    rows = pandas.DataFrame([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]] * 2000, columns=[*"abcd"])
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    with smruntime_local.serve() as endpoint:
        os.environ.update({name: value for name, value in endpoint.environment.items() if value})
        spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        session = spark.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        columns = "a double, b double, c double, d double, result string"
        frame = session.createDataFrame(rows).repartition(4)
        lines = [row["result"] for row in frame.mapInPandas(score, columns).collect()]
        session.stop()
    print(len(lines), "results,", sum('"virginica"' in line for line in lines), "virginica")


if __name__ == "__main__":
    main()
