"""Accepted now, answered later: the answer, or the failure, will be an object in S3, and `wait` looks for both.

What reads objects is yours. Here the local endpoint keeps them; with boto3 it would be

    def fetch(location: str) -> bytes | None:
        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
"""

from __future__ import annotations

import smruntime_core as sm
import smruntime_local
from smruntime_transports.sockets import Client


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials) as client,
    ):
        endpoint.put("s3://measurements/today.csv", b"5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n")
        good = client.invoke_endpoint_async(endpoint_name="iris", input_location="s3://measurements/today.csv", content_type="text/csv")
        bad = client.invoke_endpoint_async(endpoint_name="iris", body=b"five,three", content_type="text/csv")

        print(good.wait(fetch=endpoint.fetch, timeout=20).decode().strip())
        try:
            bad.wait(fetch=endpoint.fetch, timeout=20)
        except sm.ModelError as failure:
            print(f"the other one failed: {failure.original_message}")


if __name__ == "__main__":
    main()
