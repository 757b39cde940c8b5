"""DTLS 1.2 for keys alone (RFC 5764, RFC 8842): one side of one handshake, datagrams in and out. No I/O of its own.

Both sides show self-signed certificates; what binds them to who offered is the fingerprint in the offer (RFC 8122).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from headwater.errors import ProtocolError

MTU = 1200
"""Bytes of a datagram of ours: fits every path that browsers use, tunnels too."""
MAX_HANDSHAKE_DATAGRAMS = 256
"""A handshake takes 4 to 8 datagrams from the other side; with every one lost three times, some 40."""
MAX_READS = 16
"""Records of one datagram that are read after the handshake: alerts come alone, other data is not expected."""

_DTLS_1_2 = 0xFEFD
_RECORD_HEADER_BYTES = 13
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
)
_LIFETIME = datetime.timedelta(days=3650)
"""A certificate lives as long as the process; nobody looks at the dates but some clients want them sane."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A protection profile of SRTP (RFC 5764, 4.1.2; RFC 7714, 14.2).

    Attributes:
        name: As OpenSSL spells it.
    """

    name: str
    key_bytes: int
    salt_bytes: int


PROFILES = (
    Profile("SRTP_AEAD_AES_128_GCM", 16, 12),
    Profile("SRTP_AES128_CM_SHA1_80", 16, 14),
    Profile("SRTP_AEAD_AES_256_GCM", 32, 12),
)
"""In our order of preference: measured, GCM costs less (docs/decisions/0130)."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a handshake yields.

    Attributes:
        ours: Master key and salt of what we send.
        theirs: Of what they send.
    """

    profile: Profile
    ours: bytes
    theirs: bytes


class Identity:
    """Our certificate and the settings of every handshake; made once, at the start.

    Attributes:
        fingerprint: SHA-256 of the certificate.
    """

    def __init__(self, profiles: Sequence[Profile] = PROFILES) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(key)
        self.fingerprint = certificate.fingerprint(hashes.SHA256())
        context = SSL.Context(SSL.DTLS_METHOD)
        context.set_min_proto_version(_DTLS_1_2)
        context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET)
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_cipher_list(_CIPHERS)
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _any_certificate)
        context.set_tlsext_use_srtp(":".join(profile.name for profile in profiles).encode())
        context.use_certificate(certificate)
        context.use_privatekey(key)
        self.context = context


class Dtls:
    """One connection.

    Call `take` after each other call, and send what it gives; call `timeout` when `seconds_left` have passed.

    Attributes:
        keys: Set when the handshake is through and the certificate is the right one.
        closed: The other side has said goodbye.
    """

    def __init__(self, identity: Identity, fingerprints: Sequence[tuple[str, bytes]], *, active: bool) -> None:
        self._fingerprints = fingerprints
        self._active = active
        self._received = 0
        self._connection = SSL.Connection(identity.context, None)
        self._connection.set_ciphertext_mtu(MTU)
        if active:
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()
        self.keys: Keys | None = None
        self.closed = False

    def start(self) -> None:
        """Begin, where we are the active side.

        Raises:
            ProtocolError: as `receive`.
        """
        if self._active:
            self._handshake()

    def receive(self, datagram: bytes) -> None:
        """Take what came.

        Raises:
            ProtocolError: the handshake failed: no common cipher or SRTP profile, another certificate than was offered,
                or more datagrams than a handshake takes.
        """
        if self.keys is None:
            self._received += 1
            if self._received > MAX_HANDSHAKE_DATAGRAMS:
                raise ProtocolError("the DTLS handshake does not come to an end")
        self._connection.bio_write(datagram)
        if self.keys is None:
            self._handshake()
        else:
            self._read()

    def take(self) -> list[bytes]:
        """Datagrams to send: whole records, as many in one as the MTU allows."""
        try:
            written = self._connection.bio_read(1 << 16)
        except SSL.WantReadError:
            return []
        datagrams: list[bytes] = []
        for record in _records(written):
            if datagrams and len(datagrams[-1]) + len(record) <= MTU:
                datagrams[-1] += record
            else:
                datagrams.append(record)
        return datagrams

    def seconds_left(self) -> float | None:
        """Until our flight has to be sent again (RFC 6347, 4.2.4); None: nothing waits for an answer."""
        left: float | None = self._connection.DTLSv1_get_timeout()
        return left

    def timeout(self) -> None:
        """Send our flight again.

        Raises:
            ProtocolError: it was sent too often.
        """
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error as error:
            raise ProtocolError("the DTLS handshake was not answered") from error

    def close(self) -> None:
        """Say goodbye."""
        if self.keys is None or self.closed:
            return
        try:
            self._connection.shutdown()
        except SSL.Error:
            pass  # it is over either way

    def _handshake(self) -> None:
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise ProtocolError(f"the DTLS handshake failed: {_words(error)}") from error
        self._check_certificate()
        self.keys = self._export()

    def _check_certificate(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise ProtocolError("the DTLS handshake failed: no certificate was shown")
        der = certificate.public_bytes(serialization.Encoding.DER)
        for name, digest in self._fingerprints:
            if hmac.compare_digest(hashlib.new(name.replace("-", ""), der).digest(), digest):
                return
        raise ProtocolError("the DTLS certificate is not the one whose fingerprint was offered")

    def _export(self) -> Keys:
        name = self._connection.get_selected_srtp_profile().decode()
        profile = next((each for each in PROFILES if each.name == name), None)
        if profile is None:
            raise ProtocolError("the DTLS handshake agreed on no SRTP profile")
        key, salt = profile.key_bytes, profile.salt_bytes
        material = self._connection.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (key + salt), None)
        client = material[:key] + material[2 * key : 2 * key + salt]
        server = material[key : 2 * key] + material[2 * key + salt :]
        return Keys(profile, client, server) if self._active else Keys(profile, server, client)

    def _read(self) -> None:
        """Let late handshake messages be answered and alerts be seen; application data is not for us."""
        for _ in range(MAX_READS):
            try:
                self._connection.recv(2048)
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.closed = True
                return
            except SSL.Error:
                return  # garbage from the network ends nothing; silence will


def _records(written: bytes) -> Iterator[bytes]:
    at = 0
    while at + _RECORD_HEADER_BYTES <= len(written):
        end = at + _RECORD_HEADER_BYTES + int.from_bytes(written[at + 11 : at + 13], "big")
        yield written[at:end]
        at = end


def _any_certificate(*_: object) -> bool:
    """Self-signed ones are what WebRTC has: the fingerprint is checked after the handshake."""
    return True


_ADVICE = {
    "wrong curve": (
        "its certificate is on a curve that TLS has left behind (RFC 8422), as ffmpeg makes it where it was built with "
        "GnuTLS: give ffmpeg one on P-256, with -cert_file and -key_file (docs/meetings.md)"
    ),
    "no shared cipher": "it has no cipher of ours: ECDHE with AES-GCM or ChaCha20",
    "unsupported protocol": "it speaks an older version than DTLS 1.2",
}
"""What OpenSSL's words mean for who publishes."""


def _words(error: SSL.Error) -> str:
    """OpenSSL's reasons, without its codes."""
    reasons = error.args[0] if error.args and isinstance(error.args[0], list) else []
    words = [str(each[-1]) for each in reasons if each]
    return ", ".join(_ADVICE.get(word, word) for word in words) or type(error).__name__


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "WebRTC")])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .sign(key, hashes.SHA256())
    )
