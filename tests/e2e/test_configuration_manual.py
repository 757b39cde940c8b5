"""The worked examples of docs/configuration.md, run as they are written, on other ports and folders."""

from __future__ import annotations

import asyncio
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from headwater.client import Headwater
from headwater.client.models import CreatedLivestream
from headwater.hlscheck import check
from tests.e2e.support import card_command, played, running, until
from tests.interop.test_publish_ffmpeg import free_port
from tests.support import Server, require, running_server
from tests.unit.control.postgres import running_postgres

MANUAL = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text()

AROUND = """
daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{example}
}}
"""


def example(language: str, replaced: dict[str, str]) -> str:
    """The manual's example with parts replaced, each of which must be in it."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", MANUAL, re.DOTALL)
    for old, new in replaced.items():
        assert old in text, f"{old!r} is not in the manual's example"
        text = text.replace(old, new)
    return str(text)


def created(server: Server) -> CreatedLivestream:
    """A livestream, made without a detour over the public URL, which is in credentials.json."""
    with Headwater(base_url=f"{server.http}/client/v4", credentials=server.data) as client:
        return client.create_independent_livestream(name="manual")


@contextmanager
def nginx(folder: Path, http: str, port: int, certificate: tuple[Path, Path]) -> Iterator[None]:
    folder.mkdir()
    replaced = {
        "127.0.0.1:8080": http,
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/live.example.com/fullchain.pem": str(certificate[0]),
        "/etc/ssl/live.example.com/privkey.pem": str(certificate[1]),
    }
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(folder=folder, example=example("nginx", replaced)))
    process = subprocess.Popen(
        [require("nginx"), "-c", str(config), "-p", str(folder), "-e", str(folder / "error.log")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def test_a_stream_passes_through_nginx_unspoilt(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """No finding of hls-check over HTTP/2, blocking reloads included; and nginx has nothing to say in its log."""
    port = free_port()
    public = f"https://localhost:{port}"
    trusted = ssl.create_default_context(cafile=str(certificate[0]))
    with (
        running_server(tmp_path / "data", "--public-url", public) as server,
        nginx(tmp_path / "nginx", server.ready["http"], port, certificate),
    ):
        made = created(server)
        assert made.playback_url.startswith(public + "/")
        direct = made.playback_url.replace(public, server.http)
        with running(card_command(server.rtmp + made.stream_key, "--gop", "2")):
            played(direct)
            report = asyncio.run(check(made.playback_url, seconds=7, verify=False))
            with httpx.Client(verify=trusted, http2=True) as client:
                answer = client.get(made.playback_url)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
    assert (report.error, report.kind) == (None, "low-latency live")
    assert [(found.rule, [e.text for e in found.evidence]) for found in report.findings] == []
    # A newer nginx warns of the older spelling of http2; nothing else is to be said.
    said = (tmp_path / "nginx" / "error.log").read_text().splitlines()
    assert [line for line in said if "http2" not in line] == []


def test_postgresql_and_tls_as_the_manual_says(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    replaced = {
        'data = "/var/lib/headwater"\n': "",
        "0.0.0.0:443": "127.0.0.1:0",
        "0.0.0.0:1936": "127.0.0.1:0",
        "/etc/ssl/live.example.com/fullchain.pem": str(certificate[0]),
        "/etc/ssl/live.example.com/privkey.pem": str(certificate[1]),
    }
    config = tmp_path / "headwater.toml"
    config.write_text(example("toml", replaced))
    with running_postgres() as postgres:
        env = {"HEADWATER_DATABASE_URL": postgres.new_database()}
        with running_server(tmp_path / "data", "--config", str(config), env=env) as server:
            assert not list(server.data.glob("*.db")), "nothing in SQLite"
            made = created(server)
            assert made.ingest_server == "rtmps://live.example.com:1936/live/"
            assert made.playback_url.startswith("https://live.example.com/")
            rtmps = f"rtmps://{server.ready['rtmps']}/live/{made.stream_key}"
            trusted = ssl.create_default_context(cafile=str(certificate[0]))
            with running(card_command(rtmps, "--insecure")), httpx.Client(verify=trusted, http2=True) as viewer:
                url = made.playback_url.replace("https://live.example.com", f"https://{server.ready['https']}")
                until(lambda: viewer.get(url).status_code == 200, "it plays")
