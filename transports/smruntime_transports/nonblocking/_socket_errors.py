"""The meaning of an error of a socket, plain or with TLS.

| error                                   | `mask_to_retry` | `describe_error`      |
|-----------------------------------------|-----------------|-----------------------|
| `BlockingIOError`                       | the same mask   |                       |
| `SSLWantReadError`, `SSLWantWriteError` | READ, WRITE     |                       |
| `SSLEOFError`, `SSLZeroReturnError`     | 0               | "closed"              |
| any other of `ssl`                      | 0               | "tls", OpenSSL's text |
| any other `OSError`                     | 0               | "reset", the system's |

`ssl` has been imported where an error comes from it; importing it takes 8 ms, which a process
without TLS does not pay.
"""

from __future__ import annotations

from smruntime_core.errors import Kind

from ._connection import READ, WRITE


def mask_to_retry(error: OSError, mask: int) -> int:
    """Return what to wait for before trying again, 0 if `error` is final; raises an interrupt."""
    if isinstance(error, BlockingIOError):
        return mask
    if _is_of_tls(error):
        import ssl

        if isinstance(error, ssl.SSLWantReadError):
            return READ
        if isinstance(error, ssl.SSLWantWriteError):
            return WRITE
    raise_if_interrupt(error)
    return 0


def raise_if_interrupt(error: OSError) -> None:
    """Raise `error` again if a signal handler raised it, such as a `TimeoutError` of its own.

    It has no number, which errors of a non-blocking socket have.
    """
    if error.errno is None:
        raise error


def describe_error(error: OSError) -> tuple[Kind, str]:
    """Return the kind of a final error, and its text; "closed" covers an end with close_notify."""
    if not _is_of_tls(error):
        return "reset", error.strerror or str(error)
    import ssl

    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return "closed", "the connection was closed"
    error_text = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    return "tls", str(error_text or error)


def _is_of_tls(error: OSError) -> bool:
    return type(error).__module__ == "ssl"
