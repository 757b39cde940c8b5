"""Each rule has a seeded fault, and the check finds that rule and no other."""

from __future__ import annotations

import pytest

from headwater.hlscheck import check
from headwater.hlscheck.rules import REGISTRY
from tests.unit.hlscheck.faults import FAULTS, Fault
from tests.unit.hlscheck.simulated_time import run


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.rule)
def test_a_seeded_fault_is_caught(fault: Fault) -> None:
    """Exactly the rule that the fault breaks is found broken (and what is broken of necessity with it)."""
    report = run(check(fault.url, seconds=fault.seconds, fetch=fault.origin()))
    assert report.error is None, report.error
    found = {f.rule: [e.text for e in f.evidence] for f in report.findings}
    assert found.keys() == {fault.rule} | fault.also, found


def test_every_rule_has_a_seeded_fault() -> None:
    """A rule without a fault is a rule that nobody has seen to work."""
    assert REGISTRY.keys() - {f.rule for f in FAULTS} == set()
