"""A simulated low-latency origin that keeps every rule, and the places where a test may make it break one.

Two video variants (2 s segments, 0.5 s parts, 24 frames a second) with an audio group (48 kHz, frames of 1,024), in
simulated time: at loop time 0 the stream has run for 40 s. One discontinuity (a reconnected publisher: new init
segments, decode times that jump) comes at 42 s. Nothing here is shared with the server's own playlist writer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit

from headwater.hlscheck.fetch import Request
from headwater.hlscheck.observation import Exchange
from tests.unit.hlscheck import boxes

BASE = "https://origin.test/live/"
URL = BASE + "main.m3u8"
LEAD = 40.0  # seconds of media that exist at loop time 0
EPOCH = 1_800_000_000.0  # wall time of media time 0
LATENCY = 0.02  # from a part's last sample to its being listed
NETWORK = 0.005
SPEED = 20_000_000.0  # bytes per second
TARGET, PARTS, WINDOW, PART_SEGMENTS = 2, 4, 8, 3
FIRST_MSN, JUMP, DISCONTINUITIES = 1000, 21, 7  # the segment with index 21 begins after a discontinuity
JUMP_TICKS = 5_000  # seconds that decode times jump by


@dataclass(frozen=True)
class Track:
    """One media playlist of the stream."""

    name: str
    timescale: int
    codec: bytes
    width: int = 0
    height: int = 0

    def start(self, part: int) -> int:
        """Decode time at which the part of a number (counted over all segments) begins, in ticks of media time."""
        if self.width:
            return part * 12_000
        return math.ceil(part * 24_000 / 1024) * 1024

    def seconds(self, part: int) -> float:
        return self.start(part) / self.timescale

    @property
    def part_target(self) -> float:
        return 0.5 if self.width else 0.512


V0 = Track("v0", 24_000, b"avc1", 640, 360)
V1 = Track("v1", 24_000, b"avc1", 320, 180)
A0 = Track("a0", 48_000, b"mp4a")
TRACKS = {t.name: t for t in (V0, V1, A0)}

MULTIVARIANT = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="a0/list.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=85000,CODECS="avc1.64001e,mp4a.40.2",RESOLUTION=640x360,FRAME-RATE=24.000,AUDIO="sound"
v0/list.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=85000,CODECS="avc1.64000d,mp4a.40.2",RESOLUTION=320x180,FRAME-RATE=24.000,AUDIO="sound"
v1/list.m3u8
"""


@lru_cache(maxsize=4096)
def part_bytes(name: str, part: int) -> bytes:
    """A part: one fragment."""
    track = TRACKS[name]
    start, end = track.start(part), track.start(part + 1)
    shift = JUMP_TICKS * track.timescale if part >= JUMP * PARTS else 0
    step = 1000 if track.width else 1024
    samples = []
    for at in range(start, end, step):
        sync = not track.width or at % 48_000 == 0
        size = 60 if not track.width else 1_000 if sync else 150
        samples.append(boxes.Sample(step, f"{name}{at}".encode().ljust(size, b"."), sync))
    return boxes.fragment(1, start + shift, samples)


def segment_bytes(name: str, index: int) -> bytes:
    return b"".join(part_bytes(name, index * PARTS + i) for i in range(PARTS))


def init_bytes(name: str) -> bytes:
    track = TRACKS[name]
    return boxes.init(1, track.timescale, track.codec, width=track.width, height=track.height)


@dataclass
class State:
    """What a track's playlist holds at a time: `parts` is the number of parts that were ever listed."""

    track: Track
    at: float
    ended: bool
    parts: int

    @property
    def complete(self) -> int:
        """Number of complete segments."""
        return self.parts // PARTS

    @property
    def first(self) -> int:
        return max(0, self.complete - WINDOW)

    def has(self, index: int, part: int | None) -> bool:
        return self.parts > index * PARTS + part if part is not None else self.complete > index


@dataclass(frozen=True)
class Asked:
    """A request as the origin understood it; `index` is the segment's (MSN less the first)."""

    track: Track
    url: str
    method: str
    loads: int
    at: float
    msn: int | None = None
    part: int | None = None
    skip: bool = False


def same(asked: Asked, value: str) -> str:
    return value


