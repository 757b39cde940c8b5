"""A publisher's RTMP connection, from the publisher's side; sans I/O. For `headwater publish`, restreams and tests.

    HANDSHAKE ──► connect ──► releaseStream, FCPublish, createStream ──► publish ──► PUBLISHING ──finish──► FINISHED

In: bytes. Out: events, bytes to send. After every call, what `data_to_send` returns must be sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeAlias
from urllib.parse import urlsplit

from headwater.errors import CallerError, ProtocolError, PublishRefused
from headwater.protocols import amf0
from headwater.protocols.rtmp import commands, messages
from headwater.protocols.rtmp.commands import Command
from headwater.protocols.rtmp.demuxer import Demuxer
from headwater.protocols.rtmp.handshake import ClientHandshake

FLASH_VERSION = "FMLE/3.0 (compatible; Headwater)"
"""What we call ourselves; `FMLE/3.0` is what servers look for before they speak FCPublish."""

CHUNK_SIZE = 60_000
MAX_SERVER_MESSAGE = 64 * 1024
"""One message of a server to a publisher; the largest is the answer to connect."""

_CONNECT, _CREATE_STREAM = 1, 4
_FC_PUBLISH_LIKE = ("releaseStream", "FCPublish")


@dataclass(frozen=True, slots=True)
class PublishUrl:
    """An RTMP URL, taken apart as encoders do it.

    Attributes:
        tls: `rtmps` was asked for.
        host: Name or address.
        port: 1935, or 443 for RTMPS, where the URL has none.
        app: Application name.
        stream_name: What publish names: the stream key.
    """

    tls: bool
    host: str
    port: int
    app: str
    stream_name: str

    @property
    def tc_url(self) -> str:
        """The URL without the stream name, as connect sends it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rtmps' if self.tls else 'rtmp'}://{host}:{self.port}/{self.app}"


def parse_url(url: str) -> PublishUrl:
    """Take apart `rtmp[s]://HOST[:PORT]/APP/STREAM`; the stream name is the last part of the path, with its query.

    Raises:
        CallerError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise CallerError("that is not a URL") from None
    if parts.scheme not in ("rtmp", "rtmps") or not parts.hostname:
        raise CallerError("the URL must begin with rtmp:// or rtmps:// and name a host")
    app, _, name = parts.path.lstrip("/").rpartition("/")
    if app and not name:
        raise CallerError("No stream key was given: it is the last part of the URL, rtmp://HOST/APP/KEY")
    if not app:
        raise CallerError("the URL must name an application and a stream key: rtmp://HOST/APP/KEY")
    tls = parts.scheme == "rtmps"
    stream_name = f"{name}?{parts.query}" if parts.query else name
    return PublishUrl(tls, parts.hostname, port or (443 if tls else 1935), app, stream_name)


@dataclass(frozen=True, slots=True)
class Publishing:
    """The server wants the media now."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The server has confirmed the end of the publish."""


ClientEvent: TypeAlias = Publishing | Finished


class ClientState(Enum):
    HANDSHAKE = auto()
    CONNECTING = auto()
    PUBLISHING = auto()
    FINISHED = auto()


