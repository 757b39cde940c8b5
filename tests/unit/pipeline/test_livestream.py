"""Sessions: who may publish into which one, when it opens, waits, resumes and closes, and what is told of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import headwater.pipeline.livestream as livestream_module
from headwater.errors import PublishRefused, UnsupportedCodec
from headwater.events import (
    Event,
    PublishRejected,
    SessionClosed,
    SessionHealth,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
    SessionResumed,
    SessionWarning,
)
from headwater.media.access_unit import AccessUnit
from headwater.media.h264 import parse_avcc
from headwater.media.track import Track
from headwater.pipeline.ingest.gate import PublishRequest
from headwater.pipeline.livestream import Grant, Livestreams, LivestreamSettings, Storage
from headwater.pipeline.origin import Origin, OriginSettings
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.packager import PackagerSettings
from headwater.pipeline.recorder import DiskWriter, load
from headwater.pipeline.sound import Level

# The decoder configuration of a 1280x720 baseline stream, as x264 writes it.
AVCC = bytes.fromhex(
    "0142c01fffe100236742c01fda014016ec0440000003004000000f3810000b71b00016e37928801e30654001000468ce3c80"
)
VIDEO = Track(1, parse_avcc(AVCC))
REQUEST = PublishRequest("key", "rtmp", "live", "test", "127.0.0.1:1")


class Clock:
    """The wall clock that the sessions see."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.ms

    def time_ns(self) -> int:
        return self.ms * 1_000_000


class Keys:
    """One livestream for each key but `wrong`."""

    async def authorize(self, stream_key: str) -> Grant:
        if stream_key == "wrong":
            raise PublishRefused("ERR_BAD_STREAM_KEY", "No livestream has this key.")
        return Grant(f"livestream-{stream_key}", "0" * 32, "test")

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        return None

    async def recording(self, playback_id: str, session: str) -> str | None:
        return None


class FakePublisher:
    def __init__(self) -> None:
        self.closed: list[tuple[str, str]] = []
        self.asked = 0

    def round_trip_ms(self) -> float | None:
        return 20.0

    def close(self, code: str, description: str) -> None:
        self.closed.append((code, description))

    def request_keyframe(self) -> None:
        self.asked += 1


class World:
    """Livestreams with everything real behind them but the clock and the publishers."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock, self.events, self.folder = clock, list[Event](), folder
        self.writer = DiskWriter()
        origin = Origin(Keys(), OriginSettings(), data_dir=folder)
        settings = LivestreamSettings(reconnect_window_s=30, goodbye_window_s=10)
        self.livestreams = Livestreams(
            Keys(),
            origin,
            Storage(folder, self.writer),
            self.events.append,
            settings=settings,
            packager_settings=PackagerSettings(),
        )

    async def publish(self, key: str = "a") -> tuple[Any, FakePublisher]:
        publisher = FakePublisher()
        request = PublishRequest(key, "rtmp", "live", "test", "127.0.0.1:1")
        return await self.livestreams.admit(request, publisher), publisher

    def send(self, publication: Any, seconds: float, start_ms: int = 0, *, gop: int = 30) -> int:
        """Push 30 frames a second, a sync sample each `gop`, the clock going along; returns the next dts."""
        publication.configure(VIDEO)
        frames = round(seconds * 30)
        for k in range(frames):
            payload = b"\0\0\0\x05" + (b"\x65" if k % gop == 0 else b"\x41") + bytes(4)
            publication.push(AccessUnit(1, start_ms + k * 1000 // 30, 0, k % gop == 0, payload))
            self.clock.ms += 33 + (k % 3 == 2)
        return start_ms + frames * 1000 // 30

    def tick(self, seconds: float) -> None:
        """Let the clock run with no media."""
        for _ in range(round(seconds * 4)):
            self.clock.ms += 250
            for session in list(self.livestreams._sessions.values()):
                session.tick(self.clock.ms)

    async def settled(self) -> None:
        while self.livestreams._finishing:
            await asyncio.wait(self.livestreams._finishing)

    def kinds(self) -> list[str]:
        """Of the session's own events."""
        names = [type(event).__name__ for event in self.events if not isinstance(event, SessionProgress)]
        return [name for name in names if not name.startswith("Recording")]

    def last(self, kind: type) -> Any:
        return next(event for event in reversed(self.events) if isinstance(event, kind))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(livestream_module, "wall_ms", clock)
    monkeypatch.setattr(livestream_module, "time_ns", clock.time_ns)
    yield clock


@pytest.fixture
async def world(tmp_path: Path, clock: Clock) -> AsyncIterator[World]:
    world = World(tmp_path, clock)
    yield world
    await world.livestreams.close()
    await world.writer.stop()


