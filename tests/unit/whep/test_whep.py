"""WHEP: from a session's access units to what each viewer is sent, and who is let in."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

import pytest
import pytest_asyncio
from starlette.requests import Request

from headwater.media.access_unit import AccessUnit
from headwater.media.h264 import parse_avcc
from headwater.media.opus import OPUS_RATE
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.ingest.rtp_tracks import opus_config
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.views import ViewLedger
from headwater.pipeline.tap import Tap
from headwater.pipeline.whep import playout as playout_module
from headwater.pipeline.whep.endpoint import WhepPlayback
from headwater.pipeline.whep.playout import ASK_S, JUMP_MS, Playout, why_not
from headwater.pipeline.whep.viewer import AGAIN_PER_S, BURST_PACKETS, PICTURE_LOSS_S, Viewer
from headwater.protocols.rtp import packet as rtp
from headwater.protocols.rtp import rtcp
from headwater.protocols.rtp.h264 import Depacketizer, build_avcc
from headwater.protocols.rtp.rtcp import Description, Fir, Nack, Pli, SenderReport
from headwater.protocols.rtp.unit import Unit
from headwater.webrtc.media import Section
from headwater.webrtc.resources import Refused
from tests.unit.ingest.webrtc_peers import H264, OPUS, OPUS_20_MS, PPS, RECORD, SMALL_SPS, OnePeer, SentPeer

PLAYBACK_ID = "0123456789abcdef" * 2
PICTURE = Section("0", "video", "sendonly", H264, 11, 12, track_id="video")
SOUND = Section("1", "audio", "sendonly", OPUS, 21, track_id="audio")
VIDEO = Track(1, parse_avcc(RECORD))
AUDIO = Track(2, opus_config(960))
AAC = AudioConfig(Codec.AAC, bytes.fromhex("1190"), 48_000, 2, 1024, "mp4a.40.2")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Session:
    """A `Stage`."""

    def __init__(self, *tracks: Track) -> None:
        self.about = {"session_id": "session", "livestream_id": "livestream"}
        self.tracks = {track.id: track for track in tracks}
        self.reorders = False
        self.views = ViewLedger(6.0, 100)
        self.tap: Tap | None = None
        self.asked = 0

    def attach_tap(self, tap: Tap | None) -> None:
        self.tap = tap
        if tap is not None:
            for track in self.tracks.values():
                tap.configure(track)

    def request_keyframe(self) -> None:
        self.asked += 1


class Coder:
    """A `SoundCoder` without a process."""

    made: ClassVar[list[Coder]] = []

    def __init__(self, config: AudioConfig, deliver: Callable[[float, bytes], None]) -> None:
        self.config, self.deliver, self.closed = config, deliver, False
        self.units: list[tuple[float, bytes]] = []
        Coder.made.append(self)

    def push(self, due_ms: float, payload: bytes) -> None:
        self.units.append((due_ms, payload))

    def close(self) -> None:
        self.closed = True


def frame(number: int, *, key: bool = False, size: int = 3000) -> AccessUnit:
    """Frame `number` at 30 a second."""
    nal = bytes((0x65 if key else 0x61, 0x80)) + number.to_bytes(4, "big") + bytes(size)
    return AccessUnit(1, number * 1000 // 30, 0, key, len(nal).to_bytes(4, "big") + nal)


def sound(number: int, payload: bytes = OPUS_20_MS) -> AccessUnit:
    return AccessUnit(2, number * 20, 0, True, payload)


class Stage:
    """A playout with everything around it."""

    def __init__(self, *tracks: Track) -> None:
        Coder.made.clear()
        self.clock = Clock()
        self.session = Session(*(tracks or (VIDEO, AUDIO)))
        self.gone: list[Playout] = []
        self.playout = Playout(
            self.session,
            self.gone.append,
            clock=self.clock,
            wall=lambda: 1_700_000_000.0,
            new_coder=Coder,  # type: ignore[arg-type]
        )

    def push(self, *units: AccessUnit) -> None:
        """Each when it is due."""
        for unit in units:
            self.clock.now = 100 + unit.dts / 1000
            assert self.session.tap is not None
            self.session.tap.push(unit)

    def viewer(self, *sections: Section) -> SentPeer:
        viewer = Viewer(self.clock, "cname")
        peer = SentPeer(viewer, sections or (PICTURE, SOUND))
        self.playout.expect(viewer)
        viewer.begin(peer, self.playout)
        return peer

    def watching(self, *sections: Section) -> SentPeer:
        peer = self.viewer(*sections)
        peer.connect()
        return peer


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    made.playout.end("the test ends")


def finish_burst(peer: SentPeer) -> None:
    """As the viewer's timer would."""
    while peer.handler._bursting is not None:
        peer.handler._bursting.cancel()
        peer.handler._send_burst()


