"""How many different livestreams were broadcast in a range of days, without looking at any of them. Pure.

Of the days on which a livestream was broadcast, each knows the one before it:

    day          3     4           8          previous day of 3: NEVER, of 4: 3, of 8: 4
    range           |────────────────|        4 alone is in it with its previous day before it

In any range in which a livestream has days at all, exactly one of them, the first, has its previous day before the
range. So it is enough to keep, of each pair (day, previous day), how many livestreams have it: the number of
livestreams in a range is the sum over the pairs whose day lies in it and whose previous day lies before it. Of n days
there are at most n * (n + 1) / 2 pairs, however many livestreams there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

NEVER = -1
"""The day before a livestream's first."""


def pairs(days: Iterable[int], before: int = NEVER) -> list[tuple[int, int]]:
    """(day, previous day) of each of a livestream's days.

    Args:
        days: In order.
        before: The last one before them.
    """
    return [(day, previous) for previous, day in pairwise([before, *days])]


def changes(known: Iterable[int], new: Iterable[int], before: int, after: int | None) -> Mapping[tuple[int, int], int]:
    """How a livestream's pairs change when days are added.

    Args:
        known: Its days so far between the first and the last of the new ones.
        before, after: Its nearest days beyond those.

    Returns:
        By how much the number of livestreams with each pair changes, without zeros.
    """
    end = [] if after is None else [after]
    change = Counter(pairs([*sorted({*known, *new}), *end], before))
    change.subtract(pairs([*sorted(known), *end], before))
    return {pair: by for pair, by in change.items() if by}
