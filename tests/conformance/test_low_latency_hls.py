"""Low-Latency HLS, RFC 8216bis (draft-pantos-hls-rfc8216bis), clause by clause, at the origin's own answers."""

from __future__ import annotations

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headwater.pipeline.origin import Origin
from headwater.pipeline.origin.response import Pending, Response
from tests.unit.origin.feed import BASE, MULTIVARIANT, Ask, Feed, make_origin

VIDEO, AUDIO = f"{BASE}/v0/live.m3u8", f"{BASE}/a0/live.m3u8"


@pytest.fixture
async def origin(tmp_path: Path) -> AsyncIterator[Origin]:
    made = make_origin(tmp_path)
    yield made
    made.drain()


@pytest.fixture
async def feed(origin: Origin) -> Feed:
    """Four whole segments of four parts (100 to 103), and one part of 104."""
    made = Feed(origin)
    made.offset = 0
    made.program.recorder = Anywhere()  # type: ignore[assignment]
    made.live(4)
    made.part()
    return made


class Anywhere:
    """A recorder that has written everything, so that the window is two minutes."""

    written = 0


def ask(origin: Origin, target: str) -> Response | Pending:
    answer = origin.respond(Ask(target))
    assert isinstance(answer, Response | Pending)
    return answer


def text(origin: Origin, target: str = VIDEO) -> str:
    answer = ask(origin, target)
    assert isinstance(answer, Response) and answer.status == 200
    return answer.body.decode()


def status(origin: Origin, query: str) -> int:
    answer = ask(origin, f"{VIDEO}?{query}")
    assert isinstance(answer, Response), "it waits"
    return answer.status


def held(origin: Origin, target: str) -> list[Response]:
    """What a request that has to wait is answered with, once it is."""
    answer, got = ask(origin, target), list[Response]()
    assert isinstance(answer, Pending), "it does not wait"
    answer.deliver = got.append
    return got


def number(playlist: str, name: str) -> float:
    found = re.search(rf"{name}[=:]([0-9.]+)", playlist)
    assert found is not None, name
    return float(found[1])


class TestClause_4_4_3_1_TargetDuration:
    def test_it_never_changes_and_no_segment_is_longer(self, origin: Origin, feed: Feed) -> None:
        before = number(text(origin), "TARGETDURATION")
        feed.close()
        feed.segments(70)
        after = text(origin)
        assert number(after, "TARGETDURATION") == before
        assert all(round(float(d)) <= before for d in re.findall(r"#EXTINF:([0-9.]+)", after))


class TestClause_4_4_3_2_MediaSequence:
    def test_it_counts_what_has_left_and_never_goes_back(self, origin: Origin, feed: Feed) -> None:
        feed.close()
        seen = []
        for _ in range(70):
            feed.segments(1)
            seen.append(number(text(origin), "MEDIA-SEQUENCE"))
        assert seen == sorted(seen) and seen[-1] > seen[0]
        assert text(origin).count("#EXTINF") + seen[-1] == feed.msn


class TestClause_4_4_3_8_ServerControl:
    def test_the_distances(self, origin: Origin, feed: Feed) -> None:
        playlist = text(origin)
        assert "CAN-BLOCK-RELOAD=YES" in playlist
        assert number(playlist, "PART-HOLD-BACK") >= 3 * number(playlist, "PART-TARGET")
        assert number(playlist, "[,:]HOLD-BACK") >= 3 * number(playlist, "TARGETDURATION")
        assert number(playlist, "CAN-SKIP-UNTIL") >= 6 * number(playlist, "TARGETDURATION")

    def test_it_is_the_same_in_every_playlist(self, origin: Origin, feed: Feed) -> None:
        found = {re.search("#EXT-X-SERVER-CONTROL:.*", text(origin, target))[0] for target in (VIDEO, AUDIO)}  # type: ignore[index]
        assert len(found) == 1


