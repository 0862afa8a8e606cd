"""Make a hundred calls at once on asyncio, ten at a time, each within a second."""

import asyncio

from smruntime_core import DispatchFailure, InvokeEndpointOutput
from smruntime_transports import AsyncClient


async def score(client: AsyncClient, row: str) -> InvokeEndpointOutput | None:
    try:
        return await client.invoke_endpoint("iris", body=row.encode(), content_type="text/csv")
    except DispatchFailure as failure:
        print(failure.kind, failure.delivery)
        return None


async def main() -> int:
    async with AsyncClient(max_connections=10) as client:
        quick = client.with_options(timeout=10.0)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(score(quick, "5.1,3.5,1.4,0.2")) for _ in range(100)]
    outputs: list[InvokeEndpointOutput | None] = [task.result() for task in tasks]
    return sum(output is not None for output in outputs)


print(asyncio.run(main()))
