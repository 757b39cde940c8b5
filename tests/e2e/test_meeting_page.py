"""The meeting page in real Chromiums whose cameras show a colour and whose microphones hear a tone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import until
from tests.e2e.support import api
from tests.interop.rooms import browser, fake_devices
from tests.support import Server, require, running_server

EXPECTED = re.compile(r"Failed to load resource")
"""What Chromium says by itself of answers that are no success."""

RED, BLUE = ((254, 0, 0), 440), ((0, 0, 254), 1000)
PHONE = {"width": 390, "height": 844}

PLAYED = """
window.sound ??= { context: new AudioContext(), taps: new Map() };
window.played = (id, source = "camera") => {
  const video = document.querySelector(`.tile[data-id="${id}"][data-source="${source}"] video`);
  if (!video?.srcObject) return null;
  const found = { dark: video.closest(".tile").classList.contains("dark"), paused: video.paused, muted: video.muted };
  if (video.videoWidth) {
    const canvas = new OffscreenCanvas(16, 16).getContext("2d");
    canvas.drawImage(video, 0, 0, 16, 16);
    found.colour = [...canvas.getImageData(8, 8, 1, 1).data].slice(0, 3);
    found.frames = video.getVideoPlaybackQuality().totalVideoFrames;
  }
  const [track] = video.srcObject.getAudioTracks();
  if (!track) return found;
  let analyser = sound.taps.get(track.id);
  if (!analyser) {
    analyser = new AnalyserNode(sound.context, { fftSize: 8192, smoothingTimeConstant: 0 });
    sound.context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    sound.taps.set(track.id, analyser);
  }
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const loudest = levels.indexOf(Math.max(...levels));
  return { ...found, db: levels[loudest], tone: loudest * sound.context.sampleRate / analyser.fftSize };
};
"""


@dataclass
class Someone:
    """A page in the meeting, its participant, and what went wrong on it."""

    id: str
    page: Page
    complaints: list[str] = field(default_factory=list)

    def join(self) -> None:
        self.page.wait_for_selector("#join")
        self.page.check("#choose-original")  # a tone is noise to who suppresses it
        until(self.page, "document.querySelector('video').videoWidth > 0")
        self.page.click("#join")
        self.page.wait_for_selector(".bar #leave")
        self.page.evaluate(PLAYED)

    def meets(self, other: Someone, colour: tuple[int, int, int], tone_hz: int) -> None:
        """Wait until this page shows the other's colour and plays their tone."""
        try:
            near = f"f.colour && f.colour.every((v, i) => Math.abs(v - {list(colour)}[i]) < 60)"
            heard = f"Math.abs(f.tone - {tone_hz}) < 15 && f.db > -60 && !f.paused && !f.muted"
            until(self.page, f"((f) => f && {near} && {heard})(played('{other.id}'))", within_s=10)
        except AssertionError:
            raise AssertionError(self.page.evaluate("id => played(id)", other.id)) from None

    def tile(self, other: Someone, source: str = "camera") -> str:
        return f".tile[data-id='{other.id}'][data-source='{source}']"

    def waits_for(self, selector: str, *, gone: bool = False, within_s: float = 5) -> None:
        self.page.wait_for_selector(selector, timeout=within_s * 1000, state="hidden" if gone else "visible")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require("chromium")
    with running_server(tmp_path_factory.mktemp("meeting") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Browser]]:
    folder = tmp_path_factory.mktemp("devices")
    with sync_playwright() as playwright:
        first = browser(playwright, *fake_devices(folder, "anna", "red", RED[1]))
        second = browser(playwright, *fake_devices(folder, "bert", "blue", BLUE[1]))
        try:
            yield first, second
        finally:
            first.close()
            second.close()


def new_meeting(server: Server) -> str:
    with api(server) as client:
        return client.create_meeting(title="Weekly sync").id


@contextmanager
def someone(
    browser: Browser, server: Server, meeting: str, name: str, preset: str, **options: Any
) -> Iterator[Someone]:
    """A participant's page, opened by their link; what it complains about fails the test."""
    with api(server) as client:
        made = client.add_participant(meeting, custom_participant_id=name, preset_name=preset, name=name)
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
    page = context.new_page()
    found = Someone(made.id, page)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(f"{server.http}/meet/{meeting}?token={made.token}")
    try:
        yield found
    finally:
        context.close()
    assert [text for text in found.complaints if not EXPECTED.search(text)] == []


def test_two_join_from_the_lobby_and_see_and_hear_each_other(
    server: Server, browsers: tuple[Browser, Browser], tmp_path: Path
) -> None:
    meeting = new_meeting(server)
    with (
        someone(browsers[0], server, meeting, "Anna Archer", "host") as anna,
        someone(browsers[1], server, meeting, "Bert", "participant") as bert,
    ):
        anna.join()
        bert.join()
        anna.meets(bert, *BLUE)
        bert.meets(anna, *RED)
