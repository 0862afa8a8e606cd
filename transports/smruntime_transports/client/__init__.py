"""The typed clients, what they hand out, and the settings they take.

_client        Client and AsyncClient: the operations as methods
_base_client   what both share: settings, options, copies, pickles
_setup         from settings to a conversation
_default_io    the IO of a client that was given none, or one that lacks methods
_boundary      tracebacks end at the public methods
_streams       a streamed response while it is read
_event_check   refusing JSON where server-sent events are read
_client_calls  flows over a client of either kind
_sessions      a stateful session for the length of a `with` block
_jobs          an accepted asynchronous invocation
_settings      the settings of every client
_logging       notices as records of the standard library's logging
"""

from __future__ import annotations

from ..connect._proxies import Proxy
from ..connect._tls import TLS
from ..wire._wire_settings import WireSettings
from ._client import AsyncClient, Client
from ._jobs import AsyncJob, Job
from ._sessions import AsyncSession, Session, SessionMembers
from ._settings import Observer, Settings, Urllib3Settings, WireClientSettings
from ._streams import AsyncResponseStream, OpeningStream, ResponseStream

__all__ = [
    "TLS",
    "AsyncClient",
    "AsyncJob",
    "AsyncResponseStream",
    "AsyncSession",
    "Client",
    "Job",
    "Observer",
    "OpeningStream",
    "Proxy",
    "ResponseStream",
    "Session",
    "SessionMembers",
    "Settings",
    "Urllib3Settings",
    "WireClientSettings",
    "WireSettings",
]


def __dir__() -> list[str]:
    return sorted(__all__)