class TestClause_4_4_4_9_Part:
    def test_parts_stand_behind_what_describes_their_segment(self, origin: Origin, feed: Feed) -> None:
        for block in re.split(r"(?<=\.m4s\n)(?=#EXT-X-PROGRAM|#EXT-X-DISC)", text(origin)):
            if "#EXT-X-PART:" in block:
                assert block.index("#EXT-X-PROGRAM-DATE-TIME") < block.index("#EXT-X-PART:")

    def test_a_part_that_starts_with_a_sync_sample_says_so(self, origin: Origin, feed: Feed) -> None:
        flags = ["INDEPENDENT=YES" in line for line in text(origin).splitlines() if line.startswith("#EXT-X-PART:")]
        assert flags == [True, False, False, False] * 3 + [True]

    def test_they_are_listed_for_three_target_durations(self, origin: Origin, feed: Feed) -> None:
        playlist = text(origin)
        assert 'URI="p0.m4s"' not in playlist and 'URI="p4.m4s"' in playlist  # 6.5 s from the end begins segment 101

    def test_they_can_be_had_for_three_more(self, origin: Origin, feed: Feed) -> None:
        assert isinstance(ask(origin, f"{BASE}/v0/p0.m4s"), Response)
        assert b"".join(ask(origin, f"{BASE}/v0/p{k}.m4s").body for k in range(4)) == (  # type: ignore[union-attr]
            ask(origin, f"{BASE}/v0/100.m4s").body  # type: ignore[union-attr]
        )


class TestClause_4_4_5_2_Skip:
    def test_only_when_asked_and_only_once(self, origin: Origin, feed: Feed) -> None:
        feed.close()
        feed.segments(8)
        assert "EXT-X-SKIP" not in text(origin)
        delta = text(origin, f"{VIDEO}?_HLS_skip=YES")
        assert delta.count("#EXT-X-SKIP:") == 1
        assert number(delta, "EXT-X-VERSION") >= 9
        assert number(delta, "MEDIA-SEQUENCE") == 100

    def test_what_is_skipped_is_older_than_the_boundary(self, origin: Origin, feed: Feed) -> None:
        feed.close()
        feed.segments(8)
        playlist, delta = text(origin), text(origin, f"{VIDEO}?_HLS_skip=YES")
        skipped = int(number(delta, "SKIPPED-SEGMENTS"))
        durations = [float(d) for d in re.findall(r"#EXTINF:([0-9.]+)", playlist)]
        assert sum(durations[skipped:]) >= number(playlist, "CAN-SKIP-UNTIL")
        assert skipped > 0 and delta.endswith(playlist[playlist.index(f"{100 + skipped - 1}.m4s") + 8 :])

    def test_a_short_playlist_is_given_whole(self, origin: Origin, feed: Feed) -> None:
        assert text(origin, f"{VIDEO}?_HLS_skip=YES") == text(origin)


class TestClause_4_4_5_3_PreloadHint:
    def test_what_is_hinted_is_what_comes(self, origin: Origin, feed: Feed) -> None:
        feed.part()
        for _ in range(6):  # across a segment's end
            hinted = re.search(r'PRELOAD-HINT:TYPE=PART,URI="([^"]+)"', text(origin))[1]  # type: ignore[index]
            got = held(origin, f"{BASE}/v0/{hinted}")
            if feed.parts == 4:
                feed.close()
                feed.open()
            assert not got
            feed.part()
            assert len(got) == 1 and got[0].size == 1000  # whole, at once
            assert f'URI="{hinted}"' in text(origin).replace("PRELOAD-HINT:TYPE=PART,URI=", "")

    def test_a_part_that_was_not_hinted_is_not_found(self, origin: Origin, feed: Feed) -> None:
        answer = ask(origin, f"{BASE}/v0/p18.m4s")
        assert isinstance(answer, Response) and answer.status == 404


