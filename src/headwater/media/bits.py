"""Reads bit fields from a short byte string, big end first; never past its end."""

from __future__ import annotations

from headwater.errors import ProtocolError

MAX_BITS_BYTES = 4096
"""Longest string that is read by bits: parameter sets are some 30 to 200 bytes; each read costs time in the length."""

_MAX_EXP_GOLOMB_ZEROS = 32
"""H.264 and HEVC allow values up to 2^32 - 2 (9.1), thus 32 leading zeros."""


class BitReader:
    """Fixed-length and Exp-Golomb fields (ITU-T H.264, 7.2 and 9.1).

    Raises:
        ProtocolError: from every read that would pass the end.
    """

    __slots__ = ("_left", "_value", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        """Read from `data`; `what` names it in errors."""
        if len(data) > MAX_BITS_BYTES:
            raise ProtocolError(f"{what} is {len(data)} bytes long; at most {MAX_BITS_BYTES} are read")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8
        self._what = what

    @property
    def bits_left(self) -> int:
        return self._left

    def u(self, count: int) -> int:
        """An unsigned field of `count` bits; 0 bits are 0."""
        self._left -= count
        if self._left < 0:
            raise ProtocolError(f"{self._what} ends too early")
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return self.u(1) == 1

    def ue(self) -> int:
        """An unsigned Exp-Golomb value."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _MAX_EXP_GOLOMB_ZEROS:
                raise ProtocolError(f"{self._what} holds an Exp-Golomb code of more than 32 bits")
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """A signed Exp-Golomb value."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def skip_ue(self, count: int) -> None:
        for _ in range(count):
            self.ue()


def without_emulation_prevention(nal: bytes) -> bytes:
    """The RBSP of a NAL unit: each 00 00 03 becomes 00 00 (ITU-T H.264, 7.4.1).

    `bytes.replace` goes on behind each 03, as the clause wants: in 00 00 03 00 00 03 both go.
    """
    return nal.replace(b"\x00\x00\x03", b"\x00\x00")
