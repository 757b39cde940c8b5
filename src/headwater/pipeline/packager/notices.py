"""Warnings about the media, once per kind and minute."""

from __future__ import annotations

from collections import Counter

from headwater.media.cmaf import Output, PackagerWarning

REPEAT_MS = 60_000
"""A kind of warning comes at most once in this time: a broken encoder breaks every frame."""


class Notices:
    """Adds warnings to the outputs, rarely."""

    __slots__ = ("_last_ms", "_out", "counts")

    def __init__(self, out: list[Output]) -> None:
        self._out = out
        self._last_ms: dict[str, int] = {}
        self.counts: Counter[str] = Counter()
        """How often each kind was the case, also where nothing was said."""

    def warn(self, code: str, message: str, now_ms: int) -> None:
        self.counts[code] += 1
        last_ms = self._last_ms.get(code)
        if last_ms is None or now_ms - last_ms >= REPEAT_MS:
            self._last_ms[code] = now_ms
            self._out.append(PackagerWarning(code, message))
