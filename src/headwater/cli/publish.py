"""`headwater publish`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from headwater.errors import CallerError

if TYPE_CHECKING:
    from headwater.testcard.publisher import Progress, Publisher, Source

MIN_BITRATE, MAX_BITRATE = 50_000, 100_000_000


def publish(
    url: Annotated[str, typer.Argument(metavar="URL", help="Ingest server and stream key: rtmp://HOST/live/KEY")],
    file: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads annotations at run time
        typer.Argument(metavar="FILE", help="A media file; without one, the test card.", show_default=False),
    ] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the test card.")] = "1280x720",
    fps: Annotated[str, typer.Option(help="Frames per second of the test card, e.g. 30, 59.94 or 30000/1001.")] = "30",
    bitrate: Annotated[str, typer.Option(help="Bits per second of the picture, e.g. 2500k or 4M.")] = "2500k",
    gop: Annotated[float, typer.Option(help="Seconds between the test card's sync samples.", min=0.1, max=20)] = 1.0,
    codec: Annotated[str, typer.Option(help="h264, hevc, av1 or vp9. With FILE: transcode to h264.")] = "",
    audio_codec: Annotated[str, typer.Option(help="aac, opus or mp3 (test card).")] = "aac",
    duration: Annotated[
        Optional[float],  # noqa: UP045 - as above
        typer.Option(help="Stop after so many seconds.", min=0.1, show_default=False),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Start the file again at its end, without a break.")] = False,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Send the picture.")] = True,
    audio: Annotated[bool, typer.Option("--audio/--no-audio", help="Send the sound.")] = True,
    title: Annotated[str, typer.Option(help="The large line in the test card.")] = "Headwater",
    reconnect: Annotated[bool, typer.Option("--reconnect/--no-reconnect", help="Come back after a loss.")] = True,
    insecure: Annotated[bool, typer.Option("--insecure", help="RTMPS: accept any certificate.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: state, totals.")] = False,
) -> None:
    """Publish a test card, or a media file, to an RTMP or RTMPS server.

    The test card shows its name, a clock with tenths, a frame counter, and a row of blocks from which a program reads
    the time; each second begins with a white flash and a beep of 100 ms, so that the far end shows how late it is and
    whether sound and picture belong together.

    A file with H.264, HEVC, AV1 or VP9 and AAC, Opus or MP3 is sent as it is; anything else is transcoded to H.264 and
    AAC. Both are paced in real time. Ctrl-C says goodbye and ends with 130.

    Examples:

    - `headwater publish rtmp://127.0.0.1/live/KEY`

    - `headwater publish rtmps://live.example.com/live/KEY film.mp4 --loop`
    """
    from headwater.protocols.rtmp.client import parse_url
    from headwater.testcard.publisher import Publisher

    try:
        target = parse_url(url)
    except CallerError as error:
        raise typer.BadParameter(str(error)) from None
    if file is None:
        source = _card(size, fps, bitrate, gop, codec, audio_codec, duration, video, audio, title)
    else:
        source = _file(file, loop, codec, bitrate, duration, video, audio)
    where = f"{target.host}:{target.port}/{target.app}"
    report = _Report(source.describe(), where, as_json)
    publisher = Publisher(source, target, insecure=insecure, reconnect=reconnect, changed=report.changed)
    try:
        interrupted = asyncio.run(_run(publisher, report))
    finally:
        report.close()
    if interrupted:
        raise typer.Exit(130)


def _card(
    size: str, fps: str, bitrate: str, gop: float, codec: str, audio_codec: str, duration: float | None,
    video: bool, audio: bool, title: str,
) -> Source:  # fmt: skip
    from headwater.testcard.encoder import AUDIO_ENCODERS, VIDEO_ENCODERS, TestCard, TestCardSettings, with_size

    settings = TestCardSettings(
        fps=parse_fps(fps),
        bitrate=parse_bitrate(bitrate),
        gop_s=gop,
        codec=_one_of("--codec", codec or "h264", list(VIDEO_ENCODERS)) if video else None,
        audio_codec=_one_of("--audio-codec", audio_codec, list(AUDIO_ENCODERS)) if audio else None,
        duration_s=duration,
        title=title,
    )
    try:
        return TestCard(with_size(settings, size))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _file(path: Path, loop: bool, codec: str, bitrate: str, duration: float | None, video: bool, audio: bool) -> Source:
    from headwater.testcard.files import FileSource

    if codec:
        _one_of("--codec", codec, ["h264"])
    return FileSource(
        path,
        loop=loop,
        video=video,
        audio=audio,
        transcode=bool(codec),
        bitrate=parse_bitrate(bitrate),
        duration_s=duration,
    )


def parse_bitrate(text: str) -> int:
    """Bits per second of `2500k`, `2.5M` or `2500000`."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    try:
        value = round(float(text[:-1] if factor > 1 else text) * factor)
    except (ValueError, OverflowError):
        value = 0
    if not MIN_BITRATE <= value <= MAX_BITRATE:
        raise typer.BadParameter(f"the bit rate {text!r} must be 50k to 100M, e.g. 2500k")
    return value


