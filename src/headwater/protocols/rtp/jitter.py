"""Puts the packets of one source in order, and says which of them to ask for again (NACK).

    push ─► in order, at once ─────────────────────────────────► out
        └─► behind a gap: wait ─┬─ the gap closes ─────────────► out
                                └─ MAX_WAIT_MS, too many wait ─► out; what is missing is lost for good

Bounded in time: a packet never waits longer than `max_wait_ms`, whatever happens. What is in order does not wait at
all: who needs a steady pace (a compositor) adds its own delay behind. Time is an argument, in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headwater.protocols.rtp.packet import Packet

MAX_WAIT_MS = 250
"""How long a packet waits for one that is missing: two or three round trips of a usual path, and below what a viewer
takes for a fault."""

MAX_HELD = 1024
"""Packets that may wait: 250 ms at 40 Mbit/s."""

MAX_DROPOUT = 3000
"""A sequence number further ahead is a new beginning of the source (RFC 3550, A.1)."""

MAX_MISORDER = 1000
"""One further behind is too (RFC 3550 says 100; retransmissions on long paths come later than that)."""

MAX_ASKED = 10
"""How often the same packet is asked for, as browsers do."""

MAX_MISSING = 256
"""Packets missing at once that are asked for: with more, a key frame is the shorter way."""

LEAST_AGAIN_MS = 20
"""The soonest that a packet is asked for again."""

REORDERING_MS = 5
"""A packet this late is on its way: paths disorder by less than that."""

_NONE: Sequence[Packet] = ()


@dataclass(slots=True)
class _Missing:
    since_ms: float
    asked: int = 0
    next_ms: float = 0.0


class JitterBuffer:
    """Of one source (SSRC).

    Attributes:
        lost: Packets given up so far; where it grows in a video, a key frame is due.
        late: Packets that came twice, or after they had been given up.
        restarts: How often the source began anew.
    """

    __slots__ = (
        "_held", "_max_held", "_max_wait_ms", "_missing", "_next", "_restart_at", "late", "lost", "restarts",
    )  # fmt: skip

    def __init__(self, *, max_wait_ms: float = MAX_WAIT_MS, max_held: int = MAX_HELD) -> None:
        self._max_wait_ms = max_wait_ms
        self._max_held = max_held
        self._next: int | None = None
        self._restart_at = -1
        self._held: dict[int, tuple[float, Packet]] = {}
        self._missing: dict[int, _Missing] = {}
        self.lost = self.late = self.restarts = 0

    @property
    def held(self) -> int:
        """Packets that wait."""
        return len(self._held)

    def push(self, packet: Packet, now_ms: float) -> Sequence[Packet]:
        """Take a packet as it comes; returns those that are now in order. Hot."""
        expected = self._next
        if expected is None:
            return self._begin(packet)
        number = expected + ((packet.sequence - expected + 0x8000) & 0xFFFF) - 0x8000
        if number == expected and not self._held:
            self._next = number + 1
            if self._missing:
                self._missing.pop(number, None)
            return (packet,)
        if not expected - MAX_MISORDER <= number <= expected + MAX_DROPOUT:
            return self._far_off(packet)
        if number < expected or number in self._held:
            self.late += 1
            return _NONE
        self._hold(number, packet, now_ms)
        return self._release(now_ms)

    def tick(self, now_ms: float) -> Sequence[Packet]:
        """Let time pass: packets that have waited long enough, in order. At least every 50 ms, best every 10."""
        return self._release(now_ms) if self._held else _NONE

    def wanted(self, now_ms: float, round_trip_ms: float | None = None) -> Sequence[int]:
        """The sequence numbers to ask for now; the same again after a round trip, at most `MAX_ASKED` times."""
        if not self._missing:
            return ()
        again_ms = max(LEAST_AGAIN_MS, 1.2 * (round_trip_ms if round_trip_ms is not None else 50.0))
        wanted = []
        for number, missing in self._missing.items():
            if missing.asked < MAX_ASKED and now_ms >= missing.next_ms:
                missing.asked += 1
                missing.next_ms = now_ms + again_ms
                wanted.append(number & 0xFFFF)
        return wanted

    def _begin(self, packet: Packet) -> Sequence[Packet]:
        self._next = packet.sequence + 1
        self._held.clear()
        self._missing.clear()
        self._restart_at = -1
        return (packet,)

    def _far_off(self, packet: Packet) -> Sequence[Packet]:
        """Far from what is expected: a stray, unless the next one follows it (RFC 3550, A.1)."""
        if packet.sequence == self._restart_at:
            self.restarts += 1
            waiting = [held for _, held in self._held.values()]
            return (*waiting, *self._begin(packet))
        self._restart_at = (packet.sequence + 1) & 0xFFFF
        return _NONE

    def _hold(self, number: int, packet: Packet, now_ms: float) -> None:
        """Behind a gap, or into it. `_held` stays in order: its last key is the newest."""
        assert self._next is not None
        newest = max(self._next - 1, next(reversed(self._held), self._next - 1))
        if number > newest:
            if len(self._missing) + number - newest - 1 <= MAX_MISSING:
                for missing in range(newest + 1, number):
                    self._missing[missing] = _Missing(now_ms, next_ms=now_ms + REORDERING_MS)
            self._held[number] = (now_ms, packet)
            return
        self._missing.pop(number, None)
        # The gap before it began when what lies behind it came: two gaps in a row do not add up their waits.
        since = self._held[next(key for key in self._held if key > number)][0]
        self._held[number] = (since, packet)
        self._held = dict(sorted(self._held.items()))

    def _release(self, now_ms: float) -> Sequence[Packet]:
        expected = self._next
        assert expected is not None
        held = self._held
        out: list[Packet] = []
        while held:
            first = next(iter(held))
            if first != expected and len(held) <= self._max_held and now_ms - held[first][0] < self._max_wait_ms:
                break
            if first != expected:
                self._give_up(expected, first)
            out.append(held.pop(first)[1])
            expected = first + 1
        self._next = expected
        return out

    def _give_up(self, first: int, end: int) -> None:
        self.lost += end - first
        for number in [number for number in self._missing if number < end]:
            del self._missing[number]
