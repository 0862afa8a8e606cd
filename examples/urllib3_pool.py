"""Your own urllib3 pool, shared by eight threads: its limits and its TLS stay yours."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import urllib3

import smruntime_local
from smruntime_transports.urllib3 import Client


def main() -> None:
    with smruntime_local.serve() as endpoint, urllib3.PoolManager(maxsize=8, block=True) as pools:
        client = Client(region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials, pools=pools)
        rows = [f"{5 + i / 10:.1f},3.0,{1 + i / 5:.1f},0.{i % 10}".encode() for i in range(24)]
        with ThreadPoolExecutor(8) as threads:
            outputs = list(threads.map(lambda row: client.invoke_endpoint(endpoint_name="iris", body=row, content_type="text/csv"), rows))
        print(len(outputs), "answers, first:", outputs[0].body.decode().strip())


if __name__ == "__main__":
    main()
