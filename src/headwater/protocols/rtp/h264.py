"""H.264 in RTP (RFC 6184), packetization mode 1: single NAL units, STAP-A, FU-A.

Access units have the form of ISO BMFF on this side: each NAL unit behind its length in four bytes, without parameter
sets, delimiters and filler. Parameter sets stand in a decoder configuration record (avcC), which the depacketizer
makes of those that came, in band or in the session description, and the packetizer sends before each key frame.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence

from headwater.errors import ProtocolError
from headwater.media.bits import BitReader, without_emulation_prevention
from headwater.media.parameter_sets import parameter_sets
from headwater.media.track import Codec, VideoConfig
from headwater.protocols.rtp.packet import Packet
from headwater.protocols.rtp.unit import Continuity, Unit

CLOCK_RATE = 90_000

MAX_UNIT_BYTES = 4 * 1024 * 1024
"""Longest access unit put together: a key frame of 4K at 60 Mbit/s is about 2 MB."""

MAX_NALS = 1024
"""NAL units in one access unit: encoders that cut slices to the packet's size make some hundred."""

MAX_PARAMETER_SETS = 32
"""SPS kept, and PPS kept: the count of SPS in an avcC has five bits; encoders send one of each."""

MAX_PARAMETER_SET_BYTES = 1024
"""Of one: they are 10 to 100 bytes."""

MAX_SPROP_CHARACTERS = 8192
"""Of `sprop-parameter-sets` in a session description."""

_IDR, _SEI, _SPS, _PPS, _DELIMITER, _FILLER = 5, 6, 7, 8, 9, 12
_STAP_A, _FU_A = 24, 28
_PROFILES_WITH_FORMAT = frozenset((100, 110, 122, 144))
_START_CODE = b"\0\0\0\1"


