// Being in a meeting: what the server says of the room, what this page sends to it and receives from it. No page here.
//
// Events: `change` (something of state, trouble, mine or streams is another), `notice` (detail: a sentence),
// `over` (detail: {reason} or {error}: the end).

import { Unreachable } from "./api.js";
import * as devices from "./devices.js";
import { Feed } from "./feed.js";
import { Link, preferH264 } from "./link.js";
import { PASSING, device, failed } from "./words.js";

const SETTLE_MS = 1000; // from our switch to a state that knows of it, and some
const TAKE_OVER_MS = 2000; // from another page's first word to its media, and what it takes to notice
const KINDS = ["audio", "video"];

/** What one participant's source plays: a stream for a video element; `link` says how it is. */
class Received {
  stream = new MediaStream();
  gone = false;

  constructor(call, path, wanted) {
    this.link = new Link(call.meeting, path, {
      prepare: (pc) => {
        for (const track of this.stream.getTracks()) this.stream.removeTrack(track);
        for (const kind of KINDS) {
          const transceiver = pc.addTransceiver(kind, { direction: "recvonly" });
          if (kind === "video") preferH264(transceiver, RTCRtpReceiver.getCapabilities("video"));
        }
        pc.ontrack = ({ track }) => this.stream.addTrack(track);
      },
      changed: () => call.changed(),
      again: () => wanted() || ((this.gone = true), false),
    });
    this.link.start();
  }
}

/** What this page sends of one source. */
class Sent {
  tracks = { audio: null, video: null };
  #senders = {};

  constructor(call, source, kinds) {
    this.link = new Link(call.meeting, `whip?source=${source}`, {
      prepare: (pc) => {
        for (const kind of kinds) {
          const transceiver = pc.addTransceiver(this.tracks[kind] ?? kind, { direction: "sendonly" });
          this.#senders[kind] = transceiver.sender;
          if (kind === "video") preferH264(transceiver, RTCRtpSender.getCapabilities("video"));
        }
      },
      changed: () => call.changed(),
      again: (error) => call.sendsAgain(source, error),
    });
  }

  /** Send another track, or null: nothing for now. */
  set(kind, track) {
    this.tracks[kind] = track;
    this.#senders[kind]?.replaceTrack(track).catch(() => {}); // of a connection that has just ended
  }

  stop() {
    this.link.stop();
    for (const kind of KINDS) {
      this.tracks[kind]?.stop();
      this.tracks[kind] = null;
    }
  }
}

export class Call extends EventTarget {
  /** The newest state of the room (docs/meetings.md); null before the first one. */
  state = null;
  /** Whether the server tells us what goes on. */
  connected = false;
  /** Another page of the same participant sends now. */
  takenOver = false;
  /** What is on: wanted by who sits here. */
  on = { audio: false, video: false };
  /** Path of the page on which the livestream plays, for who may start it; null: none, or not known yet. */
  player = null;
  /** Being switched on: devices take their time. */
  busy = { audio: false, video: false, screen: false };
  #sent = { camera: null, screen: null };
  #received = new Map();
  #feed;
  #stay = null;
  #dirty = true;
  #telling = false;
  #toldAt = 0;
  #over = false;

