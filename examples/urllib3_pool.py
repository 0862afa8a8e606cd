"""Use your own urllib3 settings (limits, TLS, proxy) in one client that eight threads share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import urllib3

import smruntime_local
from smruntime_core.codecs import as_csv
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

        def classify(row: list[float]) -> str:
            request = as_csv([row], accept="application/json")
            return client.invoke_endpoint("iris", **request).text()

        rows = [[5 + n / 10, 3.0, 1 + n / 5, n % 10 / 10] for n in range(24)]
        with ThreadPoolExecutor(8) as executor:
            answers = list(executor.map(classify, rows))
        print(len(answers), "answers, first:", answers[0])


if __name__ == "__main__":
    main()
