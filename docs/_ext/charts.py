"""Charts as SVG inside the page, drawn at build time: the directive `chart`.

    ```{chart} cpu
    ```

The figures are those of docs/data/bench.json, which `make bench` writes, and of the table in
docs/faults.md. Text has the colour of the page, so a chart is readable in light and in dark.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DATA = Path(__file__).parents[1] / "data" / "bench.json"
FAULTS = Path(__file__).parents[1] / "faults.md"
WIDTH, LABEL_WIDTH, ROW_HEIGHT, VALUE_WIDTH = 640, 176, 30, 76


class Bar(NamedTuple):
    """A row of a bar chart; `note` replaces the value as its text."""

    label: str
    value: float
    is_ours: bool
    note: str = ""


def read_report() -> dict[str, Any]:
    """Return the committed report of the benchmarks."""
    report: dict[str, Any] = json.loads(DATA.read_text("utf-8"))
    return report


def machine_text(report: dict[str, Any]) -> str:
    """Return where and when the figures were measured."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    return (
        f"{report['date'][:10]}; {machine['cpu']}, {machine['cores']} cores, {machine['kernel']}, "
        f"{machine['python']}, {machine['openssl']}; {versions}"
    )


def bar_chart(title: str, unit: str, bars: list[Bar], most: float | None = None) -> str:
    """Return a chart of horizontal bars; `most` is the value of a whole row."""
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / (most or max(bar.value for bar in bars))
    height = ROW_HEIGHT * len(bars) + 8
    rows: list[str] = []
    for index, bar in enumerate(bars):
        y = index * ROW_HEIGHT + 4
        length = max(bar.value * scale, 1)
        text = bar.note or f"{bar.value:,.0f} {unit}"
        style = "ours" if bar.is_ours else "theirs"
        rows += [
            f'<text x="{LABEL_WIDTH - 8}" y="{y + 19}" text-anchor="end">'
            f"{escape(bar.label)}</text>",
            f'<rect class="{style}" x="{LABEL_WIDTH}" y="{y + 4}" width="{length:.1f}" height="20" '
            f'rx="2"><title>{escape(bar.label)}: {escape(text)}</title></rect>',
            f'<text x="{LABEL_WIDTH + length + 6:.1f}" y="{y + 19}">{escape(text)}</text>',
        ]
    return svg(title, height, rows)


