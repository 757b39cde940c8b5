"""A plain reading of RTMP 1.0, 5.3, chunk by chunk, to hold the demuxer against; and a writer of every header form."""

from __future__ import annotations

from dataclasses import dataclass


def basic_header(form: int, number: int) -> bytes:
    """5.3.1.1, in the shortest form that holds the number (2 to 65599)."""
    if number < 64:
        return bytes((form << 6 | number,))
    if number < 320:
        return bytes((form << 6, number - 64))
    return bytes((form << 6 | 1,)) + (number - 64).to_bytes(2, "little")


@dataclass
class Written:
    """One message to be written, and how."""

    number: int
    type_id: int
    stream_id: int
    timestamp: int
    payload: bytes


class ChunkWriter:
    """Writes messages with the shortest header that fits (as ffmpeg does) or always type 0, whole or chunk by chunk."""

    def __init__(self, chunk_size: int, *, compress: bool = True, type3_extended: bool = True) -> None:
        self.chunk_size = chunk_size
        self.compress = compress
        self.type3_extended = type3_extended
        self._last: dict[int, tuple[Written, int]] = {}

    def chunks(self, message: Written) -> list[bytes]:
        """The chunks of one message, in order; others may be put between them."""
        head, extended = self._header(message)
        size = self.chunk_size
        pieces = [message.payload[start : start + size] for start in range(0, len(message.payload), size)] or [b""]
        rest = basic_header(3, message.number) + (extended if self.type3_extended else b"")
        return [head + pieces[0], *(rest + piece for piece in pieces[1:])]

    def _header(self, message: Written) -> tuple[bytes, bytes]:
        form, field = 0, message.timestamp
        known = self._last.get(message.number)
        if known and self.compress and known[0].stream_id == message.stream_id:
            last, last_field = known
            delta = (message.timestamp - last.timestamp) & 0xFFFFFFFF
            if delta < 0x80000000:
                same = (last.type_id, len(last.payload)) == (message.type_id, len(message.payload))
                form, field = (2 if same else 1), delta
                if same and delta == last_field:
                    form = 3
        self._last[message.number] = (message, field)
        extended = field.to_bytes(4, "big") if field >= 0xFFFFFF else b""
        head = basic_header(form, message.number)
        if form < 3:
            head += b"\xff\xff\xff" if extended else field.to_bytes(3, "big")
        if form < 2:
            head += len(message.payload).to_bytes(3, "big") + bytes((message.type_id,))
        if form == 0:
            head += message.stream_id.to_bytes(4, "little")
        return head + (extended if form < 3 or self.type3_extended else b""), extended
