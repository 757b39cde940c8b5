"""The dashboard in a real Chromium: signing in, seeing and changing livestreams, live updates, keys, and axe-core."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser import Watched, accessible, chromium, until, watched
from tests.e2e.support import api, card_command, create, duration_s, played, running
from tests.support import Server, require, running_server

ROOT = Path(__file__).parents[2]
EXPECTED = re.compile(r"Failed to load resource")
"""What Chromium says by itself of answers that are no success."""

PHONE = {"width": 390, "height": 844}
SCHEMES = ("light", "dark")
PATHS = ("/livestreams", "/recordings", "/analytics", "/meetings", "/webhooks")
NOTHING = tuple(f"/{kind}/nothing" for kind in ("livestreams", "recordings", "meetings", "webhooks", "sessions"))


def fetch(*arguments: str) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py"), *arguments], check=True, timeout=120)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    require("chromium")
    fetch()
    fetch("--tests")
    local = {"HEADWATER_WEBHOOKS_ALLOW_NETWORKS": "127.0.0.1"}
    with running_server(tmp_path_factory.mktemp("dashboard") / "data", env=local) as running_:
        yield running_


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Browser]:
    with chromium() as found:
        yield found


@contextmanager
def dashboard(browser: Browser, server: Server, token: str | None = None, **options: Any) -> Iterator[Watched]:
    """The dashboard, signed in; what the page complains about fails the test."""
    with watched(browser, f"{server.http}/dashboard", **options) as found:
        found.page.wait_for_selector("#token")
        if token != "":
            sign_in(found.page, token or server.credentials["api_token"])
        yield found
        assert [text for text in found.complaints if not EXPECTED.search(text)] == []


def sign_in(page: Page, token: str) -> None:
    page.fill("#token", token)
    page.keyboard.press("Enter")
    page.wait_for_selector("#nav a")
    page.wait_for_selector("#connection.on")


def new_token(server: Server, permission: str) -> tuple[str, str]:
    """(id, secret)."""
    with api(server) as client:
        made = client.create_token(name="test", permission=permission)
    return made.id, made.api_token


def go(page: Page, path: str) -> None:
    page.evaluate(f"location.hash = '#{path}'")


def test_signing_in_and_out(server: Server, browser: Browser) -> None:
    with dashboard(browser, server, token="") as viewer:
        page = viewer.page
        assert accessible(page) == []
        assert page.evaluate("document.activeElement.id") == "token"
        page.fill("#token", "hw_wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector(".problem:not([hidden])")
        assert "not valid" in page.inner_text(".problem")
        sign_in(page, server.credentials["api_token"])
        page.reload()  # the cookie is enough
        page.wait_for_selector("#connection.on")
        stored = page.evaluate("JSON.stringify([document.cookie, {...localStorage}, {...sessionStorage}])")
        assert json.loads(stored) == ["", {}, {}]
        (cookie,) = page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/dashboard")
        page.click("text=Sign out")
        page.wait_for_selector("#token")
        assert page.context.cookies() == []
        page.reload()
        page.wait_for_selector("#token")


def test_an_empty_app_teaches_and_a_livestream_is_made_by_the_keyboard(server: Server, browser: Browser) -> None:
    with api(server) as client:
        for made in client.get_all_livestreams().livestreams:
            client.delete_livestream(made.id)
    with dashboard(browser, server) as viewer:
        page = viewer.page
        page.wait_for_selector("text=No livestream yet")
        assert accessible(page) == []
        page.focus("text=New livestream")
        page.keyboard.press("Enter")
        page.keyboard.type("no spaces please")
        page.keyboard.press("Enter")
        assert page.is_visible("dialog #new-name")  # the browser says what is wrong with the name
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.keyboard.press("Enter")
        page.keyboard.type("by-keyboard")
        assert accessible(page) == []
        page.keyboard.press("Enter")
        page.wait_for_selector("text=Connect your encoder")
        assert accessible(page) == []
        with api(server) as client:
            (made,) = client.get_all_livestreams().livestreams
        assert made.name == "by-keyboard"
        assert made.ingest_server in page.inner_text("dialog") and made.stream_key not in page.content()
        page.click("dialog >> text=Show")
        assert made.stream_key in page.inner_text("dialog")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector("h1 >> text=by-keyboard")
        assert made.stream_key not in page.content()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("phone", [False, True], ids=["desktop", "phone"])
def test_every_view_is_accessible_and_fits(server: Server, browser: Browser, scheme: str, phone: bool) -> None:
    made = create(server, "a-rather-long-name-of-a-livestream-" + "x" * 60)
    with dashboard(browser, server, color_scheme=scheme) as viewer:
        page = viewer.page
        if phone:
            page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        for path in (f"/livestreams/{made.id}", *PATHS, *(NOTHING if phone and scheme == "dark" else ())):
            go(page, path)
            page.wait_for_selector("main h1")
            page.wait_for_timeout(150)
            assert accessible(page) == []
            assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"), path


def test_what_goes_on_air_appears_by_itself_and_can_be_stopped(server: Server, browser: Browser) -> None:
    made = create(server, "on-air")
    with dashboard(browser, server) as viewer:
        page = viewer.page
        page.wait_for_selector("text=on-air")
        with running(card_command(server.rtmp + made.stream_key, "--gop", "3")):
            page.wait_for_selector(".card >> text=on-air")
            until(page, "document.querySelector('.card img').naturalWidth === 640")
            assert "on air" in page.inner_text(".card .figures")
            page.wait_for_selector(".card >> text=Keyframes every 3 s: viewers start slowly")
            assert accessible(page) == []
            page.click(".card a")
            page.wait_for_selector(".tiles")
            until(page, "Number(document.querySelector('.tiles dd').textContent) > 0")  # this player
            until(page, "document.querySelectorAll('figure canvas').length >= 4")
            figures = page.inner_text(".tiles")
            assert "3.0 s" in figures and "Frames per second" in figures and "Mbit/s" in figures
            page.wait_for_selector(".warnings >> text=Keyframes every 3 s")
            page.wait_for_selector("[role=img][aria-label*='Key frame interval 3 s']")  # the curves in words
            assert accessible(page) == []
            page.click("text=Stop the broadcast")
            page.click("dialog >> text=Stop >> nth=-1")
            page.wait_for_selector("h2 >> text=Not on air")
        page.wait_for_selector("td >> text=stopped")  # the event log
        page.click("td a")  # the session, which has the same curves now
        until(page, "document.querySelectorAll('figure canvas').length >= 4")
        page.wait_for_selector("text=Viewers on average")
        page.wait_for_selector(".rows >> text=on-air_")  # its recording
        page.wait_for_selector("td >> text=Start-up")  # as this player reported
        assert accessible(page) == []
        page.click("text=Livestreams >> nth=0")
        page.wait_for_selector(".rows >> text=on-air")


def test_a_recording_is_steered_watched_clipped_and_deleted(server: Server, browser: Browser, tmp_path: Path) -> None:
    made = create(server, "recorded")
    with dashboard(browser, server) as viewer:
        page = viewer.page
        go(page, "/recordings")
        page.select_option("main select", label="Being recorded or made")
        with running(card_command(server.rtmp + made.stream_key)):
            page.click(".rows >> text=recorded_")
            page.click("text=Pause recording")
            page.wait_for_selector(".chip >> text=Paused")
            page.click("text=Resume recording")
            page.wait_for_selector(".chip.live >> text=Recording")
            assert "watch it live" in page.inner_text("main") and accessible(page) == []
            page.wait_for_timeout(2500)
            page.click("text=Stop recording")
            page.wait_for_selector(".chip >> text=Ready")
        until(page, "document.querySelector('canvas:not([hidden])')")  # the pictures on the time line
        whole_s = page.evaluate("document.querySelector('video').duration")
        assert whole_s > 2.5
        page.focus("[aria-label='Start of the clip']")
        page.keyboard.press("ArrowRight")
        page.fill("#clip-end", "0:02,0")
        page.keyboard.press("Tab")
        assert page.get_attribute("[aria-label='End of the clip']", "aria-valuetext") == "0:02.0"
        assert page.input_value("#clip-start") == "0:01.0"
        page.click("text=Play the clip")
        until(page, "document.querySelector('video').paused && document.querySelector('video').currentTime >= 2")
        page.click("text=Cut the clip")
        page.wait_for_selector(".rows .chip >> text=Ready")
        assert accessible(page) == []
        with page.expect_download() as downloading:
            page.click(".rows >> text=Download")
        downloading.value.save_as(tmp_path / "clip.mp4")
        assert 0.9 < duration_s(str(tmp_path / "clip.mp4")) < whole_s
        page.click(".rows >> text=0:01.0")
        page.wait_for_selector("text=the recording that this clip was cut from")
        for gone in ("clip", "recording"):  # the clip's page leads back to that of its recording
            page.click(".title >> text=Delete")
            page.click(f"dialog:has-text('Delete this {gone}?') >> button.danger")
            page.wait_for_selector("dialog", state="detached")
        page.wait_for_selector("h1 >> text=Recordings")
        page.select_option("main select", label="Removed")
        page.click(".rows >> text=recorded_")
        page.wait_for_selector("text=The file has been removed")


def test_the_last_thirty_days_as_charts_and_as_a_table(server: Server, browser: Browser) -> None:
    made = create(server, "for-analytics")
    with running(card_command(server.rtmp + made.stream_key)):
        played(made.playback_url)
    with api(server) as client:
        client.stop_livestream(made.id)
        days = client.get_livestream_analytics_daywise()
    with dashboard(browser, server) as viewer:
        page = viewer.page
        page.click("#nav >> text=Analytics")
        until(page, "document.querySelectorAll('.chart canvas').length === 2")
        page.click("text=As a table")
        assert accessible(page) == []
        rows = page.locator(".scroll tbody tr").all_inner_texts()
        assert len(rows) == 30 and rows[0].split("\t")[:2] == [days[-1].date, str(days[-1].count)]
        assert int(rows[0].split("\t")[4]) >= 1  # recordings
        assert days[-1].count >= 1 and page.inner_text(".tiles dd") == str(days[-1].count)
        page.select_option("main select", "7")
        until(page, "document.querySelectorAll('.scroll tbody tr').length === 7")


def test_meetings_are_made_closed_and_opened(server: Server, browser: Browser) -> None:
    with dashboard(browser, server) as viewer, api(server) as client:
        page = viewer.page
        page.click("#nav >> text=Meetings")
        page.click("text=Create the first meeting")
        page.fill("#meeting-title", "Stand-up & <b>more</b>")
        page.check("#meeting-record")
        assert accessible(page) == []
        page.keyboard.press("Enter")
        page.wait_for_selector(".rows >> text=Stand-up & <b>more</b>")
        (meeting,) = client.list_meetings().data
        assert meeting.title == "Stand-up & <b>more</b>" and meeting.status == "ACTIVE"
        page.click("[aria-label^='Close Stand-up']")
        page.wait_for_selector(".chip >> text=Closed")
        assert client.get_meeting(meeting.id).status == "INACTIVE"
        assert accessible(page) == []
        page.click(".rows >> text=Stand-up")
        page.wait_for_selector("text=This meeting is closed")
        page.click("text=Open the meeting")
        page.click("text=New join link")
        page.fill("#guest-name", "Ada")
        page.select_option("#guest-role", "host")
        assert accessible(page) == []
        page.keyboard.press("Enter")
        page.wait_for_selector("h2 >> text=Join link for Ada")
        assert page.inner_text("dialog code").startswith(f"{server.http}/meet/{meeting.id}?token=")
        first = page.inner_text("dialog code")
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="detached")
        (ada,) = client.list_participants(meeting.id).data
        assert (ada.name, ada.preset_name) == ("Ada", "host") and first.partition("token=")[2] not in page.content()
        page.click("text=New link")
        page.wait_for_selector("dialog code")
        token = page.inner_text("dialog code").partition("token=")[2]
        page.keyboard.press("Escape")
        inside = {"headers": {"Authorization": f"Bearer {token}"}, "timeout": 30}
        with httpx.stream("GET", f"{server.http}/meet/{meeting.id}/events", **inside) as events:
            page.wait_for_selector("h2 >> text=Inside: 1")  # by itself
            page.click("[aria-label='Mute Ada']")
            page.wait_for_selector("text=Muted")
            assert accessible(page) == []
            page.click("[aria-label='Send away Ada']")
            page.wait_for_selector("h2 >> text=Nobody is inside")
            assert "KICKED" in events.read().decode()
        page.click("text=Start a livestream")
        page.wait_for_selector("text=Stop the livestream")
        assert accessible(page) == []
        page.click("text=Stop the livestream")
        page.wait_for_selector("text=The meeting is not livestreamed.")
        page.click("text=Remove")
        page.click("dialog >> button.danger")
        page.wait_for_selector("text=Nobody may come in yet.")


@contextmanager
def receiver(*statuses: int) -> Iterator[str]:
    """The URL of a receiver of webhooks that answers so, again and again the last of it."""
    left = list(statuses)

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            self.end_headers()
            self.wfile.write(b"<b>said</b>")

        def log_message(self, *_: Any) -> None:
            """Not here."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook"
        finally:
            server.shutdown()
            thread.join()


