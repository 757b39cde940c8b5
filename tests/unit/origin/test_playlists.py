"""Live media playlists: what is listed when, read back by a parser that nobody here wrote."""

from __future__ import annotations

import gzip
import time
from collections.abc import AsyncIterator
from pathlib import Path

import m3u8
import pytest

from headwater.media.cmaf import InitSegment, Part, SegmentClosed, SegmentOpened
from headwater.pipeline.origin import Origin
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.response import Pending, Response
from tests.unit.origin.feed import AUDIO, BASE, EPOCH_MS, MULTIVARIANT, VIDEO, Ask, Feed, make_origin

VIDEO_PLAYLIST = f"{BASE}/v0/live.m3u8"


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    made = make_origin(tmp_path)
    yield made
    made.drain()


def get(origin: Origin, target: str, **headers: str) -> Response:
    answer = origin.respond(Ask(target, **headers))
    assert isinstance(answer, Response), "it waits"
    return answer


def text(origin: Origin, target: str = VIDEO_PLAYLIST) -> str:
    response = get(origin, target)
    assert response.status == 200, response.body
    return response.body.decode()


def parsed(playlist: str) -> m3u8.M3U8:
    return m3u8.loads(playlist)


async def test_a_parser_reads_back_what_was_fed(origin: Origin) -> None:
    feed = Feed(origin).live(2)
    feed.part()
    playlist = parsed(text(origin))
    assert playlist.target_duration == 2
    assert playlist.media_sequence == 100
    assert [s.duration for s in playlist.segments if s.uri] == [2.0, 2.0]
    assert [len(s.parts) for s in playlist.segments] == [4, 4, 1]
    assert playlist.segments[0].init_section.uri == "init0.mp4"
    assert playlist.segments[1].program_date_time.timestamp() * 1000 == EPOCH_MS + 2000
    assert playlist.part_inf.part_target == 0.5
    assert playlist.server_control.can_block_reload == "YES"
    assert playlist.server_control.part_hold_back >= 1.5
    assert playlist.preload_hint.uri == "p9.m4s"
    assert [(r.uri, r.last_msn, r.last_part) for r in playlist.rendition_reports] == [("../a0/live.m3u8", 102, 0)]
    assert not playlist.is_endlist


async def test_a_gap_keeps_its_number(origin: Origin) -> None:
    feed = Feed(origin)
    feed.segments(1)
    feed.playable()
    feed.gap()
    feed.segments(1)
    playlist = parsed(text(origin))
    assert [s.gap_tag for s in playlist.segments] == [None, True, None]
    assert [s.uri for s in playlist.segments] == ["100.m4s", "101.m4s", "102.m4s"]
    assert get(origin, f"{BASE}/v0/101.m4s").status == 404


async def test_an_init_segment_that_changes_is_named_where_it_changes(origin: Origin) -> None:
    feed = Feed(origin)
    feed.segments(2)
    feed.playable()
    feed.version = 1
    feed.apply(*(InitSegment(track, 1, 1000, b"init, again") for track in (VIDEO, AUDIO)))
    feed.segments(1, discontinuity=True)
    whole = text(origin)
    assert whole.count("#EXT-X-MAP") == 2
    assert whole.index('"init0.mp4"') < whole.index("100.m4s") < whole.index("#EXT-X-DISCONTINUITY\n")
    assert '#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI="init1.mp4"\n#EXT-X-PROGRAM-DATE-TIME' in whole
    feed.segments(6)  # nothing is on disk: what is older than three targets goes
    later = text(origin)
    assert later.count("#EXT-X-MAP") == 1 and '"init1.mp4"' in later
    assert "#EXT-X-DISCONTINUITY\n" not in later
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in later


async def test_the_first_listed_segment_has_its_map_when_the_window_slides(origin: Origin) -> None:
    Feed(origin).live(8)
    playlist = text(origin)
    first = playlist.index("#EXTINF")
    assert '#EXT-X-MAP:URI="init0.mp4"' in playlist[:first]
    assert parsed(playlist).media_sequence == 105
    assert get(origin, f"{BASE}/v0/104.m4s").status == 200  # it has just left: it can still be had
    assert get(origin, f"{BASE}/v0/p16.m4s").status == 200


