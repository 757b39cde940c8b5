// Elements, dialogs and words. Text becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on...` properties are listeners, true and false set and leave out attributes; null children are skipped. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const ICONS = {
  out: "M14 4h6v6h-2V7.4l-7.3 7.3-1.4-1.4L16.6 6H14zM5 5h5v2H6v11h11v-4h2v6H4V5z",
  eye: "M12 5c5 0 9 4 10.500 7-1.500 3-5.500 7-10.500 7S3 15 1.500 12C3 9 7 5 12 5zm0 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  plus: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "path"));
  svg.firstChild.setAttribute("d", ICONS[name]);
  return svg;
}

/** Replace what is in an element; who had the focus on something with a `data-key` keeps it. */
export function fill(element, ...children) {
  const key = element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (key !== undefined) element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

export const button = (label, onclick, properties = {}) => h("button", { type: "button", onclick, ...properties }, label);

/** Something happened: said for a moment, and to screen readers. */
export function toast(text, kind = "") {
  const note = h("p", { class: `toast ${kind}` }, text);
  document.getElementById("toasts").append(note);
  setTimeout(() => note.remove(), kind === "bad" ? 10_000 : 4000);
}

let titles = 0;

/**
 * Ask something in a modal dialog; Escape and Cancel close it.
 * `act` gets the form and may refuse by throwing: the dialog says why and stays.
 */
export function ask({ title, body, yes, danger = false, act }) {
  const id = `dialog-${++titles}`;
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const go = h("button", { type: "submit", class: danger ? "danger" : "primary" }, yes);
  const dialog = h("dialog", { "aria-labelledby": id, onclose: () => dialog.remove() });
  const form = h(
    "form",
    {
      novalidate: true,
      async onsubmit(event) {
        event.preventDefault();
        if (!form.reportValidity()) return;
        go.disabled = true;
        try {
          await act?.(form);
          dialog.close();
        } catch (error) {
          problem.hidden = false;
          problem.textContent = sentence(error);
        }
        go.disabled = false;
      },
    },
    h("h2", { id }, title),
    body,
    problem,
    h("div", { class: "buttons" }, button("Cancel", () => dialog.close()), go),
  );
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show something in a modal dialog. */
export function show({ title, body, wide = false }) {
  const id = `dialog-${++titles}`;
  const close = button("Close", () => dialog.close());
  const dialog = h(
    "dialog",
    { "aria-labelledby": id, class: wide ? "wide" : "", onclose: () => dialog.remove() },
    h("h2", { id }, title),
    body,
    h("div", { class: "buttons" }, close),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
  } catch {
    // Browsers hand out the clipboard on https and localhost only.
    toast(`This browser does not let us copy here: select the ${what.toLowerCase()} and copy it yourself`, "bad");
  }
}

/** A text that is there to be copied; of a long one the beginning is shown. */
export function copyable(label, text, { long = false } = {}) {
  return h(
    "div",
    { class: "copyable" },
    h("span", { class: "label" }, label),
    h("code", { class: long ? "long" : "" }, text),
    button("Copy", () => copy(text, label), { "aria-label": `Copy: ${label}`, "data-key": `copy ${label}` }),
  );
}

/** A secret: in the page only after somebody asked for it. */
export function secret(label, text) {
  const code = h("code", {}, "••••••••••••");
  const toggle = button("Show", () => {
    const shown = toggle.getAttribute("aria-pressed") === "true";
    code.textContent = shown ? "••••••••••••" : text;
    toggle.textContent = shown ? "Show" : "Hide";
    toggle.setAttribute("aria-pressed", String(!shown));
  }, { "aria-pressed": "false", "aria-label": `Show: ${label}` });
  return h(
    "div",
    { class: "copyable" },
    h("span", { class: "label" }, label),
    code,
    toggle,
    button("Copy", () => copy(text, label), { "aria-label": `Copy: ${label}` }),
  );
}

/** A table with a caption for screen readers; cells are texts or elements, or {value, class}. */
export function table(caption, heads, rows) {
  const cell = (content, i) => h("td", { "data-head": heads[i] }, content ?? "–");
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell)))),
    ),
  );
}

/** What to do where there is nothing yet. */
export const empty = (title, ...body) => h("section", { class: "empty" }, h("h2", {}, title), ...body);

/** Whether the connection is gone: the page's frame says so, and everything is loaded anew when it is back. */
export const lost = (error) => error.status === 0;

export const failed = (error, again) =>
  h("section", { class: "empty", role: "alert" }, h("h2", {}, "This could not be loaded"), h("p", {}, sentence(error)), button("Try again", again));

// -- words -----------------------------------------------------------------------------------------------------

/** An error as a sentence. */
export function sentence(error) {
  const text = error.message || String(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** `1 h 04 min`, `4 min 09 s`, `9 s`. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600).toLocaleString()} h ${two(Math.floor(s / 60) % 60)} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${s} s`;
}

export const plural = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;

const FULL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** A time as a person reads it; the exact one when pointed at. */
export function time(iso, { exact = false } = {}) {
  const date = new Date(iso);
  const today = date.toDateString() === new Date().toDateString();
  const text = exact || today ? (today ? `today, ${CLOCK.format(date)}` : `${FULL.format(date)}`) : FULL.format(date);
  return h("time", { datetime: iso, title: iso }, text);
}

export const since = (iso) => (Date.now() - Date.parse(iso)) / 1000;
