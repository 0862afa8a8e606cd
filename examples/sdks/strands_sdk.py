"""Strands Agents, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md.

Strands runs an event loop of its own for each call of an agent; the transport serves them all.
"""

from __future__ import annotations

import httpx
from openai import AsyncOpenAI
from strands import Agent
from strands.models.openai import OpenAIModel

from smruntime_core import Config
from smruntime_transports import AsyncClient, Client
from smruntime_transports.auth import Bearer
from smruntime_transports.openai.httpx import AsyncSageMakerTransport

QUESTION = "Write a sentence about the sea."


def ask(sdk: AsyncOpenAI) -> None:
    model = OpenAIModel(client=sdk, model_id="llm", params={"max_tokens": 500})
    Agent(model=model)(QUESTION)  # prints the text as it arrives
    print()


def main() -> None:
    transport = AsyncSageMakerTransport(AsyncClient(), "llm")
    http = httpx.AsyncClient(transport=transport)
    sdk = AsyncOpenAI(http_client=http, base_url="http://sagemaker", api_key="unused")
    ask(sdk)
    ask(sdk)

    # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
    with Client() as client:
        client.credentials()  # looks for the region, too
        region = str(client.region)
        bearer = Bearer(client.credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        ask(AsyncOpenAI(base_url=url.removesuffix("/chat/completions"), api_key=bearer.awaited))


if __name__ == "__main__":
    main()
