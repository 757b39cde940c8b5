"""WHIP into a publication: access units on one timeline, what is told in return, and who is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
import pytest_asyncio
from starlette.requests import Request

from headwater.errors import LimitReached, OperatorError, PublishRefused, UnsupportedCodec
from headwater.pipeline.ingest.rtp_source import MAX_BROKEN_PACKETS
from headwater.pipeline.ingest.rtp_tracks import MAX_BACKWARD, SILENCE
from headwater.pipeline.ingest.settings import IngestSettings
from headwater.pipeline.ingest.whip import POLICY, WhipIngest
from headwater.pipeline.ingest.whip_publisher import LEAD_MS
from headwater.protocols.rtp import packet as rtp
from headwater.protocols.rtp import rtcp
from headwater.protocols.rtp.h264 import build_avcc
from headwater.protocols.rtp.jitter import MAX_WAIT_MS
from headwater.protocols.rtp.rtcp import Nack, ReceiverReport, Remb, SenderReport, ntp_of
from headwater.webrtc.media import ABS_SEND_TIME, NotServed
from headwater.webrtc.resources import Refused
from tests.unit.ingest.gates import GOOD_KEY, Collected, CollectingGate
from tests.unit.ingest.webrtc_peers import PICTURE, PPS, RECORD, SMALL_SPS, SOUND, Camera, OnePeer, SentPeer


class Clock:
    """Seconds, as a test sets them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """An ingest with everything around it."""

    def __init__(self, settings: IngestSettings | None = None) -> None:
        self.clock = Clock()
        self.gate = CollectingGate()
        self.webrtc = OnePeer(PICTURE, SOUND)
        self.ingest = WhipIngest(
            self.gate, self.webrtc, settings or IngestSettings(), keyframe_interval_ms=2000, clock=self.clock
        )

    async def open(self, key: str | None = GOOD_KEY, **path: str) -> SentPeer:
        scope = {
            "type": "http",
            "headers": [(b"user-agent", b"Encoder\x01/1")],
            "path_params": path,
            "client": ("192.0.2.1", 4711),
        }
        peer = await self.ingest.open(Request(scope), "v=0", key)
        assert isinstance(peer, SentPeer)
        return peer

    async def publishing(self) -> tuple[SentPeer, Collected]:
        peer = await self.open()
        peer.connect()
        return peer, self.gate.publications[-1]

    def send(self, peer: SentPeer, packets: Iterable[bytes]) -> None:
        for packet in packets:
            section = PICTURE if packet[11] == 1 else SOUND
            peer.handler.rtp(peer, section, packet)

    def play(
        self, peer: SentPeer, camera: Camera, frames: range, *, keys: Iterable[int] = (), lost: Iterable[int] = ()
    ) -> None:
        """Frames and their sound in real time; of lost frames the second packet is."""
        for number in frames:
            self.clock.now = 1000 + number / 30
            packets = camera.frame(number, key=number in keys)
            if number in lost:
                del packets[1]
            self.send(peer, packets)
            for sound in range(-(-number * 50 // 30), -(-(number + 1) * 50 // 30)):
                self.send(peer, camera.opus(sound))

    def pass_time(self, peer: SentPeer, seconds: float) -> None:
        """Let time pass, as the publisher's timers would."""
        self.clock.now += seconds
        peer.handler._hurry()
        peer.handler._look()


@pytest_asyncio.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    yield made
    await made.ingest.stop()


def numbers(publication: Collected) -> list[int]:
    return [int.from_bytes(unit.payload[6:10], "big") for unit in publication.of(1)]


class TestMedia:
    async def test_picture_and_sound_arrive_on_one_timeline(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        stage.play(peer, Camera(), range(60), keys=[0])
        (picture, sound) = publication.tracks
        assert (
            picture.id == 1
            and picture.config.record == RECORD
            and (picture.config.width, picture.timescale)
            == (
                1280,
                1000,
            )
        )
        assert sound.id == 2 and (sound.config.sample_rate, sound.config.channels, sound.config.frame_samples) == (
            48_000,
            2,
            960,
        )
        assert numbers(publication) == list(range(60))
        assert [unit.sync for unit in publication.of(1)] == [True] + [False] * 59
        assert {unit.composition_offset for unit in publication.units} == {0}
        assert all(abs(unit.dts - 1_000_000 - index * 1000 / 30) <= 1 for index, unit in enumerate(publication.of(1)))
        times = [unit.dts for unit in publication.of(2)]
        assert {after - before for before, after in pairwise(times)} == {20}

    async def test_sound_waits_for_the_picture_but_not_for_ever(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        for number in range(int(LEAD_MS / 20) + 10):
            stage.clock.now = 1000 + number / 50
            stage.send(peer, camera.opus(number))
            if number < LEAD_MS / 20 - 1:
                assert not publication.units
        assert len(publication.of(2)) == 10

    async def test_sound_alone_and_picture_alone(self, stage: Stage) -> None:
        for only in (SOUND, PICTURE):
            stage.webrtc.sections = (only,)
            peer, publication = await stage.publishing()
            camera = Camera()
            stage.send(peer, camera.opus(0) if only is SOUND else camera.frame(0, key=True))
            assert [track.is_video for track in publication.tracks] == [only is PICTURE] and len(publication.units) == 1

    async def test_another_source_in_the_same_section_goes_on(self, stage: Stage) -> None:
        """As after `replaceTrack` in some clients: other numbers, other times."""
        peer, publication = await stage.publishing()
        stage.play(peer, Camera(), range(3), keys=[0])
        stage.clock.now = 1005.0
        other = Camera()
        other.picture.ssrc, other.picture.sequence = 257, 7  # whose last byte is the picture's too
        stage.send(peer, [packet for number in range(3) for packet in other.frame(number, key=number == 0)])
        assert numbers(publication) == [0, 1, 2, 0, 1, 2]
        assert publication.of(1)[3].dts == 1_005_000

    async def test_after_a_loss_nothing_goes_on_before_a_key_frame(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.play(peer, camera, range(10), keys=[0], lost=[5])
        assert numbers(publication) == list(range(5))
        before = peer.asked
        stage.pass_time(peer, MAX_WAIT_MS / 1000)
        assert peer.asked > before
        stage.play(peer, camera, range(18, 25), keys=[20])
        assert numbers(publication) == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]

    async def test_a_missing_packet_is_asked_for_and_nothing_is_lost_when_it_comes(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.play(peer, camera, range(5), keys=[0])
        packets = camera.frame(5)
        missing = packets.pop(1)
        stage.send(peer, [*packets, *camera.frame(6)])
        assert not any(isinstance(one, Nack) for one in peer.rtcp)
        stage.pass_time(peer, 0.01)
        assert [one.sequences for one in peer.rtcp if isinstance(one, Nack)] == [(int.from_bytes(missing[2:4], "big"),)]
        stage.send(peer, [missing])
        assert numbers(publication) == list(range(7))

    async def test_missing_sound_becomes_silence(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.play(peer, camera, range(30), keys=[0])
        for number in (50, 51, 52):
            packet = camera.opus(number)
            if number != 51:
                stage.send(peer, packet)
        stage.pass_time(peer, MAX_WAIT_MS / 1000)
        units = publication.of(2)[-3:]
        assert [unit.payload for unit in units] == [b"\xfcsound", SILENCE[960], b"\xfcsound"]
        assert [unit.dts - units[0].dts for unit in units] == [0, 20, 40]

    async def test_another_size_is_configured_at_its_key_frame(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.play(peer, camera, range(3), keys=[0])
        camera.packetizer.configure(build_avcc([SMALL_SPS], [PPS]))
        stage.play(peer, camera, range(3, 9), keys=[3, 6])
        widths = [track.config.width for track in publication.tracks if track.id == 1]
        assert len(widths) == 2 and widths[0] == 1280 != widths[1]

    async def test_sender_reports_set_the_picture_beside_the_sound(self, stage: Stage) -> None:
        """A picture that takes 90 ms longer on its way is shown when it was taken."""
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.clock.now = 1000.0
        stage.send(peer, [*camera.opus(0)])
        stage.clock.now = 1000.09
        stage.send(peer, camera.frame(0, key=True))
        reports = [
            SenderReport(1, ntp_of(1.7e12), camera.picture.timestamp(0), 1, 1),
            SenderReport(2, ntp_of(1.7e12), camera.sound.timestamp(0), 1, 1),
        ]
        peer.handler.rtcp(peer, rtcp.build(*reports))
        peer.handler.rtcp(peer, b"garbage")
        for number in range(1, 60):
            stage.clock.now = 1000.09 + number / 30
            stage.send(peer, camera.frame(number))
        assert publication.of(1)[0].dts == 1_000_090
        assert abs(publication.of(1)[-1].dts - (1_000_000 + 59 * 1000 / 30)) <= 1


class TestWhatIsToldInReturn:
    async def test_key_frames_are_asked_for_at_the_pace_of_segments(self, stage: Stage) -> None:
        peer, _ = await stage.publishing()
        camera = Camera()
        stage.play(peer, camera, range(1), keys=[0])
        asked = peer.asked
        stage.pass_time(peer, 1.9)
        assert peer.asked == asked
        stage.pass_time(peer, 0.05)
        assert peer.asked == asked + 1

    async def test_reports_name_what_came_and_what_may_come(self, stage: Stage) -> None:
        peer, _ = await stage.publishing()
        stage.play(peer, Camera(), range(10), keys=[0])
        stage.pass_time(peer, 0.2)
        report = next(one for one in peer.rtcp if isinstance(one, ReceiverReport))
        assert sorted(block.ssrc for block in report.blocks) == [1, 2]
        assert all(block.lost == 0 for block in report.blocks)
        assert next(one for one in peer.rtcp if isinstance(one, Remb)).bitrate > 10_000_000

    async def test_a_queue_in_front_of_the_publishers_link_is_told_at_once(self, stage: Stage) -> None:
        """Every packet is 30 ms later than the one before it, and says when it left."""
        stage.webrtc.sections = (replace(PICTURE, extensions={ABS_SEND_TIME: 3}),)
        peer, _ = await stage.publishing()
        camera, told = Camera(), []
        for number in range(30):
            profile, data = rtp.elements({3: (int(number * 33 * 262.144) & 0xFFFFFF).to_bytes(3, "big")})
            stage.clock.now = 1000 + number * 0.063
            for packet in camera.frame(number, key=number == 0):
                stage.send(
                    peer,
                    [rtp.build(replace(rtp.parse(packet), extension=data + b"\0" * (-len(data) % 4), profile=profile))],
                )
            peer.handler._look()
            told += [one.bitrate for one in peer.rtcp if isinstance(one, Remb)][len(told) :]
        assert told[0] > 10_000_000 and told[-1] < 300_000


class TestEnds:
    async def test_goodbyes_are_regular_and_losses_are_not(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        peer.end("it said goodbye")
        assert publication.ends == [("it said goodbye", True)] and stage.ingest.connections == 0
        peer, publication = await stage.publishing()
        peer.end("it was not heard for 10 s")
        assert publication.ends == [("it was not heard for 10 s", False)]
        peer, publication = await stage.publishing()
        peer.end("its resource was deleted")
        assert [regular for _, regular in publication.ends] == [True]

    async def test_the_pipeline_ends_it_without_an_end(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        publisher = stage.gate.publishers[-1]
        assert publisher.round_trip_ms() == 40.0
        publisher.close("NetStream.Publish.BadName", "Another publisher took over.")
        publisher.close("NetStream.Publish.BadName", "Another publisher took over.")
        assert peer.closed == "Another publisher took over." and not publication.ends
        stage.send(peer, Camera().frame(0, key=True))
        assert not publication.units and stage.ingest.connections == 0

    async def test_a_server_that_stops_ends_all(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        await stage.ingest.stop()
        assert peer.state == "closed" and [regular for _, regular in publication.ends] == [False]
        with pytest.raises(Refused, match="SHUTTING"):
            await stage.open()

    @pytest.mark.parametrize("sends", [False, True])
    async def test_a_publisher_without_media_is_let_go(self, stage: Stage, sends: bool) -> None:
        peer, publication = await stage.publishing()
        if sends:
            stage.play(peer, Camera(), range(3), keys=[0])
            stage.pass_time(peer, 0.1)
        stage.pass_time(peer, 19.9)
        assert peer.state == "connected"
        stage.pass_time(peer, 0.2)
        assert peer.state == "closed" and "no media came" in publication.ends[0][0]

    async def test_b_frames_are_refused_in_words(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        camera = Camera()
        stage.send(peer, camera.frame(0, key=True))
        for number in range(1, 3 * MAX_BACKWARD, 2):
            stage.send(peer, camera.frame(number + 1))
            stage.send(peer, camera.frame(number))
        assert peer.state == "closed" and [error.code for error in publication.refusals] == [
            "ERR_UNSUPPORTED_VIDEO_CODEC"
        ]
        assert "B-frames" in publication.refusals[0].description and "B-frames" in publication.ends[0][0]

    async def test_garbage_is_skipped_and_too_much_of_it_is_not(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        stage.send(peer, [b"\x40" + bytes(10) + b"\1"] * MAX_BROKEN_PACKETS)
        assert peer.state == "connected"
        stage.send(peer, [b"\x40" + bytes(10) + b"\1"])
        assert peer.state == "closed" and "version 1" in publication.ends[0][0]

    async def test_what_cannot_be_packaged_ends_it(self, stage: Stage) -> None:
        peer, publication = await stage.publishing()
        publication.refusal = UnsupportedCodec("ERR_UNSUPPORTED_VIDEO_CODEC", "no")
        stage.send(peer, Camera().frame(0, key=True))
        assert peer.state == "closed"

    async def test_more_than_the_allowed_rate_ends_it(self) -> None:
        stage = Stage(IngestSettings(max_bitrate_bps=50_000))
        peer, publication = await stage.publishing()
        stage.play(peer, Camera(), range(330), keys=[0])
        stage.pass_time(peer, 0.1)
        assert peer.state == "closed" and "max_bitrate_bps" in publication.ends[0][0]


class TestAdmission:
    async def test_the_key_is_the_bearer_or_in_the_path(self, stage: Stage) -> None:
        await stage.open()
        await stage.open(None, stream_key=GOOD_KEY)
        assert stage.webrtc.policies == [POLICY, POLICY]
        for request in stage.gate.requests:
            assert (request.stream_key, request.protocol, request.encoder, request.remote) == (
                GOOD_KEY,
                "whip",
                "Encoder/1",
                "192.0.2.1:4711",
            )

    @pytest.mark.parametrize(
        ("failure", "status"),
        [
            (PublishRefused("ERR_BAD_STREAM_KEY", "no livestream"), 401),
            (PublishRefused("ERR_LIVESTREAM_DISABLED", "disabled"), 403),
            (PublishRefused("ERR_TOO_MANY_SESSIONS", "full"), 503),
            (OperatorError("the database"), 503),
        ],
    )
    async def test_refusals_say_why(self, stage: Stage, failure: Exception, status: int) -> None:
        stage.gate.failure = failure
        with pytest.raises(Refused) as refused:
            await stage.open()
        assert refused.value.status == status and "database" not in refused.value.message
        assert stage.webrtc.peers[0].state == "closed" and stage.ingest.connections == 0

    async def test_without_a_key_nothing_is_made(self, stage: Stage) -> None:
        with pytest.raises(Refused) as refused:
            await stage.open(None)
        assert refused.value.status == 401 and refused.value.headers == {"WWW-Authenticate": "Bearer"}
        assert not stage.webrtc.peers

    async def test_an_offer_that_is_not_served_goes_to_the_event_log_and_takes_nothing_over(self, stage: Stage) -> None:
        stage.webrtc.failure = NotServed("no common video codec")
        with pytest.raises(NotServed):
            await stage.open()
        assert stage.gate.rejected == [("ERR_OFFER_NOT_SERVED", "no common video codec")] and not stage.gate.requests
        with pytest.raises(Refused, match="BAD_STREAM_KEY"):
            await stage.open("wrong")

    async def test_a_limit_does_not_reach_the_gate(self, stage: Stage) -> None:
        stage.webrtc.failure = LimitReached("webrtc.max_peers", "full")
        with pytest.raises(LimitReached):
            await stage.open()
        assert not stage.gate.requests and not stage.gate.rejected

    async def test_a_publisher_that_goes_while_the_gate_decides(self, stage: Stage) -> None:
        stage.gate.delay = asyncio.Event()
        opening = asyncio.ensure_future(stage.open())
        while not stage.webrtc.peers:
            await asyncio.sleep(0)
        stage.webrtc.peers[0].end("it said goodbye")
        stage.gate.delay.set()
        with pytest.raises(Refused):
            await opening
        assert [regular for _, regular in stage.gate.publications[0].ends] == [False]
