"""The figures, each beside a peer that does the same work.

Every figure is a cost: less is better. `section` measures it (`sections.py`); `name` and `peer`
name two values there. `max_ratio` limits their ratio and `max_value` the figure itself: these
budgets are what this library promises. Rows without a budget are for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ceilings import FIGURE_NAMES
from measuring import Missing, Value


class Figure(NamedTuple):
    """A row of the table."""

    section: str
    name: str
    peer: str
    max_ratio: float | None = None
    max_value: float | None = None
    unit: str = "µs"

    @property
    def budget(self) -> str:
        budgets: list[str] = []
        if self.max_ratio is not None:
            budgets.append(f"≤ {format_ratio(self.max_ratio)}")
        if self.max_value is not None:
            budgets.append(f"≤ {format_value(self.max_value)} {self.unit}")
        return ", ".join(budgets)


class Result(NamedTuple):
    """A figure as it was measured."""

    figure: Figure
    ours: Value
    peer: Value

    @classmethod
    def of(cls, figure: Figure, values: Mapping[str, Value]) -> Result:
        """Return the figure with its values."""
        return cls(figure, values[figure.name], values[figure.peer])

    @property
    def ratio(self) -> float | None:
        """Our value by the peer's, None if one is not known."""
        if isinstance(self.ours, Missing) or isinstance(self.peer, Missing) or self.peer <= 0:
            return None
        return self.ours / self.peer

    @property
    def verdict(self) -> str:
        """`ok`, `OVER`, `skipped`, or empty for a row without a budget."""
        max_ratio, max_value = self.figure.max_ratio, self.figure.max_value
        if isinstance(self.ours, Missing):
            return "skipped"
        if max_value is not None and self.ours > max_value:
            return "OVER"
        if max_ratio is None:
            return "" if max_value is None else "ok"
        if self.ratio is None:
            return "skipped"
        return "ok" if self.ratio <= max_ratio else "OVER"

    def __str__(self) -> str:
        figure, ratio = self.figure, self.ratio
        cells = (
            figure.name,
            format_value(self.ours),
            figure.unit,
            figure.peer,
            format_value(self.peer),
            format_ratio(ratio) if ratio is not None and ratio > 0 else "",
            figure.budget,
            self.verdict,
        )
        return f"| {' | '.join(cells)} |"

    def as_json(self) -> dict[str, object]:
        """Return all of it; in place of a missing value, the reason."""
        values = {"ours": self.ours, "theirs": self.peer}
        reported: dict[str, object] = {}
        for name, value in values.items():
            reported[name] = value.reason if isinstance(value, Missing) else value
        reported |= {"ratio": self.ratio, "verdict": self.verdict}
        return self.figure._asdict() | reported


HEADING = """\
| figure | ours | unit | peer | its | ratio | budget | |
|---|---:|---|---|---:|---:|---|---|"""


def format_ratio(ratio: float) -> str:
    """Return "1.25 ×", or below 0.7 the reciprocal as "1/12"."""
    return f"{ratio:.3g} ×" if ratio >= 0.7 else f"1/{1 / ratio:.3g}"


def format_value(value: Value) -> str:
    """Return three digits; of a missing value, the reason."""
    if isinstance(value, Missing):
        return value.reason
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


TASK_COUNTS = (1, 10, 100, 1000)  # asyncio tasks that call at once


def concurrency_names(task_count: int) -> tuple[str, str]:
    """Return the names of our figure and the peer's for so many tasks at once."""
    return f"one call of {task_count} at once", f"aiobotocore, {task_count} at once"


