"""One value: from what a file, a variable or an option says to the type that the setting has. Pure.

Text (environment, command line) is read leniently, as people write it; TOML is typed already and must have the type.
"""

from __future__ import annotations

import math
import types
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from headwater.config.address import Address

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off"})


def convert(raw: object, hint: Any, *, text: bool) -> object:
    """Give a value the type of its setting.

    Args:
        raw: What the source says: str if `text`, else what TOML made of it.
        hint: The setting's type: bool, int, float, str, Path, Address, a tuple of them, or one of them or None.
        text: The source knows text only.

    Raises:
        ValueError: with what is allowed, in words.
    """
    inner = optional(hint)
    if inner is not None:
        return None if raw == "" else convert(raw, inner, text=text)
    if get_origin(hint) is tuple:
        return _tuple(raw, get_args(hint)[0], text=text)
    reader = _READERS.get(hint)
    if reader is None:
        raise AssertionError(f"settings of type {hint} cannot be read")
    return reader(raw, text)


def optional(hint: Any) -> Any:
    """X of `X | None`, or None for any other type."""
    if get_origin(hint) in (Union, types.UnionType):
        arms = [arm for arm in get_args(hint) if arm is not type(None)]
        if len(arms) == 1:
            return arms[0]
    return None


def spell(value: object) -> str:
    """A value as TOML writes it; None as an empty string, which means "not set" wherever that is allowed."""
    if value is None:
        return '""'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"{value:_}" if isinstance(value, int) and abs(value) >= 10_000 else repr(value)
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(spell(item) for item in value) + "]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tuple(raw: object, item: Any, *, text: bool) -> tuple[object, ...]:
    if text:
        words = [word.strip() for word in str(raw).split(",") if word.strip()]
        return tuple(convert(word, item, text=True) for word in words)
    if not isinstance(raw, list):
        raise ValueError('must be a list, e.g. ["a", "b"]')
    return tuple(convert(entry, item, text=False) for entry in raw)


def _bool(raw: object, text: bool) -> bool:
    if text and str(raw).lower() in TRUE | FALSE:
        return str(raw).lower() in TRUE
    if isinstance(raw, bool):
        return raw
    raise ValueError("must be true or false")


def _int(raw: object, text: bool) -> int:
    if text:
        try:
            return int(str(raw))
        except ValueError:
            pass
    elif isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    raise ValueError("must be a whole number")


def _float(raw: object, text: bool) -> float:
    value = math.nan
    if text:
        try:
            value = float(str(raw))
        except ValueError:
            pass
    elif isinstance(raw, (int, float)) and not isinstance(raw, bool):
        value = float(raw)
    if not math.isfinite(value):
        raise ValueError("must be a number")
    return value


def _str(raw: object, text: bool) -> str:
    if not isinstance(raw, str):
        raise ValueError("must be text in quotes")
    if "\0" in raw:
        raise ValueError("must not hold a NUL character")
    return raw


def _path(raw: object, text: bool) -> Path:
    if isinstance(raw, Path):
        return raw
    value = _str(raw, text)
    if not value:
        raise ValueError("must be a path")
    return Path(value).expanduser()


def _address(raw: object, text: bool) -> Address:
    return raw if isinstance(raw, Address) else Address.parse(_str(raw, text))


_READERS: dict[Any, Any] = {bool: _bool, int: _int, float: _float, str: _str, Path: _path, Address: _address}
