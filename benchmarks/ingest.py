"""(a) N publishers of 720p30 at 3 Mbit/s: CPU and memory per livestream, beside nginx-rtmp with HLS to memory.

Both servers run one after the other in the same run, pinned to one core, fed by the same replay on the other core.
Ours packages Low-Latency HLS (333 ms parts), once in memory only and once recorded as by default, to tmpfs; nginx-rtmp
packages plain HLS (2 s) to tmpfs.
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

WARM_UP_S = 16
"""Until the window in memory is full and every publisher runs."""

TMPFS = "/dev/shm" if Path("/dev/shm").is_dir() else None


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


def ours(count: int, seconds: float, *, disk: bool) -> Figure:
    with tempfile.TemporaryDirectory(dir=TMPFS) as folder, headwater(Path(folder), recording=disk) as server:
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
    print("per livestream: CPU in % of a core (ratio to nginx-rtmp), memory in MB")
    print("streams   in memory only             recorded to tmpfs          nginx-rtmp, files on tmpfs")
    for count in options.streams:
        peer = theirs(count, options.seconds)
        memory, disk = (ours(count, options.seconds, disk=disk) for disk in (False, True))
        print(f"{count:7}   {versus(memory, peer)}   {versus(disk, peer)}   {alone(peer)}")
        late, lost = [f.late_ms for f in (memory, disk, peer)], [f.lost for f in (memory, disk, peer)]
        print(f"          the load was late by at most {late} ms, connections lost {lost}", flush=True)


def alone(figure: Figure) -> str:
    return f"{figure.cpu_percent:6.3f} %  {figure.memory_mb:5.2f} MB"


def versus(figure: Figure, peer: Figure) -> str:
    ratio = figure.cpu_percent / max(peer.cpu_percent, 1e-9)
    return f"{figure.cpu_percent:6.3f} % ({ratio:4.2f}) {figure.memory_mb:5.2f} MB"


if __name__ == "__main__":
    main()
