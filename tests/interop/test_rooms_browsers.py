"""Rooms with real browsers: Chromiums whose cameras show a colour and whose microphones hear a tone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from headwater.events import ParticipantLeft
from tests.browser import until
from tests.interop.lossy import LossyRelay
from tests.interop.rooms import RoomServer, browser, fake_devices, look, opened, someone

RED, BLUE = ("red", (255, 0, 0), 440), ("blue", (0, 0, 255), 1000)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browsers(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Browser]]:
    folder = tmp_path_factory.mktemp("devices")
    first = browser(playwright, *fake_devices(folder, "anna", RED[0], RED[2]))
    second = browser(playwright, *fake_devices(folder, "bert", BLUE[0], BLUE[2]))
    yield first, second
    first.close()
    second.close()


@pytest.fixture
def server() -> Iterator[RoomServer]:
    with RoomServer() as running:
        yield running


def sees(page: Page, name: str, colour: tuple[int, int, int], tone_hz: int) -> None:
    """Wait until a page sees this colour and hears this tone."""
    near = f"(f) => f.colour && f.colour.every((v, i) => Math.abs(v - {list(colour)}[i]) < 60)"
    heard = f"(f) => Math.abs(f.tone - {tone_hz}) < 15 && f.db > -60"
    try:
        until(page, f"(({near})(look('{name}')) && ({heard})(look('{name}')))", within_s=10)
    except AssertionError:
        raise AssertionError(f"{name}: {look(page, name)}") from None


def moves(page: Page, name: str) -> None:
    """Wait until the picture goes on."""
    frames = look(page, name)["frames"]
    until(page, f"look('{name}').frames > {frames + 3}", within_s=8)


def publishing(page: Page, count: int) -> None:
    """Wait until a page is told that so many publish a picture."""
    until(page, f"states.at(-1).participants.filter((each) => each.sources.camera?.video).length === {count}")


def statistics(page: Page, name: str, kind: str) -> dict[str, Any]:
    found = next(each for each in page.evaluate("name => stats(name)", name) if each["kind"] == kind)
    return dict(found)


def test_two_browsers_see_and_hear_each_other(browsers: tuple[Browser, Browser], server: RoomServer) -> None:
    with someone(browsers[0], server.meeting) as anna, someone(browsers[1], server.meeting) as bert:
        for page, name in ((anna, "anna"), (bert, "bert")):
            page.evaluate("name => listen(name)", name)
            page.evaluate("name => publish(name, 'camera')", name)
        for page in (anna, bert):
            publishing(page, 2)
        anna.evaluate("receive('anna', 'bert', 'camera')")
        bert.evaluate("receive('bert', 'anna', 'camera')")
        sees(anna, "anna receives bert camera", BLUE[1], BLUE[2])
        sees(bert, "bert receives anna camera", RED[1], RED[2])
        until(bert, "states.at(-1).speaking !== null")

        muted_goes_nowhere(anna, bert)
        a_reload_goes_on_before_the_same_receivers(anna, bert)
        assert anna.evaluate("act('anna', 'DELETE', 'me')")[0] == 200
        until(anna, "states.at(-1).event === 'end' && states.at(-2).reason === 'LEFT'")
        until(bert, "states.at(-1).participants.length === 1")


def muted_goes_nowhere(anna: Page, bert: Page) -> None:
    name = "bert receives anna camera"
    anna.evaluate("act('anna', 'PATCH', 'me', {audio: false, video: false})")
    publishing(bert, 1)
    until(bert, "states.at(-1).speaking !== 'anna'")
    bert.wait_for_timeout(500)  # what was on its way has arrived
    before = [statistics(bert, name, kind)["packetsReceived"] for kind in ("audio", "video")]
    bert.wait_for_timeout(500)
    assert [statistics(bert, name, kind)["packetsReceived"] for kind in ("audio", "video")] == before
    anna.evaluate("act('anna', 'PATCH', 'me', {audio: true, video: true})")
    moves(bert, name)
    sees(bert, name, RED[1], RED[2])


def a_reload_goes_on_before_the_same_receivers(anna: Page, bert: Page) -> None:
    name = "bert receives anna camera"
    assert anna.evaluate("hangUp('anna', 'anna sends camera')") == 200
    publishing(bert, 1)
    anna.evaluate("publish('anna', 'camera')")
    publishing(bert, 2)
    moves(bert, name)
    sees(bert, name, RED[1], RED[2])
    video = statistics(bert, name, "video")
    assert video["packetsLost"] == 0, "receivers see no gap between the publisher's connections"
    assert look(bert, name)["state"] == "connected"


def test_four_see_and_hear_each_other(browsers: tuple[Browser, Browser], server: RoomServer) -> None:
    """Everybody sees and hears the three others, two by VP8, two by H.264; one of them shows a screen beside."""
    people = {
        "anna": ("#ff0000", (255, 0, 0), 440),
        "bert": ("#0000ff", (0, 0, 255), 600),
        "cleo": ("#ffff00", (255, 255, 0), 800),
        "dora": ("#00a000", (0, 160, 0), 1000),
    }
    with ExitStack() as stack:
        turns = zip(people, [*browsers, *browsers], strict=True)
        pages = {name: stack.enter_context(someone(running, server.meeting)) for name, running in turns}
        for name, page in pages.items():
            colour, _, tone = people[name]
            codec = "video/VP8" if name in ("bert", "cleo") else "video/H264"
            page.evaluate("name => listen(name)", name)
            options = {"colour": colour, "tone": tone, "codec": codec}
            page.evaluate("([name, options]) => publish(name, 'camera', options)", [name, options])
        pages["dora"].evaluate("publish('dora', 'screen', {colour: '#00ffff', tone: 1500})")
        for name, page in pages.items():
            publishing(page, len(people))
            for other in people:
                if other != name:
                    page.evaluate("([name, other]) => receive(name, other, 'camera')", [name, other])
        until(pages["anna"], "states.at(-1).participants.some((each) => each.sources.screen?.video)")
        pages["anna"].evaluate("receive('anna', 'dora', 'screen')")
        for name, page in pages.items():
            for other, (_, colour, tone) in people.items():
                if other != name:
                    sees(page, f"{name} receives {other} camera", colour, tone)
        sees(pages["anna"], "anna receives dora screen", (0, 255, 255), 1500)


def test_lost_packets_come_again(playwright: Playwright, browsers: tuple[Browser, Browser], server: RoomServer) -> None:
    """5 % of all packets are lost on the way in and on the way out."""
    moving = browser(playwright, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    try:
        with (
            LossyRelay(server.udp, 0.05) as there,
            LossyRelay(server.udp, 0.05, seed=2) as back,
            someone(moving, server.meeting) as anna,
            someone(browsers[1], server.meeting) as bert,
        ):
            bert.evaluate("listen('bert')")
            anna.evaluate("port => publish('anna', 'camera', {port, width: 640, frameRate: 30})", there.port)
            publishing(bert, 1)
            bert.evaluate("port => receive('bert', 'anna', 'camera', {port})", back.port)
            name = "bert receives anna camera"
            until(bert, f"look('{name}').frames > 10")
            sent = [statistics(anna, "anna sends camera", "video")["framesSent"]]
            before = statistics(bert, name, "video")
            bert.wait_for_timeout(4000)
            sent.append(statistics(anna, "anna sends camera", "video")["framesSent"])
            after = statistics(bert, name, "video")
    finally:
        moving.close()
    assert there.lost > 10 and back.lost > 10
    gained = {key: after[key] - before[key] for key in ("framesDecoded", "keyFramesDecoded")}
    assert after["retransmittedPacketsReceived"] > 0
    assert gained["framesDecoded"] >= 0.9 * (sent[1] - sent[0]) > 30, (gained, sent, after)
    assert gained["keyFramesDecoded"] <= 2, "pictures are repaired, not begun anew"


def test_who_vanishes_is_gone_within_ten_seconds(
    playwright: Playwright, browsers: tuple[Browser, Browser], server: RoomServer
) -> None:
    """Its processes are stopped: no packet and no goodbye comes any more, and its connections stay open."""
    doomed = browser(playwright, "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    page = opened(doomed, server.meeting)
    with someone(browsers[1], server.meeting) as bert:
        bert.evaluate("listen('bert')")
        page.evaluate("listen('anna')")
        page.evaluate("publish('anna', 'camera')")
        publishing(bert, 1)
        bert.evaluate("receive('bert', 'anna', 'camera')")
        moves(bert, "bert receives anna camera")
        found = doomed.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
        processes = [each["id"] for each in found["processInfo"]]
        try:
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            stopped = time.monotonic()
            until(bert, "states.at(-1).participants.length === 1", within_s=12)
            told = time.monotonic() - stopped
        finally:
            for process in processes:
                os.kill(process, signal.SIGKILL)
        left = [each for each in server.events if isinstance(each, ParticipantLeft)]
        assert [(each.participant_id, each.reason) for each in left] == [("anna", "LOST")]
        assert told <= 10.5
