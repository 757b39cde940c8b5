"""What the operator may say about composing, and what one broadcast is told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CompositorSettings:
    """How meetings are composed.

    Attributes:
        max_broadcasts: Meetings composed at one time; each takes up to half a core at 720p, and 150 MB.
        fps: Frames per second of the composed picture.
        video_kbps: Of a 1280x720 picture; other sizes get what looks alike.
        audio_kbps: Of the mix, AAC, stereo.
        preset: Of x264: faster ones take less CPU and look worse at the same bit rate.
        playout_delay_ms: From a packet's arrival until it is shown and heard: what the network may delay a packet
            without being seen.
        pass_through: Send a lone participant's H.264 of the right size on as it is, for a tenth of the CPU.
        max_restarts: A compositor that dies is started again, at most this often in `restart_window_s`.
        restart_window_s: See `max_restarts`.
        stop_timeout_s: How long a compositor may take to say goodbye before it is killed.
        queue_bytes: Media waiting for a compositor that does not keep up; beyond it, pictures are left out.
    """

    max_broadcasts: int = 16
    fps: int = 30
    video_kbps: int = 2500
    audio_kbps: int = 128
    preset: str = "veryfast"
    playout_delay_ms: int = 200
    pass_through: bool = True
    max_restarts: int = 5
    restart_window_s: float = 60.0
    stop_timeout_s: float = 3.0
    queue_bytes: int = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """One broadcast, as its compositor is told.

    Attributes:
        url: RTMP URL with the stream key: over the wire, never on a command line.
        width: Of the canvas, even.
        height: Of the canvas, even.
    """

    url: str
    width: int
    height: int
    fps: int
    video_kbps: int
    audio_kbps: int
    preset: str
    playout_delay_ms: int
    pass_through: bool


def job(settings: CompositorSettings, url: str, width: int, height: int) -> Job:
    """The job of one broadcast. The bit rate grows with the number of pixels to the power of 3/4, as quality does."""
    share: float = (width * height / (1280 * 720)) ** 0.75
    return Job(
        url=url,
        width=width,
        height=height,
        fps=settings.fps,
        video_kbps=max(200, round(settings.video_kbps * share)),
        audio_kbps=settings.audio_kbps,
        preset=settings.preset,
        playout_delay_ms=settings.playout_delay_ms,
        pass_through=settings.pass_through,
    )
