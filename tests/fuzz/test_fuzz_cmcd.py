"""Fuzz: CMCD readers, and what follows their players, given hostile bytes.

Invariant: bytes either read as typed keys or raise ProtocolError; whatever is read, the numbers that come of it are
bounded by the time that has passed, and can be added up. FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.analytics.experience import Experience
from headwater.analytics.viewing import GRACE_MS, Viewing
from headwater.errors import ProtocolError
from headwater.protocols import cmcd

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))

_keys = st.sampled_from([*cmcd.KEYS, "nor", "x-y"]).map(str.encode)
_values = st.sampled_from(
    [
        b"=1",
        b"=(1;v 2;a)",
        b'="a"',
        b"=p",
        b"=r",
        b"=s",
        b"=?0",
        b"=-5",
        b"=1.5",
        b"",
        b'="',
        b"=(",
        b"=999999999999999",
        b'=("a")',
    ]
)
_member = st.tuples(_keys, _values).map(b"".join) | st.binary(max_size=6)
_lines = st.lists(st.lists(_member, max_size=8).map(b",".join), max_size=8)
_forms = st.sampled_from([b"application/cmcd", b"application/json", b""])


@settings(max_examples=EXAMPLES, deadline=None)
@given(_lines, _forms)
def test_bodies_are_read_or_refused_and_add_up(lines: list[bytes], form: bytes) -> None:
    try:
        reports = cmcd.of_body(b"\n".join(lines), form)
    except ProtocolError:
        return
    viewing, whole = Viewing(0.0), Experience()
    for second, report in enumerate(reports):
        assert set(report) <= set(cmcd.KEYS)
        viewing.event(report, float(second))
    facts = viewing.facts()
    assert 0 <= facts.played_ms + facts.stalled_ms <= 1000 * len(reports) + GRACE_MS
    whole.put(None, facts)
    assert Experience.unpacked(whole.packed()).totals == whole.totals


@settings(max_examples=EXAMPLES, deadline=None)
@given(_lines, st.booleans())
def test_requests_are_read_or_refused_and_add_up(lines: list[bytes], encoded: bool) -> None:
    viewing = Viewing(0.0)
    for second, line in enumerate(lines):
        try:
            report = cmcd.of_query(line) if encoded else cmcd.of_headers([line, None, line])
        except ProtocolError:
            continue
        viewing.request(report, float(second), latency_ms=second, starved_ms=5000 if second % 2 else None)
    facts = viewing.facts()
    assert facts.played_ms >= 0 and 0 <= facts.played_ms + facts.stalled_ms <= 1000 * len(lines)
