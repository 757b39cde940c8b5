// Fields for the devices: in the lobby and, while in the meeting, in a dialog.

import { h } from "../dashboard/dom.js";
import { choice, list } from "./devices.js";

/**
 * Fields for what may be chosen.
 *
 * @param {string[]} things of camera, microphone, speaker
 * @param {(thing: string) => void} chosen called after a choice
 */
export function fields(things, chosen) {
  const element = h("div", { class: "fields" });
  const ids = (thing) => `choose-${thing}`;
  const original = h("input", { type: "checkbox", id: ids("original") });
  original.checked = choice.original;
  original.addEventListener("change", () => {
    choice.original = original.checked;
    chosen("microphone");
  });

  async function fill() {
    const found = await list();
    const rows = things.filter((thing) => found[thing].length > (thing === "speaker" ? 1 : 0)).map((thing) => {
      const select = h("select", { id: ids(thing) }, found[thing].map(({ id, label }) => h("option", { value: id }, label)));
      select.value = found[thing].some(({ id }) => id === choice[thing]) ? choice[thing] : found[thing][0].id;
      select.addEventListener("change", () => {
        choice[thing] = select.value;
        chosen(thing);
      });
      return h("div", { class: "field" }, h("label", { for: ids(thing) }, thing.charAt(0).toUpperCase() + thing.slice(1)), select);
    });
    const music = things.includes("microphone") && h("div", { class: "check" }, original, h("label", { for: ids("original") }, "Original sound, for music"));
    const at = document.activeElement?.id;
    element.replaceChildren(...rows, ...(music ? [music] : []));
    if (at) element.querySelector(`#${CSS.escape(at)}`)?.focus();
  }

  return { element, fill };
}
