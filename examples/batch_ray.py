"""A batch on Ray Data: `map_batches` with a class, whose actors keep their connections.

    pip install 'smruntime-core' 'ray[data]'

Each actor finds credentials as any client does: in its environment, its role or a profile. Ray
Data hands an actor the next rows when it has returned the last ones, which is the back-pressure.
The number in flight is per actor: all actors together share the endpoint's quota.
"""

from __future__ import annotations

import os
from typing import Any

import numpy
import ray

import smruntime_local
from smruntime_transports import Client, batch


class Scorer:
    """Sends the rows of a block through an endpoint."""

    def __init__(self, endpoint: str) -> None:
        self.client = Client()
        self.endpoint = endpoint

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        results: list[batch.Result] = []
        rows = block["data"].tolist()
        codec = batch.JSONCodec()
        batch.run(
            self.client,
            rows,
            results.append,
            endpoint=self.endpoint,
            codec=codec,
            rows_per_request=50,
            max_in_flight=16,
            ordered=True,
        )
        lines = [result.as_line().decode() for result in results]
        return {"data": block["data"], "result": numpy.array(lines, dtype=object)}


def main() -> None:
    rows = numpy.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]] * 2000)
    with smruntime_local.serve() as endpoint:
        variables = {name: value for name, value in endpoint.environment.items() if value}
        os.environ.update(variables)
        ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": variables})
        scored = ray.data.from_numpy(rows).map_batches(
            Scorer,
            fn_constructor_args=("iris",),
            batch_size=1000,
            compute=ray.data.ActorPoolStrategy(size=2),
        )
        lines = [row["result"] for row in scored.iter_rows()]
        ray.shutdown()
    print(len(lines), "results,", sum('"virginica"' in line for line in lines), "virginica")


if __name__ == "__main__":
    main()
