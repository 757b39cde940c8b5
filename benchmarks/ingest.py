"""(a) N publishers of 720p30 at 3 Mbit/s: CPU and memory per livestream, beside nginx-rtmp with HLS to memory.

Both servers run one after the other in the same run, pinned to one core, fed by the same replay on the other core.
Ours packages Low-Latency HLS (333 ms parts) in memory; nginx-rtmp plain HLS (2 s) to tmpfs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import NGINX_RTMP, cpu_seconds, free_port, memory_mb, nginx, pin
from benchmarks.servers import headwater

WARM_UP_S = 12
"""Until the live edge in memory is full and every publisher runs."""


@dataclass(frozen=True, slots=True)
class Figure:
    cpu_percent: float
    memory_mb: float
    late_ms: float
    lost: int


def measure(pid: int, port: int, app: str, keys: list[str], seconds: float) -> Figure:
    """Publish to a server, and read its CPU and memory per livestream after the warm-up."""
    pin(pid, 0)
    before = memory_mb(pid)
    plan = {"host": "127.0.0.1", "port": port, "app": app, "keys": keys, "seconds": WARM_UP_S + seconds + 3}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.replay"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as load:
        assert load.stdin is not None and load.stdout is not None
        pin(load.pid, 1)
        load.stdin.write(json.dumps(plan))
        load.stdin.close()
        load.stdout.readline()
        time.sleep(WARM_UP_S)
        cpu, since = cpu_seconds(pid), time.monotonic()
        time.sleep(seconds)
        spent, took = cpu_seconds(pid) - cpu, time.monotonic() - since
        memory = memory_mb(pid) - before
        result = json.loads(load.stdout.readline())
    return Figure(100 * spent / took / len(keys), memory / len(keys), result["late_ms"], result["lost"])


def ours(count: int, seconds: float) -> Figure:
    with tempfile.TemporaryDirectory() as folder, headwater(Path(folder), recording=False) as server:
        keys = server.create_livestreams(count)
        return measure(server.pid, server.rtmp_port, "live", keys, seconds)


def theirs(count: int, seconds: float) -> Figure:
    port = free_port()
    with nginx(NGINX_RTMP.replace("PORT", str(port))) as (pid, _):
        return measure(pid, port, "live", [f"s{k}" for k in range(count)], seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 50, 100, 200])
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    print("streams   headwater LL-HLS      nginx-rtmp HLS        ratio   (CPU % of a core, MB, per livestream)")
    for count in options.streams:
        mine, peer = ours(count, options.seconds), theirs(count, options.seconds)
        print(
            f"{count:7}   {mine.cpu_percent:6.3f} %  {mine.memory_mb:6.2f} MB   {peer.cpu_percent:6.3f} %"
            f"  {peer.memory_mb:6.2f} MB   {mine.cpu_percent / max(peer.cpu_percent, 1e-9):5.2f}"
            f"   late {mine.late_ms:.0f}/{peer.late_ms:.0f} ms, lost {mine.lost}/{peer.lost}",
            flush=True,
        )


if __name__ == "__main__":
    main()
