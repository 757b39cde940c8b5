"""What the API answered, for a program (JSON) or for people (a line a field)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

WATCHED = "/manifest/video.m3u8"


def as_dict(value: Any) -> Any:
    """A struct of the client as JSON values."""
    import msgspec

    return msgspec.to_builtins(value)


def print_json(value: object) -> None:
    import json

    print(json.dumps(value, indent=2))


def show_one(value: Any, as_json: bool) -> None:
    """A livestream, or another struct."""
    if as_json:
        print_json(as_dict(value))
    else:
        print_fields(for_people({name: getattr(value, name) for name in value.__struct_fields__}))


def for_people(values: dict[str, Any]) -> dict[str, Any]:
    """A livestream's fields with the page to watch it, and `disabled` as yes or no: the API has a word or nothing."""
    shown: dict[str, Any] = {}
    for name, value in values.items():
        shown[name] = bool(value) if name == "disabled" else value
        if name == "playback_url":
            shown["page_to_watch"] = value.removesuffix(WATCHED)
    return shown


def print_fields(values: dict[str, Any]) -> None:
    """Names and values, one a line; never wrapped, so that URLs and keys can be copied."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if value not in (None, ""):
            print(f"{name.replace('_', ' '):<{width}}  {_word(value)}")


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return moment(value) if isinstance(value, datetime) else str(value)


def moment(at: datetime | None) -> str:
    """A time, to the second, in UTC; nothing for None."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
