"""The figures this library promises: each beside a peer that does the same work, and the budget.

Every figure is a cost, so less is better. Its budget is a ratio to the peer's (`times`), a ceiling of its own (`most`), both, or none:
then it is there to be compared with.
"""

from __future__ import annotations

from typing import NamedTuple

from measuring import Missing, Value


class Figure(NamedTuple):
    """One line of the table."""

    section: str
    what: str
    unit: str
    peer: str
    times: float | None = None
    most: float | None = None

    @property
    def budget(self) -> str:
        """In words."""
        times = [] if self.times is None else [f"≤ {ratio(self.times)}"]
        most = [] if self.most is None else [f"≤ {amount(self.most)} {self.unit}"]
        return ", ".join(times + most)


class Result(NamedTuple):
    """A figure as it was measured."""

    figure: Figure
    ours: Value
    theirs: Value

    @property
    def ratio(self) -> float | None:
        """Ours to the peer's, if both are known."""
        if isinstance(self.ours, Missing) or isinstance(self.theirs, Missing) or self.theirs <= 0:
            return None
        return self.ours / self.theirs

    @property
    def verdict(self) -> str:
        """`ok`, `OVER`, `skipped`, or nothing where nothing was promised."""
        times, most = self.figure.times, self.figure.most
        if isinstance(self.ours, Missing):
            return "skipped"
        if most is not None and self.ours > most:
            return "OVER"
        if times is None:
            return "" if most is None else "ok"
        return "skipped" if self.ratio is None else "ok" if self.ratio <= times else "OVER"

    def __str__(self) -> str:
        figure, between = self.figure, self.ratio
        shown = ratio(between) if between is not None and between > 0 else ""
        cells = (figure.what, amount(self.ours), figure.unit, figure.peer, amount(self.theirs), shown, figure.budget, self.verdict)
        return f"| {' | '.join(cells)} |"

    def as_json(self) -> dict[str, object]:
        """For machines; instead of a number that is missing, why."""
        measured = {
            name: value.why if isinstance(value, Missing) else value for name, value in (("ours", self.ours), ("theirs", self.theirs))
        }
        return self.figure._asdict() | measured | {"ratio": self.ratio, "verdict": self.verdict}


HEADING = "| figure | ours | unit | peer | its | ratio | budget | |\n|---|---:|---|---|---:|---:|---|---|"


def ratio(value: float) -> str:
    """`1.25 ×`, or the other way round: `1/12`."""
    return f"{value:.3g} ×" if value >= 0.7 else f"1/{1 / value:.3g}"


def amount(value: Value) -> str:
    """As many digits as mean something; or why there is none."""
    return value.why if isinstance(value, Missing) else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


FIGURES = (
    Figure("sign", "sign, 100 B, eight fields, token", "µs", "botocore add_auth", 1 / 10, 6),
    Figure("without_io", "build + sign + parse", "µs", "botocore client, stubbed", 1 / 25, 10),
    Figure("sockets", "a call over sockets", "µs", "raw socket exchange", 4),
    Figure("sockets", "a call over sockets", "µs", "botocore client", 1 / 12),
    Figure("sockets", "the exchange alone", "µs", "raw socket exchange", 2),
    Figure("sockets", 'a call, engine="h11"', "µs", "bare h11 cycle", 1.15),
    Figure("urllib3", "a call over urllib3", "µs", "bare pool.urlopen", 0.9),
    Figure("tls", "a call through TLS", "µs", "raw ssl exchange", 1.5),
    Figure("loops", "the exchange on trio", "µs", "by hand on trio's streams", 1.3),
    Figure("loops", "the exchange on trio", "µs", "by hand on a bare socket"),
    Figure("loops", "the exchange on asyncio", "µs", "by hand on asyncio's streams", 1.3),
    Figure("loops", "the exchange on asyncio", "µs", "by hand on a bare socket"),
    Figure("loops", "a call on trio", "µs", "aiobotocore client"),
    Figure("loops", "a call on asyncio", "µs", "aiobotocore client"),
    Figure("crowd", "1000 tasks, 100 connections: a call", "µs wall", "aiobotocore", 1 / 6),
    Figure("crowd", "the same: latency, p99", "ms", "our p50", 3),
    Figure("bulk", "25 MB up", "ms", "sha256 + send", 1.1),
    Figure("bulk", "25 MB down", "ms", "recv_into", 1.25),
    Figure("bulk_memory", "25 MB up: memory", "MB", "aiobotocore", None, 1),
    Figure("bulk_memory", "25 MB down: memory", "MB", "aiobotocore", None, 27),
    Figure("decode", "an event decoded, 64 B", "µs", "botocore EventStreamBuffer", 1 / 8, 0.8),
    Figure("stream", "an event over loopback, one a chunk", "µs", "botocore client", 1 / 5),
    Figure("imports", "import smruntime_core", "ms", "import botocore.session", 1 / 4),
    Figure("first", "process start to first answer", "ms", "boto3", 1 / 4),
    Figure("first", "the same by https", "ms", "boto3", 1 / 3),
    Figure("first", "memory of a client", "MB", "boto3", None, 2),
    Figure("credentials", "finding credentials in the environment", "ms", "", None, 1),
    Figure("credentials", "credentials found before", "µs", "", None, 0.5),
    *(
        Figure("counts", what, unit, "its ceiling", 1)
        for what in ("sign", "build + sign + parse", "a call, without a kernel")
        for unit in ("bytecodes", "k instructions")
    ),
)
