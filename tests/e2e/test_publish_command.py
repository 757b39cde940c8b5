"""`headwater publish` into `headwater serve`: over TLS, of files, and after the server was away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.support import api, create, live, until
from tests.support import Server, require, running_server, start_server

CARD = ("--size", "320x180", "--fps", "15")


def publish(url: str, *options: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "headwater", "publish", url, *options]
    environment = {**os.environ, **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=40, env=environment)


@contextmanager
def publishing(url: str, log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run it until the block ends; what it says with --json is in `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "headwater", "publish", url, "--json", *options], stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()


def states(log: Path) -> list[str]:
    """The states that it went through, without repetitions."""
    found = list[str]()
    for line in log.read_text().splitlines():
        state = json.loads(line)["state"] if line.startswith("{") else "said: " + line
        if not found or found[-1] != state:
            found.append(state)
    return found


class TestRtmps:
    @pytest.fixture
    def secure(self, tmp_path: Path, certificate: tuple[Path, Path]) -> Iterator[Server]:
        cert, key = map(str, certificate)
        with running_server(
            tmp_path / "data", "--rtmps", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key
        ) as running:
            yield running

    def url(self, server: Server, *, host: str = "localhost") -> str:
        port = server.ready["rtmps"].rpartition(":")[2]
        return f"rtmps://{host}:{port}/live/{create(server).stream_key}"

    def test_a_certificate_that_nobody_vouches_for_is_refused_in_words(self, secure: Server) -> None:
        """At once, with exit code 1: to come back would not help."""
        done = publish(self.url(secure), *CARD)
        assert done.returncode == 1
        assert "certificate is not trusted: self-signed certificate" in done.stderr
        assert "--insecure" in done.stderr and "SSL_CERT_FILE" in done.stderr
        with api(secure) as client:
            (only,) = client.iterate_livestreams()
        assert only.status == "INVOKED", "nothing was published"

    @pytest.mark.parametrize("trust", ["SSL_CERT_FILE", "--insecure"])
    def test_it_publishes_where_the_certificate_is_trusted(
        self, secure: Server, certificate: tuple[Path, Path], trust: str
    ) -> None:
        named = trust == "SSL_CERT_FILE"
        env = {"SSL_CERT_FILE": str(certificate[0])} if named else {}
        options = [] if named else ["--insecure"]
        done = publish(self.url(secure), *CARD, "--duration", "1", "--json", *options, env=env)
        assert done.returncode == 0, done.stderr
        final = json.loads(done.stdout.splitlines()[-1])
        assert (final["state"], final["video_frames"], final["connections"]) == ("ended", 15, 1)
        with api(secure) as client:
            (only,) = client.iterate_livestreams()
            session = client.get_livestream_session_for_livestream_id(only.id).session
        assert session is not None, "the server took it for a broadcast"

    def test_the_certificate_of_another_host_is_refused(self, secure: Server, certificate: tuple[Path, Path]) -> None:
        """Trusted, but made for localhost and 127.0.0.1, and another address is called."""
        done = publish(self.url(secure, host="127.1"), *CARD, env={"SSL_CERT_FILE": str(certificate[0])})
        assert done.returncode == 1
        assert "not valid for '127.1'" in done.stderr

    def test_rtmps_to_a_port_of_rtmp_says_so(self, server: Server) -> None:
        url = server.rtmp.replace("rtmp://", "rtmps://") + create(server).stream_key
        done = publish(url, *CARD, "--no-reconnect")
        assert done.returncode == 1
        assert "no TLS is spoken there" in done.stderr and "Traceback" not in done.stderr

    def test_rtmp_to_a_port_of_rtmps_says_so(self, secure: Server) -> None:
        done = publish(self.url(secure).replace("rtmps://", "rtmp://"), *CARD, "--no-reconnect")
        assert done.returncode == 1
        assert "does that port speak RTMP?" in done.stderr


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two seconds with a sync sample every half second, as FLV and as MP4."""
    folder = tmp_path_factory.mktemp("clips")
    source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=30:d=2", "-f", "lavfi", "-i", "sine=d=2:r=48000"]
    encode = ["-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "15", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    made = {kind: folder / f"clip.{kind}" for kind in ("flv", "mp4")}
    for path in made.values():
        subprocess.run([require("ffmpeg"), "-v", "error", *source, *encode, str(path)], check=True)
    return made


@pytest.mark.parametrize("kind", ["flv", "mp4"])
def test_a_file_comes_back_after_the_server_was_away(tmp_path: Path, clips: dict[str, Path], kind: str) -> None:
    """The server is killed and started again on the same port and folder: the file plays again, from one process."""
    log = tmp_path / "publish.log"
    server = start_server(tmp_path / "data")
    try:
        made = create(server)
        with publishing(server.rtmp + made.stream_key, log, str(clips[kind]), "--loop") as publisher:
            until(lambda: live(made.playback_url), "it plays")
            server.kill()
            until(lambda: "waiting" in states(log), "the publisher noticed")
            server = start_server(tmp_path / "data", "--rtmp", server.ready["rtmp"], "--http", server.ready["http"])
            until(lambda: live(made.playback_url), "it plays again")
            assert publisher.poll() is None
    finally:
        if server.process.poll() is None:
            assert server.terminate() == 0
    seen = states(log)
    assert seen[:3] == ["connecting", "publishing", "waiting"]
    assert "publishing" in seen[3:]
    assert not [state for state in seen if state.startswith("said: ") and "Traceback" in state]
