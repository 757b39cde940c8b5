"""Action Message Format 3: values behind AMF0's avmplus marker, as Flash-era encoders may send them.

In: bytes of a stranger. Out: None, bool, int, float, str, bytes, dict, list, `Date`, `TypedObject`. Decoding only: we
answer in AMF0, which every RTMP publisher reads. Deliberately absent: externalizable classes, whose bytes only their
class can read; they are a ProtocolError.

Source: Action Message Format AMF 3, Adobe Systems, 2013; section numbers are its own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from headwater.errors import ProtocolError

MAX_DEPTH = 16
"""Nested containers. Commands and metadata nest two or three deep; the stack of the interpreter holds many times
this."""

MAX_ENTRIES = 2048
"""Values in one message. The largest onMetaData seen holds some 60; a key-frame index of a file a few hundred."""

UNDEFINED, NULL, FALSE, TRUE, INTEGER, DOUBLE, STRING, XML_DOCUMENT, DATE, ARRAY = range(10)
OBJECT, XML, BYTE_ARRAY, VECTOR_INT, VECTOR_UINT, VECTOR_DOUBLE, VECTOR_OBJECT, DICTIONARY = range(10, 18)

_T = TypeVar("_T")
_DOUBLE = struct.Struct(">d")


class Date(NamedTuple):
    """Milliseconds since the Unix epoch; the zone is reserved and should be 0."""

    milliseconds: float
    zone_minutes: int = 0


class TypedObject(dict[str, object]):
    """An object that names its class."""

    __slots__ = ("class_name",)

    def __init__(self, class_name: str) -> None:
        super().__init__()
        self.class_name = class_name


class _Traits(NamedTuple):
    class_name: str
    dynamic: bool
    members: tuple[str, ...]


def decode(data: bytes, position: int = 0) -> tuple[object, int]:
    """Decode one value.

    Args:
        data: Holds the value; references count from `position`, as each avmplus value has its own tables.
        position: Where its marker stands.

    Returns:
        The value and the position behind it.

    Raises:
        ProtocolError: it is cut short, malformed, or breaks MAX_DEPTH or MAX_ENTRIES.
    """
    decoder = _Decoder(data, position)
    value = decoder.value(0)
    return value, decoder.position


class _Decoder:
    __slots__ = ("_entries", "_objects", "_strings", "_traits", "data", "position")

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position
        self._entries = 0
        self._strings: list[str] = []
        self._objects: list[object] = []
        self._traits: list[_Traits] = []

    def value(self, depth: int) -> object:
        self._count()
        if depth > MAX_DEPTH:
            raise ProtocolError(f"AMF3: nested deeper than {MAX_DEPTH}")
        marker = self._take(1)[0]
        if marker <= TRUE:
            return (None, None, False, True)[marker]
        reader = _READERS.get(marker)
        if reader is None:
            raise ProtocolError(f"AMF3: unknown marker {marker}")
        return reader(self, depth + 1)

    def _count(self) -> None:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise ProtocolError(f"AMF3: more than {MAX_ENTRIES} values in one message")

    def _take(self, size: int) -> bytes:
        start = self.position
        end = start + size
        if end > len(self.data):
            raise ProtocolError("AMF3: cut short")
        self.position = end
        return self.data[start:end]

    def _u29(self) -> int:
        """A variable-length unsigned integer of 29 bits (1.3.1)."""
        value = 0
        for _ in range(3):
            byte = self._take(1)[0]
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value
        return value << 8 | self._take(1)[0]

    def _integer(self, _: int) -> int:
        value = self._u29()
        return value - (1 << 29) if value >= 1 << 28 else value

    def _double(self, _: int) -> float:
        number: float = _DOUBLE.unpack(self._take(8))[0]
        return number

    def _string(self, _: int = 0) -> str:
        header = self._u29()
        if header & 1 == 0:
            return _lookup(self._strings, header >> 1)
        text = self._take(header >> 1).decode("utf-8", "replace")
        if text:  # the empty string is never sent by reference (1.3.2)
            self._strings.append(text)
        return text

    def _reference(self) -> tuple[object, int, bool]:
        """The head of every object type: a reference to an earlier one, or a size."""
        header = self._u29()
        if header & 1 == 0:
            return _lookup(self._objects, header >> 1), 0, True
        return None, header >> 1, False

    def _xml(self, _: int) -> object:
        known, size, found = self._reference()
        return known if found else self._remember(self._take(size).decode("utf-8", "replace"))

    def _bytes(self, _: int) -> object:
        known, size, found = self._reference()
        return known if found else self._remember(self._take(size))

    def _date(self, _: int) -> object:
        known, _size, found = self._reference()
        return known if found else self._remember(Date(_DOUBLE.unpack(self._take(8))[0]))

    def _remember(self, value: object) -> object:
        self._objects.append(value)
        return value

    def _array(self, depth: int) -> object:
        """Associative members up to an empty name, then the dense ones (3.11); the dense alone become a list."""
        known, size, found = self._reference()
        if found:
            return known
        dense: list[object] = []
        index = len(self._objects)
        self._objects.append(dense)
        members: dict[str, object] = {}
        while name := self._string():
            members[name] = self.value(depth)
        self._check_size(size, 1)
        dense.extend(self.value(depth) for _ in range(size))
        if not members:
            return dense
        members.update((str(number), value) for number, value in enumerate(dense))
        self._objects[index] = members
        return members

    def _object(self, depth: int) -> object:
        known, header, found = self._reference()
        if found:
            return known
        traits = self._read_traits(header)
        members: dict[str, object] = TypedObject(traits.class_name) if traits.class_name else {}
        self._objects.append(members)
        for name in traits.members:
            members[name] = self.value(depth)
        while traits.dynamic and (name := self._string()):
            members[name] = self.value(depth)
        return members

    def _read_traits(self, header: int) -> _Traits:
        """Class name and sealed members (3.12); `header` is the U29 without its lowest bit."""
        if header & 1 == 0:
            return _lookup(self._traits, header >> 1)
        if header & 2:
            raise ProtocolError("AMF3: externalizable object")
        size = header >> 3
        self._check_size(size, 1)
        class_name = self._string()
        traits = _Traits(class_name, bool(header & 4), tuple(self._string() for _ in range(size)))
        self._traits.append(traits)
        return traits

    def _vector(self, item_format: str) -> object:
        known, size, found = self._reference()
        if found:
            return known
        self._take(1)  # fixed-length flag
        item = struct.Struct(item_format)
        self._check_size(size, item.size)
        return self._remember([number for (number,) in item.iter_unpack(self._take(size * item.size))])

    def _vector_int(self, _: int) -> object:
        return self._vector(">i")

    def _vector_uint(self, _: int) -> object:
        return self._vector(">I")

    def _vector_double(self, _: int) -> object:
        return self._vector(">d")

    def _vector_object(self, depth: int) -> object:
        known, size, found = self._reference()
        if found:
            return known
        self._take(1)
        self._string()  # class name of the items; they name their own
        self._check_size(size, 1)
        items: list[object] = []
        self._objects.append(items)
        items.extend(self.value(depth) for _ in range(size))
        return items

    def _dictionary(self, depth: int) -> object:
        known, size, found = self._reference()
        if found:
            return known
        self._take(1)  # weak-keys flag
        self._check_size(size, 2)
        members: dict[str, object] = {}
        self._objects.append(members)
        for _ in range(size):
            key = self.value(depth)
            if not isinstance(key, str | int | float):
                raise ProtocolError("AMF3: dictionary key that is no string and no number")
            members[str(key)] = self.value(depth)
        return members

    def _check_size(self, count: int, item_size: int) -> None:
        """Refuse a count that the remaining bytes cannot hold, or that MAX_ENTRIES forbids, before anything is
        built."""
        if count * item_size > len(self.data) - self.position:
            raise ProtocolError("AMF3: more items than the message holds")
        if count > MAX_ENTRIES:
            raise ProtocolError(f"AMF3: more than {MAX_ENTRIES} values in one message")


_READERS: dict[int, Callable[[_Decoder, int], object]] = {
    INTEGER: _Decoder._integer,
    DOUBLE: _Decoder._double,
    STRING: _Decoder._string,
    XML_DOCUMENT: _Decoder._xml,
    DATE: _Decoder._date,
    ARRAY: _Decoder._array,
    OBJECT: _Decoder._object,
    XML: _Decoder._xml,
    BYTE_ARRAY: _Decoder._bytes,
    VECTOR_INT: _Decoder._vector_int,
    VECTOR_UINT: _Decoder._vector_uint,
    VECTOR_DOUBLE: _Decoder._vector_double,
    VECTOR_OBJECT: _Decoder._vector_object,
    DICTIONARY: _Decoder._dictionary,
}


def _lookup(table: list[_T], index: int) -> _T:
    if index >= len(table):
        raise ProtocolError("AMF3: reference to something that was not sent")
    return table[index]
