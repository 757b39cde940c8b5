"""Identifiers, the cache, the rate limit, times, URLs: small things with one promise each."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.control import Addresses, ControlSettings, ids
from headwater.control.api.errors import ApiError
from headwater.control.api.rate_limit import RateLimit
from headwater.control.api.times import iso, parse_date, parse_time
from headwater.control.api.validation import check_name, check_text
from headwater.control.cache import TtlCache
from headwater.control.repository.event_log import plain_text
from headwater.control.urls import Urls


class TestIds:
    def test_sizes(self) -> None:
        assert len(ids.new_stream_key()) == ids.STREAM_KEY_LENGTH == 64
        assert len(ids.new_playback_id()) == ids.PLAYBACK_ID_LENGTH == 32
        assert len(ids.new_account_id()) == 32

    def test_secrets_of_any_text_can_be_compared_and_hashed(self) -> None:
        """A publisher can send any text as its key, also what UTF-8 cannot hold."""
        for text in ("", "a", "ß", "\ud800", "\0"):
            assert ids.same_secret(text, text)
            assert len(ids.secret_hash(text)) == 64
        assert not ids.same_secret("a", "b")


class TestTtlCache:
    def test_an_answer_lasts_its_time(self) -> None:
        cache: TtlCache[str, int | None] = TtlCache(1.0, 10)
        cache.put("a", None, 5.0)
        assert cache.get("a", 5.999) == (None,)
        assert cache.get("a", 6.0) is None

    def test_it_is_bounded_and_forgets_the_oldest(self) -> None:
        cache: TtlCache[int, int] = TtlCache(1.0, 3)
        for key in range(10):
            cache.put(key, key, 0.0)
        assert len(cache) == 3
        assert cache.get(6, 0.0) is None
        assert cache.get(7, 0.0) == (7,)

    def test_putting_again_does_not_push_others_out(self) -> None:
        cache: TtlCache[int, int] = TtlCache(1.0, 2)
        cache.put(1, 1, 0.0)
        cache.put(2, 2, 0.0)
        cache.put(2, 3, 0.0)
        assert (cache.get(1, 0.0), cache.get(2, 0.0)) == ((1,), (3,))


class TestRateLimit:
    def test_a_burst_then_the_rate(self) -> None:
        limit = RateLimit(2.0, 3)
        assert [limit.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 1]
        assert limit.take("a", 0.4) == 1
        assert limit.take("a", 0.5) == 0
        assert limit.take("b", 0.5) == 0

    def test_retry_after_is_when_it_works(self) -> None:
        limit = RateLimit(0.1, 1)
        assert limit.take("a", 0.0) == 0
        wait_s = limit.take("a", 1.0)
        assert wait_s == 9
        assert limit.take("a", 1.0 + wait_s) == 0

    def test_a_clock_that_stands_still_or_goes_back_gives_nothing(self) -> None:
        limit = RateLimit(1.0, 1)
        limit.take("a", 10.0)
        assert limit.take("a", 3.0) > 0

    def test_keys_are_bounded(self) -> None:
        limit = RateLimit(1.0, 1, key_limit=5)
        for number in range(100):
            limit.take(str(number), 0.0)
        assert len(limit._buckets) == 5

    @given(
        st.floats(0.1, 100),
        st.integers(1, 50),
        st.lists(st.floats(0, 3), min_size=1, max_size=200),
    )
    def test_never_more_than_it_says(self, rate: float, burst: int, gaps: list[float]) -> None:
        """However requests come, those let through number at most burst + rate x time."""
        limit = RateLimit(rate, burst)
        now_s, allowed = 0.0, 0
        for gap in gaps:
            now_s += gap
            allowed += limit.take("a", now_s) == 0
        assert allowed <= burst + math.ceil(rate * now_s + 1e-6)


class TestTimes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("2023-07-15T11:48:34.753Z", "2023-07-15T11:48:34.753Z"),
            ("2023-07-15T11:48:34", "2023-07-15T11:48:34.000Z"),
            ("2023-07-15T11:48:34+02:00", "2023-07-15T09:48:34.000Z"),
            ("2023-07-15T11:48:34 02:00", "2023-07-15T09:48:34.000Z"),
            ("2023-07-15", "2023-07-15T00:00:00.000Z"),
            ("1689421714", "2023-07-15T11:48:34.000Z"),
            ("0", "1970-01-01T00:00:00.000Z"),
        ],
    )
    def test_what_clients_send(self, text: str, expected: str) -> None:
        ms = parse_time("start_time", text)
        assert ms is not None
        assert iso(ms) == expected

    @pytest.mark.parametrize(
        "text",
        ["", "x", "-1", "99999999999999999999", "2023-13-01", "10000-01-01", "1e9", "NaN", "0001-01-01T00:00:00+23:59"],
    )
    def test_what_is_no_time(self, text: str) -> None:
        with pytest.raises(ApiError) as refusal:
            parse_time("start_time", text)
        assert refusal.value.status == 400
        assert "start_time" in refusal.value.message

    @pytest.mark.parametrize("text", ["2023-7-1", "20230715", "2023-07-15T", "today", "2023-02-30", "1969-01-01"])
    def test_what_is_no_date(self, text: str) -> None:
        with pytest.raises(ApiError):
            parse_date("end_date", text)

    @given(st.integers(1_000_000, 253_402_000_000), st.integers(-23, 23))
    def test_what_is_written_reads_back(self, seconds: int, hours: int) -> None:
        """In any zone, as Python writes it and as we do."""
        moment = datetime.fromtimestamp(seconds, timezone(timedelta(hours=hours)))
        assert parse_time("t", moment.isoformat()) == seconds * 1000
        assert parse_time("t", iso(seconds * 1000 + 7)) == seconds * 1000 + 7

    @given(st.text(max_size=40))
    def test_any_text_is_a_time_or_refused(self, text: str) -> None:
        try:
            parse_time("t", text)
        except ApiError as refusal:
            assert refusal.status == 400


class TestNames:
    @pytest.mark.parametrize("name", [None, "", "prdmmp-xhycsl", "A_b-9"])
    def test_allowed(self, name: str | None) -> None:
        check_name(name)

    @pytest.mark.parametrize("name", ["a b", "a\n", "ä", "a'; DROP TABLE apps;--", "<b>", "\0"])
    def test_refused(self, name: str) -> None:
        """Also a trailing line feed, which the pattern's `$` alone would let through."""
        with pytest.raises(ApiError):
            check_name(name)

    @pytest.mark.parametrize("text", ["a\0", "a\nb", "\x1b[2J", "\ud800"])
    def test_control_characters(self, text: str) -> None:
        with pytest.raises(ApiError):
            check_text("title", text)

    @given(st.text(st.characters(), max_size=50), st.integers(0, 40))
    def test_a_strangers_text_becomes_storable(self, text: str, limit: int) -> None:
        cleaned = plain_text(text, limit)
        assert len(cleaned) <= limit
        assert cleaned.isprintable()
        cleaned.encode("utf-8")


