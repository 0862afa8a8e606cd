"""The urllib3 transport alone: what all transports share is in `test_contract`."""

from __future__ import annotations

import subprocess
import sys


def test_urllib3_future_is_told_from_urllib3() -> None:
    """It takes the other's place when niquests is installed, and its connections cannot be lent."""
    as_if = "import urllib3.connection as c; c.HTTPConnection.is_multiplexed = False; import smruntime_transports.urllib3"
    ended = subprocess.run([sys.executable, "-P", "-c", as_if], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "ImportError" in ended.stderr
    assert "is urllib3-future" in ended.stderr
    assert "smruntime_transports.sockets" in ended.stderr
