"""The alarm next to a list of who waits: nobody is told early, twice or out of order, nobody is forgotten, and it keeps no others."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_transports._alarm import Alarm

MOMENTS = st.integers(0, 50).map(float)
ADD = st.tuples(st.just("add"), MOMENTS)
REMOVE = st.tuples(st.just("remove"), st.integers(0, 200))
PASS = st.tuples(st.just("pass"), st.integers(1, 10).map(float))


class World:
    """A clock, the timer that was armed last, and whoever waits as a plain list."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timer = math.inf
        self.armings = 0
        self.told: list[int] = []
        self.alarm: Alarm[int] = Alarm(self.arm, self.told.append)
        self.waiting: dict[int, float] = {}
        self.added = 0

    def arm(self, when: float) -> None:
        assert when < self.timer, "again only if it has to be earlier"
        self.timer = when
        self.armings += 1

    def add(self, after: float) -> int:
        self.added += 1
        self.alarm.add(self.added, self.now + after)
        self.waiting[self.added] = self.now + after
        return self.added

    def remove(self, number: int) -> None:
        self.alarm.remove(number)
        self.waiting.pop(number, None)

    def pass_(self, seconds: float) -> None:
        """The timer goes off whenever its moment has come, as those of loops do."""
        end = self.now + seconds
        while self.timer <= end:
            self.now, self.timer = max(self.now, self.timer), math.inf
            self.told.clear()
            self.alarm.ring(self.now)
            late = [number for _, number in sorted((when, number) for number, when in self.waiting.items() if when <= self.now)]
            assert self.told == late
            for number in late:
                del self.waiting[number]
        self.now = end


@given(st.lists(ADD | REMOVE | PASS, max_size=200))
def test_who_is_late_is_told_in_order_and_in_time(steps: list[tuple[str, float]]) -> None:
    world = World()
    for what, number in steps:
        if what == "add":
            world.add(number)
        elif what == "remove":
            world.remove(int(number))
        else:
            world.pass_(number)
        assert len(world.alarm) == len(world.waiting)
        assert world.timer <= min(world.waiting.values(), default=math.inf)


def test_waits_that_end_well_arm_it_once_in_their_patience() -> None:
    world = World()
    for _ in range(10_000):
        number = world.add(60.0)
        world.pass_(0.01)
        world.remove(number)
    assert world.armings == 2  # in 100 seconds


def test_it_rings_for_nobody_and_is_silent_then() -> None:
    world = World()
    world.remove(world.add(1.0))
    world.pass_(2.0)
    assert world.timer == math.inf
    assert not world.told


def test_who_waits_because_another_was_late() -> None:
    told: list[str] = []
    armed: list[float] = []

    def late(who: str) -> None:
        told.append(who)
        if who == "first":
            alarm.add("at once", 0.5)
            alarm.add("later", 3.0)

    alarm = Alarm(armed.append, late)
    alarm.add("first", 1.0)
    for _ in range(2):
        alarm.ring(armed[-1])
    assert told == ["first", "at once"]
    assert armed == [1.0, 0.5, 3.0]


@pytest.mark.parametrize("now", [9.0, math.inf])
def test_who_ends_while_another_is_told(now: float) -> None:
    """At the end of time, too, which comes when a run is over."""
    told: list[str] = []

    def late(who: str) -> None:
        told.append(who)
        alarm.remove("second")

    alarm = Alarm(float, late)
    alarm.add("second", 2.0)
    alarm.add("first", 1.0)
    alarm.ring(now)
    assert (told, len(alarm)) == (["first"], 0)


def test_a_timer_that_is_gone_is_armed_again_by_who_waits_next() -> None:
    armed: list[float] = []
    alarm: Alarm[str] = Alarm(armed.append, str)
    alarm.add("who waits", 1.0)
    alarm.disarmed()
    alarm.add("who waits longer", 2.0)
    assert armed == [1.0, 2.0]