class TestClause_4_4_5_4_RenditionReport:
    def test_every_other_rendition_is_reported_at_its_newest_part(self, origin: Origin, feed: Feed) -> None:
        assert '#EXT-X-RENDITION-REPORT:URI="../a0/live.m3u8",LAST-MSN=104,LAST-PART=0\n' in text(origin)
        assert '#EXT-X-RENDITION-REPORT:URI="../v0/live.m3u8",LAST-MSN=104,LAST-PART=0\n' in text(origin, AUDIO)

    async def test_a_report_names_the_playlist_that_the_multivariant_playlist_names(
        self, origin: Origin, feed: Feed
    ) -> None:
        """To the letter: each viewer's URLs have the name of its viewing session, and who follows a report keeps it."""
        for _ in range(2):
            answer = origin.respond(Ask(MULTIVARIANT))
            assert answer is not None and not isinstance(answer, Response | Pending)
            urls = sorted(
                re.findall(r"\.\./[0-9a-f]{12}(/[va]0/live\.m3u8\?s=[0-9a-f]{12})", (await answer).body.decode())
            )
            assert len(urls) == 2
            for own, other in (urls, reversed(urls)):
                for query in ("", "&_HLS_msn=104&_HLS_part=0", "&_HLS_msn=104&_HLS_part=0&_HLS_skip=YES"):
                    target = f"{BASE}{own}{query}"
                    assert f'#EXT-X-RENDITION-REPORT:URI="..{other}",LAST-MSN=104,LAST-PART=0\n' in text(origin, target)
                    packed = origin.respond(Ask(target, accept_encoding="gzip"))
                    assert isinstance(packed, Response) and packed.header("content-encoding") == "gzip"
                    assert gzip.decompress(packed.body).decode() == text(origin, target)

    def test_who_waited_gets_its_own(self, origin: Origin, feed: Feed) -> None:
        names = [f"{number:012x}" for number in range(50)]
        answers = [held(origin, f"{VIDEO}?s={name}&_HLS_msn=104&_HLS_part=1") for name in names]
        nameless = held(origin, f"{VIDEO}?_HLS_msn=104&_HLS_part=1")
        feed.part()
        for name, got in zip(names, answers, strict=True):
            assert f'URI="../a0/live.m3u8?s={name}"' in got[0].body.decode()
        assert 'URI="../a0/live.m3u8"' in nameless[0].body.decode()

    @pytest.mark.parametrize("name", ['x",URI="http://evil', "0123456789aB", "0" * 13, "0123456789a\n", "%22%0A"])
    def test_nothing_of_a_strangers_text_stands_in_a_playlist(self, origin: Origin, feed: Feed, name: str) -> None:
        assert text(origin, f"{VIDEO}?s={name}") == text(origin)

    async def test_without_another_rendition_all_get_the_same_bytes(self, tmp_path: Path) -> None:
        origin = make_origin(tmp_path)
        Feed(origin, audio=False).live(2)
        assert ask(origin, f"{VIDEO}?s={'0' * 12}") is ask(origin, f"{VIDEO}?s={'1' * 12}") is ask(origin, VIDEO)
        origin.drain()
        assert "../v0/" not in text(origin)

    def test_at_a_segments_edge_the_newest_part_is_of_the_one_before(self, origin: Origin, feed: Feed) -> None:
        for _ in range(3):
            feed.part()
        feed.close()
        feed.open()
        assert "LAST-MSN=104,LAST-PART=3" in text(origin, AUDIO)


class TestClause_6_2_2_Live:
    def test_the_bytes_of_a_name_never_change(self, origin: Origin, feed: Feed) -> None:
        before = ask(origin, f"{BASE}/v0/p16.m4s")
        feed.part()
        after = ask(origin, f"{BASE}/v0/p16.m4s")
        assert isinstance(before, Response) and isinstance(after, Response)
        assert before.body == after.body and before.etag == after.etag
        assert before.header("cache-control") == "public, max-age=31536000, immutable"

    def test_a_playlist_is_kept_for_half_a_target_or_six_when_it_was_waited_for(
        self, origin: Origin, feed: Feed
    ) -> None:
        answer = ask(origin, VIDEO)
        assert isinstance(answer, Response) and answer.header("cache-control") == "public, max-age=1"
        got = held(origin, f"{VIDEO}?_HLS_msn=104&_HLS_part=1")
        feed.part()
        assert got[0].header("cache-control") == "public, max-age=12"


