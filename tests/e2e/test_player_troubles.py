"""The player page in trouble: servers that die or are overloaded, codecs that the browser lacks, going back in time."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.browser import Watched, chromium, until, watched
from tests.e2e.support import api, card_command, create, played, running
from tests.support import Server, require, running_server, start_server

ROOT = Path(__file__).parents[2]
WINDOWS = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "15", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "1"}
MULTIVARIANT = "**/manifest/video.m3u8*"
NO_MEDIA_SOURCE = "for (const name of ['MediaSource', 'ManagedMediaSource', 'WebKitMediaSource']) delete window[name]"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require("chromium")
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py")], check=True, timeout=120)
    with running_server(tmp_path_factory.mktemp("troubles") / "data", env=WINDOWS) as running_:
        yield running_


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def page_url(server: Server) -> Iterator[str]:
    """The page of a livestream that is live all the time."""
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        yield page_of(made.playback_url)


def page_of(playback_url: str) -> str:
    return playback_url.replace("/manifest/video.m3u8", "")


@contextmanager
def opened(browser: Browser, *, script: str | None = None) -> Iterator[Page]:
    """A page of its own, still empty."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    if script:
        context.add_init_script(script)
    try:
        yield context.new_page()
    finally:
        context.close()


def test_a_codec_that_the_browser_lacks_is_said_and_tried_again_slowly(browser: Browser, page_url: str) -> None:
    asked: list[str] = []

    def hevc(route: Route) -> None:
        asked.append(route.request.url)
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r"avc1\.\w+", "hvc1.1.6.L93.B0", answer.text()))

    with opened(browser) as page:
        page.route(MULTIVARIANT, hevc)
        page.goto(page_url)
        viewer = Watched(page)
        viewer.reach("error")
        assert page.text_content("#headline") == "This cannot be played"
        assert "codec" in (page.text_content("#detail") or "")
        page.wait_for_timeout(3000)
        assert len(asked) == 1
        page.unroute(MULTIVARIANT)  # the publisher comes back with another codec
        viewer.reach("playing")
        viewer.moves()


def test_a_server_that_cannot_answer_is_asked_less_and_less(browser: Browser, page_url: str) -> None:
    asked: list[str] = []

    def overloaded(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503)

    with opened(browser) as page:
        page.route(MULTIVARIANT, overloaded)
        page.goto(page_url)
        page.wait_for_timeout(6000)
        assert 4 <= len(asked) <= 9  # without back-off: 11, by hls.js's own retry after a second
        assert page.text_content("#headline") == "Waiting for the stream"
        page.unroute(MULTIVARIANT)
        Watched(page).reach("playing")


def session_ids(browser: Browser, page_url: str) -> set[str]:
    """The CMCD session ids (CTA-5004) of one viewing; hls.js sends none with the multivariant playlist."""
    asked: list[str] = []
    with opened(browser) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(page_url)
        Watched(page).reach("playing")
        page.wait_for_timeout(500)
    media = [url for url in asked if urlsplit(url).path.endswith(("live.m3u8", ".m4s"))]
    return {re.findall(r'sid="([^"]+)"', parse_qs(urlsplit(url).query)["CMCD"][0])[0] for url in media}


def test_each_viewing_names_itself_in_cmcd(browser: Browser, page_url: str) -> None:
    first, second = session_ids(browser, page_url), session_ids(browser, page_url)
    assert len(first) == len(second) == 1 and first != second


def test_going_back_staying_there_and_going_live_again(browser: Browser, page_url: str) -> None:
    with watched(browser, page_url) as viewer:
        page = viewer.page
        viewer.reach("playing")
        until(page, "!document.querySelector('#seek').hidden", within_s=40)
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        until(page, "headwater.latency > 12 && !document.querySelector('#live').classList.contains('at-edge')")
        viewer.reach("playing")
        page.keyboard.press(" ")
        page.keyboard.press(" ")  # paused and played on: from there, not from the live edge
        page.wait_for_timeout(1500)
        assert page.evaluate("headwater.playing && headwater.latency > 12")
        assert re.match(r"0:\d\d behind", page.get_attribute("#seek", "aria-valuetext") or "")
        page.click("#live")
        until(page, "headwater.latency < headwater.target + 1.5")
        viewer.moves()
        assert viewer.complaints == []


def test_native_hls_plays_ends_and_offers_the_recording(server: Server, browser: Browser) -> None:
    made = create(server)
    with opened(browser, script=NO_MEDIA_SOURCE) as page:
        page.goto(page_of(made.playback_url))
        viewer = Watched(page)
        if not page.evaluate("document.createElement('video').canPlayType('application/vnd.apple.mpegurl')"):
            pytest.skip("this Chromium has no HLS player of its own")
        viewer.reach("waiting")
        with running(card_command(server.rtmp + made.stream_key)):
            viewer.reach("playing")
            viewer.moves()
            page.wait_for_timeout(2000)
            with api(server) as client:
                client.stop_livestream(made.id)
        viewer.reach("ended")
        until(page, "!document.querySelector('#recording').hidden", within_s=15)
        page.click("#recording")
        viewer.reach("playing")
        assert viewer.state()["kind"] == "recording"


def test_whoever_watches_a_recording_is_told_when_it_is_live_again(server: Server, browser: Browser) -> None:
    made = create(server)
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
        with api(server) as client:
            client.stop_livestream(made.id)
    with watched(browser, page_of(made.playback_url)) as viewer:
        page = viewer.page
        until(page, "!document.querySelector('#recording').hidden", within_s=15)
        page.click("#recording")
        viewer.reach("playing")
        page.evaluate("document.querySelector('video').pause()")
        assert page.is_hidden("#live")
        with running(card_command(server.rtmp + made.stream_key)):
            until(page, "!document.querySelector('#live').hidden", within_s=30)
            page.click("#live")
            until(page, "headwater.kind === 'live' && headwater.playing")
            viewer.moves()


def test_the_page_outlives_a_server_that_is_killed_and_started_again(tmp_path: Path, browser: Browser) -> None:
    first = start_server(tmp_path / "data", env=WINDOWS)
    second = None
    try:
        made = create(first)
        with running(card_command(first.rtmp + made.stream_key)):
            played(made.playback_url)
            with watched(browser, page_of(made.playback_url)) as viewer:
                viewer.reach("playing")
                first.kill()
                until(viewer.page, "headwater.state !== 'playing'")
                addresses = ("--http", first.ready["http"], "--rtmp", first.ready["rtmp"])
                second = start_server(tmp_path / "data", *addresses, env=WINDOWS)
                with running(card_command(second.rtmp + made.stream_key)):
                    viewer.reach("playing", within_s=60)
                    viewer.moves()
    finally:
        for server in filter(None, (first, second)):
            if server.process.poll() is None:
                server.terminate()
