"""The options of a call: how long it may take, how often it is tried, and what may happen twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias, TypedDict, cast

from ..effects import Progress
from ..errors import ConstructionError, describe_unexpected
from ..values._hooks import hook
from ..values._http import Headers, Request
from ..values._record import Record, field
from ..values._rules import TCHAR, check_flag, header_text
from ..values._timeouts import Timeouts, check_seconds, check_timeouts
from ._retries import RetryPolicy, check_number

BeforeSigning: TypeAlias = Callable[[Request], Request]

MAX_BODY: Final = 256 * 1024 * 1024  # ten times what the service sends: a bound for memory

_match_header_name = re.compile(f"[{TCHAR}]{{1,256}}").fullmatch
_header_value_rule = header_text(8192)
# Written by this library: they frame the message, sign it, or identify the caller.
RESERVED: Final = frozenset(
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


def _check_policy(member: str, value: object) -> RetryPolicy:
    if isinstance(value, RetryPolicy):
        return value
    raise ConstructionError(member, "a RetryPolicy")


def _check_seconds(member: str, value: object) -> float:
    return check_number(member, value, "a number of seconds, 0 for not at all")


def _check_byte_count(member: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ConstructionError(member, "a number of bytes, or None for no limit")


def _check_callable(member: str, value: object) -> Callable[[int, int], object]:
    if callable(value):
        return cast("Callable[[int, int], object]", value)
    raise ConstructionError(
        member, "a callable that takes two numbers: bytes sent and bytes received"
    )


_check_before_signing = hook("a function from Request to Request")


def _is_header_pair(value: object) -> bool:
    return isinstance(value, tuple) and len(cast("tuple[object, ...]", value)) == 2


def check_headers(member: str, value: object) -> Headers:
    """Return header fields as pairs, checked by the rules for members."""
    given_headers = (
        list(cast("Mapping[object, object]", value).items())
        if isinstance(value, Mapping)
        else value
    )
    if not isinstance(given_headers, list | tuple) or not all(
        map(_is_header_pair, cast("Iterable[object]", given_headers))
    ):
        raise ConstructionError(member, "a mapping of names to values, or pairs of them")
    checked_headers: dict[str, tuple[str, str]] = {}
    for header_name, header_value in cast("Iterable[tuple[object, object]]", given_headers):
        if not (isinstance(header_name, str) and _match_header_name(header_name)):
            raise ConstructionError(
                member, "names that are tokens: letters, digits and !#$%&'*+.^_`|~-"
            )
        lower_name = header_name.lower()
        if lower_name in RESERVED or lower_name in checked_headers:
            fault = "is written by this library" if lower_name in RESERVED else "is given twice"
            raise ConstructionError(
                member,
                "headers that this library does not write itself, each name once",
                f"{header_name} {fault}",
            )
        checked_headers[lower_name] = (
            header_name,
            _header_value_rule.check(f"{member}[{header_name!r}]", header_value),
        )
    return tuple(checked_headers.values())


class Options(Record, kw_only=True):
    """The options of one call; times are in seconds.

    timeouts            `Timeouts`: the limits of each step, and `total` for the whole call
    retries             `RetryPolicy`
    idempotent          True if the model may run twice for one call: a request that may have
                        arrived is sent again, and model errors of an unavailable container are
                        retried (see `RetryPolicy.resend` and `.retry_model_errors`)
    wait_for_capacity   how long to wait for a model that is loading or scaled to zero
    extra_headers       signed and sent besides the operation's own
    progress            called with the bytes sent and received so far, each time that the IO
                        waits; it must not block
    max_body            most bytes of a response (256 MiB; None for no limit); a longer one is a
                        `DispatchFailure` of kind `too_large`. Streams have no such limit
    before_signing      function from `Request` to `Request`, called before each attempt is signed.
                        It may add header fields, change or remove those of `extra_headers`, and
                        replace the body; method, URL and the operation's own header fields stay
    """

    timeouts: Timeouts = field(default=Timeouts(), check=check_timeouts)
    retries: RetryPolicy = field(default=RetryPolicy(), check=_check_policy)
    idempotent: bool = field(default=False, check=check_flag)
    wait_for_capacity: float = field(default=0.0, check=_check_seconds)
    extra_headers: Headers = field(default=(), check=check_headers, secret=True)
    progress: Progress | None = field(default=None, check=_check_callable)
    max_body: int | None = field(default=MAX_BODY, check=_check_byte_count)
    before_signing: BeforeSigning | None = field(default=None, check=_check_before_signing)

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy, with what `idempotent` allows."""
        if not self.idempotent:
            return self.retries
        return self.retries.replace(resend=True, retry_model_errors=True)


class OptionChanges(TypedDict, total=False):
    """The options that a call may change.

    `timeout` is short for `timeouts` with that `total` (None for no limit).
    """

    timeout: float | None
    timeouts: Timeouts
    retries: RetryPolicy
    idempotent: bool
    wait_for_capacity: float
    extra_headers: Mapping[str, str]
    progress: Progress
    max_body: int | None
    before_signing: BeforeSigning | None


def apply_changes(options: Options, changes: OptionChanges) -> Options:
    """Return `options` with `changes`, all of them checked.

    Raises `ConstructionError`, and `TypeError` for a name that is no option.
    """
    message = describe_unexpected(changes, OptionChanges.__annotations__)
    if message is not None:
        raise TypeError(message)
    option_values: dict[str, object] = {**changes}
    if "timeout" in option_values:
        total = check_seconds("timeout", option_values.pop("timeout"))
        timeouts = check_timeouts("timeouts", option_values.get("timeouts", options.timeouts))
        option_values["timeouts"] = timeouts.replace(total=total)
    return options.replace(**option_values)


def add_changes(earlier: OptionChanges, later: OptionChanges) -> OptionChanges:
    """Return both changes as one; the later ones win, and new `timeouts` end an older `timeout`."""
    changes = earlier.copy()
    if "timeouts" in later:
        changes.pop("timeout", None)
    changes.update(later)
    return changes
