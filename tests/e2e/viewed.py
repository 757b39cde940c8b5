"""What a viewer of a livestream got: the whole of a live playlist, decoded, each frame at its wall-clock time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urljoin

import av
import httpx
import numpy as np
from numpy.typing import NDArray

from tests.e2e.support import renditions


@dataclass
class Stretch:
    """Segments between two discontinuities: a file, and the wall-clock time of its first sample (seconds)."""

    data: bytes
    wall_s: float


def stretches(client: httpx.Client, url: str) -> list[Stretch]:
    """A media playlist's segments, downloaded."""
    found: list[Stretch] = []
    init, fresh, wall_s, gap = b"", True, 0.0, False
    for line in client.get(url).raise_for_status().text.splitlines():
        if line.startswith("#EXT-X-MAP:"):
            new = client.get(urljoin(url, line.split('"')[1])).raise_for_status().content
            fresh, init = fresh or new != init, new
        elif line == "#EXT-X-DISCONTINUITY":
            fresh = True
        elif line == "#EXT-X-GAP":
            gap = True
        elif line and line[0] != "#" and gap:
            gap, fresh = False, True
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            wall_s = datetime.fromisoformat(line.partition(":")[2]).timestamp()
        elif line and line[0] != "#":
            data = client.get(urljoin(url, line)).raise_for_status().content
            if fresh:
                found.append(Stretch(init, wall_s))
            found[-1].data += data
            fresh = False
    return found


def frames(stretch: Stretch, kind: str) -> Iterator[tuple[float, av.VideoFrame | av.AudioFrame]]:
    """Decoded frames with their wall-clock times."""
    with av.open(io.BytesIO(stretch.data), format="mp4") as container:
        first: float | None = None
        for frame in container.decode(video=0) if kind == "video" else container.decode(audio=0):
            assert frame.time is not None
            first = frame.time if first is None else first
            yield stretch.wall_s + frame.time - first, frame


@dataclass
class Viewed:
    """A livestream's picture at some points, and its sound.

    Attributes:
        times: Wall-clock second of each frame.
        colours: Mean (Y, U, V) around each point of each frame; shape (frames, points, 3).
        sound: One channel, 48 kHz.
        sound_s: Wall-clock second of each sample of `sound`.
        discontinuities: How often the picture began anew.
    """

    times: NDArray[np.float64]
    colours: NDArray[np.float64]
    sound: NDArray[np.float32]
    sound_s: NDArray[np.float64]
    discontinuities: int

    def colour(self, point: int, begin_s: float, end_s: float) -> NDArray[np.float64]:
        """Mean (Y, U, V) of a point between two wall-clock times."""
        inside = (self.times >= begin_s) & (self.times < end_s)
        mean: NDArray[np.float64] = self.colours[inside, point].mean(axis=0)
        return mean

    def level(self, hertz: float, begin_s: float, end_s: float) -> float:
        """Amplitude of a tone between two wall-clock times, of what is within 2 % of its pitch."""
        wave = self.sound[(self.sound_s >= begin_s) & (self.sound_s < end_s)]
        around = np.abs(np.fft.rfftfreq(len(wave), 1 / 48_000) - hertz) < 0.02 * hertz
        window = np.hanning(len(wave))
        reference = window * np.sin(2 * np.pi * hertz * np.arange(len(wave)) / 48_000)
        powers = [(np.abs(np.fft.rfft(one)[around]) ** 2).sum() for one in (wave * window, reference)]
        return float(np.sqrt(powers[0] / powers[1]))


def view(playback_url: str, points: list[tuple[int, int]]) -> Viewed:
    """Download and decode all that the playlists list."""
    times, colours, sound, sound_s = [], [], [np.zeros(0, np.float32)], [np.zeros(0)]
    with httpx.Client(timeout=20) as client:
        urls = renditions(client, playback_url)
        pictures = stretches(client, urls["video"])
        for stretch in pictures:
            for at, frame in frames(stretch, "video"):
                assert isinstance(frame, av.VideoFrame)
                times.append(at)
                colours.append([_colour(frame, x, y) for x, y in points])
        for stretch in stretches(client, urls["audio"]):
            for at, frame in frames(stretch, "audio"):
                assert isinstance(frame, av.AudioFrame)
                samples = frame.to_ndarray()[0].astype(np.float32)
                sound.append(samples)
                sound_s.append(at + np.arange(len(samples)) / 48_000)
    return Viewed(np.array(times), np.array(colours), np.concatenate(sound), np.concatenate(sound_s), len(pictures) - 1)


def _colour(frame: av.VideoFrame, x: int, y: int) -> list[float]:
    values = []
    for plane, shift in zip(frame.planes, (0, 1, 1), strict=True):
        pixels = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
        cx, cy = x >> shift, y >> shift
        values.append(float(pixels[cy - 3 : cy + 4, cx - 3 : cx + 4].mean()))
    return values
