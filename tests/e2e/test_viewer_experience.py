"""How viewers fare, by real players over a network that is cut for some seconds: our page, and plain hls.js in each of
its ways to say so. What the server says is held against what the browser saw.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route

from headwater.client.models import CreatedLivestream, ViewerExperience
from tests.browser import chromium, until
from tests.e2e.support import ENCODE, api, create, media_playlist, played, renditions, running
from tests.e2e.support import until as reach
from tests.support import Server, require, running_server

ROOT = Path(__file__).parents[2]
CUT_S = 6.0

WATCH = """
window.seen = { frozen: 0, stalls: 0, moved: 0, latency: null };
{
  let last = 0, since = null, before = performance.now();
  setInterval(() => {
    const video = document.querySelector("video"), now = performance.now();
    if (video && !video.paused) {
      if (video.currentTime !== last) {
        if (window.seen.moved && since !== null && now - since >= 200) {
          window.seen.frozen += before - since;
          window.seen.stalls += 1;
        }
        window.seen.moved += last ? now - before : 0;
        last = video.currentTime;
        since = now;
      }
      before = now;
    }
  }, 20);
}
"""
"""What the picture did, seen from outside the players: how long it stood still once it had moved, in milliseconds."""

PLAIN = """
<!doctype html><video muted></video>
<script type="module">
  import Hls from "/assets/vendor/hls.min.mjs";
  const hls = new Hls({ lowLatencyMode: true, cmcd: CMCD });
  const video = document.querySelector("video");
  hls.loadSource("PLAYLIST");
  hls.attachMedia(video);
  hls.on(Hls.Events.MANIFEST_PARSED, () => video.play());
</script>
"""

CMCD = {
    "query": '{ sessionId: "SID", contentId: "c" }',
    "headers": '{ sessionId: "SID", contentId: "c", useHeaders: true }',
    "events": '{ sessionId: "SID", contentId: "c", version: 2, includeKeys: ["sid"], eventTargets: '
    '[{ url: "REPORTS", events: ["ps", "t", "bc", "e"], interval: 2, batchSize: 1 }] }',
}
SIDS = {name: f"5a1ad0{number}-0000-4000-8000-00c0ffee0000" for number, name in enumerate(CMCD)}


class Network:
    """A TCP proxy whose wire can be cut: then nothing passes in either direction, as where a radio is lost."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._whole = asyncio.Event()
        self._whole.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network")
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._connected, "127.0.0.1", 0), self._loop
        ).result(5)
        self.port: int = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._whole.set)

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._whole.wait()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


@dataclass
class Viewing:
    """A livestream with one viewer, and what its browser saw."""

    name: str
    livestream: CreatedLivestream
    page: Page

    @property
    def playback_id(self) -> str:
        return urlsplit(self.livestream.playback_url).path.split("/")[1]


