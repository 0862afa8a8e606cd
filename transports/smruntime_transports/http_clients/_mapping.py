"""Which `DispatchFailure` an exception of an HTTP library is, in one table.

A library raises its own exception, made from one of a lower layer: httpx's from httpcore's from the
system's. `EXCEPTIONS` has a row for each class by name, so that httpx and httpx2, or requests and
urllib3, share rows. `explain` reads the rows from the outer exception to its innermost cause; where
two rows differ, the inner one is more exact. None in a row leaves the matter to the others.

A delivery is "not_sent" only where a row says that no byte can have left: then a call is tried
again. Everything else is "maybe_sent", or "answered" once there was a response.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from types import MappingProxyType
from typing import Final, NamedTuple

from smruntime_core import ConstructionError, DispatchFailure, SmRuntimeError
from smruntime_core.effects import Open, ResponseBody, Send, StreamingResponse
from smruntime_core.errors import Delivery, Kind, Phase

MAX_CAUSES: Final = 10
MAX_TEXT: Final = 200  # characters of an exception's text, which may quote the server

_find_query = re.compile(r"\?[^\s'\"]*")


class Row(NamedTuple):
    """What an exception says about kind, phase and delivery."""

    kind: Kind
    phase: Phase | None = None
    delivery: Delivery | None = None


EXCEPTIONS: Final[Mapping[str, Row]] = MappingProxyType(
    {
        # httpx and httpx2, httpcore below them
        "PoolTimeout": Row("timeout", "pool", "not_sent"),
        "ConnectTimeout": Row("timeout", "connect", "not_sent"),  # requests, too
        "ConnectError": Row("refused", "connect", "not_sent"),
        "ProxyError": Row("refused", "proxy", "not_sent"),  # requests and urllib3, too
        "UnsupportedProtocol": Row("protocol", "connect", "not_sent"),
        "WriteTimeout": Row("timeout", "send", "maybe_sent"),
        "WriteError": Row("reset", "send", "maybe_sent"),
        "ReadTimeout": Row("timeout", "head", "maybe_sent"),  # requests, too
        "ReadError": Row("reset", "head", "maybe_sent"),
        "RemoteProtocolError": Row("protocol", "head", "maybe_sent"),
        # urllib3, and requests above it
        "EmptyPoolError": Row("timeout", "pool", "not_sent"),
        "ConnectTimeoutError": Row("timeout", "connect", "not_sent"),
        "NewConnectionError": Row("refused", "connect", "not_sent"),
        "NameResolutionError": Row("refused", "resolve", "not_sent"),
        "ReadTimeoutError": Row("timeout", "head", "maybe_sent"),
        "ProtocolError": Row("protocol", "head", "maybe_sent"),
        "InvalidHeader": Row("protocol", "head", "maybe_sent"),
        "IncompleteRead": Row("truncated", "body", "maybe_sent"),  # http.client, too
        "InvalidChunkLength": Row("protocol", "body", "maybe_sent"),
        # aiohttp
        "ConnectionTimeoutError": Row("timeout", "connect", "not_sent"),
        "ClientConnectorError": Row("refused", "connect", "not_sent"),
        "ClientConnectorDNSError": Row("refused", "resolve", "not_sent"),
        "ClientConnectorCertificateError": Row("tls", "tls", "not_sent"),
        "ClientConnectorSSLError": Row("tls", "tls", "not_sent"),
        "ClientProxyConnectionError": Row("refused", "proxy", "not_sent"),
        "ClientHttpProxyError": Row("refused", "proxy", "not_sent"),
        "SocketTimeoutError": Row("timeout", "head", "maybe_sent"),
        "ServerDisconnectedError": Row("closed", "head", "maybe_sent"),
        "ClientOSError": Row("reset", "head", "maybe_sent"),
        "ClientResponseError": Row("protocol", "head", "maybe_sent"),
        "ClientPayloadError": Row("truncated", "body", "maybe_sent"),
        "TransferEncodingError": Row("protocol", "body", "maybe_sent"),
        # the standard library, below all of them
        "HTTPException": Row("protocol", "head", "maybe_sent"),
        "RemoteDisconnected": Row("closed", "head", "maybe_sent"),
        "gaierror": Row("refused", "resolve", "not_sent"),
        "ConnectionRefusedError": Row("refused"),
        "ConnectionResetError": Row("reset"),
        "BrokenPipeError": Row("reset"),
        "SSLCertVerificationError": Row("tls", "tls", "not_sent"),
        "SSLError": Row("tls", "tls"),
        "TimeoutError": Row("timeout"),
    }
)
# What the text of an exception says where its class means any violation of the protocol.
_KINDS_BY_TEXT: Final[tuple[tuple[str, Kind], ...]] = (
    ("disconnected without sending", "closed"),  # httpx
    ("peer closed connection", "truncated"),  # h11, below httpx
    ("peer unexpectedly closed", "truncated"),  # h11
    ("too long", "too_large"),  # h11
    ("got more than", "too_large"),  # http.client, below urllib3
    ("Got more than", "too_large"),  # aiohttp
    ("Not enough data", "truncated"),  # aiohttp
)
# What libraries raise beside their own exceptions.
_OTHER_ERRORS: Final[tuple[type[Exception], ...]] = (
    OSError,
    HTTPException,
    ValueError,
    OverflowError,
)


@contextmanager
def as_failures(*library_errors: type[Exception], status: int | None = None) -> Generator[None]:
    """Raise each of `library_errors`, and errors of the system, as the failure that it is.

    `status` is that of the response whose body is being read; None before there is one.
    """
    try:
        yield
    except SmRuntimeError:
        raise
    except library_errors + _OTHER_ERRORS as error:
        raise explain(error, status) from error


def explain(error: BaseException, status: int | None = None) -> SmRuntimeError:
    """Return the `DispatchFailure` for an exception of an HTTP library.

    An error of ours that is among its causes is returned itself, such as the `ConstructionError`
    of a file that has become shorter.
    """
    kind: Kind = "closed"
    phase: Phase = "head"
    delivery: Delivery = "maybe_sent"
    described = error
    for cause in _causes(error):
        if isinstance(cause, SmRuntimeError):
            return cause
        row = _find_row(cause)
        if row is not None:
            described = cause
            kind, phase, delivery = row.kind, row.phase or phase, row.delivery or delivery
    text = _find_query.sub("?…", str(described))  # that of a presigned URL is a secret
    if kind == "protocol":
        kind = _find_kind(text)
    if status is not None:
        phase, delivery = "body", "answered"
    library = type(error).__module__.partition(".")[0]
    message = f"{library}: {type(described).__name__}{': ' * bool(text)}{text:.{MAX_TEXT}}"
    if library == "builtins":  # a limit of `asyncio.timeout` or anyio
        message = "no response in time" if status is None else "no more of the response in time"
    return DispatchFailure(message, kind=kind, phase=phase, delivery=delivery, status=status)


def _find_kind(text: str) -> Kind:
    """Return the kind of a failure that a library names in words only."""
    known_kinds: list[Kind] = [known for part, known in _KINDS_BY_TEXT if part in text]
    return known_kinds[0] if known_kinds else "protocol"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it was made from, outermost first.

    `__context__` is left out: it may be an exception that the caller is handling.
    """
    current: BaseException | None = error
    for _ in range(MAX_CAUSES):
        if current is None:
            return
        yield current
        held = (current.__cause__, getattr(current, "reason", None), *current.args)
        current = next((cause for cause in held if isinstance(cause, BaseException)), None)


