"""`run` and `run_async`: a flow, its IO, and the files around them."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterable, Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Final, NamedTuple, Required, TypedDict, Unpack, cast

from smruntime_core import ConstructionError, InvokeEndpoint, InvokeEndpointAsync, RetryPolicy
from smruntime_core import run as run_flow
from smruntime_core import run_async as run_async_flow
from smruntime_core.conversation import OptionChanges, Options
from smruntime_core.errors import describe_unexpected
from smruntime_core.values import check_flag

from ..client import AsyncClient, Client
from ..client._base_client import BaseClient
from ..client._boundary import async_boundary, boundary
from ..client._default_io import running_adapter
from ..system._random import random_number
from ..wire._pool import DEFAULT_MAX_CONNECTIONS
from ._calls import AnyOperation, AsyncCaller, CallPlan, JobObserver, SyncCaller
from ._checkpoint import Checkpoint, check_identity
from ._codecs import BatchCodec, JSONLinesCodec
from ._flow import BatchPlan, BatchRun, Progress
from ._io import AsyncioTasks, FileEffects, TaskGroup, TaskIO, ThreadIO, TrioTasks
from ._progress import SavedProgress
from ._records import FilePath, RecordReader
from ._sinks import ResultWriter, Sink, open_sink, output_size

MAX_ATTEMPTS: Final = 10
MAX_REQUEST_SIZE: Final = 6_000_000  # bytes: what every kind of endpoint but serverless takes
MOST_ROWS: Final = 100_000


class BatchOptions(TypedDict, total=False):
    """The options of a run; `endpoint` must be given, all others have defaults.

    endpoint           the name of an endpoint, or an `InvokeEndpoint` or `InvokeEndpointAsync` with
                       other members too; its body is replaced by the records of each request
    codec              how records become a request and an answer becomes outputs; by default
                       `JSONLinesCodec()`
    rows_per_request   records of a request, default 1
    max_in_flight      most calls in flight, by default as many as the client may have connections;
                       below that, the number adapts to throttling and latency
    max_request_size   bytes of a request with several records, default 6,000,000
    checkpoint         path of a file that `resume` needs; then the sink must be a path
    resume             continue a run that ended before its records did, or begin it
    records_name       what the records are, for `checkpoint`, if they do not come from a reader
    idempotent         True if the model may run twice for a record: requests that may have arrived
                       are sent again, also those of a run that was killed
    max_attempts       requests for a group whose failure may pass, such as throttling; default 10
    max_failures       end the run when more records than this have failed
    timeout            seconds for a call; with `InvokeEndpointAsync`, also to wait for its answer
    rate               most requests per second
    ordered            write results in the order of the records
    skip_invalid       a record that cannot be read or encoded is an error of its own, not the end
    input_prefix       with `InvokeEndpointAsync`, the s3:// URL of a folder for inputs above
                       128,000 bytes
    should_stop        function that is asked twice a second, and returns True to end the run when
                       the calls in flight have ended
    observe            function that is called with the `Progress` whenever it has changed
    """

    endpoint: Required[str | AnyOperation]
    codec: BatchCodec
    rows_per_request: int
    max_in_flight: int | None
    max_request_size: int
    checkpoint: FilePath | None
    resume: bool
    records_name: str | None
    idempotent: bool
    max_attempts: int
    max_failures: int | None
    timeout: float | None
    rate: float | None
    ordered: bool
    skip_invalid: bool
    input_prefix: str | None
    should_stop: Callable[[], bool] | None
    observe: Callable[[Progress], object] | None


@boundary
def run(
    client: Client, records: Iterable[object], sink: Sink, **options: Unpack[BatchOptions]
) -> Progress:
    """Send `records` through an endpoint, write a result for each to `sink`, and return the counts.

    `records` are values that the codec takes, or what `read_jsonl`, `read_csv` or `read_parquet`
    return. `sink` is a path, a binary file, or a function of a `Result`. Calls are made by threads.
    `BatchOptions` describes the options. A record that fails has an error as its result; raised is
    what would fail every other call too (no credentials, access denied, an unknown endpoint), and
    `ConstructionError` for wrong arguments and for invalid records without `skip_invalid`.
    """
    if not isinstance(client, Client):
        raise ConstructionError("client", "a Client; for an AsyncClient, await run_async")
    setup = _Setup(records, sink, options)
    limits = client._ready().options
    calling_client = client.with_options(**setup.call_options(limits))
    plan = setup.make_plan(client, limits)
    with setup.open_files() as files:
        caller = SyncCaller(calling_client, setup.call_plan(), files.observe_job)
        with ThreadIO(records, files.effects, caller.make_call) as io:
            return run_flow(setup.make_run(plan, files.saved).flow(), io)


@async_boundary
async def run_async(
    client: AsyncClient,
    records: Iterable[object] | AsyncIterable[object],
    sink: Sink,
    **options: Unpack[BatchOptions],
) -> Progress:
    """Do what `run` does with tasks of the running event loop, asyncio or trio.

    `records` may be an async iterable; others are read, and results written, between the calls.
    """
    if not isinstance(client, AsyncClient):
        raise ConstructionError("client", "an AsyncClient; for a Client, call run")
    setup = _Setup(records, sink, options)
    limits = (await client._ready()).options
    calling_client = client.with_options(**setup.call_options(limits))
    plan = setup.make_plan(client, limits)
    with setup.open_files() as files:
        caller = AsyncCaller(calling_client, setup.call_plan(), files.observe_job)
        tasks: TaskGroup = TrioTasks() if running_adapter() == "trio" else AsyncioTasks()
        async with tasks:
            io = TaskIO(records, files.effects, caller.make_call, tasks)
            return await run_async_flow(setup.make_run(plan, files.saved).flow(), io)


class _OpenFiles(NamedTuple):
    """The files of a run, and what an earlier run has left in them."""

    effects: FileEffects
    observe_job: JobObserver
    saved: SavedProgress


class _Setup:
    """The checked arguments of a run."""

    def __init__(self, records: object, sink: Sink, options: BatchOptions) -> None:
        message = describe_unexpected(options, BatchOptions.__annotations__)
        if message is not None:
            raise TypeError(message)
        found = f"found {type(records).__name__}"
        if isinstance(records, str | bytes | Mapping) or not isinstance(
            records, Iterable | AsyncIterable
        ):
            requirement = "an iterable of records; for a file, read_jsonl, read_csv or read_parquet"
            raise ConstructionError("records", requirement, found)
        self._records = cast("object", records)
        self._sink = sink
        self._options = options
        self._operation = _make_operation(options)
        self._codec: BatchCodec = options.get("codec") or JSONLinesCodec()
        for name in ("resume", "idempotent", "ordered", "skip_invalid"):
            check_flag(name, options.get(name, False))
        for name in ("should_stop", "observe"):
            hook = options.get(name)
            if hook is not None and not callable(hook):
                raise ConstructionError(name, "a function", f"found {type(hook).__name__}")
        self._rows_per_request = _check_count(options, "rows_per_request", 1, MOST_ROWS) or 1
        most_rows = self._codec.max_records
        if most_rows is not None and self._rows_per_request > most_rows:
            requirement = f"{most_rows} with this codec, whose requests have no more records"
            raise ConstructionError("rows_per_request", requirement)
        _check_positive(options, "timeout")
        _check_positive(options, "rate")
        self._max_failures = _check_count(options, "max_failures", 0, 10**12)
        self._checkpoint_path = options.get("checkpoint")
        self._check_checkpoint()

    def _check_checkpoint(self) -> None:
        if self._checkpoint_path is None:
            if self._options.get("resume"):
                raise ConstructionError("checkpoint", "given to resume a run: the path of a file")
            return
        if output_size(self._sink) is None:
            raise ConstructionError("sink", "a path, because checkpoint= is given")
        if not isinstance(self._records, RecordReader) and not self._options.get("records_name"):
            requirement = "given with checkpoint=, for records that no reader of this module reads"
            raise ConstructionError("records_name", requirement)

    def call_options(self, limits: Options) -> OptionChanges:
        """Return the options of each call: one attempt, because the run itself tries again."""
        changes = OptionChanges(retries=self._policy(limits).replace(max_attempts=1))
        timeout = self._options.get("timeout")
        if timeout is not None:
            changes["timeout"] = timeout
        return changes

    def _policy(self, limits: Options) -> RetryPolicy:
        policy = limits.policy
        if self._options.get("idempotent"):
            policy = limits.replace(idempotent=True).policy
        max_attempts = _check_count(self._options, "max_attempts", 1, 100) or MAX_ATTEMPTS
        return policy.replace(max_attempts=max_attempts)

    def make_plan(self, client: BaseClient, limits: Options) -> BatchPlan:
        """Return how to run with the settings of a client."""
        options = self._options
        max_size = _check_count(options, "max_request_size", 1, 2**40) or MAX_REQUEST_SIZE
        return BatchPlan(
            codec=self._codec,
            rows_per_request=self._rows_per_request,
            max_request_size=max_size,
            max_in_flight=_find_max_in_flight(client, options),
            policy=self._policy(limits),
            max_failures=self._max_failures,
            rate=options.get("rate"),
            ordered=options.get("ordered", False),
            skip_invalid=options.get("skip_invalid", False),
        )

    def call_plan(self) -> CallPlan:
        """Return the operation of each call."""
        return CallPlan(
            self._operation,
            self._codec,
            input_prefix=self._options.get("input_prefix"),
            run_name=uuid.uuid4().hex,
            timeout=self._options.get("timeout"),
        )

    def make_run(self, plan: BatchPlan, saved: SavedProgress) -> BatchRun:
        """Return the run, after what an earlier one has left."""
        return BatchRun(
            plan,
            saved,
            clock=time,
            random=random_number,
            should_stop=self._options.get("should_stop") or _never,
            observe=self._options.get("observe"),
        )

    @contextmanager
    def open_files(self) -> Generator[_OpenFiles]:
        """Open the sink and the checkpoint; refuse those of another run."""
        path = self._checkpoint_path
        checkpoint = None if path is None else Checkpoint(path)
        writer: ResultWriter | None = None
        try:
            saved = self._read_saved(checkpoint)
            writer = open_sink(self._sink)
            observe_job: JobObserver = _ignore_job if checkpoint is None else checkpoint.note_job
            yield _OpenFiles(FileEffects(writer, checkpoint), observe_job, saved)
        finally:
            if writer is not None:
                writer.close()
            if checkpoint is not None:
                checkpoint.close()

    def _read_saved(self, checkpoint: Checkpoint | None) -> SavedProgress:
        """Return what an earlier run has left; begin the checkpoint if there was none."""
        found_output = bool(output_size(self._sink))
        identity = None if checkpoint is None else checkpoint.read_identity()
        if identity is not None and checkpoint is not None and self._options.get("resume"):
            check_identity(identity, self._identify(identity))
            return checkpoint.read_progress(cast("FilePath", self._sink))
        if found_output or identity is not None:
            found = f"{self._sink} has results" if found_output else "the checkpoint is in use"
            remedy = "delete both to begin anew"
            if not self._options.get("resume"):
                remedy = f"resume=True (--resume) continues that run; {remedy}"
            raise ConstructionError("sink", "new", message=f"sink: {found} already; {remedy}")
        if checkpoint is not None:
            checkpoint.begin(self._identify(None))
        return SavedProgress()

    def _identify(self, saved_identity: Mapping[str, object] | None) -> dict[str, object]:
        """Return what must not change between runs: records, endpoint, codec.

        Of a file that has grown since `saved_identity`, only the earlier part is read.
        """
        records_identity: object = self._options.get("records_name")
        if isinstance(self._records, RecordReader):
            saved_records = (saved_identity or {}).get("records")
            saved_size = (
                cast("dict[str, object]", saved_records).get("size")
                if isinstance(saved_records, dict)
                else None
            )
            size = saved_size if isinstance(saved_size, int) else None
            file_identity = self._records.identify(size)
            self._records.limit_to(file_identity.size)
            records_identity = file_identity._asdict()
        members = {
            member.name: value
            for member in type(self._operation)._fields
            if member.name != "body" and (value := getattr(self._operation, member.name))
        }
        return {
            "records": records_identity,
            "operation": type(self._operation).__name__,
            "endpoint": members,
            "codec": self._codec.describe(),
        }


def _make_operation(options: BatchOptions) -> AnyOperation:
    endpoint: object = options.get("endpoint")
    if isinstance(endpoint, str):
        return InvokeEndpoint(endpoint_name=endpoint, body=b"")
    if isinstance(endpoint, InvokeEndpoint | InvokeEndpointAsync):
        return endpoint
    requirement = "the name of an endpoint, an InvokeEndpoint or an InvokeEndpointAsync"
    found = "nothing is given" if endpoint is None else f"found {type(endpoint).__name__}"
    raise ConstructionError("endpoint", requirement, found)


def _check_count(options: BatchOptions, name: str, lowest: int, highest: int) -> int | None:
    value: object = options.get(name)
    if value is None or (type(value) is int and lowest <= value <= highest):
        return value
    raise ConstructionError(name, f"an int from {lowest} to {highest}", f"found {value!r}")


def _check_positive(options: BatchOptions, name: str) -> None:
    value: object = options.get(name)
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ConstructionError(name, "a number above 0, or None", f"found {value!r}")


def _find_max_in_flight(client: BaseClient, options: BatchOptions) -> int:
    """Return the most calls in flight: as many as asked for, but not more than connections."""
    wanted = _check_count(options, "max_in_flight", 1, 100_000)
    if client._given_io is not None or "manager" in client._settings:
        return wanted or DEFAULT_MAX_CONNECTIONS
    settings = cast("Mapping[str, object]", client._settings)
    max_connections = cast("int", settings.get("max_connections", DEFAULT_MAX_CONNECTIONS))
    if wanted is not None and wanted > max_connections:
        requirement = "at most the client's max_connections"
        remedy = f"{wanted} is more than {max_connections}: Client(max_connections={wanted})"
        raise ConstructionError("max_in_flight", requirement, remedy)
    return wanted or max_connections


def _never() -> bool:
    return False


def _ignore_job(_group: object, _job: object) -> None:
    """Note nothing, because there is no checkpoint."""
