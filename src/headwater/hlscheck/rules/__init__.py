"""The rules, each with its clause. Importing this package registers all of them."""

from headwater.hlscheck.rules import delivery, media, multivariant, parts, renditions, structure, successive, syntax
from headwater.hlscheck.rules.base import DRAFT, REGISTRY, Evidence, Outcome, Rule, Severity, Status, evaluate

__all__ = [
    "DRAFT",
    "REGISTRY",
    "Evidence",
    "Outcome",
    "Rule",
    "Severity",
    "Status",
    "delivery",
    "evaluate",
    "media",
    "multivariant",
    "parts",
    "renditions",
    "structure",
    "successive",
    "syntax",
]
