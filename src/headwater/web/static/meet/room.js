// In the meeting: header, tiles, buttons, keys, and what is said to those who do not see the page.

import { ask, fill, h, show as dialog } from "../dashboard/dom.js";
import { fields } from "./choosing.js";
import { canShareScreen, choice } from "./devices.js";
import { fit } from "./grid.js";
import { icon } from "./icons.js";
import { Tile } from "./tiles.js";
import { failed } from "./words.js";

const GAP_PX = 8;
const LIVE = { INVOKED: "Livestream starting", LIVE: "LIVE", ERRORED: "Livestream failed" };

/** @param {import("./call.js").Call} call */
export function room(call, say, toast) {
  const tiles = new Map();
  const title = h("h1", { tabindex: "-1" }, "Meeting");
  const badge = h("span", { class: "badge", hidden: true });
  const watch = h("a", { class: "watch", target: "_blank", rel: "noopener noreferrer", hidden: true }, "Watch");
  const count = h("span", { class: "dim count" });
  const banner = h("p", { class: "banner", role: "alert", hidden: true });
  const unmute = h("button", { type: "button", class: "primary sound", hidden: true }, "Turn the sound on");
  const big = h("ul", { class: "big", "aria-label": "Shared screen" });
  const list = h("ul", { class: "tiles", "aria-label": "Participants" });
  const stage = h("main", { class: "stage" }, big, list, unmute);

  const actions = {
    mic: () => call.switch("audio"),
    camera: () => call.switch("video"),
    screen: () => (call.sharing ? call.stopScreen() : call.shareScreen()),
    people: () => people(call, toast),
    settings: () => settings(call, [...tiles.values()]),
    live: () => livestream(call, toast),
    leave: () => call.leave(),
  };
  const buttons = Object.fromEntries(Object.keys(actions).map((name) => [name, h("button", { type: "button", class: "round", id: name })]));
  for (const [name, button] of Object.entries(buttons)) button.addEventListener("click", actions[name]);
  const bar = h("section", { class: "bar", "aria-label": "Controls" }, Object.values(buttons));
  const element = h("div", { class: "call" }, h("header", { class: "top" }, title, badge, watch, count), banner, stage, bar);

  function set(name, picture, words, { key = "", pressed = null, hidden = false, on = true, text = "" } = {}) {
    const button = buttons[name];
    button.hidden = hidden;
    button.classList.toggle("off", !on);
    if (button.dataset.picture !== picture + text) {
      button.dataset.picture = picture + text;
      button.replaceChildren(icon(picture), ...(text ? [h("span", { class: "text" }, text)] : []));
    }
    button.title = key ? `${words} (${key})` : words;
    button.setAttribute("aria-label", words);
    if (key) button.setAttribute("aria-keyshortcuts", key);
    if (pressed !== null) button.setAttribute("aria-pressed", String(pressed));
  }

  // Until the room is known there is nothing to do in it but to leave.
  for (const button of Object.values(buttons)) button.hidden = true;
  set("leave", "leave", "Leave", { text: "Leave" });

  // -- what is shown ---------------------------------------------------------------------------------------------

  function showButtons() {
    const { allowed, on } = call;
    set("mic", on.audio ? "mic" : "micOff", on.audio ? "Mute" : "Unmute", { key: "m", on: on.audio, hidden: !allowed.audio });
    set("camera", on.video ? "camera" : "cameraOff", on.video ? "Turn the camera off" : "Turn the camera on", { key: "v", on: on.video, hidden: !allowed.video });
    set("screen", "screen", call.sharing ? "Stop sharing the screen" : "Share the screen", { key: "s", pressed: call.sharing, hidden: !allowed.screen || !canShareScreen() });
    set("people", "people", "Participants");
    set("settings", "settings", "Devices");
    const live = ["INVOKED", "LIVE"].includes(call.state.livestream);
    set("live", "live", live ? "Stop the livestream" : "Go live: start the livestream", { pressed: live, hidden: !allowed.livestream, text: live ? "Stop" : "Go live" });
    set("leave", "leave", "Leave", { text: "Leave" });
  }

  function showHeader() {
    const { state } = call;
    title.textContent = state.title || "Meeting";
    document.title = state.title || "Meeting";
    count.textContent = state.participants.length === 1 ? "Only you" : `${state.participants.length} inside`;
    badge.hidden = state.livestream === null || !LIVE[state.livestream];
    badge.textContent = LIVE[state.livestream] ?? "";
    badge.dataset.status = state.livestream ?? "";
    const player = badge.hidden || state.livestream === "ERRORED" ? null : call.player;
    watch.hidden = player === null;
    if (player !== null) watch.href = player;
  }

  let shaky;
  function showTrouble() {
    if (!call.trouble) {
      clearTimeout(shaky);
      shaky = undefined;
      banner.hidden = true;
    } else shaky ??= setTimeout(() => {
      banner.hidden = false;
      banner.textContent = "The connection is lost. Trying again …";
    }, 1000);
  }

  /** Everything that has a tile: [key, participant, source]. */
  function wanted() {
    const found = [];
    for (const participant of call.state.participants) {
      found.push([`${participant.id} camera`, participant, "camera"]);
      const shares = participant.id === call.me.id ? call.sharing : participant.sources.screen;
      if (shares) found.push([`${participant.id} screen`, participant, "screen"]);
    }
    return found;
  }

  const streams = new Map(); // of our own tracks, so that elements keep what they play
  function own(source) {
    const track = call.own(source);
    if (track === null) return null;
    const before = streams.get(source);
    if (before?.getTracks()[0] === track) return before;
    streams.set(source, new MediaStream([track]));
    return streams.get(source);
  }

  function showTiles() {
    const here = wanted();
    for (const [key, participant, source] of here) {
      const mine = participant.id === call.me.id;
      let tile = tiles.get(key);
      if (!tile) {
        tile = new Tile(participant, source, { mine, blocked: () => (unmute.hidden = false) });
        tile.speaker(choice.speaker);
        tiles.set(key, tile);
      }
      const received = mine ? null : call.received(participant.id, source);
      const sends = participant.sources[source];
      const comes = received?.link.state === "connected";
      tile.show(participant, mine ? own(source) : (received?.stream ?? null), {
        picture: mine ? call.own(source) !== null : Boolean(sends?.video),
        sound: mine ? call.on.audio : Boolean(sends?.audio),
        speaking: source === "camera" && call.state.speaking === participant.id,
        hint: received && !comes && sends ? (received.problem ?? (received.link.state === "connecting" ? "" : "Connecting …")) : "",
      });
    }
    for (const [key, tile] of tiles) {
      if (here.some(([each]) => each === key)) continue;
      tile.remove();
      tiles.delete(key);
    }
    place(here.map(([key]) => tiles.get(key)));
  }

  /** The newest shared screen is large, everything else beside it. Elements are moved only where they have to. */
  function place(order) {
    const shared = order.filter((tile) => tile.source === "screen");
    const first = shared.at(-1) ?? null;
    put(big, first ? [first.element] : []);
    put(list, order.filter((tile) => tile !== first).map((tile) => tile.element));
    stage.classList.toggle("shares", first !== null);
    measure();
  }

  function measure() {
    if (stage.classList.contains("shares")) return list.style.removeProperty("--width");
    const box = list.getBoundingClientRect();
    const { columns, width, height, scrolls } = fit(list.children.length, box.width, box.height, GAP_PX);
    list.style.setProperty("--width", `${width}px`);
    list.style.setProperty("--height", `${height}px`);
    list.style.setProperty("--columns", columns);
    list.classList.toggle("scrolls", scrolls);
  }

  // -- what is said ----------------------------------------------------------------------------------------------

  let before = null;
  function sayChanges() {
    const { state } = call;
    const now = new Map(state.participants.map((each) => [each.id, each]));
    if (before !== null) {
      const name = (each) => each.name || "Guest";
      for (const [id, each] of now) {
        if (id === call.me.id) continue;
        if (!before.people.has(id)) say(`${name(each)} has joined`);
        if (each.sources.screen && !before.people.get(id)?.sources.screen) say(`${name(each)} shares a screen`);
      }
      for (const [id, each] of before.people) if (!now.has(id) && id !== call.me.id) say(`${name(each)} has left`);
      if (state.livestream !== before.livestream) say({ LIVE: "The meeting is live", INVOKED: "The livestream is starting", ERRORED: "The livestream has failed" }[state.livestream] ?? "The livestream has ended");
    }
    before = { people: now, livestream: state.livestream };
  }

  // -- what is done ----------------------------------------------------------------------------------------------

  function render() {
    if (call.state === null) return;
    showHeader();
    showButtons();
    showTiles();
    showTrouble();
  }

  let waiting = false;
  const changed = () => {
    if (call.state !== null) sayChanges();
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      render();
    });
  };

  const KEYS = { m: "mic", v: "camera", s: "screen" };
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.target.closest?.("select, input, dialog")) return;
    const button = buttons[KEYS[event.key.toLowerCase()]];
    if (button && !button.hidden) button.click();
  };

  unmute.addEventListener("click", () => {
    unmute.hidden = true;
    for (const tile of tiles.values()) tile.play();
  });
  call.addEventListener("change", changed);
  document.addEventListener("keydown", keys);
  const resized = new ResizeObserver(measure);
  resized.observe(stage);

  const awake = stayAwake();

  return {
    element,
    focus: () => title.focus(),
    leave() {
      awake.stop();
      call.removeEventListener("change", changed);
      document.removeEventListener("keydown", keys);
      resized.disconnect();
      clearTimeout(shaky);
      for (const tile of tiles.values()) tile.remove();
      for (const open of document.querySelectorAll("dialog")) open.close();
    },
  };
}

