"""What these tests share: packets, a clock that is turned by hand, peers made of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headwater.events import RoomEvent
from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.moment import Moment
from headwater.protocols.rtp.packet import ONE_BYTE, Packet, build, parse
from headwater.rooms import Admission, Permissions
from headwater.webrtc.media import ABS_SEND_TIME, AUDIO_LEVEL, Codec, NotServed, Policy, Section
from headwater.webrtc.peer import DELETED, NOT_HEARD, PeerHandler, State

NTP_AT_0 = 0x1_0000_0000 * 3_900_000_000

H264 = Codec("H264", "video", 102, 90_000, feedback=frozenset({"nack", "nack pli"}), rtx_payload_type=103)
VP8 = Codec("VP8", "video", 96, 90_000, feedback=frozenset({"nack", "nack pli"}), rtx_payload_type=97)
OPUS = Codec("opus", "audio", 111, 48_000, 2)

KEY = bytes((5, 0x88)) + bytes(40)
"""The first slice of an IDR picture."""
DELTA = bytes((1, 0x9A)) + bytes(40)


def packet_sent(sequence: int, sent_s: float, payload: bytes) -> bytes:
    """With the time at which it left, as element 2."""
    element = bytes((0x22,)) + (round(sent_s * 262_144) & 0xFFFFFF).to_bytes(3, "big")
    return build(Packet(False, 102, sequence & 0xFFFF, sequence * 3000, 2001, payload, element, ONE_BYTE))


def packet(
    sequence: int, timestamp: int = 0, *, ssrc: int = 7, payload: bytes = KEY, level: int | None = None, pt: int = 102
) -> bytes:
    extension = b"" if level is None else bytes((0x10, level))
    profile = 0 if level is None else ONE_BYTE
    return build(Packet(False, pt, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, payload, extension, profile))


class Hands:
    """A clock turned by hand."""

    def __init__(self) -> None:
        self.s = 100.0
        self.clock = Clock(lambda: self.s, lambda: 1_800_000_000_000 + self.s * 1000)

    def __call__(self) -> Moment:
        return self.clock.now()

    def ntp(self) -> int:
        return self.clock.ntp()


def admission(participant: str = "anna", **changes: object) -> Admission:
    """Somebody who may do everything."""
    values: dict[str, object] = {
        "app_id": "app",
        "meeting_id": "meeting",
        "title": "Weekly sync",
        "participant_id": participant,
        "custom_participant_id": f"custom-{participant}",
        "name": participant.title(),
        "picture": None,
        "preset": "host",
        "permissions": Permissions(True, True, True, True, True, True),
        "keep_alive_s": 60.0,
        "expires_ms": 2_000_000_000_000,
    }
    return Admission(**{**values, **changes})  # type: ignore[arg-type]


class FakePeer:
    """A peer that notes what is asked of it."""

    def __init__(self, peer_id: str, sections: Sequence[Section], handler: PeerHandler) -> None:
        self.id = peer_id
        self.sections = tuple(sections)
        self.handler = handler
        self.answer = "v=0"
        self.etag = '"1"'
        self.state: State = "new"
        self.round_trip_ms: float | None = 20.0
        self.remote = "192.0.2.1:5000"
        self.sent: list[Packet] = []
        self.resent: list[Packet] = []
        self.compounds: list[bytes] = []
        self.keyframes: list[str] = []
        self.closed_for: str | None = None

    def connect(self) -> None:
        self.state = "connected"
        self.handler.connected(self)

    def vanish(self) -> None:
        self.end(f"{NOT_HEARD} for 9 s")

    def delete(self) -> None:
        self.end(DELETED)

    def receive(self, kind: str, data: bytes) -> None:
        section = next(each for each in self.sections if each.kind == kind)
        self.handler.rtp(self, section, data)

    def send_rtp(self, packet: bytes | bytearray) -> bool:
        if self.state != "connected":
            return False
        self.sent.append(parse(bytes(packet)))
        return True

    def resend_rtp(self, section: Section, packet: bytes | bytearray) -> bool:
        self.resent.append(parse(bytes(packet)))
        return True

    def send_rtcp(self, compound: bytes) -> bool:
        self.compounds.append(compound)
        return True

    def request_keyframe(self, section: Section) -> None:
        self.keyframes.append(section.mid)

    def trickle(self, fragment: str) -> str | None:
        return None

    def close(self, reason: str) -> None:
        self.state = "closed"
        self.closed_for = reason

    def end(self, reason: str) -> None:
        self.state = "closed"
        self.handler.closed(self, reason)


@dataclass
class FakeAcceptor:
    """Answers an offer that names what it has, e.g. `audio video` or `audio vp8`."""

    peers: list[FakePeer] = field(default_factory=list)

    def accept(self, offer: str, policy: Policy, handler: PeerHandler) -> FakePeer:
        number = len(self.peers) + 1
        sections = []
        video = VP8 if "vp8" in offer else H264
        if "audio" in offer and policy.receive_audio:
            sections.append(Section("0", "audio", "recvonly", OPUS, 1000 + number, extensions={AUDIO_LEVEL: 1}))
        if ("video" in offer or "vp8" in offer) and policy.receive_video:
            sections.append(Section("1", "video", "recvonly", video, 2000 + number, extensions={ABS_SEND_TIME: 2}))
        for track in policy.send:
            codec = OPUS if track.kind == "audio" else {"H264": H264, "VP8": VP8}[track.codec]
            ssrc = (3000 if track.kind == "audio" else 4000) + number
            sections.append(Section(str(len(sections)), track.kind, "sendonly", codec, ssrc, track_id=track.track_id))
        if not sections:
            raise NotServed("the offer has nothing that is served")
        self.peers.append(FakePeer(f"{number:032x}", sections, handler))
        return self.peers[-1]

    def peer(self, identifier: str) -> FakePeer | None:
        return next((each for each in self.peers if each.id == identifier and each.state != "closed"), None)

    def ice_server_links(self) -> Sequence[str]:
        return ()


@dataclass
class Heard:
    """What the room told the rest of the server."""

    events: list[RoomEvent] = field(default_factory=list)

    def __call__(self, event: RoomEvent) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]
