"""The HTTP clients and SDKs that people use, asked to do what the contract asks of our transports; `faults.py` has this run.

    python tests/peers.py boto3 2 6        # every sixth scenario from the third on: one line of JSON each

A peer is right if it gives the right answer, or where none is to be had an error of its own kind. What it need not be is as exact as ours:
nobody asks for its phases, its attempts or its memory. Each scenario runs in a process of its own, which is ended when it takes too long
or too much. The letters of what went wrong:

    W  a wrong answer was taken for a right one        T  the service's answer was lost
    U  an error that is none of the peer's             H  no end (after 20 s, at limits of 2 s)
    F  a right answer was refused, or not had          M  more than 1.5 GB
    P  an error that cannot be printed safely          R  more retries than anybody should make

and of what went well, but not as it might:

    a  it asked again, so the model ran more than once, and had a good answer to that
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import select
import signal
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import version
from typing import Any, NamedTuple, cast

from smruntime_core import InvokeEndpoint, Timeouts
from smruntime_core.testing import CONTRACT, Answer, Refusal, Right, Scenario, Seen
from smruntime_local.hostile import play

LONGEST = 20.0
HEALTHY = b"well"
ASKED_TO = frozenset(("67", "79", "81"))  # where trying again is what the service asks for
LONGER = {"81": 120.0}  # a hundred retries are waited for
MOST = 1_500_000_000
PATIENCE = 2.0
AGAIN = "a"  # the one letter that is no fault
OF_THE_MESSAGE = frozenset(("76", "77"))
OF_AN_SDK = frozenset(
    ("67", "68", "69", "70", "71", "72", "76", "77", "79", "80", "81")
)  # what a bare HTTP client knows nothing of


class Got(NamedTuple):
    """What a peer takes for an answer."""

    status: int
    body: bytes
    attributes: str | None


class Peer(NamedTuple):
    """How it is called, and which errors are its own."""

    call: Callable[..., list[object]]
    typed: tuple[type[BaseException], ...]
    sdk: bool = False


def limits(timeouts: Timeouts) -> tuple[float, float]:
    """For connecting and for everything else, in seconds: who knows one limit only has the shortest that matters."""
    found = [
        limit
        for limit in (timeouts.response, timeouts.idle, timeouts.total, PATIENCE)
        if limit is not None
    ]
    return min(timeouts.connect or PATIENCE, PATIENCE), min(found)


def collect(
    one: Callable[[InvokeEndpoint], Got], operations: Iterable[InvokeEndpoint]
) -> list[object]:
    found: list[object] = []
    for operation in operations:
        try:
            found.append(one(operation))
        except Exception as error:  # the verdict says which may be raised
            found.append(error)
    return found


ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


def _boto3() -> Peer:
    session = import_module("boto3").Session(
        "AKIDEXAMPLE", "wJalrXUtnFEMI", region_name="us-east-1"
    )
    config, exceptions = (
        import_module("botocore.config").Config,
        import_module("botocore.exceptions"),
    )

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = limits(timeouts)
        client = session.client(
            "sagemaker-runtime",
            endpoint_url=url,
            config=config(connect_timeout=connect, read_timeout=read),
        )

        def one(operation: InvokeEndpoint) -> Got:
            session_id = {"SessionId": operation.session_id} if operation.session_id else {}
            answer = client.invoke_endpoint(
                EndpointName=operation.endpoint_name, Body=bytes(operation.body), **session_id
            )
            return Got(
                answer["ResponseMetadata"]["HTTPStatusCode"],
                answer["Body"].read(),
                answer.get("CustomAttributes"),
            )

        try:
            return collect(one, operations)
        finally:
            client.close()

    return Peer(call, (exceptions.BotoCoreError, exceptions.ClientError), sdk=True)


def _httpx() -> Peer:
    httpx = import_module("httpx")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = limits(timeouts)
        with httpx.Client(timeout=httpx.Timeout(read, connect=connect)) as client:

            def one(operation: InvokeEndpoint) -> Got:
                answer = client.post(
                    f"{url}/endpoints/e/invocations", content=bytes(operation.body)
                )
                return Got(answer.status_code, answer.content, answer.headers.get(ATTRIBUTES))

            return collect(one, operations)

    return Peer(call, (httpx.HTTPError, httpx.InvalidURL))


def _urllib3() -> Peer:
    urllib3 = import_module("urllib3")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = limits(timeouts)
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=connect, read=read)) as pools:

            def one(operation: InvokeEndpoint) -> Got:
                answer = pools.request(
                    "POST", f"{url}/endpoints/e/invocations", body=bytes(operation.body)
                )
                return Got(answer.status, answer.data, answer.headers.get(ATTRIBUTES))

            return collect(one, operations)

    return Peer(call, (urllib3.exceptions.HTTPError,))


def _aiohttp() -> Peer:
    aiohttp = import_module("aiohttp")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = limits(timeouts)

        async def one(client: Any, operation: InvokeEndpoint) -> Got:
            async with client.post(
                f"{url}/endpoints/e/invocations", data=bytes(operation.body)
            ) as answer:
                return Got(answer.status, await answer.read(), answer.headers.get(ATTRIBUTES))

        async def main() -> list[object]:
            found: list[object] = []
            patience = aiohttp.ClientTimeout(
                total=timeouts.total, sock_connect=connect, sock_read=read
            )
            async with aiohttp.ClientSession(timeout=patience) as client:
                for operation in operations:
                    await asyncio.sleep(0.01)  # its loop hears of what happened meanwhile
                    try:
                        found.append(await one(client, operation))
                    except Exception as error:  # likewise
                        found.append(error)
            return found

        return asyncio.run(main())

    return Peer(call, (aiohttp.ClientError, TimeoutError))  # it says that it raises that one


PEERS: dict[str, Callable[[], Peer]] = {
    "boto3": _boto3,
    "httpx": _httpx,
    "aiohttp": _aiohttp,
    "urllib3": _urllib3,
}


def asked(name: str) -> list[Scenario]:
    """The scenarios that a peer is asked about: a bare HTTP client knows nothing of the service's own errors."""
    return [scenario for scenario in CONTRACT if name == "boto3" or scenario.row not in OF_AN_SDK]


