"""The playlist parser: what it reads, what it complains about, and that it never raises."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.hlscheck.attributes import read_byterange, read_decimal, read_integer
from headwater.hlscheck.media_reader import read_date_time
from headwater.hlscheck.parser import is_multivariant, parse_media, parse_multivariant
from headwater.hlscheck.playlist import ByteRange
from tests.unit.hlscheck.origin import MULTIVARIANT

# The low-latency example in the form of the draft's clause 9.11, written out.
LOW_LATENCY = """#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init.mp4",BYTERANGE="720@0"
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z
#EXTINF:4.00008,title, with a comma
fileSequence266.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PART:DURATION=0.33334,URI="filePart267.0.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI="filePart267.1.mp4",BYTERANGE="100@20"
#EXTINF:0.66668,
fileSequence267.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart268.0.mp4",GAP=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="filePart268.1.mp4",BYTERANGE-START=7
#EXT-X-RENDITION-REPORT:URI="../1M/waitForMSN.php",LAST-MSN=268,LAST-PART=0
#EXT-X-NEWER-THAN-THE-DRAFT:1
# a comment
"""


def test_a_low_latency_playlist_is_read() -> None:
    playlist = parse_media(LOW_LATENCY)
    assert playlist.problems == []
    assert (playlist.version, playlist.target_duration, playlist.part_target) == (6, 4, 0.33334)
    control = playlist.server_control
    assert control is not None
    assert (control.can_block_reload, control.part_hold_back, control.can_skip_until) == (True, 1.0, 24.0)
    first, second = playlist.segments
    assert (first.msn, first.duration, first.uri, first.line) == (266, 4.00008, "fileSequence266.mp4", 11)
    assert first.program_date_time == datetime(2019, 2, 14, 2, 13, 36, 106_000, UTC)
    assert first.map is not None and first.map.byterange == ByteRange(720, 0)
    assert (second.msn, second.discontinuity_number, second.discontinuity) == (267, 4, True)
    assert [(p.independent, p.gap, p.byterange) for p in second.parts] == [
        (True, False, None),
        (False, False, ByteRange(100, 20)),
    ]
    assert playlist.open_segment is not None and playlist.open_segment.parts[0].gap
    assert (playlist.last_msn, playlist.last_part, playlist.next_request) == (267, (268, 0), (268, 1))
    assert [(h.uri, h.byterange_start) for h in playlist.preload_hints] == [("filePart268.1.mp4", 7)]
    assert [(r.last_msn, r.last_part) for r in playlist.rendition_reports] == [(268, 0)]
    assert playlist.unknown_tags == {"EXT-X-NEWER-THAN-THE-DRAFT": 20}


def test_a_delta_update_counts_skipped_segments() -> None:
    text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n"
    playlist = parse_media(text + "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:4,\na.mp4\n")
    assert playlist.problems == []
    assert [s.msn for s in playlist.segments] == [13]
    assert max(playlist.features)[0] == 9


def test_a_multivariant_playlist_is_read() -> None:
    assert is_multivariant(MULTIVARIANT)
    assert not is_multivariant(LOW_LATENCY)
    playlist = parse_multivariant(MULTIVARIANT)
    assert playlist.problems == []
    assert [(v.uri, v.resolution, v.frame_rate, v.audio) for v in playlist.variants] == [
        ("v0/list.m3u8", (640, 360), 24.0, "sound"),
        ("v1/list.m3u8", (320, 180), 24.0, "sound"),
    ]
    assert playlist.variants[0].codecs == ("avc1.64001e", "mp4a.40.2")
    assert [(m.type, m.group_id, m.default, m.uri) for m in playlist.media] == [
        ("AUDIO", "sound", True, "a0/list.m3u8")
    ]


HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("", "extm3u", 1),
        ("\ufeff" + HEAD, "characters", 1),
        (HEAD + "#EXTINF:4,\na\u0000b\n", "characters", 4),
        (HEAD + "#EXTINF:4,\na\ufffdb\n", "characters", 4),
        ("#EXTM3U\n", "required-tag", 1),
        (HEAD + "a.ts\n", "segment-syntax", 3),
        (HEAD + "#EXTINF:4,\n", "segment-syntax", 3),
        (HEAD + "#EXTINF:4,\n#EXTINF:4,\na.ts\n", "segment-syntax", 4),
        (HEAD + "#EXTINF:4\na.ts\n", "tag-value", 3),
        (HEAD + "#EXTINF:-4,\na.ts\n", "tag-value", 3),
        (HEAD + "#EXTINF:nan,\na.ts\n", "tag-value", 3),
        (HEAD + "#EXTINF:1e3,\na.ts\n", "tag-value", 3),
        ("#EXTM3U\n#EXT-X-TARGETDURATION:4.5\n", "tag-value", 2),
        (HEAD + "#EXT-X-PROGRAM-DATE-TIME:2020-01-01T00:00:00\n#EXTINF:4,\na.ts\n", "tag-value", 3),
        (HEAD + "#EXT-X-PLAYLIST-TYPE:LIVE\n", "tag-value", 3),
        (HEAD + "#EXT-X-MAP:URI=init.mp4\n", "attribute-value", 3),
        (HEAD + '#EXT-X-MAP:URI="init.mp4\n', "attribute-list", 3),
        (HEAD + '#EXT-X-MAP:URI="init.mp4"x\n', "attribute-list", 3),
        (HEAD + '#EXT-X-MAP:URI="a",URI="b"\n', "attribute-list", 3),
        (HEAD + '#EXT-X-MAP:uri="a"\n', "attribute-list", 3),
        (HEAD + '#EXT-X-MAP:URI="a",\n', "attribute-list", 3),
        (HEAD + "#EXT-X-PART-INF:\n", "required-attribute", 3),
        (HEAD + '#EXT-X-PART:URI="a"\n', "required-attribute", 3),
        (HEAD + '#EXT-X-PART:URI="a",DURATION=1,INDEPENDENT=NO\n', "attribute-value", 3),
        (HEAD + '#EXT-X-PART:URI="a",DURATION=1,BYTERANGE="x"\n', "attribute-value", 3),
        (HEAD + "#EXT-X-TARGETDURATION:4\n", "duplicate-tag", 3),
        (HEAD + "#EXTINF:4,\na.ts\n#EXT-X-MEDIA-SEQUENCE:1\n", "tag-order", 5),
        (HEAD + "#EXT-X-STREAM-INF:BANDWIDTH=1\n", "mixed-playlist", 3),
    ],
)
def test_a_breach_is_found_at_its_line(text: str, rule: str, line: int) -> None:
    assert (rule, line) in [(p.rule, p.line) for p in parse_media(text).problems]


def test_variables_are_put_in() -> None:
    text = HEAD + (
        '#EXT-X-DEFINE:NAME="base",VALUE="https://a/"\n#EXT-X-DEFINE:IMPORT="token"\n#EXT-X-DEFINE:QUERYPARAM="q"\n'
        '#EXT-X-MAP:URI="{$base}init.mp4"\n#EXTINF:4,\n{$base}a.mp4?t={$token}&q={$q}\n'
    )
    playlist = parse_media("#EXTM3U\n#EXT-X-VERSION:11\n" + text[8:], imported={"token": "T"}, query={"q": "7"})
    assert playlist.problems == []
    (segment,) = playlist.segments
    assert segment.uri == "https://a/a.mp4?t=T&q=7"
    assert segment.map is not None and segment.map.uri == "https://a/init.mp4"
    assert max(playlist.features)[0] == 11


@pytest.mark.parametrize(
    "text",
    [
        "#EXTINF:4,\n{$a}\n",
        '#EXT-X-DEFINE:IMPORT="a"\n',
        '#EXT-X-DEFINE:QUERYPARAM="a"\n',
        '#EXT-X-DEFINE:NAME="a",VALUE="1"\n#EXT-X-DEFINE:NAME="a",VALUE="1"\n',
    ],
)
def test_a_variable_that_is_not_there(text: str) -> None:
    assert [p.rule for p in parse_media(HEAD + text).problems] == ["variable"]


def test_both_line_ends_are_lines() -> None:
    assert parse_media(LOW_LATENCY.replace("\n", "\r\n")).problems == []
    assert parse_media(LOW_LATENCY.rstrip("\n")).problems == []


TAGS = st.sampled_from([line for line in (LOW_LATENCY + MULTIVARIANT).split("\n") if line])
PIECES = st.one_of(TAGS, st.text(max_size=40), st.builds(str.__add__, TAGS, st.text(max_size=10)))


@given(st.lists(PIECES, max_size=30))
def test_any_text_is_read_without_an_exception(lines: list[str]) -> None:
    """Garbage gives problems, never an exception, and every problem has a line that is there."""
    text = "\n".join(lines)
    media, multivariant = parse_media(text), parse_multivariant(text)
    for problem in media.problems + multivariant.problems:
        assert 1 <= problem.line <= max(1, text.count("\n") + 1)
    _ = media.duration, media.last_part, media.next_request


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_exception(data: bytes) -> None:
    parse_media("#EXTM3U\n#EXT-X-PART:" + data.decode("utf-8", "replace"))


@given(st.integers(0, 2**64 - 1))
def test_integers_read_back(value: int) -> None:
    assert read_integer(str(value)) == value


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1 ", "0x1", "1.0", str(2**64), "１"])
def test_what_is_no_decimal_integer(text: str) -> None:
    assert read_integer(text) is None


@pytest.mark.parametrize("text", ["", "-1", ".5", "1.", "1e3", "inf", "nan", "1,5", "1.2.3", "9" * 40])
def test_what_is_no_decimal_number(text: str) -> None:
    assert read_decimal(text) is None


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_byte_ranges_read_back(length: int, offset: int) -> None:
    assert read_byterange(f"{length}@{offset}") == ByteRange(length, offset)
    assert read_byterange(str(length)) == ByteRange(length, None)


def test_dates_need_a_time_zone() -> None:
    assert read_date_time("2026-01-02T03:04:05.678+02:00") == datetime(2026, 1, 2, 1, 4, 5, 678_000, UTC).astimezone(
        UTC
    )
    assert read_date_time("2026-01-02T03:04:05") is None
    assert read_date_time("0001-01-01T00:00:00+14:00") is None


@given(st.text(max_size=40))
def test_any_text_as_a_date(text: str) -> None:
    moment = read_date_time(text)
    assert moment is None or moment.timestamp() is not None
