"""When credentials are refreshed: a table of moments, and any order of calls (hypothesis).

No order of calls may serve expired credentials, or run two refreshes at once.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smruntime_core import Credentials, CredentialsError
from smruntime_core.credentials import Cache
from smruntime_core.testing import FrozenClock

NOW = 1.8e9


def cache(clock: FrozenClock, draw: float = 0.0) -> Cache:
    return Cache(clock.time, lambda: draw)


def expiring_in(seconds: float | None) -> Credentials:
    return Credentials("AKID", "s", "t", None if seconds is None else NOW + seconds)


def test_advice_changes_as_an_hour_of_credentials_passes() -> None:
    clock = FrozenClock(NOW)
    kept = cache(clock)
    assert (kept.advise(None), kept.at_hand(), kept.valid()) == ("wait", None, None)
    kept.done(expiring_in(3600))
    for left, advice in (
        (3600, "use"),
        (901, "use"),
        (900, "use and renew"),
        (61, "use and renew"),
        (60, "wait"),
        (1, "wait"),
        (0, "wait"),
    ):
        clock.now = NOW + 3600 - left
        assert kept.advise(None) == advice, left
        assert (kept.at_hand() is not None) == (advice == "use")
        assert (kept.valid() is not None) == (left > 0)


def test_credentials_without_expiry_are_kept() -> None:
    clock = FrozenClock(NOW)
    kept = cache(clock)
    kept.done(expiring_in(None))
    clock.now += 1e9
    assert kept.at_hand() == expiring_in(None)


def test_jitter_takes_up_to_a_quarter_of_the_advisory_window() -> None:
    quiet = []
    for draw in (0.0, 0.5, 0.999):
        kept = cache(FrozenClock(NOW), draw)
        kept.done(expiring_in(3600))
        quiet.append(NOW + 3600 - kept.quiet_until)
    assert quiet[0] == 900 and quiet[1] == 787.5 and 675 <= quiet[2] < 676


def test_source_without_newer_credentials_is_asked_rarely() -> None:
    clock = FrozenClock(NOW)
    kept = cache(clock)
    asked = 0
    while kept.valid() or not asked:
        if kept.advise(None) != "use" and kept.begin():
            if asked and clock.now >= NOW + 600:
                break
            kept.done(expiring_in(600))
            asked += 1
        clock.now += 0.1
    assert asked < 16


def test_failed_refresh_keeps_valid_credentials_in_use_and_pauses_longer_each_time() -> None:
    """Row 104 of the faults: 300 s are left, and the source fails."""
    clock = FrozenClock(NOW)
    kept = cache(clock)
    kept.done(expiring_in(3600))
    clock.now = NOW + 3300
    tries = []
    while clock.now < NOW + 3600:
        assert kept.valid() is not None
        if kept.advise(None) != "use":
            assert kept.begin()
            tries.append(clock.now)
            kept.failed()
        clock.now += 0.25
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses[:6] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert max(pauses) <= 60.0
    assert kept.advise(None) == "wait"
    kept.begin()
    kept.done(Credentials("AKID", "s", "t", clock.now + 3600))
    assert kept.advise(None) == "use"


def test_fetched_credentials_that_have_expired_are_refused() -> None:
    kept = cache(FrozenClock(NOW))
    kept.begin()
    with pytest.raises(CredentialsError, match="expired 5 s ago"):
        kept.done(expiring_in(-5))
    assert kept.valid() is None
    assert not kept.renewing


def test_callers_wait_for_new_credentials_after_a_rejection() -> None:
    clock = FrozenClock(NOW)
    kept = cache(clock)
    old, new = expiring_in(3600), Credentials("AKIDNEW", "s", "t", NOW + 3600)
    kept.done(old)
    assert kept.advise(new) == "use", "another rejected set is older than the one in use"
    assert kept.advise(old) == "wait"
    assert kept.advise(None) == "wait", "all callers wait"
    assert kept.begin()
    assert not kept.begin()
    kept.done(new)
    assert (kept.advise(None), kept.advise(old), kept.at_hand()) == ("use", "use", new)
    assert kept.advise(new) == "wait"
    kept.begin()
    kept.failed()
    assert kept.advise(new) == "use", (
        "there are no newer credentials, so the rejected ones are used"
    )
    clock.now += 1.1
    assert kept.advise(None) == "wait"


class Callers(RuleBasedStateMachine):
    """Calls, moments, failures and rejections in any order; callers follow the advice."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FrozenClock(NOW)
        self.kept = Cache(self.clock.time, lambda: self.draw)
        self.draw = 0.0
        self.running = 0
        self.waiting = 0

    @rule(seconds=st.floats(0, 4000))
    def time_passes(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(draw=st.floats(0, 1, exclude_max=True))
    def random_number_changes(self, draw: float) -> None:
        self.draw = draw

    @rule(rejected=st.sampled_from(["no", "held", "other"]))
    def call_arrives(self, rejected: str) -> None:
        last = {"no": None, "held": self.kept.held, "other": expiring_in(1)}[rejected]
        hit = self.kept.at_hand() if last is None else None
        if hit is not None:
            self.check_served(hit)
            return
        advice = self.kept.advise(last)
        if advice != "use" and self.kept.begin():
            self.running += 1
        if advice == "wait":
            assert self.kept.renewing, "a refresh is running"
            self.waiting += 1
        else:
            self.check_served(self.kept.valid())

    @precondition(lambda self: self.running)
    @rule(seconds=st.one_of(st.none(), st.floats(-100, 5000)))
    def refresh_succeeds(self, seconds: float | None) -> None:
        self.running -= 1
        fetched = Credentials(
            "AKID", "s", None, None if seconds is None else self.clock.now + seconds
        )
        try:
            self.kept.done(fetched)
        except CredentialsError:
            assert fetched.expires_at is not None and fetched.expires_at <= self.clock.now
        else:
            assert self.kept.valid() is fetched
        self.wake_waiting_callers()

    @precondition(lambda self: self.running)
    @rule(how=st.sampled_from(["failed", "abandoned"]))
    def refresh_fails(self, how: str) -> None:
        self.running -= 1
        getattr(self.kept, how)()
        self.wake_waiting_callers()

    def wake_waiting_callers(self) -> None:
        if self.waiting:
            self.waiting = 0
            if (found := self.kept.valid()) is not None:
                self.check_served(found)

    def check_served(self, keys: Credentials | None) -> None:
        assert keys is not None
        assert keys.expires_at is None or keys.expires_at > self.clock.now, (
            "expired credentials were served"
        )

    @invariant()
    def at_most_one_refresh_runs(self) -> None:
        assert self.running == int(self.kept.renewing)


Callers.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
TestCallers = Callers.TestCase
