"""Call a local SageMaker Runtime through every transport, and compare the answers.

    make demo

The endpoint verifies every signature and serves real models. Each transport makes single calls,
streams, a session and an asynchronous invocation, and reads a stream that is cut short. The exit
status is 1 if an answer is not as expected.
"""

from __future__ import annotations

import asyncio
import csv
import json
import re
import sys
import time
from collections.abc import Callable
from importlib.resources import files
from typing import NamedTuple

import trio

import smruntime_core as sm
import smruntime_local
from smruntime_transports import AsyncClient, Client, Settings, sockets
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

# The calls, the same for every transport.

IRIS_ROWS = list(
    csv.reader((files("smruntime_local.models") / "iris.csv").read_text("ascii").splitlines()[1:])
)
MIN_CORRECT_ROWS = 140  # of 150: fewer would mean that rows or answers were mixed up
PROMPTS = ("The import statement", "An exception is raised when", "A class definition")
TOKEN_DELAY = 0.02  # seconds between two tokens of a stream
TOKENS_BEFORE_CUT = 5
SESSION_LINES = (b"My name is Ada.", b"I like engines.", b"What do you know of me?")
FLAKY_CALL = sm.InvokeEndpoint(
    endpoint_name="flaky", body=b"again", custom_attributes="trace_id=demo"
)


def iris_calls() -> list[sm.InvokeEndpoint]:
    """Return calls for 150 rows: 50 as CSV and 50 as JSON, one by one; 50 in one CSV body."""
    lines = [",".join(row[:4]) for row in IRIS_ROWS]
    calls = [csv_call(line) for line in lines[:50]]
    for row in IRIS_ROWS[50:100]:
        document = {"instances": [[float(value) for value in row[:4]]]}
        calls.append(
            sm.InvokeEndpoint(
                endpoint_name="iris",
                body=json.dumps(document).encode(),
                content_type="application/json",
            )
        )
    return [*calls, csv_call("\n".join(lines[100:]))]


def csv_call(lines: str) -> sm.InvokeEndpoint:
    return sm.InvokeEndpoint(
        endpoint_name="iris",
        body=lines.encode(),
        content_type="text/csv",
        accept="application/json",
    )


def prompt_body(prompt: str) -> bytes:
    return json.dumps({"prompt": prompt, "max_tokens": 24, "seed": 7}).encode()


def prompt_calls() -> list[sm.InvokeEndpoint]:
    return [
        sm.InvokeEndpoint(
            endpoint_name="ngram",
            body=prompt_body(prompt),
            content_type="application/json",
            accept="text/plain",
        )
        for prompt in PROMPTS
    ]


def streamed_call(attributes: str) -> sm.InvokeEndpointWithResponseStream:
    return sm.InvokeEndpointWithResponseStream(
        endpoint_name="ngram",
        body=prompt_body(PROMPTS[0]),
        content_type="application/json",
        accept="text/plain",
        custom_attributes=attributes,
    )


LIVE_CALL = streamed_call(f"delay={TOKEN_DELAY}")
TRUNCATED_CALL = streamed_call(f"fault=truncate@{TOKENS_BEFORE_CUT}")
ASYNC_CALL = sm.InvokeEndpointAsync(
    endpoint_name="ngram",
    body=prompt_body(PROMPTS[0]),
    content_type="application/json",
    accept="text/plain",
)


# The results.


class TokenPrinter:
    """Prints the pieces of a stream as they arrive and records them with their times."""

    def __init__(self, transport: str) -> None:
        self.pieces: list[str] = []
        self.times: list[float] = []
        self.failure: sm.SmRuntimeError | None = None
        print(f"  {transport:<9}{PROMPTS[0]} …", end="", flush=True)

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.times.append(time.perf_counter())
        print(re.sub(r"\s+", " ", piece), end="", flush=True)

    def finish(self, failure: sm.SmRuntimeError | None = None) -> TokenPrinter:
        self.failure = failure
        print(f"\n           {type(failure).__name__}: {failure}" if failure else "")
        return self

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def arrived_live(self) -> bool:
        """Whether the pieces arrived one after the other, not all at once."""
        return self.times[-1] - self.times[0] > (len(self.times) - 1) * TOKEN_DELAY / 2


