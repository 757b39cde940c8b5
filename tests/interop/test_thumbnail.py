"""Pictures of what ffmpeg encoded, and of what nobody should have to decode."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from headwater.errors import LimitReached, PublisherError
from headwater.pipeline.origin import thumbnail
from headwater.pipeline.origin.thumbnail import Thumbnailer, ThumbnailSettings
from tests.support import require


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A red picture of 320x240 with pixels of 4:3, as init segment and fragment."""
    path = tmp_path_factory.mktemp("media") / "red.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof"
    source = ["-f", "lavfi", "-i", "color=red:size=320x240:rate=30:duration=0.5,setsar=4/3"]
    encoder = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-bf", "2"]
    subprocess.run(
        [require("ffmpeg"), "-v", "error", *source, *encoder, "-movflags", flags, "-f", "mp4", str(path)], check=True
    )
    data = path.read_bytes()
    moof = data.index(b"moof") - 4
    return data[:moof], data[moof:]


@pytest.fixture
async def thumbnailer() -> AsyncIterator[Thumbnailer]:
    made = Thumbnailer(ThumbnailSettings(timeout_ms=15_000))
    yield made
    await made.stop()


async def test_picture(thumbnailer: Thumbnailer, media: tuple[bytes, bytes]) -> None:
    """A JPEG of the width that was asked for, in the shape that viewers see, of the right colour."""
    with Image.open(io.BytesIO(await thumbnailer.jpeg(*media, width=160))) as picture:
        assert (picture.format, picture.size) == ("JPEG", (160, 90))
        red, green, blue = picture.convert("RGB").getpixel((80, 45))  # type: ignore[misc]
        assert red > 240
        assert green < 15
        assert blue < 15


async def test_never_enlarged(thumbnailer: Thumbnailer, media: tuple[bytes, bytes]) -> None:
    with Image.open(io.BytesIO(await thumbnailer.jpeg(*media, width=100_000))) as picture:
        assert picture.size == (426, 240)


@pytest.mark.parametrize("spoil", ["cut init", "cut fragment", "noise", "nothing"])
async def test_bad_media(thumbnailer: Thumbnailer, media: tuple[bytes, bytes], spoil: str) -> None:
    """Bad media is the publisher's error, and the next picture comes."""
    init, fragment = media
    bad = {
        "cut init": (init[:100], fragment),
        "cut fragment": (init, fragment[:60]),
        "noise": (os.urandom(1000), os.urandom(5000)),
        "nothing": (b"", b""),
    }[spoil]
    with pytest.raises(PublisherError, match="the media yields no picture"):
        await thumbnailer.jpeg(*bad, width=160)
    assert await thumbnailer.jpeg(*media, width=160)


async def test_process_that_dies_is_replaced(thumbnailer: Thumbnailer, media: tuple[bytes, bytes]) -> None:
    await thumbnailer.jpeg(*media, width=160)
    process = thumbnailer._process
    assert process is not None
    process.kill()
    with pytest.raises(PublisherError, match="decoder died"):
        await thumbnailer.jpeg(*media, width=160)
    assert await thumbnailer.jpeg(*media, width=160)


async def test_process_that_hangs_is_killed(media: tuple[bytes, bytes]) -> None:
    """Too slow (here: it cannot even start in time): an error, and no process stays behind."""
    hasty = Thumbnailer(ThumbnailSettings(timeout_ms=20))
    with pytest.raises(PublisherError, match="took too long"):
        await hasty.jpeg(*media, width=160)
    assert hasty._process is None
    await hasty.stop()


async def test_memory_limit(media: tuple[bytes, bytes]) -> None:
    """A process that may not have the memory answers or dies; the server gets an error either way."""
    tight = Thumbnailer(ThumbnailSettings(timeout_ms=15_000, memory_limit_bytes=40 * 1024 * 1024))
    with pytest.raises(PublisherError):
        await tight.jpeg(*media, width=160)
    await tight.stop()


async def test_limits(media: tuple[bytes, bytes]) -> None:
    busy = Thumbnailer(ThumbnailSettings(timeout_ms=15_000, waiting_limit=1))
    with pytest.raises(LimitReached):
        await busy.jpeg(b"", bytes(thumbnail.MAX_MEDIA_SIZE + 1), width=160)
    first = asyncio.create_task(busy.jpeg(*media, width=160))
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await busy.jpeg(*media, width=160)
    assert await first
    await busy.stop()
    with pytest.raises(LimitReached):
        await busy.jpeg(*media, width=160)


async def test_cancelled_in_the_middle(thumbnailer: Thumbnailer, media: tuple[bytes, bytes]) -> None:
    """A caller that goes away does not leave its reply to the next one."""
    task = asyncio.create_task(thumbnailer.jpeg(*media, width=64))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with Image.open(io.BytesIO(await thumbnailer.jpeg(*media, width=160))) as picture:
        assert picture.width == 160


async def test_idle_process_ends(media: tuple[bytes, bytes]) -> None:
    eager = Thumbnailer(ThumbnailSettings(timeout_ms=15_000, idle_ms=0))
    await eager.jpeg(*media, width=160)
    process = eager._process
    assert process is not None
    assert await process.wait() == 0
    assert await eager.jpeg(*media, width=160)
    await eager.stop()


def test_ends_with_the_server(media: tuple[bytes, bytes], tmp_path: Path) -> None:
    """The process of a server that was killed ends by itself."""
    (tmp_path / "init").write_bytes(media[0])
    (tmp_path / "fragment").write_bytes(media[1])
    server = (
        "import asyncio, os, pathlib, sys\n"
        "from headwater.pipeline.origin.thumbnail import *\n"
        "async def main():\n"
        "    t = Thumbnailer(ThumbnailSettings(timeout_ms=15_000))\n"
        "    await t.jpeg(*(pathlib.Path(sys.argv[1], n).read_bytes() for n in ('init', 'fragment')), width=64)\n"
        "    print(t._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", server, str(tmp_path)], capture_output=True, check=False)
    pid = int(done.stdout)
    for _ in range(500):
        if not Path(f"/proc/{pid}/status").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        subprocess.run(["sleep", "0.01"], check=True)
    pytest.fail("the decoding process outlived its server")
