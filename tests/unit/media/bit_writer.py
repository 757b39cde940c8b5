"""Writes bit fields, for parameter sets that no encoder here makes."""

from __future__ import annotations


class BitWriter:
    def __init__(self) -> None:
        self.bits: list[str] = []

    def u(self, count: int, value: int) -> BitWriter:
        if count:
            self.bits.append(f"{value:0{count}b}")
        return self

    def ue(self, *values: int) -> BitWriter:
        for value in values:
            code = f"{value + 1:b}"
            self.bits.append("0" * (len(code) - 1) + code)
        return self

    def se(self, *values: int) -> BitWriter:
        return self.ue(*(2 * value - 1 if value > 0 else -2 * value for value in values))

    def bytes(self, *, stop: bool = True) -> bytes:
        """With the stop bit of an RBSP, filled up to whole bytes."""
        text = "".join(self.bits) + ("1" if stop else "")
        text += "0" * (-len(text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big") if text else b""


def with_emulation_prevention(rbsp: bytes) -> bytes:
    """ITU-T H.264, 7.4.1: 03 stands in front of a byte below 4 that follows two zeros."""
    out, zeros = bytearray(), 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        zeros = zeros + 1 if byte == 0 else 0
        out.append(byte)
    return bytes(out)
