"""The process that decodes a recording's sync samples for `SpriteMaker`: one recording, then it ends.

    python -m headwater.pipeline.recorder.sprite_worker PATH

A decoder is where hostile media does its harm, so it runs apart from the server, with limits; it writes nothing but its
reply on standard output: a line of JSON (`Sheet`), then the JPEG.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from typing import Any

import msgspec

from headwater.pipeline.recorder.sprite import (
    COLUMNS,
    CPU_LIMIT_S,
    MEMORY_LIMIT_BYTES,
    TILE_HEIGHT_LIMIT,
    TILE_WIDTH,
    Sheet,
    tile_times,
)

NICENESS = 15
JPEG_QUALITY = 70


def main() -> None:
    """Make one sheet."""
    os.nice(NICENESS)
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up in the reply
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, MEMORY_LIMIT_BYTES),
        (resource.RLIMIT_CPU, CPU_LIMIT_S),
    ):
        try:
            resource.setrlimit(kind, (value, value))
        except (OSError, ValueError):
            pass  # a system that does not know it goes without
    try:
        sheet, picture = decode(sys.argv[1])
    except Exception as error:  # any: FFmpeg's errors are many, and this process is the fence around them
        sheet, picture = Sheet(error=f"{type(error).__name__}: {error}"[:200]), b""
    sink.write(msgspec.json.encode(sheet) + b"\n" + picture)
    sink.flush()


def decode(path: str) -> tuple[Sheet, bytes]:
    """The sheet of a recording, as JPEG: of each place the picture that one sees when seeking there.

    Raises:
        av.FFmpegError, ValueError, MemoryError: there is none.
    """
    import av
    from PIL import Image

    with av.open(path, mode="r", format="mp4") as container:
        if not container.streams.video:
            raise ValueError("no video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.skip_frame = "NONKEY"
        seconds = (container.duration or 0) / av.time_base
        times = tile_times(seconds)
        grid: Image.Image | None = None
        width, height = TILE_WIDTH, 0
        for number, at in enumerate(times):
            container.seek(int(at * av.time_base), backward=True)
            frame = next(container.decode(stream), None)
            if frame is None:
                continue
            if grid is None:
                pixel = stream.codec_context.sample_aspect_ratio
                shown = int(frame.width * pixel) if pixel else frame.width
                height = max(2, min(TILE_HEIGHT_LIMIT, round(width * frame.height / shown)))
                rows = -(-len(times) // COLUMNS)
                grid = Image.new("RGB", (width * min(COLUMNS, len(times)), height * rows))
            to_image: Any = frame.to_image  # without types in PyAV
            grid.paste(to_image(width=width, height=height), (number % COLUMNS * width, number // COLUMNS * height))
        if grid is None:
            raise ValueError("no key frame")
        picture = io.BytesIO()
        grid.save(picture, "JPEG", quality=JPEG_QUALITY)
        return Sheet(len(times), width, height, seconds), picture.getvalue()


if __name__ == "__main__":
    main()
