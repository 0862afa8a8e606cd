"""Accepted now, answered later: the answer, or the failure, will be an object in S3, and `wait` looks for both.

It reads them with the client's own credentials. (The local endpoint, which stands for the service here, keeps them itself.) Where
something else should read, `wait(fetch=…)` takes a function from a location to its bytes, or None while there are none.
"""

from __future__ import annotations

import smruntime_core as sm
import smruntime_local
from smruntime_transports.sockets import Client


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        endpoint.put("s3://measurements/today.csv", b"5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
        good = client.invoke_endpoint_async(
            endpoint_name="iris",
            input_location="s3://measurements/today.csv",
            content_type="text/csv",
        )
        bad = client.invoke_endpoint_async(
            endpoint_name="iris", body=b"five,three", content_type="text/csv"
        )

        print(good.wait(timeout=20).decode().strip())
        try:
            bad.wait(timeout=20)
        except sm.ModelError as failure:
            print(f"the other one failed: {failure.original_message}")


if __name__ == "__main__":
    main()