def test_a_webhook_is_added_its_deliveries_seen_and_sent_again(server: Server, browser: Browser) -> None:
    with dashboard(browser, server) as viewer, receiver(410, 204) as url:
        page = viewer.page
        page.click("#nav >> text=Webhooks")
        page.click("text=Add the first webhook")
        page.fill("#hook-name", "mine")
        page.fill("#hook-url", "http://10.1.2.3/")
        assert accessible(page) == []
        page.keyboard.press("Enter")
        page.wait_for_selector("dialog .problem >> text=allow_networks")  # the server's refusal, in its words
        page.fill("#hook-url", url)
        page.keyboard.press("Enter")
        page.click(".rows >> text=mine")
        page.wait_for_selector("text=Nothing yet.")
        made = create(server, "told")
        page.wait_for_selector("td >> text=Failed")  # by itself
        assert "410" in page.inner_text("tbody") and "INVOKED" in page.inner_text("tbody")
        page.click("text=Details")
        page.wait_for_selector("dialog >> text=Payload")
        assert accessible(page) == [] and made.stream_key not in page.content() and made.id in page.inner_text("pre")
        page.keyboard.press("Escape")
        page.click("tbody >> text=Send again")
        page.wait_for_selector("td >> text=Delivered")
        page.click("text=Details")
        page.wait_for_selector("dialog tbody tr >> nth=1")  # both attempts
        page.keyboard.press("Escape")
        page.select_option("main select", label="Failed")
        page.wait_for_selector("text=No delivery is in this state.")
        page.click("text=Edit")
        page.uncheck("dialog >> text=recording.statusUpdate")
        page.click("dialog >> text=Save")
        until(page, "!document.querySelector('main').textContent.includes('recording.statusUpdate')")
        page.click("text=Disable")
        page.wait_for_selector("text=This webhook is disabled")
        assert accessible(page) == []
        page.click("text=Delete")
        page.click("dialog >> button.danger")
        page.wait_for_selector("text=No webhook yet")


