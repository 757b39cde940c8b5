"""What the operator can set of WebRTC: how it is reached, and every limit on what a stranger can send."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebRtcSettings:
    """How the UDP port is reached, and its limits.

    Attributes:
        port_count: UDP ports, from that of `server.webrtc` on, over which publishers and viewers are spread. One does
            for all of them; more, where a network limits what goes over one.
        public_addresses: IP addresses that browsers are told to send to, at the ports that `server.webrtc` listens on:
            those of the router or load balancer that forwards them. Empty: the addresses of this machine's interfaces,
            or the one that `server.webrtc` names.
        stun_servers: For browsers that look for their own address, e.g. `stun:stun.example.com:3478`. Rarely needed:
            a server with a public address is found without.
        turn_servers: Relays for browsers whose network lets no UDP out, e.g.
            `turns:turn.example.com:443?transport=tcp`.
        turn_secret: Shared with every one of turn_servers (coturn's `static-auth-secret`): participants and viewers are
            given credentials of their own, good for a day. Empty: turn_username and turn_credential are.
        turn_username: Of every one of turn_servers.
        turn_credential: Of every one of turn_servers; every participant and viewer is told it, and it does not end.
        max_peers: Publishers and viewers at one time; a core forwards to some hundred.
        max_connecting: Of those, the ones whose handshake is not through: what strangers with a link can hold.
        connect_timeout_s: From the offer to media; a slow network takes 5 s.
        silence_timeout_s: A peer of which nothing is heard is taken for gone (checked every 0.5 s, so that it is
            noticed within 10 s). Browsers speak every 2.5 s at least, other clients every 5 s (RFC 7675).
        max_offer_bytes: One offer; browsers send 2 to 9 KB.
        max_addresses: Remote addresses that one peer may speak from; a client tries each of its networks.
        max_ssrcs: RTP sources of one peer; a publisher has four (sound and picture, each with retransmissions).
        receive_buffer_bytes: Asked of the system for the port: what it holds while the process is busy (the system may
            give less: net.core.rmem_max).
    """

    port_count: int = 1
    public_addresses: tuple[str, ...] = ()
    stun_servers: tuple[str, ...] = ()
    turn_servers: tuple[str, ...] = ()
    turn_secret: str | None = None
    turn_username: str | None = None
    turn_credential: str | None = None
    max_peers: int = 1_000
    max_connecting: int = 200
    connect_timeout_s: float = 20.0
    silence_timeout_s: float = 9.0
    max_offer_bytes: int = 64 * 1024
    max_addresses: int = 16
    max_ssrcs: int = 32
    receive_buffer_bytes: int = 4 * 1024 * 1024
