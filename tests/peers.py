"""The HTTP clients and SDKs that people use, run against the contract's scenarios.

    python tests/peers.py boto3 2 6      # every sixth scenario from the third on: a JSON line each

`faults.py` runs this. A peer passes if it returns the right response or, where there is none,
raises one of its own errors; its phases, attempts and memory are not compared. Each scenario runs
in a process of its own, which is killed when it takes too long or too much memory. Our clients over
other libraries ("over httpx") run in the same way, but the contract's own rules judge them, and a
scenario with letter K is played up to three times, because a busy machine makes any call late. The
letters:

    W  a wrong response was returned          T  the service's response was lost
    U  an error that is not the peer's own    H  no end (after 20 s, with timeouts of 2 s)
    F  a right response was refused or lost   M  more than 1.5 GB
    P  an error that cannot be printed safely R  more retries than the contract allows
    K  our client over a library: the right end, but another kind, phase, delivery, number or time

One letter is not a fault:

    a  it sent the request again, so the model ran more than once, and returned a good response
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
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

from smruntime_core import (
    InvokeEndpoint,
    InvokeEndpointOutput,
    ServiceError,
    SmRuntimeError,
    Timeouts,
)
from smruntime_core.testing import (
    CONTRACT,
    Expectation,
    ExpectedError,
    ExpectedOutput,
    Observation,
    Scenario,
    find_differences,
)
from smruntime_local.hostile import play

MAX_SECONDS = 20.0
MAX_MEMORY = 1_500_000_000
LONGER_SECONDS = {"81": 120.0}  # a hundred retries take longer
TIMEOUT = 2.0
HEALTHY_BODY = b"well"
RESENT = "a"  # the letter that is not a fault
RETRY_REQUESTED = frozenset(("67", "79", "81"))  # faults where the service asks for a retry
MESSAGE_FAULTS = frozenset(("76", "77"))
# A bare HTTP client does not know the service's errors.
SDK_FAULTS = frozenset(("67", "68", "69", "70", "71", "72", "76", "77", "79", "80", "81"))
ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
PATH = "/endpoints/e/invocations"


class PeerResponse(NamedTuple):
    """A response as a peer returned it."""

    status: int
    body: bytes
    attributes: str | None


class Peer(NamedTuple):
    """How to call a peer, and its own error types."""

    call: Callable[..., list[object]]
    error_types: tuple[type[BaseException], ...]


def shortest_timeouts(timeouts: Timeouts) -> tuple[float, float]:
    """Return the timeouts for connecting and for the rest, for a peer that has only these two."""
    limits = (timeouts.response, timeouts.idle, timeouts.total, TIMEOUT)
    return min(timeouts.connect or TIMEOUT, TIMEOUT), min(filter(None, limits))


def collect_outcomes(
    invoke: Callable[[InvokeEndpoint], PeerResponse], operations: Iterable[InvokeEndpoint]
) -> list[object]:
    collected: list[object] = []
    for operation in operations:
        try:
            collected.append(invoke(operation))
        except Exception as error:  # `judge` says which are allowed
            collected.append(error)
    return collected


def make_boto3() -> Peer:
    session = import_module("boto3").Session(
        "AKIDEXAMPLE", "wJalrXUtnFEMI", region_name="us-east-1"
    )
    make_config = import_module("botocore.config").Config
    exceptions = import_module("botocore.exceptions")
    unsigned = {"signature_version": import_module("botocore").UNSIGNED}

    def call(
        url: str,
        operations: Iterable[InvokeEndpoint],
        *,
        timeouts: Timeouts,
        anonymous: bool = False,
        **_: object,
    ) -> list[object]:
        connect, read = shortest_timeouts(timeouts)
        signing = unsigned if anonymous else {}
        config = make_config(connect_timeout=connect, read_timeout=read, **signing)
        client = session.client("sagemaker-runtime", endpoint_url=url, config=config)

        def invoke(operation: InvokeEndpoint) -> PeerResponse:
            session_id = {"SessionId": operation.session_id} if operation.session_id else {}
            response = client.invoke_endpoint(
                EndpointName=operation.endpoint_name, Body=bytes(operation.body), **session_id
            )
            status = response["ResponseMetadata"]["HTTPStatusCode"]
            body = response["Body"].read()
            return PeerResponse(status, body, response.get("CustomAttributes"))

        try:
            return collect_outcomes(invoke, operations)
        finally:
            client.close()

    return Peer(call, (exceptions.BotoCoreError, exceptions.ClientError))


def make_httpx() -> Peer:
    httpx = import_module("httpx")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = shortest_timeouts(timeouts)
        with httpx.Client(timeout=httpx.Timeout(read, connect=connect)) as client:

            def invoke(operation: InvokeEndpoint) -> PeerResponse:
                response = client.post(url + PATH, content=bytes(operation.body))
                attributes = response.headers.get(ATTRIBUTES)
                return PeerResponse(response.status_code, response.content, attributes)

            return collect_outcomes(invoke, operations)

    return Peer(call, (httpx.HTTPError, httpx.InvalidURL))


def make_urllib3() -> Peer:
    urllib3 = import_module("urllib3")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = shortest_timeouts(timeouts)
        with urllib3.PoolManager(timeout=urllib3.Timeout(connect=connect, read=read)) as manager:

            def invoke(operation: InvokeEndpoint) -> PeerResponse:
                response = manager.request("POST", url + PATH, body=bytes(operation.body))
                attributes = response.headers.get(ATTRIBUTES)
                return PeerResponse(response.status, response.data, attributes)

            return collect_outcomes(invoke, operations)

    return Peer(call, (urllib3.exceptions.HTTPError,))


def make_aiohttp() -> Peer:
    aiohttp = import_module("aiohttp")

    def call(
        url: str, operations: Iterable[InvokeEndpoint], *, timeouts: Timeouts, **_: object
    ) -> list[object]:
        connect, read = shortest_timeouts(timeouts)

        async def invoke(client: Any, operation: InvokeEndpoint) -> PeerResponse:
            async with client.post(url + PATH, data=bytes(operation.body)) as response:
                body = await response.read()
                return PeerResponse(response.status, body, response.headers.get(ATTRIBUTES))

        async def main() -> list[object]:
            collected: list[object] = []
            timeout = aiohttp.ClientTimeout(
                total=timeouts.total, sock_connect=connect, sock_read=read
            )
            async with aiohttp.ClientSession(timeout=timeout) as client:
                for operation in operations:
                    await asyncio.sleep(0.01)  # the loop notices closed connections
                    try:
                        collected.append(await invoke(client, operation))
                    except Exception as error:  # `judge` says which are allowed
                        collected.append(error)
            return collected

        return asyncio.run(main())

    return Peer(call, (aiohttp.ClientError, TimeoutError))  # it documents TimeoutError


PEERS: dict[str, Callable[[], Peer]] = {
    "boto3": make_boto3,
    "httpx": make_httpx,
    "aiohttp": make_aiohttp,
    "urllib3": make_urllib3,
}


def scenarios_for(name: str) -> list[Scenario]:
    """Return the scenarios for a peer: none of streams, and no SDK faults for an HTTP client."""
    return [
        scenario
        for scenario in CONTRACT
        if not scenario.is_streamed and (name == "boto3" or scenario.fault not in SDK_FAULTS)
    ]


def describe_versions(name: str) -> str:
    """Return the versions of a peer and of what it is built on."""
    dependencies = {"boto3": ("botocore", "urllib3"), "httpx": ("httpcore", "h11")}.get(name, ())
    described = " and ".join(f"{package} {version(package)}" for package in dependencies)
    return f"{name} {version(name)}{' over ' * bool(described)}{described}"


def judge(peer: Peer, scenario: Scenario, found: list[object], observation: Observation) -> str:
    """Return the letter of what is wrong; empty if nothing is."""
    pairs = zip(scenario.expected, found, strict=True)
    letters = [_judge_call(peer, scenario.fault, expected, outcome) for expected, outcome in pairs]
    requests = scenario.requests
    if scenario.fault == "81" and requests is not None and observation.requests > requests:
        letters.append("R")
    return min((letter for letter in letters if letter), default="")  # capitals go first


def _judge_call(peer: Peer, fault: str, expected: Expectation, outcome: object) -> str:
    if isinstance(outcome, BaseException):
        return _judge_error(peer, fault, expected, outcome)
    return _judge_response(fault, expected, cast("PeerResponse", outcome))


def _judge_error(peer: Peer, fault: str, expected: Expectation, error: BaseException) -> str:
    if not isinstance(error, peer.error_types):
        return "M" if isinstance(error, MemoryError) else "U"
    if isinstance(expected, ExpectedOutput):
        return "F"
    if fault in MESSAGE_FAULTS and not str(error).isprintable():
        return "P"
    response = getattr(error, "response", None)
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
    status = metadata.get("HTTPStatusCode")
    return "T" if isinstance(expected, ExpectedError) and status != expected.status else ""


def _judge_response(fault: str, expected: Expectation, response: PeerResponse) -> str:
    if isinstance(expected, ExpectedOutput):
        attributes = expected.custom_attributes
        same_attributes = attributes is None or response.attributes == attributes
        return "" if response.body == expected.body and same_attributes else "W"
    if response.body == HEALTHY_BODY and fault != "78":
        lost = isinstance(expected, ExpectedError) and fault not in RETRY_REQUESTED
        return "T" if lost else RESENT
    is_error = isinstance(expected, ExpectedError) and response.status == expected.status
    return "" if is_error else "W"


def judge_differences(scenario: Scenario, found: list[object], observation: Observation) -> str:
    """Return the letter of what is wrong with one of our clients over a library."""
    if not find_differences(scenario, found, observation):
        return ""
    pairs = zip(scenario.expected, found, strict=True)
    letters = [_judge_our_call(expected, outcome) for expected, outcome in pairs]
    if scenario.memory_limit is not None and (observation.peak_memory or 0) > scenario.memory_limit:
        letters.append("M")
    return min((letter for letter in letters if letter != "K"), default="K")


def _judge_our_call(expected: Expectation, outcome: object) -> str:
    if isinstance(outcome, BaseException) and not isinstance(outcome, SmRuntimeError):
        return "M" if isinstance(outcome, MemoryError) else "U"
    if isinstance(expected, ExpectedOutput):
        if isinstance(outcome, BaseException):
            return "F"
        body = outcome.body if isinstance(outcome, InvokeEndpointOutput) else None
        return "K" if body == expected.body else "W"
    if isinstance(outcome, InvokeEndpointOutput):
        return "W"
    is_lost = isinstance(expected, ExpectedError) and not isinstance(outcome, ServiceError)
    return "T" if is_lost else "K"


def play_peer(peer: Peer, scenario: Scenario) -> tuple[str, int]:
    """Return the letter, and how many requests the server saw."""
    found, observation = play(scenario.replace(memory_limit=None), peer.call)
    return judge(peer, scenario, found, observation), observation.requests


def play_our_client(call: Callable[..., list[object]], scenario: Scenario) -> tuple[str, int]:
    """Return the same for one of our clients; what the server says is split as for our others."""
    letters: list[str] = []
    requests = 0
    for piece_size in (1, 0) if scenario.splittable else (0,):
        found, observation = play(scenario, call, piece_size=piece_size)
        letters.append(judge_differences(scenario, found, observation))
        requests = observation.requests
    return min((letter for letter in letters if letter), default=""), requests


def _run_in_process(
    play_scenario: Callable[[Scenario], tuple[str, int]], scenario: Scenario
) -> tuple[str, int]:
    """Return the letter, and how many requests the server saw."""
    reading_end, writing_end = os.pipe()
    child = os.fork()
    if not child:
        letter, requests = "U", 0
        try:
            resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
            letter, requests = play_scenario(scenario)
        except MemoryError:
            letter = "M"
        finally:
            os.write(writing_end, json.dumps([letter, requests]).encode())
            os._exit(0)
    os.close(writing_end)
    with os.fdopen(reading_end, "rb") as pipe:
        seconds = LONGER_SECONDS.get(scenario.fault, MAX_SECONDS)
        ended = bool(select.select([pipe], [], [], seconds)[0])
        if not ended:
            os.kill(child, signal.SIGKILL)
        result = pipe.read()
    os.waitpid(child, 0)
    letter, requests = json.loads(result) if result else ("M" if ended else "H", 0)
    return letter, requests


def main(name: str, first: str, step: str) -> None:
    """Print a line of JSON for each scenario: its name, the letter, the number of requests."""
    if name in PEERS:
        scenarios, play_scenario = scenarios_for(name), partial(play_peer, PEERS[name]())
    else:
        sys.path.append(str(Path(__file__).parents[1]))  # last: installed packages go first
        library_ios = import_module("tests.library_ios")
        scenarios = list(CONTRACT)
        play_scenario = partial(play_our_client, library_ios.OVER_LIBRARIES[name])
    for scenario in scenarios[int(first) :: int(step)]:
        for _ in range(3):
            letter, requests = _run_in_process(play_scenario, scenario)
            if letter != "K":  # on a busy machine, the time alone may have been wrong
                break
        print(json.dumps([str(scenario), letter, requests]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
