"""A publisher made of numbers, and the rules that every output of the packager must keep."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from headwater.media.aac import parse_asc
from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import InitSegment, Output, PackagerWarning, Part, Playable, SegmentClosed, SegmentOpened
from headwater.media.h264 import parse_avcc
from headwater.media.track import AudioConfig, Track, VideoConfig
from headwater.pipeline.packager import Packager, PackagerSettings
from headwater.protocols.isobmff.reader import Sample, read_fragment

NOW = 1_800_000_000_000
AVCC = bytes.fromhex(
    "0164001effe1001a6764001eacd940a02ff970110000030001000003003c0f162d96010004 68ef8fcbfdf8f800".replace(" ", "")
)
AVCC_SMALL = bytes.fromhex("0142c00dffe100176742c00dd901416ffc05a808080a000003000200000300791e2c5c9001000468cb83cb20")
ASC = bytes.fromhex("118856e500")
ASC_44100 = bytes.fromhex("1210")


def video_track(track_id: int = 1, record: bytes = AVCC, rate: Fraction | None = None) -> Track:
    config = parse_avcc(record)
    return Track(track_id, VideoConfig(config.codec, record, config.width, config.height, config.codecs, rate))


def audio_track(track_id: int = 2, record: bytes = ASC) -> Track:
    return Track(track_id, parse_asc(record))


def video_units(
    times_ms: Sequence[int], *, gop: int = 30, track_id: int = 1, offsets: Sequence[int] = (0,), tag: str = "v"
) -> list[AccessUnit]:
    """Pictures at these decode times, every `gop`th a sync sample; payloads say which they are."""
    return [
        AccessUnit(track_id, ms, offsets[i % len(offsets)], i % gop == 0, f"{tag}{i}".encode())
        for i, ms in enumerate(times_ms)
    ]


def steady(count: int, rate: Fraction | float | int, start_ms: int = 0) -> list[int]:
    """Decode times of a constant frame rate, in FLV's milliseconds."""
    return [start_ms + round(i * 1000 / Fraction(rate)) for i in range(count)]


def audio_units(
    duration_ms: int, *, start_ms: int = 0, rate: int = 48_000, samples: int = 1024, track_id: int = 2, tag: str = "a"
) -> list[AccessUnit]:
    count = duration_ms * rate // (1000 * samples)
    return [
        AccessUnit(track_id, start_ms + round(i * samples * 1000 / rate), 0, True, f"{tag}{i}".encode())
        for i in range(count)
    ]


def interleaved(*several: Iterable[AccessUnit]) -> list[AccessUnit]:
    return sorted((unit for units in several for unit in units), key=lambda unit: unit.dts)


@dataclass
class Session:
    """A packager with a clock that goes with the media, and everything that came out, each with its time."""

    settings: PackagerSettings = field(default_factory=PackagerSettings)
    first_msn: int = 7
    now_ms: int = NOW
    outputs: list[Output] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.packager = Packager(self.settings, first_msn=self.first_msn, now_ms=self.now_ms)

    def add(self, outputs: Sequence[Output]) -> Sequence[Output]:
        self.outputs += outputs
        self.times += [self.now_ms] * len(outputs)
        return outputs

    def configure(self, *tracks: Track) -> Session:
        for track in tracks:
            self.add(self.packager.configure(track))
        return self

    def push(self, units: Iterable[AccessUnit], *, base_ms: int | None = None) -> Session:
        """Each unit arrives when its decode time says, counted from the first unit."""
        units = list(units)
        if not units:
            return self
        first, start = units[0].dts, self.now_ms
        for unit in units:
            self.now_ms = max(self.now_ms, start + unit.dts - first)
            self.add(self.packager.push(unit, self.now_ms))
        return self

    def discontinuity(self, away_ms: int = 0) -> Session:
        self.add(self.packager.discontinuity(self.now_ms))
        self.now_ms += away_ms
        return self

    def finish(self) -> Session:
        self.add(self.packager.finish(self.now_ms))
        return self

    def of(self, kind: type, track_id: int | None = None) -> list:  # type: ignore[type-arg]
        return [
            output
            for output in self.outputs
            if isinstance(output, kind)
            and (track_id is None or (output.track.id if kind is InitSegment else output.track_id) == track_id)
        ]

    @property
    def playable(self) -> Playable:
        (found,) = self.of(Playable)
        assert isinstance(found, Playable)
        return found

    def warnings(self) -> set[str]:
        return {warning.code for warning in self.of(PackagerWarning)}

    def samples(self, track_id: int) -> list[tuple[Sample, bytes]]:
        return [pair for part in self.of(Part, track_id) for pair in samples_of(part)]


