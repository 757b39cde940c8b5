"""A gate that collects, for tests of ingest."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from headwater.errors import PublishRefused, UnsupportedCodec
from headwater.media.access_unit import AccessUnit
from headwater.media.track import Track
from headwater.pipeline.ingest.gate import Publisher, PublishRequest

GOOD_KEY = "0123456789abcdef"


class Collected:
    """A `Publication` that keeps everything."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.units: list[AccessUnit] = []
        self.values: Mapping[str, object] = {}
        self.ends: list[tuple[str, bool]] = []
        self.ended = asyncio.Event()
        self.refusals: list[UnsupportedCodec] = []
        self.refusal: Exception | None = None
        """Raised by the next `configure` or `push`."""
        self.patience = 0.0
        self.about: Mapping[str, str] = {}

    def configure(self, track: Track) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.tracks.append(track)

    def refused(self, error: UnsupportedCodec) -> None:
        self.refusals.append(error)

    def push(self, unit: AccessUnit) -> None:
        if self.refusal is not None:
            raise self.refusal
        assert any(track.id == unit.track_id for track in self.tracks), "a unit of a track that was not configured"
        self.units.append(unit)

    def patience_ms(self) -> float:
        return self.patience

    def metadata(self, values: Mapping[str, object]) -> None:
        self.values = values

    def end(self, reason: str, *, regular: bool) -> None:
        self.ends.append((reason, regular))
        self.ended.set()

    def of(self, track_id: int) -> list[AccessUnit]:
        return [unit for unit in self.units if unit.track_id == track_id]


class CollectingGate:
    """Admits `GOOD_KEY` and nothing else.

    Attributes:
        delay: Waited for before deciding, if set.
    """

    def __init__(self) -> None:
        self.requests: list[PublishRequest] = []
        self.rejected: list[tuple[str, str]] = []
        self.publishers: list[Publisher] = []
        self.publications: list[Collected] = []
        self.delay: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.admitted = asyncio.Event()

    async def admit(self, request: PublishRequest, publisher: Publisher) -> Collected:
        self.requests.append(request)
        if self.delay is not None:
            await self.delay.wait()
        if self.failure is not None:
            raise self.failure
        if request.stream_key != GOOD_KEY:
            raise PublishRefused("ERR_BAD_STREAM_KEY", "no livestream has this stream key")
        publication = Collected()
        self.publishers.append(publisher)
        self.publications.append(publication)
        self.admitted.set()
        return publication

    async def reject(self, request: PublishRequest, code: str, description: str) -> None:
        if request.stream_key != GOOD_KEY:
            raise PublishRefused("ERR_BAD_STREAM_KEY", "no livestream has this stream key")
        self.rejected.append((code, description))
