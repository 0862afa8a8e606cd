"""The effect `Send`, answered by `Open` and `Receive`.

A transport over an HTTP library knows how to begin an exchange and how to read on. The rest of
`Send` is the same for all of them: the limits on size and time, and errors that break off.
"""

from __future__ import annotations

from ..effects import Flow, Open, Receive, Send, StreamingResponse
from ..errors import DispatchFailure
from ..values._http import MAX_ERROR_BODY, Response, fields_by_name
from ..values._timeouts import Timeouts
from ._deadline import Clock, Deadline


def receive_whole(effect: Send, clock: Clock) -> Flow[Response]:
    """Return the whole response that `effect` asks for; `clock` may be the module `time`.

    An IO with `open` and `receive` answers `Send` by this flow, with itself as the IO:

        def send(self, effect):
            return run(receive_whole(effect, time), self)

    `direct` and `public` are left to the caller, because `Open` has neither. Raises
    `DispatchFailure`: that of an effect, "too_large" beyond `max_body`, "timeout" when the body is
    not complete within `timeout` or comes slower than a byte per second. An error's body (status
    300 or more) that is too long or breaks off is returned as `truncated` instead.
    """
    deadline = Deadline(clock, effect.timeout)
    opened = yield from Open(
        effect.request,
        effect.timeout,
        effect.phases,
        effect.fresh,
        effect.notify,
        effect.progress,
        effect.renew,
    )
    is_error = opened.status >= 300
    parts: list[bytes] = []
    is_truncated = False
    try:
        is_truncated = yield from _receive_parts(effect, opened, parts, deadline, clock)
    except DispatchFailure:
        if not is_error:
            raise
        is_truncated = True
    finally:
        opened.body.abort()
    body = b"".join(parts)
    return Response(
        opened.status, opened.headers, body[:MAX_ERROR_BODY] if is_error else body, is_truncated
    )


def _receive_parts(
    effect: Send, opened: StreamingResponse, parts: list[bytes], deadline: Deadline, clock: Clock
) -> Flow[bool]:
    """Append the body to `parts`; return whether an error's body is longer than its limit."""
    is_error = opened.status >= 300
    limit = MAX_ERROR_BODY if is_error else effect.max_body
    if not is_error:
        _check_size(opened, _declared_size(opened), 0, limit)
    started_at, received = clock.monotonic(), 0
    while True:
        waited = clock.monotonic() - started_at
        seconds = _seconds_to_wait(effect.phases, deadline.left(), waited, received)
        if seconds is not None and seconds <= 0.0:
            message = f"the response was not complete after {waited:.3g} s"
            raise DispatchFailure(
                message, kind="timeout", phase="body", delivery="answered", status=opened.status
            )
        part = yield from Receive(opened.body, seconds, effect.phases)
        if not part:
            return False
        parts.append(part)
        received += len(part)
        if not is_error:
            _check_size(opened, received, received, limit)
        elif received > MAX_ERROR_BODY:
            return True


def _check_size(opened: StreamingResponse, size: int, received: int, limit: int | None) -> None:
    """Raise `DispatchFailure` if the body has more than `limit` bytes."""
    if limit is not None and size > limit:
        raise DispatchFailure(
            f"the response has more than {limit} bytes (max_body)",
            kind="too_large",
            phase="body",
            delivery="answered",
            bytes_received=received,
            status=opened.status,
        )


def _declared_size(opened: StreamingResponse) -> int:
    length = fields_by_name(opened.headers).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _seconds_to_wait(
    phases: Timeouts, left: float | None, waited: float, received: int
) -> float | None:
    """Return how long the next part may take: the time left, and a byte per second after `idle`."""
    limits = [] if left is None else [left]
    if phases.idle is not None:
        limits.append(phases.idle + received - waited)
    return min(limits, default=None)
