"""Which packets of a publisher are missing, when to ask for them, and when to give them up."""

from __future__ import annotations

MAX_MISSING = 256
"""Asked for at one time; a longer gap is a stream that was away, and a key frame serves better."""

FIRST_REPEAT_S = 0.04
"""Least wait before a packet is asked for again, also where the path is shorter."""

MAX_ASKS = 8
GIVE_UP_S = 0.8
"""After this nobody waits for a packet any more: receivers show what they have after some 500 ms."""


class Gaps:
    """The missing packets of one track; numbers are unwrapped (`Unwrapper(16)`).

    Attributes:
        lost: Packets given up since it was set to 0 last.
    """

    __slots__ = ("_missing", "_newest", "lost")

    def __init__(self) -> None:
        self._newest: int | None = None
        self._missing: dict[int, tuple[float, float, int]] = {}  # number: missed since, asked last, asked times
        self.lost = 0

    def __bool__(self) -> bool:
        return bool(self._missing)

    def asked_for(self, number: int) -> bool:
        """Whether a packet is missing and was asked for: if it comes now, it was sent twice."""
        found = self._missing.get(number)
        return found is not None and found[2] > 0

    def arrived(self, number: int, now: float) -> bool:
        """Note a packet. True: it shows a gap before it; ask now. Hot."""
        newest = self._newest
        if newest is None or number == newest + 1:
            self._newest = number
            return False
        if number <= newest:
            self._missing.pop(number, None)
            return False
        self._newest = number
        if number - newest > MAX_MISSING or len(self._missing) + number - newest > MAX_MISSING:
            self.lost += len(self._missing) + number - newest - 1
            self._missing.clear()
            return False
        for missing in range(newest + 1, number):
            self._missing[missing] = (now, float("-inf"), 0)
        return True

    def due(self, now: float, round_trip_s: float) -> list[int]:
        """The packets to ask for now, by their number on the wire; those given up go."""
        asked = []
        repeat = max(FIRST_REPEAT_S, 1.2 * round_trip_s)
        for number, (since, last, times) in list(self._missing.items()):
            if now - since > GIVE_UP_S or times >= MAX_ASKS:
                del self._missing[number]
                self.lost += 1
            elif now - last >= repeat:
                self._missing[number] = (since, now, times + 1)
                asked.append(number & 0xFFFF)
        return asked
