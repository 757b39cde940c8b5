"""What a network does to packets, for hypothesis."""

from __future__ import annotations

import random
from collections.abc import Sequence

from headwater.protocols.rtp.packet import Packet, parse


def parsed(packets: Sequence[bytes]) -> list[Packet]:
    return [parse(packet) for packet in packets]


def disordered(packets: Sequence[Packet], seed: int, *, loss: float = 0.0, duplicates: float = 0.1) -> list[Packet]:
    """The packets in another order (never far, the first stays first), some twice, some not at all."""
    chance = random.Random(seed)
    out = []
    for index, packet in enumerate(packets):
        if index and chance.random() < loss:
            continue
        copies = 2 if chance.random() < duplicates else 1
        out += [(index + (chance.randint(0, 8) if index else -1), packet) for _ in range(copies)]
    return [packet for _, packet in sorted(out, key=lambda pair: pair[0])]
