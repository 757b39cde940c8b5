"""How much a sender's network takes: simulated links, with queues, jitter, and clocks that drift."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.rtp.uplink import LEAST_BPS, Uplink

MOST = 12_000_000


@dataclass
class Link:
    """A sender of packets of 1200 bytes, a link that takes `link_bps` and queues the rest, a receiver that estimates.

    The sender sends what the estimate says, but at most `encoder_bps`; it knows the estimate `way_ms` later.
    """

    link_bps: int
    encoder_bps: int = 3_000_000
    way_ms: float = 30.0
    jitter_ms: float = 0.0
    drift: float = 0.0
    says: bool = True
    uplink: Uplink = field(default_factory=lambda: Uplink(MOST))
    queues: list[float] = field(default_factory=list)
    sent_bps: list[int] = field(default_factory=list)

    def run(self, seconds: float, start_ms: float = 0.0) -> Link:
        chance = random.Random(1)
        now, free_at = start_ms, start_ms
        while now < start_ms + seconds * 1000:
            rate = min(self.uplink.bps, self.encoder_bps)
            free_at = max(free_at, now) + 9600 * 1000 / self.link_bps
            arrives = free_at + self.way_ms + chance.random() * self.jitter_ms
            sent = int(now * (1 + self.drift) * 262.144) & 0xFFFFFF
            self.uplink.packet(1200, sent.to_bytes(3, "big") if self.says else None, arrives)
            self.queues.append(free_at - now)
            self.sent_bps.append(rate)
            now += 9600 * 1000 / rate
        return self

    def after(self, seconds: float) -> tuple[float, float]:
        """Mean of the queue (ms) and of the rate from then on; packets are taken as evenly sent."""
        half = int(len(self.queues) * seconds)
        queues, rates = self.queues[half:], self.sent_bps[half:]
        return sum(queues) / len(queues), len(rates) / sum(1 / rate for rate in rates)


@pytest.mark.parametrize("link_bps", [400_000, 1_000_000, 2_000_000])
def test_a_narrow_link_is_filled_without_a_queue_that_stands(link_bps: int) -> None:
    """The clock of `abs-send-time` wraps on the way."""
    queue_ms, rate = Link(link_bps).run(60, start_ms=50_000).after(0.4)
    assert queue_ms < 250 and 0.7 * link_bps < rate < 1.05 * link_bps


@pytest.mark.parametrize(
    "link",
    [
        Link(50_000_000),
        Link(50_000_000, jitter_ms=45),
        Link(50_000_000, drift=1e-4),
        Link(50_000_000, drift=-1e-4),
        Link(1_000_000, says=False),
    ],
)
def test_a_wide_link_is_not_held_back(link: Link) -> None:
    """By jitter or clocks that drift; and who does not say when packets left is not estimated."""
    link.run(60)
    assert link.uplink.bps == MOST


def test_a_link_that_widens_is_followed() -> None:
    link = Link(500_000, encoder_bps=1_500_000).run(20)
    assert link.uplink.bps < 700_000
    link.link_bps = 50_000_000
    link.run(30, start_ms=30_000)
    assert link.uplink.bps > 1_500_000


def test_a_pause_in_which_the_clock_wraps_is_no_queue() -> None:
    link = Link(50_000_000).run(5)
    link.run(30, start_ms=5_000 + 45_000)
    link.run(5, start_ms=80_000 + 100_000)
    assert link.uplink.bps == MOST


@given(st.lists(st.tuples(st.integers(0, 2000), st.none() | st.binary(max_size=4), st.floats(0, 400)), max_size=100))
def test_whatever_comes_the_estimate_stays_in_its_bounds(packets: list[tuple[int, bytes | None, float]]) -> None:
    uplink, now_ms = Uplink(MOST), 0.0
    for size, sent, pause_ms in packets:
        now_ms += pause_ms
        uplink.packet(size, sent, now_ms)
        assert LEAST_BPS <= uplink.bps <= MOST
