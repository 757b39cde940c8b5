"""What is played from disk: the whole of a running session, an ended one, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import m3u8
import pytest

from headwater.media.cmaf import Output, Playable
from headwater.pipeline.origin import Origin, OriginSettings
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.paths import session_name
from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.response import Pending, Response
from headwater.pipeline.recorder import DiskWriter, SessionRecorder
from tests.unit.origin.feed import BASE, MULTIVARIANT, PLAYBACK_ID, SESSION_ID, Ask, Listing
from tests.unit.recorder.synthetic import AUDIO, TIMESCALES, VIDEO, Script, init


class Session:
    """A recorded session and its origin."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listing = Listing()
        self.origin = Origin(self.listing, OriginSettings(hold_s=0.1), data_dir=folder)
        self.script = Script()
        self.writer = DiskWriter()
        self.recorder = SessionRecorder.create(folder / "session.mp4", SESSION_ID, self.writer)
        assert self.listing.info is not None
        info: PlaybackInfo = self.listing.info
        self.program: LiveProgram = self.origin.open(info, SESSION_ID, recorder=self.recorder)

    def apply(self, *outputs: Output) -> None:
        self.recorder.apply(outputs)
        self.program.apply(outputs)

    def segment(self, track: int, msn: int, *, discontinuity: bool = False, parts: int = 3) -> None:
        self.apply(self.script.open(track, msn, discontinuity=discontinuity))
        for index in range(parts):
            ticks = TIMESCALES[track] * 2 // 3
            self.apply(self.script.part(track, msn, b"%d.%d.%d " % (track, msn, index) * 50, [ticks // 2, ticks // 2]))
        self.apply(self.script.close(track, msn))

    async def end(self) -> None:
        recording = await self.recorder.close()
        assert recording is not None and self.listing.info is not None
        self.program.end(recording)
        self.listing.info = replace(self.listing.info, recording="session.mp4")
        self.listing.recordings[session_name(SESSION_ID)] = "session.mp4"

    async def get(self, target: str, **headers: str) -> Response:
        answer = self.origin.respond(Ask(target, **headers))
        assert answer is not None and not isinstance(answer, Pending)
        return answer if isinstance(answer, Response) else await answer

    async def text(self, target: str) -> str:
        response = await self.get(target)
        assert response.status == 200, target
        return response.body.decode()

    async def on_disk(self) -> None:
        while self.recorder.written < self.recorder._end:
            await asyncio.sleep(0.005)


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    made = Session(tmp_path)
    made.apply(init(VIDEO))
    for msn in range(100, 103):
        made.segment(VIDEO, msn)
    made.apply(Playable(2, {VIDEO: 666.7}, (VIDEO,)))
    made.apply(init(AUDIO))  # the sound comes late
    made.segment(VIDEO, 103, discontinuity=True)
    for msn in range(104, 112):
        made.segment(VIDEO, msn)
        made.segment(AUDIO, msn)
    yield made
    made.origin.drain()
    await made.recorder.close()
    await made.writer.stop()


def media_of(multivariant: str, playlist: str) -> str:
    """The name of a media playlist in a multivariant playlist, made absolute."""
    line = next(line for line in multivariant.splitlines() if f"v0/{playlist}" in line)
    return f"/{PLAYBACK_ID}" + line[2:]


async def test_a_running_session_plays_from_its_beginning(session: Session) -> None:
    await session.on_disk()
    url = media_of(await session.text(MULTIVARIANT + "?dvrEnabled=true"), "dvr.m3u8")
    playlist = m3u8.loads(await session.text(url))
    assert playlist.playlist_type == "event" and not playlist.is_endlist
    assert [s.uri for s in playlist.segments] == [f"{msn}.m4s" for msn in range(100, 112)]
    for segment in playlist.segments:
        response = await session.get(f"{BASE}/v0/{segment.uri}")
        assert response.body == session.script.segments[VIDEO, int(segment.uri[:3])]
    assert (await session.get(f"{BASE}/v0/init0.mp4")).body == init(VIDEO).data


async def test_without_the_question_it_plays_live(session: Session) -> None:
    assert "live.m3u8?s=" in await session.text(MULTIVARIANT)


async def test_an_ended_session_goes_on_playing(session: Session) -> None:
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)  # nothing of it is in memory any more
    url = media_of(await session.text(MULTIVARIANT), "dvr.m3u8")
    playlist = m3u8.loads(await session.text(url))
    assert playlist.playlist_type == "vod" and playlist.is_endlist
    assert playlist.target_duration == 2
    for msn in range(100, 112):
        assert (await session.get(f"{BASE}/v0/{msn}.m4s")).body == session.script.segments[VIDEO, msn]
    part = await session.get(f"{BASE}/v0/100.m4s", range="bytes=10-19")
    assert part.status == 206 and part.body == session.script.segments[VIDEO, 100][10:20]
    for name in ("v0/99.m4s", "v0/00100.m4s", "v0/init7.mp4", "v0/initx.mp4", "v1/dvr.m3u8", "v0/x.m4s"):
        assert (await session.get(f"{BASE}/{name}")).status == 404, name


NEWER = "99999999-2222-3333-4444-555555555555"


@pytest.mark.parametrize("newer_is", ["live", "recorded"])
async def test_an_older_sessions_recording_goes_on_playing(session: Session, newer_is: str) -> None:
    """By its own URL, whatever came after it: as long as the recording exists."""
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    info = session.listing.info
    assert info is not None
    if newer_is == "recorded":
        session.listing.info = replace(info, recording="newer.mp4")
    else:
        session.origin.open(info, NEWER, recorder=None)
    for name in (session_name(SESSION_ID), SESSION_ID):
        url = f"/{PLAYBACK_ID}/{name}/manifest/video.m3u8"
        multivariant = m3u8.loads(await session.text(url), uri=f"http://test{url}")
        playlist_url = multivariant.playlists[0].absolute_uri.removeprefix("http://test")
        assert playlist_url == f"{BASE}/v0/dvr.m3u8"
    playlist = m3u8.loads(await session.text(playlist_url))
    assert playlist.is_endlist and len(playlist.segments) == 12
    for segment in playlist.segments:
        media = await session.get(f"{BASE}/v0/{segment.uri}")
        assert media.body == session.script.segments[VIDEO, int(segment.uri[:3])]
    assert (await session.get(f"{BASE}/v0/init0.mp4")).body == init(VIDEO).data


async def test_a_sessions_own_url_plays_it_live_too(session: Session) -> None:
    await session.on_disk()
    url = f"/{PLAYBACK_ID}/{SESSION_ID}/manifest/video.m3u8"
    for query, name in (("", "live.m3u8"), ("?dvrEnabled=true", "dvr.m3u8")):
        multivariant = m3u8.loads(await session.text(url + query), uri=f"http://test{url}")
        target = multivariant.playlists[0].absolute_uri.removeprefix("http://test")
        assert target.startswith(f"{BASE}/v0/{name}?s=")
        assert "#EXTINF" in await session.text(target)


@pytest.mark.parametrize("name", ["x", NEWER, "0" * 12, session_name(SESSION_ID)[:-1], ""])
async def test_sessions_that_are_not_there_are_not_found(session: Session, name: str) -> None:
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    for path in ("manifest/video.m3u8", "v0/dvr.m3u8", "v0/100.m4s"):
        assert (await session.get(f"/{PLAYBACK_ID}/{name}/{path}")).status == 404


async def test_who_may_not_watch_gets_no_session(session: Session) -> None:
    """Neither while it runs nor its recording."""
    info = session.listing.info
    assert info is not None
    session.listing.info = replace(info, disabled=True)
    url = f"/{PLAYBACK_ID}/{SESSION_ID}/manifest/video.m3u8"
    assert (await session.get(url)).status == 404
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    assert (await session.get(url)).status == 404
    assert (await session.get(f"{BASE}/v0/dvr.m3u8")).status == 404


async def test_indexes_in_memory_are_bounded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    library = session.origin._library
    await session.get(f"{BASE}/v0/dvr.m3u8")
    size = next(iter(library._recordings.values())).size
    for name, limit in (("CACHED_RECORDINGS", 3), ("CACHED_SEGMENTS", 3 * size)):
        with monkeypatch.context() as patched:
            patched.setattr(f"headwater.pipeline.origin.library.{name}", limit)
            for number in range(6):
                link = session.folder / f"{name}{number}.mp4"
                for path in session.folder.glob("session*"):
                    path.with_name(path.name.replace("session", f"{name}{number}", 1)).hardlink_to(path)
                await library.recorded(link.name)
            assert len(library._recordings) == 3


async def test_a_track_that_came_late_counts_discontinuities_like_the_others(session: Session) -> None:
    live = {name: m3u8.loads(await session.text(f"{BASE}/{name}/live.m3u8")) for name in ("v0", "a0")}
    assert live["a0"].media_sequence == 104 and live["a0"].discontinuity_sequence == 1
    assert live["v0"].media_sequence == 100 and live["v0"].discontinuity_sequence == 0
    await session.end()
    vod = {name: m3u8.loads(await session.text(f"{BASE}/{name}/dvr.m3u8")) for name in ("v0", "a0")}
    for name in ("v0", "a0"):
        assert vod[name].discontinuity_sequence == live[name].discontinuity_sequence


async def test_viewers_that_come_at_once_make_one_read(session: Session) -> None:
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    asked = [session.get(f"{BASE}/v0/dvr.m3u8", accept_encoding="gzip") for _ in range(100)]
    playlists = await asyncio.gather(*asked)
    assert len({id(response) for response in playlists}) == 1
    segments = await asyncio.gather(*(session.get(f"{BASE}/v0/105.m4s") for _ in range(100)))
    assert len({id(response.body) for response in segments}) == 1
    assert not session.origin._library._under_way


async def test_a_session_that_is_not_kept_ends_with_what_is_in_memory(session: Session) -> None:
    session.program.end(None)
    playlist = m3u8.loads(await session.text(f"{BASE}/v0/live.m3u8"))
    assert playlist.is_endlist and playlist.segments
    for segment in playlist.segments:
        assert (await session.get(f"{BASE}/v0/{segment.uri}")).status == 200


async def test_a_recording_that_is_gone_is_not_found(session: Session) -> None:
    await session.end()
    session.origin.sweep(session.program.ended_at + 100)
    for path in session.folder.glob("session*"):
        path.unlink()
    assert (await session.get(MULTIVARIANT)).status == 404
    assert (await session.get(f"{BASE}/v0/dvr.m3u8")).status == 404


async def test_a_disabled_livestream_shows_nothing_new(session: Session) -> None:
    assert session.listing.info is not None
    session.listing.info = replace(session.listing.info, disabled=True)
    for name in ("manifest/video.m3u8", "views", "lifecycle", "thumbnail.jpg"):
        assert (await session.get(f"/{PLAYBACK_ID}/{name}")).status == 404


async def test_one_picture_is_drawn_for_all_who_ask(tmp_path: Path) -> None:
    session = Session(tmp_path)
    drawn = []

    async def draw(init_segment: bytes, fragment: bytes, *, width: int) -> bytes:
        await asyncio.sleep(0.01)
        drawn.append(width)
        return b"jpeg of " + fragment[:4]

    session.origin._about._thumbnail = draw
    session.apply(init(VIDEO))
    session.segment(VIDEO, 100)
    pictures = await asyncio.gather(*(session.get(f"/{PLAYBACK_ID}/thumbnail.jpg") for _ in range(50)))
    assert len(drawn) == 1 and {p.status for p in pictures} == {200}
    session.origin.drain()
    await session.recorder.close()
    await session.writer.stop()
