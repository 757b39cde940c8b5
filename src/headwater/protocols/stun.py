"""STUN as ICE needs it (RFC 8489, RFC 8445): messages with short-term credentials. Pure.

     0                   1                   2                   3
    |0 0|   message type (14)   |        length (16), of what follows the header       |
    |                         magic cookie 0x2112A442                                  |
    |                         transaction id (96 bits)                                 |
    | attribute type (16) | length (16) | value, padded with up to 3 bytes to 32 bits  | ...

MESSAGE-INTEGRITY (HMAC-SHA1 of all before it) is the last attribute but FINGERPRINT (CRC-32 of all before it). Absent:
long-term credentials, MESSAGE-INTEGRITY-SHA256, TCP framing: ICE's connectivity checks use none of them.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headwater.errors import ProtocolError

COOKIE = 0x2112A442
HEADER_BYTES = 20
TRANSACTION_BYTES = 12

BINDING_REQUEST = 0x0001
BINDING_INDICATION = 0x0011
BINDING_SUCCESS = 0x0101
BINDING_ERROR = 0x0111

USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
XOR_MAPPED_ADDRESS = 0x0020
PRIORITY = 0x0024
USE_CANDIDATE = 0x0025
SOFTWARE = 0x8022
FINGERPRINT = 0x8028
ICE_CONTROLLED = 0x8029
ICE_CONTROLLING = 0x802A

MAX_MESSAGE_BYTES = 1280
"""RFC 8489, 6.1 wants messages below the path MTU; a check of a browser has 100 to 140 bytes."""
MAX_ATTRIBUTES = 32
"""A check of a browser has 8."""

_UNDERSTOOD = frozenset(
    {USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES, XOR_MAPPED_ADDRESS, PRIORITY, USE_CANDIDATE}
)
_OPTIONAL_FROM = 0x8000
_FINGERPRINT_XOR = 0x5354554E
_INTEGRITY_BYTES = 20
_HEAD = struct.Struct("!HHI")
_ATTRIBUTE = struct.Struct("!HH")
_CRC = struct.Struct("!HHI")


@dataclass(frozen=True, slots=True)
class Message:
    """A STUN message.

    Attributes:
        type: Method and class together: `BINDING_REQUEST` ...
        transaction: 12 bytes; a response has its request's.
        attributes: The first of each type; those that follow MESSAGE-INTEGRITY are ignored (RFC 8489, 14.5).
        covered: What MESSAGE-INTEGRITY covers, its length field as it is meant; None: there is none.
    """

    type: int
    transaction: bytes
    attributes: Mapping[int, bytes]
    covered: bytes | None = None

    def authentic(self, password: bytes) -> bool:
        """Was it sent by who knows the password (RFC 8489, 9.1.3)?"""
        claimed = self.attributes.get(MESSAGE_INTEGRITY)
        if claimed is None or self.covered is None:
            return False
        return hmac.compare_digest(claimed, hmac.digest(password, self.covered, hashlib.sha1))

    def username(self) -> str | None:
        """USERNAME, for ICE `receiver's fragment:sender's fragment` (RFC 8445, 7.2.2); None: absent or not text."""
        try:
            return self.attributes[USERNAME].decode() if USERNAME in self.attributes else None
        except UnicodeDecodeError:
            return None

    def not_understood(self) -> list[int]:
        """Attributes that a receiver must understand and we do not: the answer is error 420."""
        return [kind for kind in self.attributes if kind < _OPTIONAL_FROM and kind not in _UNDERSTOOD]


def is_stun(datagram: bytes) -> bool:
    """Does it look like STUN among what shares the port (RFC 7983; RFC 8489, 5)?"""
    return len(datagram) >= HEADER_BYTES and datagram[0] < 4 and datagram[4:8] == b"\x21\x12\xa4\x42"


def parse(datagram: bytes) -> Message:
    """Read a message and check its FINGERPRINT, where it has one.

    Raises:
        ProtocolError: it is none, is cut short, breaks a limit, or its fingerprint is wrong.
    """
    if not is_stun(datagram) or len(datagram) > MAX_MESSAGE_BYTES:
        raise ProtocolError("not a STUN message, or longer than one may be")
    kind, length, _ = _HEAD.unpack_from(datagram)
    if length % 4 or length != len(datagram) - HEADER_BYTES:
        raise ProtocolError("a STUN message's length is not that of its datagram")
    attributes: dict[int, bytes] = {}
    covered: bytes | None = None
    at, count = HEADER_BYTES, 0
    while at < len(datagram):
        found, size = _ATTRIBUTE.unpack_from(datagram, at)
        value, count = datagram[at + 4 : at + 4 + size], count + 1
        if len(value) < size or count > MAX_ATTRIBUTES:
            raise ProtocolError("a STUN attribute is cut short, or there are too many")
        if found == FINGERPRINT:
            _check_fingerprint(datagram, at, value)
        elif covered is None:
            attributes.setdefault(found, value)
            if found == MESSAGE_INTEGRITY:
                covered = _covered(datagram, at)
        at += 4 + (size + 3) // 4 * 4
    return Message(kind, datagram[8:20], attributes, covered)


def build(
    kind: int, transaction: bytes, attributes: Sequence[tuple[int, bytes]], *, password: bytes | None = None
) -> bytes:
    """Write a message with FINGERPRINT and, given a password, MESSAGE-INTEGRITY."""
    body = b"".join(_ATTRIBUTE.pack(each, len(value)) + value + bytes(-len(value) % 4) for each, value in attributes)
    if password is not None:
        length = len(body) + 4 + _INTEGRITY_BYTES
        covered = _HEAD.pack(kind, length, COOKIE) + transaction + body
        body += _ATTRIBUTE.pack(MESSAGE_INTEGRITY, _INTEGRITY_BYTES) + hmac.digest(password, covered, hashlib.sha1)
    whole = _HEAD.pack(kind, len(body) + 8, COOKIE) + transaction + body
    return whole + _CRC.pack(FINGERPRINT, 4, zlib.crc32(whole) ^ _FINGERPRINT_XOR)


def xor_address(host: str, port: int, transaction: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS (RFC 8489, 14.2).

    Args:
        host: An IPv4 or IPv6 address; a scope (`%eth0`) is dropped, IPv4 in IPv6 becomes IPv4.
    """
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    family, mask = (1, _COOKIE_BYTES) if address.version == 4 else (2, _COOKIE_BYTES + transaction)
    hidden = bytes(a ^ b for a, b in zip(address.packed, mask, strict=True))
    return struct.pack("!BBH", 0, family, port ^ (COOKIE >> 16)) + hidden


