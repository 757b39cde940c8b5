// Day by day: sessions, minutes received, watched and recorded, as charts and as a table. Days are UTC's.

import { get } from "./api.js";
import { chart } from "./charts.js";
import { duration, failed, fill, h, table } from "./dom.js";
import { live } from "./live.js";

const RANGES = [7, 30, 90, 365];
const AGAIN_MS = 10_000; // numbers of today move while something is live: no need to follow every second

export function analytics() {
  const select = h("select", { "aria-label": "Time range", onchange: () => load() }, RANGES.map((days) => h("option", { value: days, selected: days === 30 }, `Last ${days} days`)));
  const body = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const element = h("div", { class: "stack" }, h("div", { class: "title" }, h("h1", {}, "Analytics"), h("div", { class: "range" }, select)), body);
  const sessions = chart({ days: true, label: "Sessions that began on each day; the table below has the numbers", series: [{ label: "Sessions", colour: "--accent", bars: true }] });
  const minutes = chart({
    days: true,
    label: "Minutes received, watched and recorded on each day; the table below has the numbers",
    series: [{ label: "Watched", colour: "--second", unit: " min", digits: 1, points: true }, { label: "Received", colour: "--accent", unit: " min", digits: 1, points: true }, { label: "Recorded", colour: "--live", unit: " min", points: true }],
  });
  const tiles = h("dl", { class: "tiles panel" });
  const numbers = h("div", {});
  let shown = false;
  let loaded = 0;
  let timer = null;

  async function load() {
    loaded = Date.now();
    const from = new Date();
    from.setUTCHours(0, 0, 0, 0);
    from.setUTCDate(from.getUTCDate() - Number(select.value) + 1);
    try {
      const [days, all] = await Promise.all([get(`/analytics/livestreams/daywise?start_time=${from.toISOString()}`), get(`/analytics/daywise?start_date=${from.toISOString().slice(0, 10)}`)]);
      draw(days.data, all.data.recording_stats);
    } catch (error) {
      shown = false;
      if (error.status !== 401) fill(body, failed(error, load));
    }
  }

  function draw(days, stats) {
    if (!shown) fill(body, tiles, panel("Sessions", sessions.element), panel("Minutes", minutes.element), h("details", { class: "panel" }, h("summary", {}, "As a table"), numbers));
    shown = true;
    const recorded = new Map(stats.day_stats.map((day) => [day.day, day]));
    const minutesOf = (day) => recorded.get(day.date)?.total_recording_minutes ?? 0;
    const sum = (name) => days.reduce((total, day) => total + day[name], 0);
    const figures = { Sessions: sum("count").toLocaleString(), Received: duration(sum("total_ingest_seconds")), Watched: duration(sum("total_viewer_seconds")), Recorded: duration(60 * stats.recording_minutes_consumed), "Viewers on average": average(sum("total_viewer_seconds"), sum("total_ingest_seconds")) };
    fill(tiles, Object.entries(figures).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    const x = days.map((day) => Date.parse(`${day.date}T00:00:00Z`) / 1000);
    sessions.set([x, days.map((day) => day.count)]);
    minutes.set([x, days.map((day) => day.total_viewer_seconds / 60), days.map((day) => day.total_ingest_seconds / 60), days.map(minutesOf)]);
    fill(numbers, table("Day by day, the latest first", ["Day (UTC)", "Sessions", "Received", "Watched", "Recordings", "Recorded"], [...days].reverse().map((day) => [day.date, day.count.toLocaleString(), duration(day.total_ingest_seconds), duration(day.total_viewer_seconds), (recorded.get(day.date)?.total_recordings ?? 0).toLocaleString(), `${minutesOf(day).toLocaleString()} min`])));
  }

  const panel = (title, content) => h("section", { class: "panel" }, h("h2", {}, title), content);

  function onChanged() {
    clearTimeout(timer);
    timer = setTimeout(load, Math.max(0, loaded + AGAIN_MS - Date.now()));
  }

  const onLive = () => live.sessions.size > 0 && onChanged();
  live.addEventListener("changed", onChanged);
  live.addEventListener("live", onLive);
  load();
  return {
    title: "Analytics",
    element,
    close() {
      live.removeEventListener("changed", onChanged);
      live.removeEventListener("live", onLive);
      clearTimeout(timer);
      sessions.close();
      minutes.close();
    },
  };
}

const average = (viewerSeconds, ingestSeconds) => (ingestSeconds ? (viewerSeconds / ingestSeconds).toLocaleString(undefined, { maximumFractionDigits: 1 }) : "–");