def versions(name: str) -> str:
    """What ran."""
    beneath = {
        "boto3": ("botocore", "urllib3"),
        "httpx": ("httpcore", "h11"),
        "aiohttp": (),
        "urllib3": (),
    }[name]
    over = f" over {' and '.join(f'{part} {version(part)}' for part in beneath)}" if beneath else ""
    return f"{name} {version(name)}{over}"


def verdict(peer: Peer, scenario: Scenario, found: list[object], seen: Seen) -> str:
    """A letter for what is wrong; empty if nothing is."""
    letters = [
        _letter(peer, scenario.row, right, outcome)
        for right, outcome in zip(scenario.right, found, strict=True)
    ]
    if scenario.row == "81" and scenario.requests is not None and seen.requests > scenario.requests:
        letters.append("R")
    return min((letter for letter in letters if letter), default="")  # capitals go first


def _letter(peer: Peer, row: str, right: Right, outcome: object) -> str:
    return (
        _of_error(peer, row, right, outcome)
        if isinstance(outcome, BaseException)
        else _of_answer(row, right, cast("Got", outcome))
    )


def _of_error(peer: Peer, row: str, right: Right, error: BaseException) -> str:
    if not isinstance(error, peer.typed):
        return "M" if isinstance(error, MemoryError) else "U"
    if isinstance(right, Answer):
        return "F"
    if row in OF_THE_MESSAGE and not str(error).isprintable():
        return "P"
    told = getattr(error, "response", None)
    status = (
        told.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(told, dict) else None
    )
    return "T" if isinstance(right, Refusal) and status != right.status else ""


def _of_answer(row: str, right: Right, got: Got) -> str:
    if isinstance(right, Answer):
        good = got.body == right.body and (
            right.attributes is None or got.attributes == right.attributes
        )
    elif got.body == HEALTHY and row != "78":
        return "T" if isinstance(right, Refusal) and row not in ASKED_TO else AGAIN
    else:
        good = isinstance(right, Refusal) and got.status == right.status
    return "" if good else "W"


def _in_a_process(peer: Peer, scenario: Scenario) -> tuple[str, int]:
    """The letter, and how many requests the server saw."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        letter, requests = "U", 0
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
            found, seen = play(scenario.replace(memory=None), peer.call)
            letter, requests = verdict(peer, scenario, found, seen), seen.requests
        except MemoryError:
            letter = "M"
        finally:
            os.write(writing, json.dumps([letter, requests]).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ended = bool(select.select([pipe], [], [], LONGER.get(scenario.row, LONGEST))[0])
        if not ended:
            os.kill(child, signal.SIGKILL)
        told = pipe.read()
    os.waitpid(child, 0)
    letter, requests = json.loads(told) if told else ("M" if ended else "H", 0)
    return letter, requests


def main(name: str, first: str, step: str) -> None:
    """A line of JSON for each scenario: its name, the letter, the number of requests."""
    peer = PEERS[name]()
    for scenario in asked(name)[int(first) :: int(step)]:
        print(json.dumps([str(scenario), *_in_a_process(peer, scenario)]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
