"""The process that decodes pictures and sound for `Thumbnailer`: requests on its input, replies on its output.

    python -m headwater.pipeline.origin.thumbnail_worker MEMORY_BYTES CPU_SECONDS

It knows nothing of the server and has nothing that is worth taking: no files of its own, no sockets, no secrets.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from headwater.pipeline.origin.thumbnail import (
    ASK_LEVELS,
    MAX_MEDIA_SIZE,
    REPLY,
    REQUEST,
    STATUS_DONE,
    STATUS_NOTHING,
)
from headwater.pipeline.sound import Window

if TYPE_CHECKING:
    from PIL import Image

    from headwater.pipeline.sound_decoder import SoundDecoder

JPEG_QUALITY = 80


def main() -> None:
    """Answer requests until standard input ends."""
    memory_limit_bytes, cpu_limit_s = int(sys.argv[1]), int(sys.argv[2])
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up between the replies
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_limit_bytes)
    answers = Answers()
    while (request := _read(source)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_limit_s)
        status, body = answers.answer(*request)
        sink.write(REPLY.pack(status, len(body)) + body)
        sink.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a soft limit; a system that does not know it (macOS and RLIMIT_AS) goes without."""
    try:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (OSError, ValueError):
        pass


def _read(source: BinaryIO) -> tuple[int, int, bytes] | None:
    """(what is asked for, width, media), or None at the end."""
    header = source.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return None
    kind, width, size = REQUEST.unpack(header)
    assert size <= MAX_MEDIA_SIZE, "the server checks"
    return kind, width, source.read(size)


class Answers:
    """Answers requests; what decodes sound is loaded when it is asked for."""

    def __init__(self) -> None:
        self._sound: SoundDecoder | None = None
        self._windows = msgspec.msgpack.Decoder(list[Window])

    def answer(self, kind: int, width: int, media: bytes) -> tuple[int, bytes]:
        try:
            return STATUS_DONE, self._levels(media) if kind == ASK_LEVELS else decode(media, width)
        except Exception as error:  # any: FFmpeg's errors are many, and this process is the fence around them
            return STATUS_NOTHING, f"{type(error).__name__}: {error}"[:200].encode()

    def _levels(self, body: bytes) -> bytes:
        if self._sound is None:
            from headwater.pipeline.sound_decoder import SoundDecoder

            self._sound = SoundDecoder()
        return msgspec.msgpack.encode(self._sound.levels(self._windows.decode(body)))


def decode(media: bytes, width: int) -> bytes:
    """The first picture of an init segment and a fragment, as JPEG.

    Raises:
        av.FFmpegError, ValueError, MemoryError: there is none.
    """
    import av  # here, so that a process whose limits are too low for it still answers

    with av.open(io.BytesIO(media), mode="r", format="mp4") as container:
        if not container.streams.video:
            raise ValueError("no video")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1  # one picture: more threads only take memory
        stream.codec_context.skip_frame = "NONKEY"
        for frame in container.decode(stream):
            pixel = stream.codec_context.sample_aspect_ratio
            shown_width = int(frame.width * pixel) if pixel else frame.width
            width = min(width, shown_width)
            height = max(2, round(width * frame.height / shown_width))
            to_image: Any = frame.to_image  # without types in PyAV
            image: Image.Image = to_image(width=width, height=height)
            picture = io.BytesIO()
            image.save(picture, "JPEG", quality=JPEG_QUALITY)
            return picture.getvalue()
    raise ValueError("no key frame")


if __name__ == "__main__":
    main()
