"""A WebRTC publisher without a network, for tests of ingest: what it sends is made here, what it is told is kept."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.errors import HeadwaterError
from headwater.protocols.rtp import rtcp
from headwater.protocols.rtp.h264 import Packetizer, build_avcc
from headwater.protocols.rtp.sending import Source
from headwater.webrtc.media import Codec, Policy, Section
from headwater.webrtc.peer import PeerHandler

SPS = bytes.fromhex("6742c01fda014016e9b808080a000007d20001d4c11e306540")  # 1280x720
SMALL_SPS = bytes.fromhex("6742c00ddb0282ff970110000003001000000303c0f14299e0")  # another size
PPS = bytes.fromhex("68ce3c80")
RECORD = build_avcc([SPS], [PPS])
OPUS_20_MS = b"\xfcsound"

H264 = Codec("H264", "video", 102, 90_000, feedback=frozenset({"nack", "nack pli"}))
OPUS = Codec("opus", "audio", 111, 48_000, 2)


class SentPeer:
    """A `Peer` that keeps what it is told to send."""

    def __init__(self, handler: PeerHandler, sections: Sequence[Section]) -> None:
        self.id, self.answer, self.etag, self.remote = "a" * 32, "v=0\r\n", '"1"', "192.0.2.1:5000"
        self.sections = tuple(sections)
        self.state = "new"
        self.round_trip_ms: float | None = 40.0
        self.handler = handler
        self.rtp: list[bytes] = []
        self.rtcp: list[rtcp.Rtcp] = []
        self.resent: list[bytes] = []
        self.asked = 0
        self.closed: str | None = None
        self.takes = True

    def connect(self) -> None:
        self.state = "connected"
        self.handler.connected(self)

    def send_rtp(self, packet: bytes | bytearray) -> bool:
        if self.takes:
            self.rtp.append(bytes(packet))
        return self.takes

    def resend_rtp(self, section: Section, packet: bytes | bytearray) -> bool:
        self.resent.append(bytes(packet))
        return True

    def send_rtcp(self, compound: bytes) -> bool:
        self.rtcp += rtcp.parse(compound)
        return True

    def request_keyframe(self, section: Section) -> None:
        assert section.kind == "video"
        self.asked += 1

    def trickle(self, fragment: str) -> str | None:
        return None

    def close(self, reason: str) -> None:
        if self.state != "closed":
            self.state, self.closed = "closed", reason

    def end(self, reason: str) -> None:
        """As if it went by itself."""
        self.state = "closed"
        self.handler.closed(self, reason)


class OnePeer:
    """An `Acceptor` that makes `SentPeer`s of given sections."""

    def __init__(self, *sections: Section) -> None:
        self.sections = sections
        self.peers: list[SentPeer] = []
        self.policies: list[Policy] = []
        self.failure: HeadwaterError | None = None

    def accept(self, offer: str, policy: Policy, handler: PeerHandler) -> SentPeer:
        if self.failure is not None:
            raise self.failure
        self.policies.append(policy)
        peer = SentPeer(handler, self.sections)
        self.peers.append(peer)
        return peer

    def peer(self, identifier: str) -> SentPeer | None:
        return next((peer for peer in self.peers if peer.id == identifier), None)

    def ice_server_links(self) -> Sequence[str]:
        return ()


PICTURE = Section("0", "video", "recvonly", H264, 1)
SOUND = Section("1", "audio", "recvonly", OPUS, 2)


class Camera:
    """The packets of a publisher: pictures at 30 frames a second and sound of 20 ms, from media time 0 on."""

    def __init__(self, record: bytes = RECORD) -> None:
        self.picture = Source(1, 102, 90_000, first_sequence=65_500, first_timestamp=0xFFFF0000)
        self.sound = Source(2, 111, 48_000, first_sequence=9, first_timestamp=77)
        self.packetizer = Packetizer(200)
        self.packetizer.configure(record)

    def frame(self, number: int, *, key: bool = False) -> list[bytes]:
        """Frame `number`, due at number / 30 s; its payload says which it is."""
        nal = bytes((0x65 if key else 0x61, 0x80)) + number.to_bytes(4, "big") + bytes(300)
        payload = len(nal).to_bytes(4, "big") + nal
        return self.picture.packets(self.packetizer.packetize(payload, key=key), number * 3000)

    def opus(self, number: int) -> list[bytes]:
        return self.sound.packets([OPUS_20_MS], number * 960, marker=False)
