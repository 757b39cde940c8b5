"""One viewer by WHEP: the playout's packets with its own headers; NACKs answered, sender reports sent.

The sound goes out as it comes. The picture begins with a key frame: with the newest one, whose followers are sent with
it in one go, their times pressed together, so that the viewer is at once where the others are; a burst is paced.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.errors import ProtocolError
from headwater.protocols.rtp import rtcp
from headwater.protocols.rtp.packet import HEADER_BYTES, rewrite, timestamp_of
from headwater.protocols.rtp.rtcp import Fir, Nack, Pli
from headwater.webrtc.media import Kind, Section
from headwater.webrtc.peer import Peer

HISTORY = 1024
"""Packets of a lane that can be sent again, a power of two: 2 s at 5 Mbit/s. They are shared between viewers; a viewer
keeps 100 KB of what it needs to find them."""

BURST_PACKETS = 48
BURST_S = 0.005
"""So many packets go out at a time while a burst lasts: 90 Mbit/s, below what a home's link takes in one go."""

MAX_WAITING = 8192
"""Packets that may wait in a burst: the longest GOP that is kept, and what comes meanwhile."""

BURST_STEP = 90
"""RTP ticks (1 ms) between the pictures of a burst."""

PICTURE_LOSS_S = 5.0
"""How often a viewer that lost the picture gets the newest GOP again at most. In between it waits for the next key
frame and is sent no picture, which it could not show: a link that is too slow is not helped by sending more."""

AGAIN_PER_S = 1000
"""Packets sent again to one viewer in a second at most: twice what 5 Mbit/s has. Who loses more is not helped by it."""

_log = logging.getLogger("headwater.whep")


@dataclass(slots=True)
class PictureUnit:
    """One access unit of the picture, packed: packets that carry a timestamp, to be given new headers."""

    packets: list[bytes]
    key: bool


class Programme(Protocol):
    """What a viewer needs of its playout."""

    def join(self, viewer: Viewer) -> None: ...
    def leave(self, viewer: Viewer, reason: str) -> None: ...
    def newest_gop(self) -> Sequence[PictureUnit]: ...
    def want_keyframe(self) -> None: ...
    def now_stamps(self) -> tuple[float, dict[Kind, int]]: ...


class Lane:
    """One section that is sent: its numbers, and what was sent by them."""

    __slots__ = ("_sent", "kind", "octets", "packets", "payload_type", "section", "sequence", "ssrc")

    def __init__(self, section: Section) -> None:
        assert section.codec is not None and section.ssrc is not None, "it is sent"
        self.section = section
        self.kind: Kind = section.kind
        self.payload_type = section.codec.payload_type
        self.ssrc = section.ssrc
        self.sequence = secrets.randbits(15)
        self.packets = self.octets = 0
        self._sent: list[tuple[int, bytes, int] | None] = [None] * HISTORY

    def next(self, packet: bytes, timestamp: int) -> bytearray:
        """The next packet of this lane. Hot."""
        sequence = self.sequence
        self.sequence = (sequence + 1) & 0xFFFF
        self._sent[sequence & (HISTORY - 1)] = (sequence, packet, timestamp)
        self.packets += 1
        self.octets += len(packet) - HEADER_BYTES
        return rewrite(packet, payload_type=self.payload_type, sequence=sequence, timestamp=timestamp, ssrc=self.ssrc)

    def again(self, sequence: int) -> bytearray | None:
        """A packet as it was sent; None: it is too old, or never was."""
        found = self._sent[sequence & (HISTORY - 1)]
        if found is None or found[0] != sequence:
            return None
        return rewrite(found[1], payload_type=self.payload_type, sequence=sequence, timestamp=found[2], ssrc=self.ssrc)


