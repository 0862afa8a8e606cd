"""Values that carry no behaviour of their own: requests, responses, credentials, and the rules they are checked by.

    _record        the base of all frozen records          _rules      what a member's value must be
    _messages      Request, Response, Credentials, …       _url        a URL in the parts that signing and HTTP need
    _bodies        bodies that are files or iterators      _dates      dates as arithmetic on seconds
    _redacted      mappings whose values are not shown     _decoder    the interface of every incremental decoder
    _lazy          packages that import submodules late    _version    the version of this distribution
    _incremental   what the incremental decoders share

Authors of clients and transports use the names in `__all__`, for instance to write settings of their own as records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._bodies import Body
    from ._dates import rfc3339
    from ._messages import Headers
    from ._record import Record, field
    from ._rules import flag
    from ._url import host_and_port, split

__all__ = [
    "Body",
    "Headers",
    "Record",
    "field",
    "flag",
    "host_and_port",
    "rfc3339",
    "split",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    globals(),
    {
        "_bodies": ("Body",),
        "_dates": ("rfc3339",),
        "_messages": ("Headers",),
        "_record": ("Record", "field"),
        "_rules": ("flag",),
        "_url": ("host_and_port", "split"),
    },
)
