"""The calendar arithmetic against `datetime`, over every year that has four digits."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smruntime_core.values._dates import (
    days_since_epoch,
    format_date,
    format_http_date,
    format_rfc3339,
    format_time,
    parse_http_date,
    parse_rfc3339,
    parse_timestamp,
)

EPOCH = date(1970, 1, 1)
days = st.dates().map(lambda found: (found - EPOCH).days)


@given(days)
def test_dates_and_days_are_inverse(day: int) -> None:
    expected = EPOCH + timedelta(days=day)
    assert format_date(day) == f"{expected.year:04}{expected:%m%d}"
    assert days_since_epoch(expected.year, expected.month, expected.day) == day


def test_every_day_of_four_centuries_equals_datetimes() -> None:
    first = (date(1900, 1, 1) - EPOCH).days
    for day in range(first, first + 146097):
        found = format_date(day)
        assert found == (EPOCH + timedelta(days=day)).isoformat().replace("-", "")
        assert days_since_epoch(int(found[:4]), int(found[4:6]), int(found[6:])) == day


@given(days, st.integers(0, 86399))
def test_timestamp_is_read_back(day: int, second: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second)
    assert format_time(second) == f"{moment:T%H%M%SZ}"
    assert parse_timestamp(format_date(day) + format_time(second)) == day * 86400 + second


@given(
    st.from_regex(r"[0-2][0-9]{3}[01][0-9][0-3][0-9]T[0-9]{6}Z", fullmatch=True)
    | st.from_regex(r"[0-9]{8}T[0-9]{6}Z", fullmatch=True)
)
def test_timestamp_parses_exactly_when_strptime_parses_it(text: str) -> None:
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        expected = int(moment.timestamp()) if text[13:15] < "60" else None
    except ValueError:
        expected = None
    if not text.startswith("0000"):  # a year that only `datetime` does not have
        assert parse_timestamp(text) == expected


NO_STAMPS = (
    "",
    "20150830",
    "20150830T123600",
    "20150830t123600Z",
    " 20150830T123600Z",
    "20150830T123600Z\n",
    "٢٠١٥٠٨٣٠T123600Z",
)


@pytest.mark.parametrize("text", NO_STAMPS)
def test_invalid_timestamp_parses_to_none(text: str) -> None:
    assert parse_timestamp(text) is None


@given(days, st.integers(0, 86399))
def test_http_date_is_read_back(day: int, second: int) -> None:
    text = format_http_date(day * 86400 + second)
    assert parse_http_date(text) == day * 86400 + second
    assert text == format_datetime(
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day, seconds=second), usegmt=True
    )


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1)),
    st.sampled_from([0, 0, 3600, -12600, 50400]),
    st.sampled_from(["milliseconds", "seconds", "microseconds"]),
)
def test_time_with_an_offset_is_parsed(moment: datetime, offset: int, precision: str) -> None:
    aware = moment.replace(tzinfo=timezone(timedelta(seconds=offset)))
    text = aware.isoformat(timespec=precision)
    expected = datetime.fromisoformat(text).timestamp()
    for form in (
        text,
        text.replace("T", " "),
        text.replace("+00:00", "Z"),
        text.replace("+00:00", "UTC"),
    ):
        found = parse_rfc3339(form)
        assert found is not None
        assert abs(found - expected) < 1e-4


@given(st.integers(0, 253402300799))
def test_formatted_time_is_read_back(seconds: int) -> None:
    text = format_rfc3339(seconds)
    assert text == datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").rjust(
        20, "0"
    )
    assert parse_rfc3339(text) == seconds


@given(st.text("0123456789-:TZ+.UC ", max_size=30))
def test_time_that_parses_is_valid_for_datetime(text: str) -> None:
    if parse_rfc3339(text) is not None:
        datetime.fromisoformat(text.replace("UTC", "Z").replace(" ", "T", 1))


def test_invalid_time_parses_to_none() -> None:
    for text in (
        "",
        "2026-02-30T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        "soon",
        "２026-01-01T00:00:00Z",
    ):
        assert parse_rfc3339(text) is None
