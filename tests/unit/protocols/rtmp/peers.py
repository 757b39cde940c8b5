"""Publishers made of bytes, as the encoders of the field send them; and a reader of what the server answers."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.errors import ProtocolError
from headwater.protocols import amf0
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.events import Event
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.protocols.rtmp.messages import COMMAND_AMF0, Message, chunked
from headwater.protocols.rtmp.server import ServerSession, SessionLimits

RANDOM = bytes(RANDOM_SIZE)
HANDSHAKE = b"\3" + bytes(1536)
C2 = bytes(1536)
AVCC = bytes.fromhex("014d4014ffe10018674d4014eca0a0fd8088000003000800000301e078a14cb001000468ce3c80")
ASC = bytes.fromhex("1210")


def command(*values: object, stream_id: int = 0, type_id: int = COMMAND_AMF0, chunk_size: int = 128) -> bytes:
    lead = b"\0" if type_id == 17 else b""
    return chunked(3, type_id, stream_id, 0, lead + amf0.encode_all(*values), chunk_size)


def connect(app: str = "live", **properties: object) -> bytes:
    return command("connect", 1, {"app": app, "flashVer": "FMLE/3.0", "tcUrl": f"rtmp://host/{app}", **properties})


OBS = [
    chunked(2, 1, 0, 0, (4096).to_bytes(4, "big"), 128),
    connect(type="nonprivate", swfUrl="rtmp://host/live"),
    command("releaseStream", 2, None, "key", chunk_size=4096),
    command("FCPublish", 3, None, "key", chunk_size=4096),
    command("createStream", 4, None, chunk_size=4096),
    command("publish", 5, None, "key", "live", stream_id=1, chunk_size=4096),
]
FFMPEG = [
    connect(type="nonprivate"),
    command("releaseStream", 2, None, "key"),
    command("FCPublish", 3, None, "key"),
    command("createStream", 4, None),
    command("_checkbw", 5, None),
    command("publish", 6, None, "key", "live", stream_id=1),
]
GSTREAMER = [
    connect(capabilities=15.0, audioCodecs=4071.0, videoCodecs=252.0, fpad=False),
    chunked(2, 5, 0, 0, (2_500_000).to_bytes(4, "big"), 128),
    command("createStream", 2, None),
    command("FCPublish", 3, None, "key"),
    command("releaseStream", 4, None, "key"),
    command("publish", 5, None, "key", "live", stream_id=1),
]
AMF3_ENCODER = [
    connect(objectEncoding=3.0),
    command("createStream", 2, None, type_id=17),
    command("publish", 3, None, "key", "live", stream_id=1, type_id=17),
]


class Peer:
    """Drives a session by hand; time is `now`."""

    def __init__(self, limits: SessionLimits | None = None, now: float = 0.0) -> None:
        self.now = now
        self.session = ServerSession(limits or SessionLimits(), random=RANDOM, now=now)
        self.events: list[Event] = []
        self.answers: list[Message] = []
        self._reader = Demuxer(max_message=1 << 20)
        self._skip = 3073

    def send(self, data: bytes) -> Sequence[Event]:
        events = self.session.receive_data(data, self.now)
        self.events.extend(events)
        self.read()
        return events

    def wait(self, seconds: float) -> Sequence[Event]:
        self.now += seconds
        events = self.session.handle_timeout(self.now)
        self.events.extend(events)
        self.read()
        return events

    def read(self) -> list[Message]:
        data = self.session.data_to_send()
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        new = self._reader.feed(data[skipped:]) if data[skipped:] else []
        self.answers.extend(new)
        return new

    def commands(self) -> list[list[object]]:
        """The server's commands so far."""
        return [amf0.decode_all(payload) for type_id, _, _, payload in self.answers if type_id == COMMAND_AMF0]

    def statuses(self, name: str = "onStatus") -> list[dict[str, object]]:
        return [values[3] for values in self.commands() if values[0] == name and isinstance(values[3], dict)]

    def shake_hands(self) -> Peer:
        self.send(HANDSHAKE)
        self.send(C2)
        return self

    def publish(self, sequence: list[bytes] | None = None) -> Peer:
        """Up to the admitted publish."""
        self.shake_hands()
        for data in sequence or OBS:
            self.send(data)
        self.session.accept_publish(self.now)
        self.read()
        return self


def refused(peer: Peer, data: bytes) -> str:
    """The reason why the session gave up on these bytes."""
    try:
        peer.send(data)
    except ProtocolError as error:
        return str(error)
    raise AssertionError("the bytes were taken")
