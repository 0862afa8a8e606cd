"""Write `docs/faults.md`: the result of every scenario with each of our transports and peers.

    python tests/faults.py [--libraries | --check-libraries]

`make fault-table` runs this. It takes a quarter of an hour, because peers and libraries wait where
no response will come. If one of our transports fails, this prints the failures, exits with 1 and
leaves the page as it is. `--libraries` renews only the section about our clients over other HTTP
libraries (ten minutes); `--check-libraries` compares it with a new run: the exit status is 1 if a
scenario of a fault that the page shows as passed does not pass.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))  # last: installed packages go first

# ruff: noqa: E402 - the path above is needed for these imports
from smruntime_core.testing import CONTRACT, FAULTS, Fault, Scenario
from tests import conftest  # noqa: F401 - it clears the AWS settings of the environment
from tests.callers import CONTRACTED
from tests.library_ios import OVER_LIBRARIES, read_passed_faults
from tests.matrix import Matrix, run_all
from tests.peers import PEERS, RESENT, describe_versions

PAGE = ROOT / "docs" / "faults.md"
WORKERS = 8
UNANSWERED = "52 never"  # one call whose first request is never answered, and a healthy one

INTRODUCTION = """\
# Faults

How each transport copes with misbehaving servers. `make fault-table` wrote this page after a run of
all {scenarios} scenarios of `smruntime_core.testing.CONTRACT` on loopback; a test checks that the
page and the table list the same. The numbers are those of a larger catalogue.

A scenario passes if each call has exactly the expected outcome (the output, or our error with its
kind, phase, delivery and attempts), if the server saw the expected numbers of requests and
connections, if a healthy call afterwards succeeds, if the calls end in time (at most 2 s late)
and, where size matters, within 8 MiB of memory beside the limits. Responses of less than 2000
bytes were also sent byte by byte (not to h11). No socket, thread or task was left over. Our clients
were limited to one connection, so a call that loses its connection slot would break the next one.

In this run a deadline was exceeded by {late} ms at most, and no scenario took more than {memory}
MiB. For one call whose first request is never answered, the server saw this many requests, each
of which may run the model:
{requests}.

The peers met the same server with weaker expectations: they pass if they return the right
response, or raise one of their own errors where there is none; none is asked about streams, and a
bare HTTP client not about the service's errors (–). Each ran with its defaults, except for timeouts
of 2 s or those of the scenario.

{letters}
Versions: Python {python}; {versions}.
"""
LETTERS = """\
| letter | fault of a peer | letter | |
|---|---|---|---|
| W | a wrong response was returned | T | the service's response was lost |
| U | an error that is not the peer's own | H | no end within 20 s |
| F | a right response was refused or lost | M | more than 1.5 GB |
| P | an error that cannot be printed safely | R | more retries than the contract allows |
| a | (passed) it sent the request again: the model ran more than once | | |
"""


LIBRARIES_TITLE = "## Over other HTTP libraries"
LIBRARIES_INTRODUCTION = f"""\
{LIBRARIES_TITLE}

Our typed clients over the HTTP library of the caller (`smruntime_transports.http_clients`), judged
by the rules of our own transports: kind, phase, delivery, attempts, requests, connections, time and
memory. The library's parser reads the response and its pool keeps the connections, so this is what
they let through. In K, the most frequent letter, the call ended as it should, but the library does
not tell what happened as exactly, or late, or kept a connection that ours would close. All faults
that are not listed are passed by all of them.