@dataclass
class Outcome:
    frozen_ms: float
    stalls: int
    moved_ms: float
    experience: ViewerExperience


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require("chromium")
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py")], check=True, timeout=120)
    env = {"HEADWATER_EXPERIENCE_CHECKPOINT_INTERVAL_S": "0.5", "HEADWATER_EXPERIENCE_READ_INTERVAL_S": "2"}
    with running_server(tmp_path_factory.mktemp("experience") / "data", env=env) as running_:
        yield running_


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def network(server: Server) -> Iterator[Network]:
    host, _, port = server.ready["http"].rpartition(":")
    made = Network(host, int(port))
    yield made
    made.close()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute, encoded once: so that four publishers cost nothing."""
    path = tmp_path_factory.mktemp("clip") / "clip.flv"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-f", "lavfi", "-i", "sine=r=48000", "-t", "60"]
    command = [require("ffmpeg"), "-nostdin", "-v", "error", *picture, *ENCODE, "-c:a", "aac", "-b:a", "64k"]
    subprocess.run([*command, "-f", "flv", str(path)], check=True, timeout=60)
    return path


@contextmanager
def viewing(browser: Browser, server: Server, network: Network, clip: Path, name: str) -> Iterator[Viewing]:
    made = create(server, name)
    publish = [require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-i", str(clip), "-c", "copy", "-f", "flv"]
    with running([*publish, server.rtmp + made.stream_key]):
        played(made.playback_url)
        context = browser.new_context(viewport={"width": 640, "height": 360})
        context.add_init_script(WATCH)
        found = Viewing(name, made, context.new_page())
        try:
            open_page(found, f"http://127.0.0.1:{network.port}")
            yield found
        finally:
            context.close()


def open_page(viewing: Viewing, base: str) -> None:
    """Our page, or one with nothing but hls.js."""
    page, playback_id = viewing.page, viewing.playback_id
    if viewing.name == "page":
        page.goto(f"{base}/{playback_id}")
        return
    cmcd = CMCD[viewing.name].replace("SID", SIDS[viewing.name]).replace("REPORTS", f"{base}/{playback_id}/cmcd")
    text = PLAIN.replace("CMCD", cmcd).replace("PLAYLIST", f"{base}/{playback_id}/manifest/video.m3u8")

    def plain(route: Route) -> None:
        route.fulfill(content_type="text/html", body=text)

    page.route("**/plain.html", plain)
    page.goto(f"{base}/plain.html")


@pytest.fixture(scope="module")
def outcomes(server: Server, browser: Browser, network: Network, clip: Path) -> Iterator[dict[str, Outcome]]:
    """All of them watch at the same time, and lose the network at the same time."""
    with ExitStack() as stack:
        names = ["page", *CMCD]
        all_ = [stack.enter_context(viewing(browser, server, network, clip, name)) for name in names]
        for each in all_:
            until(each.page, "seen.moved > 4000", within_s=40)
        network.cut()
        time.sleep(CUT_S)
        network.mend()
        for each in all_:
            until(each.page, "seen.frozen > 0", within_s=30)
        moved = {each.name: each.page.evaluate("seen.moved") for each in all_}
        for each in all_:
            until(each.page, f"seen.moved > {moved[each.name] + 5000}", within_s=30)
        seen = {each.name: each.page.evaluate("seen") for each in all_}
        for each in all_:
            each.page.goto("about:blank")
        time.sleep(1.5)
        with api(server) as client:
            sessions = {
                each.name: client.get_livestream_session_for_livestream_id(each.livestream.id).sessions[0].id
                for each in all_
            }
            told = {name: client.get_livestream_session_experience(id_) for name, id_ in sessions.items()}
        yield {
            name: Outcome(seen[name]["frozen"], seen[name]["stalls"], seen[name]["moved"], told[name]) for name in names
        }


@pytest.mark.parametrize("name", ["page", *CMCD])
def test_the_stall_is_counted_with_its_duration(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    experience = outcome.experience
    print(name, outcome)
    assert (experience.views, experience.started_views, experience.stalled_views) == (1, 1, 1)
    assert outcome.frozen_ms > 2000, "the cut was longer than the buffer"
    assert 1 <= experience.stalls <= outcome.stalls + 1
    assert experience.stalled_seconds * 1000 == pytest.approx(outcome.frozen_ms, rel=0.15, abs=700)
    assert experience.played_seconds * 1000 == pytest.approx(outcome.moved_ms, rel=0.2, abs=2500)
    ratio = experience.stalled_seconds / (experience.stalled_seconds + experience.played_seconds)
    assert experience.rebuffering_ratio == pytest.approx(ratio, abs=1e-5)


@pytest.mark.parametrize("name", ["page", *CMCD])
def test_start_up_is_measured(outcomes: dict[str, Outcome], name: str) -> None:
    startup = outcomes[name].experience.startup_ms
    assert startup.count == 1 and startup.mean is not None
    assert 50 < startup.mean < 8000


@pytest.mark.parametrize("name", ["page", *CMCD])
def test_the_bitrate_is_the_variants(outcomes: dict[str, Outcome], name: str) -> None:
    bitrate = outcomes[name].experience.bitrate_kbps
    assert bitrate.count == 1 and bitrate.mean is not None
    assert 100 < bitrate.mean < 3000


@pytest.mark.parametrize("name", ["page", "query", "headers"])
def test_latency_is_known_where_the_player_says_enough(outcomes: dict[str, Outcome], name: str) -> None:
    """hls.js says none in its events; from its requests it is computed, by the buffer that they name."""
    latency = outcomes[name].experience.latency_ms
    assert latency.count == 1 and latency.mean is not None
    assert 300 < latency.mean < 15_000


def test_no_address_and_no_session_id_is_stored(outcomes: dict[str, Outcome], server: Server) -> None:
    """Neither in the database, nor in its log, nor anywhere else in the data folder, nor in the server's log."""
    assert outcomes
    with sqlite3.connect(f"file:{server.data / 'headwater.db'}?mode=ro", uri=True) as conn:
        (count,) = conn.execute("SELECT count(*) FROM session_experiences").fetchone()
        dump = "\n".join(conn.iterdump())
    assert count >= 4
    experiences = [line for line in dump.splitlines() if "session_experiences" in line]
    assert not any(
        re.search(r"127\.0\.0\.1|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-00c0ffee", e) for e in experiences
    )
    for path in [*server.data.rglob("*"), server.log]:
        if path.is_file() and path.suffix != ".mp4":
            content = path.read_bytes()
            assert not any(sid.encode() in content for sid in SIDS.values()), path
            if path.name.startswith("headwater.db"):
                assert b"HeadlessChrome" not in content


