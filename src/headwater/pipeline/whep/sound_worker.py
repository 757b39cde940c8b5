"""The process that makes sound Opus for `SoundCoder`: access units on standard input, packets on standard output.

    python -m headwater.pipeline.whep.sound_worker CODEC RECORD_HEX SAMPLE_RATE CHANNELS MEMORY_BYTES

It knows nothing of the server and has nothing that is worth taking: no files of its own, no sockets, no secrets.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

from headwater.pipeline.whep.sound import MAX_UNIT_BYTES, UNIT

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext

BITRATE = 96_000
FRAME_SAMPLES = 960
LOOK_AHEAD_MS = 6.5
"""Of libopus: what comes out was put in so much earlier."""

JUMP_MS = 60.0
"""Sound this far from where it was expected has lost some, or has another beginning."""

MAX_BROKEN = 50
"""Access units in a row that do not decode, before the process gives up."""


def main() -> None:
    """Serve until standard input ends."""
    codec, record, rate, channels, memory_limit_bytes = sys.argv[1:6]
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not end up between the packets
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_AS, int(memory_limit_bytes)),
    ):
        _limit(kind, value)
    coder = Coder(codec, b"" if record == "-" else bytes.fromhex(record), int(rate), int(channels))
    while (unit := _read(source)) is not None:
        for due_ms, packet in coder.code(*unit):
            sink.write(UNIT.pack(len(packet), due_ms) + packet)
        sink.flush()


def _limit(kind: int, value: int) -> None:
    """Lower a soft limit; a system that does not know it goes without."""
    try:
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
    except (OSError, ValueError):
        pass


def _read(source: BinaryIO) -> tuple[float, bytes] | None:
    header = source.read(UNIT.size)
    if len(header) < UNIT.size:
        return None
    size, due_ms = UNIT.unpack(header)
    assert size <= MAX_UNIT_BYTES, "the server checks"
    return due_ms, source.read(size)


class Coder:
    """Decoder, resampler and encoder of one track."""

    def __init__(self, codec: str, record: bytes, rate: int, channels: int) -> None:
        import av  # here, so that the server's own import of this module costs nothing

        self._av = av
        decoder = {"aac": "aac", "mp3": "mp3float"}[codec]
        self._decoder = cast("AudioCodecContext", av.CodecContext.create(decoder, "r"))
        if record:
            self._decoder.extradata = record
        self._decoder.sample_rate, self._decoder.layout = rate, "mono" if channels == 1 else "stereo"
        self._resampler = av.AudioResampler("s16", "stereo", 48_000, FRAME_SAMPLES)
        self._encoder = av.CodecContext.create("libopus", "w")
        self._encoder.sample_rate, self._encoder.layout, self._encoder.format = 48_000, "stereo", "s16"
        self._encoder.bit_rate = BITRATE
        self._encoder.options = {"frame_duration": "20", "application": "audio"}
        self._base_ms: float | None = None
        self._taken = self._given = 0
        self._broken = 0

    def code(self, due_ms: float, payload: bytes) -> Iterator[tuple[float, bytes]]:
        """The Opus packets that an access unit completes, each with when it is due."""
        try:
            frames = self._decoder.decode(self._av.Packet(payload))
            self._broken = 0
        except self._av.FFmpegError:
            self._broken += 1
            if self._broken > MAX_BROKEN:
                raise
            return
        for frame in frames:
            self._set(due_ms)
            self._taken += frame.samples * 48_000 // frame.sample_rate
            frame.pts = None
            for whole in self._resampler.resample(frame):
                whole.pts = self._given
                for packet in self._encoder.encode(whole):
                    assert self._base_ms is not None
                    yield self._base_ms + self._given / 48 - LOOK_AHEAD_MS, bytes(packet)
                self._given += whole.samples

    def _set(self, due_ms: float) -> None:
        """Where the samples that come next belong; a slow drift is followed by a hundredth at a time."""
        if self._base_ms is None:
            self._base_ms = due_ms
        off_ms = due_ms - (self._base_ms + self._taken / 48)
        self._base_ms += off_ms if abs(off_ms) > JUMP_MS else off_ms / 100


if __name__ == "__main__":
    main()
