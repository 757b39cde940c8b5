"""What a peer and we agree on. Defined with the session descriptions, where they come from; used from here."""

from __future__ import annotations

from headwater.protocols.sdp.errors import NotServed, SdpError
from headwater.protocols.sdp.media import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    Codec,
    CodecName,
    Direction,
    Kind,
    Outgoing,
    Policy,
    Section,
)

__all__ = [
    "ABS_SEND_TIME",
    "AUDIO_LEVEL",
    "MID",
    "Codec",
    "CodecName",
    "Direction",
    "Kind",
    "NotServed",
    "Outgoing",
    "Policy",
    "SdpError",
    "Section",
]
