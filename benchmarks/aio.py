"""aiobotocore doing the same work, in the environment where it is installed. Each function makes a subject."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from crowd import Crowd
from measuring import Awaited, Call
from memory import Growth
from work import KEYS, LARGE, LARGE_ENDPOINT, PARAMETERS, REGION


@asynccontextmanager
async def calling(url: str, **changes: object) -> AsyncIterator[Call]:
    """A client as its users make it, but without retries; what to await for a call, its body read to the end."""
    key, secret, token = KEYS
    settings: dict[str, Any] = {"region_name": REGION, "endpoint_url": url}
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    config = import_module("aiobotocore.config").AioConfig(retries={"total_max_attempts": 1}, max_pool_connections=100)
    session = import_module("aiobotocore.session").get_session()
    parameters = PARAMETERS | changes

    async with session.create_client("sagemaker-runtime", **settings, **keys, config=config) as client:

        async def call() -> object:
            answer = await client.invoke_endpoint(**parameters)
            async with answer["Body"] as body:
                return await body.read()

        yield call


def call(url: str) -> Awaited:
    """One call after the other."""
    return Awaited(lambda: calling(url))


def crowd(url: str) -> Crowd:
    """Many at once."""
    return Crowd(lambda: calling(url))


def _growth(url: str, **changes: object) -> Growth:
    async def large() -> None:
        async with calling(url) as small, calling(url, **changes) as call:
            await small()
            growth.begin()
            await call()

    growth = Growth(lambda: asyncio.run(large()))
    return growth


def upload(url: str) -> Growth:
    """Memory for a long body up."""
    return _growth(url, Body=b"x" * LARGE)


def download(url: str) -> Growth:
    """Memory for a long body down."""
    return _growth(url, EndpointName=LARGE_ENDPOINT)
