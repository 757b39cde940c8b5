"""STUN: the vectors of RFC 5769, what is written reads back, and everything else is a ProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.protocols import stun

PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "00060009 6576746a3a68367659 202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
"""RFC 5769, 2.1: padded with spaces, and from a side that is controlled."""
RESPONSE_4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
RESPONSE_6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)

_attributes = st.lists(
    st.tuples(st.sampled_from([stun.USERNAME, stun.PRIORITY, stun.SOFTWARE, 0x7777, 0xC057]), st.binary(max_size=40)),
    max_size=8,
    unique_by=lambda each: each[0],
)


class TestVectors:
    """RFC 5769, 2."""

    def test_a_request(self) -> None:
        message = stun.parse(REQUEST)
        assert message.type == stun.BINDING_REQUEST and message.transaction == TRANSACTION
        assert message.username() == "evtj:h6vY"
        assert message.attributes[stun.ICE_CONTROLLED] == bytes.fromhex("932ff9b151263b36")
        assert message.authentic(PASSWORD)
        assert not message.authentic(PASSWORD[:-1])
        assert message.not_understood() == []

    @pytest.mark.parametrize(
        ("response", "host"), [(RESPONSE_4, "192.0.2.1"), (RESPONSE_6, "2001:db8:1234:5678:11:2233:4455:6677")]
    )
    def test_a_response(self, response: bytes, host: str) -> None:
        message = stun.parse(response)
        assert message.type == stun.BINDING_SUCCESS and message.authentic(PASSWORD)
        value = message.attributes[stun.XOR_MAPPED_ADDRESS]
        assert stun.read_xor_address(value, TRANSACTION) == (host, 32853)
        assert stun.xor_address(host, 32853, TRANSACTION) == value

    def test_addresses_as_a_socket_has_them(self) -> None:
        plain = stun.xor_address("192.0.2.1", 32853, TRANSACTION)
        assert stun.xor_address("::ffff:192.0.2.1", 32853, TRANSACTION) == plain
        scoped = stun.xor_address("fe80::1%eth0", 9, TRANSACTION)
        assert stun.read_xor_address(scoped, TRANSACTION) == ("fe80::1", 9)


@given(_attributes, st.binary(min_size=12, max_size=12), st.none() | st.binary(min_size=1, max_size=64))
def test_what_is_written_reads_back(
    attributes: list[tuple[int, bytes]], transaction: bytes, password: bytes | None
) -> None:
    datagram = stun.build(stun.BINDING_REQUEST, transaction, attributes, password=password)
    message = stun.parse(datagram)
    assert stun.is_stun(datagram) and message.transaction == transaction
    assert {key: value for key, value in message.attributes.items() if key != stun.MESSAGE_INTEGRITY} == dict(
        attributes
    )
    assert message.authentic(password or b"x") is (password is not None)


@given(st.integers(0, (len(REQUEST) - 8) * 8 - 1))
def test_a_flipped_bit_is_noticed(bit: int) -> None:
    changed = bytearray(REQUEST)
    changed[bit // 8] ^= 1 << bit % 8
    try:
        message = stun.parse(bytes(changed))
    except ProtocolError:
        return
    assert not message.authentic(PASSWORD)


@given(st.integers(0, len(REQUEST) - 1))
def test_a_prefix_is_no_message(size: int) -> None:
    with pytest.raises(ProtocolError):
        stun.parse(REQUEST[:size])


@given(st.binary(max_size=200), st.booleans())
def test_garbage_is_a_protocol_error(body: bytes, framed: bool) -> None:
    """With a head that fits, so that the attributes are reached."""
    datagram = REQUEST[:2] + len(body).to_bytes(2, "big") + REQUEST[4:20] + body if framed else body
    try:
        message = stun.parse(datagram)
    except ProtocolError:
        return
    assert not message.authentic(PASSWORD)
    message.username(), message.not_understood()


def test_what_follows_the_integrity_is_ignored() -> None:
    """RFC 8489, 14.5: it is not covered, so that anybody can have added it."""
    signed = stun.build(stun.BINDING_REQUEST, TRANSACTION, [(stun.USERNAME, b"a:b")], password=PASSWORD)
    without = signed[:-8]
    added = without + bytes.fromhex("00250000")
    forged = added[:2] + (len(added) - 20).to_bytes(2, "big") + added[4:]
    message = stun.parse(forged)
    assert message.authentic(PASSWORD) and stun.USE_CANDIDATE not in message.attributes


def test_limits() -> None:
    many = [(0x8000 + number, b"") for number in range(stun.MAX_ATTRIBUTES)]
    with pytest.raises(ProtocolError, match="too many"):
        stun.parse(stun.build(stun.BINDING_REQUEST, TRANSACTION, many))
    with pytest.raises(ProtocolError, match="longer"):
        stun.parse(stun.build(stun.BINDING_REQUEST, TRANSACTION, [(stun.SOFTWARE, bytes(1400))]))


def test_an_attribute_that_must_be_understood_is_named() -> None:
    message = stun.parse(stun.build(stun.BINDING_REQUEST, TRANSACTION, [(0x7777, b""), (0xC057, b"")]))
    assert message.not_understood() == [0x7777]
