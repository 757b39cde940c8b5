"""The player page through what goes wrong on a server, and what a keyboard can do with it."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser import chromium, until, watched
from tests.e2e.support import card_command, create, ffmpeg_command, played, running
from tests.support import require, running_server

NETWORK = re.compile(r"Failed to load resource|net::ERR")
"""What Chromium says by itself of answers that are no success; not a fault of the page."""

SHORT_WINDOWS = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "3", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "1"}
VIDEO = "document.querySelector('video')"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require("chromium")
    with chromium() as found:
        yield found


def page_of(playback_url: str) -> str:
    return playback_url.replace("/manifest/video.m3u8", "")


def own(complaints: list[str]) -> list[str]:
    """Complaints that are the page's own: errors of its scripts, violations of its policy."""
    return [text for text in complaints if not NETWORK.search(text)]


def test_a_viewer_keeps_the_page_open_while_the_server_crashes_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_server(data) as server:
        made = create(server)
        address = server.ready["http"]
        with running(card_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            with watched(browser, page_of(made.playback_url)) as viewer:
                viewer.reach("playing")
                viewer.moves()
                server.kill()
                until(viewer.page, "['stalled', 'waiting'].includes(headwater.state)")
                with (
                    running_server(data, "--http", address) as again,
                    running(card_command(again.rtmp + made.stream_key)),
                ):
                    played(made.playback_url)
                    viewer.reach("playing", within_s=40)
                    viewer.moves()
                    assert viewer.state()["kind"] == "live"
                assert own(viewer.complaints) == []


def test_a_publisher_that_never_comes_back_ends_the_stream_for_who_was_stalled(
    browser: Browser, tmp_path: Path
) -> None:
    with running_server(tmp_path / "data", env=SHORT_WINDOWS) as server:
        made = create(server)
        with watched(browser, page_of(made.playback_url)) as viewer:
            with running(card_command(server.rtmp + made.stream_key)):
                viewer.reach("playing")
                viewer.moves()
            viewer.reach("stalled")  # killed; ENDLIST comes three seconds later, with the picture at its end
            viewer.reach("ended")
            assert viewer.page.text_content("#headline") == "The stream has ended"
            until(viewer.page, "!document.querySelector('#recording').hidden", within_s=15)
            assert own(viewer.complaints) == []


def test_after_breaks_and_the_end_the_page_takes_up_the_next_broadcast(browser: Browser, tmp_path: Path) -> None:
    """Each break leaves its mark in the browser's buffer, and the last picture may never be shown."""
    windows = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "6", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "6"}
    with running_server(tmp_path / "data", env=windows) as server:
        made = create(server)
        publish = ffmpeg_command(server.rtmp + made.stream_key)
        with watched(browser, page_of(made.playback_url)) as viewer:
            for end in (signal.SIGINT, signal.SIGKILL, signal.SIGINT):
                with running(publish) as publisher:
                    viewer.reach("playing", within_s=30)
                    until(viewer.page, f"{VIDEO}.currentTime > {viewer.page.evaluate(f'{VIDEO}.currentTime')} + 5")
                    publisher.send_signal(end)
                    publisher.wait(timeout=10)
                viewer.reach("stalled")
            viewer.reach("ended", within_s=20)
            with running(publish):
                viewer.reach("playing", within_s=30)
                until(viewer.page, f"{VIDEO}.currentTime > 1")
                assert viewer.state()["kind"] == "live"
            assert own(viewer.complaints) == []


def test_arrows_and_full_screen_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        made = create(server)
        with running(card_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            with watched(browser, page_of(made.playback_url)) as viewer:
                viewer.reach("playing")
                viewer.moves()
                page = viewer.page
                page.keyboard.press("ArrowDown")
                assert page.evaluate(f"{VIDEO}.volume < 1 && !{VIDEO}.muted")
                page.keyboard.press("ArrowUp")
                assert page.evaluate(f"{VIDEO}.volume") == 1
                page.keyboard.press("f")
                until(page, "document.fullscreenElement?.id === 'player'")
                page.keyboard.press("f")
                until(page, "!document.fullscreenElement")
                until(page, f"{VIDEO}.currentTime - {VIDEO}.seekable.start(0) > 8")
                before = page.evaluate(f"{VIDEO}.currentTime")
                page.keyboard.press("ArrowLeft")
                assert page.evaluate(f"{VIDEO}.currentTime") < before - 3
                viewer.moves()
                behind = page.evaluate("headwater.latency - headwater.target")
                assert behind > 2, "who went back is not pulled to the live edge"
                page.keyboard.press("l")
                until(page, "headwater.latency - headwater.target < 1")
                assert viewer.complaints == []
