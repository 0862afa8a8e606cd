"""Print tokens while the model generates them, from server-sent events cut at any byte."""

from __future__ import annotations

import json

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_json
from smruntime_transports.sockets import Client


def print_tokens(client: Client, attributes: str) -> None:
    """Print each token as it arrives, then how the answer ended."""
    question = {"prompt": "The import statement", "max_tokens": 24, "seed": 12}
    try:
        with client.invoke_endpoint_with_response_stream(
            "ngram", **as_json(question, accept="text/event-stream"), custom_attributes=attributes
        ) as stream:
            for event in stream.sse():
                if event.data != "[DONE]":
                    print(json.loads(event.data)["token"], end="", flush=True)
        print("\n-- complete, from", stream.invoked_production_variant)
    except (sm.ServiceError, sm.StreamError, sm.DispatchFailure) as failure:
        print(f"\n-- {type(failure).__name__}: {failure}")


def main() -> None:
    with (
        smruntime_local.serve() as endpoint,
        Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client,
    ):
        print_tokens(client, "delay=0.02")
        print_tokens(client, "cut=bytes")
        print_tokens(client, "fault=ModelStreamError@9")
        print_tokens(client, "fault=truncate@9")


if __name__ == "__main__":
    main()
