"""(c) Viewers of one stream in blocking reload, each fetching every part: CPU per viewer, and who gets a part how late.

    python -m benchmarks.blocking_reload [--viewers 1000] [--part-bytes 12500] [--seconds 10] [--cmcd TURNS]

Each viewer has two connections in plain HTTP/1.1, for video and audio: reload, wait, fetch the part, reload. That
is twelve requests a second at parts of 333 ms. Parts are a tenth of 3 Mbit/s unless told otherwise, so that the one
client process (`asyncio` protocols on uvloop that read no playlist) keeps up. Beside it, by the same client in the same
run, a bound: a bare asyncio protocol that knows no HTTP, wakes as many waiters and writes as many bytes. Server and
client each have a core. The spread of a part is the time from the first viewer that has all of it to the last one.

With `--cmcd`, the price of Common Media Client Data instead: the same viewers without it and with it in every request,
in turns, on one server.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import TypeAlias

import uvloop

from benchmarks.measure import TICKS, cpu_seconds, memory_mb, pin
from benchmarks.origin_process import AUDIO_SHARE, BASE, PARTS_A_SEGMENT, origin_process
from headwater.pipeline.origin.server import allow_connections

INTERVAL_MS = 333
WARM_UP_S = 3.0
FIRST_MSN = 1000
CONNECT_AT_ONCE = 200
BUFFER = memoryview(bytearray(1 << 18))
"""All connections read into it: nobody looks at media."""

HEAD_BYTES = 700
"""More than any of our response heads has."""


@dataclass
class Arrivals:
    """When parts came to their viewers; part number to first, last and count. Monotonic seconds."""

    since: float = float("inf")
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    count: dict[int, int] = field(default_factory=dict)
    errors: int = 0
    requests: int = 0

    def note(self, part: int, now: float) -> None:
        if part not in self.first:
            self.first[part] = now
            self.count[part] = 0
        self.last[part] = now
        self.count[part] += 1

    def spreads(self, viewers: int) -> list[float]:
        """Seconds, of the parts that came wholly within the time and to everybody, in order of size."""
        whole = [n for n, count in self.count.items() if count == viewers and self.first[n] >= self.since]
        return sorted(self.last[n] - self.first[n] for n in whole)


Requests: TypeAlias = dict[tuple[str, int, bool], bytes]


class Viewer(asyncio.BufferedProtocol):
    """One connection: one rendition of one viewer."""

    def __init__(self, rendition: str, part: int, arrivals: Arrivals, requests: Requests, cmcd: str = "") -> None:
        self._rendition = rendition
        self._cmcd = cmcd
        self._part = part
        self._arrivals = arrivals if rendition == "v0" else Arrivals()
        self._all = arrivals
        self._requests = requests
        self._media = False
        self._left = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        key = (self._rendition, self._part, self._media)
        request = self._requests.get(key)
        if request is None:
            request = self._requests[key] = text_of(*key, cmcd=bool(self._cmcd)).encode()
        self._transport.write(request.replace(SID, self._cmcd.encode()) if self._cmcd else request)

    def get_buffer(self, sizehint: int) -> memoryview:
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._left:
            self._left -= nbytes
        else:
            head = bytes(BUFFER[: min(nbytes, HEAD_BYTES)])
            end = head.find(b"\r\n\r\n")
            at = head.find(b"content-length: ", 0, end) + 16
            self._left = int(head[at : head.find(b"\r", at)]) - (nbytes - end - 4)
            if not head.startswith(b"HTTP/1.1 200"):
                self._all.errors += 1
        if self._left:
            return
        self._all.requests += 1
        if self._media:
            self._arrivals.note(self._part, time.monotonic())
            self._part += 1
        self._media = not self._media
        self._ask()


SID = b"@SID@"
CMCD = (
    "CMCD=bl%3D2100%2Cbr%3D3000%2Ccid%3D%22benchmark%22%2Cd%3D333%2Cdl%3D2100%2Cmtp%3D25000%2Cot%3Dv%2Cpr%3D1"
    "%2Csf%3Dh%2Csid%3D%22@SID@%22%2Cst%3Dl%2Ctb%3D3000"
)
"""As hls.js writes it (CTA-5004, query)."""


def text_of(rendition: str, part: int, media: bool, *, cmcd: bool = False) -> str:
    """The request for a part, or for the playlist that lists it; with what a browser would send along."""
    msn, index = FIRST_MSN + part // PARTS_A_SEGMENT, part % PARTS_A_SEGMENT
    target = f"p{part}.m4s" if media else f"live.m3u8?s=0123456789ab&_HLS_msn={msn}&_HLS_part={index}"
    if cmcd:
        target += ("&" if "?" in target else "?") + CMCD
    return (
        f"GET {BASE}/{rendition}/{target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0\r\n"
        "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en\r\nOrigin: http://127.0.0.1\r\n\r\n"
    )


@dataclass(frozen=True, slots=True)
class Load:
    """CPU of the server: cores busy, and the part of it that the kernel took (sockets)."""

    share: float
    kernel: float


def kernel_seconds(pid: int) -> float:
    """System time of a process so far."""
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[12]) / TICKS


async def watch(
    port: int, part: int, viewers: int, seconds: float, pid: int, *, cmcd: bool = False
) -> tuple[Arrivals, Load]:
    """Let so many viewers watch; what came when, and what it cost the server."""
    arrivals, loop = Arrivals(), asyncio.get_running_loop()
    requests: Requests = {}
    transports: list[asyncio.BaseTransport] = []
    sids = [str(uuid.uuid4()) if cmcd else "" for _ in range(viewers)]
    named = [(name, sid) for sid in sids for name in ("v0", "a0")]
    for start in range(0, len(named), CONNECT_AT_ONCE):
        made = [
            loop.create_connection(partial(Viewer, name, part, arrivals, requests, sid), "127.0.0.1", port)
            for name, sid in named[start : start + CONNECT_AT_ONCE]
        ]
        transports += [transport for transport, _ in await asyncio.gather(*made)]
    await asyncio.sleep(WARM_UP_S)
    arrivals.since, arrivals.requests = time.monotonic(), 0
    before, kernel_before = cpu_seconds(pid), kernel_seconds(pid)
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - arrivals.since
    busy = cpu_seconds(pid) - before
    load = Load(busy / elapsed, (kernel_seconds(pid) - kernel_before) / max(busy, 1e-9))
    for transport in transports:
        transport.close()
    await asyncio.sleep(0.2)
    return arrivals, load


# -- the bound -------------------------------------------------------------------------------------------------------


async def bare(part_bytes: int, playlist_bytes: int) -> None:
    def answer(size: int) -> bytes:
        return b"HTTP/1.1 200 OK\r\n" + b"x: %s\r\n" % (b"x" * 400) + b"content-length: %d\r\n\r\n" % size + bytes(size)

    video, audio, playlist = answer(part_bytes), answer(max(100, part_bytes // AUDIO_SHARE)), answer(playlist_bytes)

    class Bare(asyncio.Protocol):
        """Answers with prepared bytes: at once, or with the next part where the request says `_HLS_`."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            if b"_HLS_" in data:
                waiting.append(self)
            else:
                self.transport.write(video if b"/v0/" in data else audio)

    waiting: list[Bare] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Bare, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    next_at = loop.time()
    while not stopped.is_set():
        next_at += INTERVAL_MS / 1000
        await asyncio.sleep(next_at - loop.time())
        woken = waiting.copy()
        waiting.clear()
        for waiter in woken:
            if not waiter.transport.is_closing():
                waiter.transport.write(playlist)


