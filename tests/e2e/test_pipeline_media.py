"""The media that viewers get: every byte decodes, times are even, sound and picture belong together."""

from __future__ import annotations

import itertools
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from headwater.client.models import CreatedLivestream
from tests.e2e import late_sound
from tests.e2e.beep_flash import offsets_ms
from tests.e2e.support import (
    B_FRAMES,
    Segment,
    api,
    card_command,
    create,
    decode_complaints,
    decoded_duration_s,
    duration_s,
    ffmpeg_command,
    live,
    media_playlist,
    packet_times,
    played,
    renditions,
    running,
    until,
)
from tests.support import Server, require, running_server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]):  # type: ignore[no-untyped-def]
    """One server for tests that do not disturb it; short windows, so that ends come soon."""
    environment = {"HEADWATER_LIVESTREAM_RECONNECT_WINDOW_S": "6", "HEADWATER_LIVESTREAM_GOODBYE_WINDOW_S": "1"}
    cert, key = certificate
    arguments = ["--rtmps", "127.0.0.1:0", "--https", "127.0.0.1:0", "--tls-cert", str(cert), "--tls-key", str(key)]
    with running_server(tmp_path_factory.mktemp("shared") / "data", *arguments, env=environment) as server:
        yield server


def collect(client: httpx.Client, playback_url: str, folder: Path) -> tuple[dict[str, Path], dict[str, list[Segment]]]:
    """Download every listed segment of every rendition, each tested against its parts; files of init + segments, and
    beside each a file of init + segment for every segment alone, by MSN."""
    files, segments = {}, {}
    for kind, url in renditions(client, playback_url).items():
        playlist = media_playlist(client, url)
        assert playlist.segments
        init = data = client.get(playlist.segments[0].init_url).raise_for_status().content
        for segment in playlist.segments:
            body = client.get(segment.url).raise_for_status().content
            if segment.parts:
                assert b"".join(client.get(part).raise_for_status().content for part in segment.parts) == body
            data += body
            (folder / f"{kind}-{segment.msn}.mp4").write_bytes(init + body)
        files[kind], segments[kind] = folder / f"{kind}.mp4", playlist.segments
        files[kind].write_bytes(data)
    return files, segments


FRAME_S = {"video": 1 / 30, "audio": 1024 / 48_000}
"""Of what `ffmpeg_command` sends."""


def check_media(client: httpx.Client, playback_url: str, folder: Path, *, least_s: float) -> None:
    """Everything since the session began decodes without a word, its times are even, and each segment alone lasts as
    long as its EXTINF says."""
    files, segments = collect(client, playback_url + "?dvrEnabled=true", folder)
    assert set(files) == {"video", "audio"}
    for kind, path in files.items():
        assert decode_complaints(path) == ""
        times, frame_s = [at for at, _ in packet_times(path, kind[0])], FRAME_S[kind]
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(abs(step - frame_s) < 0.002 for step in steps), f"{kind}: {min(steps)} to {max(steps)}"
        assert len(times) * frame_s > least_s
        assert sum(segment.duration for segment in segments[kind]) == pytest.approx(len(times) * frame_s, abs=0.01)
        for segment in segments[kind]:
            alone = decoded_duration_s(folder / f"{kind}-{segment.msn}.mp4")
            assert segment.duration == pytest.approx(alone, abs=frame_s / 2), f"{kind} {segment.msn}"


