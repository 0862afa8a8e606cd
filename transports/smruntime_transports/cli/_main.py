"""`smruntime`, or `python -m smruntime_transports`: call an endpoint from the shell.

    smruntime invoke ENDPOINT -d @row.csv
    smruntime invoke ENDPOINT -d @question.json --stream text
    smruntime batch ENDPOINT -i rows.jsonl -o results.jsonl
    smruntime doctor
    smruntime serve

Each command has its own `--help`. Responses are printed to standard output as they arrive, messages
to standard error. Exit codes:
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final, Protocol, cast

from smruntime_core import __version__

from ._exit import CODE_MEANINGS, CommandError
from ._guard import guard, print_output
from ._parser import CommandParser

COMMANDS: Final[Mapping[str, str]] = {
    "invoke": "call an endpoint",
    "batch": "send the records of a file through an endpoint",
    "doctor": "show which region, endpoint, credentials and files apply, and why",
    "serve": "run an endpoint on this machine, or a command with such an endpoint",
}


class Command(Protocol):
    """A module of one command."""

    def run(self, arguments: list[str], program_name: str) -> int:
        """Run the command and return its exit code."""
        ...


def main(arguments: list[str] | None = None, program_name: str = "smruntime") -> int:
    """Run one command and return its exit code."""
    given_arguments = sys.argv[1:] if arguments is None else arguments
    if given_arguments and given_arguments[0] in COMMANDS:
        command_name, *command_arguments = given_arguments
        return run_command(command_name, command_arguments, f"{program_name} {command_name}")
    return guard(program_name, lambda: _answer(given_arguments, program_name))


def run_command(command_name: str, arguments: list[str], program_name: str) -> int:
    """Run the command of that name, without the imports of the others; return its exit code."""

    def run() -> int:
        command_module = import_module(f"._{command_name}", __package__)
        return cast("Command", command_module).run(arguments, program_name)

    return guard(program_name, run)


def _answer(arguments: list[str], program_name: str) -> int:
    """Print the help or version, or what is wrong with arguments that name no command."""
    command_lines = [f"  {name:<8}{meaning}" for name, meaning in COMMANDS.items()]
    code_lines = [f"  {code:<4} {meaning}" for code, meaning in CODE_MEANINGS.items()]
    parser = CommandParser(
        prog=program_name,
        usage=f"{program_name} COMMAND …",
        description="\n".join([__doc__ or "", *code_lines, "", "Commands:", "", *command_lines]),
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    options, other_arguments = parser.parse_known_args(arguments)
    if options.version and not other_arguments:
        print_output(f"smruntime {__version__}")
        return 0
    found = f"unknown command {other_arguments[0]!r}" if other_arguments else "no command"
    remedy = f"the commands are {', '.join(COMMANDS)} (see {program_name} --help)"
    raise CommandError(f"{found}: {remedy}")
