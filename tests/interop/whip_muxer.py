"""Publish a colour and a tone by FFmpeg's `whip` muxer: `python -m tests.interop.whip_muxer URL TOKEN FOLDER`.

FFmpeg built with GnuTLS, as PyAV brings it, makes a certificate on P-224, which OpenSSL 4 takes from nobody: here it is
given one on P-256, kept in FOLDER.
"""

from __future__ import annotations

import math
import sys
import time
from array import array
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FRAME_S = 1 / 15
TONE_HZ = 600
SAMPLES = 960


def main() -> None:
    url, token, folder = sys.argv[1:]
    options = {"authorization": token, **certificate(Path(folder))}
    with av.open(url, "w", format="whip", options=options) as output:
        video = output.add_stream("libx264", rate=15, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt, video.profile = 320, 240, "yuv420p", "Baseline"
        video.codec_context.gop_size = 15
        audio = output.add_stream("libopus", rate=48_000, layout="stereo")
        started, shown, heard = time.monotonic(), 0, 0
        while True:
            now = time.monotonic() - started
            while shown * FRAME_S <= now:
                picture = av.VideoFrame(320, 240, "yuv420p")
                for plane, value in zip(picture.planes, (145, 54, 34), strict=True):  # green, BT.601
                    plane.update(bytes([value]) * plane.buffer_size)
                picture.pts, picture.time_base = shown, Fraction(1, 15)
                output.mux(video.encode(picture))
                shown += 1
            while heard * SAMPLES / 48_000 <= now:
                output.mux(audio.encode(tone(heard)))
                heard += 1
            time.sleep(0.01)


def certificate(folder: Path) -> dict[str, str]:
    """Options of the muxer that name a self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    encoding, unlocked = serialization.Encoding.PEM, serialization.NoEncryption()
    cert_file, key_file = folder / "publisher.pem", folder / "publisher.key"
    cert_file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(encoding))
    key_file.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, unlocked))
    return {"cert_file": str(cert_file), "key_file": str(key_file)}


def tone(number: int) -> av.AudioFrame:
    frame = av.AudioFrame("s16", "stereo", SAMPLES)
    first = number * SAMPLES
    values = (round(9000 * math.sin(2 * math.pi * TONE_HZ * (first + at) / 48_000)) for at in range(SAMPLES))
    frame.planes[0].update(array("h", (value for each in values for value in (each, each))).tobytes())
    frame.sample_rate, frame.pts, frame.time_base = 48_000, first, Fraction(1, 48_000)
    return frame


if __name__ == "__main__":
    main()
