"""What a number may be, key by key: the lowest and the highest value, both allowed. None: no bound on that side."""

from __future__ import annotations

from typing import TypeAlias

Bound: TypeAlias = tuple[float | None, float | None]

BOUNDS: dict[str, Bound] = {}


def check(key: str, value: object) -> None:
    """Hold a number against its bounds.

    Raises:
        ValueError: with the bounds, in words.
    """
    bound = BOUNDS.get(key)
    if bound is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = bound
    if (low is not None and value < low) or (high is not None and value > high):
        raise ValueError(f"must be {words(bound)}")


def words(bound: Bound) -> str:
    """A bound for people: `0 to 1800`, `at least 1`."""
    low, high = bound
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
