"""What an error of a socket means, whether the socket speaks TLS or not.

An error of TLS comes from `ssl`, so that has been imported when there is one; a process that speaks none is spared those 8 ms.
"""

from __future__ import annotations

from smruntime_core.errors import Kind

from ._connection import READ, WRITE


def wanted(error: OSError, mask: int) -> int:
    """What to wait for before what raised `error` is tried again: `mask`, unless TLS says otherwise; 0 if that will not help."""
    if isinstance(error, BlockingIOError):
        return mask
    if not _of_tls(error):
        return 0
    import ssl

    return READ if isinstance(error, ssl.SSLWantReadError) else WRITE if isinstance(error, ssl.SSLWantWriteError) else 0


def fault(error: OSError) -> tuple[Kind, str]:
    """What broke: `"closed"` if TLS was cut off without its farewell, `"tls"` or `"reset"`; and how it is said."""
    if not _of_tls(error):
        return "reset", error.strerror or str(error)
    import ssl

    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", "the connection was closed"
    return "tls", str(getattr(error, "verify_message", None) or getattr(error, "reason", None) or error)


def _of_tls(error: OSError) -> bool:
    return type(error).__module__ == "ssl"
