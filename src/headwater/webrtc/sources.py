"""Whose packet is it? By its source; by mid or payload type where the offer did not name that (RFC 9143, 9.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from headwater.webrtc.media import MID, Section
from headwater.webrtc.rtx import header_bytes

_ONE_BYTE = 0xBEDE
_TWO_BYTES = 0x1000


class Sources:
    """The sections of a peer that we receive, by the sources of their packets.

    Attributes:
        sections: As agreed; a section's ssrc is filled in when its first packet has come.
    """

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = tuple(sections)
        self._by_ssrc: dict[bytes, Section] = {}
        for section in self.sections:
            self._route(section)

    def find(self, packet: bytes) -> Section | None:
        """The section of a decrypted RTP packet; None: nothing that was agreed."""
        found = self._by_ssrc.get(packet[8:12])
        return self._learn(packet) if found is None else found

    def _route(self, section: Section) -> None:
        if section.direction != "recvonly":
            return
        for ssrc in (section.ssrc, section.rtx_ssrc):
            if ssrc is not None:
                self._by_ssrc[ssrc.to_bytes(4, "big")] = section

    def _learn(self, packet: bytes) -> Section | None:
        section = self._by_mid(packet) or self._by_payload_type(packet[1] & 0x7F)
        if section is None or section.codec is None:
            return None
        number, ssrc = packet[1] & 0x7F, int.from_bytes(packet[8:12], "big")
        if number == section.codec.payload_type:
            known = replace(section, ssrc=ssrc)
        elif number == section.codec.rtx_payload_type:
            known = replace(section, rtx_ssrc=ssrc)
        else:
            return None
        self.sections = tuple(known if each.mid == known.mid else each for each in self.sections)
        self._by_ssrc = {key: value for key, value in self._by_ssrc.items() if value.mid != known.mid}
        self._route(known)
        return known

    def _by_mid(self, packet: bytes) -> Section | None:
        for section in self.sections:
            number = section.extensions.get(MID)
            if section.direction == "recvonly" and number is not None:
                value = extension(packet, number)
                if value is not None and value == section.mid.encode():
                    return section
        return None

    def _by_payload_type(self, number: int) -> Section | None:
        """Only where it says which: payload types may be the same in two sections."""
        found = [
            each
            for each in self.sections
            if each.direction == "recvonly"
            and each.codec is not None
            and number in (each.codec.payload_type, each.codec.rtx_payload_type)
        ]
        return found[0] if len(found) == 1 else None


def extension(packet: bytes, number: int) -> bytes | None:
    """The value of a header extension (RFC 8285, 4.2 and 4.3), or None. For the first packets of a source only."""
    if not packet[0] & 0x10:
        return None
    at = 12 + 4 * (packet[0] & 0x0F) + 4
    profile, end = int.from_bytes(packet[at - 4 : at - 2], "big"), header_bytes(packet)
    while at < end:
        if packet[at] == 0:
            at += 1  # padding
            continue
        if profile == _ONE_BYTE:
            found, size, at = packet[at] >> 4, (packet[at] & 0x0F) + 1, at + 1
            if found == 15:
                return None
        elif profile & 0xFFF0 == _TWO_BYTES and at + 1 < end:
            found, size, at = packet[at], packet[at + 1], at + 2
        else:
            return None
        if found == number:
            return packet[at : at + size] if at + size <= end else None
        at += size
    return None
