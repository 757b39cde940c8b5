"""The meeting page in real Chromiums whose cameras show a colour and whose microphones hear a tone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response, Route, sync_playwright

from headwater.client import NotFound
from headwater.webrtc.links import ice_server_links
from headwater.webrtc.settings import WebRtcSettings
from tests.browser import accessible, until
from tests.e2e.support import api
from tests.interop.lossy import LossyRelay
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
        self.page.wait_for_selector(".bar #people")
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
    browser: Browser, server: Server, meeting: str, name: str, preset: str, *, script: str = "", **options: Any
) -> Iterator[Someone]:
    """A participant's page, opened by their link; what it complains about fails the test."""
    with api(server) as client:
        made = client.add_participant(meeting, custom_participant_id=name, preset_name=preset, name=name)
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, **options})
    context.add_init_script(script)
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


def test_two_meet(server: Server, browsers: tuple[Browser, Browser]) -> None:
    """From the lobby to goodbye; one of them on a phone."""
    meeting = new_meeting(server)
    with (
        someone(browsers[0], server, meeting, "Anna Archer", "host") as anna,
        someone(browsers[1], server, meeting, "Bert", "participant", viewport=PHONE) as bert,
    ):
        the_lobby(anna, server, meeting)
        anna.join()
        bert.join()
        anna.meets(bert, *BLUE)
        bert.meets(anna, *RED)
        fits(bert.page)
        assert [accessible(each.page) for each in (anna, bert)] == [[], []]
        anna.waits_for(".tile.speaking")
        until(anna.page, "said.textContent.includes('Bert has joined')")
        sound_and_picture_off_and_on(anna, bert)
        anna.page.reload()
        bert.waits_for(bert.tile(anna), gone=True)
        anna.join()
        bert.meets(anna, *RED)
        anna.page.click("#leave")
        assert anna.page.inner_text("h1") == "You have left the meeting"
        bert.waits_for(bert.tile(anna), gone=True)
        until(bert.page, "said.textContent.includes('Anna Archer has left')")


def the_lobby(anna: Someone, server: Server, meeting: str) -> None:
    anna.waits_for("#join")
    assert anna.page.url == f"{server.http}/meet/{meeting}", "the token has left the address"
    assert "Weekly sync" in anna.page.inner_text("h1") and "Anna Archer" in anna.page.inner_text("header")
    until(anna.page, "document.querySelector('video').videoWidth > 0")
    until(anna.page, "parseFloat(document.querySelector('.level').style.getPropertyValue('--level')) > 0.3")
    assert accessible(anna.page) == []
    for key, button in (("v", "#lobby-camera"), ("m", "#lobby-microphone")):
        anna.page.keyboard.press(key)
        anna.waits_for(f"{button}[aria-pressed=false]")
        anna.page.keyboard.press(key)
        anna.waits_for(f"{button}[aria-pressed=true]")


