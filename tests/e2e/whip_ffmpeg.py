"""FFmpeg's own WHIP muxer (that of PyAV: Debian's FFmpeg is older) as a publisher: a flash and a beep each second.

    python -m tests.e2e.whip_ffmpeg URL STREAM_KEY SECONDS CERTIFICATE KEY

It gets a certificate: its own, where it is built with GnuTLS, is on a curve (P-224) that OpenSSL knows no more.
"""

from __future__ import annotations

import sys
import time
from fractions import Fraction

import av
import numpy as np

WIDTH, HEIGHT, RATE = 640, 360, 30
OPUS_SAMPLES = 960


def main(url: str, key: str, seconds: float, certificate: str, private_key: str) -> None:
    """Publish in real time."""
    whip = {"authorization": key, "cert_file": certificate, "key_file": private_key}
    with av.open(url, "w", format="whip", options=whip) as output:
        options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "bf": "0", "g": "60"}
        video = output.add_stream("libx264", rate=RATE, options=options)
        video.width, video.height, video.pix_fmt, video.bit_rate = WIDTH, HEIGHT, "yuv420p", 700_000
        audio = output.add_stream("libopus", rate=48_000, options={"frame_duration": "20"})
        audio.layout, audio.bit_rate = "stereo", 64_000
        started, frames, sounds = time.monotonic(), 0, 0
        while (at := frames / RATE) < seconds:
            time.sleep(max(0.0, started + at - time.monotonic()))
            output.mux(video.encode(_picture(frames)))
            frames += 1
            while sounds * OPUS_SAMPLES < frames * 48_000 // RATE:
                output.mux(audio.encode(_sound(sounds)))
                sounds += 1


def _picture(number: int) -> av.VideoFrame:
    """Grey bars that move; all white in the first tenth of each second."""
    row = (np.arange(WIDTH) + 4 * number).astype(np.uint8) % 64
    if number % RATE < RATE // 10:
        row[:] = 235
    frame = av.VideoFrame.from_ndarray(np.repeat(np.tile(row, (HEIGHT, 1))[:, :, None], 3, axis=2), format="rgb24")
    frame.pts, frame.time_base = number, Fraction(1, RATE)
    return frame.reformat(format="yuv420p")


def _sound(number: int) -> av.AudioFrame:
    """A tone in the first tenth of each second."""
    at = np.arange(OPUS_SAMPLES) + number * OPUS_SAMPLES
    tone = 8000 * np.sin(2 * np.pi * 440 * at / 48_000) * (at % 48_000 < 4_800)
    frame = av.AudioFrame.from_ndarray(np.repeat(tone.astype(np.int16), 2)[None, :], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, number * OPUS_SAMPLES, Fraction(1, 48_000)
    return frame


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4], sys.argv[5])
