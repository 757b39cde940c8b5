"""The probe: follows a stream the way a player does for some seconds, and writes down what it saw.

    multivariant ─► each rendition:  load ─► blocking reload ─► blocking reload ─► ...      (`_Follower`)
                                      ├─► the hint, new parts, segments, init segments: `downloads.py`
                                      ├─► a delta update now and then, with a full one beside it
                                      └─► single questions: `questions.py`

It judges nothing; the rules do. It knows no clock but the event loop's, so that tests run it in simulated time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qsl

from headwater.errors import HeadwaterError
from headwater.hlscheck.downloads import Downloads
from headwater.hlscheck.fetch import Fetch, Request
from headwater.hlscheck.observation import (
    Delta,
    Observation,
    Rendition,
    Snapshot,
)
from headwater.hlscheck.parser import is_multivariant, parse_multivariant
from headwater.hlscheck.playlist import Variant
from headwater.hlscheck.questions import Questions
from headwater.hlscheck.session import ProbeSettings, Session, blocking_timeout, with_directives
from headwater.hlscheck.urls import join, split

MAX_PART_PAUSE_S = 2.0  # whatever PART-TARGET a playlist claims


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
        observation.multivariant = parse_multivariant(text, query=dict(parse_qsl(split(observation.url).query)))
        observation.renditions = _renditions(observation)
    else:
        observation.renditions = [Rendition("media playlist", observation.url)]
    if len(observation.renditions) > settings.max_renditions:
        left_out = observation.renditions[settings.max_renditions :]
        observation.notes.append(f"{len(left_out)} media playlists past the first {settings.max_renditions} left out")
        del observation.renditions[settings.max_renditions :]
    deadline = clock() + settings.seconds
    session = Session(fetch, settings, observation, deadline)
    async with asyncio.TaskGroup() as group:
        for rendition in observation.renditions:
            group.create_task(_Follower(session, rendition).run())
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

    def __init__(self, session: Session, rendition: Rendition) -> None:
        self.session, self.rendition = session, rendition
        self.settings = session.settings
        self.group: asyncio.TaskGroup
        self.downloads: Downloads
        self.questions = Questions(session, rendition)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self.group:
            self.downloads = Downloads(self.session, self.rendition, self.group)
            snapshot = await self._load(None)
            if snapshot is None:
                return
            await self._follow(snapshot)
            self.downloads.cancel_waiting()

    async def _follow(self, snapshot: Snapshot) -> None:
        """Reload until the deadline or the end of the stream."""
        reloads, failures = 0, 0
        self._spawn(self.questions.at_start(snapshot))
        while True:
            self.downloads.start(snapshot)
            playlist = snapshot.playlist
            if playlist.ended:
                self._spawn(self.questions.at_end(snapshot))
                return
            if (
                self.session.clock() >= self.session.deadline
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
            await asyncio.sleep(max(self.settings.min_poll_s, min(pause, self.session.deadline - self.session.clock())))
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

    async def _load(self, asked: tuple[int, int | None] | None) -> Snapshot | None:
        url = self.rendition.url
        if asked is not None:
            url = with_directives(url, msn=asked[0], part=asked[1])
        exchange = await self.session.get(url, timeout_s=blocking_timeout(self.rendition) if asked else None)
        if not exchange.ok:
            self.rendition.failures.append(exchange)
            return None
        playlist = self.session.read(exchange)
        if not self.rendition.snapshots:
            self.rendition.url = exchange.url if asked is None else self.rendition.url
        snapshot = Snapshot(self.rendition, exchange, playlist, asked)
        self.rendition.snapshots.append(snapshot)
        return snapshot

    async def _delta(self, base: Snapshot, asked: tuple[int, int | None]) -> Delta | None:
        url = with_directives(self.rendition.url, msn=asked[0], part=asked[1], skip="YES")
        exchange = await self.session.get(url, timeout_s=blocking_timeout(self.rendition))
        if not exchange.ok:
            self.rendition.failures.append(exchange)
            return None
        playlist = self.session.read(exchange)
        return Delta(self.rendition, exchange, playlist, base.playlist, None)
