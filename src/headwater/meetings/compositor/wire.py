"""What a compositor and its parent say to each other over a socket pair. No I/O.

    message = type(1) size(4, big-endian) body(size)

    to the compositor:                                 from it:
    JOB       JSON of settings.Job, first              KEYFRAME  track(2): please ask for one
    STATE     JSON of tap.RoomSnapshot                 STATE     JSON of Report, once a second
    TRACK     JSON of Track: a number for a stream     FATAL     JSON of Fatal: it ends and needs no restart
    RTP       track(2) arrival(8, microseconds) packet
    RTCP      track(2) compound, of that track's sender

Both run on one machine, so the monotonic clock of one is that of the other. The parent is trusted, and so is the
shape of what it sends; what it passes on from participants is checked where it is parsed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

import msgspec

from headwater.errors import ProtocolError
from headwater.meetings.tap import Kind, SourceName

MAX_MESSAGE_BYTES = 1024 * 1024
"""A snapshot of a thousand participants is 200 KB; a packet has 1,500 bytes."""

_HEAD = struct.Struct(">BI")
_RTP = struct.Struct(">BIHQ")
_RTCP = struct.Struct(">BIH")
_KEYFRAME = struct.Struct(">BIH")
RTP_HEAD = struct.Struct(">HQ")
"""At the start of an RTP body: the track, and when it came, in microseconds."""
TRACK_HEAD = struct.Struct(">H")
"""At the start of an RTCP or KEYFRAME body."""

_T = TypeVar("_T")


class Type(IntEnum):
    JOB = 1
    STATE = 2
    TRACK = 3
    RTP = 4
    RTCP = 5
    KEYFRAME = 6
    FATAL = 7


@dataclass(frozen=True, slots=True)
class Track:
    """One stream that a participant sends."""

    number: int
    participant: str
    source: SourceName
    kind: Kind
    codec: str
    clock_rate: int


@dataclass(frozen=True, slots=True)
class Report:
    """How a compositor does; counters since its start.

    Attributes:
        state: `connecting`, `publishing`, `waiting` (to connect again).
        reason: Why it is waiting.
        connections: How often publishing began.
        passing: A lone participant's picture is passed on as it is.
        frames: Pictures sent.
        skipped: Instants for which no picture was made, because the machine was too slow.
        cpu_s: User and system time.
        counters: More, by name.
    """

    state: str = "connecting"
    reason: str = ""
    connections: int = 0
    passing: bool = False
    frames: int = 0
    skipped: int = 0
    cpu_s: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fatal:
    """Why a compositor cannot go on, in words for whoever started the broadcast."""

    reason: str


def message(kind: Type, value: object) -> bytes:
    """A message with a JSON body."""
    body = msgspec.json.encode(value)
    return _HEAD.pack(kind, len(body)) + body


def read(body: bytes, kind: type[_T]) -> _T:
    """A JSON body as what it is.

    Raises:
        ProtocolError: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"no {kind.__name__}: {error}") from error


def rtp(track: int, arrival_us: int, packet: bytes) -> bytes:
    """Hot: one for each packet."""
    return _RTP.pack(Type.RTP, RTP_HEAD.size + len(packet), track, arrival_us) + packet


def rtcp(track: int, compound: bytes) -> bytes:
    return _RTCP.pack(Type.RTCP, TRACK_HEAD.size + len(compound), track) + compound


def keyframe(track: int) -> bytes:
    return _KEYFRAME.pack(Type.KEYFRAME, TRACK_HEAD.size, track)


class Reader:
    """Bytes in, cut anywhere; messages out."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are complete now: (type, body).

        Raises:
            ProtocolError: one is longer than MAX_MESSAGE_BYTES.
        """
        buffer = self._buffer
        buffer += data
        found, at = [], 0
        while at + _HEAD.size <= len(buffer):
            kind, size = _HEAD.unpack_from(buffer, at)
            if size > MAX_MESSAGE_BYTES:
                raise ProtocolError(f"a message of {size} bytes; at most {MAX_MESSAGE_BYTES}")
            end = at + _HEAD.size + size
            if end > len(buffer):
                break
            found.append((kind, bytes(buffer[at + _HEAD.size : end])))
            at = end
        if at:
            del buffer[:at]
        return found
