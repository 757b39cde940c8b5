"""Who watches, and for how long: viewing sessions of one livestream session. Pure: time is an argument.

A viewing session is credited with the wall time between its first and its last request; a gap of more than three
target durations is not watching and is left out. Requests that are held count as present while they are held.
"""

from __future__ import annotations

from collections import OrderedDict

KEY_LIMIT = 64
"""Bytes of a viewing session's key: a CMCD sid is a UUID (36); longer ones are cut."""


class View:
    """One viewing session; times in seconds."""

    __slots__ = ("held", "last", "watched")

    def __init__(self, now: float) -> None:
        self.last = now
        self.watched = 0.0
        self.held = 0


class ViewLedger:
    """All viewing sessions of one livestream session."""

    def __init__(self, gap_s: float, limit: int) -> None:
        self._gap_s = gap_s
        self._limit = limit
        self._views: OrderedDict[bytes, View] = OrderedDict()
        self._folded = 0.0

    def touch(self, key: bytes, now: float) -> None:
        """A request of this viewing session, at its arrival or at the end of its wait."""
        view = self._views.get(key)
        if view is None:
            self._views[key] = View(now)
            if len(self._views) > self._limit:
                self._folded += self._views.popitem(last=False)[1].watched
            return
        elapsed = now - view.last
        if 0.0 < elapsed <= self._gap_s:
            view.watched += elapsed
        view.last = now

    def set_gap(self, gap_s: float) -> None:
        """Three target durations, known once the first playlist is."""
        self._gap_s = gap_s

    def viewers(self, now: float) -> int:
        """Viewing sessions present now: seen within a third of the gap plus a second, which every player's reload
        interval (one target duration at most) fits in."""
        recent = now - (self._gap_s / 3 + 1.0)
        return sum(view.last >= recent for view in self._views.values())

    def seconds(self) -> float:
        """Seconds watched by all of them so far."""
        return self._folded + sum(view.watched for view in self._views.values())

    def fold(self, now: float) -> None:
        """Forget one by one who is gone for longer than the gap; what they watched stays in the total."""
        gone = [key for key, view in self._views.items() if now - view.last > self._gap_s]
        for key in gone:
            self._folded += self._views.pop(key).watched
