"""A WebRTC client with blocking sockets and no media stack: as little CPU of the load's as can be."""

from __future__ import annotations

import os
import re
import socket
import struct
import time
import urllib.request

import pylibsrtp

from headwater.protocols import stun
from headwater.webrtc import srtp
from headwater.webrtc.dtls import Dtls, Identity

PAYLOAD_TYPE = 102
CONNECT_S = 5.0


class RtcClient:
    """Sends one H.264 track, or receives one.

    Attributes:
        socket: Connected to the server, once `join` is through.
    """

    def __init__(self, identity: Identity, *, sends: bool) -> None:
        self._identity = identity
        self._sends = sends
        self._ssrc = int.from_bytes(os.urandom(4), "big")
        self._sequence = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(CONNECT_S)
        self.outbound: pylibsrtp.Session | None = None
        self.inbound: pylibsrtp.Session | None = None

    def offer(self) -> str:
        fingerprint = ":".join(f"{byte:02X}" for byte in self._identity.fingerprint)
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            "a=group:BUNDLE 0",
            f"m=video 9 UDP/TLS/RTP/SAVPF {PAYLOAD_TYPE}",
            "c=IN IP4 0.0.0.0",
            "a=ice-ufrag:load",
            "a=ice-pwd:0123456789abcdef01234567",
            f"a=fingerprint:sha-256 {fingerprint}",
            "a=setup:actpass",
            "a=mid:0",
            "a=sendonly" if self._sends else "a=recvonly",
            "a=rtcp-mux",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id=42e01f",
            f"a=rtcp-fb:{PAYLOAD_TYPE} nack",
            f"a=rtcp-fb:{PAYLOAD_TYPE} nack pli",
            *([f"a=ssrc:{self._ssrc} cname:load"] if self._sends else []),
        ]
        return "\r\n".join(lines) + "\r\n"

    def join(self, url: str, token: str) -> None:
        """Offer, check, shake hands."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        request = urllib.request.Request(url, self.offer().encode(), headers, method="POST")
        with urllib.request.urlopen(request) as response:
            answer = response.read().decode()
        found = dict(re.findall(r"a=(ice-ufrag|ice-pwd|fingerprint):(.*)\r\n", answer))
        port = int(re.findall(r"a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+)", answer)[0])
        self.socket.connect(("127.0.0.1", port))
        self._check(found)
        name, _, digest = found["fingerprint"].partition(" ")
        self._shake_hands((name, bytes.fromhex(digest.replace(":", ""))))

    def _check(self, found: dict[str, str]) -> None:
        attributes = [
            (stun.USERNAME, f"{found['ice-ufrag']}:load".encode()),
            (stun.PRIORITY, struct.pack("!I", 1)),
            (stun.ICE_CONTROLLING, bytes(8)),
            (stun.USE_CANDIDATE, b""),
        ]
        self.socket.send(
            stun.build(stun.BINDING_REQUEST, os.urandom(12), attributes, password=found["ice-pwd"].encode())
        )
        assert stun.parse(self.socket.recv(2048)).type == stun.BINDING_SUCCESS

    def _shake_hands(self, fingerprint: tuple[str, bytes]) -> None:
        dtls = Dtls(self._identity, [fingerprint], active=True)
        dtls.start()
        deadline = time.monotonic() + CONNECT_S
        while dtls.keys is None:
            for datagram in dtls.take():
                self.socket.send(datagram)
            assert time.monotonic() < deadline, "the handshake did not end"
            datagram = self.socket.recv(2048)
            if 20 <= datagram[0] <= 63:
                dtls.receive(datagram)
        for datagram in dtls.take():
            self.socket.send(datagram)
        self.outbound, self.inbound = srtp.session(dtls.keys, ours=True), srtp.session(dtls.keys, ours=False)

    def send(self, payload: bytes, timestamp: int, *, marker: bool = False) -> None:
        """The next packet of our track."""
        assert self.outbound is not None, "not joined"
        second = PAYLOAD_TYPE | (0x80 if marker else 0)
        head = struct.pack("!BBHII", 0x80, second, self._sequence, timestamp & 0xFFFFFFFF, self._ssrc)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.socket.send(self.outbound.protect(head + payload))
