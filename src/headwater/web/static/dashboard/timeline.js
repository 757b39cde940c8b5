// A recording's time line: where it plays, and the piece that a clip is cut from; by pointer and by keys.

import { h } from "./dom.js";

const STEP_S = 1;
const LEAP_S = 10;
const LEAST_S = 0.1; // a clip has a length

/** `1:05.5`, `1:02:03.0`. */
export function clock(seconds) {
  const tenths = Math.max(0, Math.round(seconds * 10));
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(tenths / 36_000);
  const minutes = Math.floor(tenths / 600) % 60;
  const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  return hours ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** Seconds of what somebody wrote (`65`, `1:05.5`, `1:02:03`); null where it is no time. */
export function seconds(text) {
  const parts = text.trim().split(":");
  if (parts.length > 3 || !parts.every((part, i) => (i === parts.length - 1 ? /^\d{1,6}([.,]\d{0,3})?$/ : /^\d{1,6}$/).test(part))) return null;
  return parts.reduce((total, part) => total * 60 + Number(part.replace(",", ".")), 0);
}

/**
 * The time line of a video.
 * @param onchange called with {start, end} as the piece changes
 */
export function timeline(video, { onchange }) {
  const piece = { start: 0, end: 0 };
  let length = 0;
  const chosen = h("div", { class: "chosen" });
  const head = h("div", { class: "head" });
  const strip = h("canvas", { "aria-hidden": "true", hidden: true });
  const rail = h("div", { class: "rail" }, strip, chosen, head);
  const handles = { start: handle("start", "Start of the clip"), end: handle("end", "End of the clip") };
  const element = h("div", { class: "timeline" }, rail, handles.start, handles.end);

  function handle(which, label) {
    const move = (seconds) => (set(which, seconds), seek(piece[which]));
    return h("div", {
      class: `handle ${which}`,
      role: "slider",
      tabindex: "0",
      "aria-label": label,
      "aria-valuemin": "0",
      onkeydown(event) {
        const step = { ArrowLeft: -STEP_S, ArrowDown: -STEP_S, ArrowRight: STEP_S, ArrowUp: STEP_S, PageDown: -LEAP_S, PageUp: LEAP_S, Home: -Infinity, End: Infinity }[event.key];
        if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        move(piece[which] + (event.shiftKey ? step / 10 : step));
      },
      onpointerdown(event) {
        event.preventDefault();
        event.target.focus();
        event.target.setPointerCapture(event.pointerId);
      },
      onpointermove: (event) => event.target.hasPointerCapture(event.pointerId) && move(at(event)),
    });
  }

  const at = (event) => {
    const { left, width } = rail.getBoundingClientRect();
    return ((event.clientX - left) / width) * length;
  };

  const seek = (to) => length && (video.currentTime = Math.min(Math.max(to, 0), length));

  /** Move an end of the piece; the other one gives no way. */
  function set(which, to) {
    const [least, most] = which === "start" ? [0, piece.end - LEAST_S] : [piece.start + LEAST_S, length];
    piece[which] = Math.round(Math.max(least, Math.min(most, to)) * 10) / 10;
    if (piece[which] > most) piece[which] = most; // rounded beyond the end
    draw();
    onchange({ ...piece });
  }

  const share = (time) => `${length ? (time / length) * 100 : 0}%`;

  function draw() {
    chosen.style.left = share(piece.start);
    chosen.style.width = share(piece.end - piece.start);
    for (const which of ["start", "end"]) {
      const { style } = handles[which];
      style.left = share(piece[which]);
      for (const [name, value] of Object.entries({ valuemax: length.toFixed(1), valuenow: piece[which].toFixed(1), valuetext: clock(piece[which]) })) handles[which].setAttribute(`aria-${name}`, value);
    }
  }

  const play = () => (head.style.left = share(video.currentTime));
  rail.addEventListener("pointerdown", (event) => seek(at(event)));
  video.addEventListener("timeupdate", play);
  video.addEventListener("seeking", play);
  video.addEventListener("durationchange", () => {
    if (!Number.isFinite(video.duration) || video.duration === length) return;
    if (piece.end === length) piece.end = video.duration; // nothing has been chosen yet
    length = video.duration;
    draw();
    onchange({ ...piece });
  });
  draw();
  return { element, piece, set, strip: (cues, picture) => film(strip, length, cues, picture) };
}

/** A strip of pictures under the time line, as wide as it is. */
function film(canvas, length, cues, picture) {
  const { width, height } = cues[0];
  const { clientHeight, clientWidth } = canvas.parentElement;
  const each = (clientHeight * width) / height;
  const scale = devicePixelRatio || 1;
  canvas.hidden = false;
  canvas.width = clientWidth * scale;
  canvas.height = clientHeight * scale;
  const context = canvas.getContext("2d");
  for (let x = 0; x < clientWidth; x += each) {
    const time = ((x + each / 2) / clientWidth) * length;
    const cue = cues.findLast((one) => one.start <= time) ?? cues[0];
    context.drawImage(picture, cue.x, cue.y, cue.width, cue.height, x * scale, 0, each * scale, clientHeight * scale);
  }
}

/** The cues of a sprite's WebVTT: [{start, x, y, width, height}], and the picture's name. */
export function readSprite(text) {
  const found = [...text.matchAll(/^(\S+) --> \S+.*\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$/gm)];
  return { name: found[0]?.[2], cues: found.map(([, start, , x, y, width, height]) => ({ start: seconds(start), x: Number(x), y: Number(y), width: Number(width), height: Number(height) })) };
}
