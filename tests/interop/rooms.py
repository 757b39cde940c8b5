"""A server of rooms alone, whose tokens are participants' names, and a bare page that takes part in them."""

from __future__ import annotations

import asyncio
import math
import subprocess
import threading
import wave
from array import array
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import uvicorn
from playwright.sync_api import Browser, Page, Playwright
from starlette.applications import Starlette

from headwater.events import RoomEvent
from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.rooms.signalling import Door, room_routes
from headwater.rooms import Admission, Permissions
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.settings import WebRtcSettings
from tests.browser import FLAGS
from tests.support import require

Result = TypeVar("Result")

MEETING = "5c2a3e14-0000-4000-8000-000000000001"

PAGE = """<!doctype html><meta charset="utf-8"><title>room</title><body><script type="module">
const meeting = location.pathname.replace("/page", "");
const held = {};
const call = (token, method, path, init = {}) =>
  fetch(path.startsWith("/") ? path : `${meeting}/${path}`,
    { method, ...init, headers: { Authorization: `Bearer ${token}`, ...init.headers } });

async function connect(token, path, connection, port) {
  await connection.setLocalDescription();
  const answer = await call(token, "POST", path,
    { body: connection.localDescription.sdp, headers: { "Content-Type": "application/sdp" } });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  const sdp = await answer.text();
  const relayed = port ? sdp.replace(/^(a=candidate:.* 127[.]0[.]0[.]1) [0-9]+/gm, `$1 ${port}`) : sdp;
  await connection.setRemoteDescription({ type: "answer", sdp: relayed });
  return answer.headers.get("Location");
}

const devices = (width, frameRate) => navigator.mediaDevices.getUserMedia({
  video: { width, frameRate },
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
});

function made(colour, tone) {
  const canvas = Object.assign(document.createElement("canvas"), { width: 320, height: 240 });
  const picture = canvas.getContext("2d");
  setInterval(() => { picture.fillStyle = colour; picture.fillRect(0, 0, 320, 240); }, 1000 / 15);
  const sound = new AudioContext(), oscillator = new OscillatorNode(sound, { frequency: tone });
  const out = sound.createMediaStreamDestination();
  oscillator.connect(new GainNode(sound, { gain: 0.3 })).connect(out);
  oscillator.start();
  return new MediaStream([...canvas.captureStream(15).getTracks(), ...out.stream.getTracks()]);
}

const only = (transceiver, codec) => transceiver.setCodecPreferences(
  RTCRtpSender.getCapabilities("video").codecs.filter(({ mimeType }) => ["video/rtx", codec].includes(mimeType)));

window.publish = async (token, source, { port, width = 320, frameRate = 15, colour, tone, codec } = {}) => {
  const stream = colour ? made(colour, tone) : await devices(width, frameRate);
  const connection = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    const transceiver = connection.addTransceiver(track, { direction: "sendonly", streams: [stream] });
    if (codec && track.kind === "video") only(transceiver, codec);
  }
  const location = await connect(token, `whip?source=${source}`, connection, port);
  held[`${token} sends ${source}`] = { connection, location };
};

window.receive = async (token, id, source, { port } = {}) => {
  const connection = new RTCPeerConnection();
  connection.addTransceiver("audio", { direction: "recvonly" });
  connection.addTransceiver("video", { direction: "recvonly" });
  const video = document.body.appendChild(document.createElement("video"));
  video.autoplay = true;
  video.srcObject = new MediaStream();
  const sound = new AudioContext();
  const analyser = new AnalyserNode(sound, { fftSize: 8192, smoothingTimeConstant: 0 });
  connection.ontrack = ({ track }) => {
    video.srcObject.addTrack(track);
    if (track.kind === "audio") sound.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  };
  const started = performance.now();
  const one = { connection, video, analyser, sound };
  video.requestVideoFrameCallback(() => { one.first_ms = performance.now() - started; });
  one.location = await connect(token, `whep/${id}/${source}`, connection, port);
  held[`${token} receives ${id} ${source}`] = one;
};

window.look = (name) => {
  const { video, analyser, sound, connection, first_ms } = held[name];
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const loudest = levels.indexOf(Math.max(...levels));
  const found = { state: connection.connectionState, first_ms, db: levels[loudest],
    tone: loudest * sound.sampleRate / analyser.fftSize, frames: video.getVideoPlaybackQuality().totalVideoFrames };
  if (video.videoWidth) {
    const canvas = new OffscreenCanvas(16, 16).getContext("2d");
    canvas.drawImage(video, 0, 0, 16, 16);
    found.colour = [...canvas.getImageData(8, 8, 1, 1).data].slice(0, 3);
    found.width = video.videoWidth;
  }
  return found;
};

window.stats = async (name) => {
  const found = [];
  for (const each of (await held[name].connection.getStats()).values())
    if (["inbound-rtp", "outbound-rtp"].includes(each.type)) found.push(each);
  return found;
};

window.states = [];
window.listen = async (token) => {
  const { body, status } = await call(token, "GET", "events");
  if (status !== 200) throw new Error(status);
  (async () => {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ""; ;) {
      const { value, done } = await reader.read();
      if (done) return window.states.push({ event: "end" });
      text += value;
      for (let at; (at = text.indexOf("\\n\\n")) >= 0; text = text.slice(at + 2)) {
        const found = /^event: (\\w+)\\ndata: (.*)$/.exec(text.slice(0, at));
        if (found) window.states.push({ event: found[1], at: Date.now(), ...JSON.parse(found[2]) });
      }
    }
  })();
};
window.act = async (token, method, path, body) => {
  const answer = await call(token, method, path, body === undefined ? {} : { body: JSON.stringify(body) });
  return [answer.status, await answer.text()];
};
window.hangUp = async (token, name) => (await call(token, "DELETE", held[name].location)).status;
</script>"""


