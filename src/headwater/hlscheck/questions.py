"""The single questions put to a server beside following its stream: each one exchange, kept as a `Probe`.

They run beside the follower and never hold it up; what needs time (a part after it left the playlist) is asked at
the latest when the check ends.
"""

from __future__ import annotations

import asyncio
import math
from urllib.parse import urlunsplit

from headwater.hlscheck.observation import Exchange, Probe, ProbeKind, Rendition, Snapshot
from headwater.hlscheck.playlist import MediaPlaylist, Segment
from headwater.hlscheck.session import Session, with_directives
from headwater.hlscheck.urls import split

FAR_MSN = 1_000  # beyond any window
REMOVED_SAMPLES = 3  # parts and segments that are asked for after they left, per rendition
PART_KEPT_TARGETS = 2.5  # of the three target durations that a part must stay (6.2.2): the rest is for the network
MAX_PATIENCE_S = 60.0  # whatever target duration a playlist claims
PROMPT_TIMEOUT_S = 8.0  # for questions that deserve an answer at once


class Questions:
    """The questions to one rendition's server."""

    def __init__(self, session: Session, rendition: Rendition) -> None:
        self.session, self.rendition = session, rendition
        self.removed_parts = self.removed_segments = 0

    async def _ask(
        self, kind: ProbeKind, before: MediaPlaylist, *, msn: int | None = None, part: int | None = None
    ) -> None:
        """A playlist request with directives."""
        url = with_directives(self.rendition.url, msn=msn, part=part)
        exchange = await self.session.get(url, timeout_s=self._patience(before))
        playlist = self.session.read(exchange) if exchange.ok else None
        exchange.body = b""
        asked = None if msn is None else (msn, part)
        self._keep(Probe(kind, self.rendition, exchange, before, playlist, asked=asked))

    def _patience(self, playlist: MediaPlaylist) -> float:
        return min(max(PROMPT_TIMEOUT_S, 4.0 * (playlist.target_duration or 1)), MAX_PATIENCE_S)

    def _keep(self, probe: Probe) -> None:
        self.rendition.probes.append(probe)

    async def at_start(self, snapshot: Snapshot) -> None:
        """What can be asked of any playlist, and of one that blocks."""
        playlist = snapshot.playlist
        await self._head(ProbeKind.HEAD_PLAYLIST, self.rendition.url, playlist)
        if playlist.segments and playlist.segments[-1].uri and not playlist.segments[-1].gap:
            url = self.rendition.resolve(playlist.segments[-1].uri)
            await self._head(ProbeKind.HEAD_MEDIA, url, playlist)
        control = playlist.server_control
        if playlist.ended or control is None or not control.can_block_reload:
            return
        last = playlist.last_msn
        if last is None:
            return
        await self._ask(ProbeKind.FAR_MSN, playlist, msn=last + FAR_MSN)
        await self._ask(ProbeKind.OLD_MSN, self._newest(playlist), msn=last)
        if playlist.low_latency:
            await self._ask_about_parts(playlist)

    def _newest(self, fallback: MediaPlaylist) -> MediaPlaylist:
        return self.rendition.newest or fallback

    async def _ask_about_parts(self, playlist: MediaPlaylist) -> None:
        await self._ask(ProbeKind.PART_WITHOUT_MSN, playlist, part=0)
        newest = self._newest(playlist)
        complete = next((s for s in reversed(newest.segments) if s.parts), None)
        if complete is not None:
            await self._ask(ProbeKind.PAST_LAST_PART, newest, msn=complete.msn, part=len(complete.parts))
        newest = self._newest(playlist)
        msn, part = newest.next_request
        target = max(newest.part_target or 1.0, 0.001)
        limit = math.ceil(3 / target) if target < 1 else 3
        # Well past the limit, and past any segment's end: the draft lets N run over into the next segment.
        await self._ask(ProbeKind.FAR_PART, newest, msn=msn, part=(part or 0) + limit + 1_000)
        hint = next((h for h in newest.preload_hints if h.type == "PART"), None)
        if hint is not None:
            url = never_hinted(self.rendition.resolve(hint.uri))
            exchange = await self.session.resource(url, timeout_s=PROMPT_TIMEOUT_S)
            exchange.body = b""
            self._keep(Probe(ProbeKind.NEVER_HINTED, self.rendition, exchange, newest))

    async def _head(self, kind: ProbeKind, url: str, before: MediaPlaylist) -> None:
        head = await self.session.get(url, method="HEAD")
        get: Exchange = await self.session.resource(url)
        get.body = b""
        self._keep(Probe(kind, self.rendition, head, before, beside=get))

    async def after_reload(self, older: Snapshot, newer: Snapshot) -> None:
        """Ask for what has just left the playlist."""
        parts = _gone_parts(older.playlist, newer.playlist)
        segments = _gone_segments(older.playlist, newer.playlist)
        asked = []
        if parts and self.removed_parts < REMOVED_SAMPLES:
            self.removed_parts += 1
            asked.append(self._removed_part(parts[0], newer))
        if segments and self.removed_segments < REMOVED_SAMPLES:
            self.removed_segments += 1
            asked.append(self._removed_segment(segments[-1], newer))
        if asked:
            await asyncio.gather(*asked)

    async def _removed_part(self, uri: str, newer: Snapshot) -> None:
        wait = PART_KEPT_TARGETS * (newer.playlist.target_duration or 1)
        await asyncio.sleep(max(0.0, min(wait, self.session.deadline - self.session.clock())))
        exchange = await self.session.resource(self.rendition.resolve(uri))
        exchange.body = b""
        age = exchange.sent_at - newer.at
        self._keep(Probe(ProbeKind.REMOVED_PART, self.rendition, exchange, newer.playlist, age=age))

    async def _removed_segment(self, segment: Segment, newer: Snapshot) -> None:
        exchange = await self.session.resource(self.rendition.resolve(segment.uri or ""))
        exchange.body = b""
        age = exchange.sent_at - newer.at
        self._keep(Probe(ProbeKind.REMOVED_SEGMENT, self.rendition, exchange, newer.playlist, age=age))

    async def at_end(self, snapshot: Snapshot) -> None:
        """Directives must be ignored once the playlist has ended."""
        if snapshot.playlist.last_msn is not None:
            msn = snapshot.playlist.last_msn + 2
            await self._ask(ProbeKind.ENDED_DIRECTIVES, snapshot.playlist, msn=msn, part=0)


def _gone_parts(older: MediaPlaylist, newer: MediaPlaylist) -> list[str]:
    """URIs of whole-resource parts that were listed and are not any more."""
    now = {p.uri for s in newer.all_segments for p in s.parts}
    return [p.uri for s in older.segments for p in s.parts if p.uri not in now and not p.gap and p.byterange is None]


def _gone_segments(older: MediaPlaylist, newer: MediaPlaylist) -> list[Segment]:
    if newer.media_sequence < older.media_sequence:
        return []
    return [s for s in older.segments if s.msn < newer.media_sequence and not s.gap and s.byterange is None]


def never_hinted(url: str) -> str:
    """A URL beside a part's that no server has hinted."""
    parts = split(url)
    folder, slash, name = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=f"{folder}{slash}never-hinted-{name}"))
