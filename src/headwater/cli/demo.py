"""`headwater demo`: the whole of it on one machine, with something to see. What `make run` runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headwater.cli.demo_card import REFUSED, DemoCard, Place
from headwater.cli.folder import held
from headwater.errors import HeadwaterError, OperatorError

if TYPE_CHECKING:
    from headwater.client import Headwater
    from headwater.client.models import Livestream

DEMO_NAME = "Demo"
ENDING = (signal.SIGINT, signal.SIGTERM)
HTTP_PORT, RTMP_PORT, WEBRTC_PORT = 8080, 1935, 8189
LAVFI = "-f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine=r=48000"
"""A picture and a tone that ffmpeg makes itself: a line that needs no file."""

ENCODE = (
    "-c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -b:v 2500k -maxrate 2500k -bufsize 2500k "
    '-force_key_frames "expr:gte(t,n_forced*2)" -c:a aac -b:a 128k -ar 48000'
)
"""As docs/encoders.md has it: a key frame every 2 s at any frame rate."""

READY_TIMEOUT_S, PLAYING_TIMEOUT_S, STOP_TIMEOUT_S = 30.0, 30.0, 12.0
LOOK_EVERY_S, ASK_TIMEOUT_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo prints."""

    player_url: str
    playback_url: str
    ingest_server: str
    stream_key: str
    base_url: str
    api_token: str
    account_id: str
    app_id: str
    disabled: bool = False


def demo(
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder.")] = Path(".headwater"),
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    as_json: Annotated[bool, typer.Option("--json", help="Print the addresses as one JSON object.")] = False,
) -> None:
    """Start a server with a moving test picture, and print where it plays and how to use it.

    It listens on ports 8080 (HTTP) and 1935 (RTMP), or on free ones where these are taken, keeps its data in
    `.headwater/`, and publishes a test card to a livestream named Demo. Your own encoder takes over from it; when that
    has gone, the card comes back. Ctrl-C ends all of it.
    """
    # Both explicitly: a shell starts background jobs with SIGINT ignored.
    for number in ENDING:
        signal.signal(number, _interrupt)
    children: list[subprocess.Popen[bytes]] = []
    try:
        _run(data, host, as_json, children)
    except KeyboardInterrupt:
        _say("stopping ...", as_json)
    finally:
        _stop(children)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Whoever asks for the end meanwhile is heeded afterwards: no child is started and then forgotten."""
    asked = list[int]()
    before = {number: signal.signal(number, lambda number, _frame: asked.append(number)) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt


def _run(data: Path, host: str, as_json: bool, children: list[subprocess.Popen[bytes]]) -> None:
    from headwater.client import Headwater

    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_second(data)
    log = _Log(data / "demo.log", data / "publisher.log")
    http, rtmp = _free_or(host, HTTP_PORT, as_json), _free_or(host, RTMP_PORT, as_json)
    webrtc = _free_or(host, WEBRTC_PORT, as_json, socket.SOCK_DGRAM)
    _say(f"starting the server (its log: {log.server}) ...", as_json)
    ready_file = data / "ready.json"
    ready_file.unlink(missing_ok=True)
    serve = ["serve", "--data", str(data), "--http", f"{host}:{http}", "--rtmp", f"{host}:{rtmp}"]
    serve += ["--webrtc", f"{host}:{webrtc}"]
    with _undisturbed():
        server = _start([*serve, "--ready-file", str(ready_file)], log.server, log.server)
        children.append(server)
    _wait_ready(server, ready_file, log)
    with Headwater(credentials=data) as headwater:
        demo = _livestream(headwater)
        card = DemoCard(
            children,
            start=lambda url: _publish(url, log),
            place=lambda: _place(headwater),
            live=_live,
            last_words=log.last_words,
            say=lambda text: _say(text, as_json),
        )
        _say("waiting for the picture ...", as_json)
        _wait_playing(demo, card.process, log)
        _print(demo, as_json)
        while server.poll() is None:
            time.sleep(LOOK_EVERY_S)
            with _undisturbed():
                card.look(time.monotonic())
    raise OperatorError(f"the server ended by itself:\n{log.tail()}")


def _refuse_second(data: Path) -> None:
    """Leave a folder alone that a server holds: its ready file and its log are not ours."""
    from headwater.client import Headwater

    if not held(data):
        return
    found = None
    with contextlib.suppress(HeadwaterError), Headwater(credentials=data, timeout=ASK_TIMEOUT_S) as headwater:
        found = _find(headwater)
    if found is not None:
        raise OperatorError(f"a demo already runs here: {found.playback_url.removesuffix('/manifest/video.m3u8')}")
    raise OperatorError(f"another headwater serve uses the data folder {data}: stop it, or choose another with --data")


class _Log:
    """What this run's server and test picture wrote; what earlier runs wrote stays in the file and is not shown."""

    def __init__(self, server: Path, publisher: Path) -> None:
        self.server, self.publisher = server, publisher
        self._from = server.stat().st_size if server.exists() else 0

    def tail(self) -> str:
        return self._read(self.server, self._from)[-1500:] + self._read(self.publisher, 0)[-500:]

    def last_words(self) -> str:
        """The last line that the newest publisher said."""
        lines = self._read(self.publisher, 0).splitlines()
        return lines[-1].removeprefix("headwater: ") if lines else "without a word"

    @staticmethod
    def _read(path: Path, start: int) -> str:
        with contextlib.suppress(OSError), path.open("rb") as file:
            file.seek(start)
            return file.read().decode(errors="replace")
        return ""


