"""LangChain's ChatOpenAI, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md."""

from __future__ import annotations

import httpx2
from langchain_openai import ChatOpenAI

from smruntime_core import Config
from smruntime_transports import Client
from smruntime_transports.auth import Bearer
from smruntime_transports.openai.httpx2 import SageMakerTransport

QUESTION = "Write a sentence about the sea."


def main() -> None:
    with Client() as client:
        http = httpx2.Client(transport=SageMakerTransport(client, "llm"))
        model = ChatOpenAI(
            model="llm",
            base_url="http://sagemaker",
            api_key="unused",
            http_client=http,  # for `ainvoke`: http_async_client, with AsyncSageMakerTransport
            max_tokens=24,
        )
        print(model.invoke(QUESTION).content)
        for chunk in model.stream(QUESTION):
            print(chunk.content, end="", flush=True)
        print()

        # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
        region = str(client.region)
        bearer = Bearer(client.credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        model = ChatOpenAI(
            model="llm", base_url=url.removesuffix("/chat/completions"), api_key=bearer
        )
        print(model.invoke(QUESTION).content)


if __name__ == "__main__":
    main()
