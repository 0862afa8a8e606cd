"""Send the records of a file through an endpoint, a few in each request.

    smruntime batch iris -i rows.jsonl -o out.jsonl --codec json --rows-per-request 20
    smruntime batch churn -i customers.csv --header skip -o out.jsonl --rows-per-request 100
    smruntime batch llm -i prompts.jsonl -o out.jsonl --template '{"inputs": "$record"}'
    smruntime batch iris -i rows.jsonl -o out.jsonl --codec json --rows-per-request 20 --resume

The output has a line for each record: {"index": 0, "output": …} or {"index": 0, "error": …}. Ctrl-C
finishes the calls in flight, a second one stops at once; --resume continues either way, and after
a crash. What it needs is in the output and in OUTPUT.checkpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import signal
import sys
from functools import partial
from types import FrameType
from typing import Final, cast

from smruntime_core import ConstructionError, InvokeEndpoint, InvokeEndpointAsync

from .. import batch
from ..asyncio import AsyncClient
from ..batch._codecs import RECORDS_MARK
from ..batch._records import MAX_RECORD_SIZE
from ..client._settings import Settings
from ._batch_progress import describe_progress, show_progress
from ._exit import INTERRUPTED_CODE, UNANSWERED_CODE, CommandError
from ._guard import require_output
from ._operations import MEMBERS_BY_OPTION as ALL_MEMBERS_BY_OPTION
from ._parser import CommandParser, parse_count, parse_number, parse_seconds
from ._terminal import print_message

OPTIONS_OF_ONE_CALL: Final = (
    "--inference-id",
    "--prefix-aware-id",
    "--input-location",
    "--session",
)
MEMBERS_BY_OPTION: Final = {
    option: member
    for option, member in ALL_MEMBERS_BY_OPTION.items()
    if option not in OPTIONS_OF_ONE_CALL
}
FORMATS_BY_SUFFIX: Final = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
DEFAULT_IN_FLIGHT: Final = 100


def run(arguments: list[str], program_name: str) -> int:
    """Run the batch and return the exit code."""
    options = make_parser(program_name).parse_args(arguments)
    earlier_limit = csv.field_size_limit(MAX_RECORD_SIZE)  # a cell may be a whole record
    try:
        return _run_batch(options)
    finally:
        csv.field_size_limit(earlier_limit)


def _run_batch(options: argparse.Namespace) -> int:
    reader = _open_records(options)
    stop = _StopSignal()
    settings = Settings(
        region=options.region, endpoint_url=options.endpoint_url, profile=options.profile
    )
    sink = _find_sink(options)
    client = AsyncClient(max_connections=options.max_in_flight, **settings)
    with stop, show_progress(reader) as observe:
        batch_options = _make_options(options, reader)
        batch_options["should_stop"] = stop.is_set
        batch_options["observe"] = observe
        try:
            progress = asyncio.run(_run(client, reader, sink, batch_options))
        except ConstructionError as error:
            raise CommandError(str(error)) from None
    print_message(describe_progress(progress))
    if progress.stopped == "interrupted":
        return INTERRUPTED_CODE
    return UNANSWERED_CODE if progress.failed or progress.stopped else 0


async def _run(
    client: AsyncClient,
    reader: batch.RecordReader,
    sink: batch.Sink,
    batch_options: batch.BatchOptions,
) -> batch.Progress:
    async with client:
        return await batch.run_async(client, reader, sink, **batch_options)


def make_parser(program_name: str) -> CommandParser:
    """Return the parser of `batch`."""
    usage = f"{program_name} ENDPOINT -i INPUT -o OUTPUT [OPTION …]"
    parser = CommandParser(prog=program_name, usage=usage, description=__doc__ or "")
    add = parser.add_argument
    add("endpoint", metavar="ENDPOINT")
    add("-i", "--input", metavar="FILE", required=True, help="the records, - for standard input")
    add("-o", "--output", metavar="FILE", required=True, help="results, - for standard output")
    formats = ("jsonl", "csv", "parquet")
    add("--input-format", choices=formats, help="by default by the name of the input")
    add(
        "--codec",
        choices=("jsonl", "json", "csv"),
        help="the body: a line of JSON a record, a JSON array, or CSV; default csv for CSV, json "
        "with --template, else jsonl",
    )
    add(
        "--template",
        metavar="JSON",
        help='the body of --codec json, such as {"instances": "$records"}; "$record" for one alone',
    )
    add(
        "--header",
        choices=("none", "skip", "send"),
        default="none",
        help="the first row of CSV: none is a header (default), not sent, or sent each time",
    )
    add("--answer-header", action="store_true", help="CSV in answers begins with a header")
    add("--output-key", metavar="NAME", help="the member of a JSON answer with the outputs")
    rows = partial(parse_count, lowest=1, highest=100_000)
    add("--rows-per-request", metavar="N", type=rows, default=1, help="default 1")
    add(
        "--max-in-flight",
        metavar="N",
        type=partial(parse_count, lowest=1, highest=10_000),
        default=DEFAULT_IN_FLIGHT,
        help="most calls at a time, default 100; below that it adapts to the endpoint",
    )
    add("--resume", action="store_true", help="continue a run that ended early, or begin it")
    add(
        "--idempotent",
        action="store_true",
        help="the model may run twice for a record: send again what may have arrived",
    )
    attempts = partial(parse_count, lowest=1, highest=100)
    add("--max-attempts", metavar="N", type=attempts, help="requests for a group, default 10")
    failures = partial(parse_count, lowest=0, highest=10**12)
    add("--max-failures", metavar="N", type=failures, help="end after more failed records")
    add("--timeout", metavar="SECONDS", type=parse_seconds, help="for each call")
    rate = partial(parse_number, unit="requests a second")
    add("--rate", metavar="N", type=rate, help="most requests a second")
    add("--ordered", action="store_true", help="results in the order of the records")
    add("--skip-invalid", action="store_true", help="write an error for a record that is invalid")
    add("--async", dest="is_async", action="store_true", help="use asynchronous inference")
    add("--input-prefix", metavar="URL", help="with --async, an s3:// folder for large inputs")
    for option, member in MEMBERS_BY_OPTION.items():
        add(option, dest=member, metavar="TEXT")
    add("--region", metavar="NAME")
    add("--endpoint-url", metavar="URL")
    add("--profile", metavar="NAME")
    return parser


def _open_records(options: argparse.Namespace) -> batch.RecordReader:
    """Return the reader of the input."""
    if options.input == "-":
        if options.input_format == "parquet":
            raise CommandError("Parquet cannot be read from standard input")
        if sys.stdin is None:
            raise CommandError("cannot read the records: standard input is closed")
        source: batch.RecordSource = sys.stdin.buffer
        if options.resume:
            raise CommandError("--resume needs an input that can be read again, not -")
    else:
        source = options.input
    suffix = os.path.splitext(options.input)[1].lower()
    input_format = options.input_format or FORMATS_BY_SUFFIX.get(suffix)
    if input_format is None:
        remedy = "--input-format jsonl, csv or parquet"
        raise CommandError(f"the name {options.input} does not say the format: give {remedy}")
    options.input_format = input_format
    if options.header != "none" and input_format != "csv":
        raise CommandError("--header is for CSV")
    try:
        if input_format == "csv":
            return batch.read_csv(source, header=options.header != "none")
        if input_format == "jsonl":
            return batch.read_jsonl(source)
        return batch.read_parquet(options.input)
    except (ConstructionError, ImportError) as error:
        raise CommandError(str(error)) from None


def _find_sink(options: argparse.Namespace) -> batch.Sink:
    if options.output != "-":
        if os.path.exists(options.output) and os.path.samefile(options.input, options.output):
            raise CommandError("the output is the input; give another file with -o")
        return cast("str", options.output)
    if options.resume:
        raise CommandError("--resume needs an output file, not -")
    require_output()
    return sys.stdout.buffer


def _make_options(options: argparse.Namespace, reader: batch.RecordReader) -> batch.BatchOptions:
    batch_options = batch.BatchOptions(
        endpoint=_make_endpoint(options),
        codec=_make_codec(options, reader),
        rows_per_request=options.rows_per_request,
        max_in_flight=options.max_in_flight,
        resume=options.resume,
        idempotent=options.idempotent,
        max_failures=options.max_failures,
        timeout=options.timeout,
        rate=options.rate,
        ordered=options.ordered,
        skip_invalid=options.skip_invalid,
        input_prefix=options.input_prefix,
    )
    if options.max_attempts is not None:
        batch_options["max_attempts"] = options.max_attempts
    if options.output != "-" and options.input != "-":
        batch_options["checkpoint"] = f"{options.output}.checkpoint"
    return batch_options


def _make_endpoint(options: argparse.Namespace) -> batch.AnyOperation:
    members = {
        member: value
        for member in MEMBERS_BY_OPTION.values()
        if (value := getattr(options, member)) is not None
    }
    if not options.is_async:
        if options.input_prefix is not None:
            raise CommandError("--input-prefix cannot be used without --async")
        return InvokeEndpoint(endpoint_name=options.endpoint, body=b"", **members)
    known_members = {member.name for member in InvokeEndpointAsync._fields}
    for option, member in MEMBERS_BY_OPTION.items():
        if member in members and member not in known_members:
            raise CommandError(f"{option} cannot be used with --async")
    return InvokeEndpointAsync(endpoint_name=options.endpoint, body=b"", **members)


def _choose_codec(options: argparse.Namespace) -> str:
    """Return the name of the codec; raise `CommandError` for options that do not fit it."""
    by_input = "csv" if options.input_format == "csv" else "jsonl"
    codec_name = options.codec or ("json" if options.template is not None else by_input)
    if options.template is not None and codec_name != "json":
        raise CommandError(f"--template cannot be used with --codec {codec_name}")
    if options.header == "send" and codec_name != "csv":
        raise CommandError(f"--header send cannot be used with --codec {codec_name}")
    return str(codec_name)


def _make_codec(options: argparse.Namespace, reader: batch.RecordReader) -> batch.BatchCodec:
    codec_name = _choose_codec(options)
    output_key, answer_header = options.output_key, options.answer_header
    if codec_name == "csv":
        columns = reader.columns if isinstance(reader, batch.CSVReader) else None
        header = columns if options.header == "send" else None
        return batch.CSVCodec(header, output_key=output_key, answer_header=answer_header)
    if codec_name == "json":
        template = options.template or RECORDS_MARK
        return batch.JSONCodec(template, output_key=output_key, answer_header=answer_header)
    return batch.JSONLinesCodec(output_key=output_key, answer_header=answer_header)


class _StopSignal:
    """The first SIGINT or SIGTERM asks the run to end; the next ends the process at once."""

    def __init__(self) -> None:
        self._is_set = False
        self._earlier_handlers: dict[int, object] = {}

    def is_set(self) -> bool:
        return self._is_set

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._earlier_handlers[number] = signal.signal(number, self._handle)

    def __exit__(self, *_: object) -> None:
        self._restore_handlers()

    def _handle(self, _signal_number: int, _frame: FrameType | None) -> None:
        self._is_set = True
        self._restore_handlers()
        print_message("finishing the calls in flight; interrupt again to stop at once")

    def _restore_handlers(self) -> None:
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, cast("signal.Handlers", handler))
