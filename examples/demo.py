"""Show what the library does: each short piece of code, and beside it what it prints.

    make demo

The endpoint on loopback verifies every signature and serves real models. The first part shows the
steps over one transport, the second makes the same calls over all four and compares the answers.
The exit status is 1 if anything is not as expected.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import inspect
import io
import sys
import textwrap
import time
from collections.abc import Callable
from importlib.resources import files
from typing import Any, NamedTuple, TextIO

import trio

import smruntime_core as sm
import smruntime_local
from smruntime_core.codecs import as_csv, as_json, as_text
from smruntime_transports import AsyncClient, Client, Settings, sockets
from smruntime_transports import asyncio as on_asyncio
from smruntime_transports import trio as on_trio
from smruntime_transports import urllib3 as on_urllib3

# The first part: the body of each function is printed, then run. A function returns whether all is
# as expected; that line is not printed.

PROMPT = {"prompt": "The import statement", "max_tokens": 24, "seed": 7}
TOKEN_DELAY = 0.02  # seconds between two tokens of a stream
TOKENS_BEFORE_CUT = 5


def make_a_call(client: Client, settings: Settings) -> bool:
    flower = as_csv([[5.1, 3.5, 1.4, 0.2]], accept="application/json")
    output = client.invoke_endpoint("iris", **flower)

    print(output.json())
    print(output.metadata.status, output.content_type, output.invoked_production_variant)
    return "setosa" in output.text() and output.metadata.status == 200


def read_a_stream_as_tokens_arrive(client: Client, settings: Settings) -> bool:
    times = []
    with client.invoke_endpoint_with_response_stream(
        "ngram", **as_json(PROMPT, accept="text/plain"), custom_attributes="delay=0.02"
    ) as stream:
        for text in stream.text():
            print(text, end="|", flush=True)
            times.append(time.perf_counter())

    print(f"\n{len(times)} pieces in {times[-1] - times[0]:.2f} s")
    return len(times) > TOKENS_BEFORE_CUT and arrived_live(times)


def notice_a_stream_that_breaks_off(client: Client, settings: Settings) -> bool:
    pieces = []
    try:
        with client.invoke_endpoint_with_response_stream(
            "ngram", **as_json(PROMPT, accept="text/plain"), custom_attributes="fault=truncate@5"
        ) as stream:
            for text in stream.text():
                pieces.append(text)
    except sm.TruncatedStream as error:
        failure = error
        print(f"{pieces}\nTruncatedStream: {error}")
    return len(pieces) == TOKENS_BEFORE_CUT and bool(failure.metadata.request_id)


def keep_a_session(client: Client, settings: Settings) -> bool:
    with client.session("chat") as session:  # one container for all of its calls
        session.invoke(**as_text("My name is Ada."))
        session.invoke(**as_text("I like engines."))
        answer = session.invoke(**as_text("What do you know of me?"))

    print(answer.text(), end="")
    return answer.text() == SESSION_ANSWER


def wait_for_an_asynchronous_job(client: Client, settings: Settings) -> bool:
    flowers = as_csv([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], accept="application/json")
    job = client.invoke_endpoint_async("iris", **flowers)
    print("the answer will be at", job.output_location)

    answer = job.result(timeout=10)
    print(answer.json())
    return answer.text().index("setosa") < answer.text().index("virginica")


def see_a_503_retried(client: Client, settings: Settings) -> bool:
    output = client.invoke_endpoint("flaky", body=b"again")  # it fails every other time

    for attempt in output.metadata.attempts:
        print(f"waited {attempt.waited:.3f} s: {attempt.status} {attempt.outcome}")
    return [attempt.status for attempt in output.metadata.attempts] == [503, 200]


def be_refused_with_a_wrong_secret(client: Client, settings: Settings) -> bool:
    right = client.credentials()
    wrong = sm.Credentials(right.access_key_id, "not-the-secret", right.session_token)
    try:
        with Client(**(settings | {"credentials": wrong})) as stranger:
            stranger.invoke_endpoint("iris", body=b"5.1,3.5,1.4,0.2")
    except sm.ServiceError as error:
        refusal = error
        print(f"{error.status} {error.code}\nhint: {error.hint}")
    expected = 403, "InvalidSignatureException"
    return (refusal.status, refusal.code) == expected and "secret" in (refusal.hint or "")


def sign_without_sending(client: Client, settings: Settings) -> bool:
    question = sm.InvokeEndpoint("iris", body=b"5.1,3.5,1.4,0.2", content_type="text/csv")
    request = question.request("https://runtime.sagemaker.eu-west-1.amazonaws.com")
    scope = sm.Scope("eu-west-1", "sagemaker")

    signature = sm.sign(request, sm.Credentials("AKIDEXAMPLE", "my-secret"), scope, now=1.8e9)
    other = sm.sign(request, sm.Credentials("AKIDEXAMPLE", "not-my-secret"), scope, now=1.8e9)
    print(signature.headers)
    print(signature.signature[:8], "or, with another secret,", other.signature[:8])
    return signature.signature[:8] == "b0c893b3" and other.signature != signature.signature


def make_100_calls_at_once(client: Client, settings: Settings) -> bool:
    async def classify(shared: AsyncClient, width: float) -> sm.InvokeEndpointOutput:
        flower = as_csv([[5.1, 3.5, width, 0.2]], accept="application/json")
        return await shared.invoke_endpoint("iris", **flower)

    async def classify_all() -> list[sm.InvokeEndpointOutput]:
        async with AsyncClient(**settings) as shared, asyncio.timeout(20):
            return await asyncio.gather(*(classify(shared, n / 20) for n in range(100)))

    answers = asyncio.run(classify_all())
    is_setosa = ["setosa" in answer.text() for answer in answers]
    print(f"{len(answers)} answers, {sum(is_setosa)} times setosa")
    return len(answers) == 100 and is_setosa == sorted(is_setosa, reverse=True) and any(is_setosa)


STEPS: list[Callable[[Client, Settings], bool]] = [
    make_a_call,
    read_a_stream_as_tokens_arrive,
    notice_a_stream_that_breaks_off,
    keep_a_session,
    wait_for_an_asynchronous_job,
    see_a_503_retried,
    be_refused_with_a_wrong_secret,
    sign_without_sending,
    make_100_calls_at_once,
]


def arrived_live(times: list[float]) -> bool:
    """Return whether pieces arrived one after the other, not all at once."""
    return times[-1] - times[0] > (len(times) - 1) * TOKEN_DELAY / 2


class Margin(io.TextIOBase):
    """Writes to `out`, each line behind a margin, as it comes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._at_line_start = True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self._out.write(("    │ " if self._at_line_start else "") + line)
            self._at_line_start = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        self._out.flush()


