"""`python -m smruntime_transports`: the command `smruntime`."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main(program_name="python -m smruntime_transports"))
