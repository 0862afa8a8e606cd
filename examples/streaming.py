"""Tokens on the screen while the model still thinks: server-sent events, out of parts that may be cut anywhere."""

from __future__ import annotations

import json

import smruntime_core as sm
import smruntime_local
from smruntime_transports.sockets import Client


def show(client: Client, attributes: str) -> None:
    """Print each token as it comes, and in the end what became of the answer."""
    body = json.dumps({"prompt": "The import statement", "max_tokens": 24, "seed": 12}).encode()
    try:
        with client.invoke_endpoint_with_response_stream(
            endpoint_name="ngram",
            body=body,
            content_type="application/json",
            accept="text/event-stream",
            custom_attributes=attributes,
        ) as stream:
            for event in stream.sse():
                if event.data != "[DONE]":
                    print(json.loads(event.data)["token"], end="", flush=True)
        print("\n-- whole, from", stream.invoked_production_variant)
    except (
        sm.ServiceError,
        sm.StreamError,
        sm.DispatchFailure,
    ) as failure:  # what came before it has been printed
        print(f"\n-- {type(failure).__name__}: {failure}")


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        show(client, "delay=0.02")
        show(client, "cut=bytes")
        show(client, "fault=ModelStreamError@9")
        show(client, "fault=truncate@9")


if __name__ == "__main__":
    main()
