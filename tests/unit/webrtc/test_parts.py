"""The small pure parts: retransmissions, whose packet it is, reports, DTLS records, candidates."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import OperatorError, ProtocolError
from headwater.webrtc import feedback, rtx
from headwater.webrtc.addresses import MAX_CANDIDATES, candidates
from headwater.webrtc.dtls import MAX_HANDSHAKE_DATAGRAMS, MTU, PROFILES, Dtls, Identity, Profile
from headwater.webrtc.media import MID, Codec, Section
from headwater.webrtc.sources import Sources, extension
from tests.unit.webrtc.client import rtp

VIDEO = Section("1", "video", "recvonly", Codec("VP8", "video", 96, 90_000, rtx_payload_type=97), extensions={MID: 4})
AUDIO = Section("0", "audio", "recvonly", Codec("opus", "audio", 111, 48_000, 2), extensions={MID: 4})

_packets = st.builds(
    lambda sequence, payload, extra, sources: _packet(sequence, payload, extra, sources),
    st.integers(0, 65535),
    st.binary(max_size=60),
    st.binary(max_size=12),
    st.integers(0, 3),
)


def _packet(sequence: int, payload: bytes, extra: bytes, sources: int) -> bytes:
    whole = rtp(sequence, payload=b"", extension=extra)
    head = bytes([whole[0] | sources]) + whole[1:12] + bytes(4 * sources)
    return head + whole[12:] + payload


class TestRetransmissions:
    """RFC 4588, 4."""

    @given(_packets, st.integers(0, 65535))
    def test_what_is_wrapped_unwraps(self, packet: bytes, sequence: int) -> None:
        again = rtx.wrap(packet, 97, 2002, sequence)
        assert again[1] == 0x80 | 97 and int.from_bytes(again[2:4], "big") == sequence
        assert again[8:12] == (2002).to_bytes(4, "big") and len(again) == len(packet) + 2
        assert rtx.unwrap(again, 96, 2001) == packet

    @given(st.binary(min_size=12, max_size=80))
    def test_anything_of_a_header_s_length_unwraps_or_is_none(self, packet: bytes) -> None:
        found = rtx.unwrap(packet, 96, 1)
        assert found is None or len(found) == len(packet) - 2

    def test_padding_alone(self) -> None:
        packet = bytearray(rtp(1, payload=bytes(7) + b"\x08"))
        packet[0] |= 0x20
        assert rtx.unwrap(bytes(packet), 96, 1) is None


class TestSources:
    def test_those_of_the_offer(self) -> None:
        sources = Sources([AUDIO, _with(VIDEO, 2001, 2002)])
        found = sources.find(rtp(1, ssrc=2002, payload_type=97))
        assert found is not None and found.mid == "1"

    def test_learnt_by_name_even_where_payload_types_are_the_same(self) -> None:
        other = Section("2", "video", "recvonly", VIDEO.codec, extensions={MID: 4})
        sources = Sources([VIDEO, other])
        assert sources.find(rtp(1, ssrc=5)) is None, "whose it is nobody can say"
        found = sources.find(rtp(1, ssrc=5, extension=b"\x40" + b"2"))
        assert found is not None and (found.mid, found.ssrc) == ("2", 5)
        again = sources.find(rtp(2, ssrc=5))
        assert again is found and sources.sections[1] is found

    def test_a_new_source_takes_the_place_of_the_old(self) -> None:
        sources = Sources([_with(VIDEO, 2001, 2002)])
        found = sources.find(rtp(1, ssrc=5))
        assert found is not None and (found.ssrc, found.rtx_ssrc) == (5, 2002)

    def test_retransmissions_are_learnt_too(self) -> None:
        sources = Sources([VIDEO])
        found = sources.find(rtp(1, ssrc=6, payload_type=97))
        assert found is not None and (found.ssrc, found.rtx_ssrc) == (None, 6)

    @pytest.mark.parametrize("direction", ["sendonly", "inactive"])
    def test_what_we_do_not_receive_has_none(self, direction: str) -> None:
        section = Section("1", "video", direction, VIDEO.codec, 2001)  # type: ignore[arg-type]
        assert Sources([section]).find(rtp(1)) is None

    @given(st.integers(1, 14), st.binary(min_size=1, max_size=16), st.binary(max_size=8))
    def test_extensions_of_one_byte(self, number: int, value: bytes, payload: bytes) -> None:
        data = bytes([0, number << 4 | len(value) - 1]) + value
        assert extension(rtp(1, extension=data, payload=payload), number) == value

    @given(st.binary(min_size=16, max_size=80), st.integers(1, 14))
    def test_any_bytes_have_an_extension_or_none(self, packet: bytes, number: int) -> None:
        found = extension(packet, number)
        assert found is None or found in packet

    def test_extensions_of_two_bytes(self) -> None:
        packet = bytearray(rtp(1, extension=b"\x04\x01" + b"7" + b"\0"))
        packet[12:14] = b"\x10\x00"
        assert extension(bytes(packet), 4) == b"7"


class TestFeedback:
    def test_echoes_of_reports(self) -> None:
        """RFC 3550, 6.4.1: LSR is the middle of the sender report's NTP time."""
        report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 1, 0x11112222, 0x33334444, 3, 4, 5)
        assert list(feedback.sender_reports(report)) == [0x22223333]
        block = struct.pack("!IIIIII", 1, 0, 0, 0, 0x22223333, 0x8000)
        receiver = struct.pack("!BBHI", 0x82, 201, 13, 9) + block + bytes(24)
        assert list(feedback.echoes(receiver)) == [(0x22223333, 0x8000)]
        sender = struct.pack("!BBHIIIIII", 0x81, 200, 12, 1, 1, 1, 3, 4, 5) + block
        assert list(feedback.echoes(receiver + sender)) == [(0x22223333, 0x8000)] * 2

    @given(st.binary(max_size=200))
    def test_garbage_says_nothing_or_something(self, compound: bytes) -> None:
        assert len(list(feedback.echoes(compound))) + len(list(feedback.sender_reports(compound))) < 100


