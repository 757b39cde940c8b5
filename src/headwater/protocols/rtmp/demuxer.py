"""The chunk stream, read: bytes in, whole messages out (RTMP 1.0, 5.3).

    chunk:  basic header (1, 2, 3) | message header (11, 7, 3, 0) | extended timestamp (0, 4) | data (up to the chunk
        size)

Work is done per message, never per chunk. Between the chunks of one message stand type-3 headers, all alike, at equal
distances; if nothing is interleaved they are compared with one strided slice and deleted with another. Where the
compare stops early, the chunks before that place are taken in one piece and the next header is read on its own: the
general case is the same code, cut at a smaller place.

       |<- chunk size ->|H|<- chunk size ->|H|<- rest ->|        region[chunk_size::stride] == H H

Set Chunk Size and Abort are applied here; every other message is handed out in order of its last byte.
"""

from __future__ import annotations

import struct
from typing import Final

from headwater.errors import ProtocolError
from headwater.protocols.rtmp.messages import ABORT, DEFAULT_CHUNK_SIZE, SET_CHUNK_SIZE, Message

_MESSAGE_HEADER_SIZE: Final = (11, 7, 3, 0)
_TIMESTAMP: Final = struct.Struct(">HB")
_LENGTH_AND_TYPE: Final = struct.Struct(">HBB")
_EXTENDED: Final = bytes(4)
_NOTHING: Final[list[Message]] = []


class _ChunkStream:
    """What later headers of one chunk stream leave out."""

    __slots__ = ("delta", "extended", "length", "marker", "pending", "stream_id", "timestamp", "type_id")

    def __init__(self, marker: bytes) -> None:
        self.marker = marker
        """Basic header of its type-3 chunks."""
        self.timestamp = 0
        self.delta = 0
        """The timestamp field of the last header that had one: absolute (type 0) or a difference (types 1 and 2). A
        message that begins with a type-3 header adds it in either case (5.3.1.2.4); ffmpeg counts on that."""
        self.extended = b""
        """The four bytes of the extended timestamp, empty if the last header had none."""
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.pending: bytearray | None = None
        """What has come of a message that others interrupted."""


