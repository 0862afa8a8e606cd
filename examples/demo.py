"""The main job, shown whole: a local endpoint that verifies every signature serves real models, and every transport calls it:
one answer at a time, streamed, in a session, answered later, cut short. Exits non-zero on any mismatch.

    make demo
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
from smruntime_transports import Settings, sockets
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

# What is asked: values, the same for every transport.

ROWS = list(
    csv.reader((files("smruntime_local.models") / "iris.csv").read_text("ascii").splitlines()[1:])
)
MOST_ROWS = 140  # of 150: fewer would mean that rows or answers were mixed up
PROMPTS = ("The import statement", "An exception is raised when", "A class definition")
DELAY = 0.02  # seconds between two tokens of a stream
WHOLE = 5  # tokens before the stream that is cut short is
SAID = (b"My name is Ada.", b"I like engines.", b"What do you know of me?")
FLAKY = sm.InvokeEndpoint(endpoint_name="flaky", body=b"again", custom_attributes="trace_id=demo")


def iris_calls() -> list[sm.InvokeEndpoint]:
    """All 150 rows: the first 50 as CSV one by one, the next 50 as JSON one by one, the rest in one CSV body."""
    rows = [",".join(row[:4]) for row in ROWS]
    lines = [row.encode() for row in rows[:50]]
    documents = [
        json.dumps({"instances": [[float(value) for value in row[:4]]]}).encode()
        for row in ROWS[50:100]
    ]
    return [
        *(
            sm.InvokeEndpoint(
                endpoint_name="iris", body=line, content_type="text/csv", accept="application/json"
            )
            for line in lines
        ),
        *(
            sm.InvokeEndpoint(endpoint_name="iris", body=body, content_type="application/json")
            for body in documents
        ),
        sm.InvokeEndpoint(
            endpoint_name="iris",
            body="\n".join(rows[100:]).encode(),
            content_type="text/csv",
            accept="application/json",
        ),
    ]


def asking(prompt: str) -> bytes:
    return json.dumps({"prompt": prompt, "max_tokens": 24, "seed": 7}).encode()


def prompt_calls() -> list[sm.InvokeEndpoint]:
    return [
        sm.InvokeEndpoint(
            endpoint_name="ngram",
            body=asking(prompt),
            content_type="application/json",
            accept="text/plain",
        )
        for prompt in PROMPTS
    ]


def streamed_call(attributes: str) -> sm.InvokeEndpointWithResponseStream:
    return sm.InvokeEndpointWithResponseStream(
        endpoint_name="ngram",
        body=asking(PROMPTS[0]),
        content_type="application/json",
        accept="text/plain",
        custom_attributes=attributes,
    )


LIVE, TRUNCATED = streamed_call(f"delay={DELAY}"), streamed_call(f"fault=truncate@{WHOLE}")
LATER = sm.InvokeEndpointAsync(
    endpoint_name="ngram",
    body=asking(PROMPTS[0]),
    content_type="application/json",
    accept="text/plain",
)


# What came of it.


class Tokens:
    """Shows the pieces of a stream as they come, and remembers them, when they came, and what ended them."""

    def __init__(self, name: str) -> None:
        self.pieces: list[str] = []
        self.times: list[float] = []
        self.failure: sm.SmRuntimeError | None = None
        print(f"  {name:<9}{PROMPTS[0]} …", end="", flush=True)

    def take(self, piece: str) -> None:
        self.pieces.append(piece)
        self.times.append(time.perf_counter())
        print(re.sub(r"\s+", " ", piece), end="", flush=True)

    def end(self, failure: sm.SmRuntimeError | None = None) -> Tokens:
        self.failure = failure
        print(f"\n           {type(failure).__name__}: {failure}" if failure else "")
        return self

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def live(self) -> bool:
        """They did not come all at once."""
        return self.times[-1] - self.times[0] > (len(self.times) - 1) * DELAY / 2


class Seen(NamedTuple):
    """What one transport brought home; the first three in `seconds`."""

    iris: list[bytes]
    texts: list[str]
    flaky: sm.InvokeEndpointOutput
    seconds: float
    tokens: Tokens
    cut: Tokens
    remembered: str
    later: bytes


# The calls, blocking and awaited.


def blocking(
    name: str, client: sockets.Client | on_urllib3.Client, fetch: Callable[[str], bytes | None]
) -> Seen:
    with client:
        begun = time.perf_counter()
        iris = [client.call(call).body for call in iris_calls()]
        texts = [client.call(call).body.decode() for call in prompt_calls()]
        flaky = client.call(FLAKY)
        seconds = time.perf_counter() - begun
        tokens, cut = stream(client, LIVE, Tokens(name)), stream(client, TRUNCATED, Tokens(name))
        with client.session("chat", content_type="text/plain") as session:
            answers = [session.invoke(body=line).body.decode() for line in SAID]
        later = client.submit(LATER).wait(fetch=fetch, timeout=10)
    return Seen(iris, texts, flaky, seconds, tokens, cut, answers[-1], later)


def stream(
    client: sockets.Client | on_urllib3.Client,
    call: sm.InvokeEndpointWithResponseStream,
    tokens: Tokens,
) -> Tokens:
    try:
        with client.stream(call) as answer:
            for piece in answer.text():
                tokens.take(piece)
    except sm.StreamError as failure:
        return tokens.end(failure)
    return tokens.end()


async def awaited(
    name: str,
    client: on_trio.AsyncClient | on_asyncio.AsyncClient,
    fetch: Callable[[str], bytes | None],
) -> Seen:
    async def fetching(location: str) -> bytes | None:
        return fetch(location)

    async with client:
        begun = time.perf_counter()
        iris = [(await client.call(call)).body for call in iris_calls()]
        texts = [(await client.call(call)).body.decode() for call in prompt_calls()]
        flaky = await client.call(FLAKY)
        seconds = time.perf_counter() - begun
        tokens, cut = (
            await stream_awaited(client, LIVE, Tokens(name)),
            await stream_awaited(client, TRUNCATED, Tokens(name)),
        )
        async with client.session("chat", content_type="text/plain") as session:
            answers = [(await session.invoke(body=line)).body.decode() for line in SAID]
        later = await (await client.submit(LATER)).wait(fetch=fetching, timeout=10)
    return Seen(iris, texts, flaky, seconds, tokens, cut, answers[-1], later)


async def stream_awaited(
    client: on_trio.AsyncClient | on_asyncio.AsyncClient,
    call: sm.InvokeEndpointWithResponseStream,
    tokens: Tokens,
) -> Tokens:
    try:
        async with client.stream(call) as answer:
            async for piece in answer.text():
                tokens.take(piece)
    except sm.StreamError as failure:
        return tokens.end(failure)
    return tokens.end()


def wrong_secret_is_refused(endpoint: smruntime_local.Endpoint) -> bool:
    """Sign with a wrong secret: what the two sides computed differs in the signature alone."""
    right = endpoint.credentials
    wrong = sm.Credentials(right.access_key_id, "not-the-secret", right.session_token)
    call = prompt_calls()[0]
    try:
        with sockets.Client(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=wrong
        ) as client:
            client.call(call)
    except sm.ServiceError as error:
        now = time.time()
        sent, expected = (
            sm.sign(call.request(endpoint.url), keys, endpoint.scope, now=now).signature
            for keys in (wrong, right)
        )
        text = error.message_raw.partition("String-to-Sign should have been")[2].strip().strip("'")
        print(
            f"\nA wrong secret: {error.status} {error.code}; {error.hint}.\n  The endpoint's string to sign:"
        )
        print("    " + text.replace("\n", "\n    "))
        print(
            f"  One request, one time, two secrets:\n    sent      {sent}\n    expected  {expected}"
        )
        return (error.status, error.code) == (403, "InvalidSignatureException") and sent != expected
    return False


# Is it right?


def right_answers(iris: list[bytes]) -> int:
    """How many of the 150 species were told correctly."""
    labels = [
        prediction["label"] for body in iris for prediction in json.loads(body)["predictions"]
    ]
    return sum(label == row[4] for label, row in zip(labels, ROWS, strict=True))


def checks(seen: Seen, first: Seen) -> dict[str, bool]:
    """What must hold of a transport; `first` is another, which must have seen the same."""
    attempts = [attempt.outcome for attempt in seen.flaky.metadata.attempts]
    said = b"".join(b"%d %b\n" % numbered for numbered in enumerate(SAID, 1)).decode()
    return {
        "150 rows classified": right_answers(seen.iris) >= MOST_ROWS and seen.iris == first.iris,
        "3 prompts continued": all(seen.texts) and seen.texts == first.texts,
        "a 503 tried again": attempts == ["ServiceUnavailable", "ok"]
        and seen.flaky.custom_attributes == "trace_id=demo",
        "tokens streamed live": seen.tokens.failure is None
        and seen.tokens.live
        and seen.tokens.text == seen.texts[0],
        "a cut stream caught": isinstance(seen.cut.failure, sm.TruncatedStream)
        and seen.cut.pieces == seen.tokens.pieces[:WHOLE],
        "a session remembered": seen.remembered == said,
        "an async job awaited": seen.later.decode() == seen.texts[0],
    }


def report(seen: dict[str, Seen], besides: dict[str, bool]) -> bool:
    """The closing table; true if all is well. `besides` holds of the endpoint, whoever called it."""
    first = next(iter(seen.values()))
    columns = {name: checks(one, first) for name, one in seen.items()}

    def line(title: str, cells: list[str]) -> None:
        print(f"{title:<24}" + "".join(f"{cell:>10}" for cell in cells))

    print()
    line("", list(columns))
    for title in checks(first, first):
        line(title, ["ok" if column[title] else "MISMATCH" for column in columns.values()])
    for title, good in besides.items():
        line(title, ["ok" if good else "MISMATCH"])
    line("rows right, of 150", [str(right_answers(one.iris)) for one in seen.values()])
    line("seconds for 105 calls", [f"{one.seconds:.2f}" for one in seen.values()])
    return all(all(column.values()) for column in (besides, *columns.values()))


def main() -> int:
    with smruntime_local.serve() as endpoint:
        print(
            f"A SageMaker Runtime on {endpoint.url}, region {endpoint.region}; every signature is verified."
        )
        print(
            "\nA language model of Python's own documentation, token by token, then with the answer cut short:"
        )
        settings = Settings(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        )
        seen = {
            "sockets": blocking("sockets", sockets.Client(**settings), endpoint.fetch),
            "urllib3": blocking("urllib3", on_urllib3.Client(**settings), endpoint.fetch),
            "trio": trio.run(awaited, "trio", on_trio.AsyncClient(**settings), endpoint.fetch),
            "asyncio": asyncio.run(
                awaited("asyncio", on_asyncio.AsyncClient(**settings), endpoint.fetch)
            ),
        }
        print("\nA session, as its container remembered it:")
        print("    " + seen["sockets"].remembered.strip().replace("\n", "\n    "))
        besides = {
            "no session opened twice": endpoint.sessions_opened == len(seen),
            "a wrong secret refused": wrong_secret_is_refused(endpoint),
        }
    return 0 if report(seen, besides) else 1


if __name__ == "__main__":
    sys.exit(main())