def line_chart(
    title: str, x_name: str, x_values: list[int], lines: dict[str, tuple[bool, list[float]]]
) -> str:
    """Return lines over categories; each has a label at its end."""
    left, right, top, bottom, height = 64, 150, 16, 44, 300
    most = max(value for _, values in lines.values() for value in values) * 1.1
    step = (WIDTH - left - right) / (len(x_values) - 1)
    rows: list[str] = []
    tick = 10 ** (len(str(int(most))) - 1)
    tick = tick if most / tick >= 3 else tick // 2
    for value in range(0, int(most) + 1, tick):
        y = height - bottom - value / most * (height - top - bottom)
        rows += [
            f'<line class="grid" x1="{left}" x2="{WIDTH - right}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,}</text>',
        ]
    for index, x_value in enumerate(x_values):
        rows.append(
            f'<text x="{left + index * step:.1f}" y="{height - bottom + 20}" '
            f'text-anchor="middle">{x_value:,}</text>'
        )
    rows.append(
        f'<text x="{(left + WIDTH - right) / 2}" y="{height - 6}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
    )
    for label, (is_ours, values) in lines.items():
        style = "ours" if is_ours else "theirs"
        points = [
            (left + i * step, height - bottom - value / most * (height - top - bottom))
            for i, value in enumerate(values)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        rows.append(f'<polyline class="{style}" points="{path}"/>')
        for (x, y), x_value, value in zip(points, x_values, values, strict=True):
            text = f"{label}, {x_value:,} at once: {value:,.0f} calls/s"
            rows.append(
                f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{escape(text)}</title></circle>"
            )
        rows.append(
            f'<text x="{WIDTH - right + 10}" y="{points[-1][1] + 4:.1f}">{escape(label)}</text>'
        )
    return svg(title, height, rows)


def svg(title: str, height: float, rows: list[str]) -> str:
    """Return an SVG element for a page."""
    return (
        f'<div class="chart"><svg viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(rows)}</svg></div>'
    )


def find(report: dict[str, Any], name: str, side: str = "ours") -> float:
    """Return a value of the report by the name of the figure, or by that of the peer."""
    key = "name" if side == "ours" else "peer"
    for figure in report["figures"]:
        if figure[key] == name and isinstance(figure[side], float | int):
            return float(figure[side])
    raise ValueError(f"docs/data/bench.json has no value for {name!r}: run `make bench`")


def cpu(report: dict[str, Any]) -> str:
    """Return CPU time per call, over plain connections."""
    ours = {
        "sockets": "one call over sockets",
        "urllib3": "one call over urllib3",
        "asyncio": "one call on asyncio",
        "trio": "one call on trio",
    }
    bars = [Bar(f"ours, {label}", find(report, name), True) for label, name in ours.items()]
    bars += [Bar(peer, find(report, peer, "theirs"), False) for peer in ("botocore", "aiobotocore")]
    return bar_chart("CPU time per call in microseconds", "µs", bars)


def concurrency(report: dict[str, Any]) -> str:
    """Return calls per second for some numbers of calls at once."""
    counts = (1, 10, 100, 1000)
    ours = [1e6 / find(report, f"one call of {count} at once") for count in counts]
    theirs = [1e6 / find(report, f"aiobotocore, {count} at once", "theirs") for count in counts]
    return line_chart(
        "Calls per second against calls at once",
        "calls at once (asyncio tasks, at most 100 connections)",
        list(counts),
        {"ours, asyncio": (True, ours), "aiobotocore": (False, theirs)},
    )


def cold_start(report: dict[str, Any]) -> str:
    """Return the CPU time of a fresh process up to its first answer."""
    bars: list[Bar] = []
    for scheme in ("http", "https"):
        ours = find(report, f"process start to first answer, {scheme}")
        theirs = find(report, f"boto3, {scheme}", "theirs")
        bars += [Bar(f"ours, {scheme}", ours, True), Bar(f"boto3, {scheme}", theirs, False)]
    return bar_chart("Process start to first answer in milliseconds", "ms", bars)


def scenarios(report: dict[str, Any]) -> str:
    """Return the hostile scenarios that each transport and peer passed."""
    del report
    text = FAULTS.read_text("utf-8")
    heading = re.search(r"^\| all faults \|(.+)\|$", text, re.MULTILINE)
    passed = re.search(r"^\| passed \|(.+)\|$", text, re.MULTILINE)
    if heading is None or passed is None:
        raise ValueError("docs/faults.md has no row of what was passed: run `make fault-table`")
    peers = ("boto3", "httpx", "aiohttp", "bare urllib3")
    bars: list[Bar] = []
    for name, cell in zip(heading[1].split("|"), passed[1].split("|"), strict=True):
        good, _, total = cell.strip().partition("/")
        share = 100 * int(good) / int(total)
        is_ours = name.strip() not in peers
        label = f"ours, {name.strip()}" if is_ours else name.strip()
        bars.append(Bar(label, share, is_ours, cell.strip()))
    return bar_chart("Hostile scenarios passed", "%", bars, most=100)


CHARTS = {"cpu": cpu, "concurrency": concurrency, "cold-start": cold_start, "scenarios": scenarios}


class Chart(SphinxDirective):
    """The chart that its argument names; `machine` is the line that says where it was measured."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the nodes of the chart."""
        self.env.note_dependency(str(DATA))
        report = read_report()
        name = self.arguments[0]
        if name == "machine":
            return [nodes.paragraph(text=f"Measured on {machine_text(report)}.")]
        return [nodes.raw("", CHARTS[name](report), format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("chart", Chart)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
