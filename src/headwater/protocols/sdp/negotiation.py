"""What an offer and our policy have in common: section by section, and the codec of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from headwater.protocols.sdp.errors import NotServed
from headwater.protocols.sdp.h264 import profile, receiving_rank, sending_rank
from headwater.protocols.sdp.media import (
    ABS_SEND_TIME,
    AUDIO_LEVEL,
    MID,
    Codec,
    CodecName,
    Kind,
    Outgoing,
    Policy,
    Section,
)
from headwater.protocols.sdp.offer import Offer, OfferedCodec, OfferedSection

FEEDBACK = frozenset({"nack", "nack pli", "ccm fir", "goog-remb"})
"""What is agreed of what is offered. Not `transport-cc`: whoever receives estimates by REMB."""
EXTENSIONS = (MID, AUDIO_LEVEL, ABS_SEND_TIME)
"""Likewise. Not the video's orientation: who is not allowed to send it turns the picture itself."""

_KINDS: dict[CodecName, tuple[Kind, int, int]] = {
    "H264": ("video", 90_000, 1),
    "VP8": ("video", 90_000, 1),
    "opus": ("audio", 48_000, 2),
}


@dataclass(frozen=True, slots=True)
class Agreed:
    """One section of the offer and what becomes of it.

    Attributes:
        section: None: it is neither audio nor video, and refused.
        outgoing: What is sent in it.
    """

    offered: OfferedSection
    section: Section | None
    outgoing: Outgoing | None = None


def negotiate(offer: Offer, policy: Policy, new_ssrc: Callable[[], int]) -> tuple[Agreed, ...]:
    """Decide on every section.

    Args:
        new_ssrc: Gives our sources; each call another one.

    Raises:
        NotServed: nothing is left, or a track that is not optional finds no section or no codec.
    """
    outgoing = list(policy.send)
    room: dict[str, int] = {"audio": policy.receive_limit, "video": policy.receive_limit}
    agreed = [_one(each, policy, outgoing, room, new_ssrc) for each in offer.sections]
    for track in outgoing:
        if not track.optional:
            raise NotServed(
                f"the offer has no section that receives {track.kind}: add a recvonly transceiver for {track.kind}"
            )
    if not any(each.section is not None and each.section.direction != "inactive" for each in agreed):
        raise NotServed(_why_nothing(offer, policy))
    return tuple(agreed)


def _one(
    offered: OfferedSection,
    policy: Policy,
    outgoing: list[Outgoing],
    room: dict[str, int],
    new_ssrc: Callable[[], int],
) -> Agreed:
    if offered.kind not in ("audio", "video"):
        return Agreed(offered, None)
    kind = cast(Kind, offered.kind)
    refused = Agreed(offered, Section(offered.mid, kind, "inactive"))
    if not offered.wanted:
        return refused
    wanted = policy.receive_audio if kind == "audio" else policy.receive_video
    if offered.direction in ("sendonly", "sendrecv") and wanted:
        if room[kind] <= 0:
            return refused
        room[kind] -= 1
        return _receive(offered, kind, wanted)
    track = next((each for each in outgoing if each.kind == kind), None)
    if offered.direction in ("recvonly", "sendrecv") and track is not None:
        section = _send(offered, track, new_ssrc)
        if section is None:
            raise NotServed(_no_codec(offered, [track.codec], receiving=False))
        outgoing.remove(track)
        return Agreed(offered, section, track)
    return _idle(offered, kind)


def _receive(offered: OfferedSection, kind: Kind, wanted: Sequence[CodecName]) -> Agreed:
    for name in wanted:
        found = best(offered, name, receiving_rank)
        if found is not None:
            codec = _codec(offered, name, found)
            rtx_ssrc = offered.rtx_ssrc if codec.rtx_payload_type is not None else None
            extensions = _extensions(offered)
            return Agreed(
                offered,
                Section(offered.mid, kind, "recvonly", codec, offered.ssrc, rtx_ssrc, extensions),
            )
    raise NotServed(_no_codec(offered, wanted, receiving=True))


def _send(offered: OfferedSection, track: Outgoing, new_ssrc: Callable[[], int]) -> Section | None:
    found = best(offered, track.codec, lambda theirs: sending_rank(track.parameters, theirs))
    if found is None:
        return None
    codec = _codec(offered, track.codec, found)
    rtx_ssrc = new_ssrc() if codec.rtx_payload_type is not None else None
    return Section(
        offered.mid, track.kind, "sendonly", codec, new_ssrc(), rtx_ssrc, _extensions(offered), track.track_id
    )


def _idle(offered: OfferedSection, kind: Kind) -> Agreed:
    """Nothing flows, but the section stands: a refused first section would end the bundle in some browsers."""
    for name, (of, _, _) in _KINDS.items():
        found = best(offered, name, receiving_rank) if of == kind else None
        if found is not None:
            return Agreed(offered, Section(offered.mid, kind, "inactive", _codec(offered, name, found)))
    return Agreed(offered, Section(offered.mid, kind, "inactive"))


def best(
    offered: OfferedSection, name: CodecName, h264_rank: Callable[[dict[str, str]], int | None]
) -> OfferedCodec | None:
    """The offered payload type of a codec; among several of H.264 the one of the lowest rank, the first of equals."""
    kind, rate, channels = _KINDS[name]
    found: list[tuple[int, OfferedCodec]] = []
    for codec in offered.codecs:
        if codec.name.lower() != name.lower() or codec.clock_rate != rate:
            continue
        if kind == "audio" and codec.channels != channels:
            continue
        rank = h264_rank(dict(codec.parameters)) if name == "H264" else 0
        if rank is not None:
            found.append((rank, codec))
    return min(found, key=lambda each: each[0])[1] if found else None


def _codec(offered: OfferedSection, name: CodecName, found: OfferedCodec) -> Codec:
    kind, rate, channels = _KINDS[name]
    return Codec(
        name,
        kind,
        found.payload_type,
        rate,
        channels,
        found.parameters,
        found.feedback & FEEDBACK,
        offered.retransmits.get(found.payload_type) if "nack" in found.feedback else None,
    )


def _extensions(offered: OfferedSection) -> dict[str, int]:
    return {uri: offered.extensions[uri] for uri in EXTENSIONS if 0 < offered.extensions.get(uri, 0) < 15}


def _no_codec(offered: OfferedSection, wanted: Sequence[str], *, receiving: bool) -> str:
    theirs = ", ".join(dict.fromkeys(_spelt(offered))) or "none"
    verb = "can be received" if receiving else "is sent"
    return f"no common {offered.kind} codec: {' or '.join(wanted)} {verb} here, the offer has {theirs}"


def _spelt(offered: OfferedSection) -> Iterator[str]:
    for codec in offered.codecs[:20]:
        yield f"{codec.name} ({profile(codec.parameters)})" if codec.name.upper() == "H264" else codec.name[:20]


def _why_nothing(offer: Offer, policy: Policy) -> str:
    receives = bool(policy.receive_audio or policy.receive_video)
    if receives and all(each.direction in ("recvonly", "inactive") for each in offer.sections if each.wanted):
        return "the offer sends nothing: every section is recvonly or inactive; add a track before the offer is made"
    if receives:
        kinds = [kind for kind in ("audio", "video") if getattr(policy, f"receive_{kind}")]
        return f"the offer sends nothing that is received here: {' and '.join(kinds)}"
    return "the offer receives nothing that is sent here: add recvonly transceivers for audio and video"