def units_of(peer: SentPeer) -> list[Unit]:
    """What a viewer's own depacketizer makes of the picture that it was sent."""
    depacketizer = Depacketizer()
    packets = [rtp.parse(one) for one in peer.rtp if rtp.ssrc_of(one) == PICTURE.ssrc]
    assert [one.sequence for one in packets] == [(packets[0].sequence + at) & 0xFFFF for at in range(len(packets))]
    assert all(one.payload_type == H264.payload_type and len(one.payload) <= 1200 for one in packets)
    units = [unit for one in packets for unit in depacketizer.push(one)]
    assert all(unit.complete for unit in units) and (not units or depacketizer.record is not None)
    return units


def numbers(peer: SentPeer) -> list[int]:
    return [int.from_bytes(unit.payload[6:10], "big") for unit in units_of(peer)]


def heard(peer: SentPeer) -> list[rtp.Packet]:
    return [rtp.parse(one) for one in peer.rtp if rtp.ssrc_of(one) == SOUND.ssrc]


class TestMedia:
    async def test_a_viewer_is_sent_picture_and_sound_in_step(self, stage: Stage) -> None:
        peer = stage.watching()
        for number in range(30):
            stage.push(frame(number, key=number % 15 == 0))
            stage.push(*(sound(at) for at in range(number * 50 // 30, (number + 1) * 50 // 30)))
        assert numbers(peer) == list(range(30))
        assert [unit.key for unit in units_of(peer)] == [number % 15 == 0 for number in range(30)]
        wall_ms, stamps = stage.playout.now_stamps()
        assert abs(wall_ms - 1_700_000_000_000 - 29 * 1000 / 30) < 50
        shown = [(stamps["video"] - unit.timestamp) & 0xFFFFFFFF for unit in units_of(peer)]
        assert shown[-1] < 90 * 40 and abs(shown[0] - shown[-1] - 29 * 3000) < 180
        times = [packet.timestamp for packet in heard(peer)]
        assert len(times) == 50
        assert all((after - before) & 0xFFFFFFFF == 960 for before, after in itertools.pairwise(times))
        assert {packet.payload for packet in heard(peer)} == {OPUS_20_MS}

    async def test_who_joins_later_begins_with_the_newest_key_frame_and_is_where_the_others_are(
        self, stage: Stage
    ) -> None:
        first = stage.watching()
        stage.push(*(frame(number, key=number % 15 == 0) for number in range(24)))
        second = stage.watching()
        assert len(second.rtp) == min(BURST_PACKETS, 9 * 3 + 1)
        finish_burst(second)
        stage.push(*(frame(number) for number in range(24, 28)))
        assert numbers(second) == list(range(15, 28)) and numbers(first) == list(range(28))
        stamps = [unit.timestamp for unit in units_of(second)]
        assert stamps[-5:] == [unit.timestamp for unit in units_of(first)][-5:]
        assert all((after - before) & 0xFFFFFFFF == 90 for before, after in itertools.pairwise(stamps[:9]))

    async def test_a_burst_is_paced_and_what_comes_meanwhile_follows_it(self, stage: Stage) -> None:
        stage.watching()
        stage.push(*(frame(number, key=number == 0, size=12_000) for number in range(15)))
        peer = stage.watching()
        assert len(peer.rtp) == BURST_PACKETS
        stage.push(frame(15), frame(16))
        assert len(peer.rtp) == BURST_PACKETS
        finish_burst(peer)
        assert numbers(peer) == list(range(17))

    async def test_without_a_key_frame_the_first_viewer_asks_and_waits(self, stage: Stage) -> None:
        peer = stage.watching()
        assert stage.session.asked == 1
        stage.push(frame(1), frame(2), sound(1), frame(3, key=True), frame(4))
        assert numbers(peer) == [3, 4] and len(heard(peer)) == 1

    async def test_another_publisher_begins_with_its_own_key_frame_and_time_goes_on(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(*(frame(number, key=number == 0) for number in range(5)))
        stage.session.tap.discontinuity()
        assert not stage.playout.newest_gop()
        stage.session.tap.configure(Track(1, parse_avcc(build_avcc([SMALL_SPS], [PPS]))))
        stage.clock.now = 105.0
        for unit in (frame(1), frame(9, key=True), frame(10)):
            stage.session.tap.push(unit)
        assert numbers(peer) == [0, 1, 2, 3, 4, 9, 10]
        units = units_of(peer)
        assert (units[5].timestamp - units[0].timestamp) & 0xFFFFFFFF == pytest.approx(5.267 * 90_000, abs=200)

    async def test_times_that_jump_are_set_by_the_wall(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(frame(0, key=True))
        late = frame(1)
        late.dts += int(JUMP_MS) + 500
        stage.session.tap.push(late)
        first, second = units_of(peer)
        assert (second.timestamp - first.timestamp) & 0xFFFFFFFF < 90

    async def test_a_long_gop_is_not_kept(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(playout_module, "MAX_GOP_UNITS", 10)
        stage.push(*(frame(number, key=number == 0) for number in range(10)))
        assert len(stage.playout.newest_gop()) == 10
        stage.push(frame(10), frame(11))
        assert not stage.playout.newest_gop()


class TestOtherSound:
    async def test_aac_is_made_opus_while_somebody_watches(self) -> None:
        stage = Stage(VIDEO, Track(2, AAC))
        (coder,) = Coder.made
        peer = stage.watching()
        stage.push(sound(0, b"aac"), sound(1, b"aac"))
        assert [payload for _, payload in coder.units] == [b"aac", b"aac"]
        coder.deliver(coder.units[0][0], OPUS_20_MS)
        coder.deliver(coder.units[0][0] + 20, OPUS_20_MS)
        assert [packet.payload for packet in heard(peer)] == [OPUS_20_MS, OPUS_20_MS]
        stage.session.tap.configure(Track(2, AAC))
        assert len(Coder.made) == 1
        stage.playout.end("over")
        assert coder.closed and peer.closed == "over" and stage.session.tap is None

    async def test_a_count_of_samples_that_is_off_is_set_again(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(sound(0), sound(1))
        late = sound(2)
        late.dts += 3  # rounding and jitter
        stage.push(late, sound(3), sound(30))
        times = [packet.timestamp for packet in heard(peer)]
        steps = [(after - before) & 0xFFFFFFFF for before, after in itertools.pairwise(times)]
        assert steps == [960, 960, 960, 27 * 960]


class TestFeedback:
    async def test_what_is_missing_is_sent_again_as_it_was(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(*(frame(number, key=number == 0) for number in range(5)))
        missing = peer.rtp[2]
        nack = Nack(99, PICTURE.ssrc or 0, (rtp.sequence_of(missing), (rtp.sequence_of(peer.rtp[-1]) + 5) & 0xFFFF))
        peer.handler.rtcp(peer, rtcp.build(nack))
        peer.handler.rtcp(peer, rtcp.build(Nack(99, 4711, nack.sequences)) + b"\x80")
        assert peer.resent == [missing]

    async def test_what_is_too_old_is_not(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(*(frame(number, key=number == 0) for number in range(400)))
        first = rtp.sequence_of(peer.rtp[0])
        peer.handler.rtcp(peer, rtcp.build(Nack(99, PICTURE.ssrc or 0, (first,))))
        assert len(peer.rtp) > 1024 and not peer.resent

    async def test_who_asks_for_everything_again_and_again_gets_so_much_in_a_second(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.push(*(frame(number, key=number == 0) for number in range(10)))
        sequences = tuple(rtp.sequence_of(packet) for packet in peer.rtp)
        for _ in range(AGAIN_PER_S // len(sequences) + 5):
            peer.handler.rtcp(peer, rtcp.build(Nack(99, 11, sequences)))
        assert len(peer.resent) == AGAIN_PER_S
        stage.clock.now += 1
        peer.handler.rtcp(peer, rtcp.build(Nack(99, 11, sequences)))
        assert len(peer.resent) == AGAIN_PER_S + len(sequences)

    @pytest.mark.parametrize("ask", [Pli(99, 11), Fir(99, ((11, 1),))])
    async def test_a_viewer_that_lost_the_picture_gets_it_anew_but_not_at_will(
        self, stage: Stage, ask: Pli | Fir
    ) -> None:
        peer = stage.watching()
        stage.push(*(frame(number, key=number == 0) for number in range(5)))
        stage.clock.now += PICTURE_LOSS_S
        peer.handler.rtcp(peer, rtcp.build(ask))
        finish_burst(peer)
        assert numbers(peer) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]
        asked, sent = stage.session.asked, len(peer.rtp)
        stage.clock.now += 1
        for _ in range(5):
            peer.handler.rtcp(peer, rtcp.build(ask))
        assert stage.session.asked <= asked + 1 and len(peer.rtp) == sent
        stage.push(frame(5), frame(6, key=True), frame(7))
        assert numbers(peer)[10:] == [6, 7], "what it could not show is not sent"

    async def test_viewers_do_not_make_the_publisher_send_key_frames_alone(self, stage: Stage) -> None:
        for _ in range(10):
            stage.watching()
        assert stage.session.asked == 1
        stage.clock.now += ASK_S
        stage.watching()
        assert stage.session.asked == 2

    async def test_reports_set_both_tracks_beside_each_other(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.playout._tick()
        assert not peer.rtcp
        stage.push(frame(0, key=True), sound(0))
        stage.clock.now += 0.5
        stage.playout._tick()
        reports = {one.ssrc: one for one in peer.rtcp if isinstance(one, SenderReport)}
        assert {one.cname for one in peer.rtcp if isinstance(one, Description)} == {"cname"}
        assert reports[11].ntp == reports[21].ntp and reports[11].packets == len(peer.rtp) - 1
        picture, heard_at = rtp.timestamp_of(peer.rtp[0]), rtp.timestamp_of(peer.rtp[-1])
        assert ((reports[11].timestamp - picture) & 0xFFFFFFFF) / 90 == pytest.approx(500, abs=1)
        assert ((reports[21].timestamp - heard_at) & 0xFFFFFFFF) / 48 == pytest.approx(500, abs=1)


class TestViewers:
    async def test_viewers_count_as_viewers_for_as_long_as_they_watch(self, stage: Stage) -> None:
        peer = stage.viewer()
        assert stage.session.views.viewers(100.0) == 0
        peer.connect()
        assert stage.session.views.viewers(101.0) == 1
        stage.clock.now = 130.0
        peer.end("it said goodbye")
        assert stage.session.views.seconds(140.0) == pytest.approx(30.0)
        assert stage.session.views.viewers(140.0) == 0

    async def test_the_last_viewer_ends_it(self, stage: Stage) -> None:
        first, second = stage.watching(), stage.viewer()
        first.end("it said goodbye")
        assert stage.playout._linger is None
        second.end("it never connected")
        assert stage.playout._linger is not None and stage.session.tap is not None
        third = stage.watching()
        assert stage.playout._linger is None
        third.end("it said goodbye")
        stage.playout._finish()
        assert stage.session.tap is None and stage.gone == [stage.playout]

    async def test_a_session_that_ends_sends_viewers_away(self, stage: Stage) -> None:
        peer, other = stage.watching(), stage.viewer()
        stage.session.tap.end("the livestream has ended")
        assert peer.closed == other.closed == "the livestream has ended" and not stage.playout.viewers

    async def test_pictures_that_turn_out_to_be_reordered_send_viewers_away(self, stage: Stage) -> None:
        peer = stage.watching()
        stage.session.reorders = True
        stage.push(frame(0, key=True))
        assert peer.closed is not None and "B-frames" in peer.closed

    async def test_another_codec_sends_viewers_away(self, stage: Stage) -> None:
        peer = stage.watching()
        hevc = VideoConfig(Codec.HEVC, b"", 1280, 720, "hvc1")
        stage.session.tap.configure(Track(1, hevc))
        assert peer.closed is not None and "HEVC" in peer.closed


class Directory:
    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        disabled = playback_id == "d" * 32
        return PlaybackInfo("livestream", playback_id, "test", disabled, None) if playback_id != "e" * 32 else None

    async def recording(self, playback_id: str, session: str) -> str | None:
        return None


class Sessions:
    def __init__(self, session: Session | None) -> None:
        self.session = session

    def session_of(self, playback_id: str) -> Session | None:
        return self.session


async def opened(session: Session | None, playback_id: str = PLAYBACK_ID) -> tuple[WhepPlayback, OnePeer]:
    webrtc = OnePeer(PICTURE, SOUND)
    endpoint = WhepPlayback(Sessions(session), Directory(), webrtc)
    request = Request({"type": "http", "headers": [], "path_params": {"playback_id": playback_id}})
    await endpoint.open(request, "v=0", None)
    return endpoint, webrtc


class TestAdmission:
    async def test_the_offer_is_answered_with_what_the_encoder_sends(self) -> None:
        session = Session(VIDEO, AUDIO)
        endpoint, webrtc = await opened(session)
        picture, heard = webrtc.policies[0].send
        assert (picture.codec, picture.parameters["profile-level-id"], heard.codec) == ("H264", "42c01f", "opus")
        assert picture.stream_id == heard.stream_id
        webrtc.peers[0].connect()
        assert endpoint.viewers == 1 and session.tap is not None
        await endpoint.stop()
        assert endpoint.viewers == 0 and session.tap is None and webrtc.peers[0].closed

    async def test_sound_alone_plays(self) -> None:
        endpoint, webrtc = await opened(Session(AUDIO))
        assert [(one.kind, one.optional) for one in webrtc.policies[0].send] == [("audio", False)]
        await endpoint.stop()

    @pytest.mark.parametrize(
        ("session", "playback_id", "status", "says"),
        [
            (Session(VIDEO), "e" * 32, 404, "no such"),
            (Session(VIDEO), "d" * 32, 404, "no such"),
            (Session(VIDEO), "short", 404, "no such"),
            (None, PLAYBACK_ID, 404, "not live"),
            (Session(), PLAYBACK_ID, 404, "not live"),
            (Session(Track(1, VideoConfig(Codec.AV1, b"", 1, 1, "av01"))), PLAYBACK_ID, 406, "AV1"),
        ],
    )
    async def test_what_cannot_be_played_is_refused_in_words(
        self, session: Session | None, playback_id: str, status: int, says: str
    ) -> None:
        with pytest.raises(Refused, match=says) as refused:
            await opened(session, playback_id)
        assert refused.value.status == status

    async def test_b_frames_are_refused_with_that_reason(self) -> None:
        session = Session(VIDEO, AUDIO)
        session.reorders = True
        with pytest.raises(Refused, match="B-frames"):
            await opened(session)
        assert session.tap is None


def test_reasons_name_what_helps() -> None:
    assert why_not({1: VIDEO, 2: AUDIO}, reorders=False) is None
    assert why_not({2: AUDIO}, reorders=False) is None
    assert "bframes=0" in (why_not({1: VIDEO}, reorders=True) or "")
    assert OPUS_RATE == 48_000