def show_step(step: Callable[[Client, Settings], bool], client: Client, settings: Settings) -> bool:
    """Print the code of a step, then what it prints; return whether that is as expected."""
    body = textwrap.dedent(inspect.getsource(step)).partition("\n")[2]
    code = textwrap.dedent(body[: body.rindex("\n    return ")])
    print(f"\n{step.__name__.replace('_', ' ').capitalize()}\n\n{textwrap.indent(code, '    ')}\n")
    with contextlib.redirect_stdout(Margin(sys.stdout)):
        try:
            is_expected = step(client, settings)
        except Exception as error:
            print(f"\n{type(error).__name__}: {error}")
            is_expected = False
    if not is_expected:
        print("    NOT AS EXPECTED")
    return is_expected


# The second part: the same calls over every transport.

IRIS_ROWS = list(
    csv.reader((files("smruntime_local.models") / "iris.csv").read_text("ascii").splitlines()[1:])
)
MIN_CORRECT_ROWS = 140  # of 150: fewer would mean that rows or answers were mixed up
PROMPTS = ("The import statement", "An exception is raised when", "A class definition")
SESSION_LINES = ("My name is Ada.", "I like engines.", "What do you know of me?")
SESSION_ANSWER = "".join(f"{number} {line}\n" for number, line in enumerate(SESSION_LINES, 1))

