"""GStreamer's rtmp2sink publishes; a wrong key ends its pipeline with the reason."""

from __future__ import annotations

from headwater.media.track import Codec
from tests.interop.rtmp_publishers import SECONDS, Ingest, ingest, run
from tests.support import require
from tests.unit.ingest.gates import GOOD_KEY


async def gstreamer(server: Ingest, key: str) -> tuple[int, str]:
    require("gst-launch-1.0")
    if (await run("gst-inspect-1.0", "rtmp2sink"))[0]:
        require("rtmp2sink", why="GStreamer's plugins-bad")
    pipeline = (
        f"videotestsrc num-buffers={30 * SECONDS} ! video/x-raw,width=320,height=240,framerate=30/1 ! "
        "x264enc speed-preset=ultrafast key-int-max=30 ! h264parse ! mux. "
        f"audiotestsrc num-buffers={43 * SECONDS} samplesperbuffer=1024 ! audio/x-raw,rate=44100,channels=2 ! "
        f"voaacenc ! aacparse ! mux. flvmux name=mux streamable=true ! rtmp2sink location={server.url}/{key}"
    )
    return await run("gst-launch-1.0", "-q", *pipeline.split())


async def test_h264_and_aac() -> None:
    async with ingest() as server:
        code, log = await gstreamer(server, GOOD_KEY)
        assert code == 0, log
        out = await server.ended()
        assert {track.config.codec for track in out.tracks} == {Codec.H264, Codec.AAC}
        assert len(out.of(1)) == 30 * SECONDS
        assert out.ends[0][1], "a regular end"


async def test_a_refusal_is_reported() -> None:
    async with ingest() as server:
        code, log = await gstreamer(server, "wrong")
        assert code != 0
        assert "no livestream has this stream key" in log