class Depacketizer:
    """Packets in order (behind a `JitterBuffer`) in, access units out."""

    __slots__ = (
        "_continuity", "_damaged", "_fragment", "_has_sets", "_in_band", "_lost", "_nals", "_pps", "_record", "_size",
        "_sps", "_stamp",
    )  # fmt: skip

    def __init__(self, sprop_parameter_sets: str = "") -> None:
        """`sprop_parameter_sets` as the session description has it (RFC 6184, 8.1).

        Raises:
            ProtocolError: it is broken.
        """
        self._continuity = Continuity()
        self._sps: dict[int, bytes] = {}
        self._pps: dict[int, bytes] = {}
        self._record: bytes | None = None
        self._stamp = -1
        self._nals: list[bytes] = []
        self._fragment: bytearray | None = None
        self._size = 0
        self._damaged = self._lost = False
        self._in_band = self._has_sets = False  # key frames so far had parameter sets before them; this one has
        for nal in read_sprop(sprop_parameter_sets):
            self._keep(nal)

    @property
    def record(self) -> bytes | None:
        """The avcC payload of the parameter sets that came last; None until an SPS and a PPS came."""
        if self._record is None and self._sps and self._pps:
            self._record = build_avcc(list(self._sps.values()), list(self._pps.values()))
        return self._record

    def push(self, packet: Packet) -> Sequence[Unit]:
        """Take the next packet; returns the access units that it ends: none or one, rarely two.

        Raises:
            ProtocolError: the packet is broken; what it belongs to will come as incomplete, the next may be pushed.
        """
        lost = self._continuity.lost_before(packet.sequence)
        ended: tuple[Unit, ...] = ()
        if packet.timestamp != self._stamp:
            # What was lost may have been its end, or the beginning of the next, or both.
            ended = self._finish(whole=not lost)
            self._stamp = packet.timestamp
        elif lost:
            self._damaged = True
        if lost:
            self._lost = True
            self._fragment = None
        try:
            if packet.payload:
                self._take(packet.payload)
        except ProtocolError:
            self._damaged, self._fragment = True, None
            raise
        return (*ended, *self._finish(whole=True)) if packet.marker else ended

    def _take(self, payload: bytes) -> None:
        kind = payload[0] & 31
        if kind == _FU_A:
            self._take_fragment(payload)
            return
        if self._fragment is not None:  # its end never came
            self._fragment, self._damaged = None, True
        if 1 <= kind <= 23:
            self._add(payload)
        elif kind == _STAP_A:
            for nal in _split(payload):
                self._add(nal)
        else:
            raise ProtocolError(
                f"H.264 payload structure {kind}; packetization mode 1 has single NAL units, STAP-A and FU-A"
            )

    def _take_fragment(self, payload: bytes) -> None:
        """FU-A (5.8): indicator, then start bit, end bit, reserved bit and the NAL unit's type."""
        if len(payload) < 3:
            raise ProtocolError("H.264 FU-A without a fragment")
        header = payload[1]
        if header & 0x80:
            if self._fragment is not None:
                self._damaged = True
            self._fragment = bytearray((payload[0] & 0xE0 | header & 31,))
        fragment = self._fragment
        if fragment is None:
            self._damaged = True  # its start is lost
            return
        fragment += payload[2:]
        if self._size + len(fragment) > MAX_UNIT_BYTES:
            raise ProtocolError(f"H.264 access unit of more than {MAX_UNIT_BYTES} bytes")
        if header & 0x40:
            self._fragment = None
            self._add(bytes(fragment))

    def _add(self, nal: bytes) -> None:
        kind = nal[0] & 31
        if kind in (_SPS, _PPS):
            self._keep(nal)
            self._has_sets = self._has_sets or kind == _SPS
            return
        if kind in (_DELIMITER, _FILLER):
            return
        self._size += 4 + len(nal)
        if self._size > MAX_UNIT_BYTES or len(self._nals) >= MAX_NALS:
            raise ProtocolError(f"H.264 access unit of more than {MAX_UNIT_BYTES} bytes or {MAX_NALS} NAL units")
        self._nals.append(nal)

    def _keep(self, nal: bytes) -> None:
        """A parameter set: the last one of each number counts."""
        if not 4 <= len(nal) <= MAX_PARAMETER_SET_BYTES and not (nal[0] & 31 == _PPS and len(nal) > 1):
            raise ProtocolError(f"H.264 parameter set of {len(nal)} bytes; it has at most {MAX_PARAMETER_SET_BYTES}")
        is_sps = nal[0] & 31 == _SPS
        sets = self._sps if is_sps else self._pps
        head = without_emulation_prevention(nal[1:20])
        number = BitReader(head[3:] if is_sps else head, "H.264 parameter set").ue()
        if sets.get(number) == nal:
            return
        if number not in sets and len(sets) >= MAX_PARAMETER_SETS:
            raise ProtocolError(f"more than {MAX_PARAMETER_SETS} H.264 parameter sets of a kind")
        sets[number] = bytes(nal)
        self._record = None

    def _finish(self, *, whole: bool) -> tuple[Unit, ...]:
        """The access unit that has been collected, if it has a picture."""
        nals, damaged, lost = self._nals, self._damaged or not whole or self._fragment is not None, self._lost
        if not nals:
            self._damaged = False
            self._fragment = None
            self._lost = lost or damaged
            return ()
        has_sets, self._has_sets = self._has_sets, False
        self._nals, self._size, self._damaged, self._lost, self._fragment = [], 0, False, damaged, None
        first = next((nal for nal in nals if 1 <= nal[0] & 31 <= _IDR), None)
        if first is None:  # only SEI
            self._lost = lost or damaged
            return ()
        # first_mb_in_slice is 0 in the first slice of a picture: one bit, set.
        damaged = damaged or len(first) < 2 or not first[1] & 0x80
        is_idr = first[0] & 31 == _IDR
        if is_idr and lost and self._in_band and not has_sets:
            damaged = True  # its parameter sets are lost, and may have been others
        self._in_band = self._in_band or (is_idr and has_sets)
        key = is_idr and self.record is not None
        payload = b"".join([part for nal in nals for part in (len(nal).to_bytes(4, "big"), nal)])
        self._lost = damaged
        return (Unit(self._stamp, key, not damaged, lost or damaged, payload),)


