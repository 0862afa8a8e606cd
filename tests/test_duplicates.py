"""How often a model runs for one call of a caller who did not wait for it: once. The SDK that everybody uses is the witness."""

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
MODEL = 0.6  # seconds that the model takes
PATIENCE = 0.3  # seconds that the caller waits


def slow(peer: Peer) -> None:
    while peer.read():
        peer.idle(MODEL)
        peer.send(OK)


def factor(stage: Stage) -> float:
    """Runs of the model per call."""
    return len(stage.requests) / CALLS


def ours(name: str) -> float:
    with acting(slow) as stage:
        outcomes = PERFORMERS[name](
            stage.url,
            *[Step()] * CALLS,
            timeouts=sm.Timeouts(response=PATIENCE),
            retries=sm.RetryPolicy(max_attempts=3),
        )
        assert all(isinstance(outcome, TimeoutError) for outcome in outcomes)
        assert [len(outcome.metadata.attempts) for outcome in outcomes] == [1] * CALLS
        return factor(stage)


def botos() -> float:
    config = botocore.config.Config(
        read_timeout=PATIENCE, retries={"total_max_attempts": 3, "mode": "standard"}
    )
    with acting(slow) as stage:
        client: Any = boto3.client(
            "sagemaker-runtime",
            "us-east-1",
            endpoint_url=stage.url,
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
                raise AssertionError("the model was faster than the caller")
        return factor(stage)


def test_a_slow_model_runs_once_a_call() -> None:
    with ThreadPoolExecutor() as pool:
        witness = pool.submit(botos)
        factors = dict(zip(PERFORMERS, pool.map(ours, PERFORMERS), strict=True))
    print({**factors, "boto3": witness.result()})
    assert factors == dict.fromkeys(PERFORMERS, 1.0)
    assert witness.result() > 1.0
