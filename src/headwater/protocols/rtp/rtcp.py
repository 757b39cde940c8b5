"""RTCP (RFC 3550, 6), its feedback (RFC 4585, RFC 5104) and browsers' bandwidth estimate (REMB).

A compound of some packets, each with the same head:

     0                   1                   2                   3
    |V=2|P|  count  |  packet type  |  its length in words, less 1  |

`parse` gives what is known and passes over the rest; feedback may come alone (RFC 5506). `build` writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from headwater.errors import ProtocolError

MAX_COMPOUND_BYTES = 2048
"""Longest compound taken: it comes in one datagram."""

MAX_PACKETS = 64
"""Packets in a compound: a receiver report, a description, and feedback for some sources are fewer than ten."""

MAX_NACKED = 1024
"""Packets asked for in one NACK: more are a stream that is gone, and a key frame serves better."""

MAX_TEXT_BYTES = 255
"""Of a CNAME or a goodbye's reason: their length is one byte."""

_SR, _RR, _SDES, _BYE, _RTPFB, _PSFB = 200, 201, 202, 203, 205, 206
_NACK, _TRANSPORT_FEEDBACK = 1, 15
_PLI, _FIR, _APPLICATION = 1, 4, 15
_CNAME = 1

_NTP_EPOCH_S = 2_208_988_800  # 1900-01-01 to 1970-01-01


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """What a receiver says of one source (6.4.1).

    Attributes:
        ssrc: The source reported on.
        fraction_lost: Of the packets since the last report, in 256ths.
        lost: Packets lost since the beginning; below 0 with duplicates.
        highest_sequence: Extended: its upper half counts the wraps.
        jitter: Of the interarrival, in the source's clock rate.
        last_sr: Middle 32 bits of the last sender report's NTP time; 0: none came.
        delay: Since that report came, in 65536ths of a second.
    """

    ssrc: int
    fraction_lost: int
    lost: int
    highest_sequence: int
    jitter: int
    last_sr: int = 0
    delay: int = 0