class Viewer:
    """A `PeerHandler`. Made before its peer; `begin` when both are there."""

    def __init__(self, clock: Callable[[], float], cname: str) -> None:
        """`clock` gives seconds; `cname` names both tracks' sender, as the session description does."""
        self._cname = cname
        self.key = secrets.token_hex(8).encode()
        self._clock = clock
        self._peer: Peer | None = None
        self._programme: Programme | None = None
        self._picture: Lane | None = None
        self._sound: Lane | None = None
        self._waits = True
        self._burst: deque[tuple[bytes, int]] = deque()
        self._bursting: asyncio.TimerHandle | None = None
        self._renewed_s = float("-inf")
        self._again_s, self._again_left = float("-inf"), 0
        self.joined = False
        self.ended = False

    def begin(self, peer: Peer, programme: Programme) -> None:
        """Both are there: it watches as soon as the peer is connected."""
        self._peer, self._programme = peer, programme
        for section in peer.sections:
            if section.direction == "sendonly" and section.codec is not None and section.ssrc is not None:
                lane = Lane(section)
                if section.kind == "video":
                    self._picture = lane
                else:
                    self._sound = lane
        if peer.state == "connected":
            self.connected(peer)

    # -- PeerHandler --------------------------------------------------------------------------------------------

    def connected(self, peer: Peer) -> None:
        if self._programme is None or self.joined or self.ended:
            return  # `begin` will come, or it has
        self.joined = True
        self._programme.join(self)
        self._renew()

    def rtp(self, peer: Peer, section: Section, packet: bytes) -> None:
        """A viewer sends no media."""

    def rtcp(self, peer: Peer, compound: bytes) -> None:
        try:
            found = rtcp.parse(compound)
        except ProtocolError:
            return  # the next one will do
        for packet in found:
            if isinstance(packet, Nack):
                self._send_again(peer, packet)
            elif isinstance(packet, Pli | Fir):
                self._picture_lost()

    def closed(self, peer: Peer, reason: str) -> None:
        self._leave(reason)

    # -- what the playout gives ---------------------------------------------------------------------------------

    def picture(self, unit: PictureUnit) -> None:
        """An access unit of the picture. Hot."""
        lane, peer = self._picture, self._peer
        if lane is None or peer is None:
            return
        if self._waits:
            if not unit.key:
                return
            self._waits = False
        if self._burst:
            self._queue(unit.packets)
            return
        for packet in unit.packets:
            peer.send_rtp(lane.next(packet, int.from_bytes(packet[4:8], "big")))

    def sound(self, packet: bytes) -> None:
        """A packet of the sound. Hot."""
        lane, peer = self._sound, self._peer
        if lane is not None and peer is not None:
            peer.send_rtp(lane.next(packet, int.from_bytes(packet[4:8], "big")))

    def wait(self) -> None:
        """The picture goes on with the next key frame: nothing before it belongs to what follows."""
        self._waits = True
        self._burst.clear()

    def report(self, wall_ms: float, stamps: dict[Kind, int]) -> None:
        """Send reports of what was sent: `stamps` are played at `wall_ms`."""
        peer = self._peer
        for lane in (self._picture, self._sound):
            stamp = stamps.get(lane.kind) if lane is not None else None
            if lane is None or stamp is None or not lane.packets or peer is None:
                continue
            report = rtcp.SenderReport(lane.ssrc, rtcp.ntp_of(wall_ms), stamp, lane.packets, lane.octets)
            peer.send_rtcp(rtcp.build(report, rtcp.Description(lane.ssrc, self._cname)))

    def close(self, reason: str) -> None:
        """End it from our side. Idempotent."""
        if self._peer is not None:
            self._peer.close(reason)
        self._leave(reason)

    # -- behind -------------------------------------------------------------------------------------------------

    def _leave(self, reason: str) -> None:
        if self.ended:
            return
        self.ended = True
        self._burst.clear()
        if self._bursting is not None:
            self._bursting.cancel()
        if self._programme is not None:
            self._programme.leave(self, reason)

    def _renew(self) -> None:
        """Begin the picture, from the newest key frame on."""
        self._renewed_s = self._clock()
        if self._programme is None or self._picture is None:
            return
        units = self._programme.newest_gop()
        self.wait()
        if not units:
            self._programme.want_keyframe()
            return
        self._waits = False
        last = timestamp_of(units[-1].packets[0])
        for index, unit in enumerate(units):
            stamp = (last - (len(units) - 1 - index) * BURST_STEP) & 0xFFFFFFFF
            self._queue(unit.packets, stamp)
        self._send_burst()

    def _queue(self, packets: Sequence[bytes], stamp: int | None = None) -> None:
        for packet in packets:
            self._burst.append((packet, timestamp_of(packet) if stamp is None else stamp))
        if len(self._burst) > MAX_WAITING:
            self.wait()

    def _send_burst(self) -> None:
        self._bursting = None
        peer, lane = self._peer, self._picture
        if self.ended or peer is None or lane is None:
            return
        for _ in range(min(BURST_PACKETS, len(self._burst))):
            packet, stamp = self._burst.popleft()
            peer.send_rtp(lane.next(packet, stamp))
        if self._burst:
            self._bursting = asyncio.get_running_loop().call_later(BURST_S, self._send_burst)

    def _send_again(self, peer: Peer, nack: Nack) -> None:
        now_s = self._clock()
        if now_s - self._again_s >= 1:
            self._again_s, self._again_left = now_s, AGAIN_PER_S
        for lane in (self._picture, self._sound):
            if lane is not None and lane.ssrc == nack.media_ssrc:
                for sequence in nack.sequences[: self._again_left]:
                    self._again_left -= 1
                    packet = lane.again(sequence)
                    if packet is not None:
                        peer.resend_rtp(lane.section, packet)

    def _picture_lost(self) -> None:
        if not self.joined or self._waits or self._programme is None:
            return
        if self._clock() - self._renewed_s >= PICTURE_LOSS_S:
            self._renew()
        elif not self._burst:  # else it asks for what is on its way
            self.wait()
            self._programme.want_keyframe()
