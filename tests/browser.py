"""A real Chromium for tests: one browser a session, pages that remember their complaints, and the picture's clock."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright import async_api
from playwright.sync_api import Browser, Frame, Page, sync_playwright

from tests.support import require

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
]

FAKE_DEVICES = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
"""A camera that draws and a microphone that beeps, both allowed unasked."""

READ_CLOCK = """
(() => {
  const video = document.querySelector("video");
  if (!video || !video.videoWidth) return null;
  const width = video.videoWidth, height = video.videoHeight;
  window.clockCanvas ??= new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const c = window.clockCanvas;
  c.drawImage(video, 0, 0, width, height);
  const now = Date.now();
  const row = c.getImageData(0, Math.floor(height * 83 / 90), width, 1).data;
  const bit = (i) => {
    const x = Math.floor(width * (0.1 + 0.8 * (i + 0.5) / 64)) * 4;
    return 0.299 * row[x] + 0.587 * row[x + 1] + 0.114 * row[x + 2] > 128 ? 1 : 0;
  };
  const bits = Array.from({ length: 64 }, (_, i) => bit(i));
  if (bits.slice(0, 6).join("") !== "101011" || bits.slice(62).join("") !== "01") return null;
  let crc = 0xff;
  for (let byte = 0; byte < 6; byte++) {
    crc ^= parseInt(bits.slice(6 + 8 * byte, 14 + 8 * byte).join(""), 2);
    for (let k = 0; k < 8; k++) crc = crc & 0x80 ? ((crc << 1) ^ 7) & 0xff : crc << 1;
  }
  if (crc !== parseInt(bits.slice(54, 62).join(""), 2)) return null;
  return { shown: parseInt(bits.slice(6, 54).join(""), 2), now };
})()
"""
"""The barcode of the test card (headwater.testcard.barcode) read from the picture: the time shown and the time now."""


@dataclass
class Watched:
    """A page and what went wrong on it."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """What the player page says of itself."""
        script = (
            "({state: headwater.state, kind: headwater.kind, latency: headwater.latency, stalls: headwater.stalls})"
        )
        found: dict[str, Any] = self.page.evaluate(script)
        return found

    def reach(self, state: str, *, within_s: float = 30) -> None:
        """Wait until the player is in a state."""
        until(self.page, f"window.headwater && headwater.state === '{state}'", within_s=within_s)

    def latency_ms(self) -> float | None:
        """From the instant that the picture shows to now: glass to glass, on one machine's clock."""
        read = self.page.evaluate(READ_CLOCK)
        return read["now"] - read["shown"] if read else None

    def moves(self, *, within_s: float = 20) -> None:
        """Wait until the picture's clock has been read twice, later the second time."""
        deadline, first = time.monotonic() + within_s, None
        while time.monotonic() < deadline:
            read = self.page.evaluate(READ_CLOCK)
            if read and first and read["shown"] > first:
                return
            first = first or (read and read["shown"])
            self.page.wait_for_timeout(200)
        raise AssertionError(f"the picture does not move; the page says {self.complaints}")


def until(page: Page | Frame, expression: str, *, within_s: float = 30) -> None:
    """Wait until an expression is true, by asking again: Playwright's own wait needs a policy that allows eval."""
    deadline = time.monotonic() + within_s
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < deadline, f"{expression}: not within {within_s} s"
        page.wait_for_timeout(100)


ROOT = Path(__file__).parents[1]
AXE = ROOT / ".tools/web/axe.min.js"


def accessible(page: Page) -> list[str]:
    """What axe-core finds wrong with a page, in its words; frames are pages of their own. None: nothing.

    The script comes in by the debugger: the page's policy lets no other in.
    """
    if not AXE.exists():
        subprocess.run([sys.executable, str(ROOT / "tools/fetch_web.py"), "--tests"], check=True, timeout=120)
    session = page.context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    session.detach()
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'], iframes: false })")
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]}" for each in found["violations"] for node in each["nodes"]
    ]


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=require("chromium"), args=[*FLAGS, *flags], headless=True)
        try:
            yield browser
        finally:
            browser.close()


@asynccontextmanager
async def chromium_beside(*flags: str) -> AsyncIterator[async_api.Browser]:
    """The same for tests that serve in their own event loop."""
    async with async_api.async_playwright() as playwright:
        path = require("chromium")
        browser = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *flags], headless=True)
        try:
            yield browser
        finally:
            await browser.close()


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:
    """Open a page; what it complains about (errors, policy violations) is collected."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, **options)
    page = context.new_page()
    found = Watched(page)
    page.on("console", lambda message: found.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.goto(url)
    try:
        yield found
    finally:
        context.close()
