"""`python -m smruntime_local`: the same as `smruntime serve`."""

from __future__ import annotations

import sys

from smruntime_transports.cli import run_command

if __name__ == "__main__":
    sys.exit(run_command("serve", sys.argv[1:], "python -m smruntime_local"))
