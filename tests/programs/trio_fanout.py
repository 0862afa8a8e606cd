"""Call two models at once on trio, and give up on both after five seconds."""

import trio

from smruntime_transports import AsyncClient

answers: dict[str, str] = {}


async def ask(client: AsyncClient, endpoint_name: str) -> None:
    async with client.invoke_endpoint_with_response_stream(endpoint_name, body=b"one") as stream:
        answers[endpoint_name] = "".join([line async for line in stream.lines()])


async def main() -> None:
    with trio.fail_after(5):
        async with AsyncClient() as client, trio.open_nursery() as nursery:
            for endpoint_name in ("echo", "ngram"):
                nursery.start_soon(ask, client, endpoint_name)


trio.run(main)
print(sorted(answers))
