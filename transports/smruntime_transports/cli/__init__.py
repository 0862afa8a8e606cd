"""The command line: `smruntime`, or `python -m smruntime_transports`.

_main        the choice of a command
_invoke      call an endpoint
_operations  from the options of `invoke` to an operation
_dry_run     print the request of a call, its signature and the same call with curl
_batch       send the records of a file through an endpoint
_batch_progress   how far a batch is
_doctor      print the settings and credentials that apply, and their sources
_unused      variables of the environment that have no effect
_serve       run the local endpoint
_output      where a response is written: standard output or a file
_verbose     the steps of a call as lines
_terminal    messages and progress on standard error
_parser      arguments
_guard       what can end a command: errors, Ctrl-C, output that cannot be written
_interrupts  Ctrl-C that is not lost
_exit        the exit codes
"""

from __future__ import annotations

from ._main import main, run_command

__all__ = ["main", "run_command"]
