// Tells the server how a viewing fares, in the words of CMCD version 2 (CTA-5004-B, event mode): start-up time, stalls,
// latency, bitrate, dropped frames. It works alike whether hls.js plays or the browser itself, which tells nobody
// anything. In: a Stream and its element. Out: POST <base>/cmcd, a report a line.
//
//   s starting ─► p playing ⇄ r rebuffering        a paused, k seeking, e ended, f fatal error, q quit
//
// Who views is not told: the session id is random and the page's own. Recordings are not reported.

const INTERVAL_MS = 10000; // between reports while nothing changes
const GATHER_MS = 1000; // what happens within this goes in one request
const AGAIN_MS = 5000; // after a failure
const QUEUE_LIMIT = 100; // reports that wait for a network that is gone; of more, the oldest are dropped

export class Reporter {
  constructor(stream) {
    this.stream = stream;
    this.state = "";
    this.sequence = 0;
    this.queue = [];
    this.startedAt = null; // performance.now() of the wish to play, until it plays
    this.played = false;
    const { video } = stream;
    stream.addEventListener("start", () => this.starting());
    stream.addEventListener("change", () => this.changed());
    stream.addEventListener("seek", () => this.played && this.enter("k"));
    video.addEventListener("seeked", () => this.state === "k" && !video.paused && this.enter("p"));
    video.addEventListener("pause", () => this.played && !video.ended && this.moving && this.enter("a"));
    video.addEventListener("play", () => this.resumed());
    video.addEventListener("playing", () => this.changed());
    addEventListener("pagehide", () => this.quit());
    document.addEventListener("visibilitychange", () => document.hidden && this.send(true));
    setInterval(() => this.state && !"eq".includes(this.state) && this.add("t"), INTERVAL_MS);
  }

  get moving() {
    return this.stream.state === "playing";
  }

  starting() {
    if (this.played || this.stream.kind === "recording") return; // a connection that comes back is no new start
    this.startedAt = performance.now();
    this.enter("s");
  }

  /** The viewer presses play: where it had to wait for that, start-up begins now. */
  resumed() {
    if (!this.played && this.state === "a") {
      this.startedAt = performance.now();
      this.enter("s");
    } else if (this.played && this.moving) this.enter("p");
  }

  changed() {
    const { stream } = this;
    if (stream.kind === "recording") return this.end("e");
    switch (stream.state) {
      case "playing":
        if (!stream.video.paused && this.state !== "k") this.enter("p");
        break;
      case "stalled":
        if (this.state !== "k") this.enter("r", stream.stalledAt);
        break;
      case "paused":
        this.enter("a");
        break;
      case "waiting":
      case "connecting":
        if (stream.onAir === false) this.end("e");
        else if (this.played) this.enter("r");
        break;
      case "ended":
        this.end("e");
        break;
      case "error":
        this.end("f");
    }
  }

  enter(state, ts = Date.now()) {
    if (state === this.state || !(this.state || "sp".includes(state))) return;
    this.state = state;
    const facts = { ts };
    if (state === "p" && !this.played) {
      this.played = true;
      if (this.startedAt !== null) facts.msd = Math.round(performance.now() - this.startedAt);
    }
    this.add("ps", facts);
  }

  /** The viewing is over; the next broadcast is another. */
  end(state) {
    if (this.state) this.enter(state);
    this.state = "";
    this.played = false;
    this.startedAt = null;
  }

  quit() {
    if (!this.state) return;
    this.enter("q");
    this.send(true);
  }

  add(event, facts = {}) {
    const { stream } = this;
    const { video, hls } = stream;
    const { buffered } = video;
    const kbps = (hls?.levels[hls.currentLevel]?.bitrate ?? 0) / 1000;
    const quality = video.getVideoPlaybackQuality?.();
    const latency = this.state === "p" ? stream.latency : null;
    this.queue.push(
      line({
        bg: document.hidden || undefined,
        bl: buffered.length ? [round100(1000 * Math.max(0, buffered.end(buffered.length - 1) - video.currentTime))] : undefined,
        br: kbps > 0 ? [Math.round(kbps)] : undefined,
        cid: `"${stream.base.slice(1)}"`,
        dfa: quality?.droppedVideoFrames,
        e: event,
        ltc: latency === null ? undefined : Math.round(1000 * latency),
        msd: undefined,
        pr: video.playbackRate === 1 ? undefined : video.playbackRate.toFixed(2),
        sf: "h",
        sid: `"${stream.sid}"`,
        sn: this.sequence++,
        sta: this.state,
        st: "ll",
        ts: Date.now(),
        v: 2,
        ...facts,
      }),
    );
    if (this.queue.length > QUEUE_LIMIT) this.queue.shift();
    this.later(GATHER_MS);
  }

  later(ms) {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.send();
    }, ms);
  }

  /** Send what there is; a page that goes cannot wait for an answer. */
  async send(going = false) {
    if (!this.queue.length || (this.sending && !going)) return;
    const lines = this.queue.splice(0);
    const body = new Blob([`${lines.join("\n")}\n`], { type: "application/cmcd" });
    const url = `${this.stream.base}/cmcd`;
    if (going && navigator.sendBeacon?.(url, body)) return;
    this.sending = true;
    try {
      const { status } = await fetch(url, { method: "POST", body, keepalive: going });
      if (status === 429 || status >= 500) throw new Error(String(status));
    } catch {
      this.queue.unshift(...lines);
      this.queue.splice(0, this.queue.length - QUEUE_LIMIT);
      this.later(AGAIN_MS);
    }
    this.sending = false;
    if (this.queue.length) this.later(GATHER_MS);
  }
}

const round100 = (number) => 100 * Math.round(number / 100);

/** A report: keys in the order of their names; true stands alone, numbers by object type are lists (RFC 8941). */
function line(facts) {
  return Object.entries(facts)
    .filter(([, value]) => value !== undefined && value !== "")
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => (value === true ? key : `${key}=${Array.isArray(value) ? `(${value.join(" ")})` : value}`))
    .join(",");
}