/** A phone's screen stays on while its owner listens. */
function stayAwake() {
  let lock = null;
  const ask = async () => {
    if (document.hidden || (lock !== null && !lock.released)) return;
    lock = (await navigator.wakeLock?.request("screen").catch(() => null)) ?? null;
  };
  document.addEventListener("visibilitychange", ask);
  ask();
  return {
    stop() {
      document.removeEventListener("visibilitychange", ask);
      lock?.release();
    },
  };
}

/** Put elements into a list in order; a video that stays in its place goes on playing. */
function put(parent, elements) {
  for (const each of [...parent.children]) if (!elements.includes(each)) each.remove();
  elements.forEach((element, at) => {
    if (parent.children[at] === element) return;
    parent.insertBefore(element, parent.children[at] ?? null);
    element.querySelector("video").play().catch(() => {});
  });
}

function settings(call, tiles) {
  const things = ["camera", "microphone"].filter((thing) => (thing === "camera" ? call.allowed.video : call.allowed.audio));
  if ("setSinkId" in HTMLMediaElement.prototype) things.push("speaker");
  const choosing = fields(things, (thing) => {
    if (thing === "speaker") tiles.forEach((tile) => tile.speaker(choice.speaker));
    else call.renew(thing === "camera" ? "video" : "audio");
  });
  choosing.fill();
  dialog({ title: "Devices", body: choosing.element });
}

