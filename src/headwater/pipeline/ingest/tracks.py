"""From messages to access units: which tracks a publisher has, and when their configuration changes.

In: audio and video messages. Out: calls of the `Publication`. A sequence header is no access unit; the same one again
    (many encoders repeat it) is no new configuration. What comes before a track's configuration is dropped: nothing
    could decode it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media import aac, av1, h264, hevc, mp3, opus, vp9
from headwater.media.access_unit import AccessUnit
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.ingest.gate import Publication
from headwater.protocols.flv import Packet, PacketKind, parse_audio, parse_video
from headwater.protocols.rtmp.messages import VIDEO, Message
from headwater.protocols.rtmp.timestamps import Unwrapper

MAX_BROKEN_MESSAGES = 50
"""Malformed media messages that are skipped before the publisher is refused; one is an encoder's hiccup."""

_log = logging.getLogger("headwater.ingest")

_PARSERS: dict[Codec, Callable[[bytes], VideoConfig | AudioConfig]] = {
    Codec.H264: h264.parse_avcc,
    Codec.HEVC: hevc.parse_hvcc,
    Codec.AV1: av1.parse_av1c,
    Codec.VP9: vp9.parse_vpcc,
    Codec.AAC: aac.parse_asc,
    Codec.OPUS: opus.parse_opus_head,
}


class _TrackState:
    """What is known of one track."""

    __slots__ = ("codec", "configured", "record", "track_id")

    def __init__(self, track_id: int) -> None:
        self.track_id = track_id
        self.codec: Codec | None = None
        self.record: bytes | None = None
        """The last configuration record as sent; None before the first."""
        self.configured = False
        """The publication knows it; else it waits for the first access unit, which completes it."""


class TrackReader:
    """Turns one publisher's messages into calls of its `Publication`.

    Track ids: video track n is 2n + 1, audio track n is 2n + 2; so the first video is 1 and the first audio 2.
    """

    __slots__ = (
        "_broken",
        "_clock",
        "_ignored",
        "_log",
        "_max_audio",
        "_max_video",
        "_metadata",
        "_publication",
        "_tracks",
    )

    def __init__(self, publication: Publication, *, max_video_tracks: int = 1, max_audio_tracks: int = 1) -> None:
        self._publication = publication
        self._log = logging.LoggerAdapter(_log, publication.about)
        self._max_video = max_video_tracks
        self._max_audio = max_audio_tracks
        self._clock = Unwrapper()
        self._tracks: dict[int, _TrackState] = {}
        self._metadata: Mapping[str, object] = {}
        self._ignored: set[int] = set()
        self._broken = 0

    def metadata(self, values: Mapping[str, object]) -> None:
        """Take onMetaData; its frame rate and picture size fill in what a codec's configuration leaves open."""
        self._metadata = values
        self._publication.metadata(values)

    def message(self, message: Message) -> None:
        """Take one audio or video message.

        Raises:
            UnsupportedCodec: the publisher is to be refused.
            ProtocolError: too many messages were malformed.
        """
        type_id, _, timestamp, payload = message
        try:
            packets = parse_video(payload) if type_id == VIDEO else parse_audio(payload)
        except ProtocolError as error:
            self._skip(error)
            return
        except UnsupportedCodec as error:
            self._publication.refused(error)
            raise
        dts = self._clock.unwrap(timestamp)
        for packet in packets:
            kind, codec, number, sync, offset, body = packet
            track_id = 2 * number + (1 if type_id == VIDEO else 2)
            state = self._tracks.get(track_id) or self._open(track_id, number, type_id == VIDEO)
            if state is None:
                continue
            if kind is PacketKind.CODED:
                if body and codec is state.codec and state.configured:
                    self._publication.push(AccessUnit(track_id, dts, offset, sync, body))
                elif body:
                    self._first_unit(state, packet, dts)
            elif kind is PacketKind.CONFIGURATION:
                self._configuration(state, packet)

    def _open(self, track_id: int, number: int, is_video: bool) -> _TrackState | None:
        if number >= (self._max_video if is_video else self._max_audio):
            if track_id not in self._ignored:
                self._ignored.add(track_id)
                self._log.warning(
                    "%s track %d of a multitrack publish is ignored", "video" if is_video else "audio", number
                )
            return None
        state = self._tracks[track_id] = _TrackState(track_id)
        return state

    def _configuration(self, state: _TrackState, packet: Packet) -> None:
        """A sequence header: new, changed, or repeated."""
        if packet.body == state.record and packet.codec is state.codec:
            return
        if not packet.body:  # some encoders announce the sequence first and send the record with the next one
            return
        try:
            config = _PARSERS[packet.codec](packet.body) if packet.codec in _PARSERS else None
        except ProtocolError as error:
            self._skip(error)
            return
        except UnsupportedCodec as error:
            self._publication.refused(error)
            raise
        if config is None:  # MP3 needs no record
            return
        state.codec, state.record, state.configured = packet.codec, packet.body, False
        if packet.codec is not Codec.OPUS and not (isinstance(config, VideoConfig) and config.width == 0):
            self._configure(state, config)

    def _first_unit(self, state: _TrackState, packet: Packet, dts: int) -> None:
        """An access unit of a track whose configuration needs it (VP9, AV1, Opus, MP3), or that has none yet."""
        try:
            config = self._complete(state, packet)
        except ProtocolError as error:
            self._skip(error)
            return
        except UnsupportedCodec as error:
            self._publication.refused(error)
            raise
        if config is not None:
            state.codec = packet.codec
            self._configure(state, config)
            unit = AccessUnit(state.track_id, dts, packet.composition_offset, packet.sync, packet.body)
            self._publication.push(unit)

    def _complete(self, state: _TrackState, packet: Packet) -> VideoConfig | AudioConfig | None:
        """The configuration with what only the bitstream tells; None: not from this access unit."""
        if packet.codec is Codec.MP3:
            return mp3.parse_mp3_header(packet.body)
        if state.record is None or packet.codec is not state.codec or not packet.sync:
            return None
        if packet.codec is Codec.OPUS:
            config = opus.parse_opus_head(state.record)
            return replace(config, frame_samples=opus.packet_samples(packet.body) or config.frame_samples)
        if packet.codec is Codec.VP9:
            width, height = vp9.key_frame_size(packet.body)
            return vp9.parse_vpcc(state.record, width=width, height=height)
        if packet.codec is Codec.AV1:
            seen = av1.sequence_header(packet.body)
            return replace(av1.parse_av1c(state.record), width=seen.display_width, height=seen.height) if seen else None
        return None

    def _configure(self, state: _TrackState, config: VideoConfig | AudioConfig) -> None:
        if isinstance(config, VideoConfig) and config.frame_rate is None:
            config = replace(config, frame_rate=_frame_rate(self._metadata.get("framerate")))
        self._publication.configure(Track(id=state.track_id, config=config))
        state.configured = True

    def _skip(self, error: ProtocolError) -> None:
        self._broken += 1
        if self._broken == 1:
            self._log.warning("a malformed media message is skipped: %s", error)
        if self._broken > MAX_BROKEN_MESSAGES:
            raise error


def _frame_rate(value: object) -> Fraction | None:
    """Frames per second as metadata states it; NTSC rates come as 29.97."""
    if not isinstance(value, float | int) or not 1 <= value <= 1000:
        return None
    ntsc = Fraction(round(value) * 1000, 1001)
    if abs(float(ntsc) - value) < 0.005 and value != round(value):
        return ntsc
    return Fraction(value).limit_denominator(100)
