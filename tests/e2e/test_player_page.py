"""The player page in a real Chromium: it plays, waits, recovers and ends as a viewer expects."""

from __future__ import annotations

import http.server
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

import httpx
import pytest
from playwright.sync_api import Browser

from tests.browser import chromium, until, watched
from tests.e2e.support import api, card_command, create, media_playlist, played, renditions, running
from tests.e2e.support import until as reach
from tests.support import Server, require, running_server

ROOT = Path(__file__).parents[2]
WINDOWS = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "15", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "1"}
NETWORK = re.compile(r"Failed to load resource|net::ERR")
"""What Chromium says by itself of answers that are no success; not a fault of the page."""

SINCE_THE_FIRST_PLAYLIST = """
(performance.now() - performance.getEntriesByType('resource').find(e => e.name.includes('/live.m3u8')).startTime) / 1000
"""
"""Seconds since the browser first asked for a media playlist."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require("chromium")
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py")], check=True, timeout=120)
    with running_server(tmp_path_factory.mktemp("player") / "data", env=WINDOWS) as running_:
        yield running_


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with chromium() as found:
        yield found


def page_of(playback_url: str) -> str:
    return playback_url.replace("/manifest/video.m3u8", "")


@pytest.mark.alone
def test_thirty_seconds_without_a_stall_and_the_latency_of_the_picture(server: Server, browser: Browser) -> None:
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        with watched(browser, page_of(made.playback_url)) as viewer:
            viewer.reach("playing")
            viewer.moves()
            latencies = []
            for _ in range(60):
                viewer.page.wait_for_timeout(500)
                latency = viewer.latency_ms()
                if latency is not None:
                    latencies.append(latency)
            state = viewer.state()
            viewers = viewer.page.text_content("#viewers")
            quality = viewer.page.evaluate("document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames")
            seconds = viewer.page.evaluate(SINCE_THE_FIRST_PLAYLIST)
        with api(server) as client:
            session = client.get_active_livestreams_for_livestream_id(made.id).session
    print(
        f"glass to glass: median {median(latencies):.0f} ms, worst {max(latencies):.0f} ms of {len(latencies)} readings"
    )
    assert state["stalls"] == 0 and viewer.complaints == []
    assert len(latencies) > 40 and median(latencies) < 4000
    assert quality > 25 * 25
    assert viewers == "1 watching"
    print(f"watched {seconds:.2f} s, counted {float(session.viewer_seconds):.2f} s")
    assert float(session.viewer_seconds) == pytest.approx(seconds, abs=1)


def test_it_waits_and_starts_by_itself_and_goes_on_after_a_kill(server: Server, browser: Browser) -> None:
    made = create(server)
    with watched(browser, page_of(made.playback_url)) as viewer:
        viewer.reach("waiting")
        assert viewer.page.text_content("#headline") == "Waiting for the stream"
        with running(card_command(server.rtmp + made.stream_key)):
            viewer.reach("playing")
            viewer.moves()
        viewer.reach("stalled")  # killed
        with running(card_command(server.rtmp + made.stream_key)):
            viewer.reach("playing")
            viewer.moves()
    assert [text for text in viewer.complaints if not NETWORK.search(text)] == []


def test_the_end_is_said_the_recording_offered_and_the_next_session_starts_by_itself(
    server: Server, browser: Browser
) -> None:
    made = create(server)
    with watched(browser, page_of(made.playback_url)) as viewer:
        with running(card_command(server.rtmp + made.stream_key)):
            viewer.reach("playing")
            viewer.page.wait_for_timeout(3000)
            with api(server) as client:
                client.stop_livestream(made.id)
        viewer.reach("ended")
        assert viewer.page.text_content("#headline") == "The stream has ended"
        until(viewer.page, "!document.querySelector('#recording').hidden", within_s=15)
        viewer.page.click("#recording")
        viewer.reach("playing")
        assert viewer.state()["kind"] == "recording"
        viewer.reach("ended")
        with running(card_command(server.rtmp + made.stream_key)):
            viewer.reach("playing")
            viewer.moves()
            assert viewer.state()["kind"] == "live"


def test_after_a_freeze_the_picture_comes_back_to_its_latency(server: Server, browser: Browser) -> None:
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)) as publisher:
        played(made.playback_url)
        with watched(browser, page_of(made.playback_url)) as viewer:
            viewer.reach("playing")
            viewer.moves()
            publisher.send_signal(signal.SIGSTOP)
            viewer.page.wait_for_timeout(2500)
            publisher.send_signal(signal.SIGCONT)
            viewer.moves()
            near = "headwater.state === 'playing' && headwater.latency < headwater.target + 0.4"
            until(viewer.page, near, within_s=30)


def test_nothing_starts_before_it_is_asked_to(server: Server, browser: Browser) -> None:
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        with watched(browser, f"{page_of(made.playback_url)}?autoplay=0") as viewer:
            viewer.reach("paused")
            viewer.page.keyboard.press(" ")
            viewer.reach("playing")


def test_keys_buttons_and_a_phone(server: Server, browser: Browser) -> None:
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        with watched(browser, page_of(made.playback_url)) as viewer:
            viewer.reach("playing")
            page = viewer.page
            paused, muted = "document.querySelector('video').paused", "document.querySelector('video').muted"
            assert page.evaluate(muted) is True
            page.keyboard.press("m")
            assert page.evaluate(muted) is False
            page.keyboard.press(" ")
            assert page.evaluate(paused) is True
            page.click("#play")
            until(page, f"!{paused}")
            page.keyboard.press("i")
            assert "1280" in (page.text_content("#stats") or "") or "640" in (page.text_content("#stats") or "")
            assert viewer.complaints == []
        phone = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
        context = browser.new_context(**phone)  # type: ignore[arg-type]
        try:
            page = context.new_page()
            page.goto(page_of(made.playback_url))
            until(page, "window.headwater && headwater.state === 'playing'")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert all(page.is_visible(button) for button in ("#play", "#mute", "#live", "#full"))
        finally:
            context.close()


def test_an_unknown_page_is_friendly_and_names_are_escaped(server: Server, browser: Browser) -> None:
    with watched(browser, f"{server.http}/{'0' * 32}") as viewer:
        assert "No such livestream" in (viewer.page.text_content("h1") or "")
    with watched(browser, server.http) as viewer:
        assert viewer.page.text_content("h1") == "Headwater"
        assert viewer.complaints == []


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Another origin: a folder served on another port."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=web.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{web.server_port}"
    web.shutdown()
    web.server_close()
    thread.join()


def test_shaka_player_and_an_iframe_play_it_on_another_site(
    server: Server, browser: Browser, elsewhere: tuple[Path, str]
) -> None:
    folder, origin = elsewhere
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py"), "--tests"], check=True, timeout=120)
    script = (ROOT / ".tools/web/shaka-player.compiled.js").read_bytes()
    (folder / "shaka.js").write_bytes(script)
    made = create(server)
    (folder / "shaka.html").write_text(f"""<!doctype html><video muted autoplay width="640"></video>
