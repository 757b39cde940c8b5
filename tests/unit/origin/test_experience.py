"""How viewers fare, as the origin hears it: in requests by query and by headers, and in reports of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette

from headwater.analytics.experience import TOTALS, Experience
from headwater.events import Event, SessionExperience
from headwater.pipeline.origin import HttpServer, Origin
from headwater.pipeline.origin.checkpoints import Checkpoints
from headwater.pipeline.origin.experience import REPORTS_BURST, ExperienceLedger, ExperienceSettings
from headwater.pipeline.origin.reports import report_routes
from headwater.pipeline.origin.request import Request
from headwater.protocols.cmcd import BODY_LIMIT, Report, of_body
from tests.unit.origin.feed import BASE, EPOCH_MS, PLAYBACK_ID, SESSION_ID, Ask, Feed, Listing, make_origin
from tests.unit.origin.serving import certificate

SID = "6e2fb550-c457-11e9-bb97-0800200c9a66"
PART = f"{BASE}/v0/p5.m4s"
WALL_MS = EPOCH_MS + 10_000


def ledger_of(settings: ExperienceSettings | None = None) -> ExperienceLedger:
    return ExperienceLedger(
        settings or ExperienceSettings(),
        lambda path: EPOCH_MS if path == PART.encode() else None,
        wall_ms=lambda: WALL_MS,
    )


Form: TypeAlias = Callable[[str], Ask]


def by_query(text: str) -> Ask:
    return Ask(f"{PART}?CMCD={quote(text)}")


def by_headers(text: str) -> Ask:
    """In the header fields that the standard has for the keys."""
    groups: dict[str, list[str]] = {}
    places = {"br": "object", "ot": "object", "bl": "request", "su": "request", "sid": "session", "bs": "status"}
    for member in text.split(","):
        groups.setdefault(f"cmcd_{places[member.partition('=')[0]]}", []).append(member)
    return Ask(PART, **{name: ",".join(members) for name, members in groups.items()})


@pytest.mark.parametrize("form", [by_query, by_headers])
def test_requests_of_a_viewing_that_starves(form: Form) -> None:
    ledger = ledger_of()
    ledger.pictures = True
    said = f'br=3000,ot=v,sid="{SID}"'
    ledger.began(Ask(f"{BASE}/v0/live.m3u8?CMCD={quote(said)}"), 100.0)
    ledger.asked(form(f"bl=0,{said},su"), 100.5)
    for tenth in range(10, 60, 3):  # the picture moves from 101.0 s on
        ledger.asked(form(f"bl=1000,{said}"), 100 + tenth / 10)
    sound = f'bl=0,br=128,ot=a,sid="{SID}"'
    ledger.asked(Ask(f"{BASE}/a0/p5.m4s?CMCD={quote(sound)}"), 111.9)
    ledger.asked(form(f'bl=0,br=3000,bs,ot=v,sid="{SID}",su'), 112.0)
    ledger.asked(form(f"bl=800,{said}"), 114.0)
    totals, experience = ledger.experience.totals, ledger.experience
    assert (totals["views"], totals["started"], totals["stalls"], len(ledger)) == (1, 1, 1, 1)
    assert experience.mean("startup_ms") == 1000
    assert totals["stalled_ms"] == pytest.approx(112_000 - 105_800 - 1000, abs=2)
    assert totals["played_ms"] == pytest.approx(13_000 - totals["stalled_ms"], abs=5)
    assert experience.mean("kbps") == 3000
    assert experience.mean("latency_ms") == pytest.approx(10_900, abs=101)  # bl of 1000, then of 800


def test_a_stall_is_counted_where_a_request_from_before_it_arrives_after_it() -> None:
    ledger = ledger_of()
    said = f'br=3000,ot=v,sid="{SID}"'
    for tenth in range(0, 61, 3):
        ledger.asked(by_query(f"bl=1000,{said}"), tenth / 10)
    ledger.began(Ask(f"{BASE}/v0/live.m3u8?CMCD={quote(said)}"), 11.9)
    ledger.asked(by_query(f"bl=0,{said}"), 12.0)  # was under way when the network broke; and it is due to be read
    ledger.asked(by_query(f"bl=0,bs,{said}"), 12.01)
    ledger.asked(by_query(f"bl=0,bs,{said}"), 12.02)
    for tenth in range(123, 160, 3):
        ledger.asked(by_query(f"bl=1000,{said}"), tenth / 10)
    ledger.asked(by_query(f"bl=900,bs,{said}"), 16.0)  # a blink
    ledger.fold(17.0, over=True)
    totals = ledger.experience.totals
    assert totals["stalled_ms"] == pytest.approx(5010, abs=2)
    assert totals["played_ms"] == pytest.approx(16_000 - 5010, abs=5)
    assert totals["stalls"] == 1


def test_requests_are_read_every_ten_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def reading(request: Request) -> Report:
        read.append(request.query)
        return {"ot": "v"}

    monkeypatch.setattr("headwater.pipeline.origin.experience.read", reading)
    ledger = ledger_of()
    for tenth in range(100):
        ledger.asked(by_query(f'ot=v,sid="{SID}"'), tenth / 10)
    assert len(read) == 1
    ledger.fold(10.0, over=True)
    assert ledger.experience.totals["played_ms"] == 9900


def test_events_count_alone_once_there_are_some() -> None:
    ledger = ledger_of()
    ledger.asked(by_query(f'br=100,ot=v,sid="{SID}",su'), 0.0)
    lines = [f'e=ps,sid="{SID}",sta={state},ts={at},br=(3000)' for state, at in (("s", 0), ("p", 700), ("q", 5700))]
    assert ledger.told(of_body("\n".join(lines).encode()), 6.0)
    ledger.asked(by_query(f'br=100,bs,ot=v,sid="{SID}"'), 9.0)
    assert ledger.experience.totals == dict(zip(TOTALS, (1, 1, 0, 0, 0, 5000), strict=True))
    assert ledger.experience.mean("startup_ms") == 700 and ledger.experience.mean("kbps") == 3000


def test_what_is_kept_is_bounded_and_names_nobody() -> None:
    ledger = ledger_of(ExperienceSettings(max_viewings=10))
    for number in range(50):
        assert ledger.told(of_body(f'e=ps,sid="viewer-{number}",sta=p,msd=100,ts=1'.encode()), number)
    assert len(ledger) == 10
    assert ledger.experience.totals["views"] == 50
    assert "viewer" not in ledger.experience.packed()
    ledger.fold(50.0)
    assert len(ledger) == 10
    ledger.fold(165.0)
    assert len(ledger) == 5  # those of the last 120 s
    ledger.fold(50.0 + ExperienceSettings().rotate_s)
    assert len(ledger) == 0 and ledger.experience.totals["views"] == 50


def test_the_worst_viewings_come_first() -> None:
    ledger = ledger_of()
    for number in range(20):
        lines = [
            f'e=ps,sid="{number}",sta={state},ts={at}' for state, at in (("p", 0), ("r", 10), ("p", 10 + 300 * number))
        ]
        ledger.told(of_body("\n".join(lines).encode()), 30.0)
    assert [facts.stalled_ms for facts in ledger.worst(3)] == [5700, 5400, 5100]
    assert len(ledger.worst(100)) == 20


def test_the_salt_is_each_ledgers_own_and_changes() -> None:
    keys = set()
    for ledger in (ledger_of(), ledger_of()):
        for now_s in (0.0, ExperienceSettings().rotate_s):
            ledger.fold(now_s)
            ledger.told(of_body(f'e=t,sid="{SID}"'.encode()), now_s)
            keys |= set(ledger._followed)
    assert len(keys) == 4


def test_who_reports_too_often_is_told_so() -> None:
    ledger = ledger_of()
    body = of_body(f'e=t,sid="{SID}",ts=1'.encode())
    assert [ledger.told(body, 0.0) for _ in range(REPORTS_BURST + 1)] == [True] * REPORTS_BURST + [False]
    assert ledger.told(of_body(b'e=t,sid="other"'), 0.0)
    assert ledger.told(body, 1.5)
    crowded = ledger_of(ExperienceSettings(reports_per_s=128))
    assert [crowded.told(of_body(f'e=t,sid="{n}"\n'.encode() * 64), 0.0) for n in range(3)] == [True, True, False]


def test_where_it_is_switched_off_nothing_is_kept() -> None:
    ledger = ledger_of(ExperienceSettings(collect=False))
    ledger.began(by_query(f'sid="{SID}"'), 0.0)
    ledger.asked(by_query(f'ot=v,sid="{SID}"'), 0.0)
    assert ledger.told(of_body(f'e=ps,sid="{SID}",sta=p'.encode()), 0.0)
    assert len(ledger) == 0 and not ledger.changed


@pytest.mark.parametrize("query", ["CMCD=", "CMCD=%ff%00", f"CMCD=sid%3D%22a%22%2Cbs{'x' * 20_000}", "CMCD=sid%3D%22"])
def test_strange_requests_cost_nothing(query: str) -> None:
    ledger = ledger_of()
    for _ in range(3):
        ledger.asked(Ask(f"{PART}?{query}"), 0.0)
    assert ledger.experience.totals["stalls"] == 0


async def test_the_origin_hears_requests_for_media(tmp_path: Path) -> None:
    """Parts in memory, the hinted part and whole segments; and it knows since when their pictures are there."""
    origin = make_origin(tmp_path)
    feed = Feed(origin).live(2)
    program = feed.program
    heard: list[bytes] = []
    program.experience.asked = lambda request, now_s: heard.append(request.path)  # type: ignore[method-assign]
    said = quote(f'ot=v,sid="{SID}"')
    hinted = f"{BASE}/v0/{program.renditions[1].next_part}"
    for path in (f"{BASE}/v0/p1.m4s", f"{BASE}/v0/100.m4s", hinted):
        origin.respond(Ask(path))
        origin.respond(Ask(f"{path}?CMCD={said}"))
        origin.respond(Ask(path, cmcd_session=f'sid="{SID}"'))
        assert heard == [path.encode()] * 2
        heard.clear()
        assert (program.received_ms(path.encode()) or 0) >= EPOCH_MS
    first = program.received_ms(f"{BASE}/v0/p0.m4s".encode())
    assert first is not None and program.received_ms(f"{BASE}/v0/p1.m4s".encode()) == first + 500
    assert program.received_ms(f"{BASE}/v0/101.m4s".encode()) == first + 2000
    for name in ("p999.m4s", "99.m4s", "init0.mp4", "x", "p-1.m4s"):
        assert program.received_ms(f"{BASE}/v0/{name}".encode()) is None
    assert program.received_ms(f"{BASE}/v7/p1.m4s".encode()) is None
    origin.drain()


# -- the place for reports ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(folder: Path) -> AsyncIterator[tuple[Origin, Feed, httpx.AsyncClient]]:
    origin = make_origin(folder)
    server = HttpServer(origin, Starlette(routes=report_routes(origin, Listing())))
    try:
        feed = Feed(origin).live(2)
        host, port = await server.start_http("127.0.0.1", 0)
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}") as client:
            yield origin, feed, client
    finally:
        await server.stop(1.0)


async def test_reports_are_taken_from_any_page(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, feed, client):
        path = f"/{PLAYBACK_ID}/cmcd"
        preflight = await client.options(path, headers={"origin": "https://elsewhere.example"})
        assert preflight.status_code == 204
        assert preflight.headers["access-control-allow-methods"] == "POST, OPTIONS"
        assert preflight.headers["access-control-allow-headers"] == "Content-Type"
        body = f'e=ps,sid="{SID}",sta=p,msd=321,ts=5\n'
        answer = await client.post(path, content=body, headers={"content-type": "application/cmcd"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert feed.program.experience.experience.mean("startup_ms") == 321


async def test_reports_are_taken_over_http_2(tmp_path: Path) -> None:
    origin = make_origin(tmp_path)
    server = HttpServer(origin, Starlette(routes=report_routes(origin, Listing())))
    feed = Feed(origin).live(2)
    try:
        host, port = await server.start_https("127.0.0.1", 0, *certificate(tmp_path))
        async with httpx.AsyncClient(http2=True, verify=False, base_url=f"https://{host}:{port}") as client:
            body = f'e=ps,sid="{SID}",sta=p,msd=321,ts=5\n'
            answer = await client.post(f"/{PLAYBACK_ID}/cmcd", content=body)
            assert (answer.http_version, answer.status_code) == ("HTTP/2", 204)
            assert (await client.options(f"/{PLAYBACK_ID}/cmcd")).status_code == 204
            assert (await client.post(f"/{PLAYBACK_ID}/cmcd", content=b"x" * 100_000)).status_code == 413
        assert feed.program.experience.experience.mean("startup_ms") == 321
    finally:
        await server.stop(1.0)


async def test_what_is_refused(tmp_path: Path) -> None:
    async with listening(tmp_path) as (_, feed, client):
        path = f"/{PLAYBACK_ID}/cmcd"
        assert (await client.post(f"/{'a' * 32}/cmcd", content=b"e=t")).status_code == 404
        assert (await client.post("/assets/cmcd", content=b"e=t")).status_code == 404
        assert (await client.get(path)).status_code == 405
        assert (await client.post(path, content=b"x" * (BODY_LIMIT + 1))).status_code == 413
        json = {"content-type": "application/json"}
        assert (await client.post(path, content=b"{", headers=json)).status_code == 400
        answers = [await client.post(path, content=f'e=t,sid="{SID}"'.encode()) for _ in range(REPORTS_BURST + 1)]
        assert [answer.status_code for answer in answers] == [204] * REPORTS_BURST + [429]
        assert answers[-1].headers["retry-after"]
        assert feed.program.experience.experience.totals["started"] == 0


async def test_checkpoints_say_what_has_changed_until_a_session_is_let_go(tmp_path: Path) -> None:
    origin = make_origin(tmp_path, ended_s=0)
    feed, said = Feed(origin).live(2), list[Event]()
    checkpoints = Checkpoints(origin, said.append)
    ledger = feed.program.experience
    checkpoints.check(0.0, 1)
    assert said == []
    ledger.told(of_body(f'e=ps,sid="{SID}",sta=p,msd=5,ts=0'.encode()), 0.0)
    checkpoints.check(1.0, 2)
    checkpoints.check(2.0, 3)
    assert [type(event) for event in said] == [SessionExperience]
    assert checkpoints.totals["started"] == 1 and checkpoints.quantiles("startup_ms", [0.5]) == [
        pytest.approx(5, rel=0.02)
    ]
    assert checkpoints.quantiles("latency_ms", [0.5, 0.9]) == [None, None]
    feed.program.end(None)
    assert checkpoints.quantiles("startup_ms", [0.5]) == [None], "nothing is live"
    ledger.told(of_body(f'e=ps,sid="{SID}",sta=e,ts=2000'.encode()), 2.0)
    await asyncio.sleep(0)
    origin.sweep(feed.program.ended_at + 1)  # the session is let go
    assert origin.live_programs() == []
    checkpoints.start()
    await checkpoints.stop()
    last = said[-1]
    assert isinstance(last, SessionExperience) and (last.session_id, len(said)) == (SESSION_ID, 2)
    assert Experience.unpacked(last.packed).totals["played_ms"] == 2000
    assert checkpoints.totals["played_ms"] == 2000 and checkpoints.totals["views"] == 1, "what has ended stays counted"
    origin.drain()
