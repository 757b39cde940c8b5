"""Rows for a terminal: what is there to be copied stays whole, other columns give way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

GAP = "  "
GIVE_WAY = ("plays at", "error", "about", "events", "created", "attempts", "url")
"""Left out, in this order, where the terminal is too narrow; `show` prints them."""

FOLDED = "name"
MIN_FOLDED_WIDTH = 12


def table(rows: Sequence[Mapping[str, str]], width: int | None) -> Iterator[str]:
    """The lines of a table with a head.

    Args:
        rows: The cells by column, the same columns in each row.
        width: Columns of the terminal; None: as wide as it gets, one line a row.
    """
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    if width is not None:
        widths = _fitted(widths, width)
    head = {name: name for name in widths}
    for row in (head, *rows):
        yield from _lines({name: row[name] for name in widths}, widths)


def _fitted(widths: Mapping[str, int], width: int) -> dict[str, int]:
    """Leave columns out, and narrow the one that folds, until the rest fits; what cannot is wrapped by the terminal."""
    kept = dict(widths)
    least = min(kept[FOLDED], MIN_FOLDED_WIDTH)
    for name in GIVE_WAY:
        if name in kept and _total(kept) - kept[FOLDED] + least > width:
            del kept[name]
    kept[FOLDED] = max(least, kept[FOLDED] - max(0, _total(kept) - width))
    return kept


def _total(widths: Mapping[str, int]) -> int:
    return sum(widths.values()) + len(GAP) * (len(widths) - 1)


def _lines(row: Mapping[str, str], widths: Mapping[str, int]) -> Iterator[str]:
    """One row: one line, or as many as its folded cell needs."""
    cells = [_folded(text, widths[name]) for name, text in row.items()]
    for line in zip_longest(*cells, fillvalue=""):
        yield GAP.join(f"{text:<{size}}" for text, size in zip(line, widths.values(), strict=True)).rstrip()


def _folded(text: str, width: int) -> list[str]:
    return [text[at : at + width] for at in range(0, max(1, len(text)), width)]