def _publish(url: str, log: _Log) -> subprocess.Popen[bytes]:
    log.publisher.unlink(missing_ok=True)
    return _start(["publish", url, "--title", "Headwater demo"], log.server, log.publisher)


def _place(headwater: Headwater) -> Place:
    demo = _livestream(headwater, enable=False)
    return Place(demo.ingest_server + demo.stream_key, demo.player_url, demo.disabled)


def _free_or(host: str, port: int, as_json: bool, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """The port, or 0 (any free one) with a note where something else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:  # with UDP it would let two servers share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            _say(f"port {port} cannot be used ({error.strerror}): a free one is taken instead", as_json)
            return 0
    return port


def _start(arguments: list[str], log: Path, errors: Path) -> subprocess.Popen[bytes]:
    """A child in a group of its own: Ctrl-C reaches the demo alone, which then ends its children in order."""
    command = [sys.executable, "-m", "headwater", *arguments]
    with log.open("ab") as output, errors.open("ab") as said:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=said,
            start_new_session=True,
            env={"HEADWATER_LOG_FORMAT": "text", **os.environ},  # a person reads its log
        )


def _wait_ready(server: subprocess.Popen[bytes], ready_file: Path, log: _Log) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not ready_file.exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise OperatorError(f"the server did not start:\n{log.tail()}")
        time.sleep(0.05)


def _find(headwater: Headwater) -> Livestream | None:
    return next((one for one in headwater.iterate_livestreams() if one.name == DEMO_NAME), None)


def _livestream(headwater: Headwater, *, enable: bool = True) -> Demo:
    """The livestream named Demo, made if there is none; enabled again where that is wanted."""
    found = _find(headwater)
    if found is not None and found.is_disabled and enable:
        found = headwater.enable(found.id)
    livestream = found or headwater.create_independent_livestream(name=DEMO_NAME)
    access = headwater.access
    player = livestream.playback_url.removesuffix("/manifest/video.m3u8")
    return Demo(
        player_url=player,
        playback_url=livestream.playback_url,
        ingest_server=livestream.ingest_server,
        stream_key=livestream.stream_key,
        base_url=access.base_url,
        api_token=access.api_token,
        account_id=access.account_id,
        app_id=access.app_id,
        disabled=bool(livestream.disabled),
    )


def _live(player_url: str) -> bool:
    """Whether it can be watched now, as the player page asks; while that cannot be said, yes: nobody is cut off."""
    import httpx

    try:
        answer = httpx.get(f"{player_url}/lifecycle", timeout=ASK_TIMEOUT_S)
        return bool(answer.json()["live"])
    except (httpx.HTTPError, ValueError, KeyError):
        return True


def _wait_playing(demo: Demo, publisher: subprocess.Popen[bytes], log: _Log) -> None:
    """Until a media playlist lists media, as a player would see it; whoever publishes it: an encoder that was left
    running takes over at once."""
    import httpx

    deadline = time.monotonic() + PLAYING_TIMEOUT_S
    lifecycle = f"{demo.player_url}/lifecycle"
    with httpx.Client(timeout=ASK_TIMEOUT_S) as http:
        while True:
            with contextlib.suppress(httpx.HTTPError, ValueError):
                answer = http.get(lifecycle)
                if answer.status_code == 200 and answer.json().get("live"):
                    return
            if publisher.poll() not in (None, REFUSED) or time.monotonic() > deadline:
                raise OperatorError(f"the test picture does not play:\n{log.tail()}")
            time.sleep(0.1)


def _print(demo: Demo, as_json: bool) -> None:
    if as_json:
        print(json.dumps({name: value for name, value in asdict(demo).items() if name != "disabled"}), flush=True)
        return
    # Plain lines, never wrapped or boxed: every value is there to be copied.
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(
        f"""
{bold}Watch{plain}                     {demo.player_url}
  any HLS player          {demo.playback_url}

{bold}Your own encoder{plain} (it takes over from the test picture)
  OBS server              {demo.ingest_server}
  OBS stream key          {demo.stream_key}
  ffmpeg                  ffmpeg -re {LAVFI} {ENCODE} -f flv {demo.ingest_server}{demo.stream_key}
  ffmpeg with a file      put -i FILE in the place of {LAVFI}

{bold}SDK settings{plain}
  base URL                {demo.base_url}
  API token               {demo.api_token}
  account                 {demo.account_id}
  app                     {demo.app_id}

Ctrl-C ends it.""",
        flush=True,
    )


def _stop(children: list[subprocess.Popen[bytes]]) -> None:
    """End the publisher, then the server, each with SIGTERM and, if it does not heed that, SIGKILL."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C must not leave one of them behind
    for child in children:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _say(text: str, as_json: bool) -> None:
    print(text, file=sys.stderr if as_json else sys.stdout, flush=True)
