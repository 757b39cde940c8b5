"""Common Media Client Data: what players say of themselves, in requests and in reports of their own.

In: a stranger's bytes: the `CMCD` query parameter, the four `CMCD-` request headers, or the body of an event report.
Out: a `Report`, the keys of the standard with values of their types; a key that is unknown, of a wrong type or out of
range is left out, as the standard asks (2.1), and does not spoil the others. Only what is too large altogether is a
ProtocolError. Deliberately absent: custom keys, which may name people, and what the keys mean (`analytics/`).

Sources: CTA-5004 (version 1, requests), CTA-5004-B (version 2: lists by object type, states, events), and RFC 8941 for
the structured fields that both write. Version 2's drafts sent events as JSON; players of that time still do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec

from headwater.errors import ProtocolError

TEXT_LIMIT = 4096
"""Bytes of one report, decoded: all keys of version 1 are below 1 KB, a list of next objects may be as long again."""

BODY_LIMIT = 65_536
"""Bytes of an event report's body: a hundred reports, which a player gathers in a quarter of an hour."""

REPORTS_LIMIT = 128
"""Reports in one body."""

LIST_LIMIT = 16
"""Entries of a list that are read: there are nine object types."""

STRING_LIMIT = 128
"""Characters of a string, as long as the longest that the standard allows (cid); `nor` and `url` are not kept."""

DIGITS_LIMIT = 15
"""Digits of an integer (RFC 8941, 3.3.1)."""

OBJECT_TYPES = frozenset(("m", "a", "v", "av", "i", "c", "tt", "k", "o"))
HEADERS = (b"cmcd-session", b"cmcd-object", b"cmcd-request", b"cmcd-status")


class Measure(NamedTuple):
    """A number, and of which object type it is; empty where that is not said."""

    value: int
    object_type: str = ""


Value: TypeAlias = bool | int | float | str | tuple[Measure, ...] | tuple[str, ...]
Report: TypeAlias = dict[str, Value]


