"""FFmpeg's whip muxer, as a process of its own: `python -m tests.interop.whip_publisher URL SECONDS OPTION=VALUE ...`.

Sends a picture that gets brighter (H.264 Baseline) and silence (Opus), in real time.
"""

from __future__ import annotations

import fractions
import sys
import time

import av
import numpy as np

FPS = 30
OPUS_SAMPLES = 960


def main(url: str, seconds: float, options: dict[str, str]) -> None:
    with av.open(url, "w", format="whip", options=options) as output:
        x264 = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": str(FPS)}
        video = output.add_stream("libx264", rate=FPS, options=x264)
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = output.add_stream("libopus", rate=48000)
        audio.layout = "stereo"
        started, samples = time.monotonic(), 0
        for number in range(int(seconds * FPS)):
            picture = av.VideoFrame.from_ndarray(np.full((360, 640, 3), number % 256, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, fractions.Fraction(1, FPS)
            output.mux(video.encode(picture))
            while samples / 48000 < number / FPS:
                sound = av.AudioFrame.from_ndarray(np.zeros((1, 2 * OPUS_SAMPLES), np.int16), "s16", "stereo")
                sound.sample_rate, sound.pts, samples = 48000, samples, samples + OPUS_SAMPLES
                output.mux(audio.encode(sound))
            time.sleep(max(0.0, started + number / FPS - time.monotonic()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), dict(each.split("=", 1) for each in sys.argv[3:]))
