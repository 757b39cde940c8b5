"""A publisher's RTMP connection, from the server's side; sans I/O.

    HANDSHAKE ──C2──► IDLE ──publish──► DECIDING ──accept_publish──► PUBLISHING
                                            │                            │
                              reject, FCUnpublish, closeStream, deleteStream, a wait that runs out
                                            └──────────► CLOSED ◄────────┘

A connection publishes once: encoders that publish again connect again.

In: bytes, and the time. Out: events (media among them), bytes to send, the time of the next timeout. After every call,
    what `data_to_send` returns must be sent. Deliberately absent: playing, shared objects, RTMPE, RTMPT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from headwater.errors import ProtocolError
from headwater.protocols.rtmp import commands, messages
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.events import Event, Metadata, PublishRequested, TimedOut
from headwater.protocols.rtmp.handshake import RANDOM_SIZE, ServerHandshake
from headwater.protocols.rtmp.messages import Message
from headwater.protocols.rtmp.publisher_commands import PublisherCommands

MAX_AMF_MESSAGE = 64 * 1024
"""One command or data message of an admitted publisher, bytes; onMetaData takes 300 to 2,000."""

_NO_EVENTS: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Limits of one connection; `pipeline.ingest.settings` says why each has its value. Times are in seconds."""

    handshake_timeout_s: float = 5.0
    publish_timeout_s: float = 15.0
    first_media_timeout_s: float = 20.0
    idle_timeout_s: float = 4.25
    stall_timeout_s: float = 20.0
    max_unauthenticated_bytes: int = 512 * 1024
    max_unauthenticated_message: int = 16 * 1024
    max_message: int = 8 * 1024 * 1024
    max_chunk_streams: int = 64
    min_chunk_size: int = 128
    chunk_size: int = 60_000
    window_acknowledgement_size: int = 2_500_000


class State(Enum):
    HANDSHAKE = auto()
    IDLE = auto()
    DECIDING = auto()
    PUBLISHING = auto()
    CLOSED = auto()


