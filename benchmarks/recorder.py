"""What recording costs: CPU per MB, the event loop's share and the writer thread's apart, beside plain writes.

A hundred sessions of 3 Mbit/s video and 128 kbit/s audio in parts of a third of a second, in real
time, their hand-overs spread. The bound writes the same bytes, one os.write per part, and
syncs nothing.

    python -m benchmarks.recorder [SESSIONS] [SECONDS]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from headwater.media.aac import parse_asc
from headwater.media.cmaf import InitSegment, Output, Part, SegmentClosed, SegmentOpened
from headwater.media.h264 import parse_avcc
from headwater.media.track import Track
from headwater.pipeline.recorder import DiskWriter, SessionRecorder
from headwater.protocols.isobmff.fragment import AUDIO_ROW, VIDEO_ROW, build_fragment
from headwater.protocols.isobmff.movie import init_segment

VIDEO, AUDIO = 1, 2
TIMESCALE = {VIDEO: 90000, AUDIO: 48000}
PARTS_PER_SEGMENT = 6  # of a third of a second
STEPS_PER_SECOND = 6  # video and audio
AVCC = bytes.fromhex("0164000dffe100196764000dacd94141fb0110000003001000000303c0f142996001000668ebe3cb22c0fdf8f800")


def outputs(segments: int) -> Iterator[list[Output]]:
    """What one session hands over, part by part."""
    tracks = (Track(VIDEO, parse_avcc(AVCC)), Track(AUDIO, parse_asc(b"\x11\x90")))
    yield [InitSegment(t, 0, TIMESCALE[t.id], init_segment(t, TIMESCALE[t.id])) for t in tracks]
    fragments = {
        VIDEO: _fragment(VIDEO, 125_000, 10, 3000, VIDEO_ROW),
        AUDIO: _fragment(AUDIO, 5333, 16, 1024, AUDIO_ROW),
    }
    for msn in range(segments):
        for index in range(PARTS_PER_SEGMENT):
            for track_id, (data, duration) in fragments.items():
                tfdt = (msn * PARTS_PER_SEGMENT + index) * duration
                step: list[Output] = []
                if index == 0:
                    step.append(SegmentOpened(track_id, msn, 0, False, 0, tfdt))
                step.append(Part(track_id, msn, index, tfdt, duration, index == 0, len(data), data))
                if index == PARTS_PER_SEGMENT - 1:
                    step.append(SegmentClosed(track_id, msn, duration * PARTS_PER_SEGMENT))
                yield step


def _fragment(track_id: int, size: int, samples: int, each: int, row: int) -> tuple[bytes, int]:
    payloads = [os.urandom(size // samples)] * samples
    table = [value for _ in range(samples) for value in [each, size // samples, 0, 0][:row]]
    return build_fragment(1, track_id, 1, 0, row, table, payloads), each * samples


async def measure(folder: Path, sessions: int, seconds: int) -> tuple[float, float, float]:
    """(MB written, the loop's CPU seconds, the thread's CPU seconds)"""
    writer = DiskWriter()
    recorders = [SessionRecorder.create(folder / f"{n}.mp4", str(n), writer) for n in range(sessions)]
    steps = list(outputs(seconds // 2))
    loop_s, started = 0.0, time.monotonic()
    for position, step in enumerate(steps):
        for first in range(0, sessions, 10):
            before = time.thread_time()
            for recorder in recorders[first : first + 10]:
                recorder.apply(step)
            loop_s += time.thread_time() - before
            due = started + (position + first / sessions) / STEPS_PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    megabytes = sessions * sum(o.size for step in steps for o in step if isinstance(o, Part)) / 1e6
    await asyncio.gather(*(recorder.close() for recorder in recorders))
    assert not any(recorder.failure for recorder in recorders), "the disk is too slow for this pace"
    thread_s = writer.cpu_s
    await writer.stop()
    return megabytes, loop_s, thread_s


def bound(folder: Path, sessions: int, seconds: int) -> tuple[float, float]:
    """(MB written, CPU seconds) of os.write, part by part."""
    steps = [o.data for step in outputs(seconds // 2) for o in step if isinstance(o, Part) and o.data is not None]
    files = [os.open(folder / f"{n}.bin", os.O_CREAT | os.O_WRONLY) for n in range(sessions)]
    before = time.thread_time()
    for data in steps:
        for file in files:
            os.write(file, data)
    cpu_s = time.thread_time() - before
    for file in files:
        os.close(file)
    return sessions * sum(map(len, steps)) / 1e6, cpu_s


def main() -> None:
    arguments = [int(value) for value in sys.argv[1:]]
    sessions, seconds = (*arguments, *(100, 10)[len(arguments) :])
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        written, loop_s, thread_s = asyncio.run(measure(Path(name), sessions, seconds))
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as name:
        plain, plain_s = bound(Path(name), sessions, seconds)
    per_session = 100 / sessions / seconds
    print(f"recorder: {sessions} sessions of {seconds} s, {written:.0f} MB")
    print(f"  event loop      {loop_s / written * 1e3:6.3f} ms/MB   {loop_s * per_session:.4f} % of a core per session")
    print(f"  writer thread   {thread_s / written * 1e3:6.3f} ms/MB   {thread_s * per_session:.4f} %")
    print(f"  plain os.write  {plain_s / plain * 1e3:6.3f} ms/MB   {plain_s * per_session:.4f} %")


if __name__ == "__main__":
    main()
