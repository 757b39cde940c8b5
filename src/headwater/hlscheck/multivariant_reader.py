"""The tags of multivariant playlists (draft clause 4.4.6)."""

from __future__ import annotations

from collections.abc import Mapping

from headwater.hlscheck.attributes import Attributes
from headwater.hlscheck.playlist import (
    MediaTag,
    MultivariantPlaylist,
    Problem,
    Variant,
)
from headwater.hlscheck.reader import MEDIA_TAGS, Reader


class MultivariantReader(Reader):
    foreign = MEDIA_TAGS

    def __init__(self, text: str, imported: Mapping[str, str], query: Mapping[str, str]) -> None:
        super().__init__(text, imported, query)
        self.variants: list[Variant] = []
        self.media: list[MediaTag] = []
        self.pending: tuple[Attributes, int] | None = None
        self.handlers = {
            "EXT-X-VERSION": self.on_version,
            "EXT-X-INDEPENDENT-SEGMENTS": self.on_independent,
            "EXT-X-DEFINE": self.on_define,
            "EXT-X-START": self.on_start,
            "EXT-X-STREAM-INF": self.on_stream_inf,
            "EXT-X-I-FRAME-STREAM-INF": self.on_i_frame,
            "EXT-X-MEDIA": self.on_media,
            "EXTM3U": self.nothing,
        }

    def read(self) -> MultivariantPlaylist:
        self.walk()
        self._no_uri()
        return MultivariantPlaylist(
            lines=self.line,
            version=self.version,
            independent_segments=self.independent,
            variants=tuple(self.variants),
            media=tuple(self.media),
            features=tuple(self.features),
            tag_lines=self.tag_lines,
            unknown_tags=self.unknown,
            problems=self.problems,
            variables=self.variables,
        )

    def _no_uri(self) -> None:
        if self.pending is not None:
            self.keep(Problem("segment-syntax", self.pending[1], "EXT-X-STREAM-INF without a URI line after it"))
            self.pending = None

    def on_uri(self, uri: str) -> None:
        if self.pending is None:
            self.problem("segment-syntax", "a URI line without EXT-X-STREAM-INF before it")
            return
        attributes, line = self.pending
        self.pending = None
        self.variants.append(_variant(attributes, line, uri, i_frame=False))

    def on_stream_inf(self, value: str) -> None:
        self._no_uri()
        self.pending = self.attributes(value, "EXT-X-STREAM-INF"), self.line

    def on_i_frame(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-I-FRAME-STREAM-INF")
        uri = attributes.quoted("URI", required=True)
        if uri:
            self.variants.append(_variant(attributes, self.line, uri, i_frame=True))

    def on_media(self, value: str) -> None:
        attributes = self.attributes(value, "EXT-X-MEDIA")
        kinds = ("AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS")
        kind = attributes.enumerated("TYPE", required=True, allowed=kinds)
        if kind == "CLOSED-CAPTIONS" and (attributes.quoted("INSTREAM-ID", required=True) or "").startswith("SERVICE"):
            self.features.append((7, self.line, "INSTREAM-ID with SERVICE"))
        self.media.append(
            MediaTag(
                line=self.line,
                type=kind or "",
                group_id=attributes.quoted("GROUP-ID", required=True) or "",
                name=attributes.quoted("NAME", required=True) or "",
                uri=attributes.quoted("URI"),
                language=attributes.quoted("LANGUAGE"),
                default=attributes.yes("DEFAULT", or_no=True),
                autoselect=attributes.yes("AUTOSELECT", or_no=True),
                channels=attributes.quoted("CHANNELS"),
            )
        )


def _variant(attributes: Attributes, line: int, uri: str, *, i_frame: bool) -> Variant:
    codecs = attributes.quoted("CODECS")
    captions = attributes.raw.get("CLOSED-CAPTIONS")
    return Variant(
        line=line,
        uri=uri,
        bandwidth=attributes.integer("BANDWIDTH", required=True),
        average_bandwidth=attributes.integer("AVERAGE-BANDWIDTH"),
        codecs=tuple(c.strip() for c in codecs.split(",") if c.strip()) if codecs else (),
        resolution=attributes.resolution("RESOLUTION"),
        frame_rate=attributes.decimal("FRAME-RATE"),
        audio=attributes.quoted("AUDIO"),
        video=attributes.quoted("VIDEO"),
        subtitles=attributes.quoted("SUBTITLES"),
        closed_captions=captions.strip('"') if captions and captions != "NONE" else None,
        i_frame=i_frame,
    )
