"""SRTP and SRTCP of one peer (RFC 3711, RFC 7714), by libsrtp: encrypts, authenticates, refuses replays."""

from __future__ import annotations

import pylibsrtp

from headwater.errors import ProtocolError
from headwater.webrtc.dtls import Keys

MAX_PACKET_BYTES = 1500
"""Of an encrypted packet, both ways: what an Ethernet carries; pylibsrtp's own buffer has the same."""
REPLAY_WINDOW = 512
"""Packets that may overtake one another: at 3,000 packets a second (30 Mbit/s) some 170 ms; libsrtp's 128 are 40."""

_PROFILES = {
    "SRTP_AES128_CM_SHA1_80": pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    "SRTP_AEAD_AES_128_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AEAD_AES_256_GCM": pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}

SrtpError = pylibsrtp.Error
"""A packet that cannot be decrypted (forged, replayed), or cannot be encrypted (its number was used)."""


def session(keys: Keys, *, ours: bool) -> pylibsrtp.Session:
    """A session for what we send (`ours`) or receive; sources are added as they come.

    Raises:
        ProtocolError: libsrtp was built without this profile.
    """
    kind = pylibsrtp.Policy.SSRC_ANY_OUTBOUND if ours else pylibsrtp.Policy.SSRC_ANY_INBOUND
    try:
        policy = pylibsrtp.Policy(keys.ours if ours else keys.theirs, kind, 0, _PROFILES[keys.profile.name])
        policy.window_size = REPLAY_WINDOW
        policy.allow_repeat_tx = ours  # a packet that is sent again without RTX is the same packet
        return pylibsrtp.Session(policy)
    except pylibsrtp.Error as error:
        raise ProtocolError(f"SRTP cannot be set up: {error}") from error


def available(profile: str) -> bool:
    """Was libsrtp built with what this profile needs?"""
    try:
        pylibsrtp.Session(pylibsrtp.Policy(bytes(64), pylibsrtp.Policy.SSRC_ANY_INBOUND, 0, _PROFILES[profile]))
    except pylibsrtp.Error:
        return False
    return True
