"""Sound for viewers by WebRTC: AAC and MP3 through the process that makes it Opus, decoded again and listened to."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import av
import numpy as np
import pytest

from headwater.media.aac import parse_asc
from headwater.media.mp3 import parse_mp3_header
from headwater.pipeline.whep.sound import SoundCoder

RATE = 44_100
SECONDS = 3
TONE_HZ = 1000


def coded(codec: str) -> tuple[bytes, list[bytes]]:
    """A tone of three seconds: configuration record and access units."""
    encoder = av.CodecContext.create(codec, "w")
    encoder.sample_rate, encoder.layout, encoder.format = RATE, "stereo", {"aac": "fltp"}.get(codec, "s16p")
    encoder.bit_rate = 128_000
    encoder.open()
    size = encoder.frame_size
    packets = []
    for at in range(0, RATE * SECONDS, size):
        tone = 0.25 * np.sin(2 * np.pi * TONE_HZ * (np.arange(size) + at) / RATE)
        samples = np.stack([tone, tone])
        samples = samples.astype(np.float32) if codec == "aac" else (32767 * samples).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format=encoder.format.name, layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, Fraction(1, RATE)
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    return bytes(encoder.extradata or b""), [bytes(packet) for packet in packets]


async def ended(coder: SoundCoder) -> None:
    """Closed, and its process gone."""
    coder.close()
    assert coder._task is not None
    await asyncio.wait([coder._task])


@pytest.mark.parametrize("codec", ["aac", "libmp3lame"])
async def test_what_goes_in_comes_out_as_opus_in_time(codec: str) -> None:
    record, units = coded(codec)
    config = parse_asc(record) if codec == "aac" else parse_mp3_header(units[0])
    unit_ms = config.frame_samples * 1000 / RATE
    got: list[tuple[float, bytes]] = []
    coder = SoundCoder(config, lambda due_ms, packet: got.append((due_ms, packet)))
    began = None
    try:
        async with asyncio.timeout(20):
            for index, unit in enumerate(units):
                due_ms = 1_000_000 + index * unit_ms
                coder.push(due_ms, unit)
                if not got:
                    await asyncio.sleep(unit_ms / 1000)  # as it comes, until the process has started
                    continue
                began = began or due_ms
                while due_ms - got[-1][0] > 100:
                    await asyncio.sleep(0.001)
    finally:
        await ended(coder)
    assert began is not None and got[0][0] > began - 200, "what has waited for its start is not heard"
    steps = np.diff([due_ms for due_ms, _ in got])
    assert len(got) > 20 and steps.min() > 19.8 and steps.max() < 20.2
    decoder = av.CodecContext.create("libopus", "r")
    samples = np.concatenate(
        [
            frame.to_ndarray().astype(np.float64)[0]
            for _, packet in got[3:]
            for frame in decoder.decode(av.Packet(packet))
        ]
    )
    channels = 2
    spectrum = np.abs(np.fft.rfft(samples[::channels]))
    assert abs(spectrum.argmax() * 48_000 / len(samples[::channels]) - TONE_HZ) < 5


async def test_a_process_that_dies_is_replaced() -> None:
    record, units = coded("aac")
    got: list[float] = []
    coder = SoundCoder(parse_asc(record), lambda due_ms, packet: got.append(due_ms))
    try:
        async with asyncio.timeout(20):
            for index in range(2000):
                coder.push(index * 23.2, units[index % len(units)])
                await asyncio.sleep(0.01)
                if len(got) == 5 and coder._process is not None:
                    coder._process.kill()
                if len(got) > 10 and index * 23.2 - got[-1] < 200 and got[-1] - got[4] > 300:
                    break
            assert len(got) > 10
    finally:
        await ended(coder)