def test_disable_enable_new_key_delete(server: Server, browser: Browser) -> None:
    made = create(server, "to-change")
    with dashboard(browser, server) as viewer, api(server) as client:
        page = viewer.page
        go(page, f"/livestreams/{made.id}")
        page.click("text=Disable")
        page.click("dialog >> button.danger")
        page.wait_for_selector(".chip >> text=Disabled")
        page.click("text=Enable")
        page.wait_for_selector("text=Never on air")
        page.select_option("#record", label="Never")
        page.wait_for_selector("text=It holds from the next session on")
        assert client.get_livestream_session_for_livestream_id(made.id).livestream.record is False
        page.click("text=Reset the key")
        page.click("dialog >> button.danger")
        page.wait_for_selector("text=There is a new stream key")
        key = client.get_livestream_session_for_livestream_id(made.id).livestream.stream_key
        page.click("[aria-label='Show: Stream key']")
        assert key != made.stream_key and key in page.inner_text("main")
        newest = client.reset_key(made.id).stream_key  # elsewhere: the page takes it up
        page.wait_for_selector("[aria-label='Show: Stream key'][aria-pressed=false]")
        page.click("[aria-label='Show: Stream key']")
        assert newest in page.inner_text("main")
        page.click("text=Delete")
        page.click("dialog >> button.danger")
        page.wait_for_selector("h1 >> text=Livestreams")
        until(page, "!document.querySelector('main').textContent.includes('to-change')")


