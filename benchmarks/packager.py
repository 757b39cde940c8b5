"""CPU of packaging, per access unit, beside the bound that nothing in Python goes below: joining the same payloads.

    python -m benchmarks.packager

One publisher of 720p30 at 3 Mbit/s with AAC, ten minutes of media, packaged as fast as it goes.
"""

from __future__ import annotations

import time

from headwater.media.aac import parse_asc
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import Part
from headwater.media.h264 import parse_avcc
from headwater.media.track import Track
from headwater.pipeline.packager import Packager, PackagerSettings

_AVCC = "0164001effe1001a6764001eacd940a02ff970110000030001000003003c0f162d9601000468ef8fcbfdf8f800"
_SECONDS = 600
_RATE, _GOP = 30, 60
_VIDEO_BYTES, _AUDIO_BYTES = 3_000_000 // 8 // _RATE, 340
_OFFSETS_MS = (67, 167, 67, 0, 33)  # as x264 orders B-frames


def media() -> list[AccessUnit]:
    """The units of both tracks in order of time."""
    video, audio = bytes(_VIDEO_BYTES), bytes(_AUDIO_BYTES)
    units = [
        AccessUnit(1, round(i * 1000 / _RATE), _OFFSETS_MS[i % 5], i % _GOP == 0, video)
        for i in range(_SECONDS * _RATE)
    ]
    units += [AccessUnit(2, round(i * 1024 / 48), 0, True, audio) for i in range(_SECONDS * 48_000 // 1024)]
    return sorted(units, key=lambda unit: unit.dts)


def measure() -> dict[str, float]:
    """CPU microseconds per access unit of the packager and of the bound, and the share of a core per stream."""
    units = media()
    packager = Packager(PackagerSettings(), first_msn=0, now_ms=0)
    packager.configure(Track(1, parse_avcc(bytes.fromhex(_AVCC))))
    packager.configure(Track(2, parse_asc(bytes.fromhex("1190"))))
    push, parts, size = packager.push, 0, 0
    began = time.process_time()
    for unit in units:
        for output in push(unit, unit.dts):
            if type(output) is Part:
                parts += 1
                size += output.size
    packaging = time.process_time() - began
    began = time.process_time()
    for first in range(0, len(units), 23):  # as many units as two parts of 333 ms hold
        b"".join([unit.payload for unit in units[first : first + 23]])
    joining = time.process_time() - began
    return {
        "packager_us_per_unit": packaging / len(units) * 1e6,
        "joining_us_per_unit": joining / len(units) * 1e6,
        "packager_core_percent_per_stream": packaging / _SECONDS * 100,
        "ratio": packaging / joining,
        "parts": float(parts),
        "megabytes": size / 1e6,
    }


def main() -> None:
    for name, value in measure().items():
        print(f"{name:36} {value:10.4g}")


if __name__ == "__main__":
    main()
