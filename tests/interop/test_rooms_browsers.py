"""Rooms with real browsers: Chromiums whose cameras show a colour and whose microphones hear a tone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import until
from tests.interop.rooms import RoomServer, browser, fake_devices, last_state, look, someone

RED, BLUE = ("red", (255, 0, 0), 440), ("blue", (0, 0, 255), 1000)


@pytest.fixture(scope="module")
def browsers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Browser, Browser]]:
    folder = tmp_path_factory.mktemp("devices")
    with sync_playwright() as playwright:
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


def test_two_browsers_see_and_hear_each_other(browsers: tuple[Browser, Browser], server: RoomServer) -> None:
    with someone(browsers[0], server) as anna, someone(browsers[1], server) as bert:
        for page, name in ((anna, "anna"), (bert, "bert")):
            page.evaluate("name => listen(name)", name)
            page.evaluate("name => publish(name, 'camera')", name)
        for page in (anna, bert):
            until(page, "states.at(-1).participants.filter((each) => each.sources.camera?.video).length === 2")
        anna.evaluate("receive('anna', 'bert', 'camera')")
        bert.evaluate("receive('bert', 'anna', 'camera')")
        sees(anna, "anna receives bert camera", BLUE[1], BLUE[2])
        sees(bert, "bert receives anna camera", RED[1], RED[2])
        print(look(anna, "anna receives bert camera"), last_state(anna))