def test_a_read_token_sees_and_cannot_change_and_its_end_ends_the_page(server: Server, browser: Browser) -> None:
    made = create(server, "seen")
    token_id, token = new_token(server, "read")
    with dashboard(browser, server, token) as viewer:
        page = viewer.page
        page.wait_for_selector("text=read only")
        assert page.query_selector("text=New livestream") is None
        for path in ("/webhooks", "/meetings", "/recordings"):
            go(page, path)
            page.wait_for_selector("main h1")
            page.wait_for_timeout(100)
            assert "New " not in page.inner_text("main")
        go(page, f"/livestreams/{made.id}")
        page.wait_for_selector("text=shown to admin tokens only")
        assert not {"Delete", "Disable", "Reset the key …"} & set(page.locator("button").all_inner_texts())
        assert made.stream_key not in page.content()
        with api(server) as client:
            client.revoke_token(token_id)
        page.wait_for_selector("#token")
        assert "signed out" in page.inner_text(".problem")


def test_the_server_drains_under_an_open_dashboard_and_the_page_says_so(tmp_path: Path, browser: Browser) -> None:
    with running_server(tmp_path / "data") as own, dashboard(browser, own) as viewer:
        assert own.terminate() == 0
        assert "did not end" not in own.log.read_text()
        viewer.page.wait_for_selector("#connection.off >> text=reconnecting")
        http = own.ready["http"]
        with running_server(tmp_path / "data", "--http", http):
            viewer.page.wait_for_selector("#token")  # who was signed in is not kept: docs/decisions/0110
            viewer.complaints.clear()  # connections that were refused meanwhile
