"""Subjects of aiobotocore, for the environment where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from measuring import AsyncCall, AsyncSubject, Crowd, Members
from work import KEYS, REGION, parameters


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[AsyncCall]:
    """Open a client as applications make it, without retries; yield one call."""
    config = import_module("aiobotocore.config").AioConfig(
        retries={"total_max_attempts": 1}, max_pool_connections=100
    )
    key, secret, token = KEYS
    made = (
        import_module("aiobotocore.session")
        .get_session()
        .create_client(
            "sagemaker-runtime",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=config,
        )
    )
    async with made as client:

        async def call(fresh: Members) -> object:
            answer = await client.invoke_endpoint(**fresh)
            async with answer["Body"] as body:
                return await body.read()

        yield call


def call(url: str) -> AsyncSubject:
    """Call, one call after the other."""
    return AsyncSubject(lambda: connect(url), parameters)


def crowd(url: str) -> Crowd:
    """Call from 1000 tasks at once."""
    return Crowd(lambda: connect(url), parameters)