async def test_a_session_opens_with_the_first_media_and_is_live_when_playable(world: World) -> None:
    publication, _ = await world.publish()
    assert world.events == [] and world.livestreams.live("livestream-a") is None
    world.send(publication, 0.5)
    assert world.kinds() == ["SessionOpened"]
    snapshot = world.livestreams.live("livestream-a")
    assert snapshot is not None and snapshot.publishing and not snapshot.playable
    world.send(publication, 3, 500)
    assert world.kinds() == ["SessionOpened", "SessionPlayable"]
    snapshot = world.livestreams.live("livestream-a")
    assert snapshot is not None and snapshot.playable


async def test_a_wrong_key_is_refused_and_told(world: World) -> None:
    with pytest.raises(PublishRefused, match="ERR_BAD_STREAM_KEY"):
        await world.publish("wrong")
    rejected = world.last(PublishRejected)
    assert rejected.livestream_id is None and rejected.code == "ERR_BAD_STREAM_KEY"


async def test_a_lost_publisher_comes_back_into_the_same_session(world: World) -> None:
    publication, _ = await world.publish()
    end = world.send(publication, 4)
    publication.end("connection reset", regular=False)
    interrupted = world.last(SessionInterrupted)
    assert interrupted.until_ms == world.clock.ms + 30_000
    world.tick(20)
    again, _ = await world.publish()
    world.send(again, 4, end)
    assert world.last(SessionResumed).takeover is False
    assert len([e for e in world.events if isinstance(e, SessionOpened)]) == 1
    assert world.livestreams.live("livestream-a").ingest_seconds == pytest.approx(8, abs=0.2)  # type: ignore[union-attr]


async def test_the_window_over_closes_the_session_with_final_totals_and_a_recording(world: World) -> None:
    publication, _ = await world.publish()
    world.send(publication, 6)
    stopped_at = world.clock.ms
    publication.end("connection reset", regular=False)
    world.tick(29)
    assert world.livestreams.live("livestream-a") is not None
    world.tick(2)
    assert world.livestreams.live("livestream-a") is None
    await world.settled()
    closed = world.last(SessionClosed)
    assert closed.error is None and closed.ingest_seconds == pytest.approx(6, abs=0.1)
    assert stopped_at - 100 <= closed.at_ms <= stopped_at
    recording = load(world.folder / closed.recording)
    assert recording.complete
    duration = sum(segment.duration for segment in recording.tracks[0].segments) / 90_000
    assert duration == pytest.approx(6, abs=0.05)


async def test_a_goodbye_closes_sooner(world: World) -> None:
    publication, _ = await world.publish()
    world.send(publication, 3)
    publication.end("deleteStream", regular=True)
    world.tick(9)
    assert world.livestreams.live("livestream-a") is not None
    world.tick(2)
    assert world.livestreams.live("livestream-a") is None


async def test_a_second_publisher_takes_over(world: World) -> None:
    first, old = await world.publish()
    world.send(first, 3)
    second, _ = await world.publish()
    assert [code for code, _ in old.closed] == ["NetStream.Publish.BadName"]
    world.send(second, 3)
    assert world.last(SessionResumed).takeover is True
    before = world.livestreams.live("livestream-a")
    first.push(AccessUnit(1, 9_000, 0, True, b"\0\0\0\x01\x65"))  # what the old one still had in flight
    first.end("connection closed", regular=False)
    assert world.livestreams.live("livestream-a") == before


async def test_a_publisher_without_media_leaves_nothing_behind(world: World) -> None:
    publication, _ = await world.publish()
    publication.end("connection closed", regular=False)
    await world.settled()
    assert world.events == [] and not list(world.folder.rglob("*.mp4"))


async def test_an_admitted_publisher_that_never_sends_does_not_hold_the_session(world: World) -> None:
    publication, _ = await world.publish()
    world.send(publication, 3)
    publication.end("connection reset", regular=False)
    world.tick(25)
    _, silent = await world.publish()
    world.tick(6)
    await world.settled()
    assert world.kinds()[-1] == "SessionClosed" and len(silent.closed) == 1


async def test_a_stop_ends_the_session_at_once_and_tells_the_publisher(world: World) -> None:
    publication, publisher = await world.publish()
    world.send(publication, 3)
    await world.livestreams.stop("livestream-a", "NetStream.Unpublish.Success", "Stopped.")
    assert publisher.closed == [("NetStream.Unpublish.Success", "Stopped.")]
    assert world.kinds() == ["SessionOpened", "SessionPlayable", "SessionClosed"]
    await world.livestreams.stop("livestream-a", "x", "y")  # nothing is open: nothing happens
    assert world.kinds()[-1] == "SessionClosed"


