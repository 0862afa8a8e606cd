"""How many calls to keep in flight: enough to use an endpoint fully, few enough not to overload it.

The limit follows two signals, and the lower of two limits counts:

    refusals     throttling or no answer in time: multiplicative decrease, additive increase (AIMD,
                 as TCP). A refusal at `n` in flight lowers the limit to 85 % of `n`; it rises by 1
                 after as many successes as the limit, and stays below `n` four times as long.
                 Above 110 % of `n` the quota must have grown: refusals do not limit any more
    throughput   a server without a quota becomes slower instead. The limit starts low and grows by
                 1 with each success until calls take twice as long as at first; then half of it is
                 kept, because the slow calls began a round before. From then on it
                 climbs: it compares the throughput of a window with that of the window before, at
                 a limit 25 % higher or 20 % lower, and keeps what is better; of two limits with
                 the same throughput, the lower. A step that fails is tried again after 4, 8, 16 …
                 windows

The class reads no clock: each method takes the time, in seconds of any monotonic clock.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from ..errors import ConstructionError

CallOutcome: TypeAlias = Literal["succeeded", "overloaded", "failed"]

FIRST_LIMIT: Final = 8
DECREASE: Final = 0.85
SMALLEST_DECREASE: Final = 2
FEWEST_SUCCESSES: Final = 10  # before the limit rises by 1
CAUTION: Final = 4  # times as many, before it reaches what was refused last
SLOWDOWN: Final = 2.0  # times the first latency: the end of the quick start
SMOOTHING: Final = 1 / 8  # the weight of the newest latency
GROWN_QUOTA: Final = 1.1  # times what was refused last
STEP_UP: Final = 1.25
STEP_DOWN: Final = 0.8
NEEDED_GAIN: Final = 0.2  # of what a step up adds to the limit
TOLERATED_LOSS: Final = 0.03  # of the throughput, for a lower limit
FEWEST_CALLS: Final = 16  # of a window
FIRST_PAUSE: Final = 4  # windows
LONGEST_PAUSE: Final = 64


class CallTicket(NamedTuple):
    """A call in flight: its number and the time when it began."""

    number: int
    started_at: float


class ConcurrencyLimit:
    """The number of calls that may be in flight, from 1 to `maximum`.

    `start` and `finish` every call; `limit` says how many may be in flight now. An outcome is
    "succeeded", "overloaded" (throttled, or not answered in time), or "failed" for a failure that
    says nothing about load.

    >>> limit = ConcurrencyLimit(100)
    >>> tickets = [limit.start(now=0.0) for _ in range(limit.limit)]
    >>> limit.finish(tickets[0], "succeeded", now=0.1)
    >>> limit.limit, limit.in_flight
    (9, 7)
    >>> limit.finish(tickets[1], "overloaded", now=0.1)
    >>> limit.limit
    5
    """

    def __init__(self, maximum: int, *, initial: int = FIRST_LIMIT) -> None:
        for member, count in (("maximum", maximum), ("initial", initial)):
            if type(count) is not int or count < 1:
                raise ConstructionError(member, "an int of 1 or more", f"found {count!r}")
        self._throughput = _ThroughputLimit(maximum, min(initial, maximum))
        self._refusals = _RefusalLimit(maximum)
        self._in_flight = 0
        self._last_number = 0

    @property
    def limit(self) -> int:
        """How many calls may be in flight."""
        return min(self._throughput.limit, self._refusals.limit)

    @property
    def in_flight(self) -> int:
        """How many calls are in flight."""
        return self._in_flight

    @property
    def is_full(self) -> bool:
        """Whether as many calls are in flight as may be."""
        return self._in_flight >= self.limit

    def start(self, now: float) -> CallTicket:
        """Count a call that begins, and return its ticket."""
        self._in_flight += 1
        self._last_number += 1
        if self.is_full:
            self._throughput.note_full()
        return CallTicket(self._last_number, now)

    def finish(self, ticket: CallTicket, outcome: CallOutcome, now: float) -> None:
        """Count a call that ended, and adapt the limit."""
        calls_in_flight = self._in_flight
        self._in_flight -= 1
        if outcome == "overloaded":
            if self._refusals.note_refusal(ticket, calls_in_flight, self._last_number):
                self._throughput.note_refusal(calls_in_flight, self._last_number)
        elif outcome == "succeeded":
            is_used = 2 * calls_in_flight >= self.limit
            if self._throughput.limit <= self._refusals.limit:
                self._throughput.note_success(ticket, now, self._last_number, is_used=is_used)
            if is_used:
                self._refusals.note_success()


class _RefusalLimit:
    """The limit by refusals: 85 % of what was refused, then 1 more after rounds of successes.

    Only the first refusal of a round lowers it: calls that began before say nothing about the
    lower limit.
    """

    def __init__(self, maximum: int) -> None:
        self.limit = self._maximum = maximum
        self._refused_at = maximum
        self._successes = 0
        self._last_number_before = 0

    def note_refusal(self, ticket: CallTicket, calls_in_flight: int, last_number: int) -> bool:
        """Lower the limit and return True, unless the call began before it was lowered last."""
        if ticket.number <= self._last_number_before:
            return False
        lower_limit = min(int(calls_in_flight * DECREASE), calls_in_flight - SMALLEST_DECREASE)
        self.limit = max(1, min(self.limit, lower_limit))
        self._refused_at = calls_in_flight
        self._successes = 0
        self._last_number_before = last_number
        return True

    def note_success(self) -> None:
        self._successes += 1
        caution = 1 if self.limit + 1 < self._refused_at else CAUTION
        if self._successes >= caution * max(self.limit, FEWEST_SUCCESSES):
            self._successes = 0
            self.limit = min(self.limit + 1, self._maximum)
            if self.limit > GROWN_QUOTA * self._refused_at:
                self.limit = self._maximum


class _ThroughputLimit:
    """The limit by throughput: a quick start, then steps up and down that must prove better."""

    def __init__(self, maximum: int, initial: int) -> None:
        self.limit: int = initial
        self._maximum = maximum
        self._is_starting = True
        self._first_calls = initial  # their latency is the one that others are compared with
        self._first_latency = self._latency = 0.0
        self._base_limit: int = initial  # the limit before a step that is being measured
        self._base_throughput = 0.0
        self._next_is_up: bool = True
        # windows until the next step up (True) and down, now and after a step that fails
        self._waits: dict[bool, int] = {True: 0, False: FIRST_PAUSE}
        self._pauses: dict[bool, int] = {True: FIRST_PAUSE, False: FIRST_PAUSE}
        self._begin_window(0)

    def note_full(self) -> None:
        """Count a moment when as many calls are in flight as may be."""
        self._full_count += 1

    def note_refusal(self, calls_in_flight: int, last_number: int) -> None:
        """Leave the limit to the refusals, up to where they began."""
        self._is_starting = False
        self.limit = self._base_limit = max(1, min(calls_in_flight, self._maximum))
        self._base_throughput = 0.0
        self._begin_window(last_number)

    def note_success(
        self, ticket: CallTicket, now: float, last_number: int, *, is_used: bool
    ) -> None:
        """Grow in the quick start; after it, count the success in the window of its limit."""
        if self._is_starting:
            if is_used and self._grow(now - ticket.started_at):
                self._is_starting = False
                self._base_limit = self.limit
                self._begin_window(last_number)
        elif ticket.number > self._last_number_before:
            self._count(now, last_number)

    def _grow(self, latency: float) -> bool:
        """Grow by 1, and return whether the quick start is over."""
        if self._first_calls > 0:
            self._first_calls -= 1
            self._first_latency = max(self._first_latency, latency)
            self._latency = self._first_latency
        else:
            self._latency += (latency - self._latency) * SMOOTHING
        if self._latency > SLOWDOWN * self._first_latency:
            self.limit = max(1, self.limit // 2)
            return True
        self.limit = min(self.limit + 1, self._maximum)
        return self.limit == self._maximum

    def _begin_window(self, last_number: int) -> None:
        """Measure from the end of the first call that begins from now on."""
        self._last_number_before = last_number
        self._window_started_at: float | None = None
        self._call_count = 0
        self._full_count = 0

    def _count(self, now: float, last_number: int) -> None:
        if self._window_started_at is None:
            self._window_started_at = now
            return
        self._call_count += 1
        window_size = max(2 * self.limit, FEWEST_CALLS)
        elapsed = now - self._window_started_at
        if self._call_count < window_size or elapsed <= 0:
            return
        if self._full_count * 8 >= self._call_count:  # else there were too few calls to judge
            self._decide(self._call_count / elapsed)
        self._begin_window(last_number)

    def _decide(self, throughput: float) -> None:
        """Choose the limit of the next window after a window with that throughput."""
        if self.limit == self._base_limit:
            self._base_throughput = throughput
            self._try_step()
            return
        is_up = self.limit > self._base_limit
        if self._is_better(throughput):
            self._base_limit, self._base_throughput = self.limit, throughput
            self._pauses = {True: FIRST_PAUSE, False: FIRST_PAUSE}
            self._waits = {is_up: 0, not is_up: FIRST_PAUSE}
            self._next_is_up = is_up
            self._try_step()
        else:
            self.limit = self._base_limit
            self._waits[is_up] = self._pauses[is_up]
            self._pauses[is_up] = min(2 * self._pauses[is_up], LONGEST_PAUSE)
            self._next_is_up = not is_up

    def _is_better(self, throughput: float) -> bool:
        added_share = self.limit / self._base_limit - 1
        if added_share > 0:
            return throughput >= self._base_throughput * (1 + NEEDED_GAIN * added_share)
        return throughput >= self._base_throughput * (1 - TOLERATED_LOSS)

    def _try_step(self) -> None:
        """Take the next step that is due, if there is one."""
        for is_up in (self._next_is_up, not self._next_is_up):
            new_limit = self._step(is_up=is_up)
            if self._waits[is_up] <= 0 and new_limit != self._base_limit:
                self.limit = new_limit
                return
        self._waits = {is_up: max(0, wait - 1) for is_up, wait in self._waits.items()}

    def _step(self, *, is_up: bool) -> int:
        base_limit = self._base_limit
        if is_up:
            return min(self._maximum, max(base_limit + 1, int(base_limit * STEP_UP)))
        return max(1, min(base_limit - 1, round(base_limit * STEP_DOWN)))
