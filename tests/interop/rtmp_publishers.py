"""Encoders that nobody here wrote, against an `RtmpIngest` with a gate that collects."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from headwater.media.access_unit import AccessUnit
from headwater.pipeline.ingest import IngestSettings, RtmpIngest
from tests.support import require
from tests.unit.ingest.gates import GOOD_KEY, Collected, CollectingGate

SECONDS = 2
RUN_TIMEOUT_S = 40


@dataclass
class Ingest:
    """A running listener."""

    gate: CollectingGate
    url: str

    @property
    def publication(self) -> Collected:
        (publication,) = self.gate.publications
        return publication

    async def ended(self) -> Collected:
        """The one publication, once it has ended."""
        async with asyncio.timeout(10):
            await self.publication.ended.wait()
        return self.publication


@asynccontextmanager
async def ingest(context: ssl.SSLContext | None = None) -> AsyncIterator[Ingest]:
    gate = CollectingGate()
    listener = RtmpIngest(gate, IngestSettings(linger_s=1))
    host, port = await listener.start("127.0.0.1", 0, context)
    try:
        yield Ingest(gate, f"{'rtmps' if context else 'rtmp'}://{host}:{port}/live")
    finally:
        await listener.stop()


async def run(*command: str) -> tuple[int, str]:
    """Run a program to its end; return its exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        require(command[0]),
        *command[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(RUN_TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30")
SOUND = ("-f", "lavfi", "-i", "sine=sample_rate=48000")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac")


async def ffmpeg(url: str, *arguments: str, key: str = GOOD_KEY) -> tuple[int, str]:
    """Publish two seconds."""
    head = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "warning")
    return await run(*head, *arguments, "-t", str(SECONDS), "-f", "flv", f"{url}/{key}")


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server context with a certificate of its own."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    certificate = builder.not_valid_after(now + timedelta(hours=1)).sign(key, hashes.SHA256())
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def steady(units: list[AccessUnit], interval_ms: float) -> bool:
    """Decode times rise, evenly but for the milliseconds' rounding."""
    steps = [later.dts - earlier.dts for earlier, later in pairwise(units)]
    return all(abs(step - interval_ms) <= 1.5 for step in steps)
