"""Anthropic's SDK, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md.

The endpoint's container must answer in Anthropic's format, as vLLM does. SageMaker's own
OpenAI-compatible path has no `/messages`, so there is no bearer token here.
"""

from __future__ import annotations

import httpx2
from anthropic import Anthropic

from smruntime_transports import Client
from smruntime_transports.openai.httpx2 import SageMakerTransport

QUESTION = [{"role": "user", "content": "Write a sentence about the sea."}]


def main() -> None:
    with Client() as client:
        http = httpx2.Client(transport=SageMakerTransport(client, "messages"))
        sdk = Anthropic(http_client=http, base_url="http://sagemaker", api_key="unused")
        answer = sdk.messages.create(model="messages", messages=QUESTION, max_tokens=24)
        print(answer.content[0].text)
        with sdk.messages.stream(model="messages", messages=QUESTION, max_tokens=24) as stream:
            for text in stream.text_stream:
                print(text, end="", flush=True)
        print()


if __name__ == "__main__":
    main()
