"""One UDP port: a socket in the event loop, and which peer speaks from which address.

A plain socket and the loop's `add_reader`, not a datagram transport: what the system does not take at once is dropped.
A transport would queue it, without bound, and media that waits is worth nothing.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

log = logging.getLogger(__name__)

READS_AT_ONCE = 64
"""Datagrams that are taken before everything else in the process has its turn: some 1 ms."""
DATAGRAM_BYTES = 2048
"""Room for one: more than every one of RTP, DTLS and STUN that we take."""

RemoteAddress: TypeAlias = Any
"""As the socket module has it: host and port, for IPv6 with two more."""

PeerT = TypeVar("PeerT")


@dataclass(slots=True)
class Counts:
    """Since the start.

    Attributes:
        received: Datagrams.
        dropped_unknown: From an address of no peer, or of no protocol.
        dropped_stun: STUN that cannot be read, or has no fragment or password of ours.
        unsent: The system's send buffer was full, or the way there is closed.
        accepted: Peers.
        connected: Of those, the ones that got through.
    """

    received: int = 0
    dropped_unknown: int = 0
    dropped_stun: int = 0
    unsent: int = 0
    accepted: int = 0
    connected: int = 0


class UdpPort(Generic[PeerT]):
    """A port.

    Attributes:
        by_address: Peers, by the addresses that their checks came from.
    """

    def __init__(
        self, receive: Callable[[UdpPort[PeerT], bytes, RemoteAddress], None], counts: Counts, buffer_bytes: int
    ) -> None:
        """Args:
        receive: Is given each datagram.
        buffer_bytes: Asked of the system, each way.
        """
        self.by_address: dict[RemoteAddress, PeerT] = {}
        self.address = ("", 0)
        self._receive = receive
        self._counts = counts
        self._buffer_bytes = buffer_bytes
        self._socket: socket.socket | None = None

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen.

        Raises:
            OSError: the address cannot be had.
        """
        loop = asyncio.get_running_loop()
        family, kind, protocol, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM))[0]
        opened = socket.socket(family, kind, protocol)
        try:
            opened.setblocking(False)
            if family == socket.AF_INET6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer_bytes)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer_bytes)
            opened.bind(address)
        except BaseException:
            opened.close()
            raise
        self._socket, self.address = opened, opened.getsockname()[:2]
        loop.add_reader(opened.fileno(), self._readable)
        return self.address

    def close(self) -> None:
        """Idempotent."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def transmit(self, datagram: bytes, address: RemoteAddress) -> bool:
        """Send, or drop what the system does not take now."""
        if self._socket is None:
            return False
        try:
            self._socket.sendto(datagram, address)
        except OSError:
            self._counts.unsent += 1
            return False
        return True

    def found(self, peer: PeerT, address: RemoteAddress) -> None:
        """A check has come from this address: it is that peer's, whoever had it before."""
        self.by_address[address] = peer

    def lost(self, peer: PeerT, address: RemoteAddress) -> None:
        """It does not speak from there any more."""
        if self.by_address.get(address) is peer:
            del self.by_address[address]

    def _readable(self) -> None:
        """Take what has come, up to `READS_AT_ONCE`; what is left calls again at once."""
        for _ in range(READS_AT_ONCE):
            if self._socket is None:
                return
            try:
                datagram, address = self._socket.recvfrom(DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("a WebRTC port: %s", error)
                return
            self._receive(self, datagram, address)
