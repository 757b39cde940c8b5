// A livestream in a <video>: starts it when it is there, starts it again after every kind of break, for ever.
//
//   connecting ─► waiting ⇄ playing ⇄ stalled          waiting: nothing is live; asked again with back-off
//                    ▲         │
//                    └── ended ┘                        ended: ENDLIST was played to its end
//
// Beside them: `paused`, where only the viewer can start it, and `error`, where this browser cannot play what comes.
// In: the playback id and the element. Out: `change`, `start` and `seek` events; `state`, `detail`, `latency`, `stalls`, `recording`.

// The page must be able to say that the library is missing, so it is not a static import.
const Hls = await import("/assets/vendor/hls.min.mjs").then((module) => module.default, () => null);

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5000;
const SHORT_PAUSE_MS = 2000; // the longest while encoders often come back
const SOON_MS = 60000;
const GROWTH = 1.5;
const SETTLED_MS = 5000; // having played this long, a failure is a new one
const NATIVE_PATIENCE_MS = 15000; // native players say nothing of a connection that is gone
const UNPLAYABLE = ["manifestIncompatibleCodecsError", "bufferIncompatibleCodecsError", "bufferAddCodecError"];
const STALL_MS = 700; // shorter hiccups are not worth a word
const ANSWER_MS = 8000;

// Keeping to the target latency. hls.js's own catching up stops a third of a second behind it, and moves the target away
// with each stall: ours is proportional, and never eats the last of the buffer.
const PACE_MS = 100;
const NEAR_S = 0.03;
const GAIN = 0.6;
const FASTEST = 1.25;
const SLOWEST = 0.97;
const LEAST_BUFFER_S = 0.35;
const FAR_S = 5; // further behind than this, without having been asked to: jump

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const scattered = (ms) => ms * (0.75 + Math.random() / 2); // the viewers of a server that restarts do not come all at once

