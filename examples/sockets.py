"""The smallest complete program: one call over sockets, with the standard library only."""

from __future__ import annotations

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
        flower = as_csv([[5.1, 3.5, 1.4, 0.2]], accept="application/json")
        output = client.invoke_endpoint("iris", **flower)
        print(output.json(), "from", output.invoked_production_variant)


if __name__ == "__main__":
    main()
