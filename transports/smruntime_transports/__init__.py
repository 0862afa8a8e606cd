"""Transports: everything that does I/O for `smruntime_core`.

sockets   `Client`, blocking, the standard library only
asyncio   `AsyncClient` for asyncio, the standard library only
urllib3   `Client`, blocking, over urllib3's pools and TLS      (extra `urllib3`)
trio      `AsyncClient` for trio                                (extra `trio`)

front door       _client.py     what users hold: settings in, operations as methods
                 _streams.py  _sessions.py  _jobs.py            what those methods give back
wire             _wire.py       one call over a kept or new connection, written once, as a flow of waits
connecting       _connect.py    names, addresses, proxies, TLS: what a `TLS` and a `Proxy` say is in _tls.py and _proxy.py
pump, engines    _pump.py       bytes between a socket and an exchange     _h11.py  h11 as second reader of bodies
"""

from __future__ import annotations

from .client._client import Settings
from .connect._proxies import Proxy
from .connect._tls import TLS

__all__ = ["TLS", "Proxy", "Settings"]
