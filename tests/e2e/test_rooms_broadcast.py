"""Four participants in real browsers, broadcast by the official SDK, and what viewers get of them."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from cloudflare import Cloudflare
from playwright.sync_api import sync_playwright

from headwater.meetings.compositor import layout
from headwater.meetings.compositor.pixels import yuv
from tests.browser import until
from tests.e2e.support import api
from tests.e2e.viewed import view
from tests.interop.rooms import browser, someone
from tests.support import Server

pytestmark = pytest.mark.alone

SIZE = (1280, 720)
PEOPLE = {
    "Anna": ("#ff0000", (255, 0, 0), 440),
    "Bert": ("#0000ff", (0, 0, 255), 650),
    "Cleo": ("#ffff00", (255, 255, 0), 950),
    "Dora": ("#008000", (0, 128, 0), 1400),
}


def test_every_tile_and_every_tone_of_four_browsers_is_on_air(server: Server) -> None:
    with api(server) as client, sync_playwright() as playwright, ExitStack() as stack:
        meeting = client.create_meeting(title="All four")
        url = f"{server.http}/meet/{meeting.id}"
        running = browser(playwright)
        stack.callback(running.close)
        for name, (colour, _, tone) in PEOPLE.items():
            token = client.add_participant(meeting.id, custom_participant_id=name, name=name, preset_name="host").token
            page = stack.enter_context(someone(running, url))
            page.evaluate("token => listen(token)", token)
            page.evaluate(
                "([token, look]) => publish(token, 'camera', look)", [token, {"colour": colour, "tone": tone}]
            )
            until(page, f"states.at(-1).participants.some((each) => each.name === '{name}' && each.sources.camera)")

        access = server.credentials
        sdk = Cloudflare(base_url=access["base_url"], api_token=access["api_token"])
        called = {"account_id": access["account_id"], "app_id": access["app_id"]}
        sdk.realtime_kit.livestreams.start_livestreaming_a_meeting(
            meeting.id, **called, video_config={"width": SIZE[0], "height": SIZE[1]}
        )
        until(page, "states.at(-1).livestream === 'LIVE'")
        page.wait_for_timeout(5000)
        tiles = layout.grid(len(PEOPLE), *SIZE).tiles
        active = client.get_meeting_active_livestreams(meeting.id)
        viewed = view(active.playback_url, [(tile.x + tile.width // 2, tile.y + tile.height // 3) for tile in tiles])

    end = viewed.times[-1]
    for point, (name, (_, rgb, tone)) in enumerate(PEOPLE.items()):
        seen = viewed.colour(point, end - 2, end)
        assert np.abs(seen - np.array(yuv(rgb))).max() < 14, (name, seen)
        assert viewed.level(tone, end - 2, end) > 0.05, name
    assert viewed.level(3000, end - 2, end) < 0.01, "nobody sings that"