class TestClause_6_2_5_2_BlockingReload:
    def test_it_holds_until_the_part_is_there_and_returns_the_whole_playlist(self, origin: Origin, feed: Feed) -> None:
        got = held(origin, f"{VIDEO}?_HLS_msn=104&_HLS_part=1")
        feed.part()
        whole, _, reports = got[0].body.decode().partition("#EXT-X-RENDITION-REPORT")
        assert whole == text(origin).partition("#EXT-X-RENDITION-REPORT")[0] and reports

    def test_without_a_part_it_holds_until_the_segment_is_whole(self, origin: Origin, feed: Feed) -> None:
        got = held(origin, f"{VIDEO}?_HLS_msn=104")
        for _ in range(3):
            feed.part()
        assert not got
        feed.close()
        assert b"104.m4s" in got[0].body

    def test_a_part_beyond_a_segments_last_is_the_next_segments_first(self, origin: Origin, feed: Feed) -> None:
        got = held(origin, f"{VIDEO}?_HLS_msn=104&_HLS_part=4")
        for _ in range(3):
            feed.part()
        feed.close()
        feed.open()
        assert not got
        feed.part()
        assert len(got) == 1

    def test_a_part_without_a_segment_is_400(self, origin: Origin, feed: Feed) -> None:
        assert status(origin, "_HLS_part=1") == 400

    def test_too_far_ahead_is_400(self, origin: Origin, feed: Feed) -> None:
        assert status(origin, "_HLS_msn=107") == 400
        assert status(origin, "_HLS_msn=104&_HLS_part=7") == 400
        held(origin, f"{VIDEO}?_HLS_msn=106")

    def test_what_is_there_is_served_at_once(self, origin: Origin, feed: Feed) -> None:
        assert status(origin, "_HLS_msn=103") == status(origin, "_HLS_msn=104&_HLS_part=0") == 200

    def test_after_three_target_durations_it_is_503(self, origin: Origin, feed: Feed) -> None:
        got = held(origin, f"{VIDEO}?_HLS_msn=104&_HLS_part=1")
        waiting = feed.program.renditions[1].waiting[0]
        origin.sweep(waiting.deadline)
        assert got[0].status == 503

    def test_after_the_end_directives_are_ignored(self, origin: Origin, feed: Feed) -> None:
        feed.close()
        feed.program.end(None)
        for query in ("", "?_HLS_msn=999", "?_HLS_part=1", "?_HLS_skip=YES"):
            playlist = text(origin, VIDEO + query)
            assert playlist.endswith("#EXT-X-ENDLIST\n")
            for tag in ("PRELOAD-HINT", "CAN-BLOCK-RELOAD", "EXT-X-SKIP"):
                assert tag not in playlist


class TestClause_6_2_1_Renditions:
    def test_segments_of_one_number_belong_together(self, origin: Origin, feed: Feed) -> None:
        both = [text(origin, target) for target in (VIDEO, AUDIO)]
        for pattern in ("#EXT-X-MEDIA-SEQUENCE:.*", "#EXT-X-DISCONTINUITY-SEQUENCE:.*", "#EXT-X-PROGRAM-DATE-TIME:.*"):
            assert re.findall(pattern, both[0]) == re.findall(pattern, both[1]) != []

    def test_discontinuities_are_counted_alike_and_never_back(self, origin: Origin, feed: Feed) -> None:
        feed.close()
        seen = []
        for k in range(140):
            feed.segments(1, discontinuity=k % 7 == 3)
            counts = {number(text(origin, target), "DISCONTINUITY-SEQUENCE") for target in (VIDEO, AUDIO)}
            assert len(counts) == 1
            seen.append(counts.pop())
        assert seen == sorted(seen) and seen[-1] > 3

    async def test_every_media_playlist_is_in_the_multivariant_playlist(self, origin: Origin, feed: Feed) -> None:
        answer = origin.respond(Ask(MULTIVARIANT))
        assert answer is not None and not isinstance(answer, Response | Pending)
        listed = re.findall(r"\.\./[0-9a-f]+/([va]\d)/live\.m3u8", (await answer).body.decode())
        assert sorted(listed) == ["a0", "v0"]