  constructor(meeting) {
    super();
    this.meeting = meeting;
    this.#feed = new Feed(meeting, {
      state: (state) => this.#told(state),
      bye: (reason) => this.#bye(reason),
      lost: () => {
        this.connected = false;
        this.changed();
      },
      refused: (error) => this.#end({ error }),
    });
  }

  /** Come in, with what the lobby has (lobby.js). */
  join(tracks) {
    this.#lobby = tracks;
    this.on = { audio: tracks.audio !== null, video: tracks.video !== null };
    this.#feed.start();
  }
  #lobby = null;

  changed() {
    this.dispatchEvent(new Event("change"));
  }

  notice(text) {
    this.dispatchEvent(new CustomEvent("notice", { detail: text }));
  }

  // -- what the server says --------------------------------------------------------------------------------------

  get me() {
    return this.state?.me ?? null;
  }

  get allowed() {
    return this.me?.permissions ?? {};
  }

  #told(state) {
    this.state = state;
    this.connected = true;
    if (this.#stay !== state.me.joined_at) {
      this.#stay = state.me.joined_at;
      this.#dirty = true;
    }
    if (this.#lobby !== null) this.#begin();
    this.#agree();
    this.#receive();
    this.#findPlayer();
    this.changed();
  }

  #followed = null;

  /** Where the livestream plays is asked for at each change of its status. */
  async #findPlayer() {
    const status = this.allowed.livestream ? this.state.livestream : null;
    if (status === this.#followed) return;
    this.#followed = status;
    if (!["INVOKED", "LIVE"].includes(status)) this.player = null;
    else {
      const found = await this.meeting.json("GET", "livestream").catch(() => null);
      if (this.#followed !== status) return; // asked again meanwhile
      this.player = found?.player ?? null;
    }
    this.changed();
  }

  /** The first state: what is allowed is known, and the lobby's tracks go on. */
  #begin() {
    const tracks = this.#lobby;
    this.#lobby = null;
    for (const kind of KINDS) {
      if (tracks.coming[kind]) this.switch(kind, true);
      if (tracks[kind] === null) continue;
      if (this.allowed[kind]) this.#use("camera", kind, tracks[kind]);
      else {
        tracks[kind].stop();
        this.on[kind] = false;
      }
    }
  }

  #bye(reason) {
    // LEFT: this page said so, or another one of the same participant.
    if (PASSING.has(reason)) return;
    this.#end({ reason });
  }

  #end(detail) {
    if (this.#over) return;
    this.#over = true;
    this.#feed.stop();
    for (const source of Object.keys(this.#sent)) this.#stopSending(source);
    for (const received of this.#received.values()) received.link.stop();
    this.#received.clear();
    this.dispatchEvent(new CustomEvent("over", { detail }));
  }

  // -- what others send ------------------------------------------------------------------------------------------

  #publishes(id, source, stream, since) {
    const participant = this.state.participants.find((each) => each.id === id && each.joined_at === since);
    return participant?.sources[source]?.stream === stream;
  }

  /** Ask for what is there and not asked for yet; let go of what is there no more. */
  #receive() {
    const here = new Map(this.state.participants.map((each) => [each.id, each]));
    for (const participant of here.values()) {
      if (participant.id === this.me.id) continue;
      for (const [source, { stream }] of Object.entries(participant.sources)) {
        const key = `${participant.id} ${source}`;
        const { id, joined_at: since } = participant;
        const before = this.#received.get(key);
        if (before && !before.gone && before.stream_no === stream && before.since === since) continue;
        before?.link.stop();
        const received = new Received(this, `whep/${encodeURIComponent(id)}/${source}`, () => this.#publishes(id, source, stream, since));
        this.#received.set(key, Object.assign(received, { stream_no: stream, since, id }));
      }
    }
    for (const [key, received] of this.#received) {
      if (here.get(received.id)?.joined_at === received.since) continue;
      received.link.stop();
      this.#received.delete(key);
    }
  }

  /** What a participant's source plays, or null; `connected` tells whether it comes through. */
  received(id, source) {
    return this.#received.get(`${id} ${source}`) ?? null;
  }

  /** Our own track of a source, to be shown here. */
  own(source) {
    return this.#sent[source]?.tracks.video ?? null;
  }

  microphone() {
    return this.#sent.camera?.tracks.audio ?? null;
  }

  /** Whether something does not come through that has to. */
  get trouble() {
    if (this.#over || this.state === null) return false;
    return !this.connected || Object.values(this.#sent).some((sent) => sent && ["shaky", "waiting"].includes(sent.link.state));
  }

  // -- what this page sends --------------------------------------------------------------------------------------

  #use(source, kind, track) {
    let sent = this.#sent[source];
    if (sent === null) {
      const kinds = source === "screen" ? KINDS : KINDS.filter((each) => this.allowed[each]);
      sent = this.#sent[source] = new Sent(this, source, kinds);
    }
    sent.set(kind, track);
    track.onended = () => this.#lostDevice(source, kind, track);
    if (sent.link.state === "stopped") sent.link.start();
  }

  #stopSending(source) {
    this.#sent[source]?.stop();
    this.#sent[source] = null;
  }

  /** After the end of what we send: again, unless the server will not have it, or another page of ours sends now. */
  async sendsAgain(source, error) {
    if (error?.status === 403 || error?.status === 406) {
      this.#stopSending(source);
      if (source === "camera") this.on = { audio: false, video: false };
      this.notice(failed(error));
      this.#tell();
      return false;
    }
    if (error === null && this.connected) {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      if (this.connected && this.me?.sources[source]) {
        this.#stopSending(source);
        if (source === "camera") {
          this.takenOver = true;
          this.on = { audio: false, video: false };
        }
        this.notice("You take part from another window or device now. This one only watches.");
        this.changed();
        return false;
      }
    }
    return true;
  }

  #lostDevice(source, kind, track) {
    const sent = this.#sent[source];
    if (sent?.tracks[kind] !== track) return;
    if (source === "screen") {
      if (kind === "video") this.stopScreen(); // the browser's own button
      else sent.set("audio", null);
      return;
    }
    sent.set(kind, null);
    this.on[kind] = false;
    this.notice(kind === "audio" ? "The microphone is gone." : "The camera is gone.");
    this.#tell();
  }

  /** Switch the microphone or the camera. */
  async switch(kind, on = !this.on[kind]) {
    if (this.busy[kind] || on === this.on[kind]) return;
    if (on && !this.allowed[kind]) return;
    const sent = this.#sent.camera;
    if (!on) {
      this.on[kind] = false;
      if (kind === "audio" && sent?.tracks.audio) sent.tracks.audio.enabled = false;
      if (kind === "video" && sent?.tracks.video) {
        const track = sent.tracks.video;
        sent.set("video", null);
        track.stop(); // its light goes out
      }
      this.#tell();
      return;
    }
    this.busy[kind] = true;
    this.changed();
    try {
      const track = sent?.tracks[kind] ?? (await devices.open(kind));
      if (this.#over) return track.stop();
      this.takenOver = false;
      this.on[kind] = true;
      track.enabled = true;
      this.#use("camera", kind, track);
    } catch (error) {
      this.notice(device(error, kind === "audio" ? "microphone" : "camera"));
    } finally {
      this.busy[kind] = false;
      this.#tell();
    }
  }

  /** Take the device that is chosen now, where one of its kind is in use. */
  async renew(kind) {
    const sent = this.#sent.camera;
    const before = sent?.tracks[kind];
    if (!before) return;
    try {
      const track = await devices.open(kind);
      if (this.#over || sent.tracks[kind] !== before) return track.stop();
      track.enabled = this.on[kind];
      this.#use("camera", kind, track);
      before.stop();
    } catch (error) {
      this.notice(device(error, kind === "audio" ? "microphone" : "camera"));
    }
    this.changed();
  }

  get sharing() {
    return this.#sent.screen !== null;
  }

  async shareScreen() {
    if (this.sharing || this.busy.screen || !this.allowed.screen) return;
    this.busy.screen = true;
    try {
      const { video, audio } = await devices.openScreen();
      if (this.#over) return [video, audio].forEach((track) => track?.stop());
      const sent = (this.#sent.screen = new Sent(this, "screen", audio ? KINDS : ["video"]));
      for (const [kind, track] of Object.entries({ audio, video })) {
        if (track === null) continue;
        sent.set(kind, track);
        track.onended = () => this.#lostDevice("screen", kind, track);
      }
      sent.link.start();
    } catch (error) {
      this.notice(device(error, "screen"));
    } finally {
      this.busy.screen = false;
      this.changed();
    }
  }

  stopScreen() {
    this.#stopSending("screen");
    this.changed();
  }

  // -- agreeing with the server ----------------------------------------------------------------------------------

  #tell() {
    this.#dirty = true;
    this.changed();
    this.#agree();
  }

  /** The server knows our switches; where it has changed them, a host has, or another page of ours. */
  async #agree() {
    if (this.#telling || !this.connected || this.#over) return;
    if (this.#dirty) {
      this.#telling = true;
      this.#dirty = false;
      try {
        await this.meeting.json("PATCH", "me", this.takenOver ? {} : { audio: this.on.audio, video: this.on.video });
      } catch (error) {
        if (error.status === 403) {
          this.notice(failed(error));
          await this.switch("audio", false);
        } else if (error instanceof Unreachable || error.status >= 500) this.#dirty = true; // said again with the next state
      }
      this.#telling = false;
      this.#toldAt = performance.now();
      setTimeout(() => this.#agree(), SETTLE_MS + 50);
      return;
    }
    if (this.takenOver || performance.now() - this.#toldAt < SETTLE_MS) return;
    for (const kind of KINDS) {
      if (this.me[kind] || !this.on[kind]) continue;
      await this.switch(kind, false);
      // Another page of ours that takes over has its own switches, and is known a moment later.
      setTimeout(() => {
        if (!this.takenOver) this.notice(kind === "audio" ? "A host has muted you." : "A host has turned your camera off.");
      }, TAKE_OVER_MS);
    }
  }

  // -- what is asked of the server -------------------------------------------------------------------------------

  mute(id, kind = "audio") {
    return this.meeting.json("PATCH", `participants/${encodeURIComponent(id)}`, { [kind]: false });
  }

  remove(id) {
    return this.meeting.json("DELETE", `participants/${encodeURIComponent(id)}`);
  }

  startLivestream() {
    return this.meeting.json("POST", "livestream");
  }

  stopLivestream() {
    return this.meeting.json("DELETE", "livestream");
  }

  /** Say goodbye; also while the page goes away. */
  leave() {
    if (this.#over) return;
    if (!this.takenOver) this.meeting.json("DELETE", "me", undefined, { keepalive: true }).catch(() => {});
    this.#end({ reason: "LEFT" });
  }
}
