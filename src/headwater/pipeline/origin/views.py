"""Who watches, and for how long: viewing sessions of one livestream session. Pure: time is an argument.

A viewing session is credited with the wall time between its first and its last request; a gap of more than three
target durations is not watching and is left out. A request that is held counts as present while it is held.
"""

from __future__ import annotations

from collections import OrderedDict

KEY_LIMIT = 64
"""Bytes of a viewing session's key: a CMCD sid is a UUID (36); longer ones are cut."""

LEFT_S = 1.0
"""Whose connection went while it waited is gone, unless it is back within this: players change their connections."""

COUNT_AGE_S = 0.25
"""Viewers are counted anew at most this often: anybody may ask for the number, and there may be 50,000 of them."""


class View:
    """One viewing session; times in seconds."""

    __slots__ = ("held", "last", "left", "watched")

    def __init__(self, now: float) -> None:
        self.last = now
        self.watched = 0.0
        self.held = 0
        self.left = False  # its connection is gone, and it has not come back


class ViewLedger:
    """All viewing sessions of one livestream session, the one that was seen longest ago first."""

    def __init__(self, gap_s: float, limit: int) -> None:
        self._gap_s = gap_s
        self._limit = limit
        self._views: OrderedDict[bytes, View] = OrderedDict()
        self._folded = 0.0
        self._counted = (float("-inf"), 0)

    def __len__(self) -> int:
        return len(self._views)

    def touch(self, key: bytes, now: float) -> View:
        """A request of this viewing session, at its arrival or at the end of its wait.

        One that waits from now on adds one to what is returned, `held`, and is followed by a call of `release`.
        """
        view = self._views.get(key)
        if view is None:
            view = self._views[key] = View(now)
            if len(self._views) > self._limit:
                self._folded += self._views.popitem(last=False)[1].watched
            return view
        self._views.move_to_end(key)
        self._credit(view, now)
        view.left = False
        return view

    def release(self, key: bytes, now: float, *, left: bool = False) -> None:
        """The wait is over, or the viewer gone (`left`): it watched until now."""
        view = self._views.get(key)
        if view is not None and view.held:  # else it was folded meanwhile
            self._views.move_to_end(key)
            self._credit(view, now)
            view.held -= 1
            view.left = left

    def _credit(self, view: View, now: float) -> None:
        elapsed = now - view.last
        if elapsed > 0.0:
            if view.held or elapsed <= self._gap_s:  # a wait is bounded by itself
                view.watched += elapsed
            view.last = now

    def set_gap(self, gap_s: float) -> None:
        """Three target durations, known once the first playlist is."""
        self._gap_s = gap_s

    def viewers(self, now: float) -> int:
        """Viewing sessions present now: a request is held, or was seen within a third of the gap plus a second, which
        every player's reload interval (one target duration at most) fits in; of those that left, within `LEFT_S`."""
        if not 0.0 <= now - self._counted[0] < COUNT_AGE_S:
            recent, left = now - (self._gap_s / 3 + 1.0), now - LEFT_S
            views = self._views.values()
            self._counted = (now, sum(v.held > 0 or v.last >= (left if v.left else recent) for v in views))
        return self._counted[1]

    def seconds(self, now: float) -> float:
        """Seconds watched by all of them so far; who waits for an answer has watched until now."""
        total = self._folded
        for view in self._views.values():
            total += view.watched
            if view.held:
                total += max(0.0, now - view.last)
        return total

    def fold(self, now: float) -> None:
        """Forget one by one who is gone for longer than the gap; what they watched stays in the total."""
        for _ in range(len(self._views)):
            key = next(iter(self._views))
            view = self._views[key]
            if now - view.last <= self._gap_s:
                return
            if view.held:
                self.touch(key, now)
            else:
                self._folded += self._views.pop(key).watched