@dataclass(frozen=True, slots=True)
class SenderReport:
    """6.4.1; `ntp` is the 64-bit time at which `timestamp` was or would be sampled."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    """6.4.2."""

    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """The CNAME of one source (SDES, 6.5)."""

    ssrc: int
    cname: str


@dataclass(frozen=True, slots=True)
class Bye:
    """6.6."""

    ssrcs: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Nack:
    """Packets that a receiver misses (RFC 4585, 6.2.1), in the order in which they are named."""

    sender_ssrc: int
    media_ssrc: int
    sequences: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pli:
    """Picture loss: a key frame is wanted (RFC 4585, 6.3.1)."""

    sender_ssrc: int
    media_ssrc: int


@dataclass(frozen=True, slots=True)
class Fir:
    """A key frame is wanted (RFC 5104, 4.3.1): the sources with the number of each command, which repeats keep."""

    sender_ssrc: int
    commands: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Remb:
    """How much a receiver thinks it can take (draft-alvestrand-rmcat-remb-03), bits a second."""

    sender_ssrc: int
    bitrate: int
    ssrcs: tuple[int, ...]


Rtcp: TypeAlias = SenderReport | ReceiverReport | Description | Bye | Nack | Pli | Fir | Remb


def ntp_of(wall_ms: float) -> int:
    """The 64-bit NTP time of milliseconds since the Unix epoch."""
    return (int(wall_ms * 4_294_967.296) + (_NTP_EPOCH_S << 32)) & 0xFFFFFFFFFFFFFFFF


def wall_ms_of(ntp: int) -> float:
    """Milliseconds since the Unix epoch of a 64-bit NTP time."""
    return (ntp - (_NTP_EPOCH_S << 32)) / 4_294_967.296


def middle(ntp: int) -> int:
    """The 32 bits of an NTP time by which a report block names a sender report."""
    return ntp >> 16 & 0xFFFFFFFF


def round_trip_ms(block: ReportBlock, now_ntp: int) -> float | None:
    """What a report block tells of the way there and back (6.4.1); None where it names no sender report."""
    if not block.last_sr:
        return None
    elapsed = (middle(now_ntp) - block.last_sr - block.delay) & 0xFFFFFFFF
    return elapsed / 65.536 if elapsed < 0x80000000 else 0.0


def parse(compound: bytes) -> list[Rtcp]:
    """What a compound says, in order; packets of unknown types are passed over.

    Raises:
        ProtocolError: it is broken.
    """
    if not 4 <= len(compound) <= MAX_COMPOUND_BYTES:
        raise ProtocolError(f"RTCP of {len(compound)} bytes; it has 4 to {MAX_COMPOUND_BYTES}")
    found: list[Rtcp] = []
    at = 0
    for _ in range(MAX_PACKETS):
        if at == len(compound):
            return found
        if at + 4 > len(compound):
            raise ProtocolError("RTCP ends within a packet's head")
        first, kind, words = struct.unpack_from(">BBH", compound, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2:
            raise ProtocolError(f"RTCP of version {first >> 6}; only 2 is known")
        if end > len(compound):
            raise ProtocolError("RTCP ends within a packet")
        body = compound[at + 4 : end]
        if first & 0x20:
            body = _without_padding(body)
        if kind in _PARSERS:
            found += _PARSERS[kind](first & 31, body)
        at = end
    if at != len(compound):
        raise ProtocolError(f"RTCP of more than {MAX_PACKETS} packets")
    return found


def build(*packets: Rtcp) -> bytes:
    """A compound of these packets, in this order; what `parse` reads back."""
    return b"".join(_build(packet) for packet in packets)


# -- reading ------------------------------------------------------------------------------------------------------


def _without_padding(body: bytes) -> bytes:
    padding = body[-1] if body else 0
    if not 1 <= padding <= len(body):
        raise ProtocolError(f"RTCP packet with {padding} bytes of padding in {len(body)}")
    return body[:-padding]


def _need(body: bytes, size: int, what: str) -> None:
    if len(body) < size:
        raise ProtocolError(f"RTCP {what} of {len(body)} bytes; it has at least {size}")


def _parse_sr(count: int, body: bytes) -> Iterable[Rtcp]:
    _need(body, 24 + 24 * count, "sender report")
    ssrc, ntp, timestamp, packets, octets = struct.unpack_from(">IQIII", body)
    return (SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(body, 24, count)),)


def _parse_rr(count: int, body: bytes) -> Iterable[Rtcp]:
    _need(body, 4 + 24 * count, "receiver report")
    return (ReceiverReport(int.from_bytes(body[:4], "big"), _blocks(body, 4, count)),)


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    return tuple(_block(body, at + 24 * index) for index in range(count))


def _block(body: bytes, at: int) -> ReportBlock:
    ssrc, losses, highest, jitter, last_sr, delay = struct.unpack_from(">6I", body, at)
    lost = losses & 0xFFFFFF
    return ReportBlock(
        ssrc, losses >> 24, lost - (1 << 24) if lost & 0x800000 else lost, highest, jitter, last_sr, delay
    )


def _parse_sdes(count: int, body: bytes) -> Iterable[Rtcp]:
    found = []
    at = 0
    for _ in range(count):
        _need(body[at:], 5, "source description")
        ssrc = int.from_bytes(body[at : at + 4], "big")
        at += 4
        while at < len(body) and body[at]:
            _need(body[at:], 2, "source description item")
            end = at + 2 + body[at + 1]
            _need(body, end, "source description")
            if body[at] == _CNAME:
                found.append(Description(ssrc, _text(body[at + 2 : end])))
            at = end
        at += 4 - at % 4  # at least one zero byte, then to the next word
    return found


def _parse_bye(count: int, body: bytes) -> Iterable[Rtcp]:
    _need(body, 4 * count, "goodbye")
    ssrcs = struct.unpack_from(f">{count}I", body)
    rest = body[4 * count :]
    return (Bye(ssrcs, _text(rest[1 : 1 + rest[0]]) if rest else ""),)


def _text(data: bytes) -> str:
    """A stranger's text: no control characters."""
    return "".join(character for character in data.decode("utf-8", "replace") if character.isprintable())


def _parse_transport(count: int, body: bytes) -> Iterable[Rtcp]:
    _need(body, 8, "feedback")
    if count != _NACK:
        return ()
    sender, media = struct.unpack_from(">II", body)
    sequences: list[int] = []
    for at in range(8, len(body) - 3, 4):
        first, following = struct.unpack_from(">HH", body, at)
        sequences.append(first)
        while following:
            low = following & -following
            sequences.append((first + low.bit_length()) & 0xFFFF)
            following ^= low
        if len(sequences) > MAX_NACKED:
            raise ProtocolError(f"NACK for more than {MAX_NACKED} packets")
    return (Nack(sender, media, tuple(sequences)),)


