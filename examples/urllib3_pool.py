"""Use your own urllib3 settings (limits, TLS, proxy) in one client that eight threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import urllib3

import smruntime_local
from smruntime_transports.urllib3 import Client


def main() -> None:
    manager = urllib3.PoolManager(maxsize=8, block=True)
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region,
            endpoint_url=endpoint.url,
            credentials=endpoint.credentials,
            pools=manager,
        ) as client,
    ):

        def classify(row: bytes) -> bytes:
            return client.invoke_endpoint(
                endpoint_name="iris", body=row, content_type="text/csv"
            ).body

        rows = [
            f"{5 + number / 10:.1f},3.0,{1 + number / 5:.1f},0.{number % 10}".encode()
            for number in range(24)
        ]
        with ThreadPoolExecutor(8) as executor:
            answers = list(executor.map(classify, rows))
        print(len(answers), "answers, first:", answers[0].decode().strip())


if __name__ == "__main__":
    main()
