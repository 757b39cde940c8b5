// One recording: watched here, cut into clips, downloaded, deleted; stopped while it runs.

import { get, isAdmin, post, remove } from "./api.js";
import { ask, button, duration, failed, fill, h, lost, plural, sentence, time, toast } from "./dom.js";
import { concerns, live } from "./live.js";
import { local, nameOf, runs, size, state, steering } from "./recordings.js";
import { clock, readSprite, seconds, timeline } from "./timeline.js";

const ENDINGS = { API_CALL: "It was stopped by the API.", INTERNAL_ERROR: "It broke off.", ALL_PEERS_LEFT: "The broadcast ended." };

export function recording(id) {
  const parts = { head: h("div", {}), main: h("div", { class: "stack" }), facts: h("section", { class: "panel" }), clips: h("section", { class: "panel" }) };
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const video = h("video", { controls: true, playsinline: true, preload: "metadata", "aria-label": "The recording" });
  const now = { entry: null, clips: [], shown: null, renewed: false, closed: false, asked: 0 };

  async function load() {
    const mine = ++now.asked;
    try {
      const [{ data: entry }, { data: clips }] = await Promise.all([get(`/recordings/${id}`), get(`/recordings/${id}/clips`)]);
      if (now.closed || mine !== now.asked) return;
      Object.assign(now, { entry, clips });
      draw();
    } catch (error) {
      if (now.closed || mine !== now.asked || (now.shown !== null && lost(error))) return;
      now.shown = null;
      if (error.status === 404) fill(element, h("section", { class: "empty" }, h("h1", {}, "No such recording"), h("p", {}, h("a", { href: "#/recordings" }, "All recordings"))));
      else if (error.status !== 401) fill(element, failed(error, load));
    }
  }

  function draw() {
    const { entry } = now;
    if (now.shown === null) fill(element, parts.head, h("div", { class: "columns" }, parts.main, h("div", { class: "stack" }, parts.facts, entry.clip_of ? null : parts.clips)));
    document.title = `${nameOf(entry)} – Headwater`;
    drawHead();
    drawMain();
    drawFacts();
    drawClips();
  }

  function drawHead() {
    const { entry } = now;
    fill(
      parts.head,
      h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/recordings", "data-key": "up" }, "Recordings"), entry.clip_of ? [" / ", h("a", { href: `#/recordings/${entry.clip_of}`, "data-key": "of" }, "the recording that this clip was cut from")] : null),
      h(
        "div",
        { class: "title" },
        h("h1", {}, nameOf(entry)),
        state(entry),
        h("div", { class: "buttons" }, steering(entry, load), downloadLink(entry, nameOf(entry)), isAdmin() && entry.download_url ? button("Delete", () => discard(entry), { class: "danger", "data-key": "delete" }) : null),
      ),
    );
  }

  /** The player is made once, and made anew only where another thing is to be shown. */
  function drawMain() {
    const { entry } = now;
    const kind = entry.download_url ? "player" : entry.status + entry.expired;
    if (kind === now.shown) return;
    now.shown = kind;
    if (kind !== "player") return fill(parts.main, h("section", { class: "panel" }, absent(entry)));
    const cutter = isAdmin() && !entry.clip_of ? clipCutter() : null;
    fill(parts.main, h("section", { class: "panel stack" }, video, problem, cutter));
    video.src = local(entry.download_url);
  }

  const problem = h("p", { class: "problem", role: "alert", hidden: true });

  /** Links end after some hours: one that fails is asked for anew, once until it plays again. */
  video.addEventListener("error", async () => {
    if (now.closed || !video.getAttribute("src")) return;
    const at = video.currentTime;
    if (now.renewed) {
      problem.textContent = "This recording cannot be played here: its file is gone, or this browser lacks its codec. A download plays elsewhere.";
      return void (problem.hidden = false);
    }
    now.renewed = true;
    await load();
    if (now.closed || !now.entry.download_url) return;
    video.src = local(now.entry.download_url);
    video.currentTime = at;
  });
  video.addEventListener("playing", () => {
    now.renewed = false;
    problem.hidden = true;
  });

  // -- clips -----------------------------------------------------------------------------------------------------

  function clipCutter() {
    const fields = { start: h("input", { id: "clip-start", autocomplete: "off", spellcheck: "false" }), end: h("input", { id: "clip-end", autocomplete: "off", spellcheck: "false" }) };
    const length = h("span", { class: "dim", role: "status" });
    const line = timeline(video, {
      onchange({ start, end }) {
        fields.start.value = clock(start);
        fields.end.value = clock(end);
        length.textContent = `${(end - start).toFixed(1)} s are chosen`;
      },
    });
    for (const [which, field] of Object.entries(fields)) {
      field.addEventListener("change", () => {
        const wanted = seconds(field.value);
        line.set(which, wanted ?? line.piece[which]);
        if (wanted === null) toast("A time looks like 1:05.5", "bad");
      });
    }
    const cut = button("Cut the clip", act, { class: "primary" });

    async function act() {
      cut.disabled = true;
      try {
        await post(`/recordings/${id}/clips`, { ...line.piece });
        toast("The clip is being made");
        await load();
      } catch (error) {
        toast(sentence(error), "bad");
      }
      cut.disabled = false;
    }

    /** From the beginning of the piece to its end. */
    function preview() {
      video.currentTime = line.piece.start;
      video.play().catch(() => {}); // the player says so itself
      const { end } = line.piece;
      const stop = () => {
        if (video.currentTime < end && !video.paused) return;
        video.pause();
        video.removeEventListener("timeupdate", stop);
      };
      video.addEventListener("seeked", () => video.addEventListener("timeupdate", stop), { once: true });
    }

    const here = (which) => () => line.set(which, video.currentTime);
    if (now.entry.sprite_url) video.addEventListener("durationchange", () => pictures(line), { once: true });
    return h(
      "section",
      { class: "stack", "aria-label": "Cut a clip" },
      line.element,
      h(
        "div",
        { class: "cutter" },
        h("div", {}, h("label", { for: "clip-start" }, "Start"), fields.start, button("Start here", here("start"))),
        h("div", {}, h("label", { for: "clip-end" }, "End"), fields.end, button("End here", here("end"))),
        h("div", { class: "buttons" }, length, button("Play the clip", preview), cut),
      ),
      h("p", { class: "hint" }, "Nothing is encoded anew: a clip begins with the key frame before its start, and ends at the one after its end."),
    );
  }

  async function pictures(line) {
    try {
      const address = local(now.entry.sprite_url);
      const answer = await fetch(address);
      if (!answer.ok || now.closed) return;
      const { name, cues } = readSprite(await answer.text());
      if (!name) return;
      const picture = new Image();
      picture.src = new URL(name, new URL(address, location.href)).pathname;
      await picture.decode();
      if (!now.closed) line.strip(cues, picture);
    } catch {
      // the time line works without pictures
    }
  }

  function drawClips() {
    const rows = now.clips.map((clip) => {
      const name = `the clip from ${clock(clip.clip_start)} to ${clock(clip.clip_end)}`;
      return h(
        "li",
        {},
        h("a", { href: `#/recordings/${clip.id}`, "data-key": clip.id }, `${clock(clip.clip_start)} – ${clock(clip.clip_end)}`),
        state(clip),
        clip.download_url ? h("div", { class: "buttons" }, downloadLink(clip, name), isAdmin() ? button("Delete", () => discard(clip), { class: "danger", "aria-label": `Delete ${name}`, "data-key": `delete ${clip.id}` }) : null) : null,
        clip.err_message ? h("p", { class: "bad wide" }, clip.err_message) : null,
      );
    });
    fill(parts.clips, h("h2", {}, "Clips"), rows.length ? h("ul", { class: "rows", "aria-label": "Clips" }, rows) : h("p", { class: "dim" }, !isAdmin() || now.entry.expired ? "None." : now.entry.download_url ? "None yet. Choose a piece on the time line, and cut it." : "Clips can be cut once the file is there."));
  }

  const downloadLink = (entry, name) => (entry.download_url ? h("a", { class: "button", href: local(entry.download_url), download: entry.output_file_name, "aria-label": `Download ${name}`, "data-key": `download ${entry.id}` }, "Download") : null);

  // -- facts -----------------------------------------------------------------------------------------------------

  function drawFacts() {
    const { entry } = now;
    const rows = {
      Began: time(entry.started_time ?? entry.invoked_time, { exact: true }),
      Length: entry.recording_duration === undefined ? null : duration(entry.recording_duration),
      Size: entry.file_size === null ? null : size(entry.file_size),
      Livestream: h("a", { href: `#/livestreams/${entry.livestream_id}`, "data-key": "livestream" }, entry.meeting?.title || "Its page"),
      End: entry.status === "UPLOADED" && !entry.clip_of ? (ENDINGS[entry.stop_reason?.reason] ?? null) : null,
    };
    fill(parts.facts, h("h2", {}, "Facts"), h("dl", { class: "facts" }, Object.entries(rows).filter(([, value]) => value !== null).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))));
  }

  const discard = (entry) =>
    ask({
      title: entry.clip_of ? "Delete this clip?" : "Delete this recording?",
      body: h("p", {}, entry.clip_of ? "The clip is gone for good." : `The file is gone for good, also from the livestream's player page. The list keeps what it was${now.clips.length ? `, and its ${plural(now.clips.length, "clip")} stay` : ""}.`),
      yes: "Delete",
      danger: true,
      async act() {
        await remove(`/recordings/${entry.id}`);
        if (entry.id !== id) return load();
        location.hash = entry.clip_of ? `#/recordings/${entry.clip_of}` : "#/recordings";
      },
    });

  const onChanged = (event) => now.entry && concerns(event, now.entry.livestream_id) && load();
  live.addEventListener("changed", onChanged);
  load();
  return {
    title: "Recording",
    element,
    close() {
      now.closed = true;
      live.removeEventListener("changed", onChanged);
      video.removeAttribute("src");
      video.load(); // lets go of its connection
    },
  };
}

/** Why there is nothing to play. */
function absent(entry) {
  if (entry.expired) return h("p", {}, "The file has been removed; what it was stays in the list and in the analytics.");
  if (entry.status === "ERRORED") return h("p", { class: "bad" }, entry.err_message ?? "Nothing came of it.");
  if (runs(entry)) return h("p", {}, "It is being recorded: ", h("a", { href: `#/livestreams/${entry.livestream_id}` }, "watch it live"), ". The file is here as soon as it ends.");
  return h("p", {}, "The file is being made. It is here in a moment.");
}
