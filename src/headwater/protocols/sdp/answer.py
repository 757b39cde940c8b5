"""From what was agreed to the answer's text (RFC 8829, 5.3.1; RFC 9725, 4.3.1): bundled, ICE-lite, DTLS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headwater.protocols.sdp.media import Codec, Outgoing, Section
from headwater.protocols.sdp.negotiation import Agreed
from headwater.protocols.sdp.offer import Offer

PRIORITY = 2_130_706_431
"""Of the first host candidate: type 126, local preference 65,535, component 1 (RFC 8445, 5.1.2.1)."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Our end.

    Attributes:
        session_id: A number of up to 63 bits (RFC 8829, 5.2.1).
        addresses: Address and port of each candidate, the preferred one first; at least one.
        fingerprint: The certificate's SHA-256, 32 bytes.
        active: We open DTLS, because who offers waits.
    """

    session_id: int
    ice_ufrag: str
    ice_pwd: str
    addresses: Sequence[tuple[str, int]]
    fingerprint: bytes
    active: bool = False


def write_answer(offer: Offer, agreed: Sequence[Agreed], transport: Transport) -> str:
    """The answer, with CRLF."""
    return "".join(f"{line}\r\n" for line in _lines(offer, agreed, transport))


def write_fragment(mid: str, kind: str, transport: Transport) -> str:
    """The answer to an ICE restart (RFC 9725, 4.3.3; RFC 8840, 9): new credentials and our candidates."""
    lines = [
        "a=ice-lite",
        f"a=ice-ufrag:{transport.ice_ufrag}",
        f"a=ice-pwd:{transport.ice_pwd}",
        f"m={kind} 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        *_candidates(transport),
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _lines(offer: Offer, agreed: Sequence[Agreed], transport: Transport) -> Iterator[str]:
    version = 6 if ":" in transport.addresses[0][0] else 4
    yield from ("v=0", f"o=- {transport.session_id} 1 IN IP4 127.0.0.1", "s=-", "t=0 0")
    bundled = [each.offered.mid for each in agreed if _stands(each) and each.offered.mid]
    if bundled:
        yield f"a=group:BUNDLE {' '.join(bundled)}"
    yield "a=ice-lite"
    if offer.mixed_extensions:
        yield "a=extmap-allow-mixed"
    yield "a=msid-semantic: WMS *"
    first = True
    for each in agreed:
        offered = each.offered
        if not _stands(each):
            yield f"m={offered.kind} 0 {offered.protocol} {' '.join(offered.formats)}"
            yield "c=IN IP4 0.0.0.0"
            if offered.mid:
                yield f"a=mid:{offered.mid}"
            yield "a=inactive"
            continue
        assert each.section is not None and each.section.codec is not None, "it stands"
        codec = each.section.codec
        formats = [codec.payload_type] + ([codec.rtx_payload_type] if codec.rtx_payload_type is not None else [])
        address, port = transport.addresses[0]
        yield f"m={offered.kind} {port} {offered.protocol} {' '.join(map(str, formats))}"
        yield f"c=IN IP{version} {address}"
        if first:
            yield from _candidates(transport)
            first = False
        yield from _transport_lines(transport)
        if offered.mid:
            yield f"a=mid:{offered.mid}"
        yield from _section_lines(each.section, each.outgoing)


def _stands(each: Agreed) -> bool:
    return each.section is not None and each.section.codec is not None


def _candidates(transport: Transport) -> Iterator[str]:
    for index, (address, port) in enumerate(transport.addresses):
        priority = PRIORITY - index * 256  # the local preference comes above 8 bits for the component
        yield f"a=candidate:{index + 1} 1 udp {priority} {address} {port} typ host"
    yield "a=end-of-candidates"


def _transport_lines(transport: Transport) -> Iterator[str]:
    yield f"a=ice-ufrag:{transport.ice_ufrag}"
    yield f"a=ice-pwd:{transport.ice_pwd}"
    yield f"a=fingerprint:sha-256 {transport.fingerprint.hex(':').upper()}"
    yield f"a=setup:{'active' if transport.active else 'passive'}"


def _section_lines(section: Section, outgoing: Outgoing | None) -> Iterator[str]:
    assert section.codec is not None
    yield f"a={section.direction}"
    yield "a=rtcp-mux"
    for uri, number in section.extensions.items():
        yield f"a=extmap:{number} {uri}"
    yield from _codec_lines(section.codec)
    if outgoing is None or section.ssrc is None:
        return
    yield f"a=msid:{outgoing.stream_id} {outgoing.track_id}"
    if section.rtx_ssrc is not None:
        yield f"a=ssrc-group:FID {section.ssrc} {section.rtx_ssrc}"
    for ssrc in (section.ssrc, section.rtx_ssrc):
        if ssrc is not None:
            yield f"a=ssrc:{ssrc} cname:{outgoing.stream_id}"
            yield f"a=ssrc:{ssrc} msid:{outgoing.stream_id} {outgoing.track_id}"


def _codec_lines(codec: Codec) -> Iterator[str]:
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.channels > 1 else ""
    yield f"a=rtpmap:{number} {codec.name}/{codec.clock_rate}{channels}"
    if codec.parameters:
        yield f"a=fmtp:{number} {';'.join(f'{name}={value}' for name, value in codec.parameters.items())}"
    for feedback in sorted(codec.feedback):
        yield f"a=rtcp-fb:{number} {feedback}"
    if codec.rtx_payload_type is not None:
        yield f"a=rtpmap:{codec.rtx_payload_type} rtx/{codec.clock_rate}"
        yield f"a=fmtp:{codec.rtx_payload_type} apt={number}"