def _find_row(error: BaseException) -> Row | None:
    names = (error_class.__name__ for error_class in type(error).__mro__)
    return next((EXCEPTIONS[name] for name in names if name in EXCEPTIONS), None)


def opened(
    effect: Open, status: int, headers: Iterable[tuple[bytes, bytes]], body: ResponseBody
) -> StreamingResponse:
    """Return the reply to `Open`, and notify the flow that the response has begun.

    Raise `DispatchFailure` for an interim response (1xx) that the library took for the last one.
    """
    if status < 200:
        body.abort()
        message = f"status {status} instead of a response"
        raise DispatchFailure(message, kind="protocol", phase="head", delivery="maybe_sent")
    if effect.notify is not None:
        effect.notify()
    if effect.progress is not None:
        effect.progress(len(effect.request.body), 0)
    decoded = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    return StreamingResponse(status, decoded, body)


def shortest(*seconds: float | None) -> float | None:
    """Return the shortest of some time limits; a passed one is a millisecond, None is no limit."""
    given = [limit for limit in seconds if limit is not None]
    return max(min(given), 0.001) if given else None


def refuse_public(effect: Send) -> None:
    """Raise `ConstructionError` for a location outside S3, which only sockets of ours may open."""
    if effect.public:
        problem = "a server named it, and an HTTP library cannot tell its address in advance"
        remedy = "a location in S3, or use a client without `io`"
        raise ConstructionError("location", remedy, problem)


def check_client(member: str, value: object, expected: type[object], name: str) -> None:
    """Raise `ConstructionError` unless `value` is a client of the right class."""
    if not isinstance(value, expected):
        raise ConstructionError(member, name, f"found {type(value).__name__}")
