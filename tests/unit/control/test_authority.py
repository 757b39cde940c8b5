"""Who may publish and what may be played: asked by strangers, so cheap, bounded and exact."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headwater.control import Playbacks, PublishRefusedOf, StreamKeys, authority
from headwater.control.ids import new_playback_id, new_stream_key
from headwater.errors import PublishRefused
from tests.unit.control.support import Api


class Counting:
    """A database that counts how often it is asked."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.reads = 0

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        self.reads += 1
        async with self._database.read() as conn:
            yield conn


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def counting(api: Api) -> Counting:
    return Counting(api.plane._database)


class TestStreamKeys:
    async def test_a_grant_says_what_the_pipeline_needs(self, any_api: Api) -> None:
        created = await any_api.create("launch")
        grant = await any_api.plane.stream_keys.authorize(created["stream_key"])
        assert grant.livestream_id == created["id"]
        assert grant.playback_id == created["playback_url"].split("/")[3]
        assert (grant.name, grant.reconnect_window_s, grant.record) == ("launch", 30.0, True)
        assert (grant.account_id, grant.app_id) == (any_api.credentials.account_id, any_api.credentials.app_id)

    @pytest.mark.parametrize("key", ["", "x", "f" * 63, "F" * 64, "\ud800" * 64, "\0" * 64, "é" * 64, "a" * 1_000_000])
    async def test_what_is_no_key(self, any_api: Api, key: str) -> None:
        with pytest.raises(PublishRefused) as refusal:
            await any_api.plane.stream_keys.authorize(key)
        assert refusal.value.code == "ERR_BAD_STREAM_KEY"
        assert not key or key not in str(refusal.value)

    async def test_a_key_is_compared_in_constant_time(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        compared: list[tuple[bytes, bytes]] = []

        def compare(left: bytes, right: bytes) -> bool:
            compared.append((left, right))
            return False

        created = await api.create()
        monkeypatch.setattr(hmac, "compare_digest", compare)
        with pytest.raises(PublishRefusedOf):
            await api.plane.stream_keys.authorize(created["stream_key"])
        assert compared == [(created["stream_key"].encode(), created["stream_key"].encode())]

    async def test_a_wrong_key_costs_one_question_a_second(self, api: Api, settings: Any, counting: Counting) -> None:
        clock = Clock()
        keys = StreamKeys(counting, settings, clock=clock)  # type: ignore[arg-type]
        wrong = new_stream_key()
        for _ in range(50):
            with pytest.raises(PublishRefusedOf):
                await keys.authorize(wrong)
        assert counting.reads == 1
        clock.now_s += authority.CACHE_TTL_S
        with pytest.raises(PublishRefusedOf):
            await keys.authorize(wrong)
        assert counting.reads == 2

    async def test_keys_that_cannot_be_cost_nothing(self, api: Api, settings: Any, counting: Counting) -> None:
        keys = StreamKeys(counting, settings)  # type: ignore[arg-type]
        with pytest.raises(PublishRefusedOf):
            await keys.authorize("short")
        assert counting.reads == 0

    async def test_another_processs_change_is_seen_within_a_second(self, api: Api, settings: Any) -> None:
        clock = Clock()
        theirs = StreamKeys(api.plane._database, settings, clock=clock)
        created = await api.create()
        await theirs.authorize(created["stream_key"])
        await api.call("PATCH", f"/livestreams/{created['id']}", json={"disabled": True})
        clock.now_s += authority.CACHE_TTL_S
        with pytest.raises(PublishRefusedOf):
            await theirs.authorize(created["stream_key"])


class TestPlaybacks:
    async def test_the_newest_recording_is_played(self, any_api: Api) -> None:
        """Of ended sessions; a later one that was not recorded does not hide it."""
        created = await any_api.create("launch")
        playback_id = created["playback_url"].split("/")[3]
        before = await any_api.plane.playbacks.playback(playback_id)
        assert before is not None
        assert (before.livestream_id, before.name, before.recording) == (created["id"], "launch", None)
        for recording in ("1.mp4", "2.mp4", None):
            await any_api.broadcasts.publish(created["stream_key"])
            any_api.broadcasts.progress(created["id"], 0.002, 0)
            any_api.broadcasts.close(created["id"], recording=recording)
            assert await any_api.plane.settle()
        after = await any_api.plane.playbacks.playback(playback_id)
        assert after is not None
        assert after.recording == "2.mp4"

    @pytest.mark.parametrize("playback_id", ["", "x", "F" * 32, "g" * 32, "é" * 32, "\0" * 32, "../" * 12, "a" * 33])
    async def test_what_is_no_id_costs_nothing(self, api: Api, counting: Counting, playback_id: str) -> None:
        playbacks = Playbacks(counting)  # type: ignore[arg-type]
        assert await playbacks.playback(playback_id) is None
        assert counting.reads == 0

    async def test_an_unknown_id_costs_one_question_a_second(self, api: Api, counting: Counting) -> None:
        clock = Clock()
        playbacks = Playbacks(counting, clock=clock)  # type: ignore[arg-type]
        unknown = new_playback_id()
        for _ in range(50):
            assert await playbacks.playback(unknown) is None
        assert counting.reads == 1
        clock.now_s += authority.CACHE_TTL_S
        await playbacks.playback(unknown)
        assert counting.reads == 2

    async def test_a_new_livestream_is_there_at_once(self, api: Api) -> None:
        for _ in range(3):
            created = await api.create()
            assert await api.plane.playbacks.playback(created["playback_url"].split("/")[3]) is not None