class Packetizer:
    """Access units in, payloads of packets out; the last one is to carry the marker."""

    __slots__ = ("_max_payload", "_sets")

    def __init__(self, max_payload: int = 1200) -> None:
        """`max_payload`: bytes; 1200 fits every path with room for SRTP, UDP, IP and tunnels."""
        self._max_payload = max_payload
        self._sets: tuple[bytes, ...] = ()

    def configure(self, record: bytes) -> None:
        """The decoder configuration record whose parameter sets are sent before each key frame.

        Raises:
            ProtocolError: it is broken.
        """
        self._sets = tuple(split_nals(parameter_sets(VideoConfig(Codec.H264, record, 0, 0, ""))))

    def packetize(self, payload: bytes, *, key: bool) -> list[bytes]:
        """The payloads of one access unit, each within `max_payload`; small NAL units travel together.

        Args:
            payload: NAL units behind their lengths in four bytes.
            key: Send the parameter sets first.

        Raises:
            ProtocolError: the lengths do not fit.
        """
        out: list[bytes] = []
        small: list[bytes] = []
        small_bytes = 1
        for nal in (*(self._sets if key else ()), *split_nals(payload)):
            if not nal or nal[0] & 31 in (_DELIMITER, _FILLER):
                continue
            if small and small_bytes + 2 + len(nal) > self._max_payload:
                out.append(_together(small))
                small, small_bytes = [], 1
            if len(nal) > self._max_payload:
                out += self._fragments(nal)
            else:
                small.append(nal)
                small_bytes += 2 + len(nal)
        if small:
            out.append(_together(small))
        return out

    def _fragments(self, nal: bytes) -> Iterator[bytes]:
        """FU-A, of about the same size each."""
        size = self._max_payload - 2
        count = -(-(len(nal) - 1) // size)
        size = -(-(len(nal) - 1) // count)
        indicator, kind = nal[0] & 0xE0 | _FU_A, nal[0] & 31
        for at in range(1, len(nal), size):
            header = kind | (0x80 if at == 1 else 0) | (0x40 if at + size >= len(nal) else 0)
            yield b"%c%c%b" % (indicator, header, nal[at : at + size])


def split_nals(payload: bytes) -> Iterator[bytes]:
    """The NAL units of an access unit as ISO BMFF stores it.

    Raises:
        ProtocolError: the lengths do not fit.
    """
    at, end = 0, len(payload)
    while at < end:
        size = int.from_bytes(payload[at : at + 4], "big")
        at += 4
        if at + size > end:
            raise ProtocolError("an H.264 access unit ends within a NAL unit")
        yield payload[at : at + size]
        at += size


def annex_b(payload: bytes, record: bytes | None = None) -> bytes:
    """The access unit with start codes, as decoders take it; behind the parameter sets of `record` if given.

    Raises:
        ProtocolError: the lengths do not fit.
    """
    sets = parameter_sets(VideoConfig(Codec.H264, record, 0, 0, "")) if record else b""
    return b"".join([_START_CODE + nal for part in (sets, payload) for nal in split_nals(part)])


def read_sprop(value: str) -> list[bytes]:
    """The NAL units of `sprop-parameter-sets`: base64, with commas between (RFC 6184, 8.1).

    Raises:
        ProtocolError: it is broken.
    """
    if len(value) > MAX_SPROP_CHARACTERS:
        raise ProtocolError(f"sprop-parameter-sets of {len(value)} characters; at most {MAX_SPROP_CHARACTERS}")
    try:
        nals = [binascii.a2b_base64(part, strict_mode=True) for part in value.split(",") if part]
    except (binascii.Error, ValueError):
        raise ProtocolError("sprop-parameter-sets that is no base64") from None
    return [nal for nal in nals if nal and nal[0] & 31 in (_SPS, _PPS)]


def build_avcc(sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """The payload of an avcC (ISO/IEC 14496-15, 5.3.3.1.2) for NAL unit lengths of four bytes.

    Raises:
        ProtocolError: the first SPS is broken, or there are too many sets.
    """
    if not 1 <= len(sps) <= 31 or not 1 <= len(pps) <= 255 or len(sps[0]) < 4:
        raise ProtocolError(f"{len(sps)} SPS and {len(pps)} PPS; an avcC has 1 to 31 and 1 to 255")
    record = bytearray((1, *sps[0][1:4], 0xFF, 0xE0 | len(sps)))
    for nal in sps:
        record += len(nal).to_bytes(2, "big") + nal
    record.append(len(pps))
    for nal in pps:
        record += len(nal).to_bytes(2, "big") + nal
    if sps[0][1] in _PROFILES_WITH_FORMAT:
        record += _format_of(sps[0])
    return bytes(record)


def _format_of(sps: bytes) -> bytes:
    """Chroma format and bit depths, which the record of the high profiles repeats; no SPS extensions."""
    bits = BitReader(without_emulation_prevention(sps[4:]), "H.264 SPS")
    bits.ue()  # seq_parameter_set_id
    chroma = bits.ue()
    if chroma == 3:
        bits.flag()
    luma_depth, chroma_depth = bits.ue(), bits.ue()
    return bytes((0xFC | chroma & 3, 0xF8 | luma_depth & 7, 0xF8 | chroma_depth & 7, 0))


def _split(payload: bytes) -> Iterator[bytes]:
    """STAP-A (5.7.1): each NAL unit behind its length in two bytes."""
    at, end = 1, len(payload)
    while at < end:
        size = int.from_bytes(payload[at : at + 2], "big")
        at += 2
        if not 0 < size <= end - at:
            raise ProtocolError("H.264 STAP-A ends within a NAL unit")
        yield payload[at : at + size]
        at += size


def _together(nals: list[bytes]) -> bytes:
    """One packet of NAL units: as it is if it is one, else a STAP-A with the highest reference number of them."""
    if len(nals) == 1:
        return nals[0]
    header = max(nal[0] & 0x60 for nal in nals) | _STAP_A
    parts = [bytes((header,))]
    for nal in nals:
        parts += (len(nal).to_bytes(2, "big"), nal)
    return b"".join(parts)
