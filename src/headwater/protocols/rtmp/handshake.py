"""The handshake, plain and with digests (RTMP 1.0, 5.2; the digest form is Adobe's later addition, known from
practice).

    client                     server
    C0 (1)  C1 (1536)  ─────►
                       ◄─────  S0 (1)  S1 (1536)  S2 (1536)
    C2 (1536)          ─────►

A client that gives a version in C1 may have hidden an HMAC-SHA256 in it and expects one in S1 and S2; one with zeros
gets the plain form. C2 is read and not compared: encoders differ in what they echo, and nothing depends on it.
"""

from __future__ import annotations

import hashlib
import hmac

from headwater.errors import ProtocolError

VERSION = 3
PACKET_SIZE = 1536
RANDOM_SIZE = PACKET_SIZE - 8
"""Random bytes that each side needs."""

_SECRET = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
_PLAYER_KEY = b"Genuine Adobe Flash Player 001"
_SERVER_KEY = b"Genuine Adobe Flash Media Server 001"
_DIGEST_SIZE = 32
_SERVER_VERSION = bytes((4, 5, 0, 1))


_FOREIGN = {
    21: "that is TLS: is it rtmps:// that goes there?",
    22: "that is TLS: is it rtmps:// that goes there?",
    **dict.fromkeys(b"CDGHOPT", "that is HTTP: is it the port of the HTTP server?"),
}
"""What the first byte is of, where it is no version: a TLS alert or hello; an HTTP answer or a method."""


class NotRtmp(ProtocolError):
    """The peer speaks another protocol, or a version that nobody speaks: to try again does not help."""


def _not_rtmp(said: str, version: int) -> NotRtmp:
    hint = _FOREIGN.get(version)
    return NotRtmp(f"{said} ({hint})" if hint else said)


class ServerHandshake:
    """The server's side: `receive` until it returns bytes that follow the handshake."""

    __slots__ = ("_answered", "_buffer", "_random", "output")

    def __init__(self, random: bytes) -> None:
        assert len(random) == RANDOM_SIZE
        self._random = random
        self._buffer = bytearray()
        self._answered = False
        self.output = b""
        """What is to be sent; whoever sends it clears it."""

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes; return what follows C2 (maybe nothing) once that is whole, else None.

        Raises:
            NotRtmp: C0 names another version; the encrypted forms (6, 8, 9) are not spoken.
        """
        buffer = self._buffer
        buffer += data
        if buffer and not self._answered and buffer[0] != VERSION:
            raise _not_rtmp(f"RTMP version {buffer[0]}, only {VERSION} is spoken here", buffer[0])
        if not self._answered and len(buffer) > PACKET_SIZE:
            self.output = bytes((VERSION,)) + self._answer(bytes(buffer[1 : 1 + PACKET_SIZE]))
            self._answered = True
        if len(buffer) < 1 + 2 * PACKET_SIZE:
            return None
        return bytes(buffer[1 + 2 * PACKET_SIZE :])

    def _answer(self, c1: bytes) -> bytes:
        """S1 and S2."""
        place = _find_digest(c1, _PLAYER_KEY) if c1[4:8] != b"\0\0\0\0" else None
        if place is None:
            return b"\0\0\0\0\0\0\0\0" + self._random + c1
        base, position = place
        s1 = _sign(b"\0\0\0\0" + _SERVER_VERSION + self._random, base, _SERVER_KEY)
        key = _hmac(_SERVER_KEY + _SECRET, c1[position : position + _DIGEST_SIZE])
        filler = self._random[::-1] + self._random[:8]
        s2 = filler[: PACKET_SIZE - _DIGEST_SIZE]
        return s1 + s2 + _hmac(key, s2)


class ClientHandshake:
    """The client's side, in the plain form, which every server accepts."""

    __slots__ = ("_buffer", "output")

    def __init__(self, random: bytes) -> None:
        assert len(random) == RANDOM_SIZE
        self._buffer = bytearray()
        self.output = bytes((VERSION,)) + bytes(8) + random

    def receive(self, data: bytes) -> bytes | None:
        """Take bytes; return what follows S2 once that is whole, else None; C2 is then in `output`."""
        buffer = self._buffer
        buffer += data
        if buffer and buffer[0] != VERSION:
            raise _not_rtmp(f"the server answered with RTMP version {buffer[0]}", buffer[0])
        if len(buffer) < 1 + 2 * PACKET_SIZE:
            return None
        self.output += bytes(buffer[1 : 1 + PACKET_SIZE])
        return bytes(buffer[1 + 2 * PACKET_SIZE :])


def _find_digest(packet: bytes, key: bytes) -> tuple[int, int] | None:
    """Where the digest stands that proves `key`: the base of its scheme, and its position; None if there is none."""
    for base in (772, 8):
        position = _digest_position(packet, base)
        expected = _hmac(key, packet[:position] + packet[position + _DIGEST_SIZE :])
        if hmac.compare_digest(expected, packet[position : position + _DIGEST_SIZE]):
            return base, position
    return None


def _digest_position(packet: bytes, base: int) -> int:
    return base + 4 + sum(packet[base : base + 4]) % 728


def _sign(packet: bytes, base: int, key: bytes) -> bytes:
    """Put the digest of `packet` into it, by the scheme with this base."""
    position = _digest_position(packet, base)
    head, tail = packet[:position], packet[position + _DIGEST_SIZE :]
    return head + _hmac(key, head + tail) + tail


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()
