"""The handshake: plain, with digests of either scheme, and cut anywhere."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols.rtmp.handshake import RANDOM_SIZE, ClientHandshake, NotRtmp, ServerHandshake

RANDOM = bytes(number * 7 % 256 for number in range(RANDOM_SIZE))
SECRET = bytes.fromhex("f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae")
PLAYER = b"Genuine Adobe Flash Player 001"
SERVER = b"Genuine Adobe Flash Media Server 001"


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


@given(st.lists(st.integers(0, 4000), max_size=6), st.binary(max_size=20))
def test_client_and_server_agree_however_the_bytes_are_cut(cuts: list[int], following: bytes) -> None:
    server, client = ServerHandshake(RANDOM), ClientHandshake(RANDOM)
    sent = client.output
    client.output = b""
    for at in range(0, len(sent), 700):
        assert server.receive(sent[at : at + 700]) is None
    assert client.receive(server.output) == b""
    sent = client.output + following
    places = sorted({cut % (len(sent) + 1) for cut in cuts})
    rest = b""
    done = False
    for start, end in zip([0, *places], [*places, len(sent)], strict=True):
        if done:
            rest += sent[start:end]
            continue
        after = server.receive(sent[start:end])
        if after is not None:
            done, rest = True, after
    assert done
    assert rest == following


@pytest.mark.parametrize("base", [772, 8])
def test_a_client_with_a_digest_gets_one(base: int) -> None:
    """As Flash players and ffmpeg check it: S1 holds a digest of the server's key, S2 answers the client's digest."""
    c1 = bytearray(b"\0\0\0\1\x80\0\7\2" + RANDOM)
    position = base + 4 + sum(c1[base : base + 4]) % 728
    digest = mac(PLAYER, bytes(c1[:position] + c1[position + 32 :]))
    c1[position : position + 32] = digest
    server = ServerHandshake(RANDOM)
    assert server.receive(b"\3" + bytes(c1)) is None
    answer = server.output
    assert (len(answer), answer[0]) == (3073, 3)
    s1, s2 = answer[1:1537], answer[1537:]
    place = base + 4 + sum(s1[base : base + 4]) % 728
    assert s1[place : place + 32] == mac(SERVER, s1[:place] + s1[place + 32 :])
    assert s2[-32:] == mac(mac(SERVER + SECRET, digest), s2[:-32])


def test_a_client_without_a_digest_gets_its_bytes_back() -> None:
    server = ServerHandshake(RANDOM)
    server.receive(b"\3" + bytes(8) + RANDOM)
    assert server.output[1537:] == bytes(8) + RANDOM


def test_a_false_digest_gets_the_plain_form() -> None:
    server = ServerHandshake(RANDOM)
    c1 = b"\0\0\0\1\x80\0\7\2" + RANDOM
    server.receive(b"\3" + c1)
    assert server.output[1537:] == c1


@pytest.mark.parametrize(
    ("first", "hint"),
    [(b"G", "HTTP"), (b"POST /", "HTTP"), (b"HTTP/1.1 400", "HTTP"), (b"\x16\x03", "TLS"), (b"\x15", "TLS")],
)
def test_what_another_protocol_begins_with_is_named(first: bytes, hint: str) -> None:
    for handshake in (ServerHandshake(RANDOM), ClientHandshake(RANDOM)):
        with pytest.raises(NotRtmp, match=f"RTMP version {first[0]}.*that is {hint}"):
            handshake.receive(first)


@pytest.mark.parametrize("version", [0, 6, 0x16, 0x47])
def test_other_versions_are_refused_at_the_first_byte(version: int) -> None:
    with pytest.raises(ProtocolError, match="version"):
        ServerHandshake(RANDOM).receive(bytes((version,)))
