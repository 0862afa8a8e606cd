"""Write the figures that have a budget into the table of docs/performance.md.

python benchmarks/page.py build/bench.json     after `make bench`
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from figures import Figure, format_ratio, format_value

PERFORMANCE_PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
TABLE_START = "<!-- figures: written by benchmarks/page.py -->\n"
TABLE_END = "<!-- end of figures -->\n"
HEADING = """\
| what | ours | peer | its | ours ÷ its | budget |
|---|---:|---|---:|---:|---|
"""


def format_row(reported: dict[str, Any]) -> str:
    """Return one row of the table."""
    figure = Figure(**{name: reported[name] for name in Figure._fields})
    ours, theirs = (format_cell(reported[side], figure.unit) for side in ("ours", "theirs"))
    ratio = format_ratio(reported["ratio"]) if figure.max_ratio and reported["ratio"] else ""
    cells = (figure.name, ours, figure.peer, theirs, ratio, figure.budget)
    return f"| {' | '.join(cells)} |\n"


def format_cell(value: float | str, unit: str) -> str:
    """Return a value with its unit, or the reason why it is missing."""
    return value if isinstance(value, str) else f"{format_value(value)} {unit}"


def write_table(report: dict[str, Any]) -> str:
    """Return the table, and what it was measured on."""
    table_rows: list[str] = []
    for figure in report["figures"]:
        has_budget = figure["max_ratio"] or figure["max_value"]
        if has_budget and figure["section"] != "counts":
            table_rows.append(format_row(figure))
    machine = report["machine"]
    conditions = [f"{machine['cpu']}, {machine['cores']} cores", machine["python"]]
    conditions += [f"{name} {number}" for name, number in report["versions"].items()]
    measured_on = f"Measured on {report['date'][:10]}: {', '.join(conditions)}.\n"
    return f"\n{HEADING}{''.join(table_rows)}\n{measured_on}\n"


def main() -> None:
    """Replace the table by that of the report named on the command line."""
    report = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    text = PERFORMANCE_PAGE.read_text("utf-8")
    text_before, text_after = text.split(TABLE_START)[0], text.split(TABLE_END)[1]
    table = TABLE_START + write_table(report) + TABLE_END
    PERFORMANCE_PAGE.write_text(text_before + table + text_after, "utf-8")


if __name__ == "__main__":
    main()
