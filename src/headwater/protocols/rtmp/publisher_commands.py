"""What a publisher asks of the server, and the answers that encoders expect (RTMP 1.0, 7.2).

    connect ─► releaseStream, FCPublish, createStream, ... ─► publish ─► FCUnpublish, closeStream, deleteStream

The commands of one connection, without its bytes: `headwater.protocols.rtmp.server` has those, and the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from headwater.errors import ProtocolError
from headwater.protocols.rtmp import commands, messages
from headwater.protocols.rtmp.commands import Command
from headwater.protocols.rtmp.events import PublishEnded, PublishRequested

MAX_MESSAGE_STREAMS = 8
"""Streams that one connection may create; encoders create one, some try twice."""

FOURCCS = ("avc1", "hvc1", "av01", "vp09", "Opus", "mp4a", ".mp3")
"""What enhanced RTMP codecs we take, as connect answers it; four of video, three of audio."""

_CAN_DECODE = 1
_CAPS_MULTITRACK, _CAPS_MODEX, _CAPS_NANO_OFFSET = 2, 4, 8

CommandEvent: TypeAlias = PublishRequested | PublishEnded


class PublisherCommands:
    """Answers commands into `out`.

    Attributes:
        publish_stream: Message stream of the publish that is asked for or under way; 0 where there is none.
    """

    __slots__ = (
        "_app",
        "_chunk_size",
        "_encoder",
        "_fc_published",
        "_handlers",
        "_out",
        "_published",
        "_streams",
        "_window",
        "publish_stream",
    )

    def __init__(self, out: bytearray, *, chunk_size: int, window: int) -> None:
        """
        Args:
            out: Where the answers go.
            chunk_size: What we announce, bytes; the answer to connect is the first to use it.
            window: The acknowledgement window that we ask for, bytes.
        """
        self.publish_stream = 0
        self._out = out
        self._chunk_size = chunk_size
        self._window = window
        self._app: str | None = None
        self._encoder = ""
        self._streams: set[int] = set()
        self._fc_published = False
        self._published = False
        self._handlers: dict[str, Callable[[Command, int], CommandEvent | None]] = {
            "connect": self._on_connect,
            "createStream": self._on_create_stream,
            "publish": self._on_publish,
            "FCPublish": self._on_fc_publish,
            "releaseStream": self._on_courtesy,
            "getStreamLength": self._on_courtesy,
            "_checkbw": self._on_courtesy,
            "checkBandwidth": self._on_courtesy,
            "FCUnpublish": self._on_fc_unpublish,
            "closeStream": self._on_close_stream,
            "deleteStream": self._on_delete_stream,
            "play": self._on_play,
            "play2": self._on_play,
        }

    def handle(self, command: Command, stream_id: int) -> CommandEvent | None:
        """Answer a command that came on a message stream; return what the caller must know of it.

        Raises:
            ProtocolError: connect came twice, or not first; a name is too long.
        """
        handler = self._handlers.get(command.name)
        if handler is None:
            # FMS answers an unknown command with an error; encoders ignore it, and none waits for more.
            if command.transaction:
                self._error(command, "NetConnection.Call.Failed", "this server does not know that command")
            return None
        if self._app is None and command.name != "connect":
            raise ProtocolError("a command came before connect")
        return handler(command, stream_id)

    def accept(self) -> None:
        """Answer publish: media is welcome."""
        self._out += messages.user_control(messages.STREAM_BEGIN, self.publish_stream)
        if self._fc_published:
            self._status("status", "NetStream.Publish.Start", "publishing", name="onFCPublish")
        self._status("status", "NetStream.Publish.Start", "publishing")

    def reject(self, code: str, description: str) -> None:
        """Say why it ends here: to publish, or to connect where that was not answered yet."""
        if self._app is None:
            refusal = commands.error(
                1, "NetConnection.Connect.Rejected", description, chunk_size=messages.DEFAULT_CHUNK_SIZE
            )
            self._out += refusal
            return
        if self._fc_published:
            self._status("error", code, description, name="onFCPublish")
        self._status("error", code, description)

    def _on_connect(self, command: Command, _: int) -> None:
        if self._app is not None:
            raise ProtocolError("connect came twice")
        properties = command.properties()
        app, encoder = properties.get("app"), properties.get("flashVer")
        self._app = app[: commands.MAX_NAME] if isinstance(app, str) else ""
        self._encoder = encoder[: commands.MAX_NAME] if isinstance(encoder, str) else ""
        self._out += messages.window_acknowledgement_size(self._window)
        self._out += messages.set_peer_bandwidth(self._window)
        self._out += messages.set_chunk_size(self._chunk_size)
        self._result(command, _server_properties(), _connect_information(properties))

    def _on_create_stream(self, command: Command, _: int) -> None:
        if len(self._streams) >= MAX_MESSAGE_STREAMS:
            self._error(command, "NetConnection.Call.Failed", f"{MAX_MESSAGE_STREAMS} streams exist already")
            return
        number = next(number for number in range(1, MAX_MESSAGE_STREAMS + 1) if number not in self._streams)
        self._streams.add(number)
        self._result(command, None, number)

    def _on_courtesy(self, command: Command, _: int) -> None:
        """What encoders ask by habit; some wait for the answer."""
        self._result(command, None, None)

    def _on_fc_publish(self, command: Command, _: int) -> None:
        self._fc_published = True
        self._result(command, None, None)

    def _on_publish(self, command: Command, stream_id: int) -> CommandEvent | None:
        if self._published:
            self._status("error", "NetStream.Publish.BadName", "a connection publishes once", stream_id=stream_id)
            return None
        self._published = True
        self.publish_stream = stream_id or 1
        return PublishRequested(self._app or "", command.text(1), self._encoder)

    def _on_fc_unpublish(self, command: Command, _: int) -> CommandEvent | None:
        self._fc_published = False
        self._result(command, None, None)
        return self._end_publish(command)

    def _on_close_stream(self, command: Command, stream_id: int) -> CommandEvent | None:
        return self._end_publish(command) if stream_id in (0, self.publish_stream) else None

    def _on_delete_stream(self, command: Command, _: int) -> CommandEvent | None:
        number = command.arguments[1] if len(command.arguments) > 1 else None
        if isinstance(number, float) and number == number:
            self._streams.discard(int(number) if abs(number) < 1 << 31 else 0)
        return self._end_publish(command) if number in (None, self.publish_stream) else None

    def _end_publish(self, command: Command) -> CommandEvent | None:
        if not self.publish_stream:
            return None
        self._status("status", "NetStream.Unpublish.Success", "the publish has ended")
        self.publish_stream = 0
        return PublishEnded(command.name)

    def _on_play(self, _: Command, stream_id: int) -> None:
        description = "playback is not offered over RTMP; use the livestream's playback URL"
        self._status("error", "NetStream.Play.Failed", description, stream_id=stream_id)

    def _result(self, command: Command, *values: object) -> None:
        if command.transaction:
            self._out += commands.result(command.transaction, *values, chunk_size=self._chunk_size)

    def _error(self, command: Command, code: str, description: str) -> None:
        self._out += commands.error(command.transaction, code, description, chunk_size=self._chunk_size)

    def _status(
        self, level: str, code: str, description: str, *, name: str = "onStatus", stream_id: int | None = None
    ) -> None:
        number = self.publish_stream if stream_id is None else stream_id
        self._out += commands.status(number, level, code, description, name=name, chunk_size=self._chunk_size)


def _server_properties() -> dict[str, object]:
    # Old encoders look at the version of Adobe's server before they use FCPublish and H.264.
    return {"fmsVer": "FMS/3,5,7,7009", "capabilities": 31.0, "mode": 1.0}


def _connect_information(properties: dict[str, object]) -> dict[str, object]:
    """The second answer to connect; with enhanced RTMP's abilities where the publisher named its own (v2, connect)."""
    information = commands.status_object("status", "NetConnection.Connect.Success", "connected")
    encoding = properties.get("objectEncoding")
    information["objectEncoding"] = 3.0 if encoding == 3 else 0.0
    if any(key in properties for key in ("fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx")):
        information["fourCcList"] = list(FOURCCS)
        information["videoFourCcInfoMap"] = dict.fromkeys(FOURCCS[:4], _CAN_DECODE)
        information["audioFourCcInfoMap"] = dict.fromkeys(FOURCCS[4:], _CAN_DECODE)
        information["capsEx"] = _CAPS_MULTITRACK | _CAPS_MODEX | _CAPS_NANO_OFFSET
    return information