def _parse_payload(count: int, body: bytes) -> Iterable[Rtcp]:
    _need(body, 8, "feedback")
    sender, media = struct.unpack_from(">II", body)
    if count == _PLI:
        return (Pli(sender, media),)
    if count == _FIR:
        commands = tuple(struct.unpack_from(">IB", body, at) for at in range(8, len(body) - 7, 8))
        return (Fir(sender, commands),)
    if count == _APPLICATION and body[8:12] == b"REMB":
        return (_parse_remb(sender, body),)
    return ()


def _parse_remb(sender: int, body: bytes) -> Remb:
    _need(body, 16, "REMB")
    count, mantissa = body[12], int.from_bytes(body[13:16], "big")
    _need(body, 16 + 4 * count, "REMB")
    return Remb(sender, (mantissa & 0x3FFFF) << (mantissa >> 18), struct.unpack_from(f">{count}I", body, 16))


_PARSERS: dict[int, Callable[[int, bytes], Iterable[Rtcp]]] = {
    _SR: _parse_sr,
    _RR: _parse_rr,
    _SDES: _parse_sdes,
    _BYE: _parse_bye,
    _RTPFB: _parse_transport,
    _PSFB: _parse_payload,
}


# -- writing ------------------------------------------------------------------------------------------------------


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0x80 | count, kind, len(body) // 4) + body


def _build(packet: Rtcp) -> bytes:
    match packet:
        case SenderReport():
            head = struct.pack(
                ">IQIII",
                packet.ssrc,
                packet.ntp,
                packet.timestamp,
                packet.packets & 0xFFFFFFFF,
                packet.octets & 0xFFFFFFFF,
            )
            return _packet(_SR, len(packet.blocks), head + _pack_blocks(packet.blocks))
        case ReceiverReport():
            return _packet(_RR, len(packet.blocks), packet.ssrc.to_bytes(4, "big") + _pack_blocks(packet.blocks))
        case Description():
            cname = packet.cname.encode()[:MAX_TEXT_BYTES]
            item = packet.ssrc.to_bytes(4, "big") + bytes((_CNAME, len(cname))) + cname
            return _packet(_SDES, 1, item + bytes(4 - len(item) % 4))
        case Bye():
            return _packet(_BYE, len(packet.ssrcs), _pack_bye(packet))
        case Nack():
            return _packet(_RTPFB, _NACK, _pack_nack(packet))
        case Pli():
            return _packet(_PSFB, _PLI, struct.pack(">II", packet.sender_ssrc, packet.media_ssrc))
        case Fir():
            head = struct.pack(">II", packet.sender_ssrc, 0)
            return _packet(_PSFB, _FIR, head + b"".join(struct.pack(">IB3x", *command) for command in packet.commands))
        case Remb():
            return _packet(_PSFB, _APPLICATION, _pack_remb(packet))


def _pack_blocks(blocks: Sequence[ReportBlock]) -> bytes:
    """At most 31 in a packet: the count has five bits."""
    return b"".join(
        struct.pack(
            ">6I",
            block.ssrc,
            (block.fraction_lost << 24) | (max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF),
            block.highest_sequence,
            block.jitter & 0xFFFFFFFF,
            block.last_sr,
            block.delay & 0xFFFFFFFF,
        )
        for block in blocks
    )


def _pack_bye(packet: Bye) -> bytes:
    body = struct.pack(f">{len(packet.ssrcs)}I", *packet.ssrcs)
    if not packet.reason:
        return body
    reason = packet.reason.encode()[:MAX_TEXT_BYTES]
    body += bytes((len(reason),)) + reason
    return body + bytes(-len(body) % 4)


def _pack_nack(packet: Nack) -> bytes:
    """Each entry names a packet and, by bits, those of the 16 after it that are missed too."""
    body = bytearray(struct.pack(">II", packet.sender_ssrc, packet.media_ssrc))
    first, following = -1, 0
    for sequence in packet.sequences:
        ahead = (sequence - first) & 0xFFFF
        if first >= 0 and 1 <= ahead <= 16:
            following |= 1 << (ahead - 1)
            continue
        if first >= 0:
            body += struct.pack(">HH", first, following)
        first, following = sequence, 0
    if first >= 0:
        body += struct.pack(">HH", first, following)
    return bytes(body)


def _pack_remb(packet: Remb) -> bytes:
    exponent = max(0, packet.bitrate.bit_length() - 18)
    mantissa = packet.bitrate >> exponent
    head = struct.pack(">II4sB", packet.sender_ssrc, 0, b"REMB", len(packet.ssrcs))
    rate = (exponent << 18 | mantissa).to_bytes(3, "big")
    return head + rate + struct.pack(f">{len(packet.ssrcs)}I", *packet.ssrcs)
