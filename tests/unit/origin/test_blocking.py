"""Blocking reload: serve, wait or reject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.pipeline.origin.blocking import FAR_AHEAD, Directives, Edge, Verdict, decide, parse

OPEN = Edge(msn=10, parts=2, closed=False, last_closed_parts=4, part_limit=6)
JUST_OPENED = Edge(msn=10, parts=0, closed=False, last_closed_parts=4, part_limit=6)
CLOSED = Edge(msn=10, parts=4, closed=True, last_closed_parts=4, part_limit=6)
GAP = Edge(msn=10, parts=0, closed=True, last_closed_parts=4, part_limit=6)


@pytest.mark.parametrize(
    ("edge", "msn", "part", "expected"),
    [
        (OPEN, 3, -1, Verdict.SERVE),
        (OPEN, 3, 99, Verdict.SERVE),
        (OPEN, 9, 4, Verdict.SERVE),  # part 0 of segment 10, which is there
        (OPEN, 10, 0, Verdict.SERVE),
        (OPEN, 10, 1, Verdict.SERVE),
        (OPEN, 10, 2, Verdict.WAIT),
        (OPEN, 10, 7, Verdict.WAIT),
        (OPEN, 10, 8, Verdict.REJECT),  # seven beyond the newest
        (OPEN, 10, -1, Verdict.WAIT),
        (OPEN, 11, 0, Verdict.WAIT),
        (OPEN, 12, -1, Verdict.WAIT),
        (OPEN, 13, -1, Verdict.REJECT),
        (OPEN, 10**14, -1, Verdict.REJECT),
        (JUST_OPENED, 9, 3, Verdict.SERVE),
        (JUST_OPENED, 9, 4, Verdict.WAIT),  # part 0 of segment 10, which is not there yet
        (JUST_OPENED, 8, 4, Verdict.SERVE),
        (JUST_OPENED, 10, 0, Verdict.WAIT),
        (CLOSED, 10, -1, Verdict.SERVE),
        (CLOSED, 10, 3, Verdict.SERVE),
        (CLOSED, 10, 4, Verdict.WAIT),
        (CLOSED, 11, 0, Verdict.WAIT),
        (GAP, 10, -1, Verdict.SERVE),
        (GAP, 10, 0, Verdict.WAIT),
    ],
)
def test_decisions(edge: Edge, msn: int, part: int, expected: Verdict) -> None:
    assert decide(edge, msn, part) is expected


edges = st.builds(
    Edge,
    msn=st.integers(0, 50),
    parts=st.integers(0, 8),
    closed=st.booleans(),
    last_closed_parts=st.integers(1, 8),
    part_limit=st.integers(3, 15),
)


@given(edges, st.integers(0, 60), st.integers(-1, 40))
def test_never_waits_for_what_is_listed_nor_serves_what_is_not(edge: Edge, msn: int, part: int) -> None:
    verdict = decide(edge, msn, part)
    if msn > edge.msn:
        assert verdict is not Verdict.SERVE
    if msn > edge.msn + FAR_AHEAD:
        assert verdict is Verdict.REJECT
    if msn == edge.msn and 0 <= part < edge.parts:
        assert verdict is Verdict.SERVE
    if msn < edge.msn - 1:
        assert verdict is Verdict.SERVE


@given(edges, st.integers(0, 60), st.integers(-1, 40))
def test_what_is_served_stays_served_when_a_part_comes(edge: Edge, msn: int, part: int) -> None:
    later = Edge(edge.msn, edge.parts + 1, edge.closed, edge.last_closed_parts, edge.part_limit)
    if decide(edge, msn, part) is Verdict.SERVE:
        assert decide(later, msn, part) is Verdict.SERVE


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", Directives()),
        (b"s=abc", Directives()),
        (b"_HLS_msn=5", Directives(5)),
        (b"s=a&_HLS_msn=5&_HLS_part=0", Directives(5, 0)),
        (b"_HLS_part=2&_HLS_msn=5&_HLS_skip=YES", Directives(5, 2, skip=True)),
        (b"_HLS_skip=v2", Directives(skip=True)),
        (b"_HLS_skip=NO", Directives()),
        (b"x_HLS_msn=5", Directives()),
    ],
)
def test_directives(query: bytes, expected: Directives) -> None:
    assert parse(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        *(b"_HLS_part=1", b"_HLS_msn=", b"_HLS_msn=-1", b"_HLS_msn=1.5", b"_HLS_msn=+1", b"_HLS_msn=1&_HLS_part=x"),
        *(b"_HLS_msn=" + b"9" * 4000, "_HLS_msn=٣".encode()),
    ],
)
def test_directives_that_cannot_be_are_told_in_words(query: bytes) -> None:
    assert isinstance(parse(query), str)


@given(st.binary(max_size=80))
def test_any_query_is_read_or_refused(query: bytes) -> None:
    assert isinstance(parse(b"_HLS_msn=1&" + query), Directives | str)