class TransportResults(NamedTuple):
    """The answers over one transport; the first three took `seconds`."""

    predictions: list[bytes]
    completions: list[str]
    flaky_output: sm.InvokeEndpointOutput
    seconds: float
    tokens: TokenPrinter
    truncated_tokens: TokenPrinter
    session_answer: str
    async_answer: bytes


# The calls over each transport, sync and async.


def make_calls(
    transport: str, client: Client, fetch: Callable[[str], bytes | None]
) -> TransportResults:
    with client:
        started = time.perf_counter()
        predictions = [client.call(call).body for call in iris_calls()]
        completions = [client.call(call).body.decode() for call in prompt_calls()]
        flaky_output = client.call(FLAKY_CALL)
        seconds = time.perf_counter() - started
        tokens = print_stream(client, LIVE_CALL, TokenPrinter(transport))
        truncated_tokens = print_stream(client, TRUNCATED_CALL, TokenPrinter(transport))
        with client.session("chat", content_type="text/plain") as session:
            answers = [session.invoke(body=line).body.decode() for line in SESSION_LINES]
        async_answer = client.submit(ASYNC_CALL).wait(fetch=fetch, timeout=10)
    return TransportResults(
        predictions,
        completions,
        flaky_output,
        seconds,
        tokens,
        truncated_tokens,
        answers[-1],
        async_answer,
    )


def print_stream(
    client: Client, call: sm.InvokeEndpointWithResponseStream, tokens: TokenPrinter
) -> TokenPrinter:
    try:
        with client.stream(call) as stream:
            for piece in stream.text():
                tokens.add(piece)
    except sm.StreamError as failure:
        return tokens.finish(failure)
    return tokens.finish()


async def make_calls_async(
    transport: str, client: AsyncClient, fetch: Callable[[str], bytes | None]
) -> TransportResults:
    async def fetch_async(location: str) -> bytes | None:
        return fetch(location)

    async with client:
        started = time.perf_counter()
        predictions = [(await client.call(call)).body for call in iris_calls()]
        completions = [(await client.call(call)).body.decode() for call in prompt_calls()]
        flaky_output = await client.call(FLAKY_CALL)
        seconds = time.perf_counter() - started
        tokens = await print_stream_async(client, LIVE_CALL, TokenPrinter(transport))
        truncated_tokens = await print_stream_async(client, TRUNCATED_CALL, TokenPrinter(transport))
        async with client.session("chat", content_type="text/plain") as session:
            answers = [(await session.invoke(body=line)).body.decode() for line in SESSION_LINES]
        async_answer = await (await client.submit(ASYNC_CALL)).wait(fetch=fetch_async, timeout=10)
    return TransportResults(
        predictions,
        completions,
        flaky_output,
        seconds,
        tokens,
        truncated_tokens,
        answers[-1],
        async_answer,
    )


async def print_stream_async(
    client: AsyncClient, call: sm.InvokeEndpointWithResponseStream, tokens: TokenPrinter
) -> TokenPrinter:
    try:
        async with client.stream(call) as stream:
            async for piece in stream.text():
                tokens.add(piece)
    except sm.StreamError as failure:
        return tokens.finish(failure)
    return tokens.finish()


def refuses_wrong_secret(endpoint: smruntime_local.Endpoint) -> bool:
    """Call with a wrong secret; print the endpoint's string to sign and both signatures."""
    correct = endpoint.credentials
    wrong = sm.Credentials(correct.access_key_id, "not-the-secret", correct.session_token)
    call = prompt_calls()[0]
    settings = Settings(region=endpoint.region, endpoint_url=endpoint.url, credentials=wrong)
    try:
        with sockets.Client(**settings) as client:
            client.call(call)
    except sm.ServiceError as error:
        now = time.time()
        sent, expected = (
            sm.sign(call.request(endpoint.url), keys, endpoint.scope, now=now).signature
            for keys in (wrong, correct)
        )
        explanation = error.message_raw.partition("String-to-Sign should have been")[2]
        string_to_sign = explanation.strip().strip("'")
        print(f"\nA wrong secret: {error.status} {error.code}; {error.hint}.")
        print("  The endpoint's string to sign:")
        print("    " + string_to_sign.replace("\n", "\n    "))
        print("  One request, one time, two secrets:")
        print(f"    sent      {sent}\n    expected  {expected}")
        return (error.status, error.code) == (403, "InvalidSignatureException") and sent != expected
    return False


