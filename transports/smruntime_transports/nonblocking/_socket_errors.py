"""What an error of a socket means, with TLS or without.

An error of TLS comes from `ssl`, which then has been imported; a process without TLS is spared the 8 ms.
"""

from __future__ import annotations

from smruntime_core.errors import Kind

from ._connection import READ, WRITE


def wanted(error: OSError, mask: int) -> int:
    """Return what to wait for before trying again: `mask`, or what TLS wants; 0 if `error` is final."""
    if isinstance(error, BlockingIOError):
        return mask
    if _of_tls(error):
        import ssl

        if isinstance(error, ssl.SSLWantReadError):
            return READ
        if isinstance(error, ssl.SSLWantWriteError):
            return WRITE
    if error.errno is None:  # a signal handler raised it, such as a `TimeoutError` of its own
        raise error
    return 0


def fault(error: OSError) -> tuple[Kind, str]:
    """Return the kind of a final error and its text: "closed" is TLS without close_notify."""
    if not _of_tls(error):
        return "reset", error.strerror or str(error)
    import ssl

    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", "the connection was closed"
    return "tls", str(
        getattr(error, "verify_message", None) or getattr(error, "reason", None) or error
    )


def _of_tls(error: OSError) -> bool:
    return type(error).__module__ == "ssl"