FIGURES = (
    Figure("sign", "sign, 100 B, eight fields, token", "botocore add_auth", 1 / 9),
    Figure("sign", "sign, repeated members", "sign, 100 B, eight fields, token"),
    Figure("without_io", "build + sign + parse", "botocore, stubbed", 1 / 15),
    Figure("without_io", "build + sign + parse, repeated members", "build + sign + parse"),
    Figure("calls", "one call over sockets", "botocore", 1 / 6),
    Figure("calls", "one call over sockets", "raw socket exchange"),
    Figure("calls", "one call over sockets, repeated members", "one call over sockets"),
    Figure("calls", "one call shaped like boto3's", "botocore", 1 / 4),
    Figure("calls", "one call over urllib3", "botocore", 1 / 5),
    Figure("calls", "one call over urllib3", "bare pool.urlopen", 0.9),
    Figure("calls", 'one call with engine="h11"', "bare h11 cycle", 1.5),
    Figure("tls", "one call over sockets through TLS", "botocore through TLS", 1 / 5),
    Figure("tls", "one call over sockets through TLS", "raw ssl exchange"),
    Figure("loops", "one call on asyncio", "aiobotocore", 1 / 5),
    Figure("loops", "one call on asyncio", "asyncio streams by hand"),
    Figure("loops", "one call on asyncio, repeated members", "one call on asyncio"),
    Figure("loops", "one call shaped like aiobotocore's", "aiobotocore", 1 / 4),
    Figure("loops", "one call on trio", "aiobotocore", 1 / 4.5),
    Figure("loops", "one call on trio", "trio streams by hand"),
    Figure("loops", "one call on trio, repeated members", "one call on trio"),
    Figure("sdks", "a chat of openai over the transport", "openai alone"),
    Figure("sdks", "a chat of openai over the transport", "openai, signed by botocore"),
    Figure("telemetry", "one call with OpenTelemetry", "one call without"),
    Figure("telemetry", "one call with a counter as observe=", "one call without"),
    *(
        Figure("concurrency", *concurrency_names(task_count), unit="µs wall")
        for task_count in TASK_COUNTS
    ),
    Figure("crowd", "1000 tasks, 100 connections", "aiobotocore", 1 / 5, unit="µs wall"),
    Figure("crowd", "1000 tasks, 100 connections: p99", "p50", 3, unit="ms"),
    Figure("bulk", "25 MB up", "sha256 + send", 1.1, unit="ms"),
    Figure("bulk", "25 MB down", "recv_into", 1.25, unit="ms"),
    Figure("bulk_memory", "25 MB up: memory", "botocore, up", max_value=1, unit="MB"),
    Figure("bulk_memory", "25 MB down: memory", "botocore, down", max_value=27, unit="MB"),
    Figure("decode", "one event decoded, 64 B", "botocore EventStreamBuffer", 1 / 8),
    Figure("decode", "one event decoded, 48 to 80 B", "one event decoded, 64 B"),
    Figure("stream", "one event over loopback, 64 B, a chunk each", "botocore", 1 / 5),
    Figure("block", "longest block of a loop, tiny events", "idle loop", max_value=50, unit="ms"),
    Figure("batch", "a batch, 32 in flight", "ideal", 1.15, unit="s wall"),
    Figure("batch", "a batch, 32 in flight", "boto3 in 32 threads", unit="s wall"),
    Figure("batch", "a batch, 64 in flight", "boto3 in 64 threads", 1 / 2, unit="s wall"),
    Figure("batch", "a batch in threads, 64 in flight", "boto3 in 64 threads", unit="s wall"),
    Figure(
        "batch",
        "a batch of 1,000,000 records: memory",
        "no other batch",
        max_value=20,
        unit="MB more than 10,000",
    ),
    Figure("imports", "import smruntime_core", "import botocore.session", 1 / 4, unit="ms"),
    Figure("first", "process start to first answer, http", "boto3, http", 1 / 3.5, unit="ms"),
    Figure("first", "process start to first answer, https", "boto3, https", 1 / 3, unit="ms"),
    Figure("first", "memory of a client, http", "boto3, memory, http", max_value=2, unit="MB"),
    Figure("first", "memory of a client, https", "boto3, memory, https", unit="MB"),
    Figure("local", "start of the local endpoint", "no peer", max_value=20, unit="ms wall"),
    Figure("frames", "one call over sockets: Python frames", "botocore: frames", unit="frames"),
    Figure("frames", "one call over sockets: our files", "botocore: files", unit="files"),
    *(
        Figure("counts", f"{name}: {what}", f"{name}: {what}, ceiling", 1, unit=unit)
        for name in FIGURE_NAMES
        for what, unit in (("bytecodes", ""), ("instructions", "thousand"))
    ),
)
