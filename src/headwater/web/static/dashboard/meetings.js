// Meetings: the list, a new one, open and closed.

import { get, isAdmin, patch, post } from "./api.js";
import { ask, button, empty, failed, fill, h, icon, plural, time, toast } from "./dom.js";
import { live } from "./live.js";

const PER_PAGE = 50;

export function meetings() {
  const list = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const create = isAdmin() ? button([icon("plus"), "New meeting"], () => createDialog(load), { class: "primary", "data-key": "new" }) : null;
  const element = h("div", { class: "stack" }, h("div", { class: "title" }, h("h1", {}, "Meetings"), create), list);
  let pages = 1;

  async function load() {
    try {
      const { data, paging } = await get(`/meetings?per_page=${PER_PAGE * pages}`);
      if (data.length === 0) return fill(list, nothing(load));
      const left = paging.total_count - data.length;
      fill(list, h("ul", { class: "rows", "aria-label": "Meetings" }, data.map((meeting) => row(meeting, load))), left > 0 ? button(`Show more (${plural(left, "meeting")} left)`, () => (pages++, load())) : null);
    } catch (error) {
      if (error.status !== 401) fill(list, failed(error, load));
    }
  }

  const onChanged = (event) => event.detail === null && load();
  live.addEventListener("changed", onChanged);
  load();
  return { title: "Meetings", element, close: () => live.removeEventListener("changed", onChanged) };
}

/** The title for people. */
export const titleOf = (meeting) => meeting.title || "Untitled meeting";

function row(meeting, load) {
  const open = meeting.status === "ACTIVE";
  const change = async () => {
    try {
      await patch(`/meetings/${meeting.id}`, { status: open ? "INACTIVE" : "ACTIVE" });
    } catch (error) {
      toast(error.message, "bad");
    }
    await load();
  };
  const name = titleOf(meeting);
  return h(
    "li",
    {},
    h("a", { href: `#/meetings/${meeting.id}`, "data-key": `to ${meeting.id}` }, name),
    h("span", { class: open ? "chip good" : "chip" }, open ? "Open" : "Closed"),
    isAdmin() ? h("div", { class: "buttons" }, button(open ? "Close" : "Open", change, { "aria-label": `${open ? "Close" : "Open"} ${name}`, "data-key": meeting.id })) : null,
    h("span", { class: "dim wide" }, "created ", time(meeting.created_at), meeting.record_on_start ? " · recorded" : ""),
  );
}

const nothing = (load) =>
  empty(
    "No meeting yet",
    h("p", {}, "A meeting is a room in which people see and hear each other. Everybody comes in by a link of their own; it can be livestreamed and recorded."),
    isAdmin() ? button("Create the first meeting", () => createDialog(load), { class: "primary" }) : h("p", {}, "Your token may only read: somebody with an admin token has to create it."),
  );

function createDialog(load) {
  const title = h("input", { id: "meeting-title", maxlength: "255", autocomplete: "off" });
  const record = h("input", { id: "meeting-record", type: "checkbox" });
  ask({
    title: "New meeting",
    body: [h("label", { for: "meeting-title" }, "Title"), title, h("div", { class: "check" }, record, h("label", { for: "meeting-record" }, "Record it from the start"))],
    yes: "Create",
    async act() {
      await post("/meetings", { title: title.value.trim() || null, record_on_start: record.checked });
      await load();
    },
  });
}
