"""The set of rules: documented, complete in what each says of itself, and silent about nothing."""

from __future__ import annotations

import re
from pathlib import Path

from headwater.hlscheck.observation import Observation
from headwater.hlscheck.rules import REGISTRY, Status, evaluate

DOCUMENT = Path(__file__).parents[3] / "docs" / "hls-check.md"


def test_every_rule_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    listed = {f"| {r.clause} | {r.severity.upper()} | {r.title} | `{r.id}` |" for r in REGISTRY.values()}
    assert {line for line in text.split("\n") if re.match(r"\| .* \| (MUST|SHOULD) \|", line)} == listed


def test_every_rule_names_its_clause_and_says_what_to_do() -> None:
    for rule in REGISTRY.values():
        assert re.fullmatch(r"[A-Z\d][.\d]*|(Apple|Fetch|RFC 9110) [\d.]+", rule.clause), rule.id
        assert rule.title and rule.advice.endswith((".", ",...")), rule.id


def test_nothing_seen_is_nothing_judged() -> None:
    """Without any load no rule passes or fails, save those that compare what is there."""
    outcomes = evaluate(Observation("http://a/"))
    assert all(o.status is not Status.FAILED for o in outcomes)
