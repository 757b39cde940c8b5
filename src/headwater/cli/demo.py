"""`headwater demo`: a server and a moving picture, with everything that a newcomer wants to know."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headwater.errors import OperatorError

if TYPE_CHECKING:
    from headwater.client import Headwater

START_S = 30.0
PLAY_S = 30.0
NAME = "Demo"


def demo(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the demo.")] = Path(".headwater"),
    http: Annotated[str, typer.Option(metavar="HOST:PORT", help="Page and API.")] = "127.0.0.1:8080",
    rtmp: Annotated[str, typer.Option(metavar="HOST:PORT", help="For your own encoder.")] = "127.0.0.1:1935",
    json_: Annotated[bool, typer.Option("--json", help="Print the addresses as JSON.")] = False,
) -> None:
    """Start a server with a moving test picture, and print where it plays. Ctrl-C ends everything.

    Where a port is taken, a free one is used instead, and said.
    """
    from headwater.cli.output import errors

    stop = StopSignal()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with errors.status("starting the server ...") as status, server(data, free(http), free(rtmp)) as ready:
        client = connect(data)
        livestream = find_or_create(client)
        status.update("publishing the test card ...")
        with test_card(f"{livestream['ingest_server']}{livestream['stream_key']}"):
            wait_until_it_plays(livestream["playback_url"], stop)
            status.stop()
            tell(facts(ready, livestream, data), json_)
            stop.wait()


class StopSignal:
    """SIGINT or SIGTERM, whichever comes."""

    def __init__(self) -> None:
        self.came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._arrive)

    def _arrive(self, number: int, frame: object) -> None:
        self.came = True

    def wait(self) -> None:
        while not self.came:
            time.sleep(0.2)


def free(address: str) -> str:
    """The address, or the same host with port 0 where its port is taken."""
    from headwater.cli.output import errors

    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host.strip("[]"), int(port))):
            return address
    except (OSError, ValueError) as error:
        errors.print(f"[dim]{address} is taken ({error}); a free port is used instead[/]")
        return f"{host}:0"


@contextmanager
def server(data: Path, http: str, rtmp: str) -> Iterator[dict[str, Any]]:
    """`headwater serve` as a child; yields what its ready file says."""
    ready_file = data / "ready.json"
    ready_file.unlink(missing_ok=True)
    arguments = ["--data", str(data), "--http", http, "--rtmp", rtmp, "--ready-file", str(ready_file)]
    with child("serve", *arguments, log=data / "server.log") as process:
        deadline = time.monotonic() + START_S
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                tail = (data / "server.log").read_text(errors="replace").strip().splitlines()[-5:]
                raise OperatorError("the server did not start:\n" + "\n".join(tail))
            time.sleep(0.05)
        yield json.loads(ready_file.read_text())


@contextmanager
def test_card(url: str) -> Iterator[None]:
    """`headwater publish` as a child, whose URL (it holds the key) is not on the command line of anybody's `ps`."""
    with child("publish", "--quiet", environment={"HEADWATER_PUBLISH_URL": url}):
        yield


@contextmanager
def child(
    *arguments: str, log: Path | None = None, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours as a child that does not see the terminal's Ctrl-C and is ended here."""
    with open(log or os.devnull, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "headwater", *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(12)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def connect(data: Path) -> Headwater:
    from headwater.client import Headwater

    return Headwater(credentials=data)


def find_or_create(client: Headwater) -> dict[str, str]:
    """The livestream of the demo, the same each time, so that its URLs stay."""
    for known in client.iterate_livestreams():
        if known.name == NAME and not known.is_disabled:
            return {
                "ingest_server": known.ingest_server,
                "stream_key": known.stream_key,
                "playback_url": known.playback_url,
            }
    made = client.create_independent_livestream(name=NAME)
    return {"ingest_server": made.ingest_server, "stream_key": made.stream_key, "playback_url": made.playback_url}


def wait_until_it_plays(playback_url: str, stop: StopSignal) -> None:
    """Until the picture can be watched, or a sentence."""
    import httpx

    lifecycle = playback_url.replace("/manifest/video.m3u8", "/lifecycle")
    deadline = time.monotonic() + PLAY_S
    while time.monotonic() < deadline and not stop.came:
        try:
            if httpx.get(lifecycle, timeout=5).json().get("live"):
                return
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(0.1)
    if not stop.came:
        raise OperatorError("the test card does not play; the server's log says more")


def facts(ready: dict[str, Any], livestream: dict[str, str], data: Path) -> dict[str, str]:
    credentials = json.loads((data / "credentials.json").read_text())
    return {
        "watch": livestream["playback_url"].replace("/manifest/video.m3u8", ""),
        "playback_url": livestream["playback_url"],
        "ingest_server": livestream["ingest_server"],
        "stream_key": livestream["stream_key"],
        "base_url": credentials["base_url"],
        "api_token": credentials["api_token"],
        "account_id": credentials["account_id"],
        "app_id": credentials["app_id"],
        "http": ready["http"],
        "rtmp": ready["rtmp"],
    }


def tell(found: dict[str, str], as_json: bool) -> None:
    from headwater.cli.output import console, print_json

    if as_json:
        print_json(found)
        sys.stdout.flush()
        return
    line = console.print
    line("\n[bold]Headwater is running.[/] Open this page to watch the test picture:\n")
    line(f"    [bold cyan]{found['watch']}[/]\n", soft_wrap=True)
    line("Your own encoder (OBS: Settings, Stream, Custom) takes the place of the test picture with")
    line(f"    server      {found['ingest_server']}\n    stream key  {found['stream_key']}\n", soft_wrap=True)
    line("Any HLS player plays")
    line(f"    {found['playback_url']}\n", soft_wrap=True)
    line("The official SDKs, and curl, take")
    for name in ("base_url", "api_token", "account_id", "app_id"):
        line(f"    {name:<11} {found[name]}", soft_wrap=True)
    line(f"\nThe API is described at {found['base_url']}/docs. [dim]Ctrl-C ends everything.[/]", soft_wrap=True)
