"""Dates as arithmetic on seconds since the epoch, in UTC and the proleptic Gregorian calendar.

Years are counted from March, so that the leap day is the last one (Howard Hinnant, "chrono-
compatible low-level date algorithms"). `datetime` and `email.utils` would cost the import of this
package more than all of signing.
"""

from __future__ import annotations

import re

# Compiled at first use: most programs never parse a date.
_TIMESTAMP_PATTERN = r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z"
_RFC3339_PATTERN = (
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(\.[0-9]{1,9})?(?:[Zz]|UTC|([+-])([0-9]{2}):?([0-9]{2}))"
)
_MONTH_NAMES = "JanFebMarAprMayJunJulAugSepOctNovDec"
_WEEKDAY_NAMES = "MonTueWedThuFriSatSun"
_HTTP_DATE_PATTERN = (
    r"[A-Z][a-z]{2}, ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
# With this table a signature takes 9.3 µs, with `f"{hour:02}{minute:02}{second:02}"` 10.2.
_TWO_DIGITS = [f"{number:02}" for number in range(60)]


def format_date(days: int) -> str:
    """Return the date that is `days` after the epoch as `YYYYMMDD`."""
    era, day_of_era = divmod(days + 719468, 146097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    year += era * 400 + (month_from_march > 9)
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return f"{year:04}{month:02}{day_of_year - (153 * month_from_march + 2) // 5 + 1:02}"


def days_since_epoch(year: int, month: int, day: int) -> int:
    """Return the days from the epoch to a date, the inverse of `format_date`."""
    year -= month < 3
    era, year_of_era = divmod(year, 400)
    month_from_march = month - 3 if month > 2 else month + 9
    day_of_year = (153 * month_from_march + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146097 + day_of_era - 719468


def format_time(second: int) -> str:
    """Return the seconds since midnight as `ThhmmssZ`."""
    minute = second // 60
    return f"T{_TWO_DIGITS[minute // 60]}{_TWO_DIGITS[minute % 60]}{_TWO_DIGITS[second % 60]}Z"


def format_timestamp(seconds: float) -> str:
    """Return the seconds since the epoch as `YYYYMMDDThhmmssZ`."""
    days, second = divmod(int(seconds), 86400)
    return format_date(days) + format_time(second)


def parse_timestamp(text: str) -> int | None:
    """Return `YYYYMMDDThhmmssZ` as seconds since the epoch, None if `text` is no such time."""
    matched = re.fullmatch(_TIMESTAMP_PATTERN, text)
    if matched is None:
        return None
    year, month, day, hour, minute, second = map(int, matched.groups())
    days = days_since_epoch(year, month, day)
    if format_date(days) != text[:8] or hour > 23 or minute > 59 or second > 59:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second


def parse_http_date(text: str) -> int | None:
    """Return `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7) as seconds since the epoch.

    Return None if `text` is no such time.
    """
    matched = re.fullmatch(_HTTP_DATE_PATTERN, text)
    if matched is None:
        return None
    day, month_name, year, *time_parts = matched.groups()
    month = _MONTH_NAMES.index(month_name) // 3 + 1
    return parse_timestamp(f"{year}{month:02}{day}T{''.join(time_parts)}Z")


def format_http_date(seconds: float) -> str:
    """Return the seconds since the epoch as `Sun, 06 Nov 1994 08:49:37 GMT`."""
    days, second = divmod(int(seconds), 86400)
    date, (hour, minute) = format_date(days), divmod(second // 60, 60)
    month_index, weekday_index = 3 * int(date[4:6]) - 3, 3 * ((days + 3) % 7)
    month_name = _MONTH_NAMES[month_index : month_index + 3]
    weekday_name = _WEEKDAY_NAMES[weekday_index : weekday_index + 3]
    time = f"{hour:02}:{minute:02}:{second % 60:02}"
    return f"{weekday_name}, {date[6:]} {month_name} {date[:4]} {time} GMT"


def parse_rfc3339(text: str) -> float | None:
    """Return `2026-01-31T23:59:59Z` (RFC 3339, 5.6) as seconds since the epoch.

    Accept a fraction, an offset like `+02:00`, and `UTC` in place of `Z`, as some SDKs write it in
    files. Return None if `text` is no such time.
    """
    matched = re.fullmatch(_RFC3339_PATTERN, text)
    if matched is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = matched.groups("")
    whole_seconds = parse_timestamp(f"{year}{month}{day}T{hour}{minute}{second}Z")
    if whole_seconds is None:
        return None
    offset = int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60) if sign else 0
    return whole_seconds - offset + float(fraction or 0)


def format_rfc3339(seconds: float) -> str:
    """Return the seconds since the epoch as `2026-01-31T23:59:59Z`."""
    text = format_timestamp(seconds)
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}"