def test_every_segment_and_part_decodes_and_times_are_even(
    shared: Server, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    """Over RTMP and HTTP/1.1 in the clear, and over RTMPS and HTTP/2 with TLS."""
    plain, secret = create(shared), create(shared)
    rtmps = f"rtmps://{shared.ready['rtmps']}/live/{secret.stream_key}"
    https = f"https://localhost:{shared.ready['https'].rpartition(':')[2]}/{secret.playback_url.split('/', 3)[3]}"
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with (
        httpx.Client(timeout=20) as http1,
        httpx.Client(http1=False, http2=True, verify=context, timeout=20) as http2,
        running(ffmpeg_command(shared.rtmp + plain.stream_key, encode=B_FRAMES)),
        running(ffmpeg_command(rtmps, encode=B_FRAMES)),
    ):
        played(plain.playback_url)
        played(secret.playback_url)
        time.sleep(8)
        for name, url, client in (("rtmp", plain.playback_url, http1), ("rtmps", https, http2)):
            (folder := tmp_path / name).mkdir()
            collect(client, url, folder)  # what is live has parts
            check_media(client, url, folder, least_s=7)


@pytest.mark.alone
def test_sound_and_picture_stay_together_across_reconnects(shared: Server, tmp_path: Path) -> None:
    made = create(shared)
    for _ in range(3):
        with running(card_command(shared.rtmp + made.stream_key)), httpx.Client(timeout=20) as client:
            played(made.playback_url)
            time.sleep(4)
            files, _ = collect(client, made.playback_url, tmp_path)
            delivered = offsets_ms(files["video"], files["audio"])
            assert delivered and all(abs(offset) < 40 for offset in delivered), "as HLS delivers it"
        # killed: the next one is a reconnect into the same session
    until(lambda: not live(made.playback_url), "the session has ended", within_s=15)
    recordings = list((shared.data / "recordings").glob("*.mp4"))
    path = max(recordings, key=lambda file: file.stat().st_mtime)
    offsets = offsets_ms(path)
    print(f"A/V offsets over two reconnects: {[round(offset, 1) for offset in offsets]} ms")
    assert len(offsets) >= 8
    assert all(abs(offset) < 40 for offset in offsets)


def test_sound_that_comes_three_seconds_late_is_heard_with_its_picture(shared: Server, tmp_path: Path) -> None:
    made = create(shared)
    (live_folder := tmp_path / "live").mkdir()
    with ThreadPoolExecutor(1) as pool, httpx.Client(timeout=20) as client:
        publishing = pool.submit(late_sound.publish, shared.rtmp + made.stream_key, 9.5)
        played(made.playback_url)
        assert set(renditions(client, made.playback_url)) == {"video"}
        until(lambda: "audio" in renditions(client, made.playback_url), "the sound is there", within_s=6)
        time.sleep(4)
        files, segments = collect(client, made.playback_url, live_folder)
        publishing.result(15)
        until(lambda: not live(made.playback_url), "the session has ended", within_s=10)
        ended, _ = collect(client, made.playback_url, tmp_path)
    assert {s.msn for s in segments["audio"]} <= {s.msn for s in segments["video"]}, "one numbering for all renditions"
    for heard in (files, ended):
        assert set(heard) == {"video", "audio"}
        assert all(decode_complaints(path) == "" for path in heard.values())
        offsets = offsets_ms(heard["video"], heard["audio"])
        print(f"A/V offsets: {[round(offset, 1) for offset in offsets]} ms")
        assert len(offsets) >= 3 and all(abs(offset) < 40 for offset in offsets)
    sound, picture = packet_times(ended["audio"], "a"), packet_times(ended["video"], "v")
    began_s = sound[0][0] - picture[0][0]
    assert -0.1 < began_s - late_sound.LATE_MS / 1000 < 2.1, "with the next segment at the latest"
    assert len(sound) * FRAME_S["audio"] == pytest.approx(len(picture) * FRAME_S["video"] - began_s, abs=0.1)


def test_audio_only_and_video_only_play(shared: Server) -> None:
    audio, video = create(shared), create(shared)
    only_audio = [require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", "sine=r=44100"]
    only_audio += ["-c:a", "aac", "-f", "flv", shared.rtmp + audio.stream_key]
    only_video = ffmpeg_command(shared.rtmp + video.stream_key)
    at = only_video.index("-c:a")
    only_video[at : at + 4] = ["-an"]
    with running(only_audio), running(only_video):
        for made, kind in ((audio, "audio"), (video, "video")):
            played(made.playback_url)
            command = [require("ffprobe"), "-v", "error", "-show_entries", "stream=codec_type", "-of", "csv=p=0"]
            out = subprocess.run([*command, made.playback_url], capture_output=True, text=True, timeout=30).stdout
            assert set(out.split()) == {kind}


@pytest.mark.parametrize(
    ("video", "audio", "codecs"),
    [("hevc", "aac", ("hvc1.", "mp4a.40.2")), ("av1", "opus", ("av01.", "opus")), ("vp9", "opus", ("vp09.", "opus"))],
)
def test_enhanced_rtmp_plays_with_the_right_codecs(
    shared: Server, video: str, audio: str, codecs: tuple[str, str]
) -> None:
    made = create(shared)
    command = [sys.executable, "-m", "headwater", "publish", shared.rtmp + made.stream_key, "--size", "320x180"]
    with running([*command, "--codec", video, "--audio-codec", audio]), httpx.Client(timeout=20) as client:
        played(made.playback_url)
        text = client.get(made.playback_url).text.lower()
        stated = text.split('codecs="')[1].split('"')[0].split(",")
        assert stated[0].startswith(codecs[0]) and stated[1] == codecs[1]
        probe = [require("ffprobe"), "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]
        out = subprocess.run([*probe, made.playback_url], capture_output=True, text=True, timeout=30).stdout
        assert set(out.split()) == {video, audio}


def test_after_the_end_the_url_plays_the_recording(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key, seconds=5)) as publisher:
        played(made.playback_url)
        publisher.wait(20)
    until(lambda: not live(made.playback_url), "the session has ended", within_s=15)
    assert duration_s(made.playback_url) == pytest.approx(5, abs=0.3)
    with httpx.Client(timeout=20) as client:
        playlist = media_playlist(client, renditions(client, made.playback_url)["video"])
    assert playlist.ended and "#EXT-X-PLAYLIST-TYPE:VOD" in playlist.text


def test_the_window_slides_its_older_half_is_on_disk_and_dvr_goes_back_to_the_beginning(tmp_path: Path) -> None:
    windows = {"HEADWATER_ORIGIN_MEMORY_WINDOW_S": "2", "HEADWATER_ORIGIN_DVR_WINDOW_S": "6"}
    with running_server(tmp_path / "data", env=windows) as server, httpx.Client(timeout=20) as client:
        made = create(server)
        with running(ffmpeg_command(server.rtmp + made.stream_key)):
            played(made.playback_url)
            url = renditions(client, made.playback_url)["video"]
            first = media_playlist(client, url).segments[0].msn
            until(lambda: media_playlist(client, url).segments[0].msn > first, "the window slides", within_s=30)
            dvr = media_playlist(client, renditions(client, made.playback_url + "?dvrEnabled=true")["video"])
            assert dvr.segments[0].msn == first and "#EXT-X-PLAYLIST-TYPE:EVENT" in dvr.text
            files, collected = collect(client, made.playback_url, tmp_path)
            assert all(decode_complaints(path) == "" for path in files.values())
            # Without the file only what is in memory is left: the rest did come from disk. What was read from there
            # already is remembered, so that it takes newer segments to see it.
            newest = collected["video"][-1].msn
            until(lambda: media_playlist(client, url).segments[0].msn >= newest, "newer segments")
            next((server.data / "recordings").glob("*.mp4")).unlink()
            segments = media_playlist(client, url).segments
            assert client.get(segments[-1].url).status_code == 200
            assert 404 in {client.get(segment.url).status_code for segment in segments[:-1]}
            health_is_that_of_the_encoder(server, made)


def health_is_that_of_the_encoder(server: Server, made: CreatedLivestream) -> None:
    with api(server) as client:
        session = client.get_livestream_session_for_livestream_id(made.id).session
        assert session is not None
        health = client.get_session_health(session.id)
    samples = health.samples[2:]
    assert "Lavf" in health.encoder and len(samples) > 4 and health.warnings == []
    times = [sample.at.timestamp() for sample in samples]
    assert all(0.9 < later - earlier < 1.6 for earlier, later in itertools.pairwise(times))
    for sample in samples:
        assert sample.frame_rate == pytest.approx(30, abs=0.5) and sample.keyframe_interval_ms == 1000
        assert sample.video_bps > 50_000 and 20_000 < sample.audio_bps < 300_000
        assert (sample.dropped, sample.jumps) == (0, 0) and sample.rtt_ms is not None
    loud = [sample.audio_peak_db for sample in samples if sample.audio_peak_db is not None]
    assert len(loud) >= len(samples) - 1, "measured once a second"
    assert all(-19 < peak < -17 for peak in loud), "ffmpeg's sine has an eighth of full scale"


def test_another_size_mid_session_gets_an_init_segment_of_its_own(shared: Server, tmp_path: Path) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)):
        played(made.playback_url)
    with running(ffmpeg_command(shared.rtmp + made.stream_key, size="320x180")), httpx.Client(timeout=20) as client:
        url = renditions(client, made.playback_url)["video"]
        playlist = until(
            lambda: (
                (found := media_playlist(client, url)).segments[-1].init_url != found.segments[0].init_url and found
            ),
            "a second init segment",
        )
        change = next(s for s in playlist.segments if s.init_url != playlist.segments[0].init_url)
        assert change.discontinuity
        path = tmp_path / "second.mp4"
        path.write_bytes(client.get(change.init_url).content + client.get(change.url).content)
    assert decode_complaints(path) == ""


def test_the_thumbnail_is_a_picture_of_it(shared: Server) -> None:
    made = create(shared)
    with running(ffmpeg_command(shared.rtmp + made.stream_key)):
        played(made.playback_url)
        response = httpx.get(made.playback_url.replace("/manifest/video.m3u8", "/thumbnail.jpg"), timeout=20)
    assert response.status_code == 200 and response.headers["content-type"] == "image/jpeg"
    assert response.content[:3] == b"\xff\xd8\xff" and len(response.content) > 3000
