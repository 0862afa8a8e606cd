"""The urllib3 transport alone: what all transports share is in `test_contract`."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

from smruntime_transports.nonblocking._connection import READ, WRITE, Connection
from smruntime_transports.urllib3 import Lent


def test_urllib3_future_is_told_from_urllib3() -> None:
    """It takes the other's place when niquests is installed, and its connections cannot be lent."""
    as_if = "import urllib3.connection as c; c.HTTPConnection.is_multiplexed = False; import smruntime_transports.urllib3"
    ended = subprocess.run([sys.executable, "-P", "-c", as_if], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "ImportError" in ended.stderr
    assert "is urllib3-future" in ended.stderr
    assert "smruntime_transports.sockets" in ended.stderr


def test_what_was_lent_is_silent_whatever_was_waited_for_last() -> None:
    """An upload that ends with the answer leaves it waiting to be written to, which it always is."""
    ours, peer = socket.socketpair()
    with ours, peer:
        kept = Connection(ours, time.monotonic())
        handover: Any = SimpleNamespace(lent=SimpleNamespace(wire=kept), _pool=SimpleNamespace(_put_conn=bool))
        for _ in range(2):
            assert kept.usable(time.monotonic())
            lent = Lent(handover)
            assert lent.poll(READ | WRITE, 0.0) == WRITE
            lent.give_back()
        peer.send(b"!")
        assert not kept.usable(time.monotonic())
