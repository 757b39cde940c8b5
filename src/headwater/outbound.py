"""Where this server may connect to when somebody else names the place: resolved, vetted, and pinned.

A URL that a caller has given is a way to what only this machine reaches: its own ports, the cloud's metadata service,
the network behind it. So the name is resolved once, every address is vetted, and the connection goes to a vetted
address and not to the name again, which could resolve to something else a moment later (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from headwater.errors import OperatorError

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) to addresses as text; raises OSError."""

ADDRESS_LIMIT = 32
"""Addresses of one name that are looked at; real names have up to a dozen."""

RESOLVER_THREADS = 16
"""The system's resolver blocks: a name server that does not answer holds these up and nothing else."""

_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in ("192.0.0.0/24", "192.88.99.0/24", "fec0::/10", "2001::/23", "3fff::/20", "5f00::/16", "100::/64")
)
"""Special purposes (IANA's registries) that `is_global` of some Python versions does not know of."""

_threads: list[ThreadPoolExecutor] = []


class Forbidden(OperatorError):
    """An address that this server must not connect to: the operator may allow it, or the URL has to change."""


class NotResolved(OperatorError):
    """A name that has no address, or none now."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks of a setting: `10.0.0.0/8`, `127.0.0.1`, `fd00::/8`.

    Raises:
        ValueError: naming the one that is none.
    """
    found = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"{text!r} is no network such as 10.0.0.0/8: {error}") from None
    return tuple(found)


def is_public(address: Address) -> bool:
    """Whether anybody on the Internet may have this address, also after what it carries inside has been unpacked."""
    inner = embedded(address)
    if inner is not None:
        return is_public(inner)
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to, if it is one of those.

    Mapped (RFC 4291, 2.5.5.2), compatible (2.5.5.1), NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), Teredo (RFC 4380).
    """
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    translated = any(address in network for network in _NAT64)
    if translated or (address in _COMPATIBLE and int(address) > 1):  # :: and ::1 are no IPv4 addresses
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


class Outbound:
    """Vets where a URL leads.

    Args:
        allowed: Networks besides the public ones, as the setting has them.
        resolver: For tests; the system's by default.
    """

    def __init__(self, allowed: Iterable[str] = (), *, resolver: Resolver | None = None) -> None:
        self._allowed = networks(allowed)
        self._resolve = resolver or resolve

    def permits(self, address: Address) -> bool:
        """Whether this server may connect to an address."""
        inner = embedded(address)
        return is_public(address) or any(
            candidate in network for network in self._allowed for candidate in (address, inner) if candidate is not None
        )

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that may be connected to, as text, at least one.

        Raises:
            Forbidden: there are addresses, and none of them may be.
            NotResolved: there is no address.
        """
        try:
            found = [_address(text) for text in (await self._resolve(host, port))[:ADDRESS_LIMIT]]
        except (OSError, UnicodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise NotResolved(f"the host {host} cannot be resolved: {reason}") from error
        if not found:
            raise NotResolved(f"the host {host} has no address")
        allowed = [str(address) for address in found if self.permits(address)]
        if not allowed:
            raise Forbidden(f"the host {host} leads to {found[0]}, which is not a public address")
        return allowed


def _address(text: str) -> Address:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return ipaddress.IPv6Address(int(address))  # a zone is for link-local addresses, which are refused all the same
    return address


async def resolve(host: str, port: int) -> list[str]:
    """Ask the system's resolver, in threads of our own.

    Raises:
        OSError: it has no answer.
    """
    if not _threads:
        _threads.append(ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver"))
    found = await asyncio.get_running_loop().run_in_executor(_threads[0], _getaddrinfo, host, port)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _getaddrinfo(host: str, port: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)  # type: ignore[return-value]