def read_xor_address(value: bytes, transaction: bytes) -> tuple[str, int]:
    """Read what `xor_address` wrote.

    Raises:
        ProtocolError: neither an IPv4 nor an IPv6 address.
    """
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        raise ProtocolError("XOR-MAPPED-ADDRESS is no address")
    packed = bytes(a ^ b for a, b in zip(value[4:], (_COOKIE_BYTES + transaction)[: len(value) - 4], strict=True))
    return str(ipaddress.ip_address(packed)), int.from_bytes(value[2:4], "big") ^ (COOKIE >> 16)


def error_code(code: int, reason: str) -> bytes:
    """The value of ERROR-CODE (RFC 8489, 14.8): 400 Bad Request, 487 Role Conflict ..."""
    return struct.pack("!HBB", 0, code // 100, code % 100) + reason.encode()


_COOKIE_BYTES = COOKIE.to_bytes(4, "big")


def _covered(datagram: bytes, at: int) -> bytes:
    """What precedes MESSAGE-INTEGRITY, with the length as if the message ended behind it (RFC 8489, 14.5)."""
    return datagram[:2] + (at - HEADER_BYTES + 4 + _INTEGRITY_BYTES).to_bytes(2, "big") + datagram[4:at]


def _check_fingerprint(datagram: bytes, at: int, value: bytes) -> None:
    expected = (zlib.crc32(datagram[:at]) ^ _FINGERPRINT_XOR).to_bytes(4, "big")
    if at + 8 != len(datagram) or value != expected:
        raise ProtocolError("a STUN message's FINGERPRINT is wrong, or not at its end")
