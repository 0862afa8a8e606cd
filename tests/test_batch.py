"""Runs of a batch against a server that refuses, fails and answers wrongly."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

import smruntime_local
from smruntime_core import (
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    InvokeEndpointAsync,
    ServiceError,
)
from smruntime_transports import AsyncClient, Client, Settings, batch

from .batch_server import MODEL_ERROR, THROTTLED, Answer, BatchServer, Model, find_id, serving
from .servers import scripted

Runner = Callable[..., batch.Progress]


# Any: some tests pass what the types do not allow
def run_in_threads(server: BatchServer, records: Any, sink: Any, **options: Any) -> batch.Progress:
    with Client(
        region=server.region, endpoint_url=server.url, credentials=server.credentials
    ) as client:
        return batch.run(client, records, sink, **options)


async def run_in_tasks(
    server: BatchServer, records: Any, sink: Any, **options: Any
) -> batch.Progress:
    async with AsyncClient(
        region=server.region, endpoint_url=server.url, credentials=server.credentials
    ) as client:
        return await batch.run_async(client, records, sink, **options)


def run_on_asyncio(server: BatchServer, records: Any, sink: Any, **options: Any) -> batch.Progress:
    return asyncio.run(run_in_tasks(server, records, sink, **options))


def run_on_trio(server: BatchServer, records: Any, sink: Any, **options: Any) -> batch.Progress:
    return trio.run(lambda: run_in_tasks(server, records, sink, **options))


@pytest.fixture(params=[run_in_threads, run_on_asyncio, run_on_trio], ids=lambda r: r.__name__)
def runner(request: pytest.FixtureRequest) -> Runner:
    chosen: Runner = request.param
    return chosen


def by_index(results: list[batch.Result]) -> list[batch.Result]:
    return sorted(results, key=lambda result: result.index)


def collect(
    runner: Runner, model: Model, count: int = 100, **options: object
) -> tuple[batch.Progress, list[batch.Result], BatchServer]:
    """Run records 0 to `count` and return the counts, the results by index, and the server."""
    results: list[batch.Result] = []
    given = {"endpoint": "e", "rows_per_request": 10, **options}
    with serving(model) as server:
        progress = runner(server, range(count), results.append, **given)
    return progress, by_index(results), server


def echo(body: bytes, _in_flight: int) -> Answer:
    return Answer(body)


def failing_for(bad_ids: set[int], failure: Answer = MODEL_ERROR) -> Model:
    def model(body: bytes, _in_flight: int) -> Answer:
        return failure if bad_ids & set(map(find_id, body.splitlines())) else Answer(body)

    return model


def test_every_record_has_its_answer(runner: Runner) -> None:
    progress, results, server = collect(runner, echo, 105)
    assert results == [batch.Result(index, index) for index in range(105)]
    assert (progress.answered, progress.failed, progress.requests) == (105, 0, 11)
    assert progress.records == 105
    assert progress.stopped is None
    assert set(server.runs.values()) == {1}


def test_failing_records_are_isolated_by_halves(runner: Runner) -> None:
    progress, results, server = collect(runner, failing_for({7, 42}))
    failed = {result.index for result in results if result.error}
    assert failed == {7, 42}
    error = results[7].error
    assert error is not None
    assert (error.type, error.code, error.delivery) == ("ModelError", "ModelError", "answered")
    assert [r.output for r in results if not r.error] == sorted(set(range(100)) - failed)
    assert progress.answered == 98 and progress.failed == 2
    assert progress.possibly_repeated == 20, "the groups of the failing records ran again"
    assert max(server.runs.values()) == 1, "this model answers no part of a failing request"


def test_an_answer_with_another_number_of_outputs_is_asked_for_in_halves(runner: Runner) -> None:
    def model(body: bytes, _in_flight: int) -> Answer:
        lines = body.splitlines(keepends=True)
        return Answer(b"".join(lines[1:]) if b"13\n" in lines else body)

    progress, results, server = collect(runner, model)
    assert [result.index for result in results if result.error] == [13]
    error = results[13].error
    assert error is not None
    assert (error.type, error.delivery) == ("ResponseError", "answered")
    assert error.message == "the answer has 0 outputs for 1 record"
    repeated = {record for record, runs in server.runs.items() if runs > 1}
    assert len(repeated) == progress.possibly_repeated == 10


def test_throttled_groups_are_sent_again_until_they_are_answered(runner: Runner) -> None:
    refused: Counter[bytes] = Counter()

    def model(body: bytes, _in_flight: int) -> Answer:
        refused[body] += 1
        return THROTTLED if refused[body] <= 2 and len(refused) < 4 else Answer(body)

    progress, results, _ = collect(runner, model, 60)
    assert [result.output for result in results] == list(range(60))
    assert progress.throttled >= 2
    assert progress.possibly_repeated == 0, "a refused request does not reach the model"


@pytest.mark.parametrize("is_idempotent", [False, True])
def test_what_may_have_arrived_is_sent_again_only_if_the_run_is_idempotent(
    runner: Runner, is_idempotent: bool
) -> None:
    cut: set[bytes] = set()

    def model(body: bytes, _in_flight: int) -> Answer:
        if b"25\n" in body.splitlines(keepends=True) and body not in cut:
            cut.add(body)
            return Answer(body, closes=True)
        return Answer(body)

    # a fresh connection for each call: a kept one that closes at once is known to be stale
    def fresh_model(body: bytes, in_flight: int) -> Answer:
        return model(body, in_flight)._replace(seconds=0.01)

    progress, results, server = collect(
        runner, fresh_model, 40, idempotent=is_idempotent, max_in_flight=8
    )
    lost = [result for result in results if result.error]
    if is_idempotent:
        assert not lost
        assert progress.possibly_repeated == 10
        assert sum(runs > 1 for runs in server.runs.values()) == 10
    else:
        assert [result.index for result in lost] == list(range(20, 30))
        assert {result.error.delivery for result in lost if result.error} == {"maybe_sent"}
        assert max(server.runs.values()) == 1
        assert progress.possibly_repeated == 0


def test_results_are_in_order_if_wanted(runner: Runner) -> None:
    def model(body: bytes, _in_flight: int) -> Answer:
        first = find_id(body.splitlines()[0])
        slow = 0.1 if first == 30 else 0.001 * (first % 7)
        return MODEL_ERROR if first == 50 else Answer(body, seconds=slow)

    results: list[batch.Result] = []
    with serving(model) as server:
        runner(server, range(400), results.append, endpoint="e", rows_per_request=10, ordered=True)
    assert [result.index for result in results] == list(range(400))


def test_an_ordered_run_reads_no_more_than_a_window_ahead() -> None:
    read = 0
    released = threading.Event()

    def records() -> Iterator[int]:
        nonlocal read
        for index in range(2000):
            read += 1
            yield index

    def model(body: bytes, _in_flight: int) -> Answer:
        is_first = find_id(body.splitlines()[0]) == 0
        return Answer(body, seconds=0.0 if released.is_set() or not is_first else 0.5)

    most_read_before_the_first = 0

    def sink(result: batch.Result) -> None:
        nonlocal most_read_before_the_first
        if result.index == 0:
            most_read_before_the_first = read
            released.set()

    with serving(model) as server:
        run_in_threads(
            server, records(), sink, endpoint="e", rows_per_request=5, max_in_flight=8, ordered=True
        )
    assert read == 2000
    assert most_read_before_the_first <= 4 * 5 * 8 + 5


def test_no_more_records_are_read_than_can_be_sent() -> None:
    read = answered = most_ahead = 0

    def records() -> Iterator[int]:
        nonlocal read, most_ahead
        for index in range(1000):
            read += 1
            most_ahead = max(most_ahead, read - answered)
            yield index

    def sink(_result: batch.Result) -> None:
        nonlocal answered
        answered += 1

    with serving(lambda body, _in_flight: Answer(body, seconds=0.01)) as server:
        run_in_threads(server, records(), sink, endpoint="e", rows_per_request=10, max_in_flight=4)
    assert answered == 1000
    assert most_ahead <= 10 * (4 + 1)


def test_max_failures_ends_the_run(runner: Runner) -> None:
    progress, results, server = collect(
        runner, failing_for(set(range(500))), 500, max_failures=5, max_in_flight=2
    )
    assert progress.stopped == "max_failures"
    assert 5 < progress.failed < 40
    assert len(results) == progress.records
    assert not server.runs


def test_a_failure_of_every_call_ends_the_run_and_keeps_its_records_open(
    runner: Runner, tmp_path: Path
) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    denied = Answer(b'{"message": "no"}', 403, "application/json", "AccessDeniedException")
    options = {"endpoint": "e", "checkpoint": checkpoint, "records_name": "r", "resume": True}
    with serving(lambda _body, _in_flight: denied) as server:
        with pytest.raises(ServiceError, match="AccessDenied"):
            runner(server, range(100), out, **options)
        server.model = echo
        progress = runner(server, range(100), out, **options)
    assert progress.answered == 100
    assert progress.possibly_repeated == 0


def test_rate_limits_the_requests_a_second(runner: Runner) -> None:
    started_at = time.monotonic()
    collect(runner, echo, 30, rows_per_request=1, rate=60.0)
    assert 0.4 <= time.monotonic() - started_at < 3


def test_timeout_limits_each_call(runner: Runner) -> None:
    progress, results, _ = collect(
        runner, lambda body, _in_flight: Answer(body, seconds=1.0), 4, timeout=0.1
    )
    assert progress.failed == 4
    error = results[0].error
    assert error is not None
    assert (error.code, error.delivery) == ("timeout", "maybe_sent")


def test_should_stop_finishes_what_is_in_flight_and_resume_continues(
    runner: Runner, tmp_path: Path
) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    stopping = False

    def model(body: bytes, _in_flight: int) -> Answer:
        nonlocal stopping
        stopping = server.requests > 10
        return Answer(body, seconds=0.02)

    options = {
        "endpoint": "e",
        "checkpoint": checkpoint,
        "records_name": "numbers",
        "resume": True,
        "max_in_flight": 4,
    }
    with serving(model) as server:
        first = runner(server, range(100), out, should_stop=lambda: stopping, **options)
        assert first.stopped == "interrupted"
        assert 10 < first.answered < 30
        assert first.in_flight == 0
        second = runner(server, range(100), out, **options)
    assert second.finished_before == first.answered
    assert second.answered == 100 - first.answered
    assert set(server.runs.values()) == {1}
    lines = [json.loads(line) for line in out.read_bytes().splitlines()]
    assert sorted(line["index"] for line in lines) == list(range(100))


def test_invalid_records_end_the_run_or_are_errors_of_their_own(
    runner: Runner, tmp_path: Path
) -> None:
    path = tmp_path / "in"
    path.write_text("1\n{\n3\n")
    results: list[batch.Result] = []
    with serving() as server:
        with pytest.raises(ConstructionError, match=r"line 2 is not JSON.*skip_invalid=True"):
            runner(server, batch.read_jsonl(path), results.append, endpoint="e")
        assert [result.index for result in results] == [0], "what was sent is finished"
        results.clear()
        progress = runner(
            server, batch.read_jsonl(path), results.append, endpoint="e", skip_invalid=True
        )
    assert (progress.answered, progress.failed, progress.invalid) == (2, 1, 1)
    error = by_index(results)[1].error
    assert error is not None
    assert (error.type, error.delivery) == ("InvalidRecord", "not_sent")


def test_groups_are_closed_before_they_exceed_the_size_of_a_request(runner: Runner) -> None:
    sizes: list[int] = []

    def model(body: bytes, _in_flight: int) -> Answer:
        sizes.append(len(body))
        return Answer(body)

    records = [[index, "x" * size] for index, size in enumerate([10, 90, 90, 10, 500, 10])]
    results: list[batch.Result] = []
    with serving(model) as server:
        runner(
            server,
            records,
            results.append,
            endpoint="e",
            rows_per_request=100,
            max_request_size=220,
        )
    assert [result.output for result in by_index(results)] == records
    assert sum(size > 230 for size in sizes) == 1, "a record larger than that is sent alone"


def test_a_large_record_passes(runner: Runner) -> None:
    record = [0, "x" * 5_000_000]
    results: list[batch.Result] = []
    with serving() as server:
        runner(server, [record], results.append, endpoint="e")
    assert results == [batch.Result(0, record)]


def test_async_iterables_are_read(tmp_path: Path) -> None:
    async def records() -> AsyncIterator[int]:
        for index in range(25):
            await asyncio.sleep(0)
            yield index

    results: list[batch.Result] = []
    with serving() as server:
        run_on_asyncio(server, records(), results.append, endpoint="e", rows_per_request=10)
    assert [result.output for result in by_index(results)] == list(range(25))


def test_an_empty_batch_sends_nothing(runner: Runner) -> None:
    progress, results, server = collect(runner, echo, 0)
    assert (progress.records, results, server.requests) == (0, [], 0)


def test_an_exception_of_the_sink_ends_the_run(runner: Runner) -> None:
    def sink(_result: batch.Result) -> None:
        raise RuntimeError("full")

    with serving() as server, pytest.raises(RuntimeError, match="full"):
        runner(server, range(100), sink, endpoint="e")


RESUME_CHANGES: list[tuple[dict[str, object], str]] = [
    ({"endpoint": "other"}, 'another endpoint.endpoint_name ("e" then, "other" now)'),
    ({"codec": batch.JSONCodec()}, "another codec.accept"),
    ({"endpoint": InvokeEndpoint(endpoint_name="e", body=b"", target_model="m")}, "target_model"),
    ({"records": [2]}, "another records.sha256"),
]


@pytest.mark.parametrize(("changes", "message"), RESUME_CHANGES, ids=lambda value: str(value)[:20])
def test_resume_refuses_other_records_and_options(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path, out = tmp_path / "in", tmp_path / "out"
    path.write_text("1\n")
    options: dict[str, object] = {"endpoint": "e", "checkpoint": tmp_path / "checkpoint"}
    with serving() as server:
        run_in_threads(server, batch.read_jsonl(path), out, **options)
        written = out.read_bytes()
        if "records" in changes:
            path.write_text("2\n")
        else:
            options |= changes
        with pytest.raises(ConstructionError) as refusal:
            run_in_threads(server, batch.read_jsonl(path), out, resume=True, **options)
    assert message in str(refusal.value)
    assert out.read_bytes() == written


def test_resume_reads_the_earlier_part_of_a_file_that_has_grown(tmp_path: Path) -> None:
    path, out = tmp_path / "in", tmp_path / "out"
    path.write_text("0\n1\n")
    with serving() as server:
        for _ in range(2):
            progress = run_in_threads(
                server,
                batch.read_jsonl(path),
                out,
                endpoint="e",
                checkpoint=tmp_path / "checkpoint",
                resume=True,
            )
            path.write_text("0\n1\n2\n")
    assert progress.records == progress.finished_before == 2


def test_an_output_that_exists_is_refused_without_resume(tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    out.write_text("something\n")
    with serving() as server:
        with pytest.raises(ConstructionError, match="has results already"):
            run_in_threads(server, [1], out, endpoint="e")
        options = {"endpoint": "e", "checkpoint": checkpoint, "records_name": "r"}
        with pytest.raises(ConstructionError, match="has results already"):
            run_in_threads(server, [1], out, resume=True, **options)
        out.unlink()
        run_in_threads(server, [1], out, **options)
        out.write_text("something\n")
        with pytest.raises(ConstructionError, match=r"line 1 of .* is no result"):
            run_in_threads(server, [1], out, resume=True, **options)
        checkpoint.write_text("something\n")
        with pytest.raises(ConstructionError, match="is no checkpoint"):
            run_in_threads(server, [1], out, resume=True, **options)
        checkpoint.write_text('{"version": 1}\n? 1\n')
        out.unlink()
        with pytest.raises(ConstructionError, match=r"another codec|line 2"):
            run_in_threads(server, [1], out, resume=True, **options)


def test_a_checkpoint_is_of_one_run_at_a_time(tmp_path: Path) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    refusals: list[str] = []

    def model(body: bytes, _in_flight: int) -> Answer:
        return Answer(body, seconds=0.05)

    def sink_twin() -> None:
        try:
            run_in_threads(
                server, [1], out, endpoint="e", checkpoint=checkpoint, records_name="r", resume=True
            )
        except ConstructionError as refusal:
            refusals.append(str(refusal))

    def records() -> Iterator[int]:
        yield 1
        sink_twin()

    with serving(model) as server:
        run_in_threads(
            server, records(), out, endpoint="e", checkpoint=checkpoint, records_name="r"
        )
    assert refusals == [f"checkpoint: another process writes {checkpoint}"]


WRONG_OPTIONS: list[tuple[dict[str, object], str]] = [
    ({"endpoint": None}, "endpoint: .*must be the name"),
    ({"endpoint": 3}, "endpoint: .*must be the name"),
    ({"rows_per_request": 0}, "rows_per_request"),
    ({"rows_per_request": 2, "codec": batch.JSONCodec('"$record"')}, "rows_per_request"),
    ({"max_in_flight": 101}, r"Client\(max_connections=101\)"),
    ({"max_in_flight": True}, "max_in_flight"),
    ({"resume": True}, "checkpoint"),
    ({"checkpoint": "c"}, "sink: must be a path"),
    ({"rate": 0}, "rate"),
    ({"timeout": -1}, "timeout"),
    ({"max_failures": -1}, "max_failures"),
    ({"max_attempts": 0}, "max_attempts"),
    ({"ordered": 1}, "ordered"),
    ({"observe": 1}, "observe"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG_OPTIONS, ids=lambda value: str(value)[:30])
def test_wrong_options_are_refused_before_anything_is_sent(
    changes: dict[str, object], message: str
) -> None:
    options = {"endpoint": "e", **changes}
    with serving() as server:
        with pytest.raises(ConstructionError, match=message):
            run_in_threads(server, [1], [].append, **options)
        assert server.requests == 0


def test_misspelt_options_and_wrong_clients_are_refused() -> None:
    with serving() as server:
        with pytest.raises(TypeError, match="did you mean rows_per_request"):
            run_in_threads(server, [1], print, endpoint="e", row_per_request=3)
        for records in ("path", {"a": 1}, 3):
            with pytest.raises(ConstructionError, match="records"):
                run_in_threads(server, records, print, endpoint="e")
        with pytest.raises(ConstructionError, match="sink"):
            run_in_threads(server, [1], 3, endpoint="e")
    async_client: Any = AsyncClient(region="r")
    with pytest.raises(ConstructionError, match="run_async"):
        batch.run(async_client, [1], print, endpoint="e")


def connect(endpoint: smruntime_local.Endpoint) -> Client:
    return Client(
        region=endpoint.region, endpoint_url=endpoint.url, credentials=endpoint.credentials
    )


def asynchronous(name: str) -> InvokeEndpointAsync:
    return InvokeEndpointAsync(endpoint_name=name, body=b"")


def test_asynchronous_invocations_are_submitted_and_collected() -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [1, 2], [6.7, 3.0, 5.2, 2.3]]
    results: list[batch.Result] = []
    with smruntime_local.serve() as endpoint, connect(endpoint) as client:
        progress = batch.run(
            client,
            rows,
            results.append,
            endpoint=asynchronous("iris"),
            codec=batch.JSONCodec(),
            rows_per_request=3,
        )
        with pytest.raises(ConstructionError, match="pass input_prefix="):
            batch.run(client, ["x" * 130_000], results.append, endpoint=asynchronous("echo"))
    assert (progress.answered, progress.failed) == (2, 1)
    outcomes = [result.error.type if result.error else "" for result in by_index(results)]
    assert outcomes == ["", "ModelError", ""]


def test_a_job_that_was_submitted_before_a_crash_is_collected_and_not_submitted_again(
    tmp_path: Path,
) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "checkpoint"
    rows = [[5.1, 3.5, 1.4, 0.2]] * 4
    with smruntime_local.serve() as endpoint, connect(endpoint) as client:

        def run() -> batch.Progress:
            return batch.run(
                client,
                rows,
                out,
                endpoint=asynchronous("iris"),
                codec=batch.JSONCodec(),
                rows_per_request=2,
                checkpoint=checkpoint,
                records_name="rows",
                resume=True,
            )

        run()
        written = out.read_bytes()
        out.write_bytes(b"")  # as if it had been killed before it wrote a result
        progress = run()
        ran = len(endpoint.calls)
    assert ran == 2, "the endpoint was called again"
    assert sorted(out.read_bytes().splitlines()) == sorted(written.splitlines())
    assert (progress.answered, progress.possibly_repeated) == (4, 0)


ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nX-Amzn-SageMaker-OutputLocation: s3://b/out\r\n"
    b'Content-Length: 22\r\n\r\n{"InferenceId": "i-1"}'
)
STORED = b"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"
ANSWERED = (
    b"HTTP/1.1 200 x\r\nContent-Type: application/jsonlines\r\nContent-Length: 4\r\n\r\n1\n2\n"
)


@pytest.mark.parametrize("is_async", [False, True])
def test_large_inputs_of_asynchronous_invocations_go_through_s3(is_async: bool) -> None:
    records = ["x" * 100_000, "y" * 100_000]
    results: list[batch.Result] = []
    options: batch.BatchOptions = {
        "endpoint": asynchronous("e"),
        "rows_per_request": 2,
        "input_prefix": "s3://bucket/inputs/",
    }
    with scripted(STORED, ACCEPTED, ANSWERED) as server:
        settings: Settings = {
            "region": "us-east-1",
            "endpoint_url": server.url,
            "s3_endpoint_url": server.url,
            "credentials": Credentials("AKID", "secret"),
        }

        async def main() -> None:
            async with AsyncClient(**settings) as client:
                await batch.run_async(client, records, results.append, **options)

        if is_async:
            asyncio.run(main())
        else:
            with Client(**settings) as client:
                batch.run(client, records, results.append, **options)
    put, post, _ = server.requests
    name = re.search(rb"^PUT /bucket/(inputs/[0-9a-f]{32}/0-1) HTTP", put)
    assert name is not None, put[:100]
    assert put.endswith(f'"{records[0]}"\n"{records[1]}"\n'.encode())
    assert b"InputLocation: s3://bucket/" + name[1] in post
    assert [result.output for result in by_index(results)] == [1, 2]


def test_an_answer_that_cannot_be_collected_may_still_have_run() -> None:
    results: list[batch.Result] = []
    refused = b"HTTP/1.1 400 x\r\nContent-Length: 38\r\n\r\n<Error><Code>InvalidKey</Code></Error> "
    with scripted(ACCEPTED, *[refused] * 4) as server:
        settings: Settings = {
            "region": "us-east-1",
            "endpoint_url": server.url,
            "s3_endpoint_url": server.url,
            "credentials": Credentials("AKID", "secret"),
        }
        with Client(**settings) as client:
            batch.run(client, [1], results.append, endpoint=asynchronous("e"))
    error = results[0].error
    assert error is not None
    assert (error.code, error.delivery) == ("InvalidKey", "maybe_sent")
    assert sum(request.startswith(b"POST") for request in server.requests) == 1
