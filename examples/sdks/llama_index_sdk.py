"""llama-index, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md.

`max_retries=0`: it would retry by itself what the client below has retried already.
"""

from __future__ import annotations

import httpx
from llama_index.llms.openai_like import OpenAILike

from smruntime_core import Config
from smruntime_transports import Client
from smruntime_transports.auth import Bearer
from smruntime_transports.auth.httpx import Auth
from smruntime_transports.openai.httpx import SageMakerTransport

QUESTION = "Write a sentence about the sea."


def make_model(url: str, http: httpx.Client) -> OpenAILike:
    return OpenAILike(
        model="llm",
        api_base=url,
        api_key="unused",
        is_chat_model=True,
        http_client=http,  # for `acomplete`: async_http_client, with AsyncSageMakerTransport
        max_tokens=24,
        max_retries=0,
    )


def main() -> None:
    with Client() as client:
        http = httpx.Client(transport=SageMakerTransport(client, "llm"))
        model = make_model("http://sagemaker", http)
        print(model.complete(QUESTION))
        for piece in model.stream_complete(QUESTION):
            print(piece.delta, end="", flush=True)
        print()

        # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
        region = str(client.region)
        bearer = Bearer(client.credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        with httpx.Client(auth=Auth(bearer)) as http:
            print(make_model(url.removesuffix("/chat/completions"), http).complete(QUESTION))


if __name__ == "__main__":
    main()
