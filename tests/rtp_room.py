"""A room whose participants are ffmpeg, sending real RTP: what a broadcast is tested with."""

from __future__ import annotations

import asyncio
import atexit
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from headwater.meetings.tap import Kind, ParticipantView, RoomSnapshot, SourceName, SourceView, TapListener
from headwater.protocols.rtp.packet import is_rtcp
from tests.support import require

VIDEO_ENCODERS = {
    "H264": ["libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline"],
    "VP8": ["libvpx", "-deadline", "realtime", "-cpu-used", "16", "-auto-alt-ref", "0"],
}


LOOP_S = 6
"""What a participant sends, again and again."""


@dataclass(frozen=True)
class Codec:
    """A `TapCodec`."""

    name: str
    clock_rate: int


@dataclass
class Sender:
    """One ffmpeg that sends a source of a participant."""

    process: subprocess.Popen[bytes]
    transports: list[asyncio.DatagramTransport] = field(default_factory=list)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for transport in self.transports:
            transport.close()


class RtpRoom:
    """A `Tap`. Participants join and leave as the test says; ffmpeg cannot be asked for key frames, so it has a GOP.

    Attributes:
        asked: (participant, source) of each request for a key frame.
    """

    def __init__(self, title: str = "Meeting") -> None:
        self.snapshot = RoomSnapshot(title)
        self.asked: list[tuple[str, SourceName]] = []
        self._listeners: list[TapListener] = []
        self._senders: dict[tuple[str, SourceName], Sender] = {}

    def subscribe(self, listener: TapListener) -> Callable[[], None]:
        self._listeners.append(listener)
        listener.state(self.snapshot)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def request_keyframe(self, participant_id: str, source: SourceName) -> None:
        self.asked.append((participant_id, source))

    def change(self, **values: Any) -> None:
        """Change the snapshot and say so."""
        self.snapshot = replace(self.snapshot, **values)
        for listener in self._listeners:
            listener.state(self.snapshot)

    async def join(
        self,
        name: str,
        *,
        colour: str = "gray",
        tone: float | None = None,
        codec: str = "H264",
        size: str = "320x180",
        picture: str = "",
        sound: str = "",
        gop: int = 30,
        packets: bool = True,
    ) -> None:
        """A participant with a plain picture and a tone; or `picture` and `sound`, sources of ffmpeg's lavfi."""
        video = SourceView(tone is not None or bool(sound), True)
        one = ParticipantView(name, name, camera=video)
        self.change(participants=(*self.snapshot.participants, one))
        if packets:
            picture = picture or f"color=c={colour}:s={size}:r=30"
            sound = sound or f"sine=f={tone or 0}:r=48000,volume={8 * 0.2 if tone else 0}"
            self._senders[name, "camera"] = await self._send(name, "camera", codec, picture, sound, gop)

    async def leave(self, name: str) -> None:
        """A participant goes."""
        for key in [key for key in self._senders if key[0] == name]:
            self._senders.pop(key).stop()
        self.change(participants=tuple(one for one in self.snapshot.participants if one.id != name))

    def view(self, name: str, **values: Any) -> None:
        """A participant's mutes change."""
        people = tuple(replace(one, **values) if one.id == name else one for one in self.snapshot.participants)
        self.change(participants=people)

    async def share(self, name: str, *, colour: str = "white", size: str = "640x360") -> None:
        """A participant shares a screen."""
        picture, sound = f"color=c={colour}:s={size}:r=10", "anullsrc=r=48000"
        self._senders[name, "screen"] = await self._send(name, "screen", "VP8", picture, sound, 10)
        self.view(name, screen=SourceView(False, True))

    def close(self) -> None:
        """End every ffmpeg."""
        for sender in self._senders.values():
            sender.stop()
        self._senders.clear()

    async def _send(self, name: str, source: SourceName, codec: str, picture: str, sound: str, gop: int) -> Sender:
        loop = asyncio.get_running_loop()
        ports, transports = [], []
        for kind, track in (("video", Codec(codec, 90_000)), ("audio", Codec("opus", 48_000))):
            transport, _ = await loop.create_datagram_endpoint(
                lambda kind=kind, track=track: _Receiver(self, name, source, kind, track),  # type: ignore[misc]
                local_addr=("127.0.0.1", 0),
            )
            transports.append(transport)
            ports.append(transport.get_extra_info("sockname")[1])
        file = await asyncio.to_thread(_encoded, codec, picture, sound, gop)
        # RTCP goes to the same port, as participants send it (RFC 5761).
        video, audio = (f"rtp://127.0.0.1:{port}?rtcpport={port}&pkt_size=1200" for port in ports)
        command = [require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-stream_loop", "-1", "-t", "90", "-i", file]
        command += ["-map", "0:v", "-c", "copy", "-f", "rtp", video, "-map", "0:a", "-c", "copy", "-f", "rtp", audio]
        process = await asyncio.to_thread(subprocess.Popen, command, stdout=subprocess.DEVNULL)
        return Sender(process, transports)

    def received(self, name: str, source: SourceName, kind: Kind, codec: Codec, data: bytes) -> None:
        for listener in self._listeners:
            if is_rtcp(data):
                listener.rtcp(name, source, data)
            else:
                listener.rtp(name, source, kind, codec, data)


@cache
def _encoded(codec: str, picture: str, sound: str, gop: int) -> str:
    """A file of a source, encoded once: who sends it then takes next to no CPU from who is tested."""
    form = "ts" if codec == "H264" else "mkv"  # TS has parameter sets in the stream, as browsers send them
    command = [require("ffmpeg"), "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", picture]
    command += ["-f", "lavfi", "-i", sound, "-t", str(LOOP_S), "-pix_fmt", "yuv420p"]
    command += ["-c:v", *VIDEO_ENCODERS[codec], "-b:v", "400k", "-g", str(gop)]
    command += ["-c:a", "libopus", "-ac", "2", "-b:a", "64k", f"{_folder()}/{len(os.listdir(_folder()))}.{form}"]
    subprocess.run(command, check=True)
    return command[-1]


@cache
def _folder() -> str:
    folder = tempfile.TemporaryDirectory(prefix="rtp-room-")
    atexit.register(folder.cleanup)
    return folder.name


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, room: RtpRoom, name: str, source: SourceName, kind: Kind, codec: Codec) -> None:
        self._to = room, name, source, kind, codec

    def datagram_received(self, data: bytes, addr: object) -> None:
        room, name, source, kind, codec = self._to
        room.received(name, source, kind, codec, data)
