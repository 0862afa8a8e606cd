"""Dates as arithmetic on seconds since the epoch, in the proleptic Gregorian calendar, UTC.

Years are counted from March, so that the leap day is the last one (the reckoning of Howard Hinnant's "chrono-compatible low-level
date algorithms"). `datetime` and `email.utils` would cost the import of this package more than all of signing.
"""

from __future__ import annotations

import re

# Compiled when they are asked for: most programs never read a date.
_STAMP = r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z"
_RFC3339 = r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(\.[0-9]{1,9})?(?:[Zz]|UTC|([+-])([0-9]{2}):?([0-9]{2}))"
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_HTTP_DATE = r"[A-Z][a-z]{2}, ([0-9]{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"

_DIGITS = [f"{number:02}" for number in range(60)]


def date_of(day: int) -> str:
    """Days since the epoch as `YYYYMMDD`."""
    era, day_of_era = divmod(day + 719468, 146097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153  # 0 is March
    year += era * 400 + (month > 9)
    return f"{year:04}{month + 3 if month < 10 else month - 9:02}{day_of_year - (153 * month + 2) // 5 + 1:02}"


def day_of(year: int, month: int, day: int) -> int:
    """Days since the epoch of a date; the inverse of `date_of`."""
    year -= month < 3
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return (
        era * 146097
        + year_of_era * 365
        + year_of_era // 4
        - year_of_era // 100
        + day_of_year
        - 719468
    )


def time_of_day(second: int) -> str:
    """Seconds since midnight as `ThhmmssZ`."""
    minute = second // 60
    return f"T{_DIGITS[minute // 60]}{_DIGITS[minute % 60]}{_DIGITS[second % 60]}Z"


def stamp(seconds: float) -> str:
    """Seconds since the epoch as `YYYYMMDDThhmmssZ`."""
    day, second = divmod(int(seconds), 86400)
    return date_of(day) + time_of_day(second)


def parse_stamp(text: str) -> int | None:
    """`YYYYMMDDThhmmssZ` as seconds since the epoch; None if `text` is not such a time."""
    found = re.fullmatch(_STAMP, text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    days = day_of(year, month, day)
    if date_of(days) != text[:8] or hour > 23 or minute > 59 or second > 59:
        return None
    return days * 86400 + hour * 3600 + minute * 60 + second


def parse_http_date(text: str) -> int | None:
    """`Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7) as seconds since the epoch; None if `text` is not such a time."""
    found = re.fullmatch(_HTTP_DATE, text)
    if found is None:
        return None
    day, month, year, *time = found.groups()
    return parse_stamp(f"{year}{_MONTHS.index(month) // 3 + 1:02}{day}T{''.join(time)}Z")


def http_date(seconds: float) -> str:
    """Seconds since the epoch as `Sun, 06 Nov 1994 08:49:37 GMT`."""
    days, second = divmod(int(seconds), 86400)
    date, (hour, minute) = date_of(days), divmod(second // 60, 60)
    month, weekday = 3 * int(date[4:6]) - 3, 3 * ((days + 3) % 7)
    time = f"{hour:02}:{minute:02}:{second % 60:02}"
    return f"{'MonTueWedThuFriSatSun'[weekday : weekday + 3]}, {date[6:]} {_MONTHS[month : month + 3]} {date[:4]} {time} GMT"


def parse_rfc3339(text: str) -> float | None:
    """`2026-01-31T23:59:59Z` (RFC 3339 section 5.6) as seconds since the epoch; None if `text` is not such a time.

    A fraction, an offset like `+02:00`, and `UTC` for `Z`, as one SDK writes it in files, are understood too.
    """
    found = re.fullmatch(_RFC3339, text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = found.groups("")
    whole = parse_stamp(f"{year}{month}{day}T{hour}{minute}{second}Z")
    if whole is None:
        return None
    offset = int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60) if sign else 0
    return whole - offset + float(fraction or 0)


def format_rfc3339(seconds: float) -> str:
    """Seconds since the epoch as `2026-01-31T23:59:59Z`."""
    text = stamp(seconds)
    return f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}"
