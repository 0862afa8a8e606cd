"""instructor, unmodified, with a SageMaker endpoint; see docs/openai-sdks.md.

The answer is an object of a pydantic class. A small model may not manage that: then instructor
raises, after it has asked again.
"""

from __future__ import annotations

import httpx2
import instructor
from instructor.core import InstructorError
from openai import OpenAI
from pydantic import BaseModel

from smruntime_core import Config
from smruntime_transports import Client
from smruntime_transports.auth import Bearer
from smruntime_transports.openai.httpx2 import SageMakerTransport

QUESTION = [{"role": "user", "content": "What is the weather in Oslo?"}]


class Weather(BaseModel):
    """The weather in a city."""

    city: str


def ask(sdk: OpenAI) -> None:
    try:
        answer = instructor.from_openai(sdk).chat.completions.create(
            model="llm", messages=QUESTION, response_model=Weather, max_tokens=200
        )
        print(repr(answer))
    except InstructorError as error:
        print("the model's answer is no Weather:", " ".join(str(error).split())[-100:])


def main() -> None:
    with Client() as client:
        http = httpx2.Client(transport=SageMakerTransport(client, "llm"))
        ask(OpenAI(http_client=http, base_url="http://sagemaker", api_key="unused"))

        # The same over SageMaker's own OpenAI-compatible path, with a bearer token.
        region = str(client.region)
        bearer = Bearer(client.credentials, region)
        url = Config(region=region, endpoint_url=client.endpoint_url).openai_url("llm")
        ask(OpenAI(base_url=url.removesuffix("/chat/completions"), api_key=bearer))


if __name__ == "__main__":
    main()
