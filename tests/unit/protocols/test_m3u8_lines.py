"""Lines of playlists, read back by the standard library and by a parser that nobody here wrote."""

from __future__ import annotations

import datetime

import m3u8
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.m3u8 import lines

HEAD = lines.low_latency_header(2, 0.33367, 0.34133) + lines.sequence(7, 3)


@given(st.integers(0, 250_000_000_000_000))
def test_dates_are_those_of_the_calendar(epoch_ms: int) -> None:
    line = lines.program_date_time(epoch_ms)
    assert line.startswith("#EXT-X-PROGRAM-DATE-TIME:") and line.endswith("Z\n")
    read = datetime.datetime.fromisoformat(line.partition(":")[2].strip().replace("Z", "+00:00"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert read - epoch == datetime.timedelta(milliseconds=epoch_ms)


@given(st.floats(0.00001, 100_000), st.booleans(), st.integers(0, 10**9))
def test_parts_read_back(duration: float, independent: bool, number: int) -> None:
    text = HEAD + lines.part(duration, f"p{number}.m4s", independent=independent)
    (part,) = m3u8.loads(text).segments[0].parts
    assert abs(part.duration - duration) <= 0.00001
    assert part.uri == f"p{number}.m4s" and (part.independent == "YES") == independent


@given(st.floats(0.001, 100), st.booleans())
def test_segments_read_back(duration: float, gap: bool) -> None:
    (segment,) = m3u8.loads(HEAD + lines.segment(duration, "5.m4s", gap=gap)).segments
    assert abs(segment.duration - duration) <= 0.00001
    assert segment.uri == "5.m4s" and bool(segment.gap_tag) == gap


def test_a_whole_head_reads_back() -> None:
    text = HEAD + lines.skip(4) + lines.init_section("init3.mp4") + lines.segment(2, "11.m4s")
    text += lines.preload_hint("p9.m4s") + lines.rendition_report("../a0/live.m3u8", 11, 2)
    playlist = m3u8.loads(text)
    assert (playlist.version, playlist.target_duration) == (9, 2)
    assert (playlist.media_sequence, playlist.discontinuity_sequence) == (7, 3)
    control = playlist.server_control
    assert control.part_hold_back >= 3 * 0.34133 and control.hold_back == 6 and control.can_skip_until == 12
    assert playlist.part_inf.part_target == 0.33367
    assert playlist.skip.skipped_segments == 4
    assert playlist.segments[0].init_section.uri == "init3.mp4"
    assert playlist.preload_hint.uri == "p9.m4s" and playlist.preload_hint.hint_type == "PART"
    report = playlist.rendition_reports[0]
    assert (report.uri, report.last_msn, report.last_part) == ("../a0/live.m3u8", 11, 2)


def test_plain_heads_read_back() -> None:
    for kind in ("VOD", "EVENT", None):
        playlist = m3u8.loads(lines.plain_header(4, kind))
        assert (playlist.target_duration, playlist.playlist_type) == (4, kind.lower() if kind else None)


def test_a_multivariant_playlist_reads_back() -> None:
    videos = [
        lines.Variant("v0/x", "avc1.64001f", 3_000_000, 2_500_000, 1280, 720, 29.97),
        lines.Variant("v1/x", "avc1.42c01e", 900_000, 800_000, 640, 360),
    ]
    sounds = [
        lines.AudioRendition("a0/x", "English", "en", 2, "mp4a.40.2", 130_000, 128_000),
        lines.AudioRendition("a1/x", "Audio 2", "und", 6, "opus", 260_000, 256_000),
    ]
    playlist = m3u8.loads(lines.multivariant(videos, sounds))
    first, second = playlist.playlists
    assert first.uri == "v0/x" and first.stream_info.codecs == "avc1.64001f,mp4a.40.2,opus"
    assert (first.stream_info.bandwidth, first.stream_info.average_bandwidth) == (3_260_000, 2_756_000)
    assert first.stream_info.resolution == (1280, 720) and first.stream_info.frame_rate == 29.97
    assert second.stream_info.frame_rate is None and second.stream_info.audio == "audio"
    assert [(m.name, m.language, m.channels, m.default) for m in playlist.media] == [
        ("English", "en", "2", "YES"),
        ("Audio 2", None, "6", "NO"),
    ]


def test_sound_alone_is_its_own_variant() -> None:
    playlist = m3u8.loads(lines.multivariant([], [lines.AudioRendition("a0/x", "A", "und", 2, "mp4a.40.2", 9, 8)]))
    (variant,) = playlist.playlists
    assert variant.uri == "a0/x" and variant.stream_info.bandwidth == 9 and variant.stream_info.codecs == "mp4a.40.2"