# 150 rows: 50 as CSV and 50 as JSON, one by one; 50 in one CSV body
IRIS_CALLS = [
    *(
        sm.InvokeEndpoint("iris", **as_csv([row[:4]], accept="application/json"))
        for row in IRIS_ROWS[:50]
    ),
    *(
        sm.InvokeEndpoint("iris", **as_json({"instances": [[float(cell) for cell in row[:4]]]}))
        for row in IRIS_ROWS[50:100]
    ),
    sm.InvokeEndpoint(
        "iris", **as_csv([row[:4] for row in IRIS_ROWS[100:]], accept="application/json")
    ),
]
PROMPT_CALLS = [
    sm.InvokeEndpoint("ngram", **as_json(PROMPT | {"prompt": prompt}, accept="text/plain"))
    for prompt in PROMPTS
]
FLAKY_CALL = sm.InvokeEndpoint("flaky", body=b"again", custom_attributes="trace_id=demo")
ASYNC_CALL = sm.InvokeEndpointAsync("ngram", **as_json(PROMPT, accept="text/plain"))
LIVE_CALL, TRUNCATED_CALL = (
    sm.InvokeEndpointWithResponseStream(
        "ngram", **as_json(PROMPT, accept="text/plain"), custom_attributes=attributes
    )
    for attributes in (f"delay={TOKEN_DELAY}", f"fault=truncate@{TOKENS_BEFORE_CUT}")
)


