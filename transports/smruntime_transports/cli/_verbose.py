"""The steps of a call as lines, for `--verbose`: attempts, sizes and times."""

from __future__ import annotations

from smruntime_core.notices import (
    AttemptEnded,
    AttemptStarted,
    CallEnded,
    FirstByte,
    Notice,
    RequestBuilt,
    StreamEnded,
    Waiting,
)

from ._terminal import print_message


def print_notice(notice: Notice) -> None:
    """Print one step of a call to standard error, if it is worth a line."""
    text = describe_notice(notice)
    if text is not None:
        print_message(f"* {text}")


def print_size(body: bytes, content_type: str | None) -> None:
    """Print the size and content type of a whole response."""
    kind = f" of {content_type}" if content_type else ""
    print_message(f"* response: {_count(len(body), 'byte')}{kind}")


def describe_notice(notice: Notice) -> str | None:
    """Return one step of a call as a line; None for a step that other lines imply."""
    match notice:
        case RequestBuilt():
            target = f"{notice.method} {notice.path} at {notice.host}"
            text = f"{target}: {_count(notice.size, 'byte')}, signed for {notice.region}"
        case AttemptStarted():
            text = f"attempt {notice.number} of at most {notice.max_attempts}"
        case FirstByte():
            text = f"first byte of the response after {notice.seconds:.3f} s"
        case AttemptEnded():
            text = _describe_attempt(notice)
        case Waiting():
            text = f"waiting {notice.seconds:.3f} s because of {notice.reason}"
        case CallEnded():
            attempts = _count(notice.attempts, "attempt")
            text = f"call ended: {notice.outcome}, {attempts}, {notice.seconds:.3f} s"
        case StreamEnded():
            sizes = f"{_count(notice.size, 'byte')} in {_count(notice.events, 'event')}"
            text = f"stream ended: {notice.outcome}, {sizes}, {notice.seconds:.3f} s"
        case _:
            return None
    return text


def _describe_attempt(notice: AttemptEnded) -> str:
    status = "" if notice.status is None else f", status {notice.status}"
    request_id = "" if notice.request_id is None else f", request id {notice.request_id}"
    outcome = f"attempt {notice.number} ended: {notice.outcome}"
    return f"{outcome}{status}, {notice.seconds:.3f} s{request_id}"


def _count(number: int, unit: str) -> str:
    return f"1 {unit}" if number == 1 else f"{number} {unit}s"
