"""From text to lines by section (RFC 8866, 5), within limits. What the lines mean: offer.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headwater.protocols.sdp.errors import SdpError

MAX_LINES = 2_000
"""An offer of a browser for one camera has 120 to 250 lines; each further section some 100."""
MAX_LINE_CHARACTERS = 2_000
"""The longest that are sent are candidates and fmtp: some 200."""
MAX_SECTIONS = 32
"""One publisher has two, one viewer of a whole meeting may ask for two a participant."""


@dataclass(frozen=True, slots=True)
class MediaDescription:
    """One m= section.

    Attributes:
        kind: `audio`, `video`, `application` ...
        port: 0: refused or, with `a=bundle-only`, sent with the others.
        protocol: e.g. `UDP/TLS/RTP/SAVPF`.
        formats: Payload types.
        attributes: a= lines, name and value (empty where there is none), in order.
    """

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]

    def all(self, name: str) -> Iterator[str]:
        """The values of an attribute."""
        return (value for found, value in self.attributes if found == name)

    def first(self, name: str) -> str | None:
        """The value of an attribute, or None."""
        return next(self.all(name), None)


@dataclass(frozen=True, slots=True)
class Description:
    """A session description.

    Attributes:
        attributes: a= lines above the first section.
    """

    attributes: tuple[tuple[str, str], ...]
    sections: tuple[MediaDescription, ...]

    def all(self, name: str) -> Iterator[str]:
        """The values of a session attribute."""
        return (value for found, value in self.attributes if found == name)

    def first(self, name: str) -> str | None:
        """The value of a session attribute, or None."""
        return next(self.all(name), None)


def parse(text: str) -> Description:
    """Read a session description. Lines end with CRLF or LF (RFC 8866, 5); unknown ones are passed over.

    Raises:
        SdpError: it is none, has no section, or breaks a limit.
    """
    lines = _lines(text)
    if not lines or lines[0] != ("v", "0"):
        raise SdpError("this is no session description: it does not begin with v=0")
    starts = [index for index, (letter, _) in enumerate(lines) if letter == "m"]
    if not starts:
        raise SdpError("the session description has no m= line: there is nothing to send or receive")
    if len(starts) > MAX_SECTIONS:
        raise SdpError(f"the session description has {len(starts)} m= lines; at most {MAX_SECTIONS} are read")
    ends = [*starts[1:], len(lines)]
    sections = tuple(_section(lines[start:end]) for start, end in zip(starts, ends, strict=True))
    return Description(_attributes(lines[: starts[0]]), sections)


def attribute_lines(text: str) -> tuple[tuple[str, str], ...]:
    """The lines of a fragment (RFC 8840, 9), which has no head: letter and value.

    Raises:
        SdpError: a line is none, or a limit is broken.
    """
    return tuple(_lines(text))


def split_attribute(value: str) -> tuple[str, str]:
    """Name and value of what follows `a=`; names are case-sensitive (RFC 8866, 5.13)."""
    name, _, rest = value.partition(":")
    return name, rest.strip()


def _lines(text: str) -> list[tuple[str, str]]:
    raw = text.split("\n", MAX_LINES + 1)
    if len(raw) > MAX_LINES:
        raise SdpError(f"the session description has more than {MAX_LINES} lines")
    found = []
    for number, line in enumerate((line.rstrip("\r") for line in raw), 1):
        if not line:
            continue
        if len(line) > MAX_LINE_CHARACTERS or "\0" in line or "\r" in line:
            raise SdpError(f"line {number} is longer than {MAX_LINE_CHARACTERS} characters, or holds a NUL or CR")
        if len(line) < 2 or line[1] != "=" or not line[0].isascii() or not line[0].isalpha():
            raise SdpError(f"line {number} does not have the form letter=value")
        found.append((line[0], line[2:]))
    return found


def _attributes(lines: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(split_attribute(value) for letter, value in lines if letter == "a")


def _section(lines: list[tuple[str, str]]) -> MediaDescription:
    words = lines[0][1].split()
    if len(words) < 4:
        raise SdpError(f"m={lines[0][1][:40]} is not m=<media> <port> <protocol> <formats>")
    port = words[1].partition("/")[0]
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise SdpError(f"m={lines[0][1][:40]} has no port")
    return MediaDescription(words[0], int(port), words[2], tuple(words[3:]), _attributes(lines[1:]))
