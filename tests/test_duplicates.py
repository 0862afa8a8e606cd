"""A model runs once for each call that timed out; with boto3, in comparison, more than once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import botocore.config
import botocore.exceptions

import smruntime_core as sm

from .callers import PERFORMERS, Step
from .servers import OK, Peer, Stage, acting

CALLS = 3
MODEL_SECONDS = 0.6
TIMEOUT = 0.3


def respond_late(peer: Peer) -> None:
    while peer.read():
        peer.idle(MODEL_SECONDS)
        peer.send(OK)


def runs_per_call(server: Stage) -> float:
    return len(server.requests) / CALLS


def call_ours(name: str) -> float:
    with acting(respond_late) as server:
        outcomes = PERFORMERS[name](
            server.url,
            *[Step()] * CALLS,
            timeouts=sm.Timeouts(response=TIMEOUT),
            retries=sm.RetryPolicy(max_attempts=3),
        )
        assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)
        assert [len(outcome.metadata.attempts) for outcome in outcomes] == [1] * CALLS
        return runs_per_call(server)


def call_boto3() -> float:
    retries: Any = {"total_max_attempts": 3, "mode": "standard"}
    config = botocore.config.Config(read_timeout=TIMEOUT, retries=retries)
    with acting(respond_late) as server:
        client: Any = boto3.client(
            "sagemaker-runtime",
            "us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=config,
        )
        for _ in range(CALLS):
            try:
                client.invoke_endpoint(EndpointName="iris", Body=b"1,2,3")
            except botocore.exceptions.ReadTimeoutError:
                pass
            else:
                raise AssertionError("the model was faster than the timeout")
        return runs_per_call(server)


def test_slow_model_runs_once_per_call_and_more_often_with_boto3() -> None:
    with ThreadPoolExecutor() as pool:
        with_boto3 = pool.submit(call_boto3)
        measured = dict(zip(PERFORMERS, pool.map(call_ours, PERFORMERS), strict=True))
    print({**measured, "boto3": with_boto3.result()})
    assert measured == dict.fromkeys(PERFORMERS, 1.0)
    assert with_boto3.result() > 1.0
