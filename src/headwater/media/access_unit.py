"""The unit in which media leaves ingest."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class AccessUnit:
    """One coded picture or audio frame, as ingested. Not frozen: one is made per RTMP message, on the hot path.

    Attributes:
        track_id: The `Track.id` that it belongs to.
        dts: Decode time in the track's timescale; unwrapped, may start anywhere, may misbehave (the packager repairs).
        composition_offset: Presentation time minus decode time, in the track's timescale; may be negative.
        sync: Decoding can start here (IDR, key frame; every audio frame).
        payload: The coded bytes, as ISO BMFF stores them (length-prefixed NAL units, raw AAC frame, OBUs).
    """

    track_id: int
    dts: int
    composition_offset: int
    sync: bool
    payload: bytes
