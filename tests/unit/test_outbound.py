"""Where this server may connect to: every way to write an address of its own network is found out."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.outbound import Forbidden, NotResolved, Outbound, is_public, networks

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.0.8",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "::7f00:1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:5ef5:79fd:0:0:80ff:fffe",  # Teredo of a client at 127.0.0.1
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


def outbound(*found: str, allowed: tuple[str, ...] = ()) -> Outbound:
    async def resolver(_host: str, _port: int) -> list[str]:
        return list(found)

    return Outbound(allowed, resolver=resolver)


@pytest.mark.parametrize("address", PRIVATE)
async def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Forbidden, match="not a public address"):
        await outbound(address).addresses("name.example", 443)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_is_used_as_it_was_resolved(address: str) -> None:
    found = await outbound(address).addresses("name.example", 443)
    assert [ipaddress.ip_address(one) for one in found] == [ipaddress.ip_address(address)]


async def test_of_several_addresses_the_public_ones_are_left() -> None:
    found = await outbound("10.0.0.1", "8.8.8.8", "::1", "1.1.1.1").addresses("name.example", 443)
    assert found == ["8.8.8.8", "1.1.1.1"]


async def test_the_operator_may_allow_networks() -> None:
    allowing = outbound("10.1.2.3", "10.9.0.1", "::ffff:10.1.0.9", allowed=("10.1.0.0/16",))
    found = await allowing.addresses("name.example", 80)
    assert [ipaddress.ip_address(one) for one in found] == list(
        map(ipaddress.ip_address, ["10.1.2.3", "::ffff:10.1.0.9"])
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "localhost", "::1", "0"])
async def test_the_systems_resolver_is_vetted_too(host: str) -> None:
    """However a loopback address is spelled, the system says where it leads, and that is what is looked at."""
    with pytest.raises((Forbidden, NotResolved)):
        await Outbound().addresses(host, 80)


async def test_what_has_no_address() -> None:
    with pytest.raises(NotResolved, match="has no address"):
        await outbound().addresses("name.example", 443)

    async def fails(_host: str, _port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(NotResolved, match="Name or service not known"):
        await Outbound(resolver=fails).addresses("name.example", 443)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "here", "", "10.0.0.0/33"])
def test_a_network_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="no network"):
        networks([text])


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_judged_as_itself(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    carriers = [
        ipaddress.IPv6Address((0xFFFF << 32) | number),
        ipaddress.IPv6Address((0x64FF9B << 96) | number),
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),
    ]
    assert {is_public(carrier) for carrier in carriers} == {is_public(address)}
