"""Records behave like frozen dataclasses that store only what was given."""

from __future__ import annotations

import copy
import inspect
import pickle
import traceback
from typing import Any

import pytest

from smruntime_core import (
    Config,
    ConstructionError,
    Credentials,
    InvokeEndpoint,
    InvokeEndpointAsync,
    Options,
    Request,
    RetryPolicy,
    Scope,
    Timeouts,
)
from smruntime_core.values._record import Record, field, unchecked


def _small(member: str, value: object) -> int:
    if not isinstance(value, int) or value > 9:
        raise ConstructionError(member, "an int up to 9")
    return value


class Point(Record):
    """A record with every kind of member."""

    x: int = field(check=_small)
    y: int = 0
    hidden: str | None = field(default=None, secret=True)
    note: str = field(default="", compare=False)


class Deep(Point, kw_only=True):
    """A record that inherits."""

    z: bytes = b""


def test_record_is_constructed_like_a_function_with_its_signature() -> None:
    assert str(inspect.signature(Point)) == (
        "(x: 'int', y: 'int' = 0, hidden: 'str | None' = None, note: 'str' = '')"
    )
    assert (Point(1, 2).x, Point(x=1).y, Deep(x=1, z=b"a").z) == (1, 0, b"a")
    refused: tuple[dict[str, Any], ...] = ({}, {"x": 1, "w": 2})
    for wrong in refused:
        with pytest.raises(TypeError):
            Point(**wrong)
    with pytest.raises(TypeError):
        Deep(1)
    with pytest.raises(ConstructionError, match="x: must be an int up to 9"):
        Point(10)


def test_record_stores_only_given_members() -> None:
    assert vars(Point(1)) == {"x": 1}
    assert vars(Point(1, 5)) == {"x": 1, "y": 5}
    assert Point(1) == Point(1, 0)
    assert (Point(1).y, Point(1).hidden) == (0, None)


def test_record_refuses_assignment_and_deletion() -> None:
    point = Point(1)
    with pytest.raises(AttributeError, match="frozen"):
        point.x = 2  # type: ignore[misc]  # it is frozen
    with pytest.raises(AttributeError, match="frozen"):
        point.new = 2
    with pytest.raises(AttributeError, match="frozen"):
        del point.x
    assert point == Point(1)


def test_records_are_equal_and_hash_by_compared_members() -> None:
    assert Point(1, note="a") == Point(1, note="b") and hash(Point(1, note="a")) == hash(Point(1))
    assert Point(1) != Point(2) and Point(1) != Deep(x=1) and Point(1) != (1, 0, None)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2


def test_repr_shows_given_members_but_no_secrets_and_no_bodies() -> None:
    assert (
        repr(Deep(x=1, hidden="hush", z=b"hush", note="hush"))
        == "Deep(x=1, hidden=<redacted>, z=<4 bytes>)"
    )
    assert repr(Point(1)) == "Point(x=1)"


class Range(Record):
    """A record whose members must fit together."""

    low: int
    high: int = 9

    def _check_members(self) -> None:
        if self.low > self.high:
            raise ConstructionError("high", "at least low")


def test_replaced_record_is_checked_like_a_new_one() -> None:
    point = Point(1, hidden="a")
    assert point.replace(x=2) == Point(2, hidden="a") and point.x == 1
    with pytest.raises(ConstructionError, match="x: must be an int up to 9"):
        point.replace(x=99)
    with pytest.raises(TypeError, match="unexpected keyword argument 'w'"):
        point.replace(w=1)
    with pytest.raises(ConstructionError, match="high: must be at least low"):
        Range(5).replace(high=4)


PUBLIC: tuple[tuple[Record, dict[str, Any]], ...] = (
    (Credentials("AKID", "secret"), {"secret_access_key": "two\nlines"}),
    (Scope("r", "s"), {"region": "no region"}),
    (Timeouts(), {"total": -1}),
    (RetryPolicy(), {"max_attempts": 0}),
    (Options(), {"extra_headers": {"host": "h"}}),
    (Config(region="eu-west-1"), {"region": "no region"}),
    (InvokeEndpoint(endpoint_name="e", body=b""), {"custom_attributes": "a\r\nb: c"}),
    (InvokeEndpointAsync(endpoint_name="e", body=b""), {"input_location": "s3://b/k"}),
)


@pytest.mark.parametrize(("record", "changes"), PUBLIC, ids=lambda value: type(value).__name__)
def test_public_records_refuse_a_bad_replacement(record: Record, changes: dict[str, Any]) -> None:
    with pytest.raises(ConstructionError):
        record.replace(**changes)


def test_unchecked_record_takes_any_value() -> None:
    assert unchecked(Point, {"x": "any"}).y == 0


def test_refused_value_is_in_no_frame_of_the_traceback() -> None:
    with pytest.raises(ConstructionError) as info:
        Point(10, hidden="hush")
    frames = [frame for frame, _ in traceback.walk_tb(info.value.__traceback__)]
    assert frames[-1].f_code.co_name == "__init__"
    assert "hush" not in repr(frames[-1].f_locals) and "10" not in repr(frames[-1].f_locals)


RECORDS = (
    Point(1, hidden="a"),
    Request("GET", "https://h/", (("a", "b"),)),
    Scope("r", "s"),
    Timeouts(total=None),
)


@pytest.mark.parametrize("record", RECORDS)
def test_copies_and_pickles_are_equal(record: Record) -> None:
    assert (
        copy.copy(record) == copy.deepcopy(record) == pickle.loads(pickle.dumps(record)) == record
    )


@pytest.mark.parametrize("seconds", [0, -1, True, "1", float("nan"), float("inf"), 1e9])
def test_timeouts_refuse_values_that_are_not_positive_seconds(seconds: float) -> None:
    with pytest.raises(ConstructionError, match=r"total: .*must be a positive number"):
        Timeouts(total=seconds)
