"""Calls as flows: credentials, signing, sending, waiting and retrying, for every kind of I/O.

    _runtime          one call, from members to output     _driver       the loops that drive flows
    _signed_request   signing again after a wait           _clock_skew   correcting a wrong clock
    _hooks            what callers change before signing
    _retries          when to try again, after how long    _deadline     the time that is left
    _recovery         what follows each kind of failure    _options      what one call may change
    _call_tracker     attempts and notices of a call       _user_agent   the User-Agent header
    _stream           the rest of a streamed response      _locations    which locations to trust
    _async_jobs       waiting for an asynchronous answer   _s3           objects of S3
    _failure_hints    the setting behind a failure         _whole_response   `Send` in parts
    _concurrency      how many calls may be in flight
    _refusals         what was signed, for the error of a refused signature
    _session_protocol   opening and closing a stateful session (`client._sessions` keeps the id)

Authors of clients use the names in `__all__`; applications find `Runtime`, `RetryPolicy` and
`Options` in `smruntime_core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values._lazy import lazy_attributes

if TYPE_CHECKING:
    from ._async_jobs import StoredObject, is_done, wait_for_result
    from ._concurrency import CallOutcome, CallTicket, ConcurrencyLimit
    from ._deadline import Clock, Deadline
    from ._options import MAX_BODY, OptionChanges, Options, add_changes, apply_changes
    from ._s3 import ObjectReader, ObjectWriter
    from ._session_protocol import CLOSING_BODY, OPENING_BODY, SessionId
    from ._user_agent import user_agent

__all__ = [
    "CLOSING_BODY",
    "MAX_BODY",
    "OPENING_BODY",
    "CallOutcome",
    "CallTicket",
    "Clock",
    "ConcurrencyLimit",
    "Deadline",
    "ObjectReader",
    "ObjectWriter",
    "OptionChanges",
    "Options",
    "SessionId",
    "StoredObject",
    "add_changes",
    "apply_changes",
    "is_done",
    "user_agent",
    "wait_for_result",
]

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        globals(),
        {
            "_async_jobs": ("StoredObject", "is_done", "wait_for_result"),
            "_concurrency": ("CallOutcome", "CallTicket", "ConcurrencyLimit"),
            "_deadline": ("Clock", "Deadline"),
            "_options": ("MAX_BODY", "OptionChanges", "Options", "add_changes", "apply_changes"),
            "_s3": ("ObjectReader", "ObjectWriter"),
            "_session_protocol": ("CLOSING_BODY", "OPENING_BODY", "SessionId"),
            "_user_agent": ("user_agent",),
        },
    )