class ServerSession:
    """One connection.

    Attributes:
        state: Where it stands, see the module's table.
        media_messages: Audio and video messages handed out.
        outgoing: Not empty: there is something for `data_to_send` to return.
    """

    __slots__ = (
        "_acknowledge_at",
        "_commands",
        "_demuxer",
        "_handshake",
        "_last_heard",
        "_last_media",
        "_limits",
        "_opened",
        "_ping_sent",
        "_received",
        "_started",
        "_takes_media",
        "_window",
        "media_messages",
        "outgoing",
        "state",
    )

    def __init__(self, limits: SessionLimits, *, random: bytes, now: float) -> None:
        """
        Args:
            random: `RANDOM_SIZE` random bytes for the handshake.
            now: Seconds on the clock that every later `now` is from.
        """
        assert len(random) == RANDOM_SIZE
        self.state = State.HANDSHAKE
        self.media_messages = 0
        self._limits = limits
        self._handshake: ServerHandshake | None = ServerHandshake(random)
        self._demuxer = Demuxer(
            max_message=limits.max_unauthenticated_message,
            max_chunk_streams=limits.max_chunk_streams,
            min_chunk_size=limits.min_chunk_size,
        )
        self.outgoing = bytearray()
        self._takes_media = False
        self._received = 0
        self._window = 0
        self._acknowledge_at = 1 << 62
        self._opened = self._last_heard = self._last_media = self._started = now
        self._ping_sent = False
        self._commands = PublisherCommands(
            self.outgoing, chunk_size=limits.chunk_size, window=limits.window_acknowledgement_size
        )

    def receive_data(self, data: bytes, now: float) -> Sequence[Event]:
        """Take bytes from the publisher, cut anywhere.

        Returns:
            What they mean, in order. Audio and video come as `Message` tuples, and only while publishing or deciding.

        Raises:
            ProtocolError: the publisher broke the protocol or a limit; close the connection.
        """
        self._last_heard = now
        self._received += len(data)
        if self.state is not State.PUBLISHING:
            if self.state is State.CLOSED:
                return _NO_EVENTS
            if self._received > self._limits.max_unauthenticated_bytes:
                raise ProtocolError("too much was sent before a publish was admitted (max_unauthenticated_bytes)")
            if self._handshake is not None:
                data = self._shake_hands(data)
        received = self._demuxer.feed(data)
        if self._received >= self._acknowledge_at:
            self.outgoing += messages.acknowledgement(self._received)
            self._acknowledge_at = self._received + self._window // 2
        if not received:
            return _NO_EVENTS
        events: list[Event] = []
        media_before = self.media_messages
        for message in received:
            if message[0] == messages.VIDEO or message[0] == messages.AUDIO:
                if self._takes_media:
                    events.append(message)
                    self.media_messages += 1
            else:
                self._control(message, events)
        if self.media_messages != media_before:
            self._last_media = now
        return events

    @property
    def bytes_received(self) -> int:
        """All bytes taken so far."""
        return self._received

    def data_to_send(self) -> bytes:
        """What is to be sent now; each byte is returned once."""
        if not self.outgoing:
            return b""
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data

    def next_timeout(self) -> float | None:
        """When `handle_timeout` is due, on the clock of `now`; None when closed."""
        limits = self._limits
        if self.state is State.CLOSED:
            return None
        if self.state is State.HANDSHAKE:
            return self._opened + limits.handshake_timeout_s
        if self.state is not State.PUBLISHING:
            return self._started + limits.publish_timeout_s
        if not self.media_messages:
            return self._started + limits.first_media_timeout_s
        silent = limits.idle_timeout_s if self._ping_sent else limits.idle_timeout_s / 2
        return min(self._last_heard + silent, self._last_media + limits.stall_timeout_s)

    def handle_timeout(self, now: float) -> Sequence[Event]:
        """Let time pass: says that a wait has run out, or asks a silent publisher for a sign of life.

        A publisher that is silent is lost after `idle_timeout_s`. Half-way it is pinged: one that has nothing to send
        (a slide, a paused source) answers, and then may stay without media for `stall_timeout_s`.
        """
        due = self.next_timeout()
        if self._ping_sent and now - self._last_heard < self._limits.idle_timeout_s / 2:
            self._ping_sent = False
            due = self.next_timeout()
        if due is None or now < due:
            return _NO_EVENTS
        limits = self._limits
        if self.state is State.HANDSHAKE:
            return self._time_out("handshake_timeout_s", "the handshake was not finished in time")
        if self.state is not State.PUBLISHING:
            return self._time_out("publish_timeout_s", "no publish came in time")
        if not self.media_messages:
            return self._time_out("first_media_timeout_s", "no media came after the publish")
        if now >= self._last_media + limits.stall_timeout_s:
            return self._time_out("stall_timeout_s", "the publisher is there and sends no media")
        if now >= self._last_heard + limits.idle_timeout_s:
            return self._time_out("idle_timeout_s", "nothing was received from the publisher")
        self._ping_sent = True
        self.outgoing += messages.user_control(messages.PING_REQUEST, int(now * 1000))
        return _NO_EVENTS

    def accept_publish(self, now: float) -> None:
        """Answer PublishRequested: media is welcome. Raises the limits to those of an admitted publisher."""
        assert self.state is State.DECIDING
        self.state = State.PUBLISHING
        self._started = self._last_media = self._last_heard = now
        self._demuxer.max_message = self._limits.max_message
        self._commands.accept()

    def reject(self, code: str, description: str) -> None:
        """Refuse the publish, or end it, and say why; the connection is to be closed when this is sent.

        Args:
            code: NetStream.Publish.BadName, NetStream.Publish.Denied or NetStream.Publish.Rejected: OBS stops at each.
            description: One sentence; ffmpeg and OBS show it in their logs.
        """
        if self.state is State.CLOSED:
            return
        if self._handshake is None:
            self._commands.reject(code, description)
        self.close()

    def close(self) -> None:
        """No more is to come: later bytes are ignored."""
        self.state = State.CLOSED
        self._takes_media = False

    def _time_out(self, limit: str, description: str) -> Sequence[Event]:
        self.close()
        return (TimedOut(limit, description),)

    def _shake_hands(self, data: bytes) -> bytes:
        assert self._handshake is not None
        rest = self._handshake.receive(data)
        self.outgoing += self._handshake.output
        self._handshake.output = b""
        if rest is None:
            return b""
        self._handshake = None
        self.state = State.IDLE
        return rest

    def _control(self, message: Message, events: list[Event]) -> None:
        """Everything that is not audio or video."""
        type_id, stream_id, timestamp, payload = message
        if type_id in (messages.COMMAND_AMF0, messages.COMMAND_AMF3):
            self._on_command(payload, stream_id, events)
        elif type_id in (messages.DATA_AMF0, messages.DATA_AMF3):
            self._on_data(payload, events)
        elif type_id == messages.USER_CONTROL:
            if payload[:2] == b"\0\6":
                self.outgoing += messages.user_control(messages.PING_RESPONSE, int.from_bytes(payload[2:6], "big"))
        elif type_id == messages.WINDOW_ACKNOWLEDGEMENT_SIZE:
            self._set_window(int.from_bytes(payload[:4], "big"))
        elif type_id == messages.AGGREGATE and self._takes_media:
            for inner in messages.split_aggregate(timestamp, payload):
                if inner[0] in (messages.AUDIO, messages.VIDEO):
                    events.append(inner)
                    self.media_messages += 1
                elif inner[0] in (messages.DATA_AMF0, messages.DATA_AMF3):
                    self._on_data(inner[3], events)
        # Acknowledgements and bandwidth limits bind a sender of media; what we send is a few hundred bytes. Shared
        # objects and unknown types are skipped, as 7.1 wants of extensions.

    def _on_command(self, payload: bytes, stream_id: int, events: list[Event]) -> None:
        if len(payload) > MAX_AMF_MESSAGE:
            raise ProtocolError(f"command of {len(payload)} bytes, {MAX_AMF_MESSAGE} are allowed")
        event = self._commands.handle(commands.decode(payload), stream_id)
        if event is None:
            return
        self._takes_media = isinstance(event, PublishRequested)
        self.state = State.DECIDING if self._takes_media else State.CLOSED
        events.append(event)

    def _set_window(self, size: int) -> None:
        """The publisher wants an acknowledgement at least so often (5.4.4); it gets one at half of it."""
        self._window = size
        self._acknowledge_at = self._received + size // 2 if size else 1 << 62

    def _on_data(self, payload: bytes, events: list[Event]) -> None:
        """onMetaData, bare or inside @setDataFrame; other script data is skipped, and what is too long."""
        if not self._takes_media or len(payload) > MAX_AMF_MESSAGE:
            return
        values = commands.decode_values(payload)
        if values[:1] == ["@setDataFrame"]:
            values = values[1:]
        if len(values) > 1 and values[0] == "onMetaData" and isinstance(values[1], dict):
            events.append(Metadata(_scalars(values[1])))


def _scalars(values: dict[str, object]) -> dict[str, object]:
    """What of metadata is a plain value: nested ones may refer to each other, and nothing needs them."""
    return {key: value for key, value in values.items() if isinstance(value, str | float | bool | int)}
