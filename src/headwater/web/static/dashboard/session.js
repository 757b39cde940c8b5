// One session of a livestream: what it came to, how its media arrived, how its viewers fared, its recordings, its log.

import { get } from "./api.js";
import { duration, failed, fill, h, lost, time } from "./dom.js";
import { experience } from "./experience.js";
import { healthCurves, healthFigures, warningList } from "./health.js";
import { concerns, live } from "./live.js";
import { logTable } from "./log.js";
import { nameOf } from "./livestreams.js";
import { recordingRow } from "./recordings.js";

const BEFORE_MS = 60_000;
const ENTRIES = 300; // of the livestream's log that are looked through
const FINAL_MS = 90_000; // after its end, the last viewers still watch what they have

export function session(id) {
  const parts = { head: h("div", {}), tiles: h("dl", { class: "tiles panel" }), recordings: h("section", { class: "panel" }), log: h("section", { class: "panel" }) };
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const curves = healthCurves(id);
  const warnings = warningList();
  const fared = experience({ path: `/livestreams/sessions/${id}/experience`, moving: () => state.session !== null && (state.session.stopped_time === null || Date.now() - Date.parse(state.session.stopped_time) < FINAL_MS) });
  const state = { session: null, livestream: null, encoder: "", asked: 0 };

  async function load() {
    const mine = ++state.asked;
    try {
      const { data } = await get(`/livestreams/sessions/${id}`);
      const [livestream, health, recordings, log] = await Promise.all([livestreamOf(data), curves.load(), recordingsOf(data), logOf(data)]);
      if (mine !== state.asked) return;
      Object.assign(state, { session: data, livestream, encoder: health.encoder });
      draw(recordings, log);
    } catch (error) {
      if (mine !== state.asked || (state.session !== null && lost(error))) return;
      state.session = null;
      if (error.status === 404) fill(element, h("section", { class: "empty" }, h("h1", {}, "No such session"), h("p", {}, h("a", { href: "#/livestreams" }, "All livestreams"))));
      else if (error.status !== 401) fill(element, failed(error, load));
    }
  }

  function draw(recordings, log) {
    if (!parts.head.isConnected) fill(element, parts.head, parts.tiles, h("section", { class: "panel" }, h("h2", {}, "How the media arrived"), warnings.element, curves.element), fared.element, parts.recordings, parts.log);
    drawHead();
    drawTiles();
    fill(parts.recordings, h("h2", {}, "Recordings"), recordings.length ? h("ul", { class: "rows", "aria-label": "Recordings" }, recordings.map(recordingRow)) : h("p", { class: "dim" }, "It was not recorded."));
    fill(parts.log, h("h2", {}, "Event log"), log.length ? logTable(log) : h("p", { class: "dim" }, "The livestream's log does not reach back so far."));
  }

  /** What is live of this session, if it is. */
  const now = () => [...live.sessions.values()].find((one) => one.session_id === id);

  function drawHead() {
    const { session, livestream } = state;
    fill(
      parts.head,
      h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/livestreams", "data-key": "up" }, "Livestreams"), " / ", livestream ? h("a", { href: `#/livestreams/${session.livestream_id}`, "data-key": "of" }, nameOf(livestream)) : "a livestream that was deleted"),
      h("div", { class: "title" }, h("h1", {}, "Session of ", time(session.started_time)), session.stopped_time ? null : h("span", { class: "chip live" }, "On air")),
      state.encoder ? h("p", { class: "dim" }, `Sent by ${state.encoder}`) : null,
      session.err_message ? h("p", { class: "notice bad" }, session.err_message) : null,
    );
  }

  function drawTiles() {
    const { session } = state;
    const on = now();
    const length = ((session.stopped_time ? Date.parse(session.stopped_time) : Date.now()) - Date.parse(session.started_time)) / 1000;
    const [received, watched] = on ? [on.ingest_seconds, on.viewer_seconds] : [session.ingest_seconds, session.viewer_seconds];
    const figures = {
      ...(on ? { Viewers: on.viewers.toLocaleString() } : {}),
      Length: duration(length),
      Received: duration(received),
      Watched: duration(watched),
      "Viewers on average": received >= 1 ? (watched / received).toLocaleString(undefined, { maximumFractionDigits: 1 }) : "–",
      ...(on ? healthFigures(on) : {}),
    };
    fill(parts.tiles, Object.entries(figures).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  }

  function tick() {
    if (!state.session) return;
    const on = now();
    warnings.set(on?.warnings ?? []);
    if (!on) return;
    curves.take(on);
    drawTiles();
  }

  const onChanged = (event) => state.session && concerns(event, state.session.livestream_id) && load();
  live.addEventListener("live", tick);
  live.addEventListener("changed", onChanged);
  load();
  return {
    title: "Session",
    element,
    close() {
      state.asked++;
      live.removeEventListener("live", tick);
      live.removeEventListener("changed", onChanged);
      curves.close();
      fared.close();
    },
  };
}

/** What the livestream's log, as far as it is looked through, says of a session. */
async function logOf(session) {
  try {
    return (await get(`/livestreams/${session.livestream_id}/events?per_page=${ENTRIES}`)).data.filter((entry) => entry.session_id === session.id);
  } catch (error) {
    if (error.status === 404) return []; // deleted
    throw error;
  }
}

/** The livestream of a session; null: it has been deleted. */
async function livestreamOf(session) {
  try {
    return (await get(`/livestreams/${session.livestream_id}?per_page=1`)).data.livestream;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** The recordings that were begun while it was on air, or a moment before. */
async function recordingsOf(session) {
  const from = new Date(Date.parse(session.started_time) - BEFORE_MS).toISOString();
  const until = session.stopped_time ? `&end_time=${encodeURIComponent(session.stopped_time)}` : "";
  const { data } = await get(`/recordings?per_page=100&livestream_id=${session.livestream_id}&start_time=${from}${until}`);
  return data.filter((entry) => entry.session_id === session.id);
}
