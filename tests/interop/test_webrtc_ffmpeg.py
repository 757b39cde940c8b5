"""FFmpeg's whip muxer publishes: it waits for our DTLS, or opens it itself, and deletes its resource in the end."""

from __future__ import annotations

import asyncio
import datetime
import sys
from pathlib import Path

import av
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.interop.webrtc_endpoint import TOKEN, Endpoint, serving

pytestmark = pytest.mark.skipif("whip" not in av.formats_available, reason="PyAV's FFmpeg has no whip muxer")


@pytest.fixture
def certificate(tmp_path: Path) -> list[str]:
    """Options with a certificate on P-256, as docs/meetings.md has them made."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*form))
    return [f"cert_file={tmp_path / 'cert.pem'}", f"key_file={tmp_path / 'key.pem'}"]


async def publish(endpoint: Endpoint, *options: str) -> int:
    """Run the publisher to its end."""
    command = [sys.executable, "-m", "tests.interop.whip_publisher", endpoint.http + "/whip", "1.5", *options]
    process = await asyncio.create_subprocess_exec(*command, f"authorization={TOKEN}")
    try:
        async with asyncio.timeout(20):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("role", [[], ["whip_flags=dtls_active"]], ids=["waits", "opens"])
async def test_it_is_received(role: list[str], certificate: list[str]) -> None:
    async with serving() as endpoint:
        assert await publish(endpoint, *certificate, *role) == 0
        (publisher,) = endpoint.publishers
        assert publisher.packets["video"] > 40 and publisher.packets["audio"] > 70
        assert publisher.ended == "its resource was deleted" and publisher.compounds > 0
        assert endpoint.webrtc.peers() == 0
        assert publisher.peer is not None
        codec = publisher.peer.sections[1].codec
        assert codec is not None and codec.name == "H264" and codec.parameters["packetization-mode"] == "1"


async def test_its_own_certificate_may_be_too_old_a_kind() -> None:
    """With GnuTLS it makes one on P-224, which OpenSSL 4 does not take: the reason says what to do."""
    async with serving() as endpoint:
        code = await publish(endpoint)
        (publisher,) = endpoint.publishers
        assert (code == 0) == (publisher.packets["video"] > 0)
        if code != 0:
            assert publisher.ended is not None and "-cert_file" in publisher.ended
