"""LiteLLM, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md."""

from __future__ import annotations

import os

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else importing it downloads a file

import httpx2
import litellm
from openai import OpenAI

from smruntime_core import Config
from smruntime_transports import Client
from smruntime_transports.auth import Bearer
from smruntime_transports.openai.httpx2 import SageMakerTransport

QUESTION = [{"role": "user", "content": "Write a sentence about the sea."}]


def ask(sdk: OpenAI) -> None:
    answer = litellm.completion("openai/llm", messages=QUESTION, client=sdk, max_tokens=24)
    print(answer.choices[0].message.content)


def main() -> None:
    with Client() as client:
        http = httpx2.Client(transport=SageMakerTransport(client, "llm"))
        sdk = OpenAI(http_client=http, base_url="http://sagemaker", api_key="unused")
        ask(sdk)
        for chunk in litellm.completion(
            "openai/llm", messages=QUESTION, client=sdk, max_tokens=24, stream=True
        ):
            print(chunk.choices[0].delta.content or "", end="", flush=True)
        print()

        # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
        region = str(client.region)
        bearer = Bearer(client.credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        ask(OpenAI(base_url=url.removesuffix("/chat/completions"), api_key=bearer))


if __name__ == "__main__":
    main()
