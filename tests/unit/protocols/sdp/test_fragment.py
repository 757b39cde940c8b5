"""Fragments of trickle ICE (RFC 8840, 9)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.sdp.answer import Transport, write_fragment
from headwater.protocols.sdp.errors import SdpError
from headwater.protocols.sdp.fragment import read_fragment

CANDIDATES = (
    "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n"
    "a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n"
    "a=candidate:3471623853 1 udp 2122194687 198.51.100.2 61765 typ host generation 0 ufrag EsAw network-id 2\r\n"
    "a=end-of-candidates\r\n"
)
CREDENTIALS = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"


def test_candidates() -> None:
    """RFC 9725, figure 3."""
    found = read_fragment(CREDENTIALS + CANDIDATES)
    assert (found.ice_ufrag, found.candidates) == ("EsAw", 2)
    assert read_fragment(CANDIDATES).ice_ufrag is None


@pytest.mark.parametrize("text", ["hello", "a=mid:0\r\n", CREDENTIALS[:18], "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"])
def test_what_cannot_be_read(text: str) -> None:
    with pytest.raises(SdpError):
        read_fragment(text)


def test_ours_reads_back() -> None:
    ours = Transport(1, "ours1234", "p" * 32, [("192.0.2.7", 8189)], bytes(32))
    found = read_fragment(write_fragment("0", "audio", ours))
    assert (found.ice_ufrag, found.candidates) == ("ours1234", 1)


@given(st.text(max_size=200))
def test_garbage_is_an_sdp_error(text: str) -> None:
    try:
        read_fragment(text)
    except SdpError:
        pass
