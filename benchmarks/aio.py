"""Subjects of aiobotocore, for the environment where it is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from measuring import TASK_COUNT, AsyncCall, AsyncSubject, Crowd, Members
from work import CREDENTIAL_MEMBERS, REGION, botocore_parameters


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[AsyncCall]:
    """Open a client as applications make it, without retries; yield one call."""
    config = import_module("aiobotocore.config").AioConfig(
        retries={"total_max_attempts": 1}, max_pool_connections=100
    )
    key_id, secret_key, session_token = CREDENTIAL_MEMBERS
    client_context = (
        import_module("aiobotocore.session")
        .get_session()
        .create_client(
            "sagemaker-runtime",
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret_key,
            aws_session_token=session_token,
            config=config,
        )
    )
    async with client_context as client:

        async def call(call_members: Members) -> object:
            answer = await client.invoke_endpoint(**call_members)
            async with answer["Body"] as body:
                return await body.read()

        yield call


def call(url: str) -> AsyncSubject:
    """Call, one call after the other."""
    return AsyncSubject(lambda: connect(url), botocore_parameters)


def crowd(url: str, task_count: str = str(TASK_COUNT)) -> Crowd:
    """Call from many tasks at once."""
    return Crowd(lambda: connect(url), botocore_parameters, int(task_count))
