// Webhooks: who is told what happens in the app; adding one, and changing it.

import { get, isAdmin, patch, post } from "./api.js";
import { ask, button, empty, failed, fill, h, icon, sentence, toast } from "./dom.js";
import { live } from "./live.js";

const USUAL = ["livestreaming.statusUpdate", "recording.statusUpdate"];

export function webhooks() {
  const list = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const create = isAdmin() ? button([icon("plus"), "New webhook"], () => editDialog(null, load), { class: "primary", "data-key": "new" }) : null;
  const element = h("div", { class: "stack" }, h("div", { class: "title" }, h("h1", {}, "Webhooks"), create), list);
  let asked = 0;

  async function load() {
    const mine = ++asked;
    try {
      const { data } = await get("/webhooks");
      if (mine === asked) fill(list, data.length ? h("ul", { class: "rows", "aria-label": "Webhooks" }, data.map(row)) : nothing(load));
    } catch (error) {
      if (error.status !== 401 && mine === asked) fill(list, failed(error, load));
    }
  }

  const onChanged = (event) => event.detail === null && load();
  live.addEventListener("changed", onChanged);
  load();
  return {
    title: "Webhooks",
    element,
    close() {
      asked++;
      live.removeEventListener("changed", onChanged);
    },
  };
}

const row = (webhook) =>
  h("li", {}, h("a", { href: `#/webhooks/${webhook.id}`, "data-key": webhook.id }, webhook.name), enabled(webhook), h("span", { class: "dim wide" }, webhook.url));

export const enabled = (webhook) => h("span", { class: webhook.enabled ? "chip good" : "chip" }, webhook.enabled ? "On" : "Off");

const nothing = (load) =>
  empty(
    "No webhook yet",
    h("p", {}, "A webhook is a URL of yours that is told what happens: a livestream goes live or ends, a recording is there. Events come signed, in order, and again until your receiver has them."),
    isAdmin() ? button("Add the first webhook", () => editDialog(null, load), { class: "primary" }) : h("p", {}, "Your token may only read: somebody with an admin token has to add it."),
  );

/** A new webhook (null), or another name, URL or choice of events for one. */
export async function editDialog(webhook, done) {
  let names;
  try {
    names = (await get("/webhooks/all")).data;
  } catch (error) {
    return toast(sentence(error), "bad");
  }
  const name = h("input", { id: "hook-name", required: true, maxlength: "255", autocomplete: "off", value: webhook?.name });
  const url = h("input", { id: "hook-url", type: "url", required: true, maxlength: "2048", placeholder: "https://example.com/headwater", autocomplete: "off", value: webhook?.url });
  const chosen = new Set(webhook?.events ?? USUAL);
  names = [...new Set([...names, ...chosen])]; // also those that it asks for and is never told
  const boxes = names.map((event) => h("input", { type: "checkbox", id: `event-${event}`, value: event, checked: chosen.has(event) }));
  ask({
    title: webhook ? "Edit the webhook" : "New webhook",
    body: [
      h("label", { for: "hook-name" }, "Name"),
      name,
      h("label", { for: "hook-url" }, "URL"),
      url,
      h("fieldset", {}, h("legend", {}, "Events"), boxes.map((box) => h("div", { class: "check" }, box, h("label", { for: box.id }, box.value)))),
      h("p", { class: "hint" }, "Events of a livestream hold its stream key: use https."),
    ],
    yes: webhook ? "Save" : "Add",
    async act() {
      const events = boxes.filter((box) => box.checked).map((box) => box.value);
      if (events.length === 0) throw new Error("Choose at least one event");
      const body = { name: name.value.trim(), url: url.value.trim(), events };
      await (webhook ? patch(`/webhooks/${webhook.id}`, body) : post("/webhooks", body));
      await done();
    },
  });
}
