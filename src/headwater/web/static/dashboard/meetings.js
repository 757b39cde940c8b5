// Meetings: the list, a new one, open and closed.

import { get, isAdmin, patch, post } from "./api.js";
import { ask, button, empty, failed, fill, h, icon, plural, time, toast } from "./dom.js";

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
      fill(list, h("ul", { class: "rows plain", "aria-label": "Meetings" }, data.map((meeting) => row(meeting, load))), left > 0 ? button(`Show more (${plural(left, "meeting")} left)`, () => (pages++, load())) : null);
    } catch (error) {
      if (error.status !== 401) fill(list, failed(error, load));
    }
  }

  load();
  return { title: "Meetings", element };
}

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
  const name = meeting.title || "Untitled meeting";
  return h(
    "li",
    {},
    h("div", { class: "what" }, h("strong", {}, name), h("span", { class: "dim" }, "created ", time(meeting.created_at), meeting.record_on_start ? " · recorded" : "")),
    h("span", { class: open ? "chip good" : "chip" }, open ? "Open" : "Closed"),
    isAdmin() ? button(open ? "Close" : "Open", change, { "aria-label": `${open ? "Close" : "Open"} ${name}`, "data-key": meeting.id }) : null,
  );
}

const nothing = (load) =>
  empty(
    "No meeting yet",
    h("p", {}, "A meeting is a room with a title. It can be livestreamed: starting that by the API gives an ingest server and a stream key, like any livestream's."),
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
