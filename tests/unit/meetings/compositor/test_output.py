"""The output clock, with a meeting in memory and a clock that does not wait."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace

import av
import pytest

from headwater.media.h264 import parse_avcc
from headwater.meetings.compositor import output, wire
from headwater.meetings.compositor.intake import Intake, Meeting
from headwater.meetings.compositor.output import Output
from headwater.meetings.compositor.settings import CompositorSettings, Job, job
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView
from headwater.protocols import flv
from headwater.testcard.tags import AUDIO, VIDEO, Tag
from tests.unit.meetings.compositor.rtp_media import pictures, sounds

JOB = job(CompositorSettings(playout_delay_ms=0), "rtmp://127.0.0.1/live/key", 320, 180)
ADA, BOB = ParticipantView("a", "Ada", SourceView(True, True)), ParticipantView("b", "Bob")


class FakeTime:
    """`time.monotonic`, a publisher's clock, and what happens at its instants."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, begin_s: float = 5000.0) -> None:
        self.now_s = begin_s
        self.begin_s = begin_s
        self.end_s = begin_s
        self.at: list[tuple[float, Callable[[float], None]]] = []
        monkeypatch.setattr(output.time, "monotonic", lambda: self.now_s)

    def now_ms(self) -> float:
        return self.now_s * 1000

    def wait_until(self, wall_ms: float) -> bool:
        target_s = max(self.now_s, wall_ms / 1000)
        while self.at and self.at[0][0] <= target_s - self.begin_s:
            seconds, action = self.at.pop(0)
            action(self.begin_s + seconds)
        self.now_s = target_s
        return self.now_s < self.end_s


