"""From lines to what the other side can do (RFC 8829, 5.8): its sections, codecs and transport."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.protocols.sdp.description import Description, MediaDescription, parse
from headwater.protocols.sdp.errors import NotServed, SdpError

Setup: TypeAlias = Literal["actpass", "active", "passive"]

MAX_FORMATS = 128
"""Payload types of one section: they have seven bits."""
MAX_EXTENSIONS = 64
"""Browsers offer some 14 a section."""
MAX_SOURCES = 64
"""`a=ssrc` of one section: two a track, some more with simulcast."""
HASHES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
"""Fingerprints that we check, and their bytes; RFC 8122, 5 has left the older ones behind."""

_PROTOCOLS = frozenset({"UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/SAVP", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF", "RTP/SAVP"})
"""Means DTLS-SRTP in all of them (RFC 8829, 5.1.2)."""
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_ICE_CHARS = re.compile(r"[A-Za-z0-9+/\-_=]+")
"""RFC 8839, 5.4 allows ALPHA, DIGIT, `+` and `/`; some clients write the URL-safe ones of base64."""
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class OfferedCodec:
    """One payload type of a section.

    Attributes:
        name: As offered: `H264`, `opus`, `rtx` ...; compare without case.
        parameters: `a=fmtp`; names in lower case.
        feedback: `a=rtcp-fb`, with those for every payload type.
    """

    payload_type: int
    name: str
    clock_rate: int
    channels: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    feedback: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class OfferedSection:
    """One m= section.

    Attributes:
        kind: `audio`, `video`, or what we refuse: `application` ...
        direction: Theirs.
        codecs: In their order of preference.
        retransmits: RTX payload types by the one that they repeat (RFC 4588, 8.6).
        ssrc: The first source; None: not said.
        rtx_ssrc: Its retransmissions' (`a=ssrc-group:FID`).
        extensions: URI to id.
        wanted: False: it was refused before, or can only be a rejected one.
    """

    mid: str
    kind: str
    protocol: str
    formats: tuple[str, ...]
    direction: str
    codecs: tuple[OfferedCodec, ...] = ()
    retransmits: Mapping[int, int] = field(default_factory=dict)
    ssrc: int | None = None
    rtx_ssrc: int | None = None
    extensions: Mapping[str, int] = field(default_factory=dict)
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class Offer:
    """What was offered.

    Attributes:
        ice_ufrag: Of the section that the others are bundled with.
        fingerprints: Hash name and digest; the certificate has to match one.
        setup: Who opens DTLS: `passive` asks us to.
        mixed_extensions: `a=extmap-allow-mixed` (RFC 8285, 6) was offered.
    """

    sections: tuple[OfferedSection, ...]
    ice_ufrag: str
    fingerprints: tuple[tuple[str, bytes], ...]
    setup: Setup
    mixed_extensions: bool


def read_offer(text: str) -> Offer:
    """Read an offer.

    Raises:
        SdpError: it cannot be read, or lacks what WebRTC needs: credentials, fingerprint, names of sections.
        NotServed: it wants separate transports, another keying than DTLS, or has nothing but refused sections.
    """
    description = parse(text)
    sections = tuple(_section(each) for each in description.sections)
    media = [
        (section, lines)
        for section, lines in zip(sections, description.sections, strict=True)
        if section.wanted and section.kind in ("audio", "video")
    ]
    if not media:
        raise NotServed(
            "the offer has no audio or video section: add a track or a transceiver before the offer is made"
        )
    _check_bundle(description, [section for section, _ in media])
    for section, lines in media:
        if lines.first("rtcp-mux") is None:
            raise NotServed(f"section {section.mid or '0'} lacks a=rtcp-mux: RTP and RTCP share one port here")
    tagged = media[0][1]
    return Offer(
        sections,
        ice_ufrag=credentials(_either(description, tagged, "ice-ufrag"), _either(description, tagged, "ice-pwd")),
        fingerprints=_fingerprints(description, tagged),
        setup=_setup(_either(description, tagged, "setup")),
        mixed_extensions=description.first("extmap-allow-mixed") is not None,
    )


def credentials(ufrag: str | None, password: str | None) -> str:
    """Check an ICE user name fragment and password (RFC 8839, 5.4), give the fragment.

    Raises:
        SdpError: one is missing or out of its bounds.
    """
    if ufrag is None or password is None:
        raise SdpError("a=ice-ufrag or a=ice-pwd is missing: media is found by ICE alone")
    if not (4 <= len(ufrag) <= 256 and 22 <= len(password) <= 256):
        raise SdpError("a=ice-ufrag has 4 to 256 characters, a=ice-pwd 22 to 256 (RFC 8839, 5.4)")
    if not (_ICE_CHARS.fullmatch(ufrag) and _ICE_CHARS.fullmatch(password)):
        raise SdpError("a=ice-ufrag or a=ice-pwd holds characters that RFC 8839 does not allow")
    return ufrag


def _check_bundle(description: Description, media: list[OfferedSection]) -> None:
    mids = [section.mid for section in media]
    if len(media) > 1:
        bundled = set[str]()
        for group in description.all("group"):
            words = group.split()
            if words and words[0] == "BUNDLE":
                bundled.update(words[1:])
        missing = [mid for mid in mids if not mid or mid not in bundled]
        if missing:
            raise NotServed(
                "the offer's sections are not all in a=group:BUNDLE: everything goes over one port here "
                "(RFC 8843); with a browser, set bundlePolicy to max-bundle"
            )
    if len(set(mids)) < len(mids):
        raise SdpError("two sections have the same a=mid")


def _either(description: Description, section: MediaDescription, name: str) -> str | None:
    found = section.first(name)
    return description.first(name) if found is None else found


def _fingerprints(description: Description, section: MediaDescription) -> tuple[tuple[str, bytes], ...]:
    lines = list(section.all("fingerprint")) or list(description.all("fingerprint"))
    if not lines:
        raise NotServed("the offer has no a=fingerprint: media is keyed by DTLS alone (RFC 8827), not by a=crypto")
    found = []
    for line in lines[:MAX_SOURCES]:
        name, _, text = line.partition(" ")
        size = HASHES.get(name.lower())
        if size is None:
            continue
        try:
            digest = bytes.fromhex(text.strip().replace(":", ""))
        except ValueError:
            digest = b""
        if len(digest) != size:
            raise SdpError(f"a=fingerprint:{name} has no {size} bytes in hexadecimal")
        found.append((name.lower(), digest))
    if not found:
        raise NotServed(f"none of the offer's fingerprints can be checked; known are {', '.join(HASHES)}")
    return tuple(found)


def _setup(value: str | None) -> Setup:
    if value is None:
        return "active"  # RFC 4145, 4: what is not said by who offers
    if value not in ("actpass", "active", "passive"):
        raise SdpError(f"a=setup:{value[:20]} opens no DTLS; offer a=setup:actpass (RFC 8842, 5.2)")
    return value  # type: ignore[return-value]  # one of the three


def _section(lines: MediaDescription) -> OfferedSection:
    mid = lines.first("mid") or ""
    if mid and not _TOKEN.fullmatch(mid):
        raise SdpError("a=mid is not a token of 1 to 64 characters (RFC 5888, 4)")
    wanted = lines.port != 0 or lines.first("bundle-only") is not None
    direction = next((name for name, _ in lines.attributes if name in _DIRECTIONS), "sendrecv")
    if lines.kind not in ("audio", "video") or lines.protocol not in _PROTOCOLS:
        if lines.kind in ("audio", "video") and wanted:
            raise NotServed(f"{lines.protocol[:40]} is not WebRTC's: offer UDP/TLS/RTP/SAVPF (RFC 8834)")
        return OfferedSection(mid, lines.kind, lines.protocol, lines.formats, direction, wanted=False)
    codecs, retransmits = _codecs(lines)
    ssrc, rtx_ssrc = _sources(lines)
    return OfferedSection(
        mid,
        lines.kind,
        lines.protocol,
        lines.formats,
        direction,
        codecs,
        retransmits,
        ssrc,
        rtx_ssrc,
        _extensions(lines),
        wanted,
    )


def _codecs(lines: MediaDescription) -> tuple[tuple[OfferedCodec, ...], Mapping[int, int]]:
    if len(lines.formats) > MAX_FORMATS:
        raise SdpError(f"a section has more than {MAX_FORMATS} payload types")
    maps, parameters, feedback = _by_format(lines, "rtpmap"), _by_format(lines, "fmtp"), _feedback(lines)
    codecs: list[OfferedCodec] = []
    retransmits: dict[int, int] = {}
    for text in lines.formats:
        number = _number(text, 127, "payload type")
        if text not in maps:
            continue  # a static payload type of RFC 3551: nothing that we speak
        words = maps[text].split("/")
        if len(words) < 2:
            raise SdpError(f"a=rtpmap:{text} is not <name>/<clock rate>")
        values = _parameters(parameters.get(text, ""))
        if words[0].lower() == "rtx":
            if values.get("apt", "").isdecimal():
                retransmits.setdefault(_number(values["apt"], 127, "apt"), number)
            continue
        rate = _number(words[1], 2**31, "clock rate")
        channels = _number(words[2], 255, "number of channels") if len(words) > 2 else 1
        offered = feedback.get(text, frozenset()) | feedback.get("*", frozenset())
        codecs.append(OfferedCodec(number, words[0], rate, channels, values, offered))
    return tuple(codecs), retransmits


def _by_format(lines: MediaDescription, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in lines.all(name):
        number, _, rest = value.partition(" ")
        found.setdefault(number, rest.strip())
    return found


def _feedback(lines: MediaDescription) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for value in lines.all("rtcp-fb"):
        number, _, rest = value.partition(" ")
        found.setdefault(number, set()).add(" ".join(rest.split()))
    return {number: frozenset(values) for number, values in found.items()}


def _parameters(text: str) -> dict[str, str]:
    found = {}
    for item in text.split(";"):
        name, equals, value = item.partition("=")
        if equals:
            found[name.strip().lower()] = value.strip()
    return found


def _sources(lines: MediaDescription) -> tuple[int | None, int | None]:
    sources: list[int] = []
    for value in lines.all("ssrc"):
        number = _number(value.partition(" ")[0], 2**32 - 1, "ssrc")
        if number not in sources:
            sources.append(number)
    if len(sources) > MAX_SOURCES:
        raise SdpError(f"a section has more than {MAX_SOURCES} sources (a=ssrc)")
    pairs: dict[int, int] = {}
    for value in lines.all("ssrc-group"):
        words = value.split()
        if len(words) == 3 and words[0] == "FID":
            pairs[_number(words[1], 2**32 - 1, "ssrc")] = _number(words[2], 2**32 - 1, "ssrc")
    ssrc = next((each for each in sources if each not in pairs.values()), None)
    return ssrc, None if ssrc is None else pairs.get(ssrc)


def _extensions(lines: MediaDescription) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in lines.all("extmap"):
        words = value.split()
        if len(words) < 2 or len(found) >= MAX_EXTENSIONS:
            raise SdpError("a=extmap is not <id> <URI>, or there are too many")
        identifier, _, direction = words[0].partition("/")
        if direction in ("", "sendrecv", "sendonly", "recvonly"):
            found.setdefault(words[1], _number(identifier, 4351, "extension's id"))
    return found


def _number(text: str, most: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
        raise SdpError(f"{text[:20]!r} is no {what}")
    return int(text)