@contextmanager
def bare_process(part_bytes: int, playlist_bytes: int) -> Iterator[tuple[int, int]]:
    """The bound in a process of its own: its process id and port."""
    command = [sys.executable, "-m", "benchmarks.blocking_reload", "--bare", str(part_bytes), str(playlist_bytes)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.stdin.close()
        try:
            process.wait(3)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


# -- the report ------------------------------------------------------------------------------------------------------


def newest_part(port: int) -> tuple[int, int]:
    """The number of the part that comes next, and the playlist's size."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{BASE}/v0/live.m3u8", timeout=5) as response:
        text = response.read().decode()
    return int(text.partition('TYPE=PART,URI="p')[2].partition(".")[0]), len(text)


def report(name: str, viewers: int, arrivals: Arrivals, load: Load, seconds: float) -> tuple[float, float]:
    spreads = [1000 * spread for spread in arrivals.spreads(viewers)]
    if arrivals.errors or not spreads:
        raise RuntimeError(f"{name}: {arrivals.errors} errors, {len(spreads)} whole parts")
    p50, p99 = spreads[len(spreads) // 2], spreads[min(len(spreads) - 1, int(0.99 * len(spreads)))]
    share = 100 * load.share
    print(
        f"    {name:9} {viewers} viewers: {share / viewers:.4f} % of a core a viewer ({share:.0f} % in all,"
        f" {load.kernel:.0%} of it in the kernel; {arrivals.requests / seconds:.0f} requests/s),"
        f" spread over {len(spreads)} parts: p50 {p50:.0f} ms, p99 {p99:.0f} ms",
        flush=True,
    )
    return load.share, p99


def run(viewers: int, part_bytes: int, seconds: float) -> None:
    with origin_process("--part-bytes", str(part_bytes), "--interval-ms", str(INTERVAL_MS)) as ours:
        pin(ours.pid, 0)
        part, playlist_bytes = newest_part(ours.told["http"])
        arrivals, load = uvloop.run(watch(ours.told["http"], part, viewers, seconds, ours.pid))
        own = report("Headwater", viewers, arrivals, load, seconds)
        memory = memory_mb(ours.pid)
    with bare_process(part_bytes, playlist_bytes) as (pid, port):
        pin(pid, 0)
        arrivals, load = uvloop.run(watch(port, part, viewers, seconds, pid))
        floor = report("bare", viewers, arrivals, load, seconds)
    print(f"    ratio: CPU {own[0] / floor[0]:.2f}, p99 of the spread {own[1] / floor[1]:.2f}; memory {memory:.0f} MB")


def run_cmcd(viewers: int, part_bytes: int, seconds: float, turns: int) -> None:
    """Without and with it, in turns; the price is the difference of the medians."""
    shares: dict[bool, list[float]] = {False: [], True: []}
    with origin_process("--part-bytes", str(part_bytes), "--interval-ms", str(INTERVAL_MS)) as ours:
        pin(ours.pid, 0)
        for _ in range(turns):
            for cmcd in (False, True):
                part, _ = newest_part(ours.told["http"])
                watching = watch(ours.told["http"], part, viewers, seconds, ours.pid, cmcd=cmcd)
                arrivals, load = uvloop.run(watching)
                share, _ = report("with CMCD" if cmcd else "without", viewers, arrivals, load, seconds)
                shares[cmcd].append(share / (arrivals.requests / seconds))
    without, with_it = (1e6 * median(shares[cmcd]) for cmcd in (False, True))
    print(f"    a request: {without:.1f} us without, {with_it:.1f} us with CMCD: {with_it - without:+.1f} us,")
    print(f"    {100 * (with_it / without - 1):+.0f} %; medians of {turns} turns")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, action="append")
    parser.add_argument("--part-bytes", type=int, default=12_500)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--cmcd", type=int, metavar="TURNS", default=0)
    parser.add_argument("--bare", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        uvloop.run(bare(*options.bare))
        return
    allow_connections()
    pin(0, 1)
    if options.cmcd:
        for viewers in options.viewers or [300]:
            run_cmcd(viewers, options.part_bytes, options.seconds, options.cmcd)
        return
    for viewers in options.viewers or [1000, 3000]:
        run(viewers, options.part_bytes, options.seconds)


if __name__ == "__main__":
    main()
