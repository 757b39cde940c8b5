"""Whatever a server sends, a check ends with a report."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.hlscheck import check
from tests.unit.hlscheck.origin import URL, Asked, Origin
from tests.unit.hlscheck.simulated_time import run

HUGE = str(2**64 - 1)
LINES = st.sampled_from(
    [
        "#EXT-X-ENDLIST",
        "#EXT-X-DISCONTINUITY",
        "#EXT-X-GAP",
        f"#EXT-X-TARGETDURATION:{HUGE}",
        "#EXT-X-TARGETDURATION:0",
        f"#EXT-X-MEDIA-SEQUENCE:{HUGE}",
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{HUGE}",
        "#EXT-X-PART-INF:PART-TARGET=0",
        "#EXT-X-PART-INF:PART-TARGET=0.0000000000000000000000000001",
        "#EXT-X-PART-INF:PART-TARGET=99999999999999999999",
        f"#EXT-X-SKIP:SKIPPED-SEGMENTS={HUGE}",
        '#EXT-X-MAP:URI="http://["',
        f'#EXT-X-MAP:URI="i0.mp4",BYTERANGE="{HUGE}@{HUGE}"',
        '#EXT-X-PART:DURATION=0,URI="//a:b/"',
        f'#EXT-X-PART:DURATION=99999999999999999999,URI="p80.m4s",BYTERANGE="{HUGE}"',
        f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="http://[",BYTERANGE-START={HUGE}',
        f'#EXT-X-RENDITION-REPORT:URI="http://[",LAST-MSN={HUGE},LAST-PART={HUGE}',
        "#EXT-X-PROGRAM-DATE-TIME:8999-12-31T23:59:59Z",
        "#EXT-X-KEY:METHOD=AES-128",
        f"#EXT-X-BYTERANGE:{HUGE}@{HUGE}",
        "#EXTINF:99999999999999999999999999999999,",
        "http://[",
        "http://host:port/",
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LINES, st.integers(0, 60)), min_size=1, max_size=5))
def test_hostile_lines_in_media_playlists(inserted: list[tuple[str, int]]) -> None:
    def edit(asked: Asked, text: str) -> str:
        lines = text.split("\n")
        for line, place in inserted:
            lines.insert(1 + place % len(lines), line)
        return "\n".join(lines)

    report = run(check(URL, seconds=2, fetch=Origin(playlist=edit)))
    assert report.error is None
    report.to_json()


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_damaged_media(data: st.DataObject) -> None:
    place, value = data.draw(st.integers(0, 400)), data.draw(st.integers(0, 255))

    def damage(path: str, content: bytes) -> bytes:
        return content[:place] + bytes([value]) + content[place + 1 :]

    report = run(check(URL, seconds=2, fetch=Origin(media=damage)))
    assert report.error is None


def test_a_multivariant_playlist_of_thousands() -> None:
    """Only so many renditions are followed, and the report says what was left out."""

    def many(text: str) -> str:
        return text + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH=1\nv0/list.m3u8?{i}\n" for i in range(3000))

    report = run(check(URL, seconds=1, fetch=Origin(multivariant=many)))
    assert len(report.renditions) == 12
    assert any("left out" in note for note in report.notes)