<script src="shaka.js"></script><script>
shaka.polyfill.installAll();
const player = new shaka.Player();
player.configure({{ streaming: {{ lowLatencyMode: true }} }});
player.addEventListener("error", (e) => (window.failure = JSON.stringify(e.detail)));
player.attach(document.querySelector("video"))
  .then(() => player.load("{made.playback_url}")).catch((e) => (window.failure = String(e.code ?? e)));
</script>""")
    (folder / "frame.html").write_text(
        f'<iframe src="{page_of(made.playback_url)}?controls=0" width="640" height="360">'
    )
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        # shaka-player 5.2 probes a segment at three quarters of the playlist, and gives up where it is still open.
        with httpx.Client(timeout=20) as client:
            url = renditions(client, made.playback_url)["video"]
            reach(lambda: len(media_playlist(client, url).segments) >= 4, "four segments")
        with watched(browser, f"{origin}/shaka.html") as viewer:
            ready = "window.failure || document.querySelector('video').currentTime > 3"
            until(viewer.page, ready)
            assert viewer.page.evaluate("window.failure ?? null") is None
            viewer.moves()
            print(f"shaka-player: {viewer.latency_ms():.0f} ms glass to glass")
        with watched(browser, f"{origin}/frame.html") as viewer:
            frame = viewer.page.frames[1]
            until(frame, "window.headwater && headwater.state === 'playing'")
            assert not frame.is_visible("#bar")
