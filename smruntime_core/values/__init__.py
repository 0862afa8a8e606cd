"""Values without behaviour of their own, and the rules that check them.

    _record     the base of all frozen records       _rules        what a member's value must be
    _http       requests and responses               _credentials  credentials and scopes
    _timeouts   time limits                          _bodies       bodies: files and iterators
    _url        URLs in the parts that HTTP needs    _dates        dates as arithmetic
    _decoder    the interface of every decoder       _incremental  what the decoders share
    _redacted   mappings that hide their values      _lazy         submodules imported late
    _version    the version of this distribution     _hooks        functions that callers give
    _preview    the beginning of a body              _constructor  constructors of records

The names in `__all__` are for authors of clients and transports, for instance to declare settings
of their own as records.
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

if not TYPE_CHECKING:  # a type checker would take any name for one of the package
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
