// How a session's media arrives, second by second: figures of now, warnings in words, and curves, with its viewers.

import { get } from "./api.js";
import { chart } from "./charts.js";
import { fill, h } from "./dom.js";

const KEPT = 4000; // points of a curve: more than the server answers at once
const GAP = 3; // so many steps without a sample are a hole in the curve, not a slope

/** A sample as events have it: an array, in the order of the server's HealthSample. */
const unpacked = ([at, video_bps, audio_bps, frame_rate, keyframe_interval_ms, dropped, jumps, late_ms, rtt_ms, viewers, audio_peak_db, audio_rms_db]) => ({ at, video_bps, audio_bps, frame_rate, keyframe_interval_ms, dropped, jumps, late_ms, rtt_ms, viewers, audio_peak_db, audio_rms_db });

const seconds = (ms) => (ms === null || ms === undefined ? null : ms / 1000);
const COLUMNS = [
  (sample) => sample.at / 1000,
  (sample) => sample.viewers,
  (sample) => sample.video_bps / 1e6,
  (sample) => sample.audio_bps / 1e6,
  (sample) => sample.frame_rate,
  (sample) => sample.dropped,
  (sample) => seconds(sample.keyframe_interval_ms || null),
  (sample) => seconds(sample.late_ms),
  (sample) => seconds(sample.rtt_ms),
  (sample) => sample.audio_peak_db,
  (sample) => sample.audio_rms_db,
];

const CURVES = [
  { title: "Viewers", of: [1], series: [{ label: "Viewers", colour: "--accent" }] },
  { title: "Bitrate (Mbit/s)", of: [2, 3], series: [{ label: "Video", colour: "--accent", unit: " Mbit/s", digits: 2 }, { label: "Audio", colour: "--second", unit: " Mbit/s", digits: 2 }] },
  { title: "Frames per second", of: [4, 5], series: [{ label: "Arrived", colour: "--accent", digits: 1 }, { label: "Missing", colour: "--live", digits: 0 }] },
  { title: "Key frames and delays (s)", of: [6, 7, 8], series: [{ label: "Key frame interval", colour: "--accent", unit: " s", digits: 2 }, { label: "Late", colour: "--live", unit: " s", digits: 2 }, { label: "Round trip", colour: "--second", unit: " s", digits: 3 }] },
  { title: "Loudness (dBFS)", of: [9, 10], range: [-60, 0], series: [{ label: "Peak", colour: "--live", unit: " dB", digits: 1 }, { label: "Mean", colour: "--accent", unit: " dB", digits: 1 }] },
];

/**
 * The curves of a session.
 * @param lastS the last so many seconds only; null: all of it
 */
export function healthCurves(sessionId, { lastS = null } = {}) {
  const charts = CURVES.map(({ title, of, series, range }) => {
    const plot = chart({ label: `${title}, over time`, series, range, sync: sessionId });
    return { of, plot, element: h("figure", {}, h("figcaption", {}, title), plot.element) };
  });
  const nothing = h("p", { class: "dim", hidden: true }, "Nothing is known of how its media arrived: samples are kept for 30 days.");
  const grid = h("div", { class: "curves" }, charts.map(({ element }) => element));
  let columns = COLUMNS.map(() => []);
  let newest = 0;
  let step = 1;

  function add(sample) {
    if (sample.at <= newest) return;
    const x = sample.at / 1000;
    if (newest && x - newest / 1000 > GAP * step) columns.forEach((column, i) => column.push(i ? null : x - step)); // nothing came
    columns.forEach((column, i) => column.push(COLUMNS[i](sample)));
    newest = sample.at;
  }

  function draw() {
    const [times] = columns;
    const first = lastS === null ? Math.max(0, times.length - KEPT) : times.findIndex((x) => x >= newest / 1000 - lastS);
    if (first > 0) columns = columns.map((column) => column.slice(first));
    grid.hidden = newest === 0;
    for (const { of, plot, element } of charts) {
      element.hidden = !of.some((i) => columns[i].some((value) => value !== null && value !== undefined)); // not measured
      if (!element.hidden) plot.set([columns[0], ...of.map((i) => columns[i])]);
    }
  }

  return {
    element: h("div", {}, nothing, grid),

    /** Load what is known; returns it. */
    async load() {
      const from = lastS === null ? "" : `?start_time=${Math.floor(Date.now() / 1000 - lastS)}`;
      const { data } = await get(`/livestreams/sessions/${sessionId}/health${from}`);
      columns = COLUMNS.map(() => []);
      newest = 0;
      const samples = data.samples.map((sample) => ({ ...sample, at: Date.parse(sample.at) }));
      if (samples.length > 1) step = Math.max(1, (samples.at(-1).at - samples[0].at) / 1000 / samples.length);
      samples.forEach(add);
      nothing.hidden = newest > 0 || lastS !== null;
      draw();
      return data;
    },

    /** Go on with what an event tells of the session. */
    take(session) {
      const before = newest;
      session.health.map(unpacked).forEach(add);
      if (newest !== before) draw();
    },

    close: () => charts.forEach(({ plot }) => plot.close()),
  };
}

/** The figures of a session's newest sample: {name: text}. */
export function healthFigures(session) {
  const packed = session.health.at(-1);
  if (!packed || !session.publishing) return {};
  const sample = unpacked(packed);
  return {
    Bitrate: `${((sample.video_bps + sample.audio_bps) / 1e6).toFixed(2)} Mbit/s`,
    "Frames per second": sample.frame_rate.toFixed(1),
    "Key frames every": sample.keyframe_interval_ms ? `${(sample.keyframe_interval_ms / 1000).toFixed(1)} s` : "–",
    "Round trip": sample.rtt_ms === null ? "–" : `${sample.rtt_ms.toFixed(0)} ms`,
  };
}

/** Warnings, the first letter large; said to screen readers as they come. */
export function warningList() {
  const element = h("ul", { class: "warnings", "aria-live": "polite", "aria-label": "Warnings", hidden: true });
  let shown = "";
  return {
    element,
    set(warnings) {
      if (warnings.join("\n") === shown) return;
      shown = warnings.join("\n");
      element.hidden = warnings.length === 0;
      fill(element, warnings.map((text) => h("li", { class: "notice" }, capital(text))));
    },
  };
}

export const capital = (text) => text[0].toUpperCase() + text.slice(1);
