// One livestream: the player, its figures and curves, the encoder's settings, its sessions and its log.

import { get, isAdmin, patch, post, remove } from "./api.js";
import { ask, button, copyable, duration, failed, fill, h, lost, plural, since, table, time, toast } from "./dom.js";
import { encoderSettings } from "./encoder.js";
import { experience } from "./experience.js";
import { healthCurves, healthFigures, warningList } from "./health.js";
import { concerns, live } from "./live.js";
import { logTable } from "./log.js";
import { nameOf, playbackId, status } from "./livestreams.js";
import { recordingPanel } from "./recordings.js";

const SESSIONS = 20;
const ENTRIES = 25;
const CURVES_S = 600; // of the broadcast that is on air; the session's page has all of it

export function livestream(id) {
  const parts = { head: h("div", {}), player: h("div", { class: "panel screen" }), now: h("section", { class: "panel", "aria-label": "Now" }), encoder: h("section", { class: "panel" }), sessions: h("section", { class: "panel" }), log: h("section", { class: "panel" }) };
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const state = { livestream: null, sessions: [], sessionsTotal: 0, log: [], logTotal: 0, sessionPages: 1, logPages: 1, shown: false, busy: false, again: false, changes: 0, key: null, player: null };
  const now = { session: null, curves: null, tiles: null, warnings: null }; // what the panel of now shows
  const recorded = recordingPanel(id);
  const fared = experience({ path: `/livestreams/${id}/experience`, viewings: `/livestreams/${id}/experience/viewings`, ranges: true, moving: () => live.sessions.has(id) });
  const view = { title: "Livestream", element, close };

  async function load() {
    if (state.busy) return void (state.again = true);
    state.busy = true;
    const { changes } = state;
    try {
      const [answer, log] = await Promise.all([get(`/livestreams/${id}?per_page=${SESSIONS * state.sessionPages}`), get(`/livestreams/${id}/events?per_page=${ENTRIES * state.logPages}`)]);
      if (changes !== state.changes) state.again = true; // it was read before the change
      else {
        Object.assign(state, { livestream: answer.data.livestream, sessions: answer.data.sessions, sessionsTotal: answer.paging.total_count, log: log.data, logTotal: log.paging.total_count });
        draw();
      }
    } catch (error) {
      if (!(state.shown && lost(error))) refused(error);
    }
    state.busy = false;
    if (state.again) ((state.again = false), load());
  }

  function refused(error) {
    state.shown = false;
    if (error.status === 404) fill(element, h("section", { class: "empty" }, h("h1", {}, "No such livestream"), h("p", {}, "It may have been deleted. ", h("a", { href: "#/livestreams" }, "All livestreams"))));
    else if (error.status !== 401) fill(element, failed(error, load));
  }

  function draw() {
    if (!state.shown) {
      fill(element, parts.head, h("div", { class: "columns" }, h("div", { class: "stack" }, parts.player, parts.now), h("div", { class: "stack" }, parts.encoder, share())), fared.element, parts.sessions, recorded.element, parts.log);
      state.shown = true;
      state.key = null;
    }
    if (state.livestream.stream_key !== state.key) drawEncoder(); // it may have been reset elsewhere
    document.title = `${nameOf(state.livestream)} – Headwater`;
    drawHead();
    drawPlayer();
    drawNow();
    recorded.show(state.livestream.record);
    drawSessions();
    drawLog();
  }

  const session = () => live.sessions.get(id);

  function drawHead() {
    const { livestream } = state;
    const off = livestream.disabled !== "";
    const actions = isAdmin() && [
      session() ? button("Stop the broadcast", () => stop(), { "data-key": "stop" }) : null,
      button(off ? "Enable" : "Disable", () => (off ? change({ disabled: false }, "Enabled: the key works again") : disable()), { "data-key": "disable" }),
      button("Delete", () => discard(), { class: "danger", "data-key": "delete" }),
    ];
    fill(
      parts.head,
      h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/livestreams", "data-key": "up" }, "Livestreams")),
      h("div", { class: "title" }, h("h1", {}, nameOf(livestream)), status(livestream), h("div", { class: "buttons" }, actions)),
      off ? h("p", { class: "notice" }, "This livestream is disabled: nobody can publish to it or watch it.") : null,
    );
  }

  /** The player page in a frame; it finds out by itself when something comes. It is not made anew while it is there. */
  function drawPlayer() {
    const { livestream } = state;
    const kind = livestream.disabled ? "off" : "player";
    if (state.player === kind) return;
    state.player = kind;
    if (kind === "off") return fill(parts.player, h("p", { class: "dim" }, "Disabled."));
    fill(parts.player, h("iframe", { src: `/${playbackId(livestream)}`, title: `Player of ${nameOf(livestream)}`, allow: "autoplay; fullscreen" }));
  }

  function drawNow() {
    const on = session();
    if (on && on.session_id === now.session) return tick();
    now.curves?.close();
    Object.assign(now, { session: on?.session_id ?? null, curves: null });
    if (!on) return fill(parts.now, h("h2", {}, "Not on air"), h("p", { class: "dim" }, state.sessions.length ? ["The last broadcast ended ", time(state.sessions[0].stopped_time ?? state.sessions[0].updated_at), "."] : "Nothing has been broadcast yet. Connect an encoder: it starts by itself."));
    Object.assign(now, { curves: healthCurves(on.session_id, { lastS: CURVES_S }), tiles: h("dl", { class: "tiles" }), warnings: warningList() });
    fill(parts.now, h("div", { class: "title" }, h("h2", {}, "On air"), h("a", { href: `#/sessions/${on.session_id}`, "data-key": "session" }, "The whole session")), now.tiles, now.warnings.element, now.curves.element);
    loadCurves();
    tick();
  }

  function loadCurves() {
    now.curves?.load().catch(() => {}); // a session that has just begun is not known yet: events bring the rest
  }

  function tick() {
    const on = session();
    if (!state.shown) return;
    if ((on?.session_id ?? null) !== now.session) return (drawHead(), drawNow());
    if (!on) return;
    const figures = { Viewers: on.viewers.toLocaleString(), "On air": duration(since(on.started_at)), Received: duration(on.ingest_seconds), Watched: duration(on.viewer_seconds), ...healthFigures(on) };
    fill(now.tiles, Object.entries(figures).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    now.warnings.set(on.warnings);
    now.curves.take(on);
    const publishing = `${on.playable} ${on.publishing}`;
    if (publishing !== state.publishing) ((state.publishing = publishing), drawHead());
  }

  function drawEncoder() {
    state.key = state.livestream.stream_key;
    fill(parts.encoder, h("h2", {}, "Encoder"), encoderSettings(state.livestream), isAdmin() ? button("Reset the key …", () => resetKey(), { "data-key": "reset" }) : null);
  }

  function share() {
    const page = `${new URL(state.livestream.playback_url).origin}/${playbackId(state.livestream)}`;
    return h("section", { class: "panel stack" }, h("h2", {}, "Share"), copyable("Player page", page), copyable("HLS", state.livestream.playback_url), copyable("WebRTC (WHEP)", `${page}/webRTC/play`), h("p", {}, h("a", { href: `/${playbackId(state.livestream)}`, target: "_blank", rel: "noopener" }, "Open the player page")));
  }

  function drawSessions() {
    const rows = state.sessions.map((entry) => [h("a", { href: `#/sessions/${entry.id}`, "data-key": entry.id }, time(entry.started_time)), entry.stopped_time ? duration((Date.parse(entry.stopped_time) - Date.parse(entry.started_time)) / 1000) : h("span", { class: "chip live" }, "On air"), duration(entry.ingest_seconds), duration(entry.viewer_seconds), entry.err_message ? h("span", { class: "bad" }, entry.err_message) : "none"]);
    fill(
      parts.sessions,
      h("h2", {}, "Sessions"),
      rows.length ? table("Sessions", ["Began", "Length", "Received", "Watched", "Error"], rows) : h("p", { class: "dim" }, "Each broadcast becomes a session here, with what was received and watched."),
      more(state.sessionsTotal - rows.length, "session", () => (state.sessionPages++, load())),
    );
  }

  function drawLog() {
    fill(parts.log, h("h2", {}, "Event log"), logTable(state.log), more(state.logTotal - state.log.length, "older entry", () => (state.logPages++, load())));
  }

  const more = (left, word, onclick) => (left > 0 ? button(`Show more (${left.toLocaleString()} left)`, onclick, { "data-key": `more ${word}` }) : null);

  // -- what can be done ------------------------------------------------------------------------------------------

  async function change(body, done) {
    try {
      await patch(`/livestreams/${id}`, body);
      toast(done);
    } catch (error) {
      toast(error.message, "bad");
    }
    await load();
  }

  const disable = () =>
    ask({
      title: "Disable this livestream?",
      body: h("p", {}, "A broadcast that is on air ends, and nobody can publish or watch until it is enabled again."),
      yes: "Disable",
      danger: true,
      async act() {
        await patch(`/livestreams/${id}`, { disabled: true });
        await load();
      },
    });

  const stop = () =>
    ask({
      title: "Stop the broadcast?",
      body: h("p", {}, "Many encoders come straight back by themselves: stop the encoder too, or disable the livestream."),
      yes: "Stop",
      danger: true,
      act: () => post(`/livestreams/${id}/stop`),
    });

  const resetKey = () =>
    ask({
      title: "Reset the stream key?",
      body: h("p", {}, "The old key stops working at once; who publishes by it is cut off. The encoder needs the new one."),
      yes: "Reset the key",
      danger: true,
      async act() {
        const { data } = await post(`/livestreams/${id}/reset-key`);
        state.changes++;
        Object.assign(state.livestream, data); // what it is by now, not what it was before the answer came
        drawEncoder();
        toast("There is a new stream key");
      },
    });

  const discard = () =>
    ask({
      title: "Delete this livestream?",
      body: h("p", {}, `${nameOf(state.livestream)} and its player page are gone for good; a broadcast that is on air ends. Analytics keep its ${plural(state.sessionsTotal, "session")}.`),
      yes: "Delete",
      danger: true,
      async act() {
        await remove(`/livestreams/${id}`);
        location.hash = "#/livestreams";
      },
    });

  const onChanged = (event) => concerns(event, id) && load();
  const onConnection = () => live.connected && loadCurves(); // what came meanwhile
  live.addEventListener("live", tick);
  live.addEventListener("changed", onChanged);
  live.addEventListener("connection", onConnection);
  load();

  function close() {
    live.removeEventListener("live", tick);
    live.removeEventListener("changed", onChanged);
    live.removeEventListener("connection", onConnection);
    now.curves?.close();
    recorded.close();
    fared.close();
  }

  return view;
}