function people(call, toast) {
  const list = h("ul", { class: "people" });
  const attempt = (work) => async () => {
    try {
      await work();
    } catch (error) {
      toast(failed(error), "bad");
    }
  };
  const row = (each) => {
    const mine = each.id === call.me.id;
    const name = each.name || "Guest";
    const heard = each.sources.camera?.audio;
    return h(
      "li",
      {},
      h("div", { class: "who" }, h("strong", {}, mine ? `${name} (you)` : name), h("span", { class: "dim" }, [each.preset, heard ? "" : "muted"].filter(Boolean).join(", "))),
      !mine && call.allowed.mute_others && heard && h("button", { type: "button", "data-key": `mute ${each.id}`, "aria-label": `Mute ${name}`, onclick: attempt(() => call.mute(each.id)) }, "Mute"),
      !mine && call.allowed.kick && h("button", { type: "button", class: "danger", "data-key": `remove ${each.id}`, "aria-label": `Remove ${name}`, onclick: attempt(() => call.remove(each.id)) }, "Remove"),
    );
  };
  const show = () => fill(list, call.state.participants.map(row));
  show();
  call.addEventListener("change", show);
  const opened = dialog({ title: "Participants", body: list });
  opened.addEventListener("close", () => call.removeEventListener("change", show));
}

/** What a dialog says of a refusal is a sentence. */
const attempted = (request) => request.catch((error) => Promise.reject(new Error(failed(error))));

function livestream(call, toast) {
  if (["INVOKED", "LIVE"].includes(call.state.livestream)) {
    ask({ title: "Stop the livestream?", body: h("p", {}, "Viewers see it end. The meeting goes on."), yes: "Stop it", danger: true, act: () => attempted(call.stopLivestream()) });
    return;
  }
  ask({
    title: "Start the livestream?",
    body: h("p", {}, "Everything that is seen and heard here goes to its viewers."),
    yes: "Go live",
    act: async () => {
      await attempted(call.startLivestream());
      toast("The livestream is starting");
    },
  });
}
