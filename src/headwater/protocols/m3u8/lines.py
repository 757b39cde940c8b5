"""The lines of playlists (RFC 8216bis, clause 4.4): what each tag looks like, and nothing of when it is due.

Durations are seconds with five decimals everywhere, so that what is compared (a part with PART-TARGET, the sum of parts
with EXTINF) was rounded alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MS_PER_DAY = 86_400_000


def seconds(value: float) -> str:
    return f"{value:.5f}"


def program_date_time(epoch_ms: int) -> str:
    """EXT-X-PROGRAM-DATE-TIME (4.4.4.6) in UTC with milliseconds, by arithmetic: no clock, no locale."""
    days, of_day = divmod(epoch_ms, MS_PER_DAY)
    # Civil date from days since 1970-01-01 (proleptic Gregorian, eras of 400 years).
    z = days + 719_468
    era, day_of_era = divmod(z, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_index = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_index + 2) // 5 + 1
    month = month_index + 3 if month_index < 10 else month_index - 9
    year = year_of_era + era * 400 + (month <= 2)
    hour, rest = divmod(of_day, 3_600_000)
    minute, rest = divmod(rest, 60_000)
    second, ms = divmod(rest, 1000)
    return f"#EXT-X-PROGRAM-DATE-TIME:{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z\n"


def part(duration_s: float, uri: str, *, independent: bool) -> str:
    """EXT-X-PART (4.4.4.9)."""
    flag = ",INDEPENDENT=YES" if independent else ""
    return f'#EXT-X-PART:DURATION={duration_s:.5f},URI="{uri}"{flag}\n'


def init_section(uri: str) -> str:
    """EXT-X-MAP (4.4.4.5)."""
    return f'#EXT-X-MAP:URI="{uri}"\n'


def segment(duration_s: float, uri: str, *, gap: bool = False) -> str:
    """EXTINF (4.4.4.1) and the URI line; EXT-X-GAP (4.4.4.7) before a segment that cannot be had."""
    return f"{'#EXT-X-GAP' + chr(10) if gap else ''}#EXTINF:{duration_s:.5f},\n{uri}\n"


def preload_hint(uri: str) -> str:
    """EXT-X-PRELOAD-HINT (4.4.5.3)."""
    return f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{uri}"\n'


def rendition_report(uri: str, last_msn: int, last_part: int) -> str:
    """EXT-X-RENDITION-REPORT (4.4.5.4)."""
    return f'#EXT-X-RENDITION-REPORT:URI="{uri}",LAST-MSN={last_msn},LAST-PART={last_part}\n'


def skip(count: int) -> str:
    """EXT-X-SKIP (4.4.5.2)."""
    return f"#EXT-X-SKIP:SKIPPED-SEGMENTS={count}\n"


def low_latency_header(target_duration_s: int, part_target_s: float, longest_part_target_s: float) -> str:
    """The tags of a live low-latency playlist that never change (4.4.3.1, 4.4.3.7, 4.4.3.8).

    PART-HOLD-BACK is three part targets (Apple's authoring specification; the draft asks for two), HOLD-BACK three and
    CAN-SKIP-UNTIL six target durations. EXT-X-SERVER-CONTROL is the same in every playlist of a stream (6.2.4), so its
    part hold back is that of the rendition with the longest parts.
    """
    return (
        f"#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:{target_duration_s}\n"
        f"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={3 * longest_part_target_s + 0.00001:.5f},"
        f"HOLD-BACK={3 * target_duration_s}.0,CAN-SKIP-UNTIL={6 * target_duration_s}.0\n"
        f"#EXT-X-PART-INF:PART-TARGET={part_target_s:.5f}\n"
    )


def plain_header(target_duration_s: int, playlist_type: str | None) -> str:
    """The head of a playlist without low latency: EVENT, VOD, or what is left after the end."""
    kind = f"#EXT-X-PLAYLIST-TYPE:{playlist_type}\n" if playlist_type else ""
    return f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target_duration_s}\n{kind}"


def sequence(msn: int, discontinuity_sequence: int) -> str:
    """EXT-X-MEDIA-SEQUENCE and EXT-X-DISCONTINUITY-SEQUENCE (4.4.3.2, 4.4.3.3)."""
    return f"#EXT-X-MEDIA-SEQUENCE:{msn}\n#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}\n"


@dataclass(frozen=True, slots=True)
class AudioRendition:
    """An EXT-X-MEDIA of TYPE=AUDIO (4.4.6.1)."""

    uri: str
    name: str
    language: str
    channels: int
    codecs: str
    peak_bps: int
    average_bps: int


@dataclass(frozen=True, slots=True)
class Variant:
    """An EXT-X-STREAM-INF (4.4.6.2); bit rates without the audio group's."""

    uri: str
    codecs: str
    peak_bps: int
    average_bps: int
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0


def multivariant(variants: Sequence[Variant], audio: Sequence[AudioRendition]) -> str:
    """A multivariant playlist. Without video the first audio track is the variant.

    BANDWIDTH and AVERAGE-BANDWIDTH hold the heaviest rendition of the audio group.
    """
    out = ["#EXTM3U\n#EXT-X-VERSION:9\n"]
    for index, rendition in enumerate(audio):
        language = f',LANGUAGE="{rendition.language}"' if rendition.language != "und" else ""
        default = "YES" if index == 0 else "NO"
        out.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="{rendition.name}"{language},DEFAULT={default},'
            f'AUTOSELECT=YES,CHANNELS="{rendition.channels}",URI="{rendition.uri}"\n'
        )
    peak = max((rendition.peak_bps for rendition in audio), default=0)
    average = max((rendition.average_bps for rendition in audio), default=0)
    codecs_of_audio = list(dict.fromkeys(rendition.codecs for rendition in audio))
    group = ',AUDIO="audio"' if audio else ""
    for variant in variants or [Variant(a.uri, "", 0, 0) for a in audio[:1]]:
        codecs = ",".join(filter(None, [variant.codecs, *codecs_of_audio]))
        attributes = f'CODECS="{codecs}"'
        if variant.width:
            attributes += f",RESOLUTION={variant.width}x{variant.height}"
        if variant.frame_rate:
            attributes += f",FRAME-RATE={variant.frame_rate:.3f}"
        out.append(
            f"#EXT-X-STREAM-INF:BANDWIDTH={variant.peak_bps + peak},AVERAGE-BANDWIDTH={variant.average_bps + average},"
            f"{attributes}{group}\n{variant.uri}\n"
        )
    return "".join(out)
