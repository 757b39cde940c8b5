// A tile: one participant's picture and sound, or a shared screen.

import { h } from "../dashboard/dom.js";
import { icon } from "./icons.js";

const HUES = 8; // style.css has as many

/** One or two letters for a name. */
export function initials(name) {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = (word) => (word ? [...word][0].toUpperCase() : "");
  return (words.length > 1 ? first(words[0]) + first(words.at(-1)) : first(words[0])) || "?";
}

const hue = (id) => [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) >>> 0, 7) % HUES;

export class Tile {
  #picture = null;

  /** @param {object} options mine: shown here only, and silent; blocked(): the browser does not play sound yet */
  constructor(participant, source, { mine, blocked }) {
    this.source = source;
    this.mine = mine;
    this.blocked = blocked;
    this.video = h("video", { playsinline: true, autoplay: true, tabindex: "-1", disablepictureinpicture: false });
    this.video.muted = mine;
    this.name = h("span", { class: "name" });
    this.silent = h("span", { class: "silent", role: "img", "aria-label": "microphone off" }, icon("micOff"));
    this.hint = h("span", { class: "hint" });
    this.face = h("div", { class: `face hue-${hue(participant.id)}`, "aria-hidden": "true" });
    this.element = h("li", { class: `tile ${source}${mine ? " mine" : ""}`, "data-id": participant.id, "data-source": source }, this.face, this.video, h("div", { class: "label" }, this.silent, this.name), this.hint);
  }

  /**
   * @param {object} participant of the state
   * @param {MediaStream} stream or null
   * @param {object} shown picture, sound, speaking: booleans; hint: a word on top, or empty
   */
  show(participant, stream, { picture, sound, speaking, hint }) {
    const name = participant.name || "Guest";
    const words = this.source === "screen" ? (this.mine ? "Your screen" : `${name}’s screen`) : this.mine ? `${name} (you)` : name;
    if (this.name.textContent !== words) {
      this.name.textContent = words;
      this.video.setAttribute("aria-label", words);
      this.face.replaceChildren(h("span", {}, initials(name)));
      this.#picture = null;
    }
    if (this.#picture !== participant.picture) {
      this.#picture = participant.picture;
      const image = participant.picture && h("img", { src: participant.picture, alt: "", referrerpolicy: "no-referrer" });
      image?.addEventListener("error", () => image.remove());
      this.face.replaceChildren(h("span", {}, initials(name)), ...(image ? [image] : []));
    }
    if (this.video.srcObject !== stream) this.video.srcObject = stream;
    this.element.classList.toggle("dark", !picture);
    this.element.classList.toggle("speaking", speaking);
    this.silent.hidden = sound || this.source === "screen";
    this.hint.textContent = hint;
    this.hint.hidden = hint === "";
    if (stream && this.video.paused) this.play();
  }

  play() {
    this.video.play().catch((error) => error.name === "NotAllowedError" && this.blocked());
  }

  /** Where its sound comes out. */
  async speaker(id) {
    if (!this.mine) await this.video.setSinkId?.(id ?? "").catch(() => {});
  }

  remove() {
    this.video.srcObject = null;
    this.element.remove();
  }
}
