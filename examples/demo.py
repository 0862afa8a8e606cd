"""The main job, shown whole: a local endpoint that verifies every signature serves two real models, and calls go to it
through every transport. Exits non-zero on any mismatch.

    make demo
"""

from __future__ import annotations

import csv
import json
import sys
import time
from importlib.resources import files
from typing import NamedTuple

import trio

import smruntime_core as sm
import smruntime_local
from smruntime_transports import Settings, sockets
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

MOST_ROWS = 140  # of 150: fewer would mean that rows or answers were mixed up
PROMPTS = ("The import statement", "An exception is raised when", "A class definition")
ROWS = list(csv.reader((files(smruntime_local) / "iris.csv").read_text("ascii").splitlines()[1:]))


def iris_calls() -> list[sm.InvokeEndpoint]:
    """All 150 rows: the first 50 as CSV one by one, the next 50 as JSON one by one, the rest in one CSV body."""
    rows = [",".join(row[:4]) for row in ROWS]
    calls = [
        sm.InvokeEndpoint(endpoint_name="iris", body=row.encode(), content_type="text/csv", accept="application/json") for row in rows[:50]
    ]
    for row in ROWS[50:100]:
        body = json.dumps({"instances": [[float(value) for value in row[:4]]]}).encode()
        calls.append(sm.InvokeEndpoint(endpoint_name="iris", body=body, content_type="application/json"))
    body = "\n".join(rows[100:]).encode()
    calls.append(sm.InvokeEndpoint(endpoint_name="iris", body=body, content_type="text/csv", accept="application/json"))
    return calls


def prompt_calls() -> list[sm.InvokeEndpoint]:
    return [
        sm.InvokeEndpoint(
            endpoint_name="ngram",
            body=json.dumps({"prompt": prompt, "max_tokens": 16, "seed": 7}).encode(),
            content_type="application/json",
            accept="text/plain",
        )
        for prompt in PROMPTS
    ]


def flaky_call() -> sm.InvokeEndpoint:
    return sm.InvokeEndpoint(endpoint_name="flaky", body=b"again", custom_attributes="trace_id=demo")


class Seen(NamedTuple):
    """What one transport brought home, and in how many seconds."""

    iris: list[bytes]
    texts: list[str]
    flaky: sm.InvokeEndpointOutput
    seconds: float


def blocking(client: sockets.Client | on_urllib3.Client) -> Seen:
    with client:
        begun = time.perf_counter()
        return Seen(
            [client.call(call).body for call in iris_calls()],
            [client.call(call).body.decode() for call in prompt_calls()],
            client.call(flaky_call()),
            time.perf_counter() - begun,
        )


async def on_trio_client(client: on_trio.AsyncClient) -> Seen:
    async with client:
        begun = time.perf_counter()
        return Seen(
            [(await client.call(call)).body for call in iris_calls()],
            [(await client.call(call)).body.decode() for call in prompt_calls()],
            await client.call(flaky_call()),
            time.perf_counter() - begun,
        )


def show_wrong_secret(endpoint: smruntime_local.Endpoint) -> bool:
    """Sign with a wrong secret: what the two sides computed differs in the signature alone."""
    right = endpoint.credentials
    wrong = sm.Credentials(right.access_key_id, "not-the-secret", right.session_token)
    call = sm.InvokeEndpoint(endpoint_name="iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
    mine = sm.sign(call.request(endpoint.url), wrong, endpoint.scope, now=time.time())
    try:
        with sockets.Client(region=endpoint.region, endpoint_url=endpoint.url, credentials=wrong) as client:
            client.call(call)
    except sm.ServiceError as error:
        print(f"\nA wrong secret: {error.status} {error.code}")
        print("  the endpoint's string to sign:")
        text = error.message_raw.partition("String-to-Sign should have been")[2].strip().strip("'")
        print("    " + text.replace("\n", "\n    "))
        print("  same request and time, two secrets, two signatures:")
        theirs = sm.sign(call.request(endpoint.url), right, endpoint.scope, now=time.time())
        print(f"    sent      {mine.signature}\n    expected  {theirs.signature}")
        return (error.status, error.code) == (403, "InvalidSignatureException") and mine.signature != theirs.signature
    return False


def right_answers(iris: list[bytes]) -> int:
    """How many of the 150 species were told correctly."""
    labels = [prediction["label"] for body in iris for prediction in json.loads(body)["predictions"]]
    return sum(label == row[4] for label, row in zip(labels, ROWS, strict=True))


def main() -> int:
    with smruntime_local.serve() as endpoint:
        print(f"A SageMaker Runtime on {endpoint.url}, region {endpoint.region}; every signature is verified.")
        settings = Settings(region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials)
        seen = {
            "sockets": blocking(sockets.Client(**settings)),
            "urllib3": blocking(on_urllib3.Client(**settings)),
            "trio": trio.run(on_trio_client, on_trio.AsyncClient(**settings)),
        }
        refused = show_wrong_secret(endpoint)

    first = seen["sockets"]
    print("\nA language model of Python's own documentation:")
    for prompt, text in zip(PROMPTS, first.texts, strict=True):
        print(f"  {prompt} … {' '.join(text.split())[:90]}")
    attempts = first.flaky.metadata.attempts
    print("\nA 503, retried: " + ", ".join(f"{attempt.outcome} after waiting {attempt.waited * 1000:.0f} ms" for attempt in attempts))

    print(f"\n{'transport':<10}{'rows':>6}{'right':>7}{'prompts':>9}{'attempts at flaky':>19}{'seconds':>9}  verdict")
    good = refused
    for name, result in seen.items():
        retried = [attempt.outcome for attempt in result.flaky.metadata.attempts] == ["ServiceUnavailable", "ok"]
        same = (result.iris, result.texts) == (first.iris, first.texts) and all(result.texts)
        right = right_answers(result.iris)
        verdict = retried and same and right >= MOST_ROWS and result.flaky.custom_attributes == "trace_id=demo"
        good = good and verdict
        count = len(result.flaky.metadata.attempts)
        line = f"{name:<10}{len(ROWS):>6}{right:>7}{len(result.texts):>9}{count:>19}{result.seconds:>9.2f}"
        print(f"{line}  {'ok' if verdict else 'MISMATCH'}")
    print(f"{'wrong secret':<51}{'':>9}  {'refused, ok' if refused else 'NOT REFUSED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