class ClientSession:
    """One publish.

    Attributes:
        state: Where it stands; media may be sent while PUBLISHING.
    """

    __slots__ = (
        "_acknowledge_at",
        "_chunk_size",
        "_demuxer",
        "_handshake",
        "_out",
        "_received",
        "_stream_id",
        "_url",
        "_window",
        "state",
    )

    def __init__(self, url: PublishUrl, *, random: bytes, chunk_size: int = CHUNK_SIZE) -> None:
        """
        Args:
            random: `RANDOM_SIZE` random bytes for the handshake.
            chunk_size: What we announce to the server and send with, 1 to 0x7FFFFFFF.
        """
        self.state = ClientState.HANDSHAKE
        self._url = url
        self._chunk_size = chunk_size
        self._handshake: ClientHandshake | None = ClientHandshake(random)
        self._demuxer = Demuxer(max_message=MAX_SERVER_MESSAGE)
        self._out: list[bytes] = [self._handshake.output]
        self._handshake.output = b""
        self._stream_id = 0
        self._received = 0
        self._window = 0
        self._acknowledge_at = 1 << 62

    def receive_data(self, data: bytes, now: float = 0.0) -> Sequence[ClientEvent]:
        """Take bytes from the server, cut anywhere.

        Args:
            now: Not used yet; every session takes it.

        Raises:
            ProtocolError: the server broke the protocol.
            PublishRefused: the server refused connect or publish, or ended it; with its code and description.
        """
        self._received += len(data)
        if self._handshake is not None:
            rest = self._handshake.receive(data)
            if rest is None:
                return ()
            self._out.append(self._handshake.output)
            self._handshake = None
            data = rest
            self._connect()
        events: list[ClientEvent] = []
        for type_id, _, _, payload in self._demuxer.feed(data):
            self._message(type_id, payload, events)
        if self._received >= self._acknowledge_at:
            self._out.append(messages.acknowledgement(self._received))
            self._acknowledge_at = self._received + self._window
        return events

    def data_to_send(self) -> bytes:
        """What is to be sent now; each byte is returned once."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def send_video(self, timestamp: int, payload: bytes) -> None:
        """Send a video message.

        Args:
            timestamp: Decode time in milliseconds; its lower 32 bits go over the wire.
            payload: See `headwater.protocols.flv.build_video`.
        """
        self._send(messages.VIDEO_CHUNK_STREAM, messages.VIDEO, timestamp, payload)

    def send_audio(self, timestamp: int, payload: bytes) -> None:
        """Send an audio message; see `send_video` and `headwater.protocols.flv.build_audio`."""
        self._send(messages.AUDIO_CHUNK_STREAM, messages.AUDIO, timestamp, payload)

    def send_metadata(self, values: Mapping[str, object]) -> None:
        """Send onMetaData: width, height, framerate, videocodecid, ... as an ECMA array."""
        payload = amf0.encode_all("@setDataFrame", "onMetaData", amf0.EcmaArray(values))
        self._send(messages.AUDIO_CHUNK_STREAM, messages.DATA_AMF0, 0, payload)

    def finish(self) -> None:
        """Say goodbye: FCUnpublish, deleteStream. Idempotent. Close when it is sent, or wait for `Finished`."""
        if self.state is ClientState.PUBLISHING:
            self._command("FCUnpublish", 6, None, self._url.stream_name)
            self._command("deleteStream", 7, None, float(self._stream_id))
        self.state = ClientState.FINISHED

    def _send(self, chunk_stream: int, type_id: int, timestamp: int, payload: bytes) -> None:
        assert self.state is ClientState.PUBLISHING, "media is sent while publishing"
        self._out.append(messages.chunked(chunk_stream, type_id, self._stream_id, timestamp, payload, self._chunk_size))

    def _command(self, name: str, transaction: int, *arguments: object, stream_id: int = 0) -> None:
        payload = amf0.encode_all(name, transaction, *arguments)
        self._out.append(
            messages.chunked(
                messages.COMMAND_CHUNK_STREAM, messages.COMMAND_AMF0, stream_id, 0, payload, self._chunk_size
            )
        )

    def _connect(self) -> None:
        self.state = ClientState.CONNECTING
        self._out.append(messages.set_chunk_size(self._chunk_size))
        properties = {
            "app": self._url.app,
            "type": "nonprivate",
            "flashVer": FLASH_VERSION,
            "tcUrl": self._url.tc_url,
            "fourCcList": ["hvc1", "av01", "vp09", "Opus"],
        }
        self._command("connect", _CONNECT, properties)

    def _message(self, type_id: int, payload: bytes, events: list[ClientEvent]) -> None:
        if type_id in (messages.COMMAND_AMF0, messages.COMMAND_AMF3):
            self._on_command(commands.decode(payload), events)
        elif type_id == messages.USER_CONTROL and payload[:2] == b"\0\6":
            value = int.from_bytes(payload[2:6], "big")
            self._out.append(messages.user_control(messages.PING_RESPONSE, value))
        elif type_id == messages.WINDOW_ACKNOWLEDGEMENT_SIZE:
            self._window = int.from_bytes(payload[:4], "big")
            self._acknowledge_at = self._received + self._window if self._window else 1 << 62
        elif type_id == messages.SET_PEER_BANDWIDTH:
            # The answer that 5.4.5 asks for: how often the server should acknowledge.
            self._out.append(messages.window_acknowledgement_size(int.from_bytes(payload[:4], "big")))

    def _on_command(self, command: Command, events: list[ClientEvent]) -> None:
        if command.name == "_result" and command.transaction == _CONNECT:
            for transaction, name in enumerate(_FC_PUBLISH_LIKE, 2):
                self._command(name, transaction, None, self._url.stream_name)
            self._command("createStream", _CREATE_STREAM, None)
        elif command.name == "_result" and command.transaction == _CREATE_STREAM:
            number = command.arguments[1] if len(command.arguments) > 1 else None
            if not isinstance(number, float) or not 0 < number < 1 << 31:
                raise ProtocolError("the server answered createStream without a stream number")
            self._stream_id = int(number)
            self._command("publish", 5, None, self._url.stream_name, "live", stream_id=self._stream_id)
        elif command.name == "_error" and command.transaction in (_CONNECT, _CREATE_STREAM):
            raise _refusal(command)  # servers that know no releaseStream or FCPublish say so, and go on
        elif command.name in ("onStatus", "onFCPublish"):
            self._on_status(command, events)

    def _on_status(self, command: Command, events: list[ClientEvent]) -> None:
        status = command.arguments[1] if len(command.arguments) > 1 else None
        if not isinstance(status, dict):
            return
        if status.get("level") == "error":
            raise _refusal(command)
        if command.name != "onStatus":
            return
        if status.get("code") == "NetStream.Publish.Start" and self.state is ClientState.CONNECTING:
            self.state = ClientState.PUBLISHING
            events.append(Publishing())
        elif status.get("code") == "NetStream.Unpublish.Success":
            events.append(Finished())


def _refusal(command: Command) -> PublishRefused:
    status = command.arguments[1] if len(command.arguments) > 1 else None
    values = status if isinstance(status, dict) else {}
    code, description = values.get("code"), values.get("description")
    return PublishRefused(str(code or "NetConnection.Call.Failed"), str(description or "the server gave no reason"))
