"""Asynchronous inference: the answer, or the failure, becomes an object in S3.

`result` looks for both with the client's own credentials. The local endpoint, which stands for the
service here, keeps the objects itself. To read them in another way, pass `result(fetch=…)` a
function from a location to its bytes, or to None while there are none.
"""

from __future__ import annotations

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_csv
from smruntime_transports.sockets import Client


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        measurements = b"5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n"
        endpoint.put("s3://measurements/today.csv", measurements)
        accepted_job = client.invoke_endpoint_async(
            "iris",
            input_location="s3://measurements/today.csv",
            content_type="text/csv",
            accept="application/json",
        )
        failing_job = client.invoke_endpoint_async("iris", **as_csv([["five", "three"]]))

        print(accepted_job.result(timeout=20).json())
        try:
            failing_job.result(timeout=20)
        except sm.ModelError as failure:
            print(f"the other one failed: {failure.original_message}")


if __name__ == "__main__":
    main()