export class Stream extends EventTarget {
  constructor(id, video) {
    super();
    this.url = `/${id}/manifest/video.m3u8`;
    this.base = `/${id}`;
    this.video = video;
    this.state = "connecting";
    this.detail = "";
    this.stalls = 0;
    this.kind = "live"; // or "recording"
    this.recording = false; // there is one to watch
    this.liveAgain = false; // while a recording plays, the livestream has begun again
    this.hls = null;
    this.sid = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2);
    this.run = 0; // each start and stop makes older callbacks void
    this.failures = 0; // fatal ones, one after another
    this.played = false;
    this.onAir = null; // whether the server says that it is live; null: it has not been asked, or does not answer
    this.stalledAt = null; // Date.now() since when the picture stands, where it does
    this.away = false; // the viewer went back in time
    this.watchForStalls();
    setInterval(() => this.pace(), PACE_MS);
    video.addEventListener("ended", () => this.ended());
    video.addEventListener("playing", () => this.set("playing"));
    document.addEventListener("visibilitychange", () => document.hidden || this.wake?.());
    addEventListener("online", () => this.wake?.());
  }

  set(state, detail = "") {
    if (state === "playing" && this.state !== "playing") this.playingSince = performance.now();
    if (state === this.state && detail === this.detail) return;
    this.state = state;
    this.detail = detail;
    this.dispatchEvent(new Event("change"));
  }

  // -- waiting and starting ------------------------------------------------------------------------------------

  /** Wait until something is live, then play it; the state is what the viewer is told until the server has answered. */
  async wait(state = "waiting", detail = "") {
    const run = this.stop();
    this.set(state, detail);
    const since = performance.now();
    let next = Math.min(FIRST_PAUSE_MS * GROWTH ** this.failures, LONGEST_PAUSE_MS);
    if (this.failures > 1) await this.rest(state === "error" ? LONGEST_PAUSE_MS : next);
    while (run === this.run) {
      const live = await this.live();
      if (run !== this.run) return;
      this.onAir = live;
      if (live) return this.start();
      if (state !== "ended") state = "waiting";
      if (live === null) this.set(state, "The server does not answer. Trying again.");
      else this.set(state, state === "waiting" ? "It starts by itself." : detail);
      if (!this.asked) this.askForRecording();
      await this.rest(next);
      const soon = live === false && !document.hidden && performance.now() - since < SOON_MS;
      next = document.hidden ? LONGEST_PAUSE_MS : Math.min(next * GROWTH, soon ? SHORT_PAUSE_MS : LONGEST_PAUSE_MS);
    }
  }

  /** Pause, but not longer than until somebody looks or the network is back. */
  rest(ms) {
    return Promise.race([pause(scattered(ms)), new Promise((resolve) => (this.wake = resolve))]);
  }

  /** Whether the livestream is live; null where the server does not say. */
  async live() {
    try {
      const response = await fetch(`${this.base}/lifecycle`, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
      return response.ok ? (await response.json()).live : response.status === 404 ? false : null;
    } catch {
      return null;
    }
  }

  /** Whether there is a recording: then the playlist is there though nothing is live. */
  async askForRecording() {
    this.asked = true;
    try {
      const response = await fetch(this.url, { cache: "no-store" });
      // A broadcast that is just beginning has a playlist too.
      this.recording = response.ok && (await this.live()) === false && this.state !== "playing";
    } catch {
      this.asked = false;
    }
    this.dispatchEvent(new Event("change"));
  }

  start(kind = "live") {
    const run = this.stop();
    this.kind = kind;
    this.recording = false;
    this.played = false;
    this.away = false;
    this.onAir = true;
    this.dispatchEvent(new Event("start"));
    if (Hls?.isSupported()) this.startHls(run);
    else if (this.video.canPlayType("application/vnd.apple.mpegurl")) this.startNative(run);
    else if (!Hls) this.set("error", "The player's library is missing on the server: `make web` fetches it.");
    else this.set("error", "This browser cannot play the stream. Any HLS player can, by its address.");
  }

  startHls(run) {
    const hls = new Hls({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1, // see pace()
      liveSyncOnStallIncrease: 0,
      liveDurationInfinity: true,
      backBufferLength: 30,
      maxBufferLength: 12,
      enableWorker: true,
      cmcd: { sessionId: this.sid, contentId: this.base.slice(1), useHeaders: false },
    });
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_, data) => run === this.run && this.failed(data));
    hls.on(Hls.Events.MANIFEST_PARSED, () => run === this.run && this.play());
    hls.on(Hls.Events.LEVEL_LOADED, (_, data) => {
      if (run === this.run) this.over = !data.details.live && this.kind === "live" && this.played;
      if (!this.played) this.begun(run, data.details.live);
    });
    hls.loadSource(this.url);
    hls.attachMedia(this.video);
  }

  startNative(run) {
    const { video } = this;
    this.native = new AbortController();
    const once = { once: true, signal: this.native.signal };
    video.addEventListener("loadedmetadata", () => this.begun(run, !Number.isFinite(video.duration)), once);
    video.addEventListener("error", () => this.broke("The connection broke."), once);
    video.src = this.url;
    this.play();
  }

  /** The first playlist is there: it tells whether this is live. */
  begun(run, live) {
    this.played = true;
    if (!live) this.kind = "recording";
    if (this.kind === "recording") this.lookOut(run);
    this.dispatchEvent(new Event("change"));
  }

  /** While a recording plays, notice that the livestream begins again. */
  async lookOut(run) {
    while (run === this.run && !this.liveAgain) {
      await pause(scattered(LONGEST_PAUSE_MS));
      const live = !document.hidden && (await this.live());
      if (run !== this.run || !live) continue;
      this.liveAgain = true;
      this.dispatchEvent(new Event("change"));
    }
  }

  play() {
    this.video.play().catch(() => {
      this.video.muted = true; // sound was not allowed yet
      this.video.play().catch(() => this.set("paused"));
    });
  }

  stop() {
    this.wake?.();
    this.hls?.destroy();
    this.hls = null;
    if (this.native) {
      this.native.abort();
      this.native = null;
      this.video.removeAttribute("src");
      this.video.load();
    }
    this.asked = false;
    this.liveAgain = false;
    this.over = false;
    return ++this.run;
  }

  // -- breaks --------------------------------------------------------------------------------------------------

  failed(data) {
    if (!data.fatal) return;
    if (UNPLAYABLE.includes(data.details)) return this.broke("This browser does not have its codec; another one may.", "error");
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && this.failures < 2) {
      this.failures += 1;
      return this.hls.recoverMediaError();
    }
    this.broke(data.type === Hls.ErrorTypes.NETWORK_ERROR ? "The connection broke." : "The picture broke.");
  }

  /** Begin anew: at once the first time, then with back-off. */
  broke(detail, state = "waiting") {
    this.failures += state === "error" ? 2 : 1; // the same codec is not tried again at once
    this.wait(state, detail);
  }

  ended() {
    const run = this.run;
    this.set("ended", this.kind === "recording" ? "That was the recording." : "");
    pause(300).then(() => run === this.run && this.wait("ended", this.detail));
  }

  /** A picture that does not move though it should: said after a moment, counted once. */
  watchForStalls() {
    let last = 0;
    let since = performance.now();
    setInterval(() => {
      const { video } = this;
      const now = performance.now();
      if (video.currentTime !== last || video.paused || video.ended || !this.played) {
        if (this.state === "stalled" && video.currentTime !== last) this.set("playing");
        if (this.state === "playing" && now - this.playingSince > SETTLED_MS) this.failures = 0;
        last = video.currentTime;
        since = now;
      } else if (now - since > STALL_MS && this.over && this.buffered < LEAST_BUFFER_S) {
        this.ended(); // the browser waits for a last picture that no track brings any more
        since = now;
      } else if (now - since > STALL_MS && this.state === "playing") {
        this.stalls += 1;
        this.stalledAt = Math.round(Date.now() - (now - since));
        this.set("stalled", this.over ? "" : "Waiting for the stream.");
      } else if (this.native && now - since > NATIVE_PATIENCE_MS) {
        this.broke("The connection broke.");
        since = now;
      }
    }, 100);
  }

  // -- facts ---------------------------------------------------------------------------------------------------

  /** Seconds behind the moment at which the picture reached the server; null where it is not known. */
  get latency() {
    const at = this.hls?.playingDate ?? this.video.getStartDate?.();
    if (!at || Number.isNaN(+at) || this.kind === "recording") return null;
    const playing = this.hls?.playingDate ? +at : +at + this.video.currentTime * 1000;
    return (Date.now() - playing) / 1000;
  }

  get target() {
    return this.hls?.targetLatency ?? null;
  }

  /** Seconds that are there to be played. */
  get buffered() {
    const { buffered, currentTime } = this.video;
    return buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  }

  get atEdge() {
    const behind = this.hls?.latency;
    return behind === undefined || behind < (this.target ?? 3) + 3;
  }

  /** Nudge the speed so that the picture stays at the target latency. */
  pace() {
    const { hls, video } = this;
    if (!hls || this.kind !== "live" || this.away || video.paused || this.state !== "playing") {
      if (video.playbackRate !== 1) video.playbackRate = 1;
      return;
    }
    const behind = hls.latency - (hls.targetLatency ?? 0);
    if (behind > FAR_S) return this.goLive();
    const ahead = this.buffered;
    let rate = 1;
    if (behind > NEAR_S && ahead > LEAST_BUFFER_S) rate = Math.min(FASTEST, 1 + GAIN * behind);
    else if (behind < -NEAR_S) rate = SLOWEST;
    if (Math.abs(video.playbackRate - rate) > 0.005) video.playbackRate = rate;
  }

  /** Go to a place that the viewer chose. */
  seek(time) {
    const { range } = this;
    if (!range) return;
    this.dispatchEvent(new Event("seek"));
    this.video.currentTime = Math.min(Math.max(time, range.start), range.end);
    this.away = this.kind === "live" && range.end - this.video.currentTime > (this.target ?? 3) + 2;
  }

  /** Play on from where it was paused, though that is behind by now. */
  resume() {
    this.away = this.kind === "live" && !this.atEdge;
    return this.video.play().catch(() => {});
  }

  goLive() {
    if (this.kind === "recording") return this.start();
    this.away = false;
    this.dispatchEvent(new Event("seek"));
    const edge = this.hls?.liveSyncPosition ?? this.range?.end;
    if (edge) this.video.currentTime = edge;
    this.video.play().catch(() => {});
  }

  /** What can be seeked in, in seconds of the element; null where there is nothing. */
  get range() {
    const { seekable } = this.video;
    return seekable.length ? { start: seekable.start(0), end: seekable.end(seekable.length - 1) } : null;
  }
}
