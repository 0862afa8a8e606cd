"""Make fifty calls at once on trio.

If one fails, the nursery cancels the others and their connections are closed.
"""

from __future__ import annotations

import trio

import smruntime_local
from smruntime_core.codecs import as_text
from smruntime_transports.trio import AsyncClient


async def call_at_once(client: AsyncClient, prompts: list[str]) -> dict[str, str]:
    answers: dict[str, str] = {}

    async def call_model(prompt: str) -> None:
        output = await client.invoke_endpoint("ngram", **as_text(prompt))
        answers[prompt] = output.text()

    async with trio.open_nursery() as nursery:
        for prompt in prompts:
            nursery.start_soon(call_model, prompt)
    return answers


async def main() -> None:
    with smruntime_local.serve() as endpoint:
        async with AsyncClient(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        ) as client:
            with trio.fail_after(20):
                prompts = [f"The value of item {number}" for number in range(50)]
                answers = await call_at_once(client, prompts)
    print(len(answers), "answers, one of them:", answers["The value of item 7"].strip()[:80])


if __name__ == "__main__":
    trio.run(main)
