"""(f) Glass to glass: from the instant that the test card shows to the moment at which Chromium shows it.

`headwater publish` draws the wall clock into the picture, the player page plays it with hls.js, and the picture is read
back by canvas: one machine, one clock. Beside it the bound: no player may be closer to the live edge than
PART-HOLD-BACK (three part targets). Run with the default parts and with the shortest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from tests.browser import chromium, watched
from tests.e2e.support import card_command, create, played, running
from tests.support import running_server

from benchmarks.latency import percentile

READINGS_PER_S = 4


def measure(part_ms: int, seconds: int) -> tuple[list[float], int, int, float]:
    """Latencies in milliseconds, stalls, dropped frames, and the player's target in seconds."""
    environment = {"HEADWATER_PACKAGER_PART_TARGET_MS": str(part_ms)}
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder) / "data", env=environment) as server:
        made = create(server)
        with running(card_command(server.rtmp + made.stream_key, "--size", "1280x720")), chromium() as browser:
            played(made.playback_url)
            with watched(browser, made.playback_url.replace("/manifest/video.m3u8", "")) as viewer:
                viewer.reach("playing")
                viewer.page.wait_for_timeout(5000)
                found = []
                for _ in range(seconds * READINGS_PER_S):
                    viewer.page.wait_for_timeout(1000 / READINGS_PER_S)
                    latency = viewer.latency_ms()
                    if latency is not None:
                        found.append(latency)
                quality = "document.querySelector('video').getVideoPlaybackQuality().droppedVideoFrames"
                dropped, target = viewer.page.evaluate(quality), viewer.page.evaluate("headwater.target")
                return found, viewer.state()["stalls"], dropped, target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=30)
    seconds = parser.parse_args().seconds
    os.environ.setdefault("COLUMNS", "100")
    for part_ms in (333, 200):
        found, stalls, dropped, target = measure(part_ms, seconds)
        middle = median(found)
        bound = 1000 * target
        p95 = percentile(found, 0.95)
        print(f"(f) parts of {part_ms} ms: median {middle:.0f} ms, p95 {p95:.0f} ms ({len(found)} readings)")
        print(f"    hold back {bound:.0f} ms, ratio {middle / bound:.2f}; {stalls} stalls, {dropped} frames dropped")


if __name__ == "__main__":
    main()