class Kind(Enum):
    """The types that keys have."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    STRING = "string"
    TOKEN = "token"
    MEASURES = "integers by object type"  # in version 1 one integer, of the object that is asked for
    STRINGS = "list of strings"


_MARKS = re.compile(r'"(?:[^"\\]|\\.)*"?|[(),; ]', re.DOTALL)
"""Whole strings, and what separates outside of them. No two alternatives begin alike: it goes through a text once."""

_KEYS_BY_KIND: Mapping[Kind, str] = {
    Kind.BOOLEAN: "bg bs nr su",
    Kind.INTEGER: "d dfa dl ltc msd pt rc rtp sn ts ttfb ttfbb ttlb v",
    Kind.DECIMAL: "pr",
    Kind.STRING: "cdn cen cid h sid",
    Kind.TOKEN: "e ot sf st sta",
    Kind.MEASURES: "ab bl br bsa bsd bsda lab lb mtp pb tab tb tbl tpb",
    Kind.STRINGS: "ec",
}
KEYS: Mapping[str, Kind] = {key: kind for kind, keys in _KEYS_BY_KIND.items() for key in keys.split()}
"""Every key that is read, of both versions and modes; `nor`, `nrr` and `url`, which name media, are of no use here."""

STATES = frozenset("spkrawefqd")
"""`sta`: starting, playing, seeking, rebuffering, paused, waiting, ended, fatal error, quit, preloading."""


def of_query(value: bytes) -> Report:
    """Read the value of a `CMCD` query parameter as it stands in the URL (CTA-5004, 2.2).

    Raises:
        ProtocolError: it is too long.
    """
    if len(value) > 3 * TEXT_LIMIT:
        raise ProtocolError(f"a CMCD parameter of {len(value)} bytes")
    return parse(unquote_to_bytes(value))


def of_headers(values: Iterable[bytes | None]) -> Report:
    """Read the four header fields (CTA-5004, 2.1), in any order; a key counts in whichever it stands.

    Raises:
        ProtocolError: they are too long together.
    """
    return parse(b",".join(value for value in values if value))


def of_body(body: bytes, content_type: bytes = b"application/cmcd") -> list[Report]:
    """Read the body of an event report: a report a line (CTA-5004-B, 2.3), or JSON, one object or a list of them.

    Raises:
        ProtocolError: it is too long, has too many reports, or is no JSON where it is said to be.
    """
    if len(body) > BODY_LIMIT:
        raise ProtocolError(f"an event report of {len(body)} bytes")
    if b"json" in content_type.lower():
        return _of_json(body)
    lines = [line for line in body.split(b"\n", REPORTS_LIMIT + 1) if line.strip()]
    if len(lines) > REPORTS_LIMIT:
        raise ProtocolError(f"an event report of more than {REPORTS_LIMIT} reports")
    return [parse(line.strip()) for line in lines]


def parse(text: bytes) -> Report:
    """Read one report: a dictionary of structured fields (RFC 8941, 4.2.2), of which what cannot be read is skipped.

    Raises:
        ProtocolError: it is too long.
    """
    if len(text) > TEXT_LIMIT:
        raise ProtocolError(f"a CMCD report of {len(text)} bytes")
    report: Report = {}
    for member in _split(text.decode("utf-8", "replace"), ","):
        key, equals, rest = member.strip().partition("=")
        if not equals:
            key = key.partition(";")[0]
        kind = KEYS.get(key)
        if kind is not None:
            value = _value(kind, rest) if equals else _typed(kind, True)
            if value is not None:
                report[key] = value
    return report


def _of_json(body: bytes) -> list[Report]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ProtocolError(f"an event report that is no JSON: {error}") from error
    entries = content if isinstance(content, list) else [content]
    if len(entries) > REPORTS_LIMIT:
        raise ProtocolError(f"an event report of more than {REPORTS_LIMIT} reports")
    reports = []
    for entry in entries:
        fields = entry.items() if isinstance(entry, dict) else ()
        typed = ((key, _typed(KEYS[key], value)) for key, value in fields if key in KEYS)
        reports.append({key: value for key, value in typed if value is not None})
    return reports


# -- structured fields -----------------------------------------------------------------------------------------------


def _split(text: str, separator: str) -> list[str]:
    """The pieces between separators that stand neither in a string nor in a list."""
    if separator not in text:
        return [text]
    if '"' not in text and "(" not in text:
        return text.split(separator)
    pieces, start, depth = [], 0, 0
    for found in _MARKS.finditer(text):
        mark = found[0]
        if mark == separator and depth == 0:
            pieces.append(text[start : found.start()])
            start = found.end()
        elif mark == "(":
            depth += 1
        elif mark == ")":
            depth = max(0, depth - 1)
    return [*pieces, text[start:]]


def _value(kind: Kind, text: str) -> Value | None:
    """The value of a member: an inner list or an item, either with parameters."""
    text = text.strip()
    if not text.startswith("("):
        bare = _bare(_split(text, ";")[0])
        return None if bare is None else _typed(kind, bare)
    if kind not in (Kind.MEASURES, Kind.STRINGS):
        return None
    inside = _split(text, ";")[0].strip()
    if not inside.endswith(")"):
        return None
    entries: list[Any] = []
    for item in _split(inside[1:-1], " "):
        if item and len(entries) < LIST_LIMIT:
            bare, *parameters = _split(item, ";")
            types = [name for name in map(str.strip, parameters) if name in OBJECT_TYPES]
            entries.append((_bare(bare), types[0] if types else ""))
    return _list(kind, entries)


def _bare(text: str) -> bool | int | float | str | None:
    """A bare item (RFC 8941, 4.2.3.1); None: it is none. Tokens are text."""
    text = text.strip()
    if not text:
        return None
    if text[0] == '"':
        return _string(text)
    if text[0] == "?":
        return {"?1": True, "?0": False}.get(text)
    if text[0] in "-0123456789":
        return _number(text)
    return text if text[0].isalpha() or text[0] == "*" else None


def _string(text: str) -> str | None:
    if len(text) < 2 or text[-1] != '"':
        return None
    inside = text[1:-1]
    return inside.replace('\\"', '"').replace("\\\\", "\\") if "\\" in inside else inside


def _number(text: str) -> int | float | None:
    digits = text.removeprefix("-")
    whole, point, rest = digits.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= DIGITS_LIMIT):
        return None
    if not point:
        return int(text)
    if not (rest.isascii() and rest.isdigit() and len(rest) <= DIGITS_LIMIT):
        return None
    return float(text)


# -- the types of keys -----------------------------------------------------------------------------------------------


def _typed(kind: Kind, value: object) -> Value | None:
    """A value as its key's type; None: it is not of it. Numbers are taken as the nearest integer."""
    if kind is Kind.BOOLEAN:
        return value if isinstance(value, bool) else None
    if kind is Kind.INTEGER:
        return _integer(value)
    if kind is Kind.DECIMAL:
        number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 10**DIGITS_LIMIT
        return float(value) if number else None  # type: ignore[arg-type]
    if kind in (Kind.STRING, Kind.TOKEN):
        return value if isinstance(value, str) and 0 < len(value) <= STRING_LIMIT else None
    entries = value if isinstance(value, list) else [value]
    return _list(kind, [(entry, "") for entry in entries[:LIST_LIMIT]])


def _list(kind: Kind, entries: list[tuple[object, str]]) -> Value | None:
    if kind is Kind.STRINGS:
        texts = tuple(text for text, _ in entries if isinstance(text, str) and len(text) <= STRING_LIMIT)
        return texts or None
    numbers = ((_integer(number), object_type) for number, object_type in entries)
    return tuple(Measure(number, name) for number, name in numbers if number is not None) or None


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not abs(value) < 10**DIGITS_LIMIT:  # nor is NaN
        return None
    return round(value)
