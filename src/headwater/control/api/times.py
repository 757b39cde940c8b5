"""Times as the API reads and writes them; inside, they are milliseconds since the Unix epoch."""

from __future__ import annotations

from datetime import UTC, date, datetime

from headwater.control.api.errors import ApiError

FARTHEST_MS = 253_402_300_799_999
"""The end of the year 9999, where Python's and the databases' calendars end."""


def iso(ms: int) -> str:
    """`2023-07-15T11:48:34.753Z`."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{ms % 1000:03d}Z"


def iso_or_none(ms: int | None) -> str | None:
    return None if ms is None else iso(ms)


def parse_time(name: str, text: str | None) -> int | None:
    """A time of a query: ISO 8601 (UTC where no zone is given) or Unix seconds.

    Raises:
        ApiError: 400, naming the parameter.
    """
    if text is None:
        return None
    try:
        ms = int(text) * 1000 if text.isascii() and text.isdecimal() and len(text) <= 16 else _parse_iso(text)
    except (ValueError, OverflowError):
        ms = -1
    if not 0 <= ms <= FARTHEST_MS:
        raise ApiError(400, f"{name}: expected an ISO 8601 date-time or Unix seconds")
    return ms


def _parse_iso(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # an unescaped "+01:00" arrives with a blank
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def parse_date(name: str, text: str | None) -> int | None:
    """A `YYYY-MM-DD` of a query: the start of that day in UTC.

    Raises:
        ApiError: 400, naming the parameter.
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
        if day.isoformat() != text:  # ISO has more ways to write a day, e.g. 2024-W01-1
            raise ValueError
        ms = round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        ms = -1
    if ms < 0:
        raise ApiError(400, f"{name}: expected a date as YYYY-MM-DD")
    return ms


def check_range(from_ms: int | None, to_ms: int | None, unit: str = "time") -> None:
    """Refuse a range that ends before it starts.

    Args:
        unit: Of the parameters `start_<unit>` and `end_<unit>` that hold it.
    """
    if from_ms is not None and to_ms is not None and to_ms < from_ms:
        raise ApiError(400, f"end_{unit}: it lies before start_{unit}")


def day_name(ms: int) -> str:
    return iso(ms)[:10]
