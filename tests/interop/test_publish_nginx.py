"""`headwater publish` into nginx-rtmp, which records what comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.interop.test_publish_ffmpeg import FPS, free_port, packets
from tests.support import require

MODULE = "/usr/lib/nginx/modules/ngx_rtmp_module.so"

CONFIG = """
load_module {module};
worker_processes 1; daemon off; master_process off; user root;
error_log {folder}/error.log info; pid {folder}/pid;
events {{ worker_connections 64; }}
rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; record all; record_path {folder}; }} }} }}
"""


def test_nginx_records_every_frame(tmp_path: Path) -> None:
    require(MODULE)
    port = free_port()
    (tmp_path / "nginx.conf").write_text(CONFIG.format(module=MODULE, folder=tmp_path, port=port))
    server = subprocess.Popen([require("nginx"), "-c", str(tmp_path / "nginx.conf"), "-p", str(tmp_path)])
    try:
        url = f"rtmp://127.0.0.1:{port}/live/card"
        command = [sys.executable, "-m", "headwater", "publish", url, "--size", "320x180", "--duration", "2"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
    finally:
        server.terminate()
        server.wait(10)
    (recorded,) = tmp_path.glob("card*.flv")
    video, audio = packets(recorded, "v"), packets(recorded, "a")
    assert len(video) == FPS * 2
    assert len(audio) >= 90
    assert abs(video[0][0] - audio[0][0]) < 0.03
