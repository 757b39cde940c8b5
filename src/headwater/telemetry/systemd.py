"""What systemd wants to hear of a `Type=notify` service: sd_notify(3), by its environment variables."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger("headwater")


class Supervisor:
    """The systemd that started this process, if one did; else every call does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(environ)
        self._timer: asyncio.TimerHandle | None = None

    def ready(self) -> None:
        """The server accepts; from now on systemd hears twice in each `WatchdogSec` that the event loop turns."""
        self._say("READY=1")
        if self._address and self._watchdog_s:
            self._live(asyncio.get_running_loop())

    def stopping(self) -> None:
        """The server drains. The watchdog is still told that it lives."""
        self._say("STOPPING=1")

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        self._say("WATCHDOG=1")
        self._timer = loop.call_later(self._watchdog_s / 2, self._live, loop)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.setblocking(False)
                sender.sendto(text.encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", text, error)


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Seconds of `WatchdogSec`, 0 where there is none, or where it is meant for another process."""
    text, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (text.isascii() and text.isdigit()) or process not in ("", str(os.getpid())):
        return 0.0
    return int(text) / 1_000_000