def fits(page: Page) -> None:
    """Nothing is cut off or wider than the window, and every button is as large as a thumb."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    script = "(s) => [...document.querySelectorAll(s)].map((e) => e.getBoundingClientRect()).filter((r) => r.width)"
    tiles = page.evaluate(f"({script})('.tile').map((r) => [r.left, r.top, r.right, r.bottom])")
    width, height = page.evaluate("[innerWidth, innerHeight]")
    assert len(tiles) == 2
    assert all(left >= 0 and top >= 0 and right <= width and bottom <= height for left, top, right, bottom in tiles)
    assert min(page.evaluate(f"({script})('.bar button').map((r) => Math.min(r.width, r.height))")) >= 44


def sound_and_picture_off_and_on(anna: Someone, bert: Someone) -> None:
    tile = bert.tile(anna)
    anna.page.keyboard.press("m")
    bert.waits_for(f"{tile} .silent")
    until(bert.page, f"played('{anna.id}').db < -90", within_s=5)
    anna.page.keyboard.press("m")
    bert.waits_for(f"{tile} .silent", gone=True)
    anna.page.evaluate("window.before = document.querySelector('.tile.mine video').srcObject.getTracks()[0]")
    anna.page.click("#camera")
    bert.waits_for(f"{tile}.dark .face")
    assert bert.page.inner_text(f"{tile} .face") == "AA"
    assert anna.page.evaluate("before.readyState") == "ended", "a camera that is off is free for others"
    anna.page.keyboard.press("v")
    bert.waits_for(f"{tile}:not(.dark)")
    bert.meets(anna, *RED)


def test_a_screen_is_shared_and_hosts_are_hosts(server: Server, browsers: tuple[Browser, Browser]) -> None:
    meeting = new_meeting(server)
    with (
        someone(browsers[0], server, meeting, "Anna", "host") as anna,
        someone(browsers[1], server, meeting, "Bert", "participant") as bert,
    ):
        anna.join()
        bert.join()
        bert.page.keyboard.press("s")
        screen = ".big " + anna.tile(bert, "screen")
        anna.waits_for(screen)
        until(anna.page, f"played('{bert.id}', 'screen')?.frames > 5", within_s=10)
        assert anna.page.evaluate("document.querySelectorAll('.tiles .tile').length") == 2
        assert anna.page.inner_text(f"{screen} .name") == "Bert’s screen"
        assert accessible(anna.page) == []
        bert.page.keyboard.press("s")
        anna.waits_for(screen, gone=True)

        anna.page.click("#people")
        assert accessible(anna.page) == []
        anna.page.click("[aria-label='Mute Bert']")
        bert.waits_for("#mic.off")
        bert.waits_for("text=A host has muted you.", within_s=10)  # said once it is no take-over
        anna.page.keyboard.press("Escape")
        bert.page.keyboard.press("m")
        anna.waits_for(f"{anna.tile(bert)} .silent", gone=True)

        with api(server) as client:
            client.kick_participants(meeting, participant_ids=[bert.id])
        bert.waits_for("text=You were removed from the meeting")
        assert accessible(bert.page) == []
        anna.waits_for(anna.tile(bert), gone=True)


def test_a_host_starts_and_stops_the_livestream(server: Server, browsers: tuple[Browser, Browser]) -> None:
    meeting = new_meeting(server)
    with (
        someone(browsers[0], server, meeting, "Anna", "host") as anna,
        someone(browsers[1], server, meeting, "Bert", "participant") as bert,
    ):
        anna.join()
        bert.join()
        anna.page.click("#live")
        assert accessible(anna.page) == []
        anna.page.click("dialog >> text=Go live")
        for each in (anna, bert):
            each.waits_for(".badge[data-status=LIVE] >> text=LIVE", within_s=20)
        assert bert.page.is_hidden("#live") and bert.page.is_hidden(".watch")
        with anna.page.context.expect_page() as opened:
            anna.page.click(".watch")
        player = opened.value
        until(player, "window.headwater?.state === 'playing' && document.querySelector('video').videoWidth === 1280")
        player.close()
        anna.page.set_viewport_size({"width": 360, "height": 640})  # a host's buttons on a small phone
        fits(anna.page)
        anna.page.click("#live")
        anna.page.click("dialog >> text=Stop it")
        for each in (anna, bert):
            each.waits_for(".badge", gone=True)
        with api(server) as client, pytest.raises(NotFound):
            client.get_meeting_active_livestreams(meeting)


def test_a_network_that_goes_away_and_comes_back(server: Server, browsers: tuple[Browser, Browser]) -> None:
    """Back by an ICE restart: the server has not given up yet."""
    meeting = new_meeting(server)
    host, port = server.ready["webrtc"].split(":")
    with (
        LossyRelay((host, int(port)), 0) as relay,
        someone(browsers[0], server, meeting, "Anna", "host") as anna,
        someone(browsers[1], server, meeting, "Bert", "participant") as bert,
    ):
        restarts: list[int] = []

        def answered(response: Response) -> None:
            if response.request.method == "PATCH" and "/whip/" in response.url:
                restarts.append(response.status)

        anna.page.on("response", answered)

        def through_the_relay(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, body=answer.text().replace(f" {port} ", f" {relay.port} "))

        anna.page.route("**/whip?source=camera", through_the_relay)
        anna.join()
        bert.join()
        bert.meets(anna, *RED)
        relay.cut = True
        anna.waits_for(".banner", within_s=15)
        assert "Trying again" in anna.page.inner_text(".banner")
        anna.page.wait_for_timeout(1000)  # the restart is answered, or was a moment ago
        relay.cut = False
        anna.waits_for(".banner", gone=True, within_s=15)
        assert restarts == [200]
        bert.meets(anna, *RED)


def test_tiles_fit_however_many_there_are(server: Server, browsers: tuple[Browser, Browser]) -> None:
    """In every window up to a number; then they are as wide as they have to be, and scroll."""
    page = browsers[0].new_page()
    page.goto(f"{server.http}/meet/none")
    found = page.evaluate(
        """async () => {
          const { fit, LEAST_PX } = await import("/assets/meet/grid.js");
          const all = [];
          for (const [width, height] of [[390, 700], [844, 250], [1280, 600], [2560, 1300]]) {
            for (let count = 1; count <= 50; count++) {
              all.push({ width, height, count, LEAST_PX, tile: fit(count, width, height, 8) });
            }
          }
          return all;
        }"""
    )
    page.close()
    for each in found:
        tile, count = each["tile"], each["count"]
        rows = -(-count // tile["columns"])
        assert tile["columns"] * (tile["width"] + 8) - 8 <= each["width"], each
        if not tile["scrolls"]:
            assert rows * (tile["height"] + 8) - 8 <= each["height"], each
        assert tile["width"] >= each["LEAST_PX"] - 1 and 0.79 < tile["width"] / tile["height"] < 1.8, each
    assert [each["tile"]["columns"] for each in found if each["width"] == 1280][:9] == [1, 2, 2, 2, 3, 3, 4, 4, 3]
    assert any(each["tile"]["scrolls"] for each in found) and not found[0]["tile"]["scrolls"]


def test_relays_come_from_the_answers_links(server: Server, browsers: tuple[Browser, Browser]) -> None:
    """As `webrtc.links` writes them (RFC 9725, 4.6)."""
    settings = WebRtcSettings(
        stun_servers=("stun:stun.example.com:3478",),
        turn_servers=("turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:443?transport=tcp"),
        turn_username='a, "b"; c',
        turn_credential="x\\y",
    )
    page = browsers[0].new_page()
    page.goto(f"{server.http}/meet/none")
    script = """async (header) => (await import("/assets/meet/api.js")).readLinks(header)"""
    found = page.evaluate(script, ", ".join(ice_server_links(settings, 0)))
    page.close()
    relay = {"username": settings.turn_username, "credential": settings.turn_credential}
    assert found == [{"urls": settings.stun_servers[0]}, *({"urls": url, **relay} for url in settings.turn_servers)]


def test_what_goes_wrong_is_said(server: Server, browsers: tuple[Browser, Browser]) -> None:
    """No good link; no camera and no microphone, which is no reason to stay away; a meeting that is closed."""
    page = browsers[0].new_page()
    meeting = new_meeting(server)
    for query, words in (("", "This link is not complete"), ("?token=wrong", "This link is not valid")):
        page.goto(f"{server.http}/meet/{meeting}{query}")
        page.wait_for_selector(f"text={words}")
    assert accessible(page) == []
    page.close()
    denied = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    with someone(browsers[0], server, meeting, "Anna", "host", script=denied) as anna:
        anna.waits_for("text=The browser may not use the camera.")
        anna.waits_for("text=The browser may not use the microphone.")
        assert accessible(anna.page) == []
        anna.page.click("#join")
        anna.waits_for(".tile.mine.dark .silent")
        anna.page.keyboard.press("v")
        anna.waits_for(".toast >> text=The browser may not use the camera.")
        with api(server) as client:
            client.update_meeting(meeting, status="INACTIVE")
        anna.page.reload()
        anna.waits_for("text=This meeting is closed")
