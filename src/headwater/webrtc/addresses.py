"""Where the UDP port can be reached: what the operator says, else what the machine's interfaces say."""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from headwater.errors import OperatorError

MAX_CANDIDATES = 8
"""Addresses in one answer: browsers try them all, and machines with many containers have dozens of interfaces."""

_SIOCGIFADDR = 0x8915
_IF_INET6 = Path("/proc/net/if_inet6")
_GLOBAL_SCOPE = "00"
_ELSEWHERE = ("192.0.2.1", 9)
"""RFC 5737: an address that is nobody's. Nothing is sent there: connecting a UDP socket only picks the way out."""


def candidates(public: Sequence[str], host: str) -> list[str]:
    """The addresses of an answer, the preferred one first; at least one.

    Args:
        public: Of the settings.
        host: Where the socket is bound, as an address.

    Raises:
        OperatorError: one of `public` is no IP address.
    """
    if public:
        return [_checked(each) for each in public][:MAX_CANDIDATES]
    if host not in ("0.0.0.0", "::"):
        return [host]
    found = list(dict.fromkeys(each for each in _interfaces() if _usable(each)))
    if host == "::":
        found += [each for each in _interfaces6() if _usable(each)]
    return found[:MAX_CANDIDATES] or ["127.0.0.1"]


def _checked(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise OperatorError(f"webrtc.public_addresses: {text!r} is not an IP address") from None


def _usable(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


def _interfaces() -> Iterator[str]:
    """IPv4: the way out first, then each interface's own address, where the system tells (Linux)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:
                continue  # it has no address, or this system asks otherwise
            yield socket.inet_ntoa(answer[20:24])
        try:
            probe.connect(_ELSEWHERE)
            yield probe.getsockname()[0]
        except OSError:
            return  # no way out: there is no network


def _interfaces6() -> Iterator[str]:
    """IPv6 addresses of global scope, where the system tells (Linux)."""
    try:
        lines = _IF_INET6.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) == 6 and words[3] == _GLOBAL_SCOPE:
            yield str(ipaddress.IPv6Address(bytes.fromhex(words[0])))
