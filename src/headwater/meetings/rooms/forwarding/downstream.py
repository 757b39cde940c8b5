"""One track on its way to one receiver: the publisher's packets under the receiver's own numbers.

    publisher's numbers   7 8 9 . . . 40 41 (muted from 10 to 39)    then a new connection: 3 4 5
    receiver's numbers    5 6 7         8  9                                                10 11 12

A receiver sees one source throughout: without gaps where nothing was sent, with the publisher's gaps where packets are
lost. Nothing is queued here: a packet is sent at once, or it is gone.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable

from headwater.meetings.rooms.forwarding.history import History, Kept
from headwater.protocols.rtp.rtcp import SenderReport

STRETCHES = 8
"""Runs of packets whose numbers differ by the same amount that a receiver may still ask for."""

RESENT_PER_S = 400
"""Packets sent again to one receiver, a second: at 5 % loss of 5 Mbit/s there are 25. Bounds what a NACK can cost."""

RESEND_WAIT_S = 0.01
"""A packet is not sent again sooner: two NACKs that cross it ask for the same."""

_HEADER = struct.Struct(">BBHII")

Send = Callable[[bytes], bool]


class Downstream:
    """One track towards one receiver.

    Attributes:
        waiting: For a packet at which it can start: a key frame, or with sound any.
        octets: Of payload, sent so far.
    """

    __slots__ = (
        "_allowance",
        "_allowance_at",
        "_from",
        "_highest",
        "_history",
        "_last_sent_s",
        "_last_timestamp",
        "_packets",
        "_payload_type",
        "_rate",
        "_rebase",
        "_resent",
        "_send",
        "_shift",
        "_ssrc",
        "_stretches",
        "_time_shift",
        "clock_rate",
        "octets",
        "waiting",
    )

    def __init__(self, *, payload_type: int, ssrc: int, clock_rate: int, first: int, send: Send) -> None:
        """`first`: the first sequence number, below 32768, so that SRTP's rollover counter begins unmistakably."""
        self._payload_type = payload_type
        self._ssrc = ssrc
        self.clock_rate = clock_rate
        self._send = send
        self._highest = first - 1
        self._shift = 0
        self._time_shift = 0
        self._from = 0
        self._rebase = True
        self._history: History | None = None
        self._stretches: deque[tuple[int, int, History | None]] = deque(maxlen=STRETCHES)
        self._last_timestamp = 0
        self._last_sent_s: float | None = None
        self._packets = self.octets = 0
        self._allowance, self._allowance_at = float(RESENT_PER_S), 0.0
        self._resent: dict[int, float] = {}
        self.waiting = True

    @property
    def ssrc(self) -> int:
        return self._ssrc

    def attach(self, history: History) -> None:
        """What comes next has another source: its numbers and timestamps have nothing to do with those before."""
        self._history = history
        self._rebase = True
        self.waiting = True

    def start(self, number: int, timestamp: int, now: float) -> None:
        """The next packet is the first of a stretch: it follows what was sent last."""
        self.waiting = False
        self._from = number
        self._shift = self._highest + 1 - number
        self._stretches.append((self._highest + 1, self._shift, self._history))
        if self._rebase:
            self._rebase = False
            if self._last_sent_s is not None:
                elapsed = round((now - self._last_sent_s) * self.clock_rate)
                self._time_shift = (self._last_timestamp + max(1, elapsed) - timestamp) & 0xFFFFFFFF

    def forward(self, number: int, packet: Kept, now: float) -> None:
        """Send a packet on. Hot: one copy.

        Args:
            number: The publisher's sequence number, unwrapped.
        """
        if number < self._from:
            return
        first, marker, timestamp, payload = packet
        mine = number + self._shift
        ours = (timestamp + self._time_shift) & 0xFFFFFFFF
        if mine > self._highest:
            self._highest, self._last_timestamp, self._last_sent_s = mine, ours, now
        if self._send(_HEADER.pack(first, marker | self._payload_type, mine & 0xFFFF, ours, self._ssrc) + payload):
            self._packets += 1
            self.octets += len(payload)

    def missed(self, sequence: int, now: float) -> bytes | None:
        """The packet that a receiver asks for again, as it was sent; None where it is gone, or was just sent again."""
        mine = self._highest - ((self._highest - sequence) & 0xFFFF)
        stretch = next((each for each in reversed(self._stretches) if each[0] <= mine), None)
        if self._history is None or stretch is None or stretch[2] is not self._history:
            return None  # of the connection before: its packets are gone
        if not self._may_resend(mine, now):
            return None
        packet = self._history.get(mine - stretch[1], now)
        if packet is None:
            return None
        self._resent[mine] = now
        first, marker, timestamp, payload = packet
        ours = (timestamp + self._time_shift) & 0xFFFFFFFF
        return _HEADER.pack(first, marker | self._payload_type, mine & 0xFFFF, ours, self._ssrc) + payload

    def _may_resend(self, mine: int, now: float) -> bool:
        """Within the allowance, and not twice for the same wish."""
        if now - self._resent.get(mine, float("-inf")) < RESEND_WAIT_S:
            return False
        if len(self._resent) >= RESENT_PER_S:
            self._resent = {number: at for number, at in self._resent.items() if now - at < RESEND_WAIT_S}
        self._allowance = min(RESENT_PER_S, self._allowance + (now - self._allowance_at) * RESENT_PER_S)
        self._allowance_at = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def sender_report(self, timestamp: int | None, ntp: int) -> SenderReport | None:
        """What pairs our clock with this track's timestamps; None before its first packet.

        Args:
            timestamp: The publisher's, at `ntp` (`Timebase.at`).
        """
        if timestamp is None or self._rebase or not self._packets:
            return None
        shifted = (timestamp + self._time_shift) & 0xFFFFFFFF
        return SenderReport(self._ssrc, ntp, shifted, self._packets, self.octets)
