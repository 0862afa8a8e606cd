"""What a caller may want to be different for some calls: how long, how often, and what may happen twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypedDict, cast

from ..effects import Progress
from ..errors import ConstructionError
from ..values._http import Headers
from ..values._record import Record, field
from ..values._rules import TCHAR, check_flag, header_text
from ..values._timeouts import check_seconds
from ._retries import RetryPolicy

MAX_BODY = 256 * 1024 * 1024  # ten times what the service sends: a bound for memory, not a rule

_token = re.compile(f"[{TCHAR}]{{1,256}}").fullmatch
_text = header_text(8192)
# Ours to write: what frames the message, what signs it, what says who is calling.
RESERVED = frozenset(
    (
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
    )
)


def _policy(member: str, value: object) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    raise ConstructionError(member, "a RetryPolicy")


def _patience(member: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:
        return value
    raise ConstructionError(member, "a number of seconds, 0 for not at all")


def _bytes(member: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ConstructionError(member, "a number of bytes, or None for no limit")


def _callable(member: str, value: object) -> Callable[[int, int], object]:
    if callable(value):
        return cast("Callable[[int, int], object]", value)
    raise ConstructionError(member, "a callable of two numbers")


def _is_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2


def _headers(member: str, value: object) -> Headers:
    """Header fields under the rules of members, as pairs."""
    given = (
        list(cast("Mapping[object, object]", value).items())
        if isinstance(value, Mapping)
        else value
    )
    if not isinstance(given, list | tuple) or not all(
        map(_is_pair, cast("Iterable[object]", given))
    ):
        raise ConstructionError(member, "a mapping of names to values, or pairs of them")
    made: dict[str, tuple[str, str]] = {}
    for name, text in cast("Iterable[tuple[object, object]]", given):
        if not (isinstance(name, str) and _token(name)):
            raise ConstructionError(
                member, "names that are tokens: letters, digits and !#$%&'*+.^_`|~-"
            )
        if name.lower() in RESERVED or name.lower() in made:
            raise ConstructionError(
                member,
                "each name once, and none that frames, signs or names the caller",
                f"{name} is not allowed",
            )
        made[name.lower()] = name, _text.check(f"{member}[{name!r}]", text)
    return tuple(made.values())


class Options(Record, kw_only=True):
    """How patient one call is. Times are in seconds.

    `timeout` bounds the whole call with its retries (None: as `Timeouts.total` says). `idempotent` says that the model may run
    twice for one call, so that what may have arrived is sent again. `wait_for_capacity` is how long to wait for a model that is
    loading or scaled to zero. `extra_headers` are signed and sent besides the operation's own. `progress` is told how many bytes
    of the request have been sent and of the answer received, each time that the transport waits; it must not. An answer longer than
    `max_body` bytes (256 MiB; None for no limit) is a `DispatchFailure` of kind `too_large`; a stream has no such limit.
    """

    timeout: float | None = field(default=None, check=check_seconds)
    retries: RetryPolicy = field(default=RetryPolicy(), check=_policy)
    idempotent: bool = field(default=False, check=check_flag)
    wait_for_capacity: float = field(default=0.0, check=_patience)
    extra_headers: Headers = field(default=(), check=_headers, secret=True)
    progress: Progress | None = field(default=None, check=_callable)
    max_body: int | None = field(default=MAX_BODY, check=_bytes)

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy that all of this comes to."""
        return self.retries.replace(resend=True) if self.idempotent else self.retries


class OptionChanges(TypedDict, total=False):
    """The options that a call may change."""

    timeout: float | None
    retries: RetryPolicy
    idempotent: bool
    wait_for_capacity: float
    extra_headers: Mapping[str, str]
    progress: Progress
    max_body: int | None


def apply_changes(options: Options, changes: OptionChanges) -> Options:
    """`options` with `changes`, all of them checked; raises `ConstructionError`, and `TypeError` for what is no option."""
    for name in changes:
        if name not in OptionChanges.__annotations__:
            raise TypeError(
                f"there is no option {name!r}; there are {', '.join(OptionChanges.__annotations__)}"
            )
    return options.replace(**changes)
