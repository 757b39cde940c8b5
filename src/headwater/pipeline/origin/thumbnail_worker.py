"""The process that decodes pictures for `Thumbnailer`: requests on standard input, replies on standard output.

    python -m headwater.pipeline.origin.thumbnail_worker MEMORY_BYTES CPU_SECONDS

It knows nothing of the server and has nothing that is worth taking: no files of its own, no sockets, no secrets.
"""

from __future__ import annotations

import io
import os
import resource
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from headwater.pipeline.origin.thumbnail import MAX_MEDIA_SIZE, REPLY, REQUEST, STATUS_JPEG, STATUS_NO_PICTURE

if TYPE_CHECKING:
    from PIL import Image

JPEG_QUALITY = 80


def main() -> None:
    """Answer requests until standard input ends."""
    memory_limit_bytes, cpu_limit_s = int(sys.argv[1]), int(sys.argv[2])
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up between the replies
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, memory_limit_bytes)
    while (request := _read(source)) is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + cpu_limit_s)
        status, body = _answer(*request)
        sink.write(REPLY.pack(status, len(body)) + body)
        sink.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a soft limit; a system that does not know it (macOS and RLIMIT_AS) goes without."""
    try:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (OSError, ValueError):
        pass


def _read(source: BinaryIO) -> tuple[int, bytes] | None:
    """(width, media), or None at the end."""
    header = source.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return None
    width, init_size, fragment_size = REQUEST.unpack(header)
    assert init_size + fragment_size <= MAX_MEDIA_SIZE, "the server checks"
    return width, source.read(init_size + fragment_size)


def _answer(width: int, media: bytes) -> tuple[int, bytes]:
    try:
        return STATUS_JPEG, decode(media, width)
    except Exception as error:  # any: FFmpeg's errors are many, and this process is the fence around them
        return STATUS_NO_PICTURE, f"{type(error).__name__}: {error}"[:200].encode()


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
