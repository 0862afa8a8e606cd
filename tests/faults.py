"""Writes `docs/faults.md`: what every scenario of the contract came to over each of our transports and, in the same harness, with peers.

`make docs` runs this; it takes some minutes, for peers wait where there is nothing to wait for. Where ours is wrong it says so and ends
with 1, and the page is left alone.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # last: what is installed goes first

from smruntime_core.testing import CONTRACT, ROWS, Row, Scenario  # noqa: E402 - where they are is said above
from tests import conftest  # noqa: E402, F401 - the settings of whoever runs this are none of the peers' either
from tests.callers import CONTRACTED  # noqa: E402 - likewise
from tests.matrix import Matrix, run_all  # noqa: E402 - likewise
from tests.peers import AGAIN, PEERS, versions  # noqa: E402 - likewise

PAGE = ROOT / "docs" / "faults.md"
WORKERS = 8
UNANSWERED = "52 never"  # one call whose first request is never answered, and a healthy one

INTRODUCTION = """\
# Faults

What a hostile or unlucky world does to a transport, and what became of it. Made by `make docs` out of a run of all {scenarios} scenarios
of `smruntime_core.testing.CONTRACT` on loopback; a test sees to it that the page and the table name the same. The numbers of the rows
are those of a larger catalogue.

A scenario passes if the call comes to exactly what is right: the answer, or our error with its kind, phase, delivery and attempts; if the
server saw as many requests and connections as it may; if a healthy call afterwards comes off; in time (at most 2 s late) and, where
size matters, in memory (8 MiB beside the limits). Answers of less than 2000 bytes were also sent byte by byte (not to h11). No socket,
thread or task was left over.

In this run a deadline was overshot by {late} ms at most, and no scenario took more than {memory} MiB. Of one call whose first request
is never answered the server saw so many requests, each of which may run the model:
{requests}.

The peers met the same server. Asked less, they pass if they give the right answer, or an error of their own kind where none is to be had;
a bare HTTP client is not asked about the service's errors (–). Each ran with its defaults, but for time limits of 2 s or the scenario's.

