"""Action Message Format 0: the values inside RTMP commands and FLV script data.

In: bytes of a stranger. Out: None, bool, float, str, dict, list, `Date`, `TypedObject`; and back to bytes, with
    `EcmaArray` for the marker that onMetaData wants. The limits (`MAX_DEPTH`, `MAX_ENTRIES`, see amf3) bound what one
    message can make us build. Deliberately absent: recordsets and movie clips, which the format itself reserves.

Source: Action Message Format AMF 0, Adobe Systems, 2007; section numbers are its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import TypeVar

from headwater.errors import ProtocolError
from headwater.protocols import amf3
from headwater.protocols.amf3 import MAX_DEPTH, MAX_ENTRIES, Date, TypedObject

NUMBER, BOOLEAN, STRING, OBJECT, MOVIE_CLIP, NULL, UNDEFINED, REFERENCE, ECMA_ARRAY, OBJECT_END = range(10)
STRICT_ARRAY, DATE, LONG_STRING, UNSUPPORTED, RECORD_SET, XML_DOCUMENT, TYPED_OBJECT, AVMPLUS = range(10, 18)

_Members = TypeVar("_Members", bound=dict[str, object])

_DOUBLE = struct.Struct(">d")
_DATE = struct.Struct(">dh")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")


class EcmaArray(dict[str, object]):
    """An associative array (2.10): a dict that is written with the ECMA array marker."""


def decode_all(data: bytes) -> list[object]:
    """Decode values until the bytes end (the form of RTMP commands and of FLV script data).

    Raises:
        ProtocolError: for anything that is not whole, well-formed AMF0, and for a limit.
    """
    decoder = Decoder(data)
    values: list[object] = []
    while not decoder.at_end:
        values.append(decoder.value())
    return values


def encode_all(*values: object) -> bytes:
    """Encode values one after another; a TypeError says which one has no AMF0 form."""
    out = bytearray()
    for value in values:
        _encode(value, out)
    return bytes(out)


class Decoder:
    """Reads AMF0 values one by one; `position` stands behind the last one."""

    __slots__ = ("_entries", "_references", "data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._entries = 0
        self._references: list[object] = []

    @property
    def at_end(self) -> bool:
        return self.position >= len(self.data)

    def value(self, depth: int = 0) -> object:
        """The next value.

        Raises:
            ProtocolError: it is cut short, malformed, nested deeper than MAX_DEPTH, or one of more than MAX_ENTRIES.
        """
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise ProtocolError(f"AMF0: more than {MAX_ENTRIES} values in one message")
        if depth > MAX_DEPTH:
            raise ProtocolError(f"AMF0: nested deeper than {MAX_DEPTH}")
        marker = self._take(1)[0]
        simple = _SIMPLE.get(marker)
        if simple is not None:
            return simple(self)
        container = _CONTAINERS.get(marker)
        if container is not None:
            return container(self, depth + 1)
        raise ProtocolError(f"AMF0: marker {marker} is reserved or unknown")

    def _take(self, size: int) -> bytes:
        start = self.position
        end = start + size
        if end > len(self.data):
            raise ProtocolError("AMF0: cut short")
        self.position = end
        return self.data[start:end]

    def _number(self) -> float:
        number: float = _DOUBLE.unpack(self._take(8))[0]
        return number

    def _boolean(self) -> bool:
        return self._take(1) != b"\0"

    def _string(self) -> str:
        return self._utf8(_U16.unpack(self._take(2))[0])

    def _long_string(self) -> str:
        return self._utf8(_U32.unpack(self._take(4))[0])

    def _utf8(self, size: int) -> str:
        # Encoders send names in local encodings now and then; a wrong character is no reason to refuse a publisher.
        return self._take(size).decode("utf-8", "replace")

    def _null(self) -> None:
        return None

    def _reference(self) -> object:
        index = _U16.unpack(self._take(2))[0]
        if index >= len(self._references):
            raise ProtocolError("AMF0: reference to an object that was not sent")
        return self._references[index]

    def _date(self) -> Date:
        milliseconds, zone = _DATE.unpack(self._take(10))
        return Date(milliseconds, zone)

    def _avmplus(self) -> object:
        value, self.position = amf3.decode(self.data, self.position)
        return value

    def _object(self, depth: int) -> dict[str, object]:
        return self._members({}, depth)

    def _ecma_array(self, depth: int) -> EcmaArray:
        # The count is advisory: encoders send 0 or guesses, and the end marker decides (as every reader does it).
        self._take(4)
        return self._members(EcmaArray(), depth)

    def _typed_object(self, depth: int) -> TypedObject:
        return self._members(TypedObject(self._string()), depth)

    def _members(self, into: _Members, depth: int) -> _Members:
        """Read name and value pairs up to the end marker (2.5)."""
        self._references.append(into)
        while True:
            size = _U16.unpack(self._take(2))[0]
            if size == 0 and self.data[self.position : self.position + 1] == b"\x09":
                self.position += 1
                return into
            name = self._utf8(size)
            into[name] = self.value(depth)

    def _strict_array(self, depth: int) -> list[object]:
        count = _U32.unpack(self._take(4))[0]
        if count > len(self.data) - self.position:  # each value takes a byte or more
            raise ProtocolError("AMF0: strict array longer than its message")
        values: list[object] = []
        self._references.append(values)
        values.extend(self.value(depth) for _ in range(count))
        return values


_SIMPLE: dict[int, Callable[[Decoder], object]] = {
    NUMBER: Decoder._number,
    BOOLEAN: Decoder._boolean,
    STRING: Decoder._string,
    NULL: Decoder._null,
    UNDEFINED: Decoder._null,
    UNSUPPORTED: Decoder._null,
    REFERENCE: Decoder._reference,
    DATE: Decoder._date,
    LONG_STRING: Decoder._long_string,
    XML_DOCUMENT: Decoder._long_string,
    AVMPLUS: Decoder._avmplus,
}
_CONTAINERS: dict[int, Callable[[Decoder, int], object]] = {
    OBJECT: Decoder._object,
    ECMA_ARRAY: Decoder._ecma_array,
    STRICT_ARRAY: Decoder._strict_array,
    TYPED_OBJECT: Decoder._typed_object,
}


def _encode(value: object, out: bytearray) -> None:
    if value is None:
        out.append(NULL)
    elif isinstance(value, bool):
        out += bytes((BOOLEAN, value))
    elif isinstance(value, int | float):
        out.append(NUMBER)
        out += _DOUBLE.pack(value)
    elif isinstance(value, str):
        _encode_string(value, out)
    elif isinstance(value, Date):
        out.append(DATE)
        out += _DATE.pack(value.milliseconds, value.zone_minutes)
    elif isinstance(value, Mapping):
        _encode_mapping(value, out)
    elif isinstance(value, list | tuple):
        out.append(STRICT_ARRAY)
        out += _U32.pack(len(value))
        for item in value:
            _encode(item, out)
    else:
        raise TypeError(f"{type(value).__name__} has no AMF0 form")


def _encode_string(value: str, out: bytearray) -> None:
    data = value.encode("utf-8", "replace")
    if len(data) <= 0xFFFF:
        out.append(STRING)
        out += _U16.pack(len(data))
    else:
        out.append(LONG_STRING)
        out += _U32.pack(len(data))
    out += data


def _encode_mapping(value: Mapping[str, object], out: bytearray) -> None:
    if isinstance(value, TypedObject):
        out.append(TYPED_OBJECT)
        out += _key(value.class_name)
    elif isinstance(value, EcmaArray):
        out.append(ECMA_ARRAY)
        out += _U32.pack(len(value))
    else:
        out.append(OBJECT)
    for key, member in value.items():
        out += _key(key)
        _encode(member, out)
    out += b"\0\0\x09"


def _key(key: str) -> bytes:
    data = key.encode("utf-8", "replace")
    if len(data) > 0xFFFF:
        raise TypeError("an AMF0 member name holds 65535 bytes at most")
    return _U16.pack(len(data)) + data
