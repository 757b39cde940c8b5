// Curves and bars by uPlot, in the page's colours, as wide as their place; a sentence for who does not see them.

import { h } from "./dom.js";

const HEIGHT = 200;
const HALF_DAY = 43_200;
const dark = matchMedia("(prefers-color-scheme: dark)");
let library = null;

const load = () => (library ??= import("/assets/vendor/uPlot.mjs").then((module) => module.default));
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Labels of moments, as long as what they span asks for. */
function moments(splits) {
  const span = splits.at(-1) - splits[0];
  const parts = span > 86_400 ? { month: "short", day: "numeric", hour: "2-digit" } : { hour: "2-digit", minute: "2-digit", ...(span < 300 ? { second: "2-digit" } : {}) };
  const words = new Intl.DateTimeFormat(undefined, { ...parts, hourCycle: "h23" });
  return splits.map((split) => words.format(split * 1000));
}

/**
 * A chart.
 * @param label what it shows, for screen readers
 * @param series [{label, colour (a CSS variable), bars, unit, digits}]
 * @param days whether x is days in UTC, not moments
 * @param range the values from bottom to top; otherwise from 0 to what the data asks for
 * @param sync charts with the same word point at the same moment
 */
export function chart({ label, series, days = false, range = null, sync = null }) {
  const place = h("div", { class: "chart", role: "img", "aria-label": label });
  let plot = null;
  let data = null;
  let gone = false;

  const value = (entry) => (_, number) => (number === null || number === undefined ? "–" : `${number.toLocaleString(undefined, { maximumFractionDigits: entry.digits ?? 0 })}${entry.unit ?? ""}`);

  function options(uPlot) {
    const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    return {
      width: Math.max(200, place.clientWidth),
      height: HEIGHT,
      legend: { live: true },
      cursor: { y: false, drag: { x: false, y: false }, sync: sync === null ? undefined : { key: sync } },
      tzDate: days ? (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC") : undefined,
      scales: { ...(days ? { x: { range: (_, first, last) => [first - HALF_DAY, last + HALF_DAY] } } : {}), y: { range: (_, __, max) => range ?? [0, Math.max(1, max * 1.1)] } },
      axes: [{ ...axis, space: 70, ...(days ? {} : { values: (_, splits) => moments(splits) }) }, { ...axis, size: 56, values: (_, splits) => splits.map((split) => (Number.isInteger(split) || (series[0].digits ?? 0) > 0 ? split.toLocaleString() : "")) }],
      series: [
        { label: days ? "Day" : "Time", value: days ? "{YYYY}-{MM}-{DD}" : "{HH}:{mm}:{ss}" },
        ...series.map((entry) => ({
          label: entry.label,
          stroke: colour(entry.colour),
          fill: entry.bars ? colour(entry.colour) : range ? undefined : `${colour(entry.colour)}22`,
          width: entry.bars ? 0 : 2,
          paths: entry.bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
          points: { show: entry.points ?? false },
          value: value(entry),
        })),
      ],
    };
  }

  /** The least and the most of each curve, in words. */
  function described() {
    const words = series.map((entry, i) => {
      const known = data[i + 1].filter((number) => number !== null && number !== undefined);
      const [least, most] = [Math.min(...known), Math.max(...known)].map((number) => value(entry)(null, number));
      return known.length ? `${entry.label} ${least === most ? most : `from ${least} to ${most}`}` : null;
    });
    return [label, words.filter((text) => text !== null).join("; ")].filter((text) => text).join(". ");
  }

  async function draw() {
    try {
      const uPlot = await load();
      if (gone || data === null) return;
      plot?.destroy();
      plot = new uPlot(options(uPlot), data, place);
    } catch {
      place.textContent = "Charts need uPlot, which is not installed: run make web.";
    }
  }

  const resized = new ResizeObserver(() => plot?.setSize({ width: Math.max(200, place.clientWidth), height: HEIGHT }));
  resized.observe(place);
  dark.addEventListener("change", draw);

  return {
    element: place,
    set(next) {
      data = next;
      place.setAttribute("aria-label", described());
      if (plot) plot.setData(data);
      else draw();
    },
    close() {
      gone = true;
      resized.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    },
  };
}
