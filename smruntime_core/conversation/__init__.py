"""Calls as flows: credentials, signing, sending, waiting and retrying, written once for every kind of I/O.

    _runtime        one call, from members to output       _driver         the two loops that drive flows
    _retries        when to try again, and how long to wait
    _recovery       what follows each kind of failure      _clock_skew     correcting a clock that is off
    _options        what one call may change               _deadline       the time that is left
    _call_tracker   times, attempts and notices of a call  _stream         the rest of a streamed response
    _sessions       opening and closing a session          _async_jobs     waiting for an asynchronous answer
    _s3             reading an object of S3                _user_agent     the User-Agent header

Authors of clients use the names in `__all__`; applications find `Runtime`, `RetryPolicy` and `Options` in `smruntime_core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import AttributeGetter, NameLister, lazy_attributes

if TYPE_CHECKING:
    from ._async_jobs import wait_for_result
    from ._deadline import Clock, Deadline
    from ._options import MAX_BODY, OptionChanges, Options, apply_changes
    from ._s3 import ObjectReader
    from ._sessions import CLOSING_BODY, OPENING_BODY, SessionId

__all__ = [
    "CLOSING_BODY",
    "MAX_BODY",
    "OPENING_BODY",
    "Clock",
    "Deadline",
    "ObjectReader",
    "OptionChanges",
    "Options",
    "SessionId",
    "apply_changes",
    "wait_for_result",
]

__getattr__: AttributeGetter
__dir__: NameLister
__getattr__, __dir__ = lazy_attributes(
    __name__,
    globals(),
    {
        "_async_jobs": ("wait_for_result",),
        "_deadline": ("Clock", "Deadline"),
        "_options": ("MAX_BODY", "OptionChanges", "Options", "apply_changes"),
        "_s3": ("ObjectReader",),
        "_sessions": ("CLOSING_BODY", "OPENING_BODY", "SessionId"),
    },
)
