"""A UDP relay that loses packets of media: between a browser and a server, in a thread of its own."""

from __future__ import annotations

import random
import selectors
import socket
import threading
from typing import Any

DATAGRAM_BYTES = 2048


class LossyRelay:
    """Relays to one server, whatever address comes; loses RTP and RTCP both ways.

    Attributes:
        port: Where to send to.
        lost, passed: Media packets so far.
        cut: While it is set nothing passes, whatever it is.
    """

    def __init__(self, server: tuple[str, int], share: float, seed: int = 1) -> None:
        self._server = server
        self._share = share
        self._random = random.Random(seed)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", 0))
        self.port: int = self._near.getsockname()[1]
        self.lost = self.passed = 0
        self.cut = False
        self._far: dict[Any, socket.socket] = {}
        self._stopped = False
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._near, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="lossy-relay")

    def __enter__(self) -> LossyRelay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(5)
        assert not self._thread.is_alive()
        for each in (self._near, *self._far.values()):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select(0.1):
                if key.data is None:
                    datagram, address = self._near.recvfrom(DATAGRAM_BYTES)
                    if not self._loses(datagram):
                        self._to(address).sendto(datagram, self._server)
                else:
                    datagram = key.fileobj.recv(DATAGRAM_BYTES)  # type: ignore[union-attr]
                    if not self._loses(datagram):
                        self._near.sendto(datagram, key.data)

    def _to(self, address: Any) -> socket.socket:
        found = self._far.get(address)
        if found is None:
            found = self._far[address] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._selector.register(found, selectors.EVENT_READ, address)
        return found

    def _loses(self, datagram: bytes) -> bool:
        if self.cut:
            return True
        if not 128 <= datagram[0] <= 191:
            return False
        if self._random.random() < self._share:
            self.lost += 1
            return True
        self.passed += 1
        return False
