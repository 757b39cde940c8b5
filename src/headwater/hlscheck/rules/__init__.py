"""The rules, each with its clause. Importing this package registers all of them."""

from headwater.hlscheck.rules import (
    availability,
    blocking,
    dates,
    http,
    media,
    multivariant,
    parts,
    renditions,
    structure,
    successive,
    syntax,
)
from headwater.hlscheck.rules.base import DRAFT, REGISTRY, Evidence, Outcome, Rule, Severity, Status, evaluate

__all__ = [
    "DRAFT",
    "REGISTRY",
    "Evidence",
    "Outcome",
    "Rule",
    "Severity",
    "Status",
    "availability",
    "blocking",
    "dates",
    "evaluate",
    "http",
    "media",
    "multivariant",
    "parts",
    "renditions",
    "structure",
    "successive",
    "syntax",
]