def parse_fps(text: str) -> Fraction:
    """Frames per second of `30`, `59.94` or `30000/1001`."""
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        value = Fraction(0)
    if value.denominator > 1001:
        value = value.limit_denominator(1001)
    for whole in (24, 30, 60, 120):
        if abs(value - Fraction(whole * 1000, 1001)) < Fraction(1, 100):
            value = Fraction(whole * 1000, 1001)
    if not 1 <= value <= 120:
        raise typer.BadParameter(f"the frame rate {text!r} must be 1 to 120, e.g. 30 or 30000/1001")
    return value


def _one_of(option: str, word: str, words: list[str]) -> str:
    if word not in words:
        raise typer.BadParameter(f"{option} {word!r} must be one of {', '.join(words)}")
    return word


async def _run(publisher: Publisher, report: _Report) -> bool:
    """True where a signal ended it."""
    task = asyncio.current_task()
    assert task is not None
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    ticking = asyncio.create_task(report.tick(publisher))
    try:
        await publisher.run()
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        ticking.cancel()
    report.final(publisher.progress)
    return stopped


class _Report:
    """What is printed: a line that changes on a terminal, lines elsewhere, JSON objects with --json."""

    def __init__(self, source: str, where: str, as_json: bool) -> None:
        self._as_json = as_json
        self._live = not as_json and sys.stderr.isatty()
        self._started = time.monotonic()
        if not as_json:
            print(f"{source} -> {where}", file=sys.stderr, flush=True)

    def changed(self, progress: Progress) -> None:
        if self._as_json:
            print(json.dumps(asdict(progress)), flush=True)
        elif progress.state in ("waiting", "publishing"):
            self.close()
            text = progress.reason if progress.state == "waiting" else "publishing"
            print(text, file=sys.stderr, flush=True)

    async def tick(self, publisher: Publisher) -> None:
        while True:
            await asyncio.sleep(1)
            progress = publisher.progress
            if self._as_json:
                print(json.dumps(asdict(progress)), flush=True)
            elif self._live and progress.state == "publishing":
                seconds = progress.media_ms / 1000
                rate = progress.sent_bytes * 8 / max(seconds, 0.1) / 1e6
                lost = f"  {progress.dropped} dropped" if progress.dropped else ""
                clock = time.strftime("%H:%M:%S", time.gmtime(seconds))
                print(
                    f"\r\x1b[K{clock}  {rate:.2f} Mbit/s  {progress.video_frames} frames{lost}", end="", file=sys.stderr
                )
                sys.stderr.flush()

    def final(self, progress: Progress) -> None:
        if not self._as_json:
            self.close()
            seconds = progress.media_ms / 1000
            print(f"sent {seconds:.1f} s, {progress.sent_bytes / 1e6:.1f} MB", file=sys.stderr)

    def close(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