# The checks.


def count_correct_rows(predictions: list[bytes]) -> int:
    """Return how many of the 150 species were predicted correctly."""
    labels = [
        prediction["label"]
        for body in predictions
        for prediction in json.loads(body)["predictions"]
    ]
    return sum(label == row[4] for label, row in zip(labels, IRIS_ROWS, strict=True))


def check_results(results: TransportResults, reference: TransportResults) -> dict[str, bool]:
    """Return which checks hold; `reference` are the results of another transport."""
    outcomes = [attempt.outcome for attempt in results.flaky_output.metadata.attempts]
    first_tokens = results.tokens.pieces[:TOKENS_BEFORE_CUT]
    numbered_lines = [f"{number} {line.decode()}\n" for number, line in enumerate(SESSION_LINES, 1)]
    return {
        "150 rows classified": count_correct_rows(results.predictions) >= MIN_CORRECT_ROWS
        and results.predictions == reference.predictions,
        "3 prompts continued": all(results.completions)
        and results.completions == reference.completions,
        "a 503 tried again": outcomes == ["ServiceUnavailable", "ok"]
        and results.flaky_output.custom_attributes == "trace_id=demo",
        "tokens streamed live": results.tokens.failure is None
        and results.tokens.arrived_live
        and results.tokens.text == results.completions[0],
        "a cut stream caught": isinstance(results.truncated_tokens.failure, sm.TruncatedStream)
        and results.truncated_tokens.pieces == first_tokens,
        "a session remembered": results.session_answer == "".join(numbered_lines),
        "an async job awaited": results.async_answer.decode() == results.completions[0],
    }


def print_report(results: dict[str, TransportResults], endpoint_checks: dict[str, bool]) -> bool:
    """Print the table of all checks; return whether all hold."""
    reference = next(iter(results.values()))
    columns = {name: check_results(result, reference) for name, result in results.items()}

    def print_row(title: str, cells: list[str]) -> None:
        print(f"{title:<24}" + "".join(f"{cell:>10}" for cell in cells))

    print()
    print_row("", list(columns))
    for title in next(iter(columns.values())):
        print_row(title, ["ok" if column[title] else "MISMATCH" for column in columns.values()])
    for title, holds in endpoint_checks.items():
        print_row(title, ["ok" if holds else "MISMATCH"])
    correct_rows = [str(count_correct_rows(result.predictions)) for result in results.values()]
    print_row("rows right, of 150", correct_rows)
    print_row("seconds for 105 calls", [f"{result.seconds:.2f}" for result in results.values()])
    return all(all(column.values()) for column in (endpoint_checks, *columns.values()))


def main() -> int:
    with smruntime_local.serve() as endpoint:
        print(f"A SageMaker Runtime on {endpoint.url}, region {endpoint.region}.")
        print("It verifies every signature.\n")
        print("A language model of Python's documentation, token by token, then cut short:")
        settings = Settings(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        )
        fetch = endpoint.fetch
        results = {
            "sockets": make_calls("sockets", sockets.Client(**settings), fetch),
            "urllib3": make_calls("urllib3", on_urllib3.Client(**settings), fetch),
            "trio": trio.run(make_calls_async, "trio", on_trio.AsyncClient(**settings), fetch),
            "asyncio": asyncio.run(
                make_calls_async("asyncio", on_asyncio.AsyncClient(**settings), fetch)
            ),
        }
        print("\nA session, as its container remembered it:")
        print("    " + results["sockets"].session_answer.strip().replace("\n", "\n    "))
        endpoint_checks = {
            "no session opened twice": endpoint.sessions_opened == len(results),
            "a wrong secret refused": refuses_wrong_secret(endpoint),
        }
    return 0 if print_report(results, endpoint_checks) else 1


if __name__ == "__main__":
    sys.exit(main())
