"""What the parts of the probe share: limits, HTTP, the clock, the download budget, delivery directives in URLs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlunsplit

from headwater.hlscheck.fetch import Fetch, Request
from headwater.hlscheck.observation import Exchange, Observation, Rendition
from headwater.hlscheck.parser import parse_media
from headwater.hlscheck.playlist import MediaPlaylist
from headwater.hlscheck.urls import split


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """Limits of one check.

    Attributes:
        seconds: How long a live stream is followed.
        max_renditions: Media playlists that are followed at once; a usual ladder has up to 8 with its audio.
        max_playlist_bytes: Of one playlist: a day of segments is about 10 MB.
        max_resource_bytes: Of one part, segment or init segment: 10 s at 50 Mbit/s.
        max_total_bytes: Of all downloads together; after that only playlists are loaded.
        max_resources: Number of all downloads: half an hour of 200 ms parts of five renditions.
        concurrent_downloads: Parts and segments at a time; reloads and hints are not counted, they mostly wait.
        request_timeout_s: For what should come at once.
        min_poll_s: Between reloads of a playlist that does not block, whatever target duration it claims.
        delta_every: A delta update beside every so-manieth reload.
        vod_segments: Of an ended playlist: the first so many are downloaded.
        edge_segments: Of a live playlist: the last so many at the start, all new ones later.
        max_snapshots: Of one rendition: half an hour of 200 ms parts.
    """

    seconds: float = 30.0
    max_renditions: int = 12
    max_playlist_bytes: int = 16 * 1024 * 1024
    max_resource_bytes: int = 64 * 1024 * 1024
    max_total_bytes: int = 2 * 1024 * 1024 * 1024
    max_resources: int = 50_000
    concurrent_downloads: int = 6
    request_timeout_s: float = 20.0
    min_poll_s: float = 0.5
    delta_every: int = 6
    vod_segments: int = 3
    edge_segments: int = 2
    max_snapshots: int = 10_000


def with_directives(url: str, **directives: int | str | None) -> str:
    """A playlist URL with delivery directives, its query sorted as clients must (6.3.2)."""
    parts = split(url)
    query = [q for q in parse_qsl(parts.query, keep_blank_values=True) if not q[0].startswith("_HLS_")]
    query += [(f"_HLS_{name}", str(value)) for name, value in directives.items() if value is not None]
    return urlunsplit(parts._replace(query=urlencode(sorted(query))))


MAX_BLOCKING_S = 120.0  # whatever target duration a playlist claims


def blocking_timeout(rendition: Rendition) -> float:
    """Seconds to wait for what may block: 503 is due after three target durations (6.2.5.2), a fourth is patience."""
    newest = rendition.newest
    target = newest.target_duration if newest and newest.target_duration else 6
    return min(4.0 * target + 2.0, MAX_BLOCKING_S)


class Session:
    """What the followers of one check share: HTTP, limits, the deadline, the download budget."""

    def __init__(self, fetch: Fetch, settings: ProbeSettings, observation: Observation, deadline: float) -> None:
        self.fetch, self.settings, self.observation, self.deadline = fetch, settings, observation, deadline
        self.downloads = asyncio.Semaphore(settings.concurrent_downloads)
        self.bytes = self.resources = 0

    def read(self, exchange: Exchange) -> MediaPlaylist:
        """The media playlist that an exchange brought; its bytes are then forgotten."""
        text, exchange.body = exchange.body.decode("utf-8", "replace"), b""
        multivariant = self.observation.multivariant
        imported = multivariant.variables if multivariant else {}
        return parse_media(text, imported=imported, query=dict(parse_qsl(split(exchange.url).query)))

    def clock(self) -> float:
        return asyncio.get_running_loop().time()

    def admit(self) -> bool:
        """Count one more download; False once the limit is reached."""
        self.resources += 1
        if self.resources == self.settings.max_resources:
            self.observation.notes.append(f"downloads stopped after {self.settings.max_resources} resources")
        return self.resources < self.settings.max_resources

    @property
    def over_budget(self) -> bool:
        if self.bytes < self.settings.max_total_bytes:
            return False
        note = f"downloads stopped at {self.settings.max_total_bytes >> 20} MiB"
        if note not in self.observation.notes:
            self.observation.notes.append(note)
        return True

    async def get(self, url: str, *, timeout_s: float | None = None, method: str = "GET") -> Exchange:
        """A playlist, or anything small."""
        timeout = self.settings.request_timeout_s if timeout_s is None else timeout_s
        return await self.fetch(Request(url, method, {}, timeout, self.settings.max_playlist_bytes))

    async def resource(
        self, url: str, byterange: tuple[int, int] | None = None, *, timeout_s: float | None = None
    ) -> Exchange:
        """A part, segment or init segment; `byterange` is first and last byte."""
        headers = {"Range": f"bytes={byterange[0]}-{byterange[1]}"} if byterange else {}
        timeout = self.settings.request_timeout_s if timeout_s is None else timeout_s
        exchange = await self.fetch(Request(url, "GET", headers, timeout, self.settings.max_resource_bytes))
        self.bytes += exchange.size
        return exchange
