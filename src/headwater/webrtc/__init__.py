"""WebRTC for everything that needs it: one UDP port (or a few), ICE-lite, DTLS, SRTP, and the HTTP of WHIP and WHEP.

    server.py     the peers: accept(offer, policy, handler) ─► Peer; whose datagram it is
    udp.py        a port: a socket in the event loop
    connection.py one peer: checks, handshake, keys, media
    peer.py       what a peer is to its owner, and what the owner is to a peer
    media.py      codecs, sections, policies: what offer and answer agree on
    resources.py  routes of a WHIP or WHEP endpoint (RFC 9725, draft-ietf-wish-whep)
    settings.py   what the operator sets

What comes in is decrypted and handed on as it is; nothing here decodes, stores or reorders media.
"""
