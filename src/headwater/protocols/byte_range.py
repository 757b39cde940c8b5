"""Range of one range of bytes (RFC 9110, 14.1 and 14.2): which part of a body it asks for.

A Range that is malformed, of another unit, or of several ranges is ignored, which RFC 9110 allows: players ask for one,
and many small ranges are an old way to make a server work. One that is well formed is taken however large its numbers.
"""

from __future__ import annotations

from typing import NamedTuple

DIGITS = 18
"""Significant digits that are read of a number; one with more is larger than any body."""

BEYOND = int(10**DIGITS)


class ByteRange(NamedTuple):
    """Bytes `first` to `last` of a body, both included; of one that cannot be had `first` is -1."""

    first: int
    last: int

    @property
    def satisfiable(self) -> bool:
        """Else 416 is due."""
        return self.first >= 0


UNSATISFIABLE = ByteRange(-1, -1)


def read_range(value: bytes, size: int) -> ByteRange | None:
    """Read a Range field for a body of `size` bytes; None: ignore it, the whole body is the answer."""
    unit, _, spec = value.partition(b"=")
    if unit.strip().lower() != b"bytes":
        return None
    first, dash, last = spec.strip().partition(b"-")
    if not dash or not (first or last) or not (_is_number(first) and _is_number(last)):
        return None
    if not first:
        start, end = max(0, size - _number(last)), size - 1
    else:
        start, end = _number(first), _number(last) if last else BEYOND
        if start > end:
            return None  # this is malformed, not beyond the end (14.1.1)
    end = min(end, size - 1)
    return ByteRange(start, end) if start <= end else UNSATISFIABLE


def _is_number(digits: bytes) -> bool:
    return not digits or digits.isdigit()


def _number(digits: bytes) -> int:
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= DIGITS else BEYOND