def experience_of(server: Server, made: CreatedLivestream) -> ViewerExperience:
    with api(server) as client:
        return client.get_livestream_experience(made.id)


@pytest.fixture
def live(server: Server, clip: Path) -> Iterator[CreatedLivestream]:
    made = create(server)
    publish = [require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-i", str(clip), "-c", "copy", "-f", "flv"]
    with running([*publish, server.rtmp + made.stream_key]):
        played(made.playback_url)
        yield made


def test_shaka_player_tells_its_events(server: Server, browser: Browser, live: CreatedLivestream) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py"), "--tests"], check=True, timeout=120)
    script = (ROOT / ".tools/web/shaka-player.compiled.js").read_text(encoding="utf-8")
    reports = live.playback_url.replace("/manifest/video.m3u8", "/cmcd")
    target = f"{{ url: '{reports}', events: ['ps', 't', 'e'], interval: 1, batchSize: 2 }}"
    text = f"""<!doctype html><video muted autoplay></video><script src="shaka.js"></script><script>
const player = new shaka.Player();
player.configure({{ streaming: {{ lowLatencyMode: true }},
                    cmcd: {{ enabled: true, sessionId: "shaka", version: 2, eventTargets: [{target}] }} }});
player.attach(document.querySelector("video")).then(() => player.load("{live.playback_url}"));
</script>"""
    # shaka-player 5.2 probes a segment at three quarters of the playlist, and gives up where it is still open.
    with httpx.Client(timeout=20) as client:
        url = renditions(client, live.playback_url)["video"]
        reach(lambda: len(media_playlist(client, url).segments) >= 4, "four segments")
    context = browser.new_context()
    page = context.new_page()
    page.route("**/shaka.js", lambda route: route.fulfill(content_type="text/javascript", body=script))
    page.route("**/shaka.html", lambda route: route.fulfill(content_type="text/html", body=text))
    page.goto(f"{server.http}/shaka.html")
    until(page, "document.querySelector('video').currentTime > 0")
    page.wait_for_timeout(5000)
    context.close()
    found = reach(lambda: kept(experience_of(server, live), 3), "what shaka-player tells is stored")
    print(found)
    assert (found.views, found.started_views, found.startup_ms.count) == (1, 1, 1)


def kept(experience: ViewerExperience, played_s: float) -> ViewerExperience | None:
    return experience if experience.played_seconds >= played_s else None


def test_the_page_tells_the_same_where_the_browser_plays_hls_itself(
    server: Server, browser: Browser, live: CreatedLivestream
) -> None:
    # Chromium's own player begins at the edge and stands still for seconds where a stream is just as old.
    with httpx.Client(timeout=20) as client:
        url = renditions(client, live.playback_url)["video"]
        reach(lambda: len(media_playlist(client, url).segments) >= 4, "four segments")
    context = browser.new_context()
    context.add_init_script("for (const name of ['MediaSource', 'ManagedMediaSource']) delete window[name]")
    page = context.new_page()
    page.goto(live.playback_url.replace("/manifest/video.m3u8", ""))
    if not page.evaluate("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
        pytest.skip("this Chromium has no HLS player of its own")
    until(page, "window.headwater?.state === 'playing'")
    until(page, "document.querySelector('video').currentTime > 4")
    page.goto("about:blank")
    time.sleep(1)
    context.close()
    found = reach(lambda: kept(experience_of(server, live), 3), "what the page tells is stored")
    assert (found.views, found.started_views, found.startup_ms.count) == (1, 1, 1)
    assert found.startup_ms.mean is not None and 5 < found.startup_ms.mean < 15_000


def test_the_viewer_count_is_right_within_three_seconds(
    server: Server, browser: Browser, live: CreatedLivestream
) -> None:
    """Players come and go; the number follows, and does not waver while nobody does."""
    page_url, views = (live.playback_url.replace("/manifest/video.m3u8", path) for path in ("", "/views"))

    def count() -> int:
        return int(httpx.get(views).json()["liveViewers"])

    def becomes(expected: int) -> None:
        reach(lambda: count() == expected, f"{expected} viewers", within_s=3)
        for _ in range(8):
            time.sleep(0.25)
            assert count() == expected

    assert count() == 0
    contexts = [browser.new_context() for _ in range(3)]
    for number, context in enumerate(contexts, 1):
        page = context.new_page()
        page.goto(page_url)
        until(page, "window.headwater?.state === 'playing'")
        becomes(number)
    with api(server) as client:
        reach(lambda: len(client.get_livestream_viewings(live.id)) == 3, "each of them has reported")
        assert all(viewing.startup_ms is not None for viewing in client.get_livestream_viewings(live.id))
    for left, context in enumerate(reversed(contexts)):
        context.close()
        becomes(2 - left)


def test_an_address_of_a_viewer_is_nowhere(server: Server, live: CreatedLivestream) -> None:
    """A viewer with an address of its own watches, tells and asks; all that the server wrote is searched for it."""
    address, sid = "127.0.0.77", "5ec4e7ed-0000-4000-8000-000000000000"
    with httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=20) as client:
        url = renditions(client, live.playback_url)["video"]
        said = {"CMCD": f'br=900,ot=v,sid="{sid}"'}
        for part in media_playlist(client, url).segments[-1].parts:
            assert client.get(part, params=said).status_code == 200
        assert client.get(url.partition("?")[0], headers={"User-Agent": "a-rare-player"}).status_code == 200
        told = f'e=ps,sid="{sid}",sta=p,msd=77,ts=0\ne=t,sid="{sid}",sta=p,ts=9000\n'
        assert client.post(live.playback_url.replace("manifest/video.m3u8", "cmcd"), content=told).status_code == 204
        client.get(live.playback_url.replace("manifest/video.m3u8", "no-such-thing"))
    found = reach(lambda: kept(experience_of(server, live), 9), "it is counted")
    assert found.startup_ms.mean == 77
    for path in [*server.data.rglob("*"), server.log]:
        if path.is_file():
            content = path.read_bytes()
            assert not any(word in content for word in (address.encode(), sid.encode(), b"a-rare-player")), path


def test_a_crash_costs_no_more_than_since_the_last_checkpoint(tmp_path: Path) -> None:
    env = {"HEADWATER_EXPERIENCE_CHECKPOINT_INTERVAL_S": "0.2", "HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "1"}
    data = tmp_path / "data"
    with running_server(data, env=env) as server:
        made = create(server)
        base = made.playback_url.replace("/manifest/video.m3u8", "")
        command = [sys.executable, "-m", "headwater", "publish", server.rtmp + made.stream_key, "--size", "320x180"]
        with running(command):
            played(made.playback_url)
            body = b'e=ps,msd=432,sid="x",sta=p,ts=1000\ne=ps,sid="x",sta=r,ts=3000\ne=ps,sid="x",sta=p,ts=4500\n'
            assert httpx.post(f"{base}/cmcd", content=body).status_code == 204
            with api(server) as client:
                session = client.get_active_livestreams_for_livestream_id(made.id).session.id
                deadline = time.monotonic() + 10
                while client.get_livestream_session_experience(session).views == 0:
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            server.kill()
        with running_server(data, env=env) as again, api(again) as client:
            kept = client.get_livestream_session_experience(session)
            assert (kept.views, kept.stalls, kept.stalled_seconds, kept.played_seconds) == (1, 1, 1.5, 2.0)
            assert kept.startup_ms.mean == 432
            assert client.get_livestream_experience(made.id).stalls == 1
