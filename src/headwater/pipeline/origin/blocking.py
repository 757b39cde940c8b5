"""Blocking playlist reload (RFC 8216bis, 6.2.5.2): a decision, not a wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from headwater.pipeline.origin.request import query_value

FAR_AHEAD = 2
"""A media sequence number this far beyond the last segment is answered 400 (6.2.5.2)."""

DIGITS_LIMIT = 15

PARSED_QUERIES = 64
"""Queries, from their first directive on, whose reading is kept: all viewers of a stream ask for the same next part.
None is larger than a request head."""


class Verdict(Enum):
    SERVE = auto()
    WAIT = auto()
    REJECT = auto()


@dataclass(frozen=True, slots=True)
class Edge:
    """How far a playlist reaches.

    Attributes:
        msn: The newest segment that is listed, be it by one part only; -1 before the first.
        parts: Its listed parts while it is open; 0 where none is listed yet.
        closed: It is complete.
        last_closed_parts: Parts of the newest complete segment.
        part_limit: Advance Part Limit: a part further beyond the newest one is answered 400 (6.2.5.2).
    """

    msn: int
    parts: int
    closed: bool
    last_closed_parts: int
    part_limit: int = 3


class Directives(NamedTuple):
    """Delivery directives of a request; -1: not given."""

    msn: int = -1
    part: int = -1
    skip: bool = False


NONE = Directives()


def parse(query: bytes) -> Directives | str:
    """Read `_HLS_msn`, `_HLS_part` and `_HLS_skip`; a sentence where they cannot be. Hot."""
    at = query.find(b"_HLS_")
    return NONE if at < 0 else _read(query if at == 0 else query[at - 1 :])


@lru_cache(PARSED_QUERIES)
def _read(query: bytes) -> Directives | str:
    msn = _number(query_value(query, b"_HLS_msn"))
    part = _number(query_value(query, b"_HLS_part"))
    if msn is None or part is None:
        return "_HLS_msn and _HLS_part must be decimal integers"
    if part >= 0 and msn < 0:
        return "_HLS_part needs _HLS_msn (RFC 8216bis, 6.2.5.2)"
    return Directives(msn, part, query_value(query, b"_HLS_skip") in (b"YES", b"v2"))


def _number(value: bytes | None) -> int | None:
    if value is None:
        return -1
    if not value.isdigit() or len(value) > DIGITS_LIMIT:
        return None
    return int(value)


def decide(edge: Edge, msn: int, part: int) -> Verdict:
    """Whether a playlist that reaches `edge` answers a request for (`msn`, `part`); `part` -1: the whole segment.

    A part beyond a segment's last one means part 0 of the next segment.
    """
    if msn < 0 or msn < edge.msn:
        # Of an older segment only a part past its end can still be missing, and that is part 0 of the next.
        if msn == edge.msn - 1 and part >= edge.last_closed_parts > 0 and edge.parts == 0 and not edge.closed:
            return Verdict.WAIT
        return Verdict.SERVE
    if msn == edge.msn and (0 <= part < edge.parts or (edge.closed and part < 0)):
        return Verdict.SERVE
    newest = edge.parts - 1 if msn == edge.msn else -1
    too_far = msn > edge.msn + FAR_AHEAD or part > newest + edge.part_limit
    return Verdict.REJECT if too_far else Verdict.WAIT
