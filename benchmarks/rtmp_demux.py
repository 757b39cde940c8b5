"""What one RTMP message costs: bytes of a read, through session, FLV and tracks, to `Publication.push`.

720p30 at 3 Mbit/s with AAC, read as a socket gives it (one read a message), beside a bound of the same run: a plain
copy of the same bytes. Run with `python -m benchmarks.rtmp_demux`.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from headwater.errors import UnsupportedCodec
from headwater.media.access_unit import AccessUnit
from headwater.media.track import Codec, Track
from headwater.pipeline.ingest.tracks import TrackReader
from headwater.protocols.flv import PacketKind, build_audio, build_video
from headwater.protocols.rtmp import messages
from headwater.protocols.rtmp.client import ClientSession, parse_url
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.protocols.rtmp.server import ServerSession, SessionLimits, State

SECONDS = 60
REPEAT = 5
FRAME_BYTES = 11_600
KEY_FRAME_BYTES = 45_000
AAC_BYTES = 340
MESSAGES_PER_SECOND = 30 + 1000 * 48 / 1024
AVCC = bytes.fromhex("014d401effe1001b674d401e965201407b602dc0404050000003001000000303c8f162e48001000468ca8f20")
ASC = bytes.fromhex("1190")


class Sink:
    """A publication that counts."""

    about: Mapping[str, str] = {}

    def __init__(self) -> None:
        self.units = 0

    def configure(self, track: Track) -> None:
        pass

    def refused(self, error: UnsupportedCodec) -> None:
        pass

    def push(self, unit: AccessUnit) -> None:
        self.units += 1

    def patience_ms(self) -> float:
        return 0

    def metadata(self, values: Mapping[str, object]) -> None:
        pass

    def end(self, reason: str, *, regular: bool) -> None:
        pass


def publishing() -> ServerSession:
    session = ServerSession(SessionLimits(), random=bytes(RANDOM_SIZE), now=0)
    client = ClientSession(parse_url("rtmp://host/live/key"), random=bytes(RANDOM_SIZE))
    while session.state is not State.PUBLISHING:
        session.receive_data(client.data_to_send(), 0)
        if session.state is State.DECIDING:
            session.accept_publish(0)
        client.receive_data(session.data_to_send())
    session.receive_data(client.data_to_send(), 0)
    return session


def reads(chunk_size: int) -> list[bytes]:
    """A minute of messages, each as one read."""
    out: list[tuple[float, bytes]] = [(0, messages.set_chunk_size(chunk_size))]

    def add(at: float, type_id: int, payload: bytes) -> None:
        stream = messages.VIDEO_CHUNK_STREAM if type_id == messages.VIDEO else messages.AUDIO_CHUNK_STREAM
        out.append((at, messages.chunked(stream, type_id, 1, int(at), payload, chunk_size)))

    add(0, messages.VIDEO, build_video(PacketKind.CONFIGURATION, Codec.H264, AVCC))
    add(0, messages.AUDIO, build_audio(PacketKind.CONFIGURATION, Codec.AAC, ASC))
    for number in range(30 * SECONDS):
        size = KEY_FRAME_BYTES if number % 60 == 0 else FRAME_BYTES
        body = bytes(range(256)) * (size // 256)
        add(number * 1000 / 30, messages.VIDEO, build_video(PacketKind.CODED, Codec.H264, body, sync=number % 60 == 0))
    for number in range(int(SECONDS * 1000 * 48 / 1024)):
        add(number * 1024 / 48, messages.AUDIO, build_audio(PacketKind.CODED, Codec.AAC, bytes(AAC_BYTES)))
    return [data for _, data in sorted(out, key=lambda item: item[0])]


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of some runs, user and system."""
    best = float("inf")
    for _ in range(REPEAT):
        before = resource.getrusage(resource.RUSAGE_SELF)
        work()
        after = resource.getrusage(resource.RUSAGE_SELF)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def ingest(pieces: Sequence[bytes]) -> int:
    session, sink = publishing(), Sink()
    reader = TrackReader(sink)
    for piece in pieces:
        for event in session.receive_data(piece, 0.0):
            if type(event) is tuple:
                reader.message(event)
    return sink.units


def copy(pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        bytearray(piece)


def main() -> None:
    for name, chunk_size, cut in (
        ("60000-byte chunks, a read a message", 60_000, 0),
        ("4096-byte chunks, a read a message", 4096, 0),
        ("128-byte chunks, a read a message", 128, 0),
        ("4096-byte chunks, 1448-byte reads", 4096, 1448),
    ):
        pieces = reads(chunk_size)
        if cut:
            whole = b"".join(pieces)
            pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
        units = ingest(pieces)
        spent, bound = (
            cpu_seconds(partial(ingest, pieces)),
            cpu_seconds(partial(copy, pieces)),
        )
        print(
            f"{name:40} {spent / units * 1e6:6.2f} us CPU a message (copying the bytes: {bound / units * 1e6:.2f}), "
            f"{spent / SECONDS * 100:.4f} % of a core a stream"
        )


if __name__ == "__main__":
    main()
