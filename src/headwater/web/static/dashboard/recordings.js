// Recordings: the list, of all livestreams or of one, and what can be done to one that runs.

import { get, isAdmin, patch, post, put } from "./api.js";
import { button, duration, empty, failed, fill, h, plural, sentence, time, toast } from "./dom.js";
import { concerns, live } from "./live.js";

const PER_PAGE = 25;
const SEARCH_MS = 300; // after the last key: a word is looked for, not each of its letters
const STATES = { INVOKED: ["Starting", "wait"], RECORDING: ["Recording", "live"], PAUSED: ["Paused", "wait"], UPLOADING: ["Being made", "wait"], UPLOADED: ["Ready", "good"], ERRORED: ["Failed", "errored"] };
const CHOICES = [
  ["All", ""],
  ["Ready", "&status=UPLOADED&expired=false"],
  ["Being recorded or made", "&status=INVOKED,RECORDING,PAUSED,UPLOADING"],
  ["Failed", "&status=ERRORED"],
  ["Removed", "&expired=true"],
];

const SETTINGS = [["As the app says", null], ["Always", true], ["Never", false]];

export const runs = (entry) => ["INVOKED", "RECORDING", "PAUSED"].includes(entry.status);

export function recordings() {
  const choose = h("select", { "aria-label": "Which recordings", onchange: () => list.load() }, CHOICES.map(([word, query]) => h("option", { value: query }, word)));
  const search = h("input", { type: "search", "aria-label": "Search by name", placeholder: "Search by name", maxlength: "100", oninput: () => (clearTimeout(timer), (timer = setTimeout(list.load, SEARCH_MS))) });
  let timer = null;
  const list = recordingList({
    query: () => choose.value + (search.value.trim() && `&search=${encodeURIComponent(search.value.trim())}`),
    nothing: () =>
      choose.value || search.value.trim()
        ? h("p", { class: "dim" }, "No recording is like that.")
        : empty("No recording yet", h("p", {}, "Sessions are recorded as they are published, unless that is switched off. Go live, and the recording is here: to watch, to cut clips from, and to download as MP4.")),
  });
  const element = h("div", { class: "stack" }, h("div", { class: "title" }, h("h1", {}, "Recordings"), h("div", { class: "search" }, search), h("div", { class: "range" }, choose)), list.element);
  return {
    title: "Recordings",
    element,
    close() {
      clearTimeout(timer);
      list.close();
    },
  };
}

/** What a livestream's page shows: its recordings, whether its sessions are recorded, and recording the one on air. */
export function recordingPanel(livestreamId) {
  const actions = h("div", { class: "buttons" });
  const list = recordingList({
    livestreamId,
    query: () => `&livestream_id=${livestreamId}`,
    nothing: () => h("p", { class: "dim" }, "Nothing has been recorded. A session is recorded from its beginning where recording is on, or from the moment at which you start it here."),
    drawn: drawActions,
  });
  let rows = [];

  function drawActions(found = rows) {
    rows = found;
    const running = rows.find(runs);
    if (running) fill(actions, steering(running, list.load));
    else fill(actions, isAdmin() && live.sessions.has(livestreamId) ? button("Record from now on", record, { "data-key": "record" }) : null);
  }

  async function record() {
    try {
      await post("/recordings", { livestream_id: livestreamId });
      toast("It is being recorded");
    } catch (error) {
      toast(sentence(error), "bad");
    }
    await list.load();
  }

  const choose = h("select", { id: "record", onchange: set }, SETTINGS.map(([word, value]) => h("option", { value: String(value) }, word)));
  let setting = null;

  async function set() {
    try {
      await patch(`/livestreams/${livestreamId}`, { record: JSON.parse(choose.value) });
      toast("It holds from the next session on");
    } catch (error) {
      choose.value = String(setting);
      toast(sentence(error), "bad");
    }
  }

  let onAir = null;
  function onLive() {
    const now = live.sessions.has(livestreamId);
    if (now !== onAir) ((onAir = now), drawActions());
  }

  live.addEventListener("live", onLive);
  return {
    element: h("section", { class: "panel" }, h("div", { class: "title" }, h("h2", {}, "Recordings"), actions), list.element, isAdmin() ? h("p", { class: "setting" }, h("label", { for: "record" }, "Record its sessions"), choose) : null),

    /** The livestream's setting, as it was loaded. */
    show(record) {
      if (document.activeElement !== choose) choose.value = String(record);
      setting = record;
    },
    close() {
      live.removeEventListener("live", onLive);
      list.close();
    },
  };
}

/** A list that is loaded anew when something changes. */
function recordingList({ livestreamId = null, query, nothing, drawn = () => {} }) {
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  let pages = 1;
  let asked = 0;

  async function load() {
    const mine = ++asked;
    try {
      const { data, paging } = await get(`/recordings?per_page=${PER_PAGE * pages}${query()}`);
      if (mine !== asked) return; // a later question has been asked meanwhile
      const left = paging.total_count - data.length;
      fill(
        element,
        data.length ? h("ul", { class: "rows", "aria-label": "Recordings" }, data.map(recordingRow)) : nothing(),
        left > 0 ? button(`Show more (${plural(left, "recording")} left)`, () => (pages++, load()), { "data-key": "more recordings" }) : null,
      );
      drawn(data);
    } catch (error) {
      if (error.status !== 401 && mine === asked) fill(element, failed(error, load));
    }
  }

  const onChanged = (event) => (livestreamId === null || concerns(event, livestreamId)) && load();
  live.addEventListener("changed", onChanged);
  load();
  return {
    element,
    load,
    close() {
      asked++;
      live.removeEventListener("changed", onChanged);
    },
  };
}

export const recordingRow = (entry) =>
  h(
    "li",
    {},
    h("a", { href: `#/recordings/${entry.id}`, "data-key": entry.id }, nameOf(entry)),
    state(entry),
    h("span", { class: "dim wide" }, time(entry.started_time ?? entry.invoked_time), facts(entry).map((fact) => ` · ${fact}`)),
  );

/** The file's name without what all of them end in. */
export const nameOf = (entry) => entry.output_file_name.replace(/\.mp4$/, "");

export const facts = (entry) => [entry.recording_duration === undefined ? null : duration(entry.recording_duration), entry.file_size === null ? null : size(entry.file_size)].filter((fact) => fact !== null);

export function state(entry) {
  if (entry.expired) return h("span", { class: "chip" }, "Removed");
  const [word, kind] = STATES[entry.status];
  return h("span", { class: `chip ${kind}` }, word);
}

export const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(0.1, bytes / 1e6).toFixed(1)} MB`);

/** The page reaches the server by its own address, whatever the public one is. */
export function local(address) {
  const url = new URL(address);
  return url.pathname + url.search;
}

/** Pausing, resuming and stopping a recording that runs. */
export function steering(entry, done) {
  if (!isAdmin() || !runs(entry)) return [];
  const act = (action) => async () => {
    try {
      await put(`/recordings/${entry.id}`, { action });
    } catch (error) {
      toast(sentence(error), "bad");
    }
    await done();
  };
  const paused = entry.status === "PAUSED";
  return [
    button(paused ? "Resume recording" : "Pause recording", act(paused ? "resume" : "pause"), { "data-key": "pause recording" }),
    button("Stop recording", act("stop"), { "data-key": "stop recording" }),
  ];
}
