"""The probe: follows a stream the way a player does for some seconds, and writes down what it saw.

    multivariant ─► each rendition:  load ─► blocking reload ─► blocking reload ─► ...      (`_Follower`)
                                      ├─► download new parts, segments, init segments       (bounded, beside it)
                                      ├─► request the preload hint at once
                                      ├─► a delta update now and then, with a full one beside it
                                      └─► single questions: `questions.py`

It judges nothing; the rules do. It knows no clock but the event loop's, so that tests run it in simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from headwater.errors import HeadwaterError, ProtocolError
from headwater.hlscheck import mp4
from headwater.hlscheck.fetch import Fetch, Request
from headwater.hlscheck.observation import (
    Delta,
    Exchange,
    HintRequest,
    Kind,
    Observation,
    Rendition,
    Resource,
    Snapshot,
)
from headwater.hlscheck.parser import is_multivariant, parse_media, parse_multivariant
from headwater.hlscheck.playlist import ByteRange, Map, MediaPlaylist, Part, PreloadHint, Segment, Variant
from headwater.hlscheck.questions import Questions
from headwater.hlscheck.session import ProbeSettings, Session, with_directives
from headwater.hlscheck.urls import join, split

MAX_PART_PAUSE_S = 2.0  # whatever PART-TARGET a playlist claims
UNKNOWN_LAST_BYTE = 2**53 - 1  # last-byte-pos of a hint without a length (4.4.5.3, RFC 8673)


class CouldNotCheck(HeadwaterError):
    """The URL did not give a playlist: there is nothing to judge. Exit code 2."""


async def observe(url: str, fetch: Fetch, settings: ProbeSettings) -> Observation:
    """Follow the stream at a URL.

    Raises:
        CouldNotCheck: There is no playlist at the URL, or none of its media playlists could be loaded.
    """
    clock = asyncio.get_running_loop().time
    observation = Observation(url, started_at=clock())
    text = await _load_first(url, fetch, settings, observation)
    if is_multivariant(text):
        observation.multivariant = parse_multivariant(text)
        observation.renditions = _renditions(observation)
    else:
        observation.renditions = [Rendition("media playlist", observation.url)]
    if len(observation.renditions) > settings.max_renditions:
        left_out = observation.renditions[settings.max_renditions :]
        observation.notes.append(f"{len(left_out)} media playlists past the first {settings.max_renditions} left out")
        del observation.renditions[settings.max_renditions :]
    deadline = clock() + settings.seconds
    shared = Session(fetch, settings, observation, deadline)
    async with asyncio.TaskGroup() as group:
        for rendition in observation.renditions:
            group.create_task(_Follower(shared, rendition).run())
    observation.ended_at = clock()
    if not observation.snapshots:
        failures = [f for r in observation.renditions for f in r.failures]
        reason = f": {failures[0].url}: {failures[0].describe()}" if failures else ""
        raise CouldNotCheck(f"no media playlist could be loaded{reason}")
    return observation


async def _load_first(url: str, fetch: Fetch, settings: ProbeSettings, observation: Observation) -> str:
    if split(url).scheme not in ("http", "https"):
        raise CouldNotCheck(f"{url} is neither http nor https")
    exchange = await fetch(Request(url, timeout_s=settings.request_timeout_s, max_bytes=settings.max_playlist_bytes))
    observation.multivariant_exchange = exchange
    observation.url = exchange.url
    if not exchange.ok:
        raise CouldNotCheck(f"{url}: {exchange.describe()}")
    text = exchange.body.decode("utf-8", "replace")
    if not text.lstrip("\ufeff").startswith("#EXTM3U") and "#EXT" not in text[:4096]:
        raise CouldNotCheck(f"{url} is not a playlist (it begins with {text[:30]!r})")
    return text


def _renditions(observation: Observation) -> list[Rendition]:
    """One rendition a media playlist URL, however often the multivariant playlist names it."""
    multivariant = observation.multivariant
    assert multivariant is not None
    found: dict[str, Rendition] = {}
    for variant in multivariant.variants:
        url = join(observation.url, variant.uri)
        kind = "i-frames" if variant.i_frame else "main"
        found.setdefault(url, Rendition(_variant_name(variant), url, kind)).variants.append(variant)
    for tag in multivariant.media:
        if tag.uri:
            url = join(observation.url, tag.uri)
            kind = {"AUDIO": "audio", "SUBTITLES": "subtitles", "VIDEO": "video"}.get(tag.type, "other")
            found.setdefault(url, Rendition(f"{kind} {tag.group_id}/{tag.name}", url, kind)).tags.append(tag)
    return list(found.values())


def _variant_name(variant: Variant) -> str:
    size = f"{variant.resolution[0]}x{variant.resolution[1]}" if variant.resolution else "variant"
    rate = f" {variant.bandwidth // 1000} kbit/s" if variant.bandwidth else ""
    return f"{'I-frames ' if variant.i_frame else ''}{size}{rate}"


class _Follower:
    """Follows one rendition."""

    def __init__(self, shared: Session, rendition: Rendition) -> None:
        self.shared, self.rendition = shared, rendition
        self.settings = shared.settings
        self.group: asyncio.TaskGroup
        self.hinted: dict[tuple[str, int], asyncio.Task[Exchange]] = {}
        self.started: set[object] = set()
        self.inits: dict[object, asyncio.Task[Resource]] = {}
        self.first, self.last = 0, 2**64  # MSNs of the segments that are downloaded
        self.questions = Questions(shared, rendition)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.group:
            snapshot = await self._load(None)
            if snapshot is None:
                return
            await self._follow(snapshot)
            newest = self.rendition.newest
            listed = {p.uri for s in newest.all_segments for p in s.parts} if newest else set()
            for (uri, _), task in self.hinted.items():
                if uri not in listed:
                    task.cancel()  # it waits for a part past the deadline

    async def _follow(self, snapshot: Snapshot) -> None:
        """Reload until the deadline or the end of the stream."""
        reloads, failures = 0, 0
        self._spawn(self.questions.at_start(snapshot))
        while True:
            self._harvest(snapshot)
            playlist = snapshot.playlist
            if playlist.ended:
                self._spawn(self.questions.at_end(snapshot))
                return
            if (
                self.shared.clock() >= self.shared.deadline
                or len(self.rendition.snapshots) >= self.settings.max_snapshots
            ):
                return
            reloads += 1
            following = await self._reload(snapshot, with_delta=reloads % self.settings.delta_every == 0)
            if following is None:
                failures += 1
                if failures > 3:
                    return
                await asyncio.sleep(self.settings.min_poll_s)
                continue
            failures = 0
            if following.asked is not None and following.playlist.next_request == playlist.next_request:
                # A server that says it blocks and does not: ask it no faster than a poller would.
                await asyncio.sleep(max(self.settings.min_poll_s, min(playlist.part_target or 0.0, MAX_PART_PAUSE_S)))
            self._spawn(self.questions.after_reload(snapshot, following))
            snapshot = following

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.group.create_task(coroutine)

    async def _reload(self, snapshot: Snapshot, *, with_delta: bool) -> Snapshot | None:
        playlist = snapshot.playlist
        control = playlist.server_control
        if control is None or not control.can_block_reload:
            # 6.3.4: wait a target duration after a change, half of one otherwise.
            pause = float(playlist.target_duration or 1) * (0.5 if self._unchanged() else 1.0)
            await asyncio.sleep(max(self.settings.min_poll_s, min(pause, self.shared.deadline - self.shared.clock())))
            return await self._load(None)
        asked = playlist.next_request
        if with_delta and control.can_skip_until is not None:
            delta, full = await asyncio.gather(self._delta(snapshot, asked), self._load(asked))
            if delta is not None:
                delta.full = full.playlist if full else None
                self.rendition.deltas.append(delta)
            return full
        return await self._load(asked)

    def _unchanged(self) -> bool:
        last = self.rendition.snapshots[-2:]
        return len(last) == 2 and last[0].playlist.next_request == last[1].playlist.next_request

    def _blocking_timeout(self) -> float:
        newest = self.rendition.newest
        target = newest.target_duration if newest and newest.target_duration else 6
        return min(4.0 * target + 2.0, 120.0)  # 503 is due after three target durations (6.2.5.2)

    async def _load(self, asked: tuple[int, int | None] | None) -> Snapshot | None:
        url = self.rendition.url
        if asked is not None:
            url = with_directives(url, msn=asked[0], part=asked[1])
        exchange = await self.shared.get(url, timeout_s=self._blocking_timeout() if asked else None)
        if not exchange.ok:
            self.rendition.failures.append(exchange)
            return None
        playlist = parse_media(exchange.body.decode("utf-8", "replace"))
        exchange.body = b""
        if not self.rendition.snapshots:
            self.rendition.url = exchange.url if asked is None else self.rendition.url
        snapshot = Snapshot(self.rendition, exchange, playlist, asked)
        self.rendition.snapshots.append(snapshot)
        return snapshot

    async def _delta(self, base: Snapshot, asked: tuple[int, int | None]) -> Delta | None:
        url = with_directives(self.rendition.url, msn=asked[0], part=asked[1], skip="YES")
        exchange = await self.shared.get(url, timeout_s=self._blocking_timeout())
        if not exchange.ok:
            self.rendition.failures.append(exchange)
            return None
        playlist = parse_media(exchange.body.decode("utf-8", "replace"))
        exchange.body = b""
        return Delta(self.rendition, exchange, playlist, base.playlist, None)

    # Downloads.

    def _harvest(self, snapshot: Snapshot) -> None:
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
                if not self.shared.admit():
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
            if not self.shared.admit():
                return
            self.started.add((segment.msn, index))
            self._spawn(self._part(segment, index, part, start))

    def _request_hint(self, snapshot: Snapshot, hint: PreloadHint) -> None:
        key = (hint.uri, hint.byterange_start)
        if key in self.hinted or self.shared.clock() >= self.shared.deadline:
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
        request.exchange = await self.shared.resource(url, byterange, timeout_s=self._blocking_timeout())
        return request.exchange

    async def _part(self, segment: Segment, index: int, part: Part, start: int) -> None:
        span = _span(part.byterange, start)
        exchange, hinted = None, False
        task = self.hinted.get((part.uri, start))
        if task is not None:
            exchange, hinted = await task, True
        if exchange is None or not exchange.ok:
            if self.shared.over_budget:
                return
            hinted = False
            async with self.shared.downloads:
                exchange = await self.shared.resource(self.rendition.resolve(part.uri), span)
        resource = Resource(self.rendition, Kind.PART, exchange.url, exchange, part.line, span)
        resource.msn, resource.part_index, resource.listed, resource.hinted = segment.msn, index, part, hinted
        await self._read(resource, segment)
        self.rendition.parts[segment.msn, index] = resource

    async def _segment(self, segment: Segment, start: int) -> None:
        if segment.gap or segment.uri is None or self.shared.over_budget:
            return
        span = _span(segment.byterange, start)
        async with self.shared.downloads:
            exchange = await self.shared.resource(self.rendition.resolve(segment.uri), span)
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
        exchange = await self.shared.resource(
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
