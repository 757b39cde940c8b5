// The player page: words, buttons, keys and figures around a Stream.
//
// Address parameters for embedding: ?autoplay=0, ?muted=0, ?controls=0.

import { Reporter } from "./report.js";
import { Stream } from "./stream.js";

const $ = (id) => document.getElementById(id);
const options = new URLSearchParams(location.search);
const player = $("player");
const video = $("video");
const stream = new Stream(location.pathname.split("/")[1], video);
new Reporter(stream);

const HEADLINES = {
  connecting: "Connecting",
  waiting: "Waiting for the stream",
  stalled: "",
  ended: "The stream has ended",
  paused: "Press play",
  error: "This cannot be played",
};
const SHORT_WINDOW_S = 20; // less than this is not worth a seek bar

const icon = (path) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${path}"/></svg>`;
const ICONS = {
  play: icon("M8 5v14l11-7z"),
  pause: icon("M7 5h4v14H7zM13 5h4v14h-4z"),
  sound: icon("M4 9v6h4l5 5V4L8 9zM16 8.5a5 5 0 0 1 0 7zM16 4.6v2.1a6.5 6.5 0 0 1 0 10.6v2.1a8.5 8.5 0 0 0 0-14.8z"),
  silent: icon("M4 9v6h4l5 5V4L8 9zM21 9.4 19.6 8 17.5 10.1 15.4 8 14 9.4l2.1 2.1L14 13.6l1.4 1.4 2.1-2.1 2.1 2.1 1.4-1.4-2.1-2.1z"),
  info: icon("M11 7h2v2h-2zm0 4h2v6h-2zm1-9a10 10 0 1 0 0 20 10 10 0 0 0 0-20zm0 18a8 8 0 1 1 0-16 8 8 0 0 1 0 16z"),
  full: icon("M5 5h6v2H7v4H5zm8 0h6v6h-2V7h-4zM5 13h2v4h4v2H5zm12 0h2v6h-6v-2h4z"),
};

// -- what is shown ---------------------------------------------------------------------------------------------

function showState() {
  player.dataset.state = stream.state;
  player.dataset.kind = stream.kind;
  $("headline").textContent = HEADLINES[stream.state] ?? "";
  $("detail").textContent = stream.detail;
  $("live").hidden = stream.kind === "recording" && !stream.liveAgain;
  $("live").classList.toggle("again", stream.liveAgain);
  $("recording").hidden = !(stream.recording && ["waiting", "ended"].includes(stream.state));
}

