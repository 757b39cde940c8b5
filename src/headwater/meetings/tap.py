"""What a room gives to a broadcast: who is there, their RTP as it came, and a way to ask for a key frame.

    room ── Tap.subscribe(listener) ──► listener.state, .rtp, .rtcp        on the event loop, in order, quick
         ◄─ Tap.request_keyframe ──────

The room implements `Tap`; `headwater.meetings.broadcast` listens. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

SourceName: TypeAlias = Literal["camera", "screen"]
Kind: TypeAlias = Literal["audio", "video"]


class TapCodec(Protocol):
    """How a track is coded; `headwater.webrtc.media.Codec` is one."""

    @property
    def name(self) -> str:
        """`H264`, `VP8` or `opus`."""

    @property
    def clock_rate(self) -> int:
        """RTP timestamps per second."""


@dataclass(frozen=True, slots=True)
class SourceView:
    """What is to be shown and heard of one source: published, and not muted."""

    audio: bool = False
    video: bool = False


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """One participant.

    Attributes:
        id: Unique in the room, stable.
        name: As shown; any Unicode, may be empty.
        camera: Camera and microphone.
        screen: The shared screen and its sound.
    """

    id: str
    name: str
    camera: SourceView = SourceView()
    screen: SourceView = SourceView()


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """The room at one moment.

    Attributes:
        title: Of the meeting.
        participants: In the order in which they joined.
        speaking: The active speaker's id.
    """

    title: str = ""
    participants: tuple[ParticipantView, ...] = ()
    speaking: str | None = None


class TapListener(Protocol):
    """Who hears a room. Called on the event loop; must be quick and must not raise."""

    def state(self, snapshot: RoomSnapshot) -> None:
        """At the subscription, and at each change."""

    def rtp(self, participant_id: str, source: SourceName, kind: Kind, codec: TapCodec, packet: bytes) -> None:
        """One RTP packet, decrypted, RTX already unwrapped, in the order of arrival."""

    def rtcp(self, participant_id: str, source: SourceName, compound: bytes) -> None:
        """One compound RTCP packet from who sends that source; its sender reports name the SSRC."""


class Tap(Protocol):
    """One room, as a broadcast sees it."""

    def subscribe(self, listener: TapListener) -> Callable[[], None]:
        """Calls `listener.state` before it returns. The returned function ends the subscription; idempotent."""

    def request_keyframe(self, participant_id: str, source: SourceName) -> None:
        """Ask the sender of a video for a key frame; the room limits how often that leaves."""
