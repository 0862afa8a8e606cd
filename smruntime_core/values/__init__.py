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
    from ._dates import format_rfc3339
    from ._http import Headers
    from ._record import Record, field
    from ._rules import check_flag
    from ._url import split_authority, split_url

__all__ = [
    "Body",
    "Headers",
    "Record",
    "check_flag",
    "field",
    "format_rfc3339",
    "split_authority",
    "split_url",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    globals(),
    {
        "_bodies": ("Body",),
        "_dates": ("format_rfc3339",),
        "_http": ("Headers",),
        "_record": ("Record", "field"),
        "_rules": ("check_flag",),
        "_url": ("split_authority", "split_url"),
    },
)
