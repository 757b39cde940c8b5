// One meeting: who is inside, who may come and by which link, its livestream, its sessions.

import { get, isAdmin, patch, post, remove } from "./api.js";
import { ask, button, copyable, duration, failed, fill, h, lost, plural, sentence, show, table, time, toast } from "./dom.js";
import { live } from "./live.js";
import { WORDS } from "./livestreams.js";
import { titleOf } from "./meetings.js";

const SESSIONS = 10;
const PER_PAGE = 25;
const INSIDE = 100;
const SOON_MS = 300; // people come in groups: one load for all of them

export function meeting(id) {
  const parts = { head: h("div", {}), inside: h("section", { class: "panel" }), guests: h("section", { class: "panel" }), livestream: h("section", { class: "panel" }), sessions: h("section", { class: "panel" }) };
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const path = `/meetings/${id}`;
  const state = { asked: 0, pages: 1 };
  let timer = null;

  async function load() {
    const mine = ++state.asked;
    try {
      const [meeting, guests, room, livestream, sessions] = await Promise.all([
        get(path),
        get(`${path}/participants?per_page=${PER_PAGE * state.pages}`),
        orNull(get(`${path}/active-session`)),
        orNull(get(`${path}/active-livestream`)),
        get(`/sessions?associated_id=${id}&per_page=${SESSIONS}`),
      ]);
      const inside = room ? (await get(`/sessions/${room.data.id}/participants?per_page=${INSIDE}&sort_order=DESC`)).data.participants.filter((one) => one.left_at === null) : [];
      if (mine !== state.asked) return;
      if (!parts.head.isConnected) fill(element, parts.head, h("div", { class: "columns" }, h("div", { class: "stack" }, parts.inside, parts.guests), h("div", { class: "stack" }, parts.livestream, parts.sessions)));
      drawHead(meeting.data);
      drawInside(room?.data ?? null, inside);
      drawGuests(meeting.data, guests.data, guests.paging.total_count);
      drawLivestream(livestream?.data ?? null);
      drawSessions(sessions.data.sessions, sessions.paging.total_count);
    } catch (error) {
      if (mine !== state.asked || (parts.head.isConnected && lost(error))) return;
      if (error.status === 404) fill(element, h("section", { class: "empty" }, h("h1", {}, "No such meeting"), h("p", {}, h("a", { href: "#/meetings" }, "All meetings"))));
      else if (error.status !== 401) fill(element, failed(error, load));
    }
  }

  /** Do something by the API, say what went wrong, and load what came of it. */
  const act = (call, done) => async () => {
    try {
      await call();
      if (done) toast(done);
    } catch (error) {
      toast(sentence(error), "bad");
    }
    await load();
  };

  function drawHead(meeting) {
    document.title = `${titleOf(meeting)} – Headwater`;
    const open = meeting.status === "ACTIVE";
    fill(
      parts.head,
      h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/meetings", "data-key": "up" }, "Meetings")),
      h("div", { class: "title" }, h("h1", {}, titleOf(meeting)), h("span", { class: open ? "chip good" : "chip" }, open ? "Open" : "Closed"), h("div", { class: "buttons" }, isAdmin() ? button(open ? "Close the meeting" : "Open the meeting", act(() => patch(path, { status: open ? "INACTIVE" : "ACTIVE" })), { "data-key": "open" }) : null)),
      open ? null : h("p", { class: "notice" }, "This meeting is closed: nobody can come in, also by a link that they have."),
    );
  }

  // -- who is inside ---------------------------------------------------------------------------------------------

  function drawInside(room, people) {
    const rows = people.map((one) => {
      const named = { participant_ids: [one.user_id] };
      const buttons = isAdmin() && [
        button("Mute", act(() => post(`${path}/active-session/mute`, named), "Muted"), { "aria-label": `Mute ${one.display_name}`, "data-key": `mute ${one.id}` }),
        button("Send away", act(() => post(`${path}/active-session/kick`, named)), { class: "danger", "aria-label": `Send away ${one.display_name}`, "data-key": `kick ${one.id}` }),
      ];
      return h("li", {}, h("span", { class: "what" }, h("strong", {}, one.display_name || one.custom_participant_id), h("span", { class: "dim" }, one.preset_name, ", since ", time(one.joined_at))), h("div", { class: "buttons" }, buttons));
    });
    fill(parts.inside, h("h2", {}, room?.live_participants ? `Inside: ${room.live_participants.toLocaleString()}` : "Nobody is inside"), rows.length ? h("ul", { class: "rows", "aria-label": "Inside" }, rows) : h("p", { class: "dim" }, "Who comes in appears here."));
  }

  // -- who may come ----------------------------------------------------------------------------------------------

  function drawGuests(meeting, people, total) {
    const rows = people.map((one) => {
      const name = one.name || one.custom_participant_id;
      const buttons = isAdmin() && [
        button("New link", () => renew(one), { "aria-label": `New link for ${name}`, "data-key": `link ${one.id}` }),
        button("Remove", () => discard(one, name), { class: "danger", "aria-label": `Remove ${name}`, "data-key": `remove ${one.id}` }),
      ];
      return h("li", {}, h("span", { class: "what" }, h("strong", {}, name), h("span", { class: "dim" }, one.preset_name, ", added ", time(one.created_at))), h("div", { class: "buttons" }, buttons));
    });
    fill(
      parts.guests,
      h("div", { class: "title" }, h("h2", {}, "Participants"), isAdmin() ? button("New join link", () => invite(), { class: "primary", "data-key": "invite" }) : null),
      rows.length ? h("ul", { class: "rows", "aria-label": "Participants" }, rows) : h("p", { class: "dim" }, "Nobody may come in yet. Everybody gets a link of their own, which says who they are and what they may do."),
      total > people.length ? button(`Show more (${(total - people.length).toLocaleString()} left)`, () => (state.pages++, load()), { "data-key": "more" }) : null,
    );
  }

  async function invite() {
    let roles;
    try {
      roles = (await get("/presets?per_page=100")).data.map((preset) => preset.name);
    } catch (error) {
      return toast(sentence(error), "bad");
    }
    const name = h("input", { id: "guest-name", required: true, maxlength: "255", autocomplete: "off" });
    const role = h("select", { id: "guest-role" }, roles.map((one) => h("option", { value: one, selected: one === "participant" }, one)));
    ask({
      title: "New join link",
      body: [h("label", { for: "guest-name" }, "Name"), name, h("label", { for: "guest-role" }, "Role"), role, h("p", { class: "hint" }, "The others see the name. A host may mute others, send them away, and livestream.")],
      yes: "Make the link",
      async act() {
        const made = (await post(`${path}/participants`, { custom_participant_id: randomId(), preset_name: role.value, name: name.value.trim() })).data;
        await load();
        setTimeout(() => link(made.name, made.token)); // the dialog before is closed by then
      },
    });
  }

  async function renew(one) {
    try {
      link(one.name || one.custom_participant_id, (await post(`${path}/participants/${one.id}/token`)).data.token);
    } catch (error) {
      toast(sentence(error), "bad");
    }
  }

  const link = (name, token) =>
    show({
      title: `Join link for ${name}`,
      body: h("div", { class: "stack" }, copyable("Link", `${location.origin}/meet/${id}?token=${encodeURIComponent(token)}`, { long: true }), h("p", {}, "Whoever has it comes in under this name: send it to nobody else. It is shown only now; a new one can be made at any time.")),
    });

  const discard = (one, name) =>
    ask({
      title: `Remove ${name}?`,
      body: h("p", {}, "All of their links end at once, and they are sent away if they are inside."),
      yes: "Remove",
      danger: true,
      async act() {
        await remove(`${path}/participants/${one.id}`);
        await load();
      },
    });

  // -- livestream and sessions -----------------------------------------------------------------------------------

  function drawLivestream(livestream) {
    const change = !isAdmin()
      ? null
      : livestream
        ? button("Stop the livestream", act(() => post(`${path}/active-livestream/stop`)), { "data-key": "livestream" })
        : button("Start a livestream", act(() => post(`${path}/livestreams`, {})), { "data-key": "livestream" });
    fill(
      parts.livestream,
      h("div", { class: "title" }, h("h2", {}, "Livestream"), livestream ? h("span", { class: `chip ${livestream.status.toLowerCase()}` }, WORDS[livestream.status]) : null),
      livestream ? h("p", {}, h("a", { href: `#/livestreams/${livestream.id}`, "data-key": "to livestream" }, "Its page"), ": the player, its viewers, its recordings.") : h("p", { class: "dim" }, "The meeting is not livestreamed."),
      change,
    );
  }

  function drawSessions(rows, total) {
    const cells = rows.map((one) => [time(one.started_at), one.ended_at ? duration((Date.parse(one.ended_at) - Date.parse(one.started_at)) / 1000) : h("span", { class: "chip live" }, "Open"), one.max_concurrent_participants.toLocaleString()]);
    fill(parts.sessions, h("h2", {}, "Sessions"), cells.length ? table("Sessions", ["Began", "Length", "At most inside"], cells) : h("p", { class: "dim" }, "From the first who comes to the last who goes: a session, listed here."), total > rows.length ? h("p", { class: "hint" }, `The latest of ${plural(total, "session")}.`) : null);
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(load, SOON_MS);
  }

  const onMet = (event) => event.detail.includes(id) && soon();
  live.addEventListener("met", onMet);
  live.addEventListener("changed", soon);
  load();
  return {
    title: "Meeting",
    element,
    close() {
      state.asked++;
      clearTimeout(timer);
      live.removeEventListener("met", onMet);
      live.removeEventListener("changed", soon);
    },
  };
}

/** What an answer says; null where the server says that there is nothing. */
async function orNull(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** 128 random bits; `crypto.randomUUID` is there on https and localhost only. */
const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
