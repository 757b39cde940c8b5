"""(b) CPU of playlist and part requests, beside nginx that serves the same bytes as files in the same run.

    python -m benchmarks.delivery [--seconds 3]

CPU seconds (user + system) of the server process per 1,000 requests, keep-alive, over loopback: a live playlist, and a
part of 60 KB. HTTP/1.1 is asked by wrk, HTTP/2 over TLS by h2load. Server and load each have a core. Aim: within 2 x.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import cpu_seconds, free_port, nginx, pin
from benchmarks.origin_process import certificate, origin_process

CONNECTIONS = 32
H2_STREAMS = 10

NGINX = """
user root; daemon off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log crit;
events { worker_connections 4096; }
http {
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100 inactive=60s;
  types { application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }
  server {
    listen 127.0.0.1:PORT; listen 127.0.0.1:TLS ssl http2; root {dir}; http2_max_requests 100000000;
    ssl_certificate CERT; ssl_certificate_key KEY; ssl_protocols TLSv1.2 TLSv1.3;
  }
}
"""


def wrk(url: str, seconds: int) -> int:
    """Requests answered 2xx."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise RuntimeError(report)
    return int(match(r"(\d+) requests in", report))


def h2load(url: str, seconds: int) -> int:
    command = ["h2load", "-t1", f"-c{CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}", url]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if not re.search(r"Application protocol: h2\b", report) or re.search(r"[45]xx", report) is None:
        raise RuntimeError(report)
    return int(match(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", report))


def match(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"no {pattern!r} in:\n{text}")
    return found[1]


def cost(pid: int, load: Callable[[str, int], int], url: str, seconds: int) -> tuple[float, float]:
    """CPU seconds per 1,000 requests; requests a second."""
    load(url, 1)
    before, since = cpu_seconds(pid), time.monotonic()
    count = load(url, seconds)
    return (cpu_seconds(pid) - before) * 1000 / count, count / (time.monotonic() - since)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    if any(shutil.which(program) is None for program in ("wrk", "h2load", "nginx", "openssl")):
        print("needs wrk, h2load (nghttp2-client), nginx and openssl")
        return
    with certificate() as (cert, key), origin_process("--tls-cert", str(cert), "--tls-key", str(key)) as ours:
        port, tls_port = free_port(), free_port()
        configuration = NGINX.replace("PORT", str(port)).replace("TLS ", f"{tls_port} ")
        with nginx(configuration.replace("CERT", str(cert)).replace("KEY", str(key))) as (worker, folder):
            paths = [ours.told["playlist"] + "?s=0123456789ab", ours.told["part"]]
            origin = f"http://127.0.0.1:{ours.told['http']}"
            sizes = [copy(origin + path, folder / path[1:].partition("?")[0]) for path in paths]
            pin(ours.pid, 0)
            pin(worker, 0)
            for title, load, base, peer in (
                ("HTTP/1.1", wrk, origin, f"http://127.0.0.1:{port}"),
                ("HTTP/1.1 + TLS", wrk, f"https://127.0.0.1:{ours.told['https']}", f"https://127.0.0.1:{tls_port}"),
                ("HTTP/2 + TLS", h2load, f"https://127.0.0.1:{ours.told['https']}", f"https://127.0.0.1:{tls_port}"),
            ):
                for path, size in zip(paths, sizes, strict=True):
                    own, own_rate = cost(ours.pid, load, base + path, options.seconds)
                    theirs, their_rate = cost(worker, load, peer + path, options.seconds)
                    print(
                        f"    {title:15} {size:6} bytes: {own:6.4f} CPU s a 1,000 requests ({own_rate:6.0f}/s),"
                        f" nginx {theirs:6.4f} ({their_rate:6.0f}/s): ratio {own / theirs:.2f}",
                        flush=True,
                    )


def copy(url: str, to: Path) -> int:
    """Save what a URL gives as a file; its size."""
    with urllib.request.urlopen(url, timeout=5) as response:
        body: bytes = response.read()
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_bytes(body)
    return len(body)


if __name__ == "__main__":
    main()