class TestDtls:
    """RFC 5764, RFC 8122."""

    @pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
    def test_both_sides_have_the_same_keys(self, profile: Profile) -> None:
        server, client = _pair(Identity(), Identity([profile]))
        _shake(server, client)
        assert server.keys is not None and client.keys is not None
        assert server.keys.profile == client.keys.profile == profile
        assert (server.keys.ours, server.keys.theirs) == (client.keys.theirs, client.keys.ours)
        assert len(server.keys.ours) == profile.key_bytes + profile.salt_bytes
        client.close()
        for datagram in client.take():
            server.receive(datagram)
        assert server.closed

    def test_datagrams_fit_and_hold_whole_records(self) -> None:
        server, client = _pair(Identity(), Identity())
        client.start()
        for datagram in client.take():
            server.receive(datagram)
        flight = server.take()
        assert flight and all(len(datagram) <= MTU for datagram in flight)
        for datagram in flight:
            at = 0
            while at < len(datagram):
                at += 13 + int.from_bytes(datagram[at + 11 : at + 13], "big")
            assert at == len(datagram)
        assert server.seconds_left() is not None, "an answer is waited for"

    @given(st.binary(max_size=100))
    def test_garbage_is_dropped_or_ends_it_in_words(self, datagram: bytes) -> None:
        server, _ = _pair(_IDENTITY, _IDENTITY)
        try:
            server.receive(b"\x16\xfe\xfd" + datagram)
        except ProtocolError as error:
            assert str(error)
        assert server.keys is None

    def test_it_comes_to_an_end(self) -> None:
        server, _ = _pair(_IDENTITY, _IDENTITY)
        with pytest.raises(ProtocolError, match="end"):
            for _ in range(MAX_HANDSHAKE_DATAGRAMS + 1):
                server.receive(b"\x16\xfe\xfd" + bytes(20))

    def test_another_fingerprint(self) -> None:
        server, client = _pair(_IDENTITY, Identity())
        server._fingerprints = [("sha-256", bytes(32))]
        with pytest.raises(ProtocolError, match="fingerprint"):
            _shake(server, client)
        assert server.keys is None


class TestCandidates:
    def test_what_the_operator_says(self) -> None:
        assert candidates(["198.51.100.1", "2001:DB8::1"], "0.0.0.0") == ["198.51.100.1", "2001:db8::1"]
        with pytest.raises(OperatorError, match="public_addresses"):
            candidates(["live.example.com"], "0.0.0.0")

    def test_one_address_is_that_one(self) -> None:
        assert candidates((), "127.0.0.1") == ["127.0.0.1"]

    @pytest.mark.parametrize("host", ["0.0.0.0", "::"])
    def test_all_are_those_of_the_machine(self, host: str) -> None:
        found = candidates((), host)
        assert 1 <= len(found) <= MAX_CANDIDATES and len(set(found)) == len(found)
        assert not {"0.0.0.0", "::", "::1"} & set(found)


_IDENTITY = Identity()


def _with(section: Section, ssrc: int, rtx_ssrc: int) -> Section:
    return Section(section.mid, section.kind, section.direction, section.codec, ssrc, rtx_ssrc, section.extensions)


def _pair(ours: Identity, theirs: Identity) -> tuple[Dtls, Dtls]:
    return (
        Dtls(ours, [("sha-256", theirs.fingerprint)], active=False),
        Dtls(theirs, [("sha-256", ours.fingerprint)], active=True),
    )


def _shake(server: Dtls, client: Dtls) -> None:
    client.start()
    for _ in range(8):
        for datagram in client.take():
            server.receive(datagram)
        for datagram in server.take():
            client.receive(datagram)
