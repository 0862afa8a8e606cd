"""Steps on a non-blocking socket, and failures from before a request is sent."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from smruntime_core import DispatchFailure
from smruntime_core.effects import Flow
from smruntime_core.errors import Kind, Phase

from ._connection import Connection
from ._socket_errors import describe_error, mask_to_retry
from ._waiting import Wait

# OpenSSL's reasons for a peer that answers without TLS, by version
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
TRUST: Final = "to trust its certificate set AWS_CA_BUNDLE, or pass tls=TLS(ca_bundle=...)"
ResultT = TypeVar("ResultT")
SecondsLeft: TypeAlias = "Callable[[], float | None]"  # returns seconds, None: no limit


def not_sent(kind: Kind, phase: Phase, message: str) -> DispatchFailure:
    """Return a failure from before the first byte of the request."""
    return DispatchFailure(message, kind=kind, phase=phase, delivery="not_sent")


def broken(error: OSError, phase: Phase, description: str) -> DispatchFailure:
    """Return the failure of what `description` says, which ended with `error` of a socket."""
    kind, error_text = describe_error(error)
    if kind == "tls" and error_text in _NO_TLS:
        failure = not_sent(kind, phase, f"{description} failed: it answered in plain text")
        failure.hint = "write http:// instead of https://, or the port at which it speaks TLS"
        return failure
    outcome_verb = "failed" if kind == "tls" else "broke"
    failure = not_sent(kind, phase, f"{description} {outcome_verb}: {error_text}")
    if "certificate is not valid for" in error_text:
        failure.hint = "write the name that the certificate is for into endpoint_url="
    elif re.search("issuer|self.signed", error_text):
        failure.hint = TRUST
    return failure


def late(phase: Phase, description: str) -> DispatchFailure:
    """Return the failure of what `description` says, which was not done in time."""
    return not_sent("timeout", phase, f"{description} was not finished in time")


def retry_until_ready(
    connection: Connection,
    socket_operation: Callable[[], ResultT],
    mask: int,
    seconds_left: SecondsLeft,
    phase: Phase,
    description: str,
) -> Flow[ResultT]:
    """Retry `socket_operation` until it no longer blocks, and return its result.

    Between tries it waits for `mask`, or for what TLS wants. Raises `DispatchFailure`, which says
    what `description` does.
    """
    while True:
        try:
            return socket_operation()
        except OSError as error:
            wanted_mask = mask_to_retry(error, mask)
            if not wanted_mask:
                raise broken(error, phase, description) from None
        # a peer that is always ready must not outrun the deadline
        remaining_seconds = seconds_left()
        ready_mask = 0
        if remaining_seconds != 0:
            ready_mask = yield from Wait(connection, wanted_mask, remaining_seconds)
        if not ready_mask:
            raise late(phase, description)
