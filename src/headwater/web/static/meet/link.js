// A WebRTC connection that is kept: WHIP or WHEP (RFC 9725), with ICE restarts and, where these do not help, a new one.
//
//   connecting ─► connected ─► shaky ── ICE restart ─► connected
//        ▲            │ ended      └── no help ─┐
//        └── waiting ◄┴─────────────────────────┘         stopped: by its owner, or for good

import { Refusal } from "./api.js";

const HOLD_MS = 1500; // a network that changes is back within this, mostly
const RESTART_MS = 5000; // an ICE restart helps within this or not at all
const CONNECT_MS = 15_000;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;
const STEADY_MS = 10_000; // after this much time a connection counts as one that works

const all = new Set();
// Back in a network: nobody waits for a timer then.
addEventListener("online", () => all.forEach((link) => link.hurry()));

export class Link {
  state = "stopped";
  #pc = null;
  #turn = 0;
  #location = null;
  #timer = null;
  #failures = 0;
  #since = 0;
  #restarted = false;
  #hurry = null;

  /**
   * @param {import("./api.js").Meeting} meeting
   * @param {string} path of the endpoint
   * @param {object} owner
   *   prepare(pc): adds what is sent and received, before the offer
   *   changed(): `state` is another
   *   again(error): after an end, whether to connect again; the error is null where the server closed what was there
   */
  constructor(meeting, path, owner) {
    this.meeting = meeting;
    this.path = path;
    this.owner = owner;
  }

  get pc() {
    return this.#pc;
  }

  start() {
    all.add(this);
    this.#open();
  }

  /** End it; the server hears of it by the connection itself. */
  stop() {
    all.delete(this);
    this.#drop();
    this.#set("stopped");
  }

  hurry() {
    this.#hurry?.();
    if (this.state === "shaky") this.#restart(this.#turn);
  }

  async #open() {
    this.#drop();
    const turn = this.#turn;
    const pc = new RTCPeerConnection({ iceServers: this.meeting.iceServers, bundlePolicy: "max-bundle" });
    this.#pc = pc;
    this.#restarted = false;
    this.#set("connecting");
    this.#after(CONNECT_MS, () => this.#ended(turn, new Error("media does not come through: the network may block UDP")));
    try {
      this.owner.prepare(pc);
      // The offer is posted before it is applied: its answer tells the STUN and TURN servers, which gathering needs.
      const offer = await pc.createOffer();
      const answer = await this.meeting.offer(this.path, offer.sdp);
      if (turn !== this.#turn) return this.#goodbye(answer.location);
      this.#location = answer.location;
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: this.meeting.iceServers });
      pc.onconnectionstatechange = () => this.#moved(turn);
      await pc.setLocalDescription(offer);
      await pc.setRemoteDescription({ type: "answer", sdp: answer.sdp });
      if (turn !== this.#turn) return;
      const [first] = pc.getTransceivers();
      const transport = first.sender.transport ?? first.receiver.transport;
      // The server's goodbye comes by DTLS; connectionState does not tell it.
      transport?.addEventListener("statechange", () => ["closed", "failed"].includes(transport.state) && this.#ended(turn, null));
    } catch (error) {
      this.#ended(turn, error);
    }
  }

  #moved(turn) {
    if (turn !== this.#turn) return;
    switch (this.#pc.connectionState) {
      case "connected":
        clearTimeout(this.#timer);
        this.#since ||= performance.now();
        this.#restarted = false;
        this.#set("connected");
        break;
      case "disconnected":
        this.#set("shaky");
        this.#after(HOLD_MS, () => this.#restart(turn));
        break;
      case "failed":
        if (this.#restarted || this.state === "connecting") this.#ended(turn, new Error("the connection was lost"));
        else this.#restart(turn);
    }
  }

  /** RFC 9725, 4.3.3: new credentials for the same connection. */
  async #restart(turn) {
    if (turn !== this.#turn || this.#restarted) return;
    const pc = this.#pc;
    this.#restarted = true;
    this.#set("shaky");
    this.#after(RESTART_MS, () => this.#ended(turn, new Error("the connection was lost")));
    try {
      const offer = await pc.createOffer({ iceRestart: true });
      const answer = await this.meeting.call("PATCH", this.#location, {
        body: fragment(offer.sdp),
        headers: { "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
      });
      const theirs = await answer.text();
      if (turn !== this.#turn) return;
      const before = pc.remoteDescription.sdp;
      await pc.setLocalDescription(offer);
      await pc.setRemoteDescription({ type: "answer", sdp: withCredentials(before, theirs) });
    } catch (error) {
      // Without a network the timer decides; the server's no is final.
      if (error instanceof Refusal) this.#ended(turn, error);
      else if (turn === this.#turn) this.#restarted = false;
    }
  }

  async #ended(turn, error) {
    if (turn !== this.#turn) return;
    if (this.#since && performance.now() - this.#since > STEADY_MS) this.#failures = 0;
    if (error !== null && this.#location) this.#goodbye(this.#location);
    this.#drop();
    this.#set("waiting");
    const mine = this.#turn;
    const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++) * (0.75 + Math.random() / 2);
    await new Promise((resolve) => {
      this.#hurry = resolve;
      setTimeout(resolve, wait);
    });
    this.#hurry = null;
    if (mine !== this.#turn) return;
    const again = await this.owner.again(error);
    if (mine !== this.#turn) return;
    if (again) this.#open();
    else this.stop();
  }

  #goodbye(location) {
    this.meeting.call("DELETE", location).catch(() => {});
  }

  #drop() {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#location = null;
    this.#since = 0;
    this.#pc?.close();
    this.#pc = null;
  }

  #after(ms, what) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(what, ms);
  }

  #set(state) {
    if (this.state === state) return;
    this.state = state;
    this.owner.changed();
  }
}

/** Our new ICE credentials as RFC 8840 writes them. */
function fragment(sdp) {
  const line = (start) => sdp.split("\r\n").find((each) => each.startsWith(start));
  return [line("a=ice-ufrag:"), line("a=ice-pwd:"), line("m="), line("a=mid:"), ""].join("\r\n");
}

function withCredentials(sdp, theirs) {
  const value = (name) => theirs.match(new RegExp(`^a=${name}:(.*?)\\r?$`, "m"))[1];
  return sdp.replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${value("ice-ufrag")}`).replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${value("ice-pwd")}`);
}

/** What we send and receive, H.264 first: a broadcast of the meeting may pass it on as it is. */
export function preferH264(transceiver, capabilities) {
  const codecs = capabilities?.codecs ?? [];
  const rank = ({ mimeType, sdpFmtpLine = "" }) => {
    const name = mimeType.toLowerCase();
    if (name === "video/h264") return /packetization-mode=1/.test(sdpFmtpLine) ? (/profile-level-id=42e0/i.test(sdpFmtpLine) ? 0 : 1) : 2;
    return name === "video/vp8" ? 3 : name === "video/rtx" ? 4 : 5;
  };
  const wanted = codecs.filter((codec) => rank(codec) < 5).sort((a, b) => rank(a) - rank(b));
  if (wanted.length === 0 || !transceiver.setCodecPreferences) return;
  try {
    transceiver.setCodecPreferences(wanted);
  } catch {
    // A browser that sends what it cannot receive; its own order will do.
  }
}
