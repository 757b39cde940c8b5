"""The few ISO BMFF boxes that a recording takes apart and puts together (ISO/IEC 14496-12, 4.2).

Init segments and fragments are taken as the packager made them; here they are only cut and joined.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from headwater.errors import ProtocolError

_HEADER = struct.Struct(">I4s")
HEADER_SIZE = _HEADER.size
_LARGE = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Box:
    """Where a box stands: its header from `start`, its body from `body`, up to `end`."""

    kind: bytes
    start: int
    body: int
    end: int


def header(data: bytes, position: int = 0) -> tuple[bytes, int, int]:
    """Read a box header.

    Returns:
        (type, header size, box size); a size of 0 (to the end of the file) is refused, we never write it.

    Raises:
        ProtocolError: not a box header.
    """
    if position + HEADER_SIZE > len(data):
        raise ProtocolError("a box header is cut short")
    size, kind = _HEADER.unpack_from(data, position)
    header_size = HEADER_SIZE
    if size == 1:
        if position + HEADER_SIZE + _LARGE.size > len(data):
            raise ProtocolError("a box header is cut short")
        (size,) = _LARGE.unpack_from(data, position + HEADER_SIZE)
        header_size += _LARGE.size
    if size < header_size:
        raise ProtocolError(f"a box of {size} bytes cannot be")
    return kind, header_size, size


def children(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes that fill data[start:end].

    Raises:
        ProtocolError: one is cut short or reaches beyond `end`.
    """
    position = start
    while position < end:
        kind, header_size, size = header(data, position)
        if position + size > end:
            raise ProtocolError("a box reaches beyond the box that holds it")
        yield Box(kind, position, position + header_size, position + size)
        position += size


def find(data: bytes, path: Sequence[bytes], start: int = 0, end: int | None = None) -> Box:
    """The first box at a path of types.

    Raises:
        ProtocolError: there is none.
    """
    end = len(data) if end is None else end
    found = None
    for kind in path:
        found = next((child for child in children(data, start, end) if child.kind == kind), None)
        if found is None:
            raise ProtocolError(f"there is no {kind.decode('latin-1')} box")
        start, end = found.body, found.end
    assert found is not None, "a path has at least one type"
    return found


def make(kind: bytes, *body: bytes) -> bytes:
    """A box around its body."""
    return _HEADER.pack(HEADER_SIZE + sum(map(len, body)), kind) + b"".join(body)


def edit(data: bytes, path: Sequence[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """`data` (a run of boxes) with the body of the box at `path` changed, and the sizes of those around it."""
    target = find(data, path[:1])
    body = data[target.body : target.end]
    inner = change(body) if len(path) == 1 else edit(body, path[1:], change)
    return data[: target.start] + make(target.kind, inner) + data[target.end :]