async def test_an_init_segment_that_nothing_needs_is_let_go(origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("headwater.pipeline.origin.program.time.monotonic", lambda: now)
    feed = Feed(origin, audio=False)
    feed.segments(1)
    feed.playable()
    for version in range(1, 40):
        now += 2
        feed.version = version
        feed.apply(InitSegment(VIDEO, version, 1000, b"init %d" % version))
        feed.segments(1, discontinuity=True)
    assert len(origin.media) < 80  # 13 segments of 4 parts and an init segment each
    assert get(origin, f"{BASE}/v0/init39.mp4").status == 200


async def test_a_track_that_comes_late_is_listed_from_its_first_whole_segment(origin: Origin) -> None:
    feed = Feed(origin, audio=False).live(1)
    feed.part()
    feed.apply(InitSegment(AUDIO, 0, 1000, b"late"), SegmentOpened(2, 101, 0, False, EPOCH_MS, 0))
    feed.apply(Part(2, 101, 0, 0, 600, True, 4, b"data"))
    assert "RENDITION-REPORT" not in text(origin)
    feed.apply(SegmentClosed(2, 101, 600), SegmentOpened(2, 102, 0, False, EPOCH_MS, 600))
    late = parsed(text(origin, f"{BASE}/a0/live.m3u8"))
    assert late.part_inf.part_target == 0.6  # never less than a part lasts
    assert late.media_sequence == 101
    feed.part()
    assert "a0/live.m3u8" in text(origin)


async def test_an_ended_session_says_so_and_asks_for_no_more(origin: Origin) -> None:
    feed = Feed(origin).live(2)
    feed.part()
    feed.program.end(None)
    playlist = text(origin, VIDEO_PLAYLIST + "?_HLS_msn=999&_HLS_part=0")
    assert playlist.endswith("#EXT-X-ENDLIST\n")
    for tag in ("PRELOAD-HINT", "RENDITION-REPORT", "CAN-BLOCK-RELOAD", "EXT-X-PART", "102.m4s"):
        assert tag not in playlist
    assert text(origin, VIDEO_PLAYLIST + "?_HLS_part=x") == playlist


async def test_who_waits_is_answered_when_the_session_ends(origin: Origin) -> None:
    feed = Feed(origin).live(1)
    answered: list[Response] = []
    for target in (f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0", f"{BASE}/v0/p4.m4s"):
        waiting = origin.respond(Ask(target))
        assert isinstance(waiting, Pending)
        waiting.deliver = answered.append
    feed.program.end(None)
    assert [response.status for response in answered] == [200, 404]
    assert b"ENDLIST" in answered[0].body


async def test_names_are_taken_off_the_tables_when_a_session_is_forgotten(origin: Origin) -> None:
    feed = Feed(origin).live(3)
    feed.program.end(None)
    assert origin.media and origin.playlists
    origin.sweep(feed.program.ended_at + 61)
    assert not origin.media and not origin.playlists and not origin.programs


async def test_who_waits_too_long_is_answered_503_and_told_when_to_come_again(origin: Origin) -> None:
    Feed(origin).live(1)
    waiting = origin.respond(Ask(f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0"))
    assert isinstance(waiting, Pending)
    answered: list[Response] = []
    waiting.deliver = answered.append
    origin.sweep(waiting.deadline - 0.01)
    assert not answered
    origin.sweep(waiting.deadline)
    assert answered[0].status == 503 and answered[0].header("retry-after") == "1"


async def test_a_viewer_that_goes_is_forgotten(origin: Origin) -> None:
    feed = Feed(origin).live(1)
    rendition = feed.program.renditions[1]
    waiting = origin.respond(Ask(f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0"))
    assert isinstance(waiting, Pending)
    waiting.cancel()
    origin.sweep(0.0)
    assert not rendition.waiting
    assert sum(view.held for view in feed.program.views._views.values()) == 0


@pytest.mark.parametrize("limits", [{"max_waiting": 3}, {"max_waiting_livestream": 3}])
async def test_waiting_is_bounded(tmp_path: Path, limits: dict[str, float]) -> None:
    """For all renditions, playlists and parts together, and given back however a wait ends."""
    origin = make_origin(tmp_path, **limits)
    feed = Feed(origin).live(1)
    video, audio, hinted = (
        f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0",
        f"{BASE}/a0/live.m3u8?_HLS_msn=101&_HLS_part=0",
        f"{BASE}/v0/p4.m4s",
    )
    for end in (lambda waiting: feed.part(), cancel_all, lambda _: origin.sweep(time.monotonic() + 60)):
        waiting = [origin.respond(Ask(target)) for target in (video, audio, hinted)]
        assert all(isinstance(answer, Pending) for answer in waiting)
        for target in (video, audio, hinted):
            refused = origin.respond(Ask(target))
            assert isinstance(refused, Response) and refused.status == 503
        end(waiting)
        assert feed.program.room.taken == origin._holds.room.taken == 0
        video, audio = video.replace("part=0", "part=1"), audio.replace("part=0", "part=1")
        hinted = f"{BASE}/v0/p5.m4s"


def cancel_all(waiting: list[object]) -> None:
    for answer in waiting:
        assert isinstance(answer, Pending)
        answer.cancel()
        answer.cancel()


async def test_one_livestream_does_not_take_the_room_of_others(tmp_path: Path) -> None:
    origin = make_origin(tmp_path, max_waiting=4, max_waiting_livestream=3)
    Feed(origin).live(1)
    target = f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0"
    assert [isinstance(origin.respond(Ask(target)), Pending) for _ in range(4)] == [True, True, True, False]
    other = PlaybackInfo("other", "f" * 32, "other", False, None)
    room = origin.open(other, "99999999-2222-3333-4444-555555555555", recorder=None).room
    assert room.enter() and not room.enter()
    room.leave()
    assert room.enter()


async def test_nobody_waits_for_a_server_that_stops(origin: Origin) -> None:
    Feed(origin).live(1)
    origin.drain()
    assert get(origin, f"{VIDEO_PLAYLIST}?_HLS_msn=101&_HLS_part=0").status == 503
    assert get(origin, f"{BASE}/v0/p4.m4s").status == 503
    assert get(origin, VIDEO_PLAYLIST).status == 200


async def test_the_tag_changes_with_every_part_and_with_the_form(origin: Origin) -> None:
    feed = Feed(origin).live(1)
    tags = set()
    for _ in range(3):
        feed.part()
        tags.add(get(origin, VIDEO_PLAYLIST).etag)
        tags.add(get(origin, VIDEO_PLAYLIST, accept_encoding="gzip").etag)
        tags.add(get(origin, VIDEO_PLAYLIST + "?_HLS_skip=YES").etag)
    assert len(tags) == 9
    response = get(origin, VIDEO_PLAYLIST)
    assert get(origin, VIDEO_PLAYLIST).body is response.body  # prepared once, whoever asks
    assert get(origin, VIDEO_PLAYLIST, if_none_match=response.etag.decode()).status == 304


async def test_gzip_holds_the_same_playlist(origin: Origin) -> None:
    Feed(origin).live(3)
    packed = get(origin, VIDEO_PLAYLIST, accept_encoding="br, gzip;q=0.5")
    assert packed.header("content-encoding") == "gzip"
    assert gzip.decompress(packed.body) == get(origin, VIDEO_PLAYLIST, accept_encoding="gzip;q=0, br").body


class SlowDisk:
    """A recorder whose disk has got as far as `written`."""

    written = 0

    def read(self, extents: object) -> bytes:
        return b"from disk"

    def recording(self) -> object:
        raise AssertionError("not asked for")


def recorded(feed: Feed, count: int, offset: int | None) -> None:
    """Whole segments whose parts stand in a file from `offset` on; None: the recorder has stopped."""
    feed.offset = offset
    feed.segments(count)


def in_memory(feed: Feed) -> int:
    rendition = feed.program.renditions[1]
    return sum(len(s.chunks) for s in [*(s for _, s in rendition.retired), *rendition.segments])


async def test_what_is_older_than_the_memory_window_leaves_it_once_it_is_written(origin: Origin) -> None:
    disk = SlowDisk()
    feed = Feed(origin, audio=False, recorder=disk)  # type: ignore[arg-type]
    recorded(feed, 1, 0)
    feed.playable()
    recorded(feed, 9, 4000)
    assert in_memory(feed) == 40  # nothing is written yet
    disk.written = 4000 + 2500  # amid the second segment
    recorded(feed, 1, 40_000)
    assert in_memory(feed) == 44 - 4, "a segment leaves whole: half of it could be had from neither place"
    disk.written = 1_000_000
    recorded(feed, 1, 44_000)
    assert in_memory(feed) == 16  # 8 s
    assert len(parsed(text(origin)).segments) == 12
    answer = origin.respond(Ask(f"{BASE}/v0/p0.m4s"))
    assert answer is not None and not isinstance(answer, Response | Pending)
    assert (await answer).body == b"from disk"
    answer = origin.respond(Ask(f"{BASE}/v0/101.m4s"))
    assert answer is not None and not isinstance(answer, Response | Pending)
    assert (await answer).body == b"from disk"


async def test_memory_is_bounded_when_the_recorder_stops(origin: Origin) -> None:
    disk = SlowDisk()
    feed = Feed(origin, audio=False, recorder=disk)  # type: ignore[arg-type]
    recorded(feed, 1, 0)
    feed.playable()
    disk.written = 1_000_000
    recorded(feed, 20, 4000)
    recorded(feed, 20, None)
    assert len(parsed(text(origin)).segments) == 3


class TestMultivariant:
    async def get(self, origin: Origin, target: str = MULTIVARIANT, **headers: str) -> Response:
        answer = origin.respond(Ask(target, **headers))
        assert answer is not None and not isinstance(answer, Response | Pending)
        return await answer

    async def test_names_codecs_sizes_and_rates(self, origin: Origin) -> None:
        Feed(origin).live(2)
        playlist = parsed((await self.get(origin)).body.decode())
        (variant,) = playlist.playlists
        info = variant.stream_info
        assert info.codecs == "avc1.64001f,mp4a.40.2" and info.resolution == (1280, 720) and info.frame_rate == 30.0
        assert info.average_bandwidth == 2 * 8 * 4000 // 2 <= info.bandwidth
        assert [m.uri.partition("?")[0] for m in playlist.media] == [f"../{BASE[34:]}/a0/live.m3u8"]

    async def test_each_viewer_has_its_own_name_and_no_cache_keeps_it(self, origin: Origin) -> None:
        Feed(origin).live(1)
        first, second = await self.get(origin), await self.get(origin)
        assert first.body != second.body
        assert first.header("cache-control") == "no-store"

    async def test_of_a_livestream_that_has_not_begun_it_is_404_after_a_while(self, tmp_path: Path) -> None:
        origin = make_origin(tmp_path, hold_s=0.01)
        response = await self.get(origin)
        assert response.status == 404 and response.header("retry-after") is not None
        assert not origin._holds._expected

    async def test_unknown_names_leave_nothing_behind(self, origin: Origin) -> None:
        Feed(origin).live(1)
        before = len(origin.media), len(origin._programs.sessions)
        for k in range(2000):
            for target in (f"/{k:032x}/manifest/video.m3u8", f"/{k:032x}/{k:012x}/v0/p{k}.m4s", f"{BASE}/v0/{k}.m4s"):
                answer = origin.respond(Ask(target))
                assert answer is not None and not isinstance(answer, Pending)
                response = answer if isinstance(answer, Response) else await answer
                assert response.status == (404 if k not in (100,) or "/v0/100." not in target else 200), target
        assert not origin._holds._expected
        assert (len(origin.media), len(origin._programs.sessions)) == before
