"""A recording's files: their names, reading their bytes, deleting them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headwater.errors import LimitReached, OperatorError

SPRITES = ("sprite.jpg", "sprite.vtt")  # its pictures, beside it

# One read is one segment: 10 s at 50 Mbit/s. A longer one is a mistake, and would be that much memory.
MAX_READ_BYTES = 64 * 1024 * 1024


def index_path(path: Path) -> Path:
    """Where the index of the recording at `path` stands: beside it."""
    return path.with_name(path.name + ".index")


def read_extents(path: Path, extents: Sequence[tuple[int, int]]) -> bytes:
    """Read (offset, size) ranges of a file, joined. Blocks.

    Raises:
        LimitReached: more than `MAX_READ_BYTES`.
        OperatorError: the file cannot be read or ends before.
    """
    if sum(size for _, size in extents) > MAX_READ_BYTES:
        raise LimitReached("MAX_READ_BYTES", f"{path.name}: more than {MAX_READ_BYTES} bytes at once")
    try:
        # Opened anew each time (some microseconds), so that no reader keeps a deleted recording's space.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces = [_read_whole(fd, offset, size) for offset, size in extents]
        finally:
            os.close(fd)
    except OSError as error:
        raise OperatorError(f"{path.name} cannot be read: {error.strerror}") from error
    if any(len(piece) != size for piece, (_, size) in zip(pieces, extents, strict=True)):
        raise OperatorError(f"{path.name} does not hold what is asked for")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _read_whole(fd: int, offset: int, size: int) -> bytes:
    data = os.pread(fd, size, offset)
    while 0 < len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def delete(path: Path) -> None:
    """Delete a recording. Blocks; missing files are no error.

    Raises:
        OperatorError: the file system refuses.
    """
    try:
        index_path(path).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        for name in SPRITES:
            path.with_name(f"{path.name}.{name}").unlink(missing_ok=True)
    except OSError as error:
        raise OperatorError(f"{path.name} cannot be deleted: {error.strerror}") from error
