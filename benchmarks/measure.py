"""CPU seconds and memory of a process, and the peers that the benchmarks run beside us."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mb(pid: int) -> float:
    """Resident memory of a process that is its own (anonymous pages), in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no RssAnon for process {pid}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, so that it does not share one with the load."""
    os.sched_setaffinity(pid, {core % (os.cpu_count() or 1)})


@contextmanager
def nginx(configuration: str) -> Iterator[tuple[int, Path]]:
    """nginx with one worker, `{dir}` in the configuration its folder. Yields the worker's pid, the folder."""
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    shm = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=shm) as folder:
        # The worker drops root: it must be able to write below the folder.
        os.chmod(folder, 0o777)
        path = Path(folder) / "nginx.conf"
        path.write_text(configuration.replace("{dir}", folder))
        process = subprocess.Popen(
            [program, "-p", folder, "-c", str(path), "-e", f"{folder}/error.log"], stderr=subprocess.DEVNULL
        )
        try:
            yield _worker(process), Path(folder)
        finally:
            process.terminate()
            process.wait(10)


def _worker(master: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if master.poll() is not None:
            raise RuntimeError("nginx did not start")
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children").read_text().split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise RuntimeError("nginx started no worker")


NGINX_RTMP = """
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
user root; daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events { worker_connections 4096; }
rtmp { server { listen 127.0.0.1:PORT; chunk_size 4096;
  application live { live on; hls on; hls_path {dir}/hls; hls_fragment 2s; hls_playlist_length 10s; } } }
"""
