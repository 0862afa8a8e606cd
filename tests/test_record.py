"""Records behave like frozen dataclasses; sparse ones store only what was given."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from smruntime_core import ConstructionError, Request, Scope, Timeouts
from smruntime_core.values._record import Record, field


def _small(member: str, value: object) -> int:
    if not isinstance(value, int) or value > 9:
        raise ConstructionError(member, "an int up to 9")
    return value


class Point(Record):
    """A record to try things on."""

    x: int = field(check=_small)
    y: int = 0
    hidden: str | None = field(default=None, secret=True)
    note: str = field(default="", compare=False)


class Deep(Point, kw_only=True):
    """One that inherits."""

    z: bytes = b""


def test_construction_is_that_of_a_function() -> None:
    assert str(inspect.signature(Point)) in {"(x, y=0, hidden=None, note='')", "(x, y=0, hidden=None, note='') -> None"}
    assert (Point(1, 2).x, Point(x=1).y, Deep(x=1, z=b"a").z) == (1, 0, b"a")
    refused: tuple[dict[str, Any], ...] = ({}, {"x": 1, "w": 2})
    for wrong in refused:
        with pytest.raises(TypeError):
            Point(**wrong)
    with pytest.raises(TypeError):
        Deep(1)
    with pytest.raises(ConstructionError, match="x: must be an int up to 9"):
        Point(10)


class Sparse(Point):
    """One that stores only what was given."""

    sparse = True


def test_only_what_was_given_is_stored_by_a_sparse_one() -> None:
    assert vars(Sparse(1)) == {"x": 1}
    assert vars(Sparse(1, 5)) == {"x": 1, "y": 5}
    assert Sparse(1) == Sparse(1, 0)
    assert vars(Point(1)) == {"x": 1, "y": 0, "hidden": None, "note": ""}


def test_frozen() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]  # it is frozen
    with pytest.raises(AttributeError, match="frozen"):
        point.new = 2
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert point == Point(1)


def test_equality_and_hash() -> None:
    assert Point(1, note="a") == Point(1, note="b") and hash(Point(1, note="a")) == hash(Point(1))
    assert Point(1) != Point(2) and Point(1) != Deep(x=1) and Point(1) != (1, 0, None)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_repr() -> None:
    assert repr(Deep(x=1, hidden="hush", z=b"hush", note="hush")) == "Deep(x=1, hidden=<redacted>, z=<4 bytes>)"
    assert repr(Point(1)) == "Point(x=1)"


def test_but_and_trusted_check_nothing() -> None:
    point = Point(1)
    assert point.but(x=99).x == 99 and point.x == 1
    assert Point.trusted({"x": "any"}).y == 0


RECORDS = (Point(1, hidden="a"), Request("GET", "https://h/", (("a", "b"),)), Scope("r", "s"), Timeouts(total=None))


@pytest.mark.parametrize("record", RECORDS)
def test_copies_and_pickles_are_equal(record: Record) -> None:
    assert copy.copy(record) == copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize("seconds", [0, -1, True, "1", float("nan"), float("inf"), 1e9])
def test_timeouts_refuse_what_is_no_limit(seconds: float) -> None:
    with pytest.raises(ConstructionError, match="total: must be a positive number"):
        Timeouts(total=seconds)


def test_loose_record_is_one_but_for_the_lock() -> None:
    class Glance(Record, loose=True):
        where: str
        seconds: float = 1.0

    made = Glance("here", seconds=2.0)
    assert (made, repr(made)) == (Glance("here", 2.0), "Glance(where='here', seconds=2.0)")
    assert made != Glance("here")
    setattr(made, "where", "there")  # noqa: B010 - to type checkers it is frozen
    assert made.where == "there"


def test_loose_and_sparse_record_stores_only_what_was_given() -> None:
    class Hint(Record, loose=True):
        sparse = True
        where: str
        seconds: float = 1.0

    assert vars(Hint("here")) == {"where": "here"}
    assert vars(Hint("here", 2.0)) == {"where": "here", "seconds": 2.0}