class StreamRecord:
    """The pieces of a stream, their times, and the error that ended it."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.times: list[float] = []
        self.failure: sm.SmRuntimeError | None = None

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.times.append(time.perf_counter())


class TransportResults(NamedTuple):
    """The answers over one transport; the first three took `seconds`."""

    predictions: list[list[str]]
    completions: list[str]
    flaky_output: sm.InvokeEndpointOutput
    seconds: float
    live: StreamRecord
    truncated: StreamRecord
    session_answer: str
    async_answer: str


def make_calls(client: Client) -> TransportResults:
    with client:
        started = time.perf_counter()
        predictions = [read_labels(client.call(call)) for call in IRIS_CALLS]
        completions = [client.call(call).text() for call in PROMPT_CALLS]
        flaky_output = client.call(FLAKY_CALL)
        seconds = time.perf_counter() - started
        live, truncated = (record_stream(client, call) for call in (LIVE_CALL, TRUNCATED_CALL))
        with client.session("chat") as session:
            answers = [session.invoke(**as_text(line)).text() for line in SESSION_LINES]
        async_answer = client.submit(ASYNC_CALL).result(timeout=10).text()
    return TransportResults(
        predictions, completions, flaky_output, seconds, live, truncated, answers[-1], async_answer
    )


def record_stream(client: Client, call: sm.InvokeEndpointWithResponseStream) -> StreamRecord:
    record = StreamRecord()
    try:
        with client.stream(call) as stream:
            for piece in stream.text():
                record.add(piece)
    except sm.StreamError as failure:
        record.failure = failure
    return record


async def make_calls_async(client: AsyncClient) -> TransportResults:
    async with client:
        started = time.perf_counter()
        predictions = [read_labels(await client.call(call)) for call in IRIS_CALLS]
        completions = [(await client.call(call)).text() for call in PROMPT_CALLS]
        flaky_output = await client.call(FLAKY_CALL)
        seconds = time.perf_counter() - started
        live = await record_stream_async(client, LIVE_CALL)
        truncated = await record_stream_async(client, TRUNCATED_CALL)
        async with client.session("chat") as session:
            answers = [(await session.invoke(**as_text(line))).text() for line in SESSION_LINES]
        job = await client.submit(ASYNC_CALL)
        async_answer = (await job.result(timeout=10)).text()
    return TransportResults(
        predictions, completions, flaky_output, seconds, live, truncated, answers[-1], async_answer
    )


async def record_stream_async(
    client: AsyncClient, call: sm.InvokeEndpointWithResponseStream
) -> StreamRecord:
    record = StreamRecord()
    try:
        async with client.stream(call) as stream:
            async for piece in stream.text():
                record.add(piece)
    except sm.StreamError as failure:
        record.failure = failure
    return record


def read_labels(output: sm.InvokeEndpointOutput) -> list[str]:
    answer: Any = output.json()
    return [prediction["label"] for prediction in answer["predictions"]]


def count_correct_rows(results: TransportResults) -> int:
    """Return how many of the 150 species were predicted correctly."""
    labels = [label for answer in results.predictions for label in answer]
    return sum(label == row[4] for label, row in zip(labels, IRIS_ROWS, strict=True))


def check_results(results: TransportResults, reference: TransportResults) -> dict[str, bool]:
    """Return which checks hold; `reference` are the results of another transport."""
    outcomes = [attempt.outcome for attempt in results.flaky_output.metadata.attempts]
    live, truncated = results.live, results.truncated
    return {
        "150 rows classified": count_correct_rows(results) >= MIN_CORRECT_ROWS
        and results.predictions == reference.predictions,
        "3 prompts continued": all(results.completions)
        and results.completions == reference.completions,
        "a 503 tried again": outcomes == ["ServiceUnavailable", "ok"]
        and results.flaky_output.custom_attributes == "trace_id=demo",
        "tokens streamed live": live.failure is None
        and arrived_live(live.times)
        and "".join(live.pieces) == results.completions[0],
        "a cut stream caught": isinstance(truncated.failure, sm.TruncatedStream)
        and truncated.pieces == live.pieces[:TOKENS_BEFORE_CUT],
        "a session remembered": results.session_answer == SESSION_ANSWER,
        "an async job awaited": results.async_answer == results.completions[0],
    }


def print_table(results: dict[str, TransportResults]) -> bool:
    """Print the checks of all transports; return whether all hold."""
    reference = next(iter(results.values()))
    columns = {name: check_results(result, reference) for name, result in results.items()}

    def print_row(title: str, cells: list[str]) -> None:
        print(f"    {title:<24}" + "".join(f"{cell:>10}" for cell in cells))

    print("\nThe same over every transport\n")
    print_row("", list(columns))
    for title in next(iter(columns.values())):
        print_row(title, ["ok" if column[title] else "MISMATCH" for column in columns.values()])
    print_row(
        "rows right, of 150", [str(count_correct_rows(result)) for result in results.values()]
    )
    print_row("seconds for 105 calls", [f"{result.seconds:.2f}" for result in results.values()])
    return all(all(column.values()) for column in columns.values())


def main() -> int:
    with smruntime_local.serve() as endpoint:
        settings = Settings(
            region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
        )
        print(f"A SageMaker Runtime listens on {endpoint.url} (region {endpoint.region}).")
        print("Here client = Client(**settings), with its URL, region and credentials;")
        print("for AWS, Client() finds them in the places where boto3 does.")
        with Client(**settings) as client:
            expected = [show_step(step, client, settings) for step in STEPS]
        results = {
            "sockets": make_calls(sockets.Client(**settings)),
            "urllib3": make_calls(on_urllib3.Client(**settings)),
            "trio": trio.run(make_calls_async, on_trio.AsyncClient(**settings)),
            "asyncio": asyncio.run(make_calls_async(on_asyncio.AsyncClient(**settings))),
        }
        table_holds = print_table(results)
        sessions_hold = endpoint.sessions_opened == len(results) + 1
    print(f"\n{sum(expected)} of {len(STEPS)} steps were as expected.")
    if not sessions_hold:
        print("A session was opened twice.")
    return 0 if all(expected) and table_holds and sessions_hold else 1


if __name__ == "__main__":
    sys.exit(main())
