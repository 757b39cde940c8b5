"""What a room costs: forwarded Mbit/s per core, beside libsrtp and sendto alone; how long joining takes in a browser.

One publisher of 2.5 Mbit/s (packets of 1,200 bytes) to 60 receivers, over loopback; the server is pinned to one core,
the load to the others. The bound does for each packet what nobody can leave out: decrypt once, encrypt and send for
each receiver. Run with `python -m benchmarks.forwarding`.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pylibsrtp
import uvicorn
import uvloop
from playwright.sync_api import sync_playwright
from starlette.applications import Starlette
from tests.browser import until
from tests.interop.rooms import MEETING, Control, RoomServer, browser, look, someone

from benchmarks.measure import cpu_seconds, pin
from benchmarks.rtc_client import RtcClient
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.signalling import Door, room_routes
from headwater.webrtc.dtls import Identity
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.settings import WebRtcSettings

RECEIVERS = 60
BITS_PER_S = 2_500_000
PAYLOAD = bytes((0x65, 0x88)) + bytes(1174)
"""Every packet begins a key frame, so that every receiver can start at any."""
SECONDS = 5.0
JOINS = 5
KEY = bytes(range(28))
WHO = "load"

Send = Callable[[int], None]


async def serve() -> None:
    """Rooms behind HTTP until killed; prints where."""
    webrtc = WebRtcServer(WebRtcSettings())
    await webrtc.start("127.0.0.1", 0)
    control = Control()
    rooms = OpenRooms(webrtc, control, lambda event: None, RoomSettings(max_participants=2 * RECEIVERS))
    app = Starlette(routes=room_routes(rooms, webrtc, Door(control), control))
    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", 0, log_level="error", lifespan="off"))
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await serving


def serve_bound(ports: Sequence[int]) -> None:
    """Decrypt, encrypt and send to each of the ports; prints its own."""
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.bind(("127.0.0.1", 0))
    print(port.getsockname()[1], flush=True)
    inbound = session(pylibsrtp.Policy.SSRC_ANY_INBOUND)
    receivers = [(session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND), ("127.0.0.1", each)) for each in ports]
    while True:
        packet = inbound.unprotect(port.recv(2048))
        for outbound, address in receivers:
            port.sendto(outbound.protect(packet), address)


def session(kind: int) -> pylibsrtp.Session:
    """With the profile that the server agrees on first."""
    return pylibsrtp.Session(pylibsrtp.Policy(KEY, kind, 0, pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM))


@contextmanager
def process(*arguments: str) -> Iterator[tuple[int, int]]:
    """This module as a process on a core of its own. Yields its pid and the port that it prints."""
    command = [sys.executable, "-m", "benchmarks.forwarding", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert running.stdout is not None
    try:
        port = int(running.stdout.readline())
        pin(running.pid, 0)
        yield running.pid, port
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


class Load:
    """Sends at a steady pace and counts what the receivers get."""

    def __init__(self, receivers: Sequence[socket.socket]) -> None:
        self._selector = selectors.DefaultSelector()
        for each in receivers:
            each.setblocking(False)
            self._selector.register(each, selectors.EVENT_READ)
        self.bytes = 0

    def run(self, send: Send, seconds: float) -> None:
        """`send`: called with the number of each packet."""
        interval = 8 * (len(PAYLOAD) + 12) / BITS_PER_S
        started, number = time.perf_counter(), 0
        while (now := time.perf_counter() - started) < seconds:
            while number * interval <= now:
                send(number)
                number += 1
            self.take(max(0.0, number * interval - now))

    def take(self, wait_s: float) -> None:
        for key, _ in self._selector.select(wait_s):
            try:
                while True:
                    self.bytes += len(key.fileobj.recv(2048))  # type: ignore[union-attr]
            except BlockingIOError:
                pass


def measured(pid: int, load: Load, send: Send) -> tuple[float, float]:
    """Mbit/s that arrived, and the share of a core that they took."""
    load.run(send, 0.5)
    load.bytes, before, started = 0, cpu_seconds(pid), time.perf_counter()
    load.run(send, SECONDS)
    load.take(0.05)
    elapsed = time.perf_counter() - started
    return load.bytes * 8 / elapsed / 1e6, (cpu_seconds(pid) - before) / elapsed


def room() -> tuple[float, float]:
    identity = Identity()
    with process("--serve") as (pid, port):
        meeting = f"http://127.0.0.1:{port}/meet/{MEETING}"
        publisher = RtcClient(identity, sends=True)
        publisher.join(f"{meeting}/whip", WHO)
        receivers = [RtcClient(identity, sends=False) for _ in range(RECEIVERS)]
        for number, each in enumerate(receivers):
            each.join(f"{meeting}/whep/{WHO}/camera", f"receiver-{number}")
        load = Load([each.socket for each in receivers])
        return measured(pid, load, lambda number: publisher.send(PAYLOAD, number * 90))


def bound() -> tuple[float, float]:
    receivers = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(RECEIVERS)]
    for each in receivers:
        each.bind(("127.0.0.1", 0))
    outbound, sender = session(pylibsrtp.Policy.SSRC_ANY_OUTBOUND), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with process("--bound", *(str(each.getsockname()[1]) for each in receivers)) as (pid, port):
        sender.connect(("127.0.0.1", port))

        def send(number: int) -> None:
            head = struct.pack("!BBHII", 0x80, 102, number & 0xFFFF, number * 90 & 0xFFFFFFFF, 7)
            sender.send(outbound.protect(head + PAYLOAD))

        return measured(pid, Load(receivers), Numbers(send))


class Numbers:
    """Counts on over several runs: SRTP takes no number twice."""

    def __init__(self, send: Send) -> None:
        self._send, self._number = send, 0

    def __call__(self, _: int) -> None:
        self._send(self._number)
        self._number += 1


def joins() -> list[float]:
    """Milliseconds from asking to the first picture, in a browser that publishes beside."""
    switches = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
    with RoomServer() as server, sync_playwright() as playwright:
        running = browser(playwright, *switches)
        try:
            with someone(running, server.meeting) as page:
                page.evaluate("publish('anna', 'camera')")
                page.wait_for_timeout(1500)
                found = []
                for number in range(JOINS):
                    page.evaluate("name => receive(name, 'anna', 'camera')", f"guest{number}")
                    name = f"guest{number} receives anna camera"
                    until(page, f"look('{name}').first_ms !== undefined")
                    found.append(float(look(page, name)["first_ms"]))
                    page.evaluate("([token, name]) => hangUp(token, name)", [f"guest{number}", name])
                return found
        finally:
            running.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--bound", nargs="+", type=int)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve())
        return
    if options.bound:
        serve_bound(options.bound)
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores - {0} or cores)
    for name, measure in (("room", room), ("libsrtp and sendto alone", bound)):
        mbit, share = measure()
        print(
            f"{name:26} {mbit:6.1f} Mbit/s to {RECEIVERS} receivers, {share * 100:5.1f} % of a core: "
            f"{mbit / share:6.0f} Mbit/s per core"
        )
    os.sched_setaffinity(0, cores)
    times = joins()
    print(
        f"{'join to first picture':26} {statistics.median(times):6.0f} ms (p50 of {JOINS}, Chromium; "
        f"at most {max(times):.0f})"
    )


if __name__ == "__main__":
    main()