{letters}
Versions: Python {python}; {versions}.
"""
LETTERS = """\
| letter | what was wrong with a peer | letter | |
|---|---|---|---|
| W | a wrong answer was taken for a right one | T | the service's answer was lost |
| U | an error that is none of the peer's came out | H | no end within 20 s |
| F | a right answer was refused, or not had | M | more than 1.5 GB |
| P | an error that cannot be printed safely | R | more retries than anybody should make |
| a | (passed) it asked again: the model ran more than once | | |
"""


class Verdicts(NamedTuple):
    """Of one transport or peer: a letter, or nothing, by the name of the scenario; how many requests the server saw in `UNANSWERED`."""

    letters: dict[str, str]
    requests: int

    def cell(self, scenarios: list[Scenario]) -> str:
        """How many of them passed, and what went wrong."""
        found = [
            self.letters[str(scenario)] for scenario in scenarios if str(scenario) in self.letters
        ]
        if not found:
            return "–"
        letters = "".join(sorted(set("".join(found))))
        passed = sum(letter in ("", AGAIN) for letter in found)
        return f"{passed}/{len(found)}{' ' * bool(letters)}{letters}"


def ours(matrix: Matrix) -> dict[str, Verdicts]:
    """A column for each transport."""
    runs = matrix.runs
    return {
        name: Verdicts(
            {str(s): "W" if runs[name, str(s)].wrong else "" for s in CONTRACT},
            runs[name, UNANSWERED].seen[0].requests,
        )
        for name in CONTRACTED
    }


def theirs() -> dict[str, Verdicts]:
    """A column for each peer that is installed."""
    found: dict[str, Verdicts] = {}
    for name in PEERS:
        if find_spec(name) is None:
            print(f"{name} is not installed: it has no column")
            continue
        script = [
            sys.executable,
            *(["-P"] if "-P" in sys.orig_argv else []),
            str(ROOT / "tests" / "peers.py"),
            name,
        ]
        workers = [
            subprocess.Popen(
                [*script, str(k), str(WORKERS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            for k in range(WORKERS)
        ]
        lines = b"".join(worker.communicate()[0] for worker in workers).splitlines()
        found[f"bare {name}" if name in CONTRACTED else name] = _told(list(map(json.loads, lines)))
    return found


def _told(lines: list[tuple[str, str, int]]) -> Verdicts:
    return Verdicts(
        {scenario: letter for scenario, letter, _ in lines},
        next(seen for scenario, _, seen in lines if scenario == UNANSWERED),
    )


def page(matrix: Matrix, peers: dict[str, Verdicts]) -> str:
    """The whole of it."""
    columns = ours(matrix) | peers
    ways: defaultdict[str, list[Scenario]] = defaultdict(list)
    for scenario in CONTRACT:
        ways[scenario.row].append(scenario)
    late, memory = worst(matrix)
    introduction = INTRODUCTION.format(
        scenarios=len(CONTRACT),
        late=late,
        memory=memory,
        requests=", ".join(f"{name} {verdicts.requests - 1}" for name, verdicts in columns.items()),
        letters=LETTERS,
        python=".".join(platform.python_version_tuple()[:2]),
        versions=", ".join(versions(name.removeprefix("bare ")) for name in peers),
    )
    parts = [introduction, _total(columns)]
    for layer in dict.fromkeys(row.layer for row in ROWS):
        parts.append(_table(layer, [row for row in ROWS if row.layer == layer], columns, ways))
    parts.append("## The ways of each row\n")
    parts += [
        f"- {row.number}: {'; '.join(f'`{scenario.name}`' for scenario in ways[row.number])}"
        for row in ROWS
        if ways[row.number]
    ]
    return "\n".join(parts) + "\n"


def worst(matrix: Matrix) -> tuple[int, int]:
    """The latest end of a scenario whose time is bounded, in ms, and the most memory, in MiB; upwards, since no two runs are the same."""
    takes = {str(scenario): scenario.takes for scenario in CONTRACT}
    seen = [(takes[name], saw) for (_, name), run in matrix.runs.items() for saw in run.seen]
    late = max(saw.seconds - limit for limit, saw in seen if limit)
    peak = max(saw.peak or 0 for _, saw in seen)
    return -int(-late * 1000 // 250) * 250, -(-peak // 2**20)


def _head(columns: dict[str, Verdicts], *first: str) -> str:
    names = [*first, *columns]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _total(columns: dict[str, Verdicts]) -> str:
    cells = [verdicts.cell(list(CONTRACT)).partition(" ")[0] for verdicts in columns.values()]
    tallies = [
        Counter(letter for letter in verdicts.letters.values() if letter)
        for verdicts in columns.values()
    ]
    wrong = [
        " ".join(f"{number} {letter}" for letter, number in sorted(tally.items()))
        for tally in tallies
    ]
    return f"{_head(columns, 'all rows')}\n| passed | {' | '.join(cells)} |\n| letters | {' | '.join(wrong)} |\n"


def _table(
    layer: str, rows: list[Row], columns: dict[str, Verdicts], ways: dict[str, list[Scenario]]
) -> str:
    lines = [f"## {layer}\n", _head(columns, "row", "fault", "what is right")]
    for row in rows:
        cells = [verdicts.cell(ways[row.number]) for verdicts in columns.values()]
        if row.proved:
            cells = [
                f"`{'`, `'.join(proof.partition('::')[2] for proof in row.proved)}`",
                *[""] * (len(columns) - 1),
            ]
        lines.append(f"| {row.number} | {row.fault} | {row.right} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run everything, and write the page if ours are right."""
    matrix = run_all((name, scenario) for scenario in CONTRACT for name in CONTRACTED)
    wrong = [
        f"{name}, row {scenario}: {run.wrong}"
        for (name, scenario), run in matrix.runs.items()
        if run.wrong
    ]
    if wrong or matrix.left:
        print(*wrong, *matrix.left, sep="\n")
        return 1
    text = page(matrix, theirs())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