class TestUrls:
    def _urls(self, addresses: Addresses, **settings: str) -> Urls:
        urls = Urls(ControlSettings(Path(), **settings))
        urls.listening(addresses)
        return urls

    def test_configured(self) -> None:
        urls = self._urls(
            Addresses(http=("0.0.0.0", 80), rtmp=("0.0.0.0", 1935)),
            public_url="https://live.example.com/",
            public_rtmp_url="rtmps://live.example.com:443/live/",
        )
        assert urls.playback("ab", "http", "evil") == "https://live.example.com/ab/manifest/video.m3u8"
        assert urls.ingest("http", "evil") == "rtmps://live.example.com:443/live/"
        assert urls.api() == "https://live.example.com/client/v4"

    def test_a_bound_address_is_used_as_it_is(self) -> None:
        urls = self._urls(Addresses(http=("127.0.0.1", 8080), rtmp=("::1", 1935)))
        assert urls.base("http", "evil.example") == "http://127.0.0.1:8080"
        assert urls.ingest() == "rtmp://[::1]:1935/live/"

    def test_a_wildcard_takes_the_callers_host(self) -> None:
        urls = self._urls(Addresses(http=("0.0.0.0", 8080), rtmp=("0.0.0.0", 1935)))
        assert urls.base("http", "192.168.1.5:8080") == "http://192.168.1.5:8080"
        assert urls.ingest("http", "192.168.1.5:8080") == "rtmp://192.168.1.5:1935/live/"
        assert urls.ingest("http", "[2001:db8::1]:8080") == "rtmp://[2001:db8::1]:1935/live/"
        assert urls.api() == "http://127.0.0.1:8080/client/v4"

    @pytest.mark.parametrize("host", [None, "", "a/b", "a@b", "a b", "x" * 300, '"><script>', "a\r\nb"])
    def test_what_is_no_host_is_not_repeated(self, host: str | None) -> None:
        urls = self._urls(Addresses(http=("0.0.0.0", 8080), rtmp=("0.0.0.0", 1935)))
        assert urls.base("http", host) == "http://127.0.0.1:8080"

    @pytest.mark.parametrize("host", ["[", "a:b:c", "]:[", ":", "[::1"])
    def test_a_host_that_only_looks_like_one_breaks_nothing(self, host: str) -> None:
        urls = self._urls(Addresses(http=("0.0.0.0", 8080), rtmp=("0.0.0.0", 1935)))
        assert urls.ingest("http", host).startswith("rtmp://")

    def test_tls_only(self) -> None:
        urls = self._urls(Addresses(https=("127.0.0.1", 8443), rtmps=("127.0.0.1", 1936)))
        assert urls.api() == "https://127.0.0.1:8443/client/v4"
        assert urls.ingest() == "rtmps://127.0.0.1:1936/live/"