class Demuxer:
    """Reassembles messages.

    Attributes:
        max_message: Longest message taken, bytes; may be raised later on. Unfinished messages together are held to it
            too.
        chunk_size: What the peer announced last.
    """

    __slots__ = (
        "_buffer",
        "_checked",
        "_current",
        "_max_chunk_streams",
        "_min_chunk_size",
        "_need",
        "_pending_bytes",
        "_streams",
        "chunk_size",
        "max_message",
    )

    def __init__(self, *, max_message: int, max_chunk_streams: int = 64, min_chunk_size: int = 1) -> None:
        self.max_message = max_message
        self.chunk_size = DEFAULT_CHUNK_SIZE
        self._max_chunk_streams = max_chunk_streams
        self._min_chunk_size = min_chunk_size
        self._streams: dict[int, _ChunkStream] = {}
        self._buffer = bytearray()
        self._need = 0
        self._current: _ChunkStream | None = None
        self._pending_bytes = 0
        self._checked = 0
        """Headers of the current message that were compared while it was not whole: each is looked at once."""

    def feed(self, data: bytes) -> list[Message]:
        """Take bytes, cut anywhere; return the messages that they complete.

        Raises:
            ProtocolError: the bytes break the protocol or a limit; the demuxer is of no use afterwards.
        """
        buffer = self._buffer
        if not buffer:
            messages: list[Message] = []
            position = self._parse(data, messages)
            if position < len(data):
                buffer += data[position:]
            return messages
        buffer += data
        if len(buffer) < self._need:
            return _NOTHING
        messages = []
        position = self._parse(buffer, messages)
        del buffer[:position]
        return messages

    def _parse(self, buf: bytes | bytearray, messages: list[Message]) -> int:
        """Read on from the start of `buf`; return how far it is used up, having set `_need` if there is a rest."""
        position = 0
        end = len(buf)
        while position < end:
            stream = self._current
            if stream is None:
                position_after = self._read_header(buf, position, end)
                if position_after < 0:
                    break
                position = position_after
                stream = self._current
                assert stream is not None
            left = stream.length if stream.pending is None else stream.length - len(stream.pending)
            if left <= self.chunk_size:
                if left > end - position:
                    self._need = left
                    break
                payload = buf[position : position + left]
                position += left
                if stream.pending is None and stream.type_id > ABORT:  # most messages: in short
                    self._current = None
                    messages.append((stream.type_id, stream.stream_id, stream.timestamp, bytes(payload)))
                    continue
            else:
                size, payload = self._take_chunks(buf, position, end, stream, left)
                if size == 0:
                    break
                position += size
                if len(payload) < left:
                    self._interrupt(stream, payload)
                    continue
            self._finish(stream, payload, messages)
        return position

    def _read_header(self, buf: bytes | bytearray, start: int, end: int) -> int:
        """Read a basic and a message header (5.3.1); return the position behind, or -1 for: more is needed."""
        head = buf[start]
        position = start + 1
        number = head & 63
        if number < 2:
            position += number + 1
            if position > end:
                self._need = position - start
                return -1
            number = 64 + int.from_bytes(buf[start + 1 : position], "little")
        form = head >> 6
        stream = self._streams.get(number)
        if stream is None:
            stream = self._open(number, form, bytes((head | 0xC0,)) + buf[start + 1 : position])
        fields = position
        position += _MESSAGE_HEADER_SIZE[form]
        if position > end:
            self._need = position - start
            return -1
        if form == 3:
            field, extended = stream.delta, stream.extended
        else:
            high, low = _TIMESTAMP.unpack_from(buf, fields)
            field = high << 8 | low
            extended = b"" if field != 0xFFFFFF else _EXTENDED
        if extended:
            value = bytes(buf[position : position + 4])
            if form != 3:
                if len(value) < 4:
                    self._need = position + 4 - start
                    return -1
                extended = value
                field = int.from_bytes(value, "big")
                position += 4
            elif value == extended:
                position += 4
            elif extended.startswith(value):
                self._need = position + 4 - start
                return -1
            # else: an encoder that leaves it out of type-3 chunks
        self._current = stream
        if stream.pending is not None:
            if form == 3:
                return position
            self._drop(stream)  # a new message begins: the one under way is given up
        stream.extended = extended
        stream.delta = field
        if form == 0:
            stream.timestamp = field
            stream.stream_id = int.from_bytes(buf[fields + 7 : fields + 11], "little")
        else:
            stream.timestamp = (stream.timestamp + field) & 0xFFFFFFFF
        if form < 2:
            high, low, stream.type_id = _LENGTH_AND_TYPE.unpack_from(buf, fields + 3)
            stream.length = high << 8 | low
            if stream.length > self.max_message:
                raise ProtocolError(f"message of {stream.length} bytes, {self.max_message} are allowed (max_message)")
        return position

    def _open(self, number: int, form: int, marker: bytes) -> _ChunkStream:
        # Some encoders begin with type 1 for what would be stream id 0 and timestamp 0.
        if form > 1:
            raise ProtocolError(f"chunk stream {number} begins with a type-{form} header")
        if len(self._streams) >= self._max_chunk_streams:
            raise ProtocolError(f"more than {self._max_chunk_streams} chunk streams (max_chunk_streams)")
        stream = self._streams[number] = _ChunkStream(marker)
        return stream

    def _take_chunks(
        self, buf: bytes | bytearray, start: int, end: int, stream: _ChunkStream, left: int
    ) -> tuple[int, bytes | bytearray]:
        """Take as many whole chunks of the message as stand in a row.

        Args:
            left: Bytes that the message still lacks; more than one chunk.

        Returns:
            How many bytes of `buf` are used up (0: more is needed, see `_need`), and the data without headers: all that
            was left, or what stands before another chunk stream's chunk.
        """
        chunk_size = self.chunk_size
        header = stream.marker
        if stream.extended:
            first = start + chunk_size + len(header)
            seen = bytes(buf[first : first + 4])
            if seen == stream.extended:
                header += stream.extended
            elif stream.extended.startswith(seen):  # not decided yet whether the encoder repeats it
                self._need = first + 4 - start
                return 0, b""
        stride = chunk_size + len(header)
        total = left + (left - 1) // chunk_size * len(header)
        stop = start + total
        if stop > end:
            stop = end
        chunks = (left - 1) // chunk_size  # the last one, which no header follows, is not counted
        checked = self._checked
        seen_whole = 0
        for column in range(len(header)):
            headers = buf[start + checked * stride + chunk_size + column : stop : stride]
            seen_whole = len(headers)
            same = len(headers) - len(headers.lstrip(header[column : column + 1]))
            if same < len(headers):
                # Another header stands behind chunk `same`: that chunk is the last in the row.
                chunks = min(chunks, checked + same)
                total = chunks * stride + chunk_size
        if start + total > end:
            # Wait up to the next header, so that an interleaved message is not held up by this one.
            self._need = min(total, (end - start) // stride * stride + stride)
            self._checked = checked + seen_whole
            return 0, b""
        self._checked = 0
        region = bytearray(memoryview(buf)[start : start + total])
        for width in range(stride, chunk_size, -1):
            del region[chunk_size::width]
        return total, region

    def _interrupt(self, stream: _ChunkStream, piece: bytes | bytearray) -> None:
        """Keep the first chunks of a message while others come between."""
        self._pending_bytes += len(piece)
        if self._pending_bytes > self.max_message:
            raise ProtocolError(f"unfinished messages of more than {self.max_message} bytes (max_message)")
        if stream.pending is None:
            stream.pending = bytearray()
        stream.pending += piece
        self._current = None

    def _drop(self, stream: _ChunkStream) -> None:
        if stream.pending is not None:
            self._pending_bytes -= len(stream.pending)
            stream.pending = None

    def _finish(self, stream: _ChunkStream, payload: bytes | bytearray, messages: list[Message]) -> None:
        self._current = None
        if stream.pending is not None:
            payload = stream.pending + payload
            self._drop(stream)
        if stream.type_id > ABORT:
            messages.append((stream.type_id, stream.stream_id, stream.timestamp, bytes(payload)))
            return
        if len(payload) < 4:
            raise ProtocolError(f"control message {stream.type_id} of {len(payload)} bytes")
        value = int.from_bytes(payload[:4], "big")
        if stream.type_id == SET_CHUNK_SIZE:
            self._set_chunk_size(value)
        elif stream.type_id == ABORT and value in self._streams:
            self._drop(self._streams[value])

    def _set_chunk_size(self, size: int) -> None:
        """Apply Set Chunk Size (5.4.1): 1 to 0x7FFFFFFF; more than the longest message is no different from it."""
        if not self._min_chunk_size <= size <= 0x7FFFFFFF:
            raise ProtocolError(f"chunk size {size}; at least {self._min_chunk_size} is wanted (min_chunk_size)")
        self.chunk_size = min(size, 0xFFFFFF)
