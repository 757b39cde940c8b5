"""What two sides agree on: codecs and sections; and what we are willing to agree on: the policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["audio", "video"]
CodecName: TypeAlias = Literal["H264", "VP8", "opus"]
Direction: TypeAlias = Literal["recvonly", "sendonly", "inactive"]

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
"""RFC 9143, 15.2: the section that a packet belongs to."""
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
"""RFC 6464: how loud a packet of sound is."""
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
"""When a packet left its sender, 24 bits of 6.18 fixed point seconds; what REMB is computed from."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A codec as one section agreed on it.

    Attributes:
        payload_type: 0 to 127; the offer's number, in both directions.
        clock_rate: RTP ticks a second: 90,000 for video, 48,000 for Opus.
        channels: 1 for video; 2 for Opus, whatever it carries (RFC 7587, 7).
        parameters: `a=fmtp` of the answer, e.g. `profile-level-id`; names in lower case.
        feedback: `a=rtcp-fb` of the answer: `nack`, `nack pli`, `ccm fir`, `goog-remb`.
        rtx_payload_type: Of retransmissions (RFC 4588); None: those come as the packets were.
    """

    name: CodecName
    kind: Kind
    payload_type: int
    clock_rate: int
    channels: int = 1
    parameters: Mapping[str, str] = field(default_factory=dict)
    feedback: frozenset[str] = frozenset()
    rtx_payload_type: int | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """One m= section, as agreed.

    Attributes:
        mid: Its name, which does not change while the peer lives: use it as the key.
        direction: Ours: `recvonly` where a publisher sends to us, `sendonly` where we send to a viewer, `inactive`
            where the section was refused or nothing flows.
        codec: None where the section was refused.
        ssrc: Of who sends: theirs from the offer (None until the first packet where the offer does not say), or ours.
        rtx_ssrc: The same for retransmissions; None where there are none.
        extensions: Agreed header extensions: URI to id, the same in both directions.
        track_id: Of the `Outgoing` that is sent in it; None where we receive.
    """

    mid: str
    kind: Kind
    direction: Direction
    codec: Codec | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    extensions: Mapping[str, int] = field(default_factory=dict)
    track_id: str | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A track that we would send.

    Attributes:
        parameters: What it is coded with, where that matters: H.264's `profile-level-id` and `packetization-mode`. The
            payload type of the offer that says the same is taken; else one whose decoder reads more; else any of H.264.
        stream_id: Tracks with the same one are played in step; becomes `a=msid`.
        track_id: As the viewer sees it.
        optional: A viewer who did not offer its kind goes without; else that is an error.
    """

    kind: Kind
    codec: CodecName
    stream_id: str
    track_id: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What we are willing to receive and to send.

    Attributes:
        receive_audio: Codecs in our order of preference; empty: audio sections of a publisher are refused.
        receive_video: The same for video.
        receive_limit: Sections of each kind that are received; further ones are refused (a port of 0), not an error.
        send: Tracks for the viewer's sections that receive, by kind and in order.
        anonymous: Nobody vouches for who offers: no key, no token.
    """

    receive_audio: Sequence[CodecName] = ()
    receive_video: Sequence[CodecName] = ()
    receive_limit: int = 1
    send: Sequence[Outgoing] = ()
    anonymous: bool = False