| letter | over a library |
|---|---|
| W | a wrong response was returned |
| F | a right response was refused or lost |
| T | the service's error was lost, because the request failed |
| H | no end within 20 s |
| M | more memory than the limit |
| K | another kind, phase, delivery, number of requests or connections, time |
"""


class Results(NamedTuple):
    """The results of one transport or peer.

    `letters` has a letter, or an empty string for a pass, by the name of the scenario; `requests`
    is how many requests the server saw in `UNANSWERED`.
    """

    letters: dict[str, str]
    requests: int

    def format_cell(self, scenarios: Sequence[Scenario]) -> str:
        """Return how many of `scenarios` passed, and the letters of the others."""
        names = [str(scenario) for scenario in scenarios]
        found = [self.letters[name] for name in names if name in self.letters]
        if not found:
            return "–"
        letters = "".join(sorted(set("".join(found))))
        passed = sum(letter in ("", RESENT) for letter in found)
        return f"{passed}/{len(found)}{' ' * bool(letters)}{letters}"


Columns = Mapping[str, Results]


def our_results(matrix: Matrix) -> dict[str, Results]:
    """Return a column for each of our transports."""
    columns: dict[str, Results] = {}
    for name in CONTRACTED:
        runs = {str(scenario): matrix.runs[name, str(scenario)] for scenario in CONTRACT}
        letters = {scenario: "W" if run.wrong else "" for scenario, run in runs.items()}
        columns[name] = Results(letters, runs[UNANSWERED].seen[0].requests)
    return columns


def peer_results() -> dict[str, Results]:
    """Return a column for each installed peer."""
    columns: dict[str, Results] = {}
    for name in PEERS:
        if find_spec(name) is None:
            print(f"{name} is not installed: it has no column")
            continue
        columns[f"bare {name}" if name in CONTRACTED else name] = play_in_processes(name)
    return columns


def library_results() -> dict[str, Results]:
    """Return a column for each of our clients over other HTTP libraries."""
    return {name: play_in_processes(name) for name in OVER_LIBRARIES}


def play_in_processes(name: str) -> Results:
    """Run `peers.py` in several processes."""
    isolated = ["-P"] if "-P" in sys.orig_argv else []
    command = [sys.executable, *isolated, str(ROOT / "tests" / "peers.py"), name]
    workers = [
        subprocess.Popen(
            [*command, str(index), str(WORKERS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for index in range(WORKERS)
    ]
    lines = b"".join(worker.communicate()[0] for worker in workers).splitlines()
    results: list[tuple[str, str, int]] = [json.loads(line) for line in lines]
    return Results(
        {scenario: letter for scenario, letter, _ in results},
        next(requests for scenario, _, requests in results if scenario == UNANSWERED),
    )


def format_libraries(columns: Columns) -> str:
    """Return the section about our clients over other HTTP libraries."""
    names = [name.removeprefix("over ") for name in columns]
    table = [f"| fault | | {' | '.join(names)} |\n|{'---|' * (len(names) + 2)}"]
    passed = [results.format_cell(CONTRACT).partition(" ")[0] for results in columns.values()]
    table.append(f"| all faults | | {' | '.join(passed)} |")
    for fault in FAULTS:
        scenarios = [scenario for scenario in CONTRACT if scenario.fault == fault.number]
        cells = [results.format_cell(scenarios) for results in columns.values()]
        if any(" " in cell for cell in cells):
            table.append(f"| fault {fault.number} | {fault.description} | {' | '.join(cells)} |")
    return "\n".join([LIBRARIES_INTRODUCTION, *table]) + "\n"


def find_regressions(columns: Columns) -> list[str]:
    """Return the scenarios that do not pass, of faults that the page shows as passed."""
    return [
        f"{name}, fault {scenario}: {results.letters[str(scenario)]}"
        for name, results in columns.items()
        for scenario in CONTRACT
        if results.letters[str(scenario)] and scenario.fault in read_passed_faults(name)
    ]


def replace_libraries(page: str, section: str) -> str:
    """Return `page` with another section about the libraries."""
    before, _, rest = page.partition(LIBRARIES_TITLE)
    after = rest[rest.index("\n## ") + 1 :]
    return f"{before}{section}\n{after}"


def format_page(matrix: Matrix, peers: dict[str, Results], libraries: Columns) -> str:
    """Return the text of the whole page."""
    columns = our_results(matrix) | peers
    by_fault: defaultdict[str, list[Scenario]] = defaultdict(list)
    for scenario in CONTRACT:
        by_fault[scenario.fault].append(scenario)
    late, memory = worst_case(matrix)
    requests = [f"{name} {results.requests - 1}" for name, results in columns.items()]
    introduction = INTRODUCTION.format(
        scenarios=len(CONTRACT),
        late=late,
        memory=memory,
        requests=", ".join(requests),
        letters=LETTERS,
        python=".".join(platform.python_version_tuple()[:2]),
        versions=", ".join(describe_versions(name.removeprefix("bare ")) for name in peers),
    )
    sections = [introduction, _total_table(columns)]
    for layer in dict.fromkeys(fault.layer for fault in FAULTS):
        faults = [fault for fault in FAULTS if fault.layer == layer]
        sections.append(_layer_table(layer, faults, columns, by_fault))
    sections += [format_libraries(libraries), "## The scenarios of each fault\n"]
    for fault in FAULTS:
        if names := [f"`{scenario.name}`" for scenario in by_fault[fault.number]]:
            sections.append(f"- {fault.number}: {'; '.join(names)}")
    return "\n".join(sections) + "\n"


def worst_case(matrix: Matrix) -> tuple[int, int]:
    """Return the latest end after a deadline, in steps of 250 ms, and the most memory, in MiB.

    Both are rounded up, because no two runs are the same.
    """
    durations = {str(scenario): scenario.duration for scenario in CONTRACT}
    observations = [
        (durations[name], observation)
        for (_, name), run in matrix.runs.items()
        for observation in run.seen
    ]
    late = max(seen.seconds - duration for duration, seen in observations if duration)
    peak_memory = max(seen.peak_memory or 0 for _, seen in observations)
    return -int(-late * 1000 // 250) * 250, -(-peak_memory // 2**20)


def _format_head(columns: Columns, *first: str) -> str:
    names = [*first, *columns]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _total_table(columns: Columns) -> str:
    passed = [results.format_cell(CONTRACT).partition(" ")[0] for results in columns.values()]
    counts = [Counter(filter(None, results.letters.values())) for results in columns.values()]
    letters = [
        " ".join(f"{number} {letter}" for letter, number in sorted(count.items()))
        for count in counts
    ]
    head = _format_head(columns, "all faults")
    return f"{head}\n| passed | {' | '.join(passed)} |\n| letters | {' | '.join(letters)} |\n"


def _layer_table(
    layer: str, faults: list[Fault], columns: Columns, by_fault: Mapping[str, list[Scenario]]
) -> str:
    lines = [f"## {layer}\n", _format_head(columns, "number", "fault", "correct behaviour")]
    for fault in faults:
        cells = [results.format_cell(by_fault[fault.number]) for results in columns.values()]
        if fault.tests:
            tests = ", ".join(f"`{test.partition('::')[2]}`" for test in fault.tests)
            cells = [tests, *[""] * (len(columns) - 1)]
        start = f"| {fault.number} | {fault.description} | {fault.correct_behaviour}"
        lines.append(f"{start} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run everything, and write the page if all of ours passed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--libraries", action="store_true")
    parser.add_argument("--check-libraries", action="store_true")
    arguments = parser.parse_args()
    if arguments.check_libraries:
        regressions = find_regressions(library_results())
        print(*regressions, sep="\n")
        return 1 if regressions else 0
    if arguments.libraries:
        page = replace_libraries(PAGE.read_text("utf-8"), format_libraries(library_results()))
        PAGE.write_text(page, "utf-8")
        return 0
    matrix = run_all((name, scenario) for scenario in CONTRACT for name in CONTRACTED)
    failures = [
        f"{name}, fault {scenario}: {run.wrong}"
        for (name, scenario), run in matrix.runs.items()
        if run.wrong
    ]
    if failures or matrix.left:
        print(*failures, *matrix.left, sep="\n")
        return 1
    PAGE.write_text(format_page(matrix, peer_results(), library_results()), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
