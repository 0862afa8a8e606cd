"""IOs over the HTTP library that a program already has.

    Client(io=httpx.HttpxIO(my_client))              AsyncClient(io=httpx.AsyncHttpxIO(my_client))
    Client(io=requests.RequestsIO(my_session))       AsyncClient(io=aiohttp.AiohttpIO(my_session))
    Client(io=urllib3.Urllib3IO(my_pool_manager))    AsyncClient(io=fetch.FetchIO())    # Pyodide

The typed clients then send with the program's own proxies, certificates, mocks, event hooks and
instrumentation: calls, streams, sessions, jobs and bodies from files. The library's client stays
the caller's to close. Each module needs its library; none is imported with this package.

| effect         | httpx, httpx2     | requests       | urllib3           | aiohttp             |
|----------------|-------------------|----------------|-------------------|---------------------|
| `Open`         | `client.send`     | `session.send` | `manager.request` | `session.request`   |
| `Receive`      | `iter_raw`        | `raw.read1`    | `read1`           | `content.readany`   |
| `abort()`      | `close`, `aclose` | `close`        | `close`           | `close`             |
| `Send`         | `Open` and `Receive`, by `smruntime_core.streaming.receive_whole`               |
| `Send(direct)` | the same over a client that has no proxies and serves this request only         |
| `Send(public)` | refused: no library tells the server's address before it sends                  |

The request is sent as it was signed: the library follows no redirect, decodes no body, retries
nothing, and adds no authentication. What it does add is in `docs/your-own-transport.md`, with the
time limits that it keeps. The library's own parser reads the response, so faults pass that our own
transports refuse: `docs/faults.md` has the score of each.

_mapping    which failure an exception of a library is; time limits
_bodies     request bodies from files
_httpx      what the IOs for httpx and httpx2 share
"""

from __future__ import annotations

from ._bodies import UploadReader
from ._mapping import EXCEPTIONS, as_failures, explain

__all__ = ["EXCEPTIONS", "UploadReader", "as_failures", "explain"]
