"""The multivariant playlist of a session's tracks, live or recorded."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.media.track import AudioConfig, Track, VideoConfig
from headwater.protocols.m3u8 import lines


def multivariant_of(tracks: Sequence[tuple[str, Track, int, int]], base: str, playlist: str) -> str:
    """A multivariant playlist of (name, track, peak bit rate, average bit rate) tracks."""
    variants: list[lines.Variant] = []
    audio: list[lines.AudioRendition] = []
    for name, track, peak, average in tracks:
        uri, config = f"{base}{name}/{playlist}", track.config
        if isinstance(config, VideoConfig):
            rate = float(config.frame_rate) if config.frame_rate else 0.0
            variants.append(lines.Variant(uri, config.codecs, peak, average, config.width, config.height, rate))
        else:
            assert isinstance(config, AudioConfig)
            label = track.name or (track.language if track.language != "und" else f"Audio {len(audio) + 1}")
            audio.append(
                lines.AudioRendition(uri, label, track.language, config.channels, config.codecs, peak, average)
            )
    return lines.multivariant(variants, audio)
