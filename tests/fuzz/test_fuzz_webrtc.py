"""Fuzz: the WebRTC port given hostile datagrams, from a stranger and from a peer.

Invariant: whatever comes, nothing is raised into the loop (`port` looks), the peer lives and hears the next good
packet; a stranger leaves nothing behind.
FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os
import socket
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.protocols import stun
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.srtp import SrtpError
from tests.unit.webrtc.client import Client, Owner, joined, port, rtp, until

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "200"))
BATCH = 20
"""Datagrams for one connection: a handshake for each would be most of the work."""

_stun = st.builds(
    lambda kind, attributes, key: stun.build(kind, bytes(12), attributes, password=key),
    st.sampled_from([stun.BINDING_REQUEST, stun.BINDING_INDICATION, stun.BINDING_SUCCESS, stun.BINDING_ERROR, 3]),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=20)), max_size=6),
    st.none() | st.binary(min_size=1, max_size=8),
)
_records = st.builds(
    lambda kind, epoch, body: struct.pack("!BHHIHH", kind, 0xFEFD, epoch, 0, 1, len(body)) + body,
    st.integers(20, 63),
    st.integers(0, 2),
    st.binary(max_size=60),
)
_media = st.builds(lambda first, body: bytes([first]) + body, st.integers(128, 191), st.binary(max_size=60))
_datagrams = st.lists(_stun | _records | _media | st.binary(max_size=60), min_size=1, max_size=BATCH)
_headers = st.builds(
    lambda flags, number, rest: bytes([0x80 | flags & 0x3F, number]) + struct.pack("!HII", 1, 2, 3) + rest,
    st.integers(0, 63),
    st.integers(0, 127),
    st.binary(max_size=40),
)


async def _endures(server: WebRtcServer, client: Client, owner: Owner) -> None:
    """The next good packet comes through."""
    client.send_rtp(rtp(60_000, payload=b"good"))
    await until(lambda: owner.ended or (owner.packets and owner.packets[-1][1].endswith(b"good")))
    assert not owner.ended and server.peers() == 1


@settings(max_examples=EXAMPLES // BATCH)
@given(_datagrams)
async def test_a_stranger(datagrams: list[bytes]) -> None:
    async with port() as server, joined(server) as (client, peer, owner):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in datagrams:
                stranger.sendto(datagram, server.address)
        await _endures(server, client, owner)
        assert len(owner.packets) == 1 and len(peer.port.by_address) == 1


@settings(max_examples=EXAMPLES // BATCH)
@given(_datagrams)
async def test_a_peer_s_network(datagrams: list[bytes]) -> None:
    """From the peer's own address, without its keys."""
    async with port() as server, joined(server) as (client, _, owner):
        for datagram in datagrams:
            client.send(datagram)
        await _endures(server, client, owner)
        assert len(owner.packets) == 1


@settings(max_examples=EXAMPLES // BATCH)
@given(st.lists(_headers, min_size=1, max_size=BATCH), st.lists(st.binary(min_size=8, max_size=60), max_size=BATCH))
async def test_a_peer(packets: list[bytes], compounds: list[bytes]) -> None:
    """With its keys: extensions, CSRCs and padding that say anything, RTCP that is none."""
    async with port() as server, joined(server) as (client, _, owner):
        for protect, many in ((client.outbound.protect, packets), (client.outbound.protect_rtcp, compounds)):
            for each in many:
                try:
                    client.send(protect(each))
                except SrtpError:
                    continue  # libsrtp sends no such packet
        await _endures(server, client, owner)
        assert all(len(packet) >= 12 for _, packet in owner.packets)
