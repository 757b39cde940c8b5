"""What the multivariant playlist promises, against what the media playlists and their segments are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headwater.hlscheck.mp4 import TrackHeader
from headwater.hlscheck.observation import Observation, Rendition
from headwater.hlscheck.playlist import MediaTag, Variant
from headwater.hlscheck.rules.base import Evidence, Severity, has_multivariant, multivariants, rule
from headwater.hlscheck.rules.media import main_run, timescale

RATE_SLACK = 1.1  # measured over declared: live encoders overshoot, Apple's own validator allows this much
FRAME_RATE_SLACK = 0.05
PEAK_WINDOW_SHARE = 0.5  # of a target duration: shorter segments alone say nothing about the peak (4.1 of the draft)
GROUPS = (("audio", "AUDIO"), ("video", "VIDEO"), ("subtitles", "SUBTITLES"), ("closed_captions", "CLOSED-CAPTIONS"))


@dataclass(frozen=True, slots=True)
class _Stream:
    """A variant with its own media playlist and the renditions of its audio group."""

    observation: Observation
    variant: Variant
    rendition: Rendition | None
    audio: tuple[Rendition, ...]

    def found(self, text: str) -> Evidence:
        return Evidence(text, f"variant {self.variant.uri}", self.observation.url, self.variant.line)


def _streams(observation: Observation) -> Iterable[_Stream]:
    multivariant = observation.multivariant
    if multivariant is None:
        return
    for variant in multivariant.variants:
        if variant.i_frame:
            continue
        own = next((r for r in observation.renditions if variant in r.variants), None)
        audio = tuple(r for r in observation.renditions if any(_audio_of(variant, t) for t in r.tags))
        yield _Stream(observation, variant, own, tuple(r for r in audio if r is not own))


def _audio_of(variant: Variant, tag: MediaTag) -> bool:
    return tag.type == "AUDIO" and tag.group_id == variant.audio


@rule(
    "variants",
    "4.4.6.2",
    Severity.MUST,
    "A multivariant playlist has at least one variant",
    "Add EXT-X-STREAM-INF and its URI line.",
    over=multivariants,
    needs=has_multivariant,
)
def variants(observation: Observation) -> Iterable[Evidence]:
    if observation.multivariant is not None and not any(not v.i_frame for v in observation.multivariant.variants):
        yield Evidence("no EXT-X-STREAM-INF with a URI line", "multivariant playlist", observation.url)


@rule(
    "groups-resolve",
    "4.4.6.2",
    Severity.MUST,
    "AUDIO, VIDEO, SUBTITLES and CLOSED-CAPTIONS of a variant name a group that EXT-X-MEDIA defines",
    "Give the variant and the EXT-X-MEDIA tags the same group id, and write one for each kind.",
    over=_streams,
    needs=has_multivariant,
)
def groups_resolve(stream: _Stream) -> Iterable[Evidence]:
    assert stream.observation.multivariant is not None
    known = {(t.type, t.group_id) for t in stream.observation.multivariant.media}
    for field, kind in GROUPS:
        group = getattr(stream.variant, field)
        if group is not None and (kind, group) not in known:
            yield stream.found(f'{kind}="{group}" names no group of EXT-X-MEDIA:TYPE={kind}')


@rule(
    "media-names",
    "4.4.6.1.1",
    Severity.MUST,
    "Renditions of one group have different names, and one DEFAULT=YES at most",
    "Give each EXT-X-MEDIA of a group its own NAME, and mark one as default.",
    over=multivariants,
    needs=has_multivariant,
)
def media_names(observation: Observation) -> Iterable[Evidence]:
    assert observation.multivariant is not None
    seen_names: set[tuple[str, str, str]] = set()
    defaults: set[tuple[str, str]] = set()
    for tag in observation.multivariant.media:
        group, name = (tag.type, tag.group_id), (tag.type, tag.group_id, tag.name)
        if name in seen_names:
            text = f"another {tag.name!r} in group {tag.group_id!r}"
            yield Evidence(text, "multivariant playlist", observation.url, tag.line)
        elif tag.default and group in defaults:
            text = f"another DEFAULT=YES in group {tag.group_id!r}"
            yield Evidence(text, "multivariant playlist", observation.url, tag.line)
        seen_names.add(name)
        if tag.default:
            defaults.add(group)


@rule(
    "codecs-present",
    "4.4.6.2",
    Severity.SHOULD,
    "Every variant has CODECS",
    "Add CODECS with the RFC 6381 name of each track; players choose by it before they load anything.",
    over=_streams,
    needs=has_multivariant,
)
def codecs_present(stream: _Stream) -> Iterable[Evidence]:
    if not stream.variant.codecs:
        yield stream.found("CODECS is absent")


def _tracks(rendition: Rendition | None) -> list[TrackHeader]:
    if rendition is None:
        return []
    return [t for r in rendition.inits.values() if r.init is not None for t in r.init.tracks.values()]


@rule(
    "codecs-complete",
    "6.2.4",
    Severity.MUST,
    "CODECS names the format of every track in the variant and its renditions",
    "Write CODECS from the sample entries of the init segments (avc1, hvc1, mp4a, Opus, ...), audio groups too.",
    over=lambda o: (s for s in _streams(o) if s.variant.codecs and _tracks(s.rendition)),
    needs=has_multivariant,
)
def codecs_complete(stream: _Stream) -> Iterable[Evidence]:
    named = {c.partition(".")[0].lower() for c in stream.variant.codecs}
    tracks = [t for r in (stream.rendition, *stream.audio) for t in _tracks(r)]
    for codec in sorted({t.codec for t in tracks if t.handler in ("vide", "soun")}):
        # Encrypted sample entries name the scheme, not the codec.
        if codec.lower() not in named and codec not in ("encv", "enca"):
            yield stream.found(f"a track is {codec}, CODECS is {','.join(stream.variant.codecs)}")


def _segment_rates(rendition: Rendition) -> list[tuple[float, float]]:
    """(bits, seconds) of each downloaded segment that is long enough to count."""
    newest = rendition.newest
    least = PEAK_WINDOW_SHARE * (newest.target_duration or 0) if newest else 0.0
    rates = []
    for resource in rendition.segments.values():
        duration = resource.listed.duration if resource.listed else None
        if resource.exchange.ok and duration and duration >= least:
            rates.append((8.0 * resource.exchange.size, duration))
    return rates


def _peak(rendition: Rendition) -> float:
    return max((bits / seconds for bits, seconds in _segment_rates(rendition)), default=0.0)


def _average(rendition: Rendition) -> float:
    rates = _segment_rates(rendition)
    seconds = sum(s for _, s in rates)
    return sum(b for b, _ in rates) / seconds if seconds else 0.0


def _measured(observation: Observation) -> Iterable[_Stream]:
    return (s for s in _streams(observation) if s.rendition is not None and s.rendition.segments)


@rule(
    "bandwidth",
    "4.4.6.2",
    Severity.MUST,
    "BANDWIDTH is not below the peak segment bit rate of the variant with its largest renditions",
    "Raise BANDWIDTH to the peak that the encoder may reach, audio included, within 10 %.",
    over=_measured,
    needs=has_multivariant,
)
def bandwidth(stream: _Stream) -> Iterable[Evidence]:
    assert stream.rendition is not None
    peak = _peak(stream.rendition) + max((_peak(r) for r in stream.audio), default=0.0)
    if stream.variant.bandwidth is not None and peak > RATE_SLACK * stream.variant.bandwidth:
        yield stream.found(f"BANDWIDTH is {stream.variant.bandwidth}, the largest segments come to {peak:.0f} bit/s")


@rule(
    "average-bandwidth",
    "4.4.6.2",
    Severity.SHOULD,
    "AVERAGE-BANDWIDTH is not below the average segment bit rate, nor above BANDWIDTH",
    "Compute AVERAGE-BANDWIDTH over all segments, audio included.",
    over=lambda o: (s for s in _measured(o) if s.variant.average_bandwidth is not None),
    needs=has_multivariant,
)
def average_bandwidth(stream: _Stream) -> Iterable[Evidence]:
    assert stream.rendition is not None and stream.variant.average_bandwidth is not None
    average = _average(stream.rendition) + max((_average(r) for r in stream.audio), default=0.0)
    declared = stream.variant.average_bandwidth
    if stream.variant.bandwidth is not None and declared > stream.variant.bandwidth:
        yield stream.found(f"AVERAGE-BANDWIDTH {declared} is above BANDWIDTH {stream.variant.bandwidth}")
    elif average > RATE_SLACK * declared:
        yield stream.found(f"AVERAGE-BANDWIDTH is {declared}, the segments seen average {average:.0f} bit/s")


def _pictures(observation: Observation) -> Iterable[_Stream]:
    return (s for s in _measured(observation) if any(t.handler == "vide" for t in _tracks(s.rendition)))


@rule(
    "resolution",
    "4.4.6.2",
    Severity.SHOULD,
    "Variants with video have RESOLUTION, and it is the size of the picture",
    "Write RESOLUTION=<width>x<height> from the track's own size.",
    over=_pictures,
    needs=has_multivariant,
)
def resolution(stream: _Stream) -> Iterable[Evidence]:
    declared = stream.variant.resolution
    sizes = {(t.width, t.height) for t in _tracks(stream.rendition) if t.handler == "vide"}
    if declared is None:
        yield stream.found("RESOLUTION is absent")
    elif declared not in sizes:
        real = ", ".join(f"{w}x{h}" for w, h in sorted(sizes))
        yield stream.found(f"RESOLUTION is {declared[0]}x{declared[1]}, the track is {real}")


@rule(
    "frame-rate",
    "4.4.6.2",
    Severity.SHOULD,
    "FRAME-RATE is the largest frame rate of the video",
    "Write FRAME-RATE, rounded to three decimals.",
    over=lambda o: (s for s in _pictures(o) if s.variant.frame_rate is not None),
    needs=has_multivariant,
)
def frame_rate(stream: _Stream) -> Iterable[Evidence]:
    assert stream.rendition is not None and stream.variant.frame_rate is not None
    fastest = 0.0
    for resource in stream.rendition.segments.values():
        run = main_run(resource)
        scale = timescale(resource, run.track_id) if run else None
        if run is not None and scale and run.end > run.start:
            fastest = max(fastest, len(run.samples) * scale / (run.end - run.start))
    if fastest and abs(fastest - stream.variant.frame_rate) > FRAME_RATE_SLACK * fastest:
        yield stream.found(f"FRAME-RATE is {stream.variant.frame_rate:g}, segments have {fastest:.3f} frames a second")


@rule(
    "frame-rate-present",
    "4.4.6.2",
    Severity.SHOULD,
    "FRAME-RATE is there where video has more than 30 frames a second",
    "Add FRAME-RATE.",
    over=_pictures,
    needs=has_multivariant,
)
def frame_rate_present(stream: _Stream) -> Iterable[Evidence]:
    if stream.variant.frame_rate is not None or stream.rendition is None:
        return
    for resource in stream.rendition.segments.values():
        run = main_run(resource)
        scale = timescale(resource, run.track_id) if run else None
        if run is not None and scale and len(run.samples) * scale > 30.5 * (run.end - run.start) > 0:
            yield stream.found("FRAME-RATE is absent, and the video has more than 30 frames a second")
            return
