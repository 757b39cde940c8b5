"""How loud windows of sound are; it runs in the process that decodes (`origin/thumbnail_worker.py`)."""

from __future__ import annotations

import math
import os
import struct
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a pool of threads takes memory and does nothing here

import av
import numpy as np

from headwater.pipeline.sound import FLOOR_DB, UNSETTLED_FRAMES, Level, Window

DECODERS = {"aac": "aac", "opus": "opus", "mp3": "mp3float"}
"""FFmpeg's decoders to float samples, one plane a channel."""

CONTEXTS = 16
"""Decoders that are kept, some 700 KB each, by configuration: most livestreams share two or three."""


class SoundDecoder:
    """Decodes windows, each by itself; a decoder is opened once for all livestreams that sound alike."""

    def __init__(self) -> None:
        self._contexts: OrderedDict[tuple[str, bytes], Any] = OrderedDict()

    def levels(self, windows: Sequence[Window]) -> list[Level | None]:
        """The level of each; None where it cannot be decoded."""
        return [self._level(window) for window in windows]

    def _level(self, window: Window) -> Level | None:
        try:
            return self._measured(window)
        except Exception:  # any: FFmpeg's errors are many, and one livestream's sound is no other's trouble
            self._contexts.pop((window.codec, window.record), None)
            return None

    def _measured(self, window: Window) -> Level | None:
        context, unsettled = self._context(window), UNSETTLED_FRAMES[window.codec]
        peak = energy = 0.0
        count = 0
        for number, payload in enumerate(window.frames):
            for frame in context.decode(av.Packet(payload)):
                if number < unsettled:
                    continue
                if frame.format.name != "fltp":
                    raise ValueError("not planes of floats")
                for plane in frame.planes:
                    samples = np.frombuffer(plane, np.float32, count=frame.samples)
                    peak = max(peak, float(samples.max()), -float(samples.min()))
                    energy += float(np.dot(samples, samples))
                    count += frame.samples
        if not count or not math.isfinite(energy) or not math.isfinite(peak):
            return None
        return Level(_decibels(peak), _decibels(math.sqrt(energy / count)))

    def _context(self, window: Window) -> Any:
        key = (window.codec, window.record)
        context = self._contexts.pop(key, None)
        if context is None:
            context = av.CodecContext.create(DECODERS[window.codec], "r")
            extradata = opus_head(window.record) if window.codec == "opus" else window.record
            if extradata:
                context.extradata = extradata
            context.thread_count = 1
        else:
            context.flush_buffers()
        self._contexts[key] = context
        while len(self._contexts) > CONTEXTS:
            self._contexts.popitem(last=False)
        return context


def opus_head(record: bytes) -> bytes:
    """The identification header (RFC 7845, 5.1) of a dOps payload: the same fields, little-endian."""
    version, channels, pre_skip, rate, gain, family = struct.unpack_from(">BBHIhB", record)
    return b"OpusHead" + struct.pack("<BBHIhB", version + 1, channels, pre_skip, rate, gain, family) + record[11:]


def _decibels(amplitude: float) -> float:
    return FLOOR_DB if amplitude <= 0 else round(max(FLOOR_DB, 20 * math.log10(amplitude)), 1)
