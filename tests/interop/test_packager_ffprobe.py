"""Real encoders in, ffprobe and ffmpeg out: what is packaged decodes without a word, at the right times."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import av
import pytest

from headwater.media.aac import parse_asc
from headwater.media.access_unit import AccessUnit
from headwater.media.av1 import parse_av1c
from headwater.media.cmaf import InitSegment, Part
from headwater.media.h264 import parse_avcc
from headwater.media.hevc import parse_hvcc
from headwater.media.mp3 import parse_mp3_header
from headwater.media.opus import parse_opus_head
from headwater.media.track import AudioConfig, Track, VideoConfig
from headwater.media.vp9 import parse_vpcc
from headwater.protocols.isobmff.movie import movie
from tests.support import require
from tests.unit.packager.support import Session, check_rules

SECONDS = 5
VPCC = bytes.fromhex("001f800202020000")
X265 = "log-level=0:keyint=45:bframes=3:pools=1:open-gop=0"

# name: encoder, container, video arguments, audio arguments
CASES = {
    "h264-b-frames-aac-flv": ("libx264", "flv", "-c:v libx264 -preset veryfast -bf 3 -g 45", "-c:a aac -ar 44100"),
    "h264-baseline-he-rates": ("libx264", "flv", "-c:v libx264 -preset ultrafast -g 30", "-c:a aac -ar 22050 -ac 1"),
    "hevc-aac": ("libx265", "mp4", f"-c:v libx265 -preset ultrafast -x265-params {X265}", "-c:a aac"),
    "av1-opus": ("libsvtav1", "mp4", "-c:v libsvtav1 -preset 12 -g 45", "-c:a libopus"),
    "vp9-mp3": ("libvpx-vp9", "mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 45", "-c:a libmp3lame"),
}  # fmt: skip


@dataclass
class Source:
    """A file of a real encoder, as RTMP would bring it: milliseconds."""

    tracks: list[Track]
    units: list[AccessUnit]


def encode(path: Path, video: str, audio: str, rate: str, size: str = "320x180") -> Path:
    command = (
        f"{require('ffmpeg')} -v error -y -f lavfi -i testsrc2=size={size}:rate={rate} "
        f"-f lavfi -i sine=frequency=440:sample_rate=48000 -t {SECONDS} -threads 2 "
        f"-pix_fmt yuv420p {video} {audio} {path}"
    )
    subprocess.run(command.split(), check=True, timeout=60, stderr=subprocess.DEVNULL)
    return path


def read(path: Path) -> Source:
    configs: dict[int, VideoConfig | AudioConfig] = {}
    units = []
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            track_id, data = (1 if packet.stream.type == "video" else 2), bytes(packet)
            if track_id not in configs:
                configs[track_id] = configuration(packet.stream, data)
            dts, pts = (round(time * packet.time_base * 1000) for time in (packet.dts, packet.pts))
            units.append(AccessUnit(track_id, dts, pts - dts, track_id == 2 or packet.is_keyframe, data))
    units.sort(key=lambda unit: unit.dts)
    return Source([Track(track_id, config) for track_id, config in sorted(configs.items())], units)


def configuration(stream: av.stream.Stream, data: bytes) -> VideoConfig | AudioConfig:
    record = bytes(stream.codec_context.extradata or b"")
    name = stream.codec_context.codec.canonical_name
    if name == "vp9":
        return parse_vpcc(VPCC)
    if name == "mp3":
        return parse_mp3_header(data)
    parsers = {"h264": parse_avcc, "hevc": parse_hvcc, "av1": parse_av1c, "aac": parse_asc, "opus": parse_opus_head}
    return parsers[name](record)  # type: ignore[operator, no-any-return]


def package(source: Source) -> Session:
    session = Session().configure(*source.tracks).push(source.units).finish()
    check_rules(session)
    return session


def init_of(session: Session, track_id: int) -> InitSegment:
    (init,) = session.of(InitSegment, track_id)
    assert isinstance(init, InitSegment)
    return init


def probe(path: Path, *arguments: str) -> dict[str, list[dict[str, str]]]:
    command = [require("ffprobe"), "-v", "error", "-of", "json", *arguments, str(path)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert not result.stderr, result.stderr.decode()
    return json.loads(result.stdout)  # type: ignore[no-any-return]


def decode(path: Path) -> None:
    """Every frame of every track; ffmpeg has nothing to say."""
    command = [require("ffmpeg"), "-v", "warning", "-xerror", "-i", str(path), "-map", "0", "-f", "null", "-"]
    result = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (result.returncode, result.stderr.decode()) == (0, "")


def needs(encoder: str) -> None:
    listed = subprocess.run([require("ffmpeg"), "-v", "error", "-encoders"], capture_output=True, text=True, check=True)
    if f" {encoder} " not in listed.stdout:
        pytest.skip(f"this ffmpeg has no {encoder}")


@pytest.mark.parametrize(("case", "rate"), [*((case, "30") for case in CASES), ("h264-b-frames-aac-flv", "30000/1001")])
def test_encoders(case: str, rate: str, tmp_path: Path) -> None:
    """Init segment and parts of each track, alone and in one movie, decode; times are continuous and as encoded."""
    encoder, container, video, audio = CASES[case]
    needs(encoder)
    source = read(encode(tmp_path / f"source.{container}", video, audio, rate))
    session = package(source)
    for track in source.tracks:
        path = tmp_path / f"track{track.id}.mp4"
        path.write_bytes(init_of(session, track.id).data + b"".join(part.data for part in session.of(Part, track.id)))
        decode(path)
        check_times(path, source, track)
    whole = tmp_path / "movie.mp4"
    whole.write_bytes(movie(session.of(InitSegment)) + b"".join(part.data for part in session.of(Part)))
    decode(whole)
    assert len(probe(whole, "-show_entries", "packet=pts")["packets"]) == sum(
        len(session.samples(track.id)) for track in source.tracks
    )


def check_times(path: Path, source: Source, track: Track) -> None:
    """As many packets as units; presentation times run evenly, and as the encoder meant them within 2 ms."""
    packets = probe(path, "-show_entries", "packet=pts_time,dts_time,duration_time")["packets"]
    shown = sorted(float(packet["pts_time"]) for packet in packets)
    units = [unit for unit in source.units if unit.track_id == track.id]
    wanted = sorted((unit.dts + unit.composition_offset) / 1000 for unit in units)[-len(shown) :]
    assert len(shown) >= len(units) - 4, "only audio before the first picture may be missing"
    first = wanted[0] - shown[0]
    assert all(abs(real - time - first) <= 0.0025 for real, time in zip(wanted, shown, strict=True))
    typical = (shown[-1] - shown[0]) / (len(shown) - 1)
    assert all(abs(later - earlier - typical) <= 0.0005 for earlier, later in pairwise(shown))


def test_each_segment_decodes_alone(tmp_path: Path) -> None:
    """A player that joins at any segment."""
    needs("libx264")
    session = package(read(encode(tmp_path / "source.flv", CASES["h264-b-frames-aac-flv"][2], "-c:a aac", "30")))
    for track_id in (1, 2):
        for msn in sorted({part.msn for part in session.of(Part, track_id)}):
            parts = [part.data for part in session.of(Part, track_id) if part.msn == msn]
            path = tmp_path / f"{track_id}-{msn}.mp4"
            path.write_bytes(init_of(session, track_id).data + b"".join(parts))
            decode(path)


def test_change_of_size_in_the_middle(tmp_path: Path) -> None:
    """Two encoders behind one another: the second's segments decode with its own init segment, at its own size."""
    needs("libx264")
    video = CASES["h264-baseline-he-rates"][2]
    first = read(encode(tmp_path / "first.flv", video, "-c:a aac", "30"))
    second = read(encode(tmp_path / "second.flv", video, "-c:a aac", "30", "640x360"))
    session = Session().configure(*first.tracks).push(first.units).discontinuity(2000)
    session.configure(*second.tracks).push(second.units).finish()
    check_rules(session)
    inits = session.of(InitSegment, 1)
    assert [init.version for init in inits] == [0, 1]
    change = next(output.msn for output in session.outputs if getattr(output, "init_version", 0) == 1)
    path = tmp_path / "second.mp4"
    path.write_bytes(inits[1].data + b"".join(part.data for part in session.of(Part, 1) if part.msn >= change))
    decode(path)
    (stream,) = probe(path, "-show_entries", "stream=width,height")["streams"]
    assert (stream["width"], stream["height"]) == (640, 360)
    whole = tmp_path / "movie.mp4"
    whole.write_bytes(movie(session.of(InitSegment)) + b"".join(part.data for part in session.of(Part)))
    sizes = {
        (frame["width"], frame["height"])
        for frame in probe(whole, "-select_streams", "v", "-show_entries", "frame=width,height")["frames"]
    }
    assert sizes == {(320, 180), (640, 360)}


def test_anamorphic_picture_and_colours(tmp_path: Path) -> None:
    """ffprobe sees the sample aspect ratio and the colours in the sample entry."""
    needs("libx264")
    video = "-vf setsar=4/3 -c:v libx264 -preset ultrafast -color_primaries bt709 -color_trc bt709 -colorspace bt709"
    source = read(encode(tmp_path / "source.flv", video, "-c:a aac", "30", "360x270"))
    config = source.tracks[0].config
    assert isinstance(config, VideoConfig)
    assert (config.width, config.height) == (480, 270)
    session = package(source)
    path = tmp_path / "track.mp4"
    path.write_bytes(init_of(session, 1).data + session.of(Part, 1)[0].data)
    (stream,) = probe(path, "-show_entries", "stream=sample_aspect_ratio,color_space,display_aspect_ratio")["streams"]
    assert (stream["sample_aspect_ratio"], stream["color_space"]) == ("4:3", "bt709")
