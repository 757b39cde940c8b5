// Before the meeting: which devices, how one looks, whether the microphone hears anything.

import { h } from "../dashboard/dom.js";
import { fields } from "./choosing.js";
import * as devices from "./devices.js";
import { icon } from "./icons.js";
import { device } from "./words.js";

const THINGS = { audio: "microphone", video: "camera" };

/**
 * @param {object} me who comes in, as the server says: {title, name, permissions, participants}
 * @param {(tracks: object) => void} join gets {audio, video}, each a track or null, and {coming: {audio, video}}: what was being
 *   switched on still
 */
export function lobby(me, join) {
  const tracks = { audio: null, video: null };
  const wanted = { audio: me.permissions.audio, video: me.permissions.video };
  let meter = null;
  let over = false;

  const video = h("video", { autoplay: true, playsinline: true, "aria-label": "Your camera", tabindex: "-1" });
  video.muted = true;
  const dark = h("p", { class: "dim" }, "Your camera is off");
  const level = h("div", { class: "level", role: "img", "aria-label": "Level of your microphone" }, h("i"));
  const problems = h("div", { class: "problems", role: "alert" });
  const choosing = fields(
    ["camera", "microphone"].filter((thing) => (thing === "camera" ? me.permissions.video : me.permissions.audio)),
    (thing) => take(thing === "camera" ? "video" : "audio"),
  );
  const buttons = { audio: toggle("audio"), video: toggle("video") };
  const go = h("button", { type: "button", class: "primary", id: "join" }, "Join");
  go.addEventListener("click", () => {
    const mine = { ...tracks, coming: { ...busy } };
    tracks.audio = tracks.video = null; // they go on in the meeting
    leave();
    join(mine);
  });

  function toggle(kind) {
    const button = h("button", { type: "button", class: "round", id: `lobby-${THINGS[kind]}` });
    button.addEventListener("click", () => {
      if (tracks[kind] || busy[kind]) {
        wanted[kind] = false;
        drop(kind);
        show();
      } else take(kind);
    });
    return button;
  }

  const busy = { audio: false, video: false };
  const says = { audio: "", video: "" };

  function show() {
    if (over) return;
    for (const [kind, button] of Object.entries(buttons)) {
      const on = tracks[kind] !== null;
      const thing = THINGS[kind];
      button.replaceChildren(icon(kind === "audio" ? (on ? "mic" : "micOff") : on ? "camera" : "cameraOff"));
      button.setAttribute("aria-label", `${thing.charAt(0).toUpperCase() + thing.slice(1)} ${on ? "on" : "off"}`);
      button.setAttribute("aria-pressed", String(on));
      button.title = `Turn the ${thing} ${on ? "off" : "on"} (${kind === "audio" ? "m" : "v"})`;
      button.setAttribute("aria-keyshortcuts", kind === "audio" ? "m" : "v");
    }
    dark.hidden = tracks.video !== null;
    dark.textContent = busy.video ? "Starting the camera …" : "Your camera is off";
    level.hidden = tracks.audio === null;
    problems.replaceChildren(...Object.values(says).filter(Boolean).map((text) => h("p", {}, text)));
  }

  function drop(kind) {
    tracks[kind]?.stop();
    tracks[kind] = null;
    says[kind] = "";
    if (kind === "video") video.srcObject = null;
    else {
      meter?.stop();
      meter = null;
    }
  }

  function use(kind, found) {
    busy[kind] = false;
    if (!(found instanceof MediaStreamTrack)) says[kind] = device(found, THINGS[kind]);
    else if (over || !wanted[kind]) found.stop();
    else {
      tracks[kind] = found;
      found.onended = () => {
        drop(kind);
        says[kind] = `The ${THINGS[kind]} is gone.`;
        show();
      };
      if (kind === "video") video.srcObject = new MediaStream([found]);
      else meter = new devices.Meter(found, (value) => level.style.setProperty("--level", value.toFixed(2)));
    }
  }

  async function take(kind) {
    wanted[kind] = true;
    drop(kind);
    busy[kind] = true;
    show();
    use(kind, await devices.open(kind).catch((error) => error));
    show();
    choosing.fill();
  }

  async function takeAll() {
    if (!wanted.audio && !wanted.video) return show();
    if (!(wanted.audio && wanted.video)) return take(wanted.audio ? "audio" : "video");
    busy.audio = busy.video = true;
    show();
    const found = await devices.openBoth();
    use("audio", found.audio);
    use("video", found.video);
    show();
    await choosing.fill();
  }

  const refill = () => choosing.fill();
  const keys = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("select, input, dialog")) return;
    if (event.key === "m" && me.permissions.audio) buttons.audio.click();
    else if (event.key === "v" && me.permissions.video) buttons.video.click();
  };
  document.addEventListener("keydown", keys);
  navigator.mediaDevices?.addEventListener("devicechange", refill);

  function leave() {
    if (over) return;
    over = true;
    document.removeEventListener("keydown", keys);
    navigator.mediaDevices?.removeEventListener("devicechange", refill);
    meter?.stop();
    for (const kind of ["audio", "video"]) tracks[kind]?.stop();
  }

  const others = me.participants === 0 ? "Nobody is inside yet." : me.participants === 1 ? "One person is inside." : `${me.participants} people are inside.`;
  const watches = !me.permissions.audio && !me.permissions.video;
  const preview = watches
    ? h("p", { class: "dim" }, "You come in to watch and listen: your camera and microphone stay off.")
    : h(
        "section",
        { class: "preview", "aria-label": "Your picture and sound" },
        h("div", { class: "picture mine" }, video, dark, level),
        h("div", { class: "buttons" }, me.permissions.audio && buttons.audio, me.permissions.video && buttons.video),
      );
  const element = h(
    "main",
    { class: "lobby" },
    h("header", {}, h("h1", {}, me.title || "Meeting"), h("p", { class: "dim" }, me.name ? `You come in as ${me.name}. ` : "", others)),
    h("div", { class: "columns" }, preview, h("section", { class: "choices", "aria-label": "Devices" }, problems, choosing.element, go)),
  );
  show();
  takeAll();
  return { element, leave, focus: () => go.focus() };
}
