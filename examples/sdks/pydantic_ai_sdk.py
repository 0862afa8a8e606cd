"""pydantic-ai, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md."""

from __future__ import annotations

import asyncio

import httpx2
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from smruntime_core import Config
from smruntime_transports import AsyncClient, Client
from smruntime_transports.auth import Bearer
from smruntime_transports.openai.httpx2 import AsyncSageMakerTransport

QUESTION = "Write a sentence about the sea."


def make_agent(sdk: AsyncOpenAI) -> Agent:
    model = OpenAIChatModel("llm", provider=OpenAIProvider(openai_client=sdk))
    return Agent(model, model_settings={"max_tokens": 24})


async def main() -> None:
    async with AsyncClient() as client:
        http = httpx2.AsyncClient(transport=AsyncSageMakerTransport(client, "llm"))
        sdk = AsyncOpenAI(http_client=http, base_url="http://sagemaker", api_key="unused")
        agent = make_agent(sdk)
        print((await agent.run(QUESTION)).output)
        async with agent.run_stream(QUESTION) as stream:
            async for piece in stream.stream_text(delta=True):
                print(piece, end="", flush=True)
        print()

        # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
        # A sync client renews its credentials: `Bearer` does not await.
        region = str(client.region)
        bearer = Bearer(Client().credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        async with AsyncOpenAI(
            base_url=url.removesuffix("/chat/completions"), api_key=bearer.awaited
        ) as sdk:
            print((await make_agent(sdk).run(QUESTION)).output)


if __name__ == "__main__":
    asyncio.run(main())
