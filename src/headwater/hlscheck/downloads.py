"""What the probe downloads beside the playlists: hinted parts, new parts, new segments, init segments.

Each is read for its samples as soon as it is there, and its bytes are then forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from headwater.errors import ProtocolError
from headwater.hlscheck import mp4
from headwater.hlscheck.observation import Exchange, HintRequest, Kind, Rendition, Resource, Snapshot
from headwater.hlscheck.playlist import ByteRange, Map, MediaPlaylist, Part, PreloadHint, Segment
from headwater.hlscheck.session import Session, blocking_timeout

UNKNOWN_LAST_BYTE = 2**53 - 1  # last-byte-pos of a hint without a length (4.4.5.3, RFC 8673)


class Downloads:
    """The downloads of one rendition, as tasks of its follower's group."""

    def __init__(self, session: Session, rendition: Rendition, group: asyncio.TaskGroup) -> None:
        self.session, self.rendition, self.group = session, rendition, group
        self.settings = session.settings
        self.hinted: dict[tuple[str, int], asyncio.Task[Exchange]] = {}
        self.started: set[object] = set()
        self.inits: dict[object, asyncio.Task[Resource]] = {}
        self.first, self.last = 0, 2**64  # MSNs of the segments that are downloaded

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.group.create_task(coroutine)

    def cancel_waiting(self) -> None:
        """Give up the hints whose parts are not listed: they wait for what comes after the deadline."""
        newest = self.rendition.newest
        listed = {p.uri for s in newest.all_segments for p in s.parts} if newest else set()
        for (uri, _), task in self.hinted.items():
            if uri not in listed:
                task.cancel()

    def start(self, snapshot: Snapshot) -> None:
        """Start what a player would: hinted and new parts, new segments, init segments."""
        playlist = snapshot.playlist
        hint = next((h for h in playlist.preload_hints if h.type == "PART"), None)
        if hint is not None:  # all but the first are ignored (6.3.8)
            self._request_hint(snapshot, hint)
        if len(self.rendition.snapshots) == 1:
            self._choose(playlist)
        offsets: dict[str, int] = {}
        for segment in playlist.segments:
            start = _range_start(segment.byterange, segment.uri or "", offsets)
            if self.first <= segment.msn <= self.last and segment.msn not in self.started:
                if not self.session.admit():
                    return
                self.started.add(segment.msn)
                self._spawn(self._segment(segment, start))
        for segment in playlist.all_segments:
            if self.first <= segment.msn <= self.last:
                self._parts(segment)

    def _choose(self, playlist: MediaPlaylist) -> None:
        """Which segments are downloaded: the first few of an ended playlist; then the edge of a live one and on."""
        msns = [s.msn for s in playlist.segments]
        if playlist.ended:
            msns = msns[: self.settings.vod_segments]
            self.first, self.last = (msns[0], msns[-1]) if msns else (0, -1)
        elif msns:
            self.first = msns[-self.settings.edge_segments :][0]

    def _parts(self, segment: Segment) -> None:
        offset: dict[str, int] = {}
        for index, part in enumerate(segment.parts):
            start = _range_start(part.byterange, part.uri, offset)
            if part.gap or (segment.msn, index) in self.started:
                continue
            if not self.session.admit():
                return
            self.started.add((segment.msn, index))
            self._spawn(self._part(segment, index, part, start))

    def _request_hint(self, snapshot: Snapshot, hint: PreloadHint) -> None:
        key = (hint.uri, hint.byterange_start)
        if key in self.hinted or self.session.clock() >= self.session.deadline:
            return
        request = HintRequest(hint, snapshot)
        self.rendition.hints[key] = request
        self.hinted[key] = self.group.create_task(self._hint(request))

    async def _hint(self, request: HintRequest) -> Exchange:
        hint = request.hint
        byterange = None
        if hint.byterange_start or hint.byterange_length is not None:
            length = hint.byterange_length
            last = UNKNOWN_LAST_BYTE if length is None else hint.byterange_start + length - 1
            byterange = hint.byterange_start, last
        url = self.rendition.resolve(hint.uri)
        request.exchange = await self.session.resource(url, byterange, timeout_s=blocking_timeout(self.rendition))
        return request.exchange

    async def _part(self, segment: Segment, index: int, part: Part, start: int) -> None:
        span = _span(part.byterange, start)
        exchange, hinted = None, False
        task = self.hinted.get((part.uri, start))
        if task is not None:
            exchange, hinted = await task, True
        if exchange is None or not exchange.ok:
            if self.session.over_budget:
                return
            hinted = False
            async with self.session.downloads:
                exchange = await self.session.resource(self.rendition.resolve(part.uri), span)
        resource = Resource(self.rendition, Kind.PART, exchange.url, exchange, part.line, span)
        resource.msn, resource.part_index, resource.listed, resource.hinted = segment.msn, index, part, hinted
        await self._read(resource, segment)
        self.rendition.parts[segment.msn, index] = resource

    async def _segment(self, segment: Segment, start: int) -> None:
        if segment.gap or segment.uri is None or self.session.over_budget:
            return
        span = _span(segment.byterange, start)
        async with self.session.downloads:
            exchange = await self.session.resource(self.rendition.resolve(segment.uri), span)
        resource = Resource(self.rendition, Kind.SEGMENT, exchange.url, exchange, segment.line, span)
        resource.msn, resource.listed = segment.msn, segment
        await self._read(resource, segment)
        self.rendition.segments[segment.msn] = resource

    async def _read(self, resource: Resource, segment: Segment) -> None:
        """Read the samples, then let the bytes go."""
        resource.encrypted = segment.encryption is not None
        init = await self._init(segment.map) if segment.map else None
        body = _take_body(resource)
        if not resource.exchange.ok or resource.encrypted:
            return
        if segment.map is None and not mp4.looks_like_mp4(body):
            return
        try:
            resource.media = mp4.parse_media(body, init.init if init else None)
        except ProtocolError as error:
            resource.media_error = str(error)

    async def _init(self, map_tag: Map) -> Resource:
        key = (map_tag.uri, map_tag.byterange)
        if key not in self.inits:
            self.inits[key] = self.group.create_task(self._load_init(map_tag))
        return await self.inits[key]

    async def _load_init(self, map_tag: Map) -> Resource:
        url = self.rendition.resolve(map_tag.uri)
        exchange = await self.session.resource(
            url, _span(map_tag.byterange, (map_tag.byterange or ByteRange(0, 0)).offset or 0)
        )
        resource = Resource(self.rendition, Kind.INIT, url, exchange, map_tag.line)
        body, exchange.body = exchange.body, b""
        if exchange.ok:
            try:
                resource.init = mp4.parse_init(body)
            except ProtocolError as error:
                resource.media_error = str(error)
        self.rendition.inits[map_tag.uri, map_tag.byterange] = resource
        return resource


def _range_start(byterange: ByteRange | None, uri: str, offsets: dict[str, int]) -> int:
    """Where a sub-range begins: its offset, or where the one before of the same resource ended (4.4.4.2)."""
    if byterange is None:
        return 0
    start = offsets.get(uri, 0) if byterange.offset is None else byterange.offset
    offsets[uri] = start + byterange.length
    return start


def _span(byterange: ByteRange | None, start: int) -> tuple[int, int] | None:
    return None if byterange is None else (start, start + max(byterange.length, 1) - 1)


def _take_body(resource: Resource) -> bytes:
    """The bytes of a resource, which the exchange then forgets; cut to the range where the whole came."""
    exchange, span = resource.exchange, resource.byterange
    body, exchange.body = exchange.body, b""
    if span is not None and exchange.status == 200 and len(body) > span[1] - span[0] + 1:
        resource.whole_came = True
        body = body[span[0] : span[1] + 1]
        exchange.size = len(body)
    return body