async def test_an_unsupported_codec_is_the_error_of_its_session(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    publication, _ = await world.publish()

    def refuse(track: Track) -> None:
        raise UnsupportedCodec("ERR_UNSUPPORTED_VIDEO_CODEC", "Sorenson H.263 came; H.264, HEVC, AV1 and VP9 play.")

    session = world.livestreams._sessions["livestream-a"]
    monkeypatch.setattr(session._packager, "configure", refuse)
    with pytest.raises(UnsupportedCodec):
        publication.configure(VIDEO)
    await world.settled()
    assert world.kinds() == ["PublishRejected", "SessionOpened", "SessionClosed"]
    assert world.last(SessionClosed).error.startswith("ERR_UNSUPPORTED_VIDEO_CODEC: Sorenson")


async def test_progress_comes_at_least_every_five_seconds(world: World) -> None:
    publication, _ = await world.publish()
    end = 0
    for _ in range(24):
        end = world.send(publication, 0.5, end)
        world.tick(0)
        for session in world.livestreams._sessions.values():
            session.tick(world.clock.ms)
    times = [event.at_ms for event in world.events if isinstance(event, SessionProgress)]
    assert len(times) == 3 and times[1] - times[0] <= 5000


async def test_media_sequence_numbers_never_go_back_across_sessions(world: World) -> None:
    publication, _ = await world.publish()
    world.send(publication, 20, gop=15)
    last = world.livestreams._sessions["livestream-a"].last_msn
    await world.livestreams.stop("livestream-a", "x", "y")
    again, _ = await world.publish()
    world.send(again, 1)
    assert world.livestreams._sessions["livestream-a"].last_msn > last


async def test_shutting_down_closes_every_session_and_admits_nobody(world: World) -> None:
    for key in "abc":
        publication, _ = await world.publish(key)
        world.send(publication, 3)
    await world.livestreams.close()
    assert len([e for e in world.events if isinstance(e, SessionClosed)]) == 3
    assert len([e for e in world.events if isinstance(e, SessionPlayable)]) == 3
    with pytest.raises(PublishRefused, match="ERR_SHUTTING_DOWN"):
        await world.publish("d")


async def test_health_is_sampled_every_second_and_handed_on(world: World) -> None:
    publication, _ = await world.publish()
    next_ms = 0
    for _ in range(50):
        next_ms = world.send(publication, 0.5, next_ms, gop=15)
        world.livestreams._sessions["livestream-a"].tick(world.clock.ms)
    handed = [event for event in world.events if isinstance(event, SessionHealth)]
    assert [len(event.samples) for event in handed] == [10, 10]
    for sample in (sample for event in handed for sample in event.samples):
        assert sample.frame_rate == pytest.approx(30, abs=0.1) and sample.keyframe_interval_ms == 500
        assert sample.video_bps == pytest.approx(30 * 9 * 8, rel=0.01) and sample.audio_bps == 0
        assert (sample.dropped, sample.jumps, sample.late_ms, sample.rtt_ms) == (0, 0, 0, 20.0)
        assert sample.viewers == 0
    (live,) = world.livestreams.live_all()
    assert live.health[: len(handed[0].samples)] == handed[0].samples and len(live.health) > 20


async def test_how_loud_it_was_is_in_the_samples_while_that_is_new(world: World) -> None:
    publication, _ = await world.publish()
    next_ms = world.send(publication, 0.5)
    session = world.livestreams._sessions["livestream-a"]
    for second in range(6):
        if second == 2:
            session.heard(Level(-3.0, -20.0))
        for _ in range(2):
            next_ms = world.send(publication, 0.5, next_ms, gop=15)
            session.tick(world.clock.ms)
    peaks = [sample.audio_peak_db for sample in session.snapshot().health]
    assert peaks.count(-3.0) == 2 and peaks[-1] is None and peaks[0] is None
    assert session.window() is None, "it has no sound"


async def test_trouble_is_in_the_samples_and_in_the_log_once(world: World) -> None:
    publication, _ = await world.publish()
    next_ms = 0
    for k in range(100):
        next_ms = world.send(publication, 0.5, next_ms, gop=15)
        next_ms += 100  # three frames of eighteen never came
        world.clock.ms += 100 + (30 if k < 50 else 0)  # and the upload is slower than the media for 25 s
        world.livestreams._sessions["livestream-a"].tick(world.clock.ms)
    samples = [sample for event in world.events if isinstance(event, SessionHealth) for sample in event.samples]
    dropped, frames = sum(s.dropped for s in samples), sum(s.frame_rate for s in samples)
    assert dropped / (dropped + frames) == pytest.approx(3 / 18, rel=0.2)
    assert samples[-1].late_ms == pytest.approx(50 * 30, abs=150)
    codes = [event.code for event in world.events if isinstance(event, SessionWarning)]
    assert codes.count("FRAMES_MISSING") == 1 and codes.count("UPLOAD_TOO_SLOW") == 1


async def test_a_session_that_ends_hands_on_its_last_samples_before(world: World) -> None:
    publication, _ = await world.publish()
    next_ms = world.send(publication, 2)
    world.tick(0.25)
    world.send(publication, 2, next_ms)
    world.tick(0.25)
    publication.end("gone", regular=True)
    world.tick(11)
    await world.settled()
    kinds = [kind for kind in world.kinds() if kind in ("SessionHealth", "SessionClosed")]
    assert kinds == ["SessionHealth", "SessionClosed"]


async def test_what_has_ended_leaves_memory_without_the_garbage_collector(world: World) -> None:
    """It runs seldom (`app.rare_pauses`): what only it could free would be kept for minutes, media and all."""
    gc.collect()
    gc.disable()
    try:
        publication, _ = await world.publish()
        world.send(publication, 4)
        publication.end("gone", regular=False)
        session = next(iter(world.livestreams._sessions.values()))
        parts = (session, session._packager, session._recorder, session._program, *session._program.renditions.values())
        kept = [weakref.ref(part) for part in parts]
        del parts, session, publication
        world.tick(31)
        await world.settled()
        programs = world.livestreams.origin._programs
        for program in list(programs.sessions.values()):
            programs.remove(program)
        del program
        async with asyncio.timeout(10):  # the disk thread may still be at its last job
            while any(ref() is not None for ref in kept):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()


async def test_what_ingest_refuses_by_itself_is_in_the_event_log(world: World) -> None:
    await world.livestreams.reject(REQUEST, "ERR_OFFER_NOT_SERVED", "no common codec")
    rejected = world.last(PublishRejected)
    assert (rejected.livestream_id, rejected.code) == ("livestream-key", "ERR_OFFER_NOT_SERVED")
    with pytest.raises(PublishRefused):
        await world.livestreams.reject(PublishRequest("wrong", "whip", "", "", ""), "ERR", "")


class Tapped:
    """A `Tap` that keeps everything."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def configure(self, track: Track) -> None:
        self.calls.append(track)

    def push(self, unit: AccessUnit) -> None:
        self.calls.append(unit.dts)

    def discontinuity(self) -> None:
        self.calls.append("discontinuity")

    def end(self, reason: str) -> None:
        self.calls.append(reason)


async def test_a_tap_gets_what_comes_while_it_is_there(world: World) -> None:
    """And nobody's reads are held back for as long as it is."""
    publication, publisher = await world.publish()
    next_ms = world.send(publication, 3)
    session = world.livestreams.session_of("0" * 32)
    assert session is not None and world.livestreams.session_of("1" * 32) is None
    tap = Tapped()
    session.attach_tap(tap)
    assert tap.calls == [VIDEO] and publication.patience_ms() == 0.0
    session.request_keyframe()
    assert publisher.asked == 1
    publication.push(AccessUnit(1, next_ms, 0, True, b"\0\0\0\x05\x65" + bytes(4)))
    publication.end("gone", regular=False)
    again, _ = await world.publish()
    again.configure(VIDEO)
    again.push(AccessUnit(1, 7, 0, True, b"\0\0\0\x05\x65" + bytes(4)))
    assert tap.calls == [VIDEO, next_ms, "discontinuity", "discontinuity", VIDEO, 7]
    session.attach_tap(None)
    again.push(AccessUnit(1, 40, 0, False, b"\0\0\0\x05\x41" + bytes(4)))
    session.attach_tap(tap)
    session.close(world.clock.ms)
    assert tap.calls[6:] == [VIDEO, "the livestream has ended"]


@pytest.mark.parametrize(
    ("offsets", "reorders"),
    [([0, 0, 0, 0], False), ([33, 33, 34, 33], False), ([66, 133, 0, 66], True), ([0, 100, 0, 0], True)],
)
async def test_pictures_out_of_order_are_known_by_their_offsets(
    world: World, offsets: list[int], reorders: bool
) -> None:
    """An encoder that shows all of its pictures equally late does not reorder them."""
    publication, _ = await world.publish()
    publication.configure(VIDEO)
    for number, offset in enumerate(offsets):
        publication.push(AccessUnit(1, number * 33, offset, number == 0, b"\0\0\0\x05\x65" + bytes(4)))
    session = world.livestreams.session_of("0" * 32)
    assert session is not None and session.reorders is reorders
