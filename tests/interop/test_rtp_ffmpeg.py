"""RTP with ffmpeg at the other end: its packets put together by us, ours by it."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from headwater.protocols.rtp import h264, opus, rtcp, vp8
from headwater.protocols.rtp.jitter import JitterBuffer
from headwater.protocols.rtp.packet import is_rtcp, parse
from headwater.protocols.rtp.sending import Source
from headwater.protocols.rtp.unit import Unit
from tests.support import require

FRAMES = 60
READ = FRAMES - 4  # its parser, decoder and writer each hold a frame back while more may come
OPUS_PACKETS = 100  # 2 s of 20 ms

Depacketizer = h264.Depacketizer | vp8.Depacketizer | opus.Depacketizer


def udp_pair() -> tuple[socket.socket, socket.socket]:
    """RTP and RTCP sockets on an even port and the next, as ffmpeg wants them."""
    for _ in range(50):
        first = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        first.bind(("127.0.0.1", 0))
        port = first.getsockname()[1]
        second = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if port % 2 == 0:
                second.bind(("127.0.0.1", port + 1))
                for one in (first, second):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
                    one.setblocking(False)
                return first, second
        except OSError:
            pass
        first.close()
        second.close()
    raise RuntimeError("no two free ports beside each other")


@pytest.fixture(scope="module")
def received() -> dict[str, tuple[list[bytes], list[bytes]]]:
    """RTP and RTCP packets of ffmpeg's muxer, by codec; one run for all."""
    ffmpeg = require("ffmpeg")
    pairs = {name: udp_pair() for name in ("h264", "vp8", "opus")}
    urls = {name: f"rtp://127.0.0.1:{pair[0].getsockname()[1]}?pkt_size=1200" for name, pair in pairs.items()}
    picture = ["-map", "0:v", "-frames:v", str(FRAMES), "-pix_fmt", "yuv420p"]
    h264_out = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "20", "-b:v", "2M"]
    vp8_out = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-g", "20", "-b:v", "2M"]
    opus_out = ["-map", "1:a", "-t", "2", "-c:a", "libopus", "-b:a", "64k"]
    command = [ffmpeg, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=30"]
    command += ["-re", "-f", "lavfi", "-i", "sine=sample_rate=48000"]
    command += [*picture, *h264_out, "-f", "rtp", urls["h264"], *picture, *vp8_out, "-f", "rtp", urls["vp8"]]
    command += [*opus_out, "-f", "rtp", urls["opus"]]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    out = {}
    for name, pair in pairs.items():
        out[name] = (list(drained(pair[0])), list(drained(pair[1])))
        for one in pair:
            one.close()
    return out


def drained(sock: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield sock.recv(2048)
        except BlockingIOError:
            return


def units_of(packets: list[bytes], depacketizer: Depacketizer) -> list[Unit]:
    buffer = JitterBuffer()
    out: list[Unit] = []
    for packet in packets:
        assert not is_rtcp(packet)
        for ordered in buffer.push(parse(packet), 0):
            out += depacketizer.push(ordered)
    return out


def decoded(codec: str, units: list[bytes], extradata: bytes | None = None) -> int:
    """Frames (or samples) that FFmpeg's decoder makes of it, at its strictest."""
    context = av.CodecContext.create(codec, "r")
    context.options = {"err_detect": "explode"}
    if extradata is not None:
        context.extradata = extradata
    frames = [frame for unit in units for frame in context.decode(av.Packet(unit))]
    frames += context.decode(None)
    return sum(getattr(frame, "samples", 0) or 1 for frame in frames)


def test_h264_of_ffmpeg_is_put_together(received: dict[str, tuple[list[bytes], list[bytes]]]) -> None:
    depacketizer = h264.Depacketizer()
    units = units_of(received["h264"][0], depacketizer)
    assert len(units) == FRAMES and all(unit.complete and not unit.after_loss for unit in units)
    assert [index for index, unit in enumerate(units) if unit.key] == [0, 20, 40]
    assert decoded("h264", [h264.annex_b(unit.payload, depacketizer.record) for unit in units]) == FRAMES
    assert decoded("h264", [unit.payload for unit in units], depacketizer.record) == FRAMES  # as ISO BMFF has it


def test_vp8_of_ffmpeg_is_put_together(received: dict[str, tuple[list[bytes], list[bytes]]]) -> None:
    units = units_of(received["vp8"][0], vp8.Depacketizer())
    assert len(units) == FRAMES and all(unit.complete and not unit.after_loss for unit in units)
    assert units[0].key and vp8.key_frame_size(units[0].payload) == (640, 360)
    assert decoded("vp8", [unit.payload for unit in units]) == FRAMES


def test_opus_of_ffmpeg_is_put_together(received: dict[str, tuple[list[bytes], list[bytes]]]) -> None:
    units = units_of(received["opus"][0], opus.Depacketizer())
    assert len(units) >= OPUS_PACKETS and not any(unit.after_loss for unit in units)
    assert decoded("libopus", [unit.payload for unit in units]) >= OPUS_PACKETS * 960


def test_reports_of_ffmpeg_are_read(received: dict[str, tuple[list[bytes], list[bytes]]]) -> None:
    for packets, compounds in received.values():
        reports = [one for compound in compounds for one in rtcp.parse(compound)]
        assert any(isinstance(one, rtcp.SenderReport) for one in reports)
        assert {one.ssrc for one in reports if isinstance(one, rtcp.SenderReport)} == {parse(packets[0]).ssrc}


SDP = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m={kind} {port} RTP/AVP 96
a=rtpmap:96 {name}
{fmtp}"""


def repacked(units: list[Unit], payloads: list[list[bytes]], clock_rate: int) -> list[bytes]:
    source = Source(4711, 96, clock_rate, first_sequence=65500, first_timestamp=0xFFFFF000)
    first = units[0].timestamp
    return [
        packet
        for unit, parts in zip(units, payloads, strict=True)
        for packet in source.packets(parts, (unit.timestamp - first) & 0xFFFFFFFF, marker=clock_rate == 90_000)
    ]


def our_packets(name: str, packets: list[bytes]) -> tuple[list[bytes], str, str, str]:
    """ffmpeg's units, packed by us: packets, media kind, rtpmap, format parameters."""
    if name == "h264":
        depacketizer = h264.Depacketizer()
        units = units_of(packets, depacketizer)
        packer = h264.Packetizer(600)
        assert depacketizer.record is not None
        packer.configure(depacketizer.record)
        parts = [packer.packetize(unit.payload, key=unit.key) for unit in units]
        return repacked(units, parts, 90_000), "video", "H264/90000", "a=fmtp:96 packetization-mode=1\n"
    if name == "vp8":
        units = units_of(packets, vp8.Depacketizer())
        vp8_packer = vp8.Packetizer(600, 0x7FF0)
        return repacked(units, [vp8_packer.packetize(unit.payload) for unit in units], 90_000), "video", "VP8/90000", ""
    units = units_of(packets, opus.Depacketizer())
    return repacked(units, [opus.packetize(unit.payload) for unit in units], 48_000), "audio", "opus/48000/2", ""


@pytest.mark.parametrize("name", ["h264", "vp8", "opus"])
def test_ffmpeg_plays_what_we_pack(
    name: str, received: dict[str, tuple[list[bytes], list[bytes]]], tmp_path: Path
) -> None:
    """Its demuxer and decoder, by a session description, without an error."""
    packets, kind, rtpmap, fmtp = our_packets(name, received[name][0])
    rtp_socket, rtcp_socket = udp_pair()
    port = rtp_socket.getsockname()[1]
    description = tmp_path / "our.sdp"
    description.write_text(SDP.format(kind=kind, port=port, name=rtpmap, fmtp=fmtp))
    rtp_socket.close()
    rtcp_socket.close()
    command = [require("ffmpeg"), "-v", "error", "-protocol_whitelist", "file,udp,rtp", "-i", str(description)]
    command += ["-frames:v", str(READ)] if kind == "video" else ["-frames:a", str(OPUS_PACKETS - 2)]
    command += ["-f", "framecrc" if kind == "video" else "s16le", "-fps_mode", "passthrough", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        output, errors = fed(process, packets, port)
    finally:
        process.kill()
        process.wait()
    assert not errors, errors.decode()
    if kind == "video":
        frames = [line for line in output.splitlines() if line and not line.startswith(b"#")]
        assert len(frames) == READ
    else:
        assert len(output) >= (OPUS_PACKETS - 3) * 960 * 4  # the first lacks its pre-skip


def wait_listening(port: int) -> None:
    """Until somebody has the UDP port."""
    wanted = f":{port:04X} "
    for _ in range(500):
        if wanted in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.02)
    raise AssertionError("ffmpeg does not listen")


def fed(process: subprocess.Popen[bytes], packets: list[bytes], port: int) -> tuple[bytes, bytes]:
    """Send the packets when it listens; what it wrote when it had all that it waits for."""
    wait_listening(port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for at, packet in enumerate(packets):
            sender.sendto(packet, ("127.0.0.1", port))
            if at % 10 == 9:
                time.sleep(0.002)  # its socket's buffer holds some hundred packets
    return process.communicate(timeout=15)