class Control:
    """The control plane's side: tokens are participants' names, and everybody may do everything."""

    async def admit(self, token: str, meeting_id: str) -> Admission:
        everything = Permissions(True, True, True, True, True, True)
        return Admission(
            "app", meeting_id, "Weekly sync", token, f"c-{token}", token.title(), None, "host", everything, 60.0, 2**53
        )

    async def start(self, meeting_id: str) -> str:
        return "livestream"

    async def stop(self, meeting_id: str) -> None:
        return None

    async def playback_id(self, meeting_id: str) -> str | None:
        return None

    async def status(self, meeting_id: str) -> str | None:
        return None


class RoomServer:
    """Rooms behind HTTP, on an event loop in a thread of its own."""

    def __init__(self) -> None:
        self.events: list[RoomEvent] = []
        self.webrtc = WebRtcServer(WebRtcSettings())
        self.rooms = OpenRooms(self.webrtc, Control(), self.events.append)
        self.url = ""
        self.udp = ("", 0)
        self.loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="room-server")

    @property
    def meeting(self) -> str:
        return f"{self.url}/meet/{MEETING}"

    def __enter__(self) -> RoomServer:
        self._thread.start()
        assert self._started.wait(10), "the room server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the room server did not stop"

    def ask(self, question: Callable[[], Result]) -> Result:
        """Ask something on the server's loop."""

        async def answer() -> Result:
            return question()

        return asyncio.run_coroutine_threadsafe(answer(), self.loop).result(5)

    def wait(self, waiting: Callable[[], Awaitable[Result]], timeout_s: float) -> Result:
        """Wait for something on the server's loop."""

        async def answer() -> Result:
            return await waiting()

        return asyncio.run_coroutine_threadsafe(answer(), self.loop).result(timeout_s)

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())
        self.loop.close()

    async def _serve(self) -> None:
        self.udp = await self.webrtc.start("127.0.0.1", 0)
        control = Control()
        routes = room_routes(self.rooms, self.webrtc, Door(control), control)
        config = uvicorn.Config(Starlette(routes=routes), "127.0.0.1", 0, log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        serving = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        self._started.set()
        await self._stop.wait()
        await self.rooms.stop()
        await self.webrtc.stop()
        server.should_exit = True
        await serving


def fake_devices(folder: Path, name: str, colour: str, tone_hz: int) -> list[str]:
    """Chromium's switches for a camera that shows one colour and a microphone that hears one tone."""
    picture, sound = folder / f"{name}.y4m", folder / f"{name}.wav"
    source = f"color=c={colour}:s=320x240:r=15:d=1"
    subprocess.run(
        [require("ffmpeg"), "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", str(picture)], check=True
    )
    samples = array("h", (round(12_000 * math.sin(2 * math.pi * tone_hz * at / 48_000)) for at in range(48_000)))
    with wave.open(str(sound), "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(48_000)
        written.writeframes(samples.tobytes())
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={picture}",
        f"--use-file-for-fake-audio-capture={sound}",
    ]


def browser(playwright: Playwright, *switches: str) -> Browser:
    """A Chromium of its own."""
    return playwright.chromium.launch(executable_path=require("chromium"), args=[*FLAGS, *switches], headless=True)


def opened(browser: Browser, meeting: str) -> Page:
    """The bare page at a meeting's URL, on whatever server; what it complains about is printed."""
    page = browser.new_page()
    page.on("pageerror", lambda error: print("page:", error))
    page.route(f"{meeting}/page", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{meeting}/page")
    return page


@contextmanager
def someone(browser: Browser, meeting: str) -> Iterator[Page]:
    """`opened`, closed at the end of the block."""
    page = opened(browser, meeting)
    try:
        yield page
    finally:
        page.close()


def look(page: Page, name: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("name => look(name)", name)
    return found