def samples_of(part: Part) -> Iterator[tuple[Sample, bytes]]:
    assert part.data is not None
    for sample in read_fragment(part.data).samples:
        yield sample, part.data[sample.offset : sample.offset + sample.size]


def check_rules(session: Session, *, holes: bool = False, video_holes: bool = False) -> None:
    """Every rule that holds for any input. `holes`: times may leave holes (audio that is missing, gaps).

    `video_holes`: pictures came so much slower than at first that decode times are given up.
    """
    playable = session.playable
    for track_id in {output.track_id for output in session.of(SegmentOpened)}:
        _Rules(session, track_id, playable, holes, video_holes).check()
    sequences = [read_fragment(part.data).sequence for part in session.of(Part)]
    assert sequences == sorted(set(sequences))


class _Rules:
    def __init__(self, session: Session, track_id: int, playable: Playable, holes: bool, video_holes: bool) -> None:
        self.session, self.id, self.playable, self.holes = session, track_id, playable, holes
        self.inits: dict[int, InitSegment] = {}
        self.opened: SegmentOpened | None = None
        self.parts: list[Part] = []
        self.msn = self.end = None
        self.pdt = 0
        self.after_gap = False
        self.video_holes = video_holes

    def check(self) -> None:
        for output, now in zip(self.session.outputs, self.session.times, strict=True):
            if isinstance(output, InitSegment) and output.track.id == self.id:
                assert output.version == len(self.inits)
                self.inits[output.version] = output
            elif isinstance(output, SegmentOpened) and output.track_id == self.id:
                self.open(output, now)
            elif isinstance(output, Part) and output.track_id == self.id:
                self.part(output)
            elif isinstance(output, SegmentClosed) and output.track_id == self.id:
                self.close(output)
        assert self.opened is None, "the last segment is closed"

    @property
    def timescale(self) -> int:
        return self.inits[0].timescale

    @property
    def is_video(self) -> bool:
        return self.inits[0].track.is_video

    def open(self, opened: SegmentOpened, now: int) -> None:
        assert self.opened is None
        assert self.msn is None or opened.msn == self.msn + 1
        assert opened.init_version in self.inits
        assert opened.program_date_time_ms <= now, "never in the future"
        assert opened.program_date_time_ms >= self.pdt
        self.pdt = opened.program_date_time_ms
        self.opened, self.msn, self.parts = opened, opened.msn, []

    def part(self, part: Part) -> None:
        assert self.opened is not None
        assert (part.msn, part.index) == (self.opened.msn, len(self.parts))
        fragment = read_fragment(part.data)
        assert (fragment.track_id, fragment.tfdt, fragment.duration) == (self.id, part.tfdt, part.duration)
        assert len(part.data or b"") == part.size == fragment.size
        assert fragment.samples[0].sync == part.independent
        assert all(sample.duration > 0 for sample in fragment.samples)
        if not self.parts:
            assert part.tfdt == self.opened.tfdt
        if self.end is not None and not self.opened.discontinuity:
            assert part.tfdt >= self.end
            if not self.holes or (self.is_video and not self.after_gap and not self.video_holes):
                assert part.tfdt == self.end
        self.end = part.tfdt + part.duration
        self.parts.append(part)

    def close(self, closed: SegmentClosed) -> None:
        assert self.opened is not None
        assert closed.msn == self.opened.msn
        assert closed.duration > 0
        self.after_gap = not self.parts
        if self.parts:
            assert closed.duration == sum(part.duration for part in self.parts)
        seconds = Fraction(closed.duration, self.timescale)
        assert int(seconds + Fraction(1, 2)) <= self.playable.target_duration_s
        target_ms = self.playable.part_target_ms.get(self.id)
        for part in self.parts if target_ms else ():
            milliseconds = part.duration * 1000 / self.timescale
            assert milliseconds <= target_ms + 1e-6
            short_allowed = part is self.parts[-1] or (part.independent and self.is_video) or self.holes
            assert short_allowed or milliseconds >= 0.85 * target_ms - 1e-6
        self.opened = None


def configs_of(session: Session, track_id: int) -> list[VideoConfig | AudioConfig]:
    return [init.track.config for init in session.of(InitSegment, track_id)]
