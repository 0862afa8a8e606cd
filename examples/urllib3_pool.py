"""Your own urllib3 settings (limits, TLS, proxy), for one client that eight threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import urllib3

import smruntime_local
from smruntime_transports.urllib3 import Client


def main() -> None:
    pools = urllib3.PoolManager(maxsize=8, block=True)
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region,
            endpoint_url=endpoint.url,
            credentials=endpoint.credentials,
            pools=pools,
        ) as client,
    ):

        def ask(row: bytes) -> bytes:
            return client.invoke_endpoint(
                endpoint_name="iris", body=row, content_type="text/csv"
            ).body

        rows = [f"{5 + i / 10:.1f},3.0,{1 + i / 5:.1f},0.{i % 10}".encode() for i in range(24)]
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ask, rows))
        print(len(answers), "answers, first:", answers[0].decode().strip())


if __name__ == "__main__":
    main()