class Stage:
    """A meeting that is fed at instants, and the tags that come out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, job_: Job = JOB) -> None:
        self.time = FakeTime(monkeypatch)
        self.meeting = Meeting()
        self.asked: list[int] = []
        self.intake = Intake(self.meeting, self.asked.append)
        self.output = Output(self.meeting, job_)

    def state(self, *people: ParticipantView, speaking: str | None = None) -> None:
        snapshot = RoomSnapshot("Title", people, speaking)
        self.say(wire.message(wire.Type.STATE, snapshot))

    def say(self, message: bytes) -> None:
        for kind, body in wire.Reader().feed(message):
            self.intake.message(kind, body)

    def send(self, track: wire.Track, media: list[tuple[float, list[bytes]]], begin_s: float = 0.0) -> None:
        """Have packets come at their times."""
        self.say(wire.message(wire.Type.TRACK, track))
        for at_s, packets in media:
            self.time.at.append((begin_s + at_s, lambda now_s, packets=packets: self._arrive(track, packets, now_s)))
        self.time.at.sort(key=lambda one: one[0])

    def _arrive(self, track: wire.Track, packets: list[bytes], now_s: float) -> None:
        for packet in packets:
            self.say(wire.rtp(track.number, round(now_s * 1e6), packet))
        self.intake.tick(now_s)

    def run(self, seconds: float) -> list[Tag]:
        self.time.end_s = self.time.begin_s + seconds
        return list(self.output.tags(self.time))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def decoded(tags: list[Tag]) -> list[tuple[int, av.VideoFrame]]:
    """(timestamp, picture) of the video tags; a new configuration starts a new decoder."""
    found, decoder = [], None
    for tag in tags:
        if tag.type_id != VIDEO:
            continue
        (packet,) = flv.parse_video(tag.body)
        if packet.kind is flv.PacketKind.CONFIGURATION:
            decoder = av.CodecContext.create("h264", "r")
            decoder.extradata, decoder.thread_count = packet.body, 1
            decoder.flags |= av.codec.context.Flags.low_delay
            continue
        assert decoder is not None, "configured first"
        found += [(tag.timestamp_ms, frame) for frame in decoder.decode(av.Packet(packet.body))]
    return found


def camera(number: int = 1, participant: str = "a", codec: str = "H264") -> wire.Track:
    return wire.Track(number, participant, "camera", "video", codec, 90_000)


def microphone(number: int = 2, participant: str = "a") -> wire.Track:
    return wire.Track(number, participant, "camera", "audio", "opus", 48_000)


def test_a_picture_each_frame_and_sound_all_along_with_nobody_there(stage: Stage) -> None:
    tags = stage.run(3)
    video = [tag for tag in tags if tag.type_id == VIDEO and tag.setup is None]
    audio = [tag for tag in tags if tag.type_id == AUDIO and tag.setup is None]
    assert [tag.timestamp_ms for tag in video] == [index * 1000 // 30 for index in range(90)]
    assert len(audio) == pytest.approx(3 * 48_000 / 1024, abs=3)
    assert [tag.timestamp_ms for tag in audio[:3]] == [0, 21, 42]
    assert [tag.setup is not None for tag in tags if tag.type_id == AUDIO][:2] == [True, False]
    assert stage.output.skipped == 0


def test_a_gop_is_closed_every_two_seconds_and_on_request(stage: Stage) -> None:
    stage.time.at.append((2.5, lambda now_s: stage.output.request_sync()))
    tags = stage.run(5)
    syncs = [tag.timestamp_ms for tag in tags if tag.is_sync]
    assert syncs == [0, 2000, pytest.approx(2500, abs=40), 4000]
    frames = decoded(tags)
    assert len(frames) == 150
    assert all(frame.pict_type in (1, 2) for _, frame in frames), "I and P"


def test_the_configuration_says_what_the_picture_is(stage: Stage) -> None:
    setup = next(tag for tag in stage.run(0.1) if tag.type_id == VIDEO)
    (packet,) = flv.parse_video(setup.body)
    assert (parse_avcc(packet.body).width, parse_avcc(packet.body).height) == (320, 180)


def test_a_slow_machine_leaves_pictures_out_and_keeps_the_sound(stage: Stage) -> None:
    stage.time.wait_until = slowed(stage.time, 1.0, 0.5)  # type: ignore[method-assign]
    tags = stage.run(2)
    assert stage.output.skipped == pytest.approx(15, abs=1)
    video = [tag.timestamp_ms for tag in tags if tag.type_id == VIDEO and tag.setup is None]
    assert max(b - a for a, b in itertools.pairwise(video)) == pytest.approx(500, abs=60)
    audio = [tag.timestamp_ms for tag in tags if tag.type_id == AUDIO and tag.setup is None]
    assert max(b - a for a, b in itertools.pairwise(audio)) <= 22, "nothing is missing"


def test_after_a_standstill_sound_is_left_out_too(stage: Stage) -> None:
    stage.time.wait_until = slowed(stage.time, 1.0, 60.0)  # type: ignore[method-assign]
    tags = stage.run(62)
    audio = [tag.timestamp_ms for tag in tags if tag.type_id == AUDIO and tag.setup is None]
    assert len(audio) < 200, "not a minute of silence to catch up with"
    assert audio[-1] > 61_000


def slowed(clock: FakeTime, at_s: float, by_s: float) -> Callable[[float], bool]:
    """A `wait_until` that comes back too late, once."""
    once = [True]
    original = FakeTime.wait_until

    def wait_until(wall_ms: float) -> bool:
        goes_on = original(clock, wall_ms)
        if once and clock.now_s >= clock.begin_s + at_s:
            once.clear()
            clock.now_s += by_s
        return goes_on

    return wait_until


def test_a_participant_shows_and_sounds(stage: Stage) -> None:
    stage.state(ADA)
    stage.send(camera(codec="VP8"), list(pictures("VP8", 60, luma=200)))
    stage.send(microphone(), [(at_s, [packet]) for at_s, packet in sounds(100)])
    frames = decoded(stage.run(2))
    at_one = next(frame for at, frame in frames if at >= 1000)
    assert float(at_one.to_ndarray()[20:60, 40:280].mean()) == pytest.approx(200, abs=6)
    assert stage.meeting.mixer.totals()["placed"] == 1


def test_a_lone_h264_participant_is_passed_on_untouched(stage: Stage) -> None:
    stage.state(ADA)
    sent = list(pictures("H264", 150, luma=90))
    stage.send(camera(), sent)
    tags = stage.run(5)
    assert stage.output.passing.active
    assert stage.output.passing.passed > 90
    frames = decoded(tags)
    times = [at for at, _ in frames]
    assert times == sorted(set(times)), "time goes on at the switch"
    assert max(b - a for a, b in itertools.pairwise(times)) <= 70
    assert stage.asked, "key frames for the segments"
    assert float(frames[-1][1].to_ndarray()[140:175, :90].mean()) == pytest.approx(90, abs=2), "no label"


def test_another_participant_ends_the_passing_on_at_once(stage: Stage) -> None:
    stage.state(ADA)
    stage.send(camera(), list(pictures("H264", 180, luma=90)))
    stage.time.at.append((3.5, lambda now_s: stage.state(ADA, BOB)))
    stage.time.at.sort(key=lambda one: one[0])
    tags = stage.run(5)
    assert not stage.output.passing.active
    frames = decoded(tags)
    shown = next(at for at, frame in frames if at > 3000 and float(frame.to_ndarray()[:4].mean()) < 40)
    assert 3500 <= shown < 3900, "the grid has dark borders"
    two = next(frame for at, frame in frames if at > shown)
    left = two.to_ndarray()[60:100, 20:140]
    assert float(left.mean()) == pytest.approx(90, abs=4), "the passed-on picture is there from the first one on"
    times = [at for at, _ in frames]
    assert max(b - a for a, b in itertools.pairwise(times)) <= 70


@pytest.mark.parametrize(
    "changed",
    [
        {"screen": SourceView(False, True)},
        {"camera": SourceView(True, False)},
    ],
)
def test_whatever_else_is_to_be_seen_is_composed(stage: Stage, changed: dict[str, SourceView]) -> None:
    stage.state(replace(ADA, **changed))
    stage.send(camera(), list(pictures("H264", 90)))
    stage.run(3)
    assert stage.output.passing.passed == 0


def test_another_size_is_composed(stage: Stage) -> None:
    stage.state(ADA)
    stage.send(camera(), list(pictures("H264", 90, width=160, height=90)))
    stage.run(3)
    assert stage.output.passing.passed == 0


def test_passing_on_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, replace(JOB, pass_through=False))
    stage.state(ADA)
    stage.send(camera(), list(pictures("H264", 90)))
    stage.run(3)
    assert stage.output.passing.passed == 0


def test_who_falls_silent_is_composed_again(stage: Stage) -> None:
    stage.state(ADA)
    stage.send(camera(), list(pictures("H264", 100, luma=90)))
    frames = decoded(stage.run(6))
    assert not stage.output.passing.active
    assert frames[-1][0] > 5900
    assert float(frames[-1][1].to_ndarray()[20:60].mean()) == pytest.approx(90, abs=6), "the last picture stays"


def test_a_source_that_begins_anew_takes_its_own_place(stage: Stage) -> None:
    stage.state(ADA)
    stage.send(camera(codec="VP8"), list(pictures("VP8", 30, luma=60)))
    stage.send(camera(codec="VP8"), list(pictures("VP8", 30, luma=220, ssrc=99)), begin_s=1.0)
    frames = decoded(stage.run(2))
    assert float(frames[-1][1].to_ndarray()[20:60].mean()) == pytest.approx(220, abs=6)


def test_who_left_is_forgotten(stage: Stage) -> None:
    stage.state(ADA, BOB)
    stage.send(camera(), list(pictures("H264", 30)))
    stage.send(microphone(), [(at_s, [packet]) for at_s, packet in sounds(50)])
    stage.time.at.append((1.5, lambda now_s: stage.state(BOB)))
    stage.run(2)
    assert not stage.meeting.videos
    assert stage.meeting.mixer.totals()["placed"] == 0


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_a_camera_that_changes_its_size_stays_in_its_tile(stage: Stage, codec: str) -> None:
    """Browsers do that when the network gets worse; each size begins with a key frame."""
    stage.state(ADA, BOB)
    for number, size in enumerate(((320, 180), (160, 90), (240, 320))):
        # One encoder after the other makes one stream: sequence numbers and timestamps go on.
        clip = pictures(codec, 30, width=size[0], height=size[1], luma=60 + 60 * number, first=number * 30)
        stage.send(camera(codec=codec), [(at_s + number, packets) for at_s, packets in clip])
    tags = stage.run(3)
    frames = decoded(tags)
    assert stage.meeting.counters.decode_errors == 0
    for number in range(3):
        frame = next(frame for at, frame in frames if at > 1000 * number + 700)
        assert float(frame.to_ndarray()[85:95, 70:90].mean()) == pytest.approx(60 + 60 * number, abs=6)


@pytest.mark.parametrize("delay_ms", [0, 200])
def test_a_lone_camera_that_changes_its_size_is_composed(monkeypatch: pytest.MonkeyPatch, delay_ms: int) -> None:
    stage = Stage(monkeypatch, replace(JOB, playout_delay_ms=delay_ms))
    stage.state(ADA)
    stage.send(camera(), list(pictures("H264", 90, luma=90)))
    clip = pictures("H264", 60, width=160, height=90, luma=200, first=90)
    stage.send(camera(), [(at_s + 3, packets) for at_s, packets in clip])
    tags = stage.run(5)
    assert stage.output.passing.passed > 30
    assert not stage.output.passing.active
    frames = decoded(tags)
    assert {(frame.width, frame.height) for _, frame in frames} == {(320, 180)}
    assert float(frames[-1][1].to_ndarray()[20:60].mean()) == pytest.approx(200, abs=6)


def test_five_per_cent_of_lost_packets_do_not_break_it(stage: Stage) -> None:
    """Without retransmissions, and a key frame every second: pictures are right or the last right one."""
    lost = random.Random(5)
    stage.state(ADA, BOB)
    clip = [
        (at_s, [packet for packet in packets if lost.random() > 0.05])
        for at_s, packets in pictures("H264", 150, gop=30)
    ]
    stage.send(camera(), clip)
    sound = [(at_s, [packet]) for at_s, packet in sounds(250) if lost.random() > 0.05]
    stage.send(microphone(), sound)
    frames = decoded(stage.run(5))
    assert len(frames) == 150
    counters = stage.meeting.counters
    assert counters.decode_errors == 0
    assert counters.incomplete > 0
    assert counters.keyframes_asked > 0
    for at, frame in frames[3:]:
        assert float(frame.to_ndarray()[60:80, 20:140].mean()) == pytest.approx(120, abs=4), at
    assert stage.meeting.mixer.totals()["placed"] == 1
