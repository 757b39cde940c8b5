"""Who may publish and what may be played: asked by strangers, so cheap, bounded and exact."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from headwater.control import Playbacks, PublishRefusedOf, StreamKeys, lookup
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
        clock.now_s += lookup.TTL_S
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
        clock.now_s += lookup.TTL_S
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

    async def test_every_sessions_recording_is_found(self, any_api: Api) -> None:
        """By the beginning of its id, below its own livestream only, while that is there."""
        created, other = await any_api.create(), await any_api.create()
        playback_id, others = (which["playback_url"].split("/")[3] for which in (created, other))
        names = {}
        for recording in ("1.mp4", None, "2.mp4"):
            opened = await any_api.broadcasts.publish(created["stream_key"])
            names[recording] = opened.session_id.replace("-", "")[:12]
            assert await any_api.plane.playbacks.recording(playback_id, names[recording]) is None, "it runs"
            any_api.broadcasts.progress(created["id"], 0.002, 0)
            any_api.broadcasts.close(created["id"], recording=recording)
            assert await any_api.plane.settle()
        playbacks = any_api.plane.playbacks
        found = await asyncio.gather(*(playbacks.recording(playback_id, name) for name in names.values()))
        assert found == ["1.mp4", None, "2.mp4"]
        for known, name in ((others, names["1.mp4"]), (playback_id, "0" * 12), (playback_id, "x" * 12), ("", "")):
            assert await playbacks.recording(known, name) is None
        await any_api.call("DELETE", f"/livestreams/{created['id']}")
        assert await playbacks.recording(playback_id, names["1.mp4"]) is None

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
        clock.now_s += lookup.TTL_S
        await playbacks.playback(unknown)
        assert counting.reads == 2

    async def test_a_new_livestream_is_there_at_once(self, api: Api) -> None:
        for _ in range(3):
            created = await api.create()
            assert await api.plane.playbacks.playback(created["playback_url"].split("/")[3]) is not None

    async def test_many_unknown_ids_cost_few_questions(self, any_api: Api) -> None:
        """Whoever watches what there is does not queue up behind each of them."""
        created = await any_api.create()
        known = created["playback_url"].split("/")[3]
        counting = Counting(any_api.plane._database)
        playbacks = Playbacks(counting)  # type: ignore[arg-type]
        unknown = [playbacks.playback(new_playback_id()) for _ in range(1000)]
        *nothing, found = await asyncio.gather(*unknown, playbacks.playback(known))
        assert nothing == [None] * 1000
        assert found is not None and found.livestream_id == created["id"]
        assert counting.reads == 4
        await playbacks.playback(known)
        assert counting.reads == 4

    async def test_a_change_while_it_is_looked_up_is_not_missed(self, api: Api) -> None:
        """What was read before the change is not remembered after it."""
        created = await api.create()
        playback_id = created["playback_url"].split("/")[3]
        gate = Gated(api.plane._database)
        playbacks = Playbacks(gate)  # type: ignore[arg-type]
        before = asyncio.ensure_future(playbacks.playback(playback_id))
        await gate.reading.wait()
        await api.call("PATCH", f"/livestreams/{created['id']}", json={"disabled": True})
        playbacks.forget()
        gate.go.set()
        assert await before is not None
        after = await playbacks.playback(playback_id)
        assert after is not None and after.disabled


class Gated:
    """A database whose answers wait for the test, and were read before."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self.reading, self.go = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        async with self._database.read() as conn:
            yield conn
        self.reading.set()
        await self.go.wait()


class TestLookup:
    async def test_a_failure_is_everybodys_and_is_not_remembered(self) -> None:
        async def load(keys: Sequence[str]) -> dict[str, str]:
            asked.append(keys)
            if len(asked) == 1:
                raise OSError("away")
            return {"a": "value"}

        asked: list[Sequence[str]] = []
        found: lookup.Lookup[str] = lookup.Lookup(load)
        failed = await asyncio.gather(found.get("a"), found.get("a"), found.get("b"), return_exceptions=True)
        assert [type(each) for each in failed] == [OSError] * 3
        assert await asyncio.gather(found.get("a"), found.get("b")) == ["value", None]
        assert [set(keys) for keys in asked] == [{"a", "b"}] * 2

    async def test_one_who_goes_away_takes_nothing_from_the_others(self) -> None:
        async def load(keys: Sequence[str]) -> dict[str, str]:
            await go.wait()
            return {"a": "value"}

        go = asyncio.Event()
        found: lookup.Lookup[str] = lookup.Lookup(load)
        gone, stays = asyncio.ensure_future(found.get("a")), asyncio.ensure_future(found.get("a"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        go.set()
        assert await stays == "value"

    async def test_made_up_keys_push_nothing_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lookup, "REMEMBERED_LIMIT", 10)
        asked: list[str] = []

        async def load(keys: Sequence[str]) -> dict[str, str]:
            asked.extend(keys)
            return {"known": "value"}

        found: lookup.Lookup[str] = lookup.Lookup(load, clock=Clock())
        for key in ("known", *map(str, range(100)), "known"):
            await found.get(key)
        assert asked.count("known") == 1


async def test_an_empty_key_is_named_as_that(api: Api) -> None:
    with pytest.raises(PublishRefused, match=r"ERR_BAD_STREAM_KEY: No stream key was given\."):
        await api.plane.stream_keys.authorize("")
