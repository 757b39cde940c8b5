// All livestreams of the app: what is on air first, with its picture.

import { get, isAdmin, post } from "./api.js";
import { ask, button, duration, empty, failed, fill, h, icon, plural, since, time } from "./dom.js";
import { connectEncoder } from "./encoder.js";
import { capital } from "./health.js";
import { live } from "./live.js";

const PER_PAGE = 50;
const PICTURE_MS = 10_000;

export const WORDS = { LIVE: "Live", IDLE: "Off air", ERRORED: "Failed", INVOKED: "Never on air" };

/** The name for people. */
export const nameOf = (livestream) => livestream.name || "Unnamed livestream";

/** The playback id; the page reaches the server by its own address, whatever the public one is. */
export const playbackId = (livestream) => new URL(livestream.playback_url).pathname.split("/")[1];

/** A livestream's state: what is known by events is newer than what was loaded. */
export function status(livestream) {
  const session = live.sessions.get(livestream.id);
  const word = session?.playable ? "LIVE" : livestream.status === "LIVE" && live.connected && !session ? "IDLE" : livestream.status;
  if (livestream.disabled && word !== "LIVE") return h("span", { class: "chip off" }, "Disabled");
  if (session && !session.publishing) return h("span", { class: "chip wait", title: "The encoder is gone; it may come back" }, "Waiting for the encoder");
  return h("span", { class: `chip ${word.toLowerCase()}` }, WORDS[word]);
}

export function livestreams() {
  const list = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const create = isAdmin() ? button([icon("plus"), "New livestream"], () => createDialog(), { class: "primary" }) : null;
  const element = h("div", { class: "stack" }, h("div", { class: "title" }, h("h1", {}, "Livestreams"), create), list);
  const state = { rows: [], total: 0, pages: 1, busy: false, again: false };

  async function load() {
    if (state.busy) return void (state.again = true);
    state.busy = true;
    try {
      const answer = await get(`/livestreams?per_page=${PER_PAGE * state.pages}`);
      const onAir = answer.paging.total_count > answer.data.livestreams.length ? (await get("/livestreams?status=LIVE&per_page=100")).data.livestreams : [];
      const known = new Set(answer.data.livestreams.map((row) => row.id));
      state.rows = [...onAir.filter((row) => !known.has(row.id)), ...answer.data.livestreams];
      state.total = answer.paging.total_count;
      draw();
    } catch (error) {
      if (error.status !== 401) fill(list, failed(error, load));
    }
    state.busy = false;
    if (state.again) ((state.again = false), load());
  }

  const isLive = (row) => live.sessions.get(row.id)?.playable ?? false;
  let drawnLive = "";

  function draw() {
    const onAir = state.rows.filter(isLive);
    drawnLive = onAir.map((row) => row.id).join();
    if (state.rows.length === 0) return fill(list, firstSteps());
    const rest = state.rows.filter((row) => !isLive(row));
    fill(
      list,
      onAir.length ? h("ul", { class: "cards", "aria-label": "On air" }, onAir.map(card)) : h("p", { class: "dim" }, "Nothing is on air."),
      rest.length ? h("ul", { class: "rows", "aria-label": "Not on air" }, rest.map(row)) : null,
      state.total > state.rows.length ? button(`Show more (${plural(state.total - state.rows.length, "livestream")} left)`, () => (state.pages++, load())) : null,
    );
    tick();
  }

  /** Only figures change from second to second. */
  function tick() {
    if (state.rows.filter(isLive).map((row) => row.id).join() !== drawnLive) return draw();
    for (const element of list.querySelectorAll("[data-live]")) {
      const session = live.sessions.get(element.dataset.live);
      if (session) element.textContent = `${plural(session.viewers, "viewer")} · on air ${duration(since(session.started_at))}`;
    }
    for (const element of list.querySelectorAll("[data-warnings]")) {
      const warnings = live.sessions.get(element.dataset.warnings)?.warnings ?? [];
      element.textContent = warnings.map(capital).join(" · ");
      element.hidden = warnings.length === 0;
    }
  }

  function pictures() {
    if (document.hidden) return;
    for (const image of list.querySelectorAll("img[data-picture]")) image.src = picture(image.dataset.picture);
  }

  const onChanged = () => load();
  live.addEventListener("live", tick);
  live.addEventListener("changed", onChanged);
  const timer = setInterval(pictures, PICTURE_MS);
  load();
  return {
    title: "Livestreams",
    element,
    close() {
      live.removeEventListener("live", tick);
      live.removeEventListener("changed", onChanged);
      clearInterval(timer);
    },
  };
}

const picture = (id) => `/${id}/thumbnail.jpg?at=${Math.floor(Date.now() / PICTURE_MS)}`;

function card(livestream) {
  const id = playbackId(livestream);
  const image = h("img", { "data-picture": id, src: picture(id), alt: "", loading: "lazy", width: "640", height: "360", onerror: () => image.classList.add("none"), onload: () => image.classList.remove("none") });
  return h(
    "li",
    { class: "card" },
    h("div", { class: "picture" }, image, status(livestream)),
    h("h2", {}, h("a", { href: `#/livestreams/${livestream.id}`, "data-key": livestream.id }, nameOf(livestream))),
    h("p", { class: "dim figures", "data-live": livestream.id }, ""),
    h("p", { class: "warning", "data-warnings": livestream.id, hidden: true }, ""),
  );
}

function row(livestream) {
  return h(
    "li",
    {},
    h("a", { href: `#/livestreams/${livestream.id}`, "data-key": livestream.id }, nameOf(livestream)),
    status(livestream),
    h("span", { class: "dim" }, "created ", time(livestream.created_at)),
  );
}

function firstSteps() {
  return empty(
    "No livestream yet",
    h("ol", {}, h("li", {}, "Create a livestream: it gets an ingest server and a stream key."), h("li", {}, "Put both into OBS, or any encoder that speaks RTMP, and start streaming."), h("li", {}, "Share the player page: viewers are about a second behind.")),
    isAdmin() ? button("Create the first livestream", () => createDialog(), { class: "primary" }) : h("p", {}, "Your token may only read: somebody with an admin token has to create it."),
  );
}

function createDialog() {
  const input = h("input", { id: "new-name", name: "name", maxlength: "255", pattern: "[A-Za-z0-9_\\-]*", autocomplete: "off", "aria-describedby": "new-name-hint" });
  ask({
    title: "New livestream",
    body: [h("label", { for: "new-name" }, "Name"), input, h("p", { class: "hint", id: "new-name-hint" }, "Letters, digits, - and _. It can stay empty.")],
    yes: "Create",
    async act() {
      const made = (await post("/livestreams", { name: input.value.trim() || null })).data;
      location.hash = `#/livestreams/${made.id}`;
      setTimeout(() => connectEncoder(made)); // the dialogs of the view before are closed by then
    },
  });
}
