// How viewers fared, as their players report it: start-up, stalls, bitrate, latency, with percentiles.

import { get } from "./api.js";
import { button, duration, fill, h, plural, sentence, table } from "./dom.js";

const AGAIN_MS = 5000; // as often as the server adds up what players report
const SELDOM_MS = 60_000; // where many sessions have to be added up
const WORST = 10;
const RANGES = [["All time", null], ["Last 24 hours", 1], ["Last 7 days", 7], ["Last 30 days", 30]];
const DAY_MS = 86_400_000;

const number = (value, digits) => value.toLocaleString(undefined, { minimumFractionDigits: digits, maximumFractionDigits: digits });
const inSeconds = (ms) => `${number(ms / 1000, ms < 10_000 ? 2 : 1)} s`;
const inPercent = (share) => `${number(share * 100, share < 0.1 ? 2 : 1)} %`;
const inMegabits = (kbps) => `${number(kbps / 1000, 2)} Mbit/s`;
const known = (value, words) => (value === null ? null : words(value));

const ROWS = [
  ["Start-up", "startup_ms", inSeconds],
  ["Standing still, each view", "stalled_ms", inSeconds],
  ["Share of time standing still", "rebuffering", inPercent],
  ["Bitrate", "bitrate_kbps", inMegabits],
  ["Behind the broadcast", "latency_ms", inSeconds],
];

/**
 * The figures of a session, or of a livestream.
 * @param path where the API has them
 * @param ranges whether one may choose of which time
 * @param viewings where the API has those who watch now; null: nowhere
 * @param moving whether the figures still change
 */
export function experience({ path, ranges = false, viewings = null, moving }) {
  const choose = h("select", { "aria-label": "Of which time", onchange: () => load() }, RANGES.map(([word, days]) => h("option", { value: days ?? "" }, word)));
  const body = h("div", {}, h("p", { class: "dim" }, "Loading …"));
  const worst = h("div", {});
  const now = h("details", { hidden: true, ontoggle: () => now.open && loadWorst() }, h("summary", {}, "Who watches now, the worst first"), worst);
  let asked = 0;
  let loaded = 0;

  async function load() {
    const mine = ++asked;
    loaded = Date.now();
    const from = choose.value && `?start_time=${new Date(Date.now() - Number(choose.value) * DAY_MS).toISOString()}`;
    try {
      const { data } = await get(path + from);
      if (mine === asked) draw(data);
    } catch (error) {
      if (mine === asked && error.status !== 401) fill(body, h("p", { class: "bad", role: "alert" }, sentence(error)), button("Try again", load));
    }
    showWorst();
  }

  function showWorst() {
    now.hidden = viewings === null || !moving();
    if (now.open && !now.hidden) loadWorst();
  }

  function draw(data) {
    if (data.views === 0) return fill(body, h("p", { class: "dim" }, "No player has reported. The player page does by itself, other players by CMCD."));
    const figures = {
      Views: data.views.toLocaleString(),
      "Had a picture": data.started_views.toLocaleString(),
      "Stood still": data.stalled_views.toLocaleString(),
      "Time standing still": known(data.rebuffering_ratio, inPercent) ?? "–",
      Watched: duration(data.played_seconds),
    };
    const rows = ROWS.filter(([, name]) => data[name].count > 0).map(([label, name, words]) => [label, ...["p50", "p95", "p99", "mean"].map((column) => known(data[name][column], words)), data[name].count.toLocaleString()]);
    fill(
      body,
      h("dl", { class: "tiles" }, Object.entries(figures).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      rows.length ? table("How viewers fared", ["Figure", "Median", "95 %", "99 %", "Mean", "Views"], rows) : null,
      h("p", { class: "hint" }, "95 % means: of 100 views, 95 fared so or better; with bitrates, 95 had that or less."),
    );
  }

  async function loadWorst() {
    try {
      const { data } = await get(viewings);
      const rows = data.slice(0, WORST).map((view) => [duration(view.played_seconds), `${plural(view.stalls, "time")}, ${duration(view.stalled_seconds)}`, known(view.startup_ms, inSeconds), known(view.bitrate_kbps, inMegabits), known(view.latency_ms, inSeconds)]);
      fill(worst, rows.length ? table("Who watches now", ["Watched", "Stood still", "Start-up", "Bitrate", "Behind"], rows) : h("p", { class: "dim" }, "Nobody reports now."));
    } catch (error) {
      if (error.status !== 401) fill(worst, h("p", { class: "bad" }, sentence(error)));
    }
  }

  function again() {
    if (!moving() || document.hidden) return;
    const cheap = !ranges || choose.value === "1";
    if (cheap || Date.now() - loaded >= SELDOM_MS) load();
    else showWorst();
  }

  const timer = setInterval(again, AGAIN_MS);
  load();
  return {
    element: h("section", { class: "panel" }, h("div", { class: "title" }, h("h2", {}, "How viewers fare"), ranges ? h("div", { class: "range" }, choose) : null), body, now),
    close() {
      asked++;
      clearInterval(timer);
    },
  };
}
