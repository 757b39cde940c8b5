"""How much a sender's network takes, seen from the receiver: by the queue in front of its narrowest link.

Each packet says when it left (`abs-send-time`, 24 bits of 6.18 fixed point seconds). What it takes on its way, less the
least that any took lately, is the time that it stood in queues. A queue that stands means that more is sent than the
link takes: then the estimate goes below what arrives, so that the queue empties; else it rises slowly. Losses are not
looked at: the sender sees them in the receiver reports, and goes down by itself. Pure: time is an argument.

Senders that do not say when packets left (most encoders, which have a fixed bitrate) are not estimated.
"""

from __future__ import annotations

from collections import deque

from headwater.protocols.rtp.packet import Unwrapper

STEP_MS = 200.0
"""Over which the least waiting time is taken: what stands for longer is a queue, not a burst or jitter."""

QUEUE_MS = 100.0
"""A queue that stands as high is too high: it is as much as a good path takes, and grows within seconds."""

CALM_MS = 50.0
"""Below this the estimate rises: jitter of wireless links has its minimum there."""

BACK_OFF = 0.85
"""Of what arrives, when there is a queue: it empties at 15 % of the link's rate."""

RISE = 1.08
"""A second, while there is none: as browsers rise by themselves where there is no loss."""

RATE_STEPS = 5
"""Steps over which what arrives is a mean: a second, so that a key frame does not count for much."""

BASE_STEPS = 100
"""Steps over which the least is kept: 20 s, in which clocks drift by 2 ms."""

ANOTHER_CLOCK_MS = 10_000.0
"""Packets that take so much longer or shorter have another clock, or paused for so long that it wrapped."""

LEAST_BPS = 150_000
"""Never told less: sound and a very small picture."""


class Uplink:
    """The estimate for one sender.

    Attributes:
        bps: Bits a second that may be sent; at first all that is allowed.
    """

    __slots__ = ("_base", "_bits", "_held_steps", "_least", "_most", "_rates", "_sent", "_step_at_ms", "bps")

    def __init__(self, most_bps: int) -> None:
        self.bps = self._most = most_bps
        self._sent = Unwrapper(24)
        self._step_at_ms: float | None = None
        self._bits = 0
        self._least: float | None = None
        self._rates: deque[int] = deque(maxlen=RATE_STEPS)
        self._base: deque[float] = deque(maxlen=BASE_STEPS)
        self._held_steps = 0

    def packet(self, size: int, sent: bytes | None, now_ms: float) -> None:
        """A packet of `size` bytes came; `sent` is its `abs-send-time`, None where it has none. Hot."""
        self._bits += size * 8
        if self._step_at_ms is None:
            self._step_at_ms = now_ms
        if sent is not None and len(sent) == 3:
            took_ms = now_ms - self._sent.unwrap(int.from_bytes(sent, "big")) / 262.144
            if self._least is None or took_ms < self._least:
                self._least = took_ms
        if now_ms - self._step_at_ms >= STEP_MS:
            self._step(now_ms - self._step_at_ms)
            self._step_at_ms = now_ms

    def _step(self, elapsed_ms: float) -> None:
        self._rates.append(int(self._bits * 1000 / elapsed_ms))
        self._bits = 0
        least, self._least = self._least, None
        if least is None:
            return
        if self._base and abs(least - self._base[-1]) > ANOTHER_CLOCK_MS:
            self._base.clear()
        self._base.append(least)
        queue_ms = least - min(self._base)
        if self._held_steps:
            self._held_steps -= 1
        elif queue_ms > QUEUE_MS:
            arrives = sum(self._rates) // len(self._rates)
            self.bps = max(LEAST_BPS, min(self.bps, int(arrives * BACK_OFF)))
            self._held_steps = 2  # until what was sent before the sender knew of it has come
        elif queue_ms < CALM_MS:
            self.bps = min(self._most, int(self.bps * (1 + (RISE - 1) * min(elapsed_ms, 1000.0) / 1000)) + 1)
