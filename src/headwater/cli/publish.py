"""`headwater publish`."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Optional

import typer

from headwater.errors import CallerError

Size = re.compile(r"(\d{2,4})x(\d{2,4})")


def publish(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            envvar="HEADWATER_PUBLISH_URL",
            help="rtmp[s]://HOST/APP/KEY: ingest server and stream key.",
        ),
    ],
    file: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Argument(metavar="[FILE]", help="A media file; without one, the generated test card."),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the test card.")] = "1280x720",
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frames per second of the test card.")] = 30,
    bitrate: Annotated[int, typer.Option(min=100, max=50_000, metavar="KBIT/S", help="Video of the test card.")] = 2500,
    gop: Annotated[float, typer.Option(min=0.1, max=20, metavar="SECONDS", help="Between key frames.")] = 1.0,
    duration: Annotated[
        Optional[float],  # noqa: UP045 - as above
        typer.Option(min=0.1, metavar="SECONDS", help="Stop after this long."),
    ] = None,
    loop: Annotated[bool, typer.Option(help="Begin the file again at its end.")] = False,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Test card with picture.")] = True,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Test card with sound.")] = True,
    reconnect: Annotated[bool, typer.Option(help="Try again after a broken connection.")] = True,
    insecure: Annotated[bool, typer.Option(help="rtmps: do not check the server's certificate.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Publish to an RTMP server: this one or any other.

    Without FILE it sends a test card in real time: a clock, a frame counter, a bar code of the wall clock that machines
    read, a flash and a beep at each whole second. A file is sent as it is, in real time, without transcoding: H.264,
    HEVC, AV1 or VP9 with AAC, Opus or MP3.

    It needs no ffmpeg. A refusal of the server is printed with its reason, exit code 4.
    """
    from headwater.testcard.flv_stream import Tag
    from headwater.testcard.publish import Progress
    from headwater.testcard.publish import publish as send
    from headwater.testcard.sources import Card, CardOptions, file_tags

    if file is not None and not file.is_file():
        raise CallerError(f"there is no file {file}")
    if not (video or audio):
        raise CallerError("--no-video and --no-audio leave nothing to publish")
    width, height = parse_size(size)
    options = CardOptions(width, height, fps, bitrate, gop, video, audio, duration)

    def tags() -> Iterator[tuple[float, Tag]]:
        return Card(options).tags() if file is None else file_tags(file, loop=loop, duration_s=duration)

    progress = Progress()
    sending = functools.partial(send, url, tags, reconnect=reconnect, insecure=insecure, progress=progress)
    asyncio.run(sending() if quiet else _shown(sending, progress))


def parse_size(text: str) -> tuple[int, int]:
    """`WxH` in pixels: even numbers from 160x90 to 3840x2160."""
    match = Size.fullmatch(text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if width % 2 or height % 2 or not 160 <= width <= 3840 or not 90 <= height <= 2160:
        raise CallerError(f"--size {text}: give even numbers from 160x90 to 3840x2160, e.g. 1280x720")
    return width, height


async def _shown(sending: functools.partial, progress: object) -> None:  # type: ignore[type-arg]
    """Run with a line that says how it goes, where there is a terminal to show it on."""
    from rich.status import Status

    from headwater.cli.output import errors

    with Status("connecting ...", console=errors) as status:
        task = asyncio.ensure_future(sending())
        try:
            while not task.done():
                status.update(_sentence(progress))
                await asyncio.wait({task}, timeout=0.5)
        finally:
            task.cancel()
        task.result()


def _sentence(progress: object) -> str:
    from headwater.testcard.publish import Progress

    assert isinstance(progress, Progress)
    if not progress.connected:
        return "connecting ..." if not progress.reconnects else f"connecting again ({progress.reconnects}) ..."
    seconds = progress.media_ms / 1000
    rate = progress.bytes * 8 / max(seconds, 0.1) / 1e6
    return f"publishing   {seconds:6.1f} s   {rate:4.1f} Mbit/s   Ctrl-C ends it"
