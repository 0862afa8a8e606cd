"""Batches: any number of records through an endpoint, a few in each request, resumable.

    from smruntime_transports import Client, batch

    records = batch.read_jsonl("in.jsonl")
    progress = batch.run(Client(), records, "out.jsonl", endpoint="iris", rows_per_request=10)

`run` makes the calls in threads, `run_async` in tasks of asyncio or trio. Both write a line for
each record, as soon as it is known:

    {"index": 17, "output": 0.93}
    {"index": 18, "error": {"type": "ModelError", "code": "ModelError", "delivery": "answered",
                            "message": "…"}}

`index` counts the records from 0. `BatchOptions` describes the options, among them `checkpoint` and
`resume`, with which a run continues after a crash or `kill -9`.

_run         `run` and `run_async`: from arguments to a flow, its IO and files
_flow        the flow: groups, calls, halves, results, and what is counted
_effects     what the flow asks its IO to do
_io          the IOs: threads, or tasks of asyncio and trio
_calls       the call of a group; asynchronous invocations with large inputs through S3
_groups      groups of records, and calls
_failures    what the failure of a call says about its records and about load
_codecs      records to bodies, and answers to outputs
_records     readers of JSON Lines, CSV and Parquet files
_results     a result as a line of JSON, and results in order
_sinks       where results go
_checkpoint  the file with which a run is resumed
_progress    what an earlier run has left
"""

from __future__ import annotations

from ._calls import AnyOperation
from ._codecs import BatchCodec, CSVCodec, EncodedRecord, JSONCodec, JSONLinesCodec
from ._flow import Progress
from ._records import (
    CSVReader,
    FileIdentity,
    FilePath,
    InvalidRecord,
    JSONLinesReader,
    ParquetReader,
    RecordReader,
    RecordSource,
)
from ._results import RecordError, Result
from ._run import BatchOptions, run, run_async
from ._sinks import Sink

__all__ = [
    "AnyOperation",
    "BatchCodec",
    "BatchOptions",
    "CSVCodec",
    "CSVReader",
    "EncodedRecord",
    "FileIdentity",
    "FilePath",
    "InvalidRecord",
    "JSONCodec",
    "JSONLinesCodec",
    "JSONLinesReader",
    "ParquetReader",
    "Progress",
    "RecordError",
    "RecordReader",
    "RecordSource",
    "Result",
    "Sink",
    "read_csv",
    "read_jsonl",
    "read_parquet",
    "run",
    "run_async",
]

read_jsonl = JSONLinesReader
read_csv = CSVReader
read_parquet = ParquetReader


def __dir__() -> list[str]:
    return sorted(__all__)
