"""What is queued for a compositor that does not read, and what is left out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from headwater.meetings.compositor import wire
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.meetings.compositor_process import CompositorProcess, _words
from headwater.meetings.tap import ParticipantView, RoomSnapshot
from headwater.protocols.rtp.packet import Packet, build

LIMIT = 256 * 1024
H264, OPUS = "H264", "opus"


class Codec:
    def __init__(self, name: str, clock_rate: int) -> None:
        self.name, self.clock_rate = name, clock_rate


class Transport:
    """An asyncio transport that keeps what is written, and is full when the test says so."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return False


class Line:
    """A process that is none: its queue, and what came through."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.reports: list[wire.Report] = []
        self.process = CompositorProcess(self, CompositorSettings(queue_bytes=LIMIT), self.reports.append)  # type: ignore[arg-type]
        self.transport = Transport()
        self.process.connection_made(self.transport)  # type: ignore[arg-type]
        self.process.state(RoomSnapshot("T", (ParticipantView("a", "A"), ParticipantView("b", "B"))))
        self._sequence = 0

    def request_keyframe(self, participant_id: str, source: str) -> None:
        self.asked.append((participant_id, source))

    def subscribe(self, listener: Any) -> Any:
        raise AssertionError("not the process's matter")

    def video(self, participant: str = "a", *, key: bool = False, size: int = 1100) -> None:
        payload = (b"\x65\x88" if key else b"\x41\x9a") + bytes(size)
        self._send(participant, "video", Codec(H264, 90_000), payload)

    def audio(self, participant: str = "a", size: int = 100) -> None:
        self._send(participant, "audio", Codec(OPUS, 48_000), bytes(size))

    def _send(self, participant: str, kind: Any, codec: Codec, payload: bytes) -> None:
        self._sequence += 1
        packet = build(Packet(True, 96, self._sequence & 0xFFFF, 0, 1, payload))
        self.process.rtp(participant, "camera", kind, codec, packet)

    async def sent(self) -> list[tuple[int, bytes]]:
        await asyncio.sleep(0)
        data, self.transport.data = bytes(self.transport.data), bytearray()
        return wire.Reader().feed(data)


@pytest.fixture
async def line() -> Line:
    return Line()


async def test_a_track_is_said_once_before_its_packets(line: Line) -> None:
    for _ in range(3):
        line.video()
    line.audio()
    messages = await line.sent()
    assert [kind for kind, _ in messages] == [
        wire.Type.STATE,
        wire.Type.TRACK,
        *[wire.Type.RTP] * 3,
        wire.Type.TRACK,
        wire.Type.RTP,
    ]
    track = wire.read(messages[1][1], wire.Track)
    assert (track.participant, track.kind, track.codec) == ("a", "video", "H264")
    assert wire.RTP_HEAD.unpack_from(messages[2][1])[0] == track.number


async def test_who_comes_back_has_a_new_number(line: Line) -> None:
    line.video()
    line.process.state(RoomSnapshot())
    line.process.state(RoomSnapshot("T", (ParticipantView("a", "A"),)))
    line.video()
    tracks = [wire.read(body, wire.Track).number for kind, body in await line.sent() if kind == wire.Type.TRACK]
    assert len(set(tracks)) == 2


async def test_sender_reports_go_with_a_track_of_their_sender(line: Line) -> None:
    line.process.rtcp("a", "camera", b"nobody knows whose")
    line.video()
    line.process.rtcp("a", "camera", b"report")
    line.process.rtcp("a", "screen", b"no such sender")
    bodies = [body for kind, body in await line.sent() if kind == wire.Type.RTCP]
    assert [body[wire.TRACK_HEAD.size :] for body in bodies] == [b"report"]


async def test_a_full_queue_leaves_pictures_out_up_to_a_key_frame_and_keeps_sound_and_state(line: Line) -> None:
    line.video()
    line.video("b")
    await line.sent()
    line.process.pause_writing()
    for number in range(600):
        line.video()
        if number % 10 == 0:
            line.audio()
    line.process.state(RoomSnapshot("later", (ParticipantView("a", "A"), ParticipantView("b", "B"))))
    assert line.process._queued <= LIMIT
    assert set(line.asked) == {("a", "camera"), ("b", "camera")}
    assert len(line.asked) == 2, "asked once"
    line.process.resume_writing()
    messages = await line.sent()
    sounds = [body for kind, body in messages if kind == wire.Type.RTP and len(body) < 500]
    assert len(sounds) == 60
    assert wire.read([body for kind, body in messages if kind == wire.Type.STATE][-1], RoomSnapshot).title == "later"
    pictures = sum(kind == wire.Type.RTP for kind, _ in messages) - 60
    assert line.process.dropped == 600 - pictures
    line.video()
    assert not await line.sent(), "not before its key frame"
    line.video(key=True)
    line.video()
    assert len(await line.sent()) == 2
    line.video("b")
    assert not await line.sent(), "each stream waits for its own"


async def test_sound_alone_does_not_fill_memory_either(line: Line) -> None:
    await line.sent()
    line.process.pause_writing()
    for _ in range(3000):
        line.audio(size=1000)
    assert line.process._queued <= LIMIT
    assert line.process.dropped > 2000


async def test_states_do_not_pile_up(line: Line) -> None:
    line.process.pause_writing()
    for number in range(500):
        line.process.state(RoomSnapshot(f"title {number}", (ParticipantView("a", "A" * 50),)))
    assert sum(one.kind is wire.Type.STATE for one in line.process._queue) == 1


async def test_what_the_compositor_says(line: Line) -> None:
    line.video()
    number = next(wire.read(body, wire.Track).number for kind, body in await line.sent() if kind == wire.Type.TRACK)
    said = wire.keyframe(number) + wire.keyframe(999) + wire.message(wire.Type.STATE, wire.Report(frames=7))
    line.process.data_received(said[:9])
    line.process.data_received(said[9:])
    assert line.asked == [("a", "camera")]
    assert line.reports == [wire.Report(frames=7)]


async def test_a_compositor_of_another_language_is_given_up(line: Line) -> None:
    line.process.data_received(b"\xff" * 20)
    assert "another language" in line.process._fatal.result()


def test_exit_codes_in_words() -> None:
    assert _words(1) == "its process ended with code 1"
    assert _words(-9) == "its process was ended by SIGKILL"
    assert "1000" in _words(-1000)