@dataclass
class Origin:
    """The origin; every field is a place where a fault can be put in.

    Attributes:
        playlist: Changes a media playlist's text on its way out.
        media: Changes a resource's bytes, given its path.
        answer: Changes an answer on its way out.
        blocks: Whether reloads with `_HLS_msn` are held.
        ends_at: Loop time at which the stream ends.
        lists: Decides how many parts a track has listed at a loop time, given the right number.
        refuse_far_msn, refuse_far_part: 400 for what is far ahead.
        trickle: Seconds over which a part is sent.
    """

    multivariant: Callable[[str], str] = lambda text: text
    playlist: Callable[[Asked, str], str] = same
    media: Callable[[str, bytes], bytes] = lambda path, data: data
    answer: Callable[[Asked | None, Request, Exchange], None] = lambda asked, request, exchange: None
    lists: Callable[[Track, float, int], int] = lambda track, at, parts: parts
    blocks: bool = True
    waits_forever: bool = False
    ends_at: float | None = None
    refuse_far_msn: bool = True
    refuse_far_part: bool = True
    part_needs_msn: bool = True
    holds_when_ended: bool = False
    holds_hints: bool = True
    past_last_rolls: bool = True
    holds_unknown: bool = False
    old_blocks: bool = False
    holds_bare: float = 0.0
    keeps_s: float = 100.0
    trickle: float = 0.0
    loads: dict[str, int] = field(default_factory=dict)

    def state(self, track: Track, at: float) -> State:
        ended = self.ends_at is not None and at >= self.ends_at
        until = min(at, self.ends_at) if self.ends_at is not None else at
        parts = 0
        guess = int((until + LEAD) / 0.5) + 2
        for parts in range(guess, 0, -1):
            if track.seconds(parts) + LATENCY <= until + LEAD + 1e-9:
                break
        if ended:
            parts -= parts % PARTS
        return State(track, at, ended, self.lists(track, at, parts))

    # Text.

    def text(self, asked: Asked, state: State) -> str:
        """The media playlist, with the rendition reports of the others."""
        track = state.track
        first = state.first
        skipped = self._skipped(state) if asked.skip and not state.ended else 0
        passed = 1 if first > JUMP else 0
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:9",
            f"#EXT-X-TARGETDURATION:{TARGET}",
            f"#EXT-X-PART-INF:PART-TARGET={track.part_target}",
            f"#EXT-X-MEDIA-SEQUENCE:{FIRST_MSN + first}",
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{DISCONTINUITIES + passed}",
        ]
        block = "" if state.ended else "CAN-BLOCK-RELOAD=YES,"
        lines.insert(3, f"#EXT-X-SERVER-CONTROL:{block}CAN-SKIP-UNTIL=12.0,HOLD-BACK=6.0,PART-HOLD-BACK=1.6")
        if skipped:
            lines.append(f"#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}")
        for index in range(first + skipped, state.complete):
            lines += self._segment(state, index, first)
        open_parts = state.parts - state.complete * PARTS
        if open_parts and not state.ended:
            lines += self._head(state, state.complete, first) + self._parts(state, state.complete, open_parts)
        if state.ended:
            lines.append("#EXT-X-ENDLIST")
        else:
            lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_name(state.parts)}"')
            lines += [self._report(t, state.at) for t in TRACKS.values() if t is not track]
        return "\n".join(lines) + "\n"

    def _skipped(self, state: State) -> int:
        track = state.track
        end = track.seconds(state.complete * PARTS)
        return sum(end - track.seconds((i + 1) * PARTS) >= 12.0 - 1e-9 for i in range(state.first, state.complete))

    def _segment(self, state: State, index: int, first: int) -> list[str]:
        lines = self._head(state, index, first)
        if index >= state.complete - PART_SEGMENTS and not state.ended:
            lines += self._parts(state, index, PARTS)
        track = state.track
        duration = track.seconds((index + 1) * PARTS) - track.seconds(index * PARTS)
        return [*lines, f"#EXTINF:{duration:.5f},", f"s{index}.m4s"]

    def _head(self, state: State, index: int, first: int) -> list[str]:
        date = datetime.fromtimestamp(EPOCH + state.track.seconds(index * PARTS), UTC)
        lines = ["#EXT-X-DISCONTINUITY"] if index == JUMP else []
        if index in (first, JUMP):
            lines.append(f'#EXT-X-MAP:URI="i{int(index >= JUMP)}.mp4"')
        return [*lines, f"#EXT-X-PROGRAM-DATE-TIME:{date.isoformat(timespec='milliseconds')[:-6]}Z"]

    def _parts(self, state: State, index: int, count: int) -> list[str]:
        track = state.track
        lines = []
        for part in range(index * PARTS, index * PARTS + count):
            duration = track.seconds(part + 1) - track.seconds(part)
            independent = ",INDEPENDENT=YES" if not track.width or part % PARTS == 0 else ""
            lines.append(f'#EXT-X-PART:DURATION={duration:.5f},URI="{part_name(part)}"{independent}')
        return lines

    def _report(self, track: Track, at: float) -> str:
        msn, part = divmod(self.state(track, at).parts - 1, PARTS)
        uri = f"../{track.name}/list.m3u8"
        return f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={FIRST_MSN + msn},LAST-PART={part}'

    # HTTP.

    async def __call__(self, request: Request) -> Exchange:
        clock = asyncio.get_running_loop().time
        exchange = Exchange(request.url, request.method, http_version="HTTP/2", sent_at=clock())
        await asyncio.sleep(NETWORK)
        try:
            async with asyncio.timeout(request.timeout_s):
                await self._serve(request, exchange)
        except (TimeoutError, ValueError) as error:
            exchange.error = f"no complete answer: {error}"
            exchange.last_byte_at = clock()
        return exchange

    async def _serve(self, request: Request, exchange: Exchange) -> None:
        url = urlsplit(request.url)
        path = url.path.removeprefix("/live/")
        asked = None
        if path == "main.m3u8":
            status, kind, body, cache = 200, "playlist", self.multivariant(MULTIVARIANT).encode(), "max-age=1"
        elif path.endswith("list.m3u8"):
            asked = self._understand(request, path)
            status, text, cache = await self._media_playlist(asked)
            kind, body = "playlist", text.encode()
        else:
            status, body = await self._resource(path)
            kind, cache = "media", "public, max-age=31536000, immutable"
        self._fill(request, exchange, status, kind, body, cache)
        self.answer(asked, request, exchange)
        now = exchange.head_at
        exchange.first_byte_at = exchange.first_byte_at or now
        trickle = self.trickle if path.rpartition("/")[2].startswith("p") and len(body) > 0 else 0.0
        exchange.last_byte_at = now + exchange.size / SPEED + trickle
        await asyncio.sleep(exchange.last_byte_at - now)

    def _fill(self, request: Request, exchange: Exchange, status: int, kind: str, body: bytes, cache: str) -> None:
        now = asyncio.get_running_loop().time()
        exchange.status, exchange.head_at, exchange.wall_at = status, now, EPOCH + LEAD + now
        exchange.headers = {
            "date": formatdate(EPOCH + LEAD + now, usegmt=True),
            "content-type": "application/vnd.apple.mpegurl" if kind == "playlist" else "video/mp4",
            "access-control-allow-origin": "*",
            "cache-control": cache if status == 200 else "no-store",
        }
        if kind == "playlist":
            exchange.headers["content-encoding"] = "gzip"
        exchange.body = b"" if request.method == "HEAD" else body
        exchange.size = len(exchange.body)

    def _understand(self, request: Request, path: str) -> Asked:
        name = path.partition("/")[0]
        self.loads[name] = self.loads.get(name, 0) + 1
        query = {k: v[0] for k, v in parse_qs(urlsplit(request.url).query).items()}
        msn, part = query.get("_HLS_msn"), query.get("_HLS_part")
        return Asked(
            TRACKS[name],
            request.url,
            request.method,
            self.loads[name],
            asyncio.get_running_loop().time(),
            int(msn) if msn is not None else None,
            int(part) if part is not None else None,
            "_HLS_skip" in query,
        )

    async def _media_playlist(self, asked: Asked) -> tuple[int, str, str]:
        clock = asyncio.get_running_loop().time
        state = self.state(asked.track, clock())
        cache = "max-age=1"
        if asked.msn is None and asked.part is None:
            await asyncio.sleep(self.holds_bare)
            state = self.state(asked.track, clock())
        if asked.part is not None and asked.msn is None and self.part_needs_msn:
            return 400, "", ""
        if asked.msn is not None and (not state.ended or self.holds_when_ended):
            cache = "max-age=12"
            index, part = asked.msn - FIRST_MSN, asked.part
            if self.refuse_far_msn and index > state.complete + 1:
                return 400, "", ""
            if self.refuse_far_part and (part or 0) > PARTS + 6:
                return 400, "", ""
            if part is not None and part >= PARTS and self.past_last_rolls:
                index, part = index + 1, 0
            if self.old_blocks and part is None and index < state.complete:
                index, part = state.complete + 1, None
            if self.blocks and not await self._wait(asked.track, index, part):
                return 503, "", ""
            state = self.state(asked.track, clock())
        return 200, self.playlist(asked, self.text(asked, state)), cache

    async def _wait(self, track: Track, index: int, part: int | None) -> bool:
        clock = asyncio.get_running_loop().time
        until = clock() + 3 * TARGET * (10 if self.waits_forever else 1)
        while True:
            state = self.state(track, clock())
            if state.has(index, part) or (state.ended and not self.holds_when_ended):
                return True
            if clock() >= until:
                return False
            await asyncio.sleep(0.01)

    async def _resource(self, path: str) -> tuple[int, bytes]:
        name, _, file = path.partition("/")
        track = TRACKS.get(name)
        if track is None:
            return 404, b""
        if file in ("i0.mp4", "i1.mp4"):
            return 200, self.media(path, init_bytes(name))
        number = file[1:-4]
        if not file.endswith(".m4s") or file[0] not in "ps" or not number.isdigit():
            if self.holds_unknown:
                await asyncio.sleep(6)
            return 404, b""
        return await self._numbered(track, path, file[0] == "p", int(number))

    async def _numbered(self, track: Track, path: str, is_part: bool, number: int) -> tuple[int, bytes]:
        clock = asyncio.get_running_loop().time
        state = self.state(track, clock())
        if is_part and number == state.parts and self.holds_hints:
            index, part = divmod(number, PARTS)
            if not await self._wait(track, index, part):
                return 503, b""
            state = self.state(track, clock())
        last = number if is_part else number * PARTS + PARTS - 1
        listed_s = (PART_SEGMENTS + 1 if is_part else WINDOW) * TARGET
        gone_s = clock() + LEAD - track.seconds(last + 1) - listed_s
        if last >= state.parts or gone_s > self.keeps_s:
            return 404, b""
        data = part_bytes(track.name, number) if is_part else segment_bytes(track.name, number)
        return 200, self.media(path, data)


def part_name(part: int) -> str:
    return f"p{part}.m4s"
