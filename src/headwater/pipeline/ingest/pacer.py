"""When to read from a publisher: what arrives in the middle of a part waits in the kernel.

    part:   |─────────────── quiet ───────────────|── read at once ──|
    reads:                                        ▲  ▲  ▲  ▲  ▲

A publisher writes 75 messages a second, and a read of each costs more than what it holds: system call, event loop,
cold caches. Nothing can be listed before a part is complete, so until shortly before that the socket's low-water mark
is raised (`SO_RCVLOWAT`), and one read takes all of it. The mark is finite: media that comes faster than expected, as
after a stall, wakes the reader too, and the kernel caps it below the receive buffer, so that the publisher is never
held up. The publisher's end (FIN, RST) wakes the reader whatever the mark is. See docs/decisions/0030.
"""

from __future__ import annotations

import asyncio
import socket
import sys

AHEAD_MS = 30
"""Reading at once begins this long before a part should be complete: encoders are about that punctual."""

LEAST_QUIET_MS = 60
"""Below this, raising the mark costs more than it saves."""

BURST = 1.5
"""More than this times the expected bytes are read at once: they may be a part's last."""

MAX_MARK = 128 * 1024
"""Bytes: what one read may bring at most is then bounded, and of more there is enough work by itself."""


_RTT_AT = 68
"""Where `tcpi_rtt`, in microseconds, is in Linux's `tcp_info`."""


class ReadPacer:
    """Raises and lowers the low-water mark of one publisher's socket."""

    __slots__ = ("_bytes", "_loop", "_now", "_rate", "_socket", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: socket.socket) -> None:
        """The socket stays the transport's; `close` has to be called before that closes it.

        Args:
            peer: The transport's socket, or what stands for it.
        """
        self._loop = loop
        # The transport's stand-in takes four times as long; this is the same descriptor, not another one.
        self._socket = socket.socket(peer.family, peer.type, peer.proto, fileno=peer.fileno())
        self._timer: asyncio.TimerHandle | None = None
        self._rate = 0.0
        self._now = loop.time()
        self._bytes = 0

    def measure(self, bytes_received: int) -> None:
        """Learn the publisher's rate; to be called about twice a second with a count that only grows."""
        now = self._loop.time()
        if now > self._now:
            rate = (bytes_received - self._bytes) / (now - self._now) / 1000
            self._rate += (rate - self._rate) / (4 if self._rate else 1)
        self._now, self._bytes = now, bytes_received

    def wait(self, patience_ms: float) -> None:
        """Everything that came has been handled, and for `patience_ms` nobody waits for more."""
        if self._timer is not None:
            return
        quiet_ms = patience_ms - AHEAD_MS
        if quiet_ms < LEAST_QUIET_MS or not self._rate:
            return
        self._set_mark(min(MAX_MARK, int(self._rate * quiet_ms * BURST)))
        self._timer = self._loop.call_later(quiet_ms / 1000, self.wake)

    def wake(self) -> None:
        """Read at once what is there and what comes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._set_mark(1)

    def round_trip_ms(self) -> float | None:
        """As the kernel has measured it; None where it does not tell."""
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RTT_AT + 4)
        except (OSError, AttributeError):
            return None
        return int.from_bytes(info[_RTT_AT:], sys.byteorder) / 1000 if len(info) == _RTT_AT + 4 else None

    def close(self) -> None:
        """Let go of the socket, without closing it. Idempotent."""
        self.wake()
        self._socket.detach()

    def _set_mark(self, mark: int) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark)
        except OSError:
            pass  # closed under us, or a system without the option: every message is read as it comes
