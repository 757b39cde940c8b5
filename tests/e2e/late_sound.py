"""The test card as an encoder sends it whose microphone is slow: the picture first, the sound some seconds later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from headwater.protocols.rtmp.client import parse_url
from headwater.testcard.clock import Clock
from headwater.testcard.encoder import TestCard, TestCardSettings
from headwater.testcard.publisher import Publisher
from headwater.testcard.tags import AUDIO, Tag

LATE_MS = 3000


class LateSound(TestCard):
    """Keeps back what is heard before `LATE_MS`, and the sound's configuration until then; nothing announces it."""

    def metadata(self) -> dict[str, object]:
        return {name: value for name, value in super().metadata().items() if "audio" not in name and name != "stereo"}

    def tags(self, clock: Clock) -> Iterator[Tag]:
        held: list[Tag] = []
        for tag in super().tags(clock):
            if tag.type_id != AUDIO:
                yield tag
            elif tag.timestamp_ms >= LATE_MS:
                yield from (replace(setup, timestamp_ms=tag.timestamp_ms) for setup in held)
                held.clear()
                yield tag
            elif tag.setup is not None:
                held.append(tag)


def publish(url: str, seconds: float) -> None:
    """Send it in real time, to its end."""
    card = LateSound(TestCardSettings(width=640, height=360, bitrate=700_000, duration_s=seconds))
    asyncio.run(Publisher(card, parse_url(url), reconnect=False).run())