function showControls() {
  $("play").innerHTML = video.paused ? ICONS.play : ICONS.pause;
  $("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
  const silent = video.muted || video.volume === 0;
  $("mute").innerHTML = silent ? ICONS.silent : ICONS.sound;
  $("mute").setAttribute("aria-label", silent ? "Unmute" : "Mute");
  $("unmute").hidden = !(video.muted && stream.state === "playing" && !player.dataset.heard);
}

const clock = (seconds) => {
  const s = Math.max(0, Math.floor(seconds));
  const rest = `${String(Math.floor(s / 60) % 60).padStart(s >= 3600 ? 2 : 1, "0")}:${String(s % 60).padStart(2, "0")}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${rest}` : rest;
};

function showPosition() {
  const { range } = stream;
  const recording = stream.kind === "recording";
  $("seek").hidden = !range || range.end - range.start < SHORT_WINDOW_S;
  if (range && !dragging) {
    $("seek").min = range.start;
    $("seek").max = range.end;
    $("seek").value = video.currentTime;
    const behind = range.end - video.currentTime;
    $("seek").setAttribute("aria-valuetext", recording ? clock(video.currentTime) : `${clock(behind)} behind the newest picture`);
  }
  $("live").classList.toggle("at-edge", stream.state === "playing" && stream.atEdge);
  if (recording) $("time").textContent = range ? `${clock(video.currentTime)} / ${clock(range.end)}` : "";
  else $("time").textContent = stream.latency === null ? "" : `${stream.latency.toFixed(1)} s behind`;
  $("time").title = recording ? "" : "Behind the moment at which the picture reached the server";
}

function showStats() {
  if ($("stats").hidden) return;
  const quality = video.getVideoPlaybackQuality?.();
  const rows = {
    State: stream.state,
    Latency: stream.latency === null ? "–" : `${stream.latency.toFixed(2)} s`,
    Target: stream.target === null ? "–" : `${stream.target.toFixed(2)} s`,
    Buffer: `${stream.buffered.toFixed(2)} s`,
    Picture: video.videoWidth ? `${video.videoWidth} × ${video.videoHeight}` : "–",
    Dropped: quality ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}` : "–",
    Stalls: stream.stalls,
  };
  $("stats").replaceChildren(
    ...Object.entries(rows).flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const fact = document.createElement("dd");
      term.textContent = name;
      fact.textContent = value;
      return [term, fact];
    }),
  );
}

async function showViewers() {
  if (document.hidden) return;
  try {
    const response = await fetch(`${stream.base}/views`, { cache: "no-store" });
    const count = response.ok ? (await response.json()).liveViewers : 0;
    $("viewers").hidden = !count || stream.kind === "recording";
    $("viewers").textContent = `${count} watching`;
  } catch {
    $("viewers").hidden = true;
  }
}

// -- what can be done ------------------------------------------------------------------------------------------

let dragging = false;
let shown = "";

const actions = {
  play() {
    if (stream.state === "paused" && !stream.hls && !video.src) return stream.wait("connecting");
    if (!video.paused) return video.pause();
    if (stream.kind === "live" && !stream.atEdge && $("seek").hidden) return stream.goLive();
    return stream.resume();
  },
  mute() {
    video.muted = !video.muted;
    player.dataset.heard = "yes";
  },
  live: () => stream.goLive(),
  info() {
    $("stats").hidden = !$("stats").hidden;
    $("info").setAttribute("aria-pressed", String(!$("stats").hidden));
    showStats();
  },
  full() {
    if (document.fullscreenElement) return document.exitFullscreen();
    if (player.requestFullscreen) return player.requestFullscreen();
    return video.webkitEnterFullscreen?.(); // iPhone: only the element itself
  },
  unmute: () => actions.mute(),
  recording: () => stream.start("recording"),
};

const move = (seconds) => stream.seek(video.currentTime + seconds);
const louder = (step) => {
  video.muted = false;
  video.volume = Math.min(1, Math.max(0, video.volume + step));
};
const KEYS = {
  " ": actions.play,
  k: actions.play,
  m: actions.mute,
  f: actions.full,
  i: actions.info,
  l: actions.live,
  ArrowLeft: () => move(-5),
  ArrowRight: () => move(5),
  ArrowUp: () => louder(0.1),
  ArrowDown: () => louder(-0.1),
};

for (const id of ["play", "mute", "live", "info", "full", "unmute", "recording"]) $(id).addEventListener("click", actions[id]);
$("info").innerHTML = ICONS.info;
$("full").innerHTML = ICONS.full;
$("seek").addEventListener("input", () => {
  dragging = true;
  stream.seek(Number($("seek").value));
});
$("seek").addEventListener("change", () => (dragging = false));
// A finger looks for the controls, a mouse wants to pause.
video.addEventListener("click", (event) => (event.pointerType === "touch" ? stir() : actions.play()));
$("veil").addEventListener("click", () => stream.state === "paused" && actions.play());
document.addEventListener("keydown", (event) => {
  const own = event.target.closest?.("button, input");
  const action = KEYS[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey || (own && [" ", "ArrowLeft", "ArrowRight"].includes(event.key))) return;
  event.preventDefault();
  action();
  stir();
});

// Controls go away while nobody moves and the picture runs.
let rest;
function stir() {
  player.classList.remove("quiet");
  clearTimeout(rest);
  rest = setTimeout(() => player.classList.toggle("quiet", stream.state === "playing" && !video.paused), 2500);
}
for (const name of ["pointermove", "pointerdown", "focusin"]) player.addEventListener(name, stir);

// -- go --------------------------------------------------------------------------------------------------------

player.classList.toggle("bare", options.get("controls") === "0");
video.muted = options.get("muted") !== "0";
for (const name of ["play", "pause", "volumechange", "playing"]) video.addEventListener(name, showControls);
stream.addEventListener("change", () => {
  showState();
  showControls();
  stir();
  if (stream.state !== shown) showViewers();
  shown = stream.state;
});
setInterval(() => {
  showPosition();
  showStats();
}, 250);
setInterval(showViewers, 3000);
showState();
showControls();

if (options.get("autoplay") === "0") {
  stream.set("paused", "");
} else {
  stream.wait("connecting");
}

// Read-only, for embedders and tests.
window.headwater = Object.freeze({
  get state() { return stream.state; },
  get kind() { return stream.kind; },
  get latency() { return stream.latency; },
  get target() { return stream.target; },
  get stalls() { return stream.stalls; },
  get playing() { return stream.state === "playing" && !video.paused; },
});
