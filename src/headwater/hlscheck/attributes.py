"""Attribute lists (draft clause 4.2): `NAME=value,NAME="value"`, read strictly and typed on request.

In: the text after a tag's colon. Out: an `Attributes`, whose getters note a `Problem` for what is missing or of the
wrong type and then answer with a stand-in, so that one bad value does not hide the next.
"""

from __future__ import annotations

import string
from collections.abc import Callable

from headwater.hlscheck.playlist import ByteRange, Problem

MAX_ATTRIBUTES = 200  # per tag; the draft's longest tag defines about 25
MAX_INTEGER = 2**64 - 1  # decimal-integer is 0 to 2^64-1 (4.2)
MAX_DECIMAL_DIGITS = 32  # a decimal-floating-point longer than this says nothing more
_NAME = frozenset(string.ascii_uppercase + string.digits + "-")
_DIGITS = frozenset(string.digits)


class Attributes:
    """One tag's attribute list."""

    def __init__(self, text: str, line: int, tag: str, report: Callable[[Problem], None]) -> None:
        self._line, self._tag, self._report = line, tag, report
        self.raw: dict[str, str] = {}
        self._parse(text)

    def _problem(self, rule: str, text: str) -> None:
        self._report(Problem(rule, self._line, f"{self._tag}: {text}"))

    def _parse(self, text: str) -> None:
        position, count = 0, 0
        while position < len(text):
            count += 1
            equals = text.find("=", position)
            if equals < 0 or count > MAX_ATTRIBUTES:
                self._problem("attribute-list", f"not NAME=value: {text[position : position + 40]!r}")
                return
            name = text[position:equals]
            if not name or not _NAME.issuperset(name):
                self._problem("attribute-list", f"attribute name {name[:40]!r} has more than A-Z, 0-9 and '-'")
                name = name.strip()
            value, position = self._value(text, equals + 1)
            if name in self.raw:
                self._problem("attribute-list", f"{name[:40]} stands twice in one attribute list")
            self.raw.setdefault(name, value)
            if position == len(text) and text.endswith(","):
                self._problem("attribute-list", "ends with a comma")

    def _value(self, text: str, start: int) -> tuple[str, int]:
        """The value from `start` (quotes kept) and where the next attribute begins."""
        if text.startswith('"', start):
            close = text.find('"', start + 1)
            if close < 0:
                self._problem("attribute-list", "a quoted string is not closed")
                return text[start:] + '"', len(text) + 1
            if close + 1 < len(text) and text[close + 1] != ",":
                self._problem("attribute-list", f"text after a quoted string: {text[close + 1 : close + 20]!r}")
            comma = text.find(",", close + 1)
            return text[start : close + 1], len(text) + 1 if comma < 0 else comma + 1
        comma = text.find(",", start)
        end = len(text) if comma < 0 else comma
        value = text[start:end]
        if not value or '"' in value or value != value.strip() or " " in value:
            self._problem("attribute-list", f"unquoted value {value[:40]!r} is empty or has a space or a quote")
        return value.strip(), len(text) + 1 if comma < 0 else comma + 1

    def _required(self, name: str) -> None:
        self._problem("required-attribute", f"{name} is required")

    def quoted(self, name: str, *, required: bool = False) -> str | None:
        """A quoted-string without its quotes."""
        value = self.raw.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        if len(value) < 2 or value[0] != '"' or value[-1] != '"':
            self._problem("attribute-value", f"{name} must be a quoted string, is {value[:40]}")
            return value
        return value[1:-1]

    def enumerated(self, name: str, *, required: bool = False, allowed: tuple[str, ...] = ()) -> str | None:
        """An enumerated-string: unquoted, one of `allowed` where that is given."""
        value = self.raw.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        if value.startswith('"'):
            self._problem("attribute-value", f"{name} must not be quoted, is {value[:40]}")
            value = value.strip('"')
        if allowed and value not in allowed:
            self._problem("attribute-value", f"{name} must be one of {', '.join(allowed)}, is {value[:40]}")
        return value

    def yes(self, name: str, *, or_no: bool = False) -> bool:
        """Whether an attribute is YES; other values than YES (or NO where allowed) are a problem."""
        return self.enumerated(name, allowed=("YES", "NO") if or_no else ("YES",)) == "YES"

    def integer(self, name: str, *, required: bool = False) -> int | None:
        value = self.raw.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        number = read_integer(value)
        if number is None:
            self._problem("attribute-value", f"{name} must be a decimal integer, is {value[:40]}")
        return number

    def decimal(self, name: str, *, required: bool = False) -> float | None:
        value = self.raw.get(name)
        if value is None:
            if required:
                self._required(name)
            return None
        number = read_decimal(value)
        if number is None:
            self._problem("attribute-value", f"{name} must be a decimal number, is {value[:40]}")
        return number

    def resolution(self, name: str) -> tuple[int, int] | None:
        value = self.raw.get(name)
        if value is None:
            return None
        width, _, height = value.partition("x")
        pair = read_integer(width), read_integer(height)
        if pair[0] is None or pair[1] is None:
            self._problem("attribute-value", f"{name} must be <width>x<height>, is {value[:40]}")
            return None
        return pair[0], pair[1]

    def byterange(self, name: str) -> ByteRange | None:
        value = self.quoted(name)
        if value is None:
            return None
        parsed = read_byterange(value)
        if parsed is None:
            self._problem("attribute-value", f"{name} must be <length>[@<offset>], is {value[:40]!r}")
        return parsed


def read_integer(text: str) -> int | None:
    """A decimal-integer of clause 4.2 (ASCII digits, at most 2^64-1), or None."""
    if not text or len(text) > 20 or not _DIGITS.issuperset(text):
        return None
    value = int(text)
    return value if value <= MAX_INTEGER else None


def read_decimal(text: str) -> float | None:
    """A decimal-floating-point of clause 4.2: digits with at most one point, no sign, no exponent; or None."""
    whole, point, fraction = text.partition(".")
    if not whole or len(text) > MAX_DECIMAL_DIGITS or not _DIGITS.issuperset(whole):
        return None
    if point and (not fraction or not _DIGITS.issuperset(fraction)):
        return None
    return float(text)


def read_byterange(text: str) -> ByteRange | None:
    length_text, at, offset_text = text.partition("@")
    length, offset = read_integer(length_text), read_integer(offset_text) if at else None
    if length is None or (at and offset is None):
        return None
    return ByteRange(length, offset)
