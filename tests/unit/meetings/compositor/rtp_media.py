"""RTP of small pictures and tones, made in memory: what streams are tested with."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from headwater.meetings.compositor.coding import avcc, length_prefixed
from headwater.protocols.rtp import h264, opus, vp8
from headwater.protocols.rtp.packet import Packet, build

_sequences: dict[tuple[str, int], int] = {}


def pictures(
    codec: str,
    count: int,
    *,
    width: int = 320,
    height: int = 180,
    gop: int = 30,
    luma: int = 120,
    ssrc: int = 1,
    first: int = 0,
) -> Iterator[tuple[float, list[bytes]]]:
    """(seconds, packets) of each of `count` frames at 30 a second, of one shade; a key frame every `gop`.

    Args:
        first: Where timestamps and sequence numbers go on, in frames.
    """
    context = av.CodecContext.create("libx264" if codec == "H264" else "libvpx", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 30), Fraction(30)
    context.gop_size, context.max_b_frames, context.thread_count = gop, 0, 1
    fast = {"preset": "ultrafast", "tune": "zerolatency", "forced-idr": "1"}
    context.options = fast if codec == "H264" else {"deadline": "realtime", "cpu-used": "16", "lag-in-frames": "0"}
    if codec == "H264":
        context.flags |= av.codec.context.Flags.global_header
    context.open()
    coded, sequence = h264.Packetizer(), _sequences.get((codec, ssrc), 0) if first else 0
    if codec == "H264":
        coded.configure(avcc(context.extradata or b""))
    frames_of_vp8 = vp8.Packetizer()
    pixels = np.full((height * 3 // 2, width), 128, np.uint8)
    pixels[:height] = luma
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(pixels, "yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 30)
        packets = []
        for unit in context.encode(frame):
            if codec == "H264":
                payloads = coded.packetize(length_prefixed(bytes(unit)), key=unit.is_keyframe)
            else:
                payloads = frames_of_vp8.packetize(bytes(unit))
            for number, payload in enumerate(payloads):
                marker = number == len(payloads) - 1
                packets.append(
                    build(Packet(marker, 96, sequence & 0xFFFF, 5000 + (first + index) * 3000, ssrc, payload))
                )
                sequence += 1
        _sequences[codec, ssrc] = sequence
        yield index / 30, packets


def sounds(count: int, *, hertz: float = 440, level: float = 0.4, ssrc: int = 2) -> Iterator[tuple[float, bytes]]:
    """(seconds, packet) of each of `count` Opus frames of 20 ms."""
    context = av.CodecContext.create("libopus", "w")
    context.sample_rate, context.layout, context.format = 48_000, "stereo", "flt"
    context.time_base = Fraction(1, 48_000)
    context.open()
    sequence = 0
    for index in range(count):
        wave = level * np.sin(2 * np.pi * hertz * np.arange(index * 960, index * 960 + 960) / 48_000)
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2)[None].astype(np.float32), format="flt", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, index * 960, Fraction(1, 48_000)
        for unit in context.encode(frame):
            for payload in opus.packetize(bytes(unit)):
                yield (
                    sequence * 0.02,
                    build(Packet(False, 111, sequence & 0xFFFF, 7000 + sequence * 960, ssrc, payload)),
                )
                sequence += 1
