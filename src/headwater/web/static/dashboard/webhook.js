// One webhook: what it was told and what became of it, attempt by attempt, and telling it again.

import { get, isAdmin, patch, post, remove } from "./api.js";
import { ask, button, copyable, failed, fill, h, lost, plural, sentence, show, table, time, toast } from "./dom.js";
import { live } from "./live.js";
import { editDialog, enabled } from "./webhooks.js";

const PER_PAGE = 25;
const SOON_MS = 300; // events come in bursts: one load for all of them
const STATES = { waiting: ["Waiting", "wait"], delivered: ["Delivered", "good"], failed: ["Failed", "errored"] };

export function webhook(id) {
  const element = h("div", { class: "stack" }, h("p", { class: "dim" }, "Loading …"));
  const head = h("div", { class: "stack" });
  const rows = h("div", { class: "stack" });
  const choose = h("select", { "aria-label": "Which deliveries", onchange: () => ((pages = 1), load()) }, h("option", { value: "" }, "All"), Object.entries(STATES).map(([value, [word]]) => h("option", { value }, word)));
  const log = h("section", { class: "panel" }, h("div", { class: "title" }, h("h2", {}, "Delivery log"), h("div", { class: "range" }, choose)), rows);
  let pages = 1;
  let asked = 0;
  let timer = null;

  async function load() {
    const mine = ++asked;
    try {
      const [hook, deliveries] = await Promise.all([get(`/webhooks/${id}`), get(`/webhooks/${id}/deliveries?per_page=${PER_PAGE * pages}${choose.value && `&state=${choose.value}`}`)]);
      if (mine !== asked) return;
      if (!head.isConnected) fill(element, head, log);
      drawHead(hook.data);
      drawLog(hook.data, deliveries.data, deliveries.paging.total_count);
    } catch (error) {
      if (mine !== asked || (head.isConnected && lost(error))) return;
      if (error.status === 404) fill(element, h("section", { class: "empty" }, h("h1", {}, "No such webhook"), h("p", {}, h("a", { href: "#/webhooks" }, "All webhooks"))));
      else if (error.status !== 401) fill(element, failed(error, load));
    }
  }

  function drawHead(hook) {
    document.title = `${hook.name} – Headwater`;
    const actions = isAdmin() && [
      button("Edit", () => editDialog(hook, load), { "data-key": "edit" }),
      button(hook.enabled ? "Disable" : "Enable", () => turn(hook), { "data-key": "turn" }),
      button("Delete", () => discard(hook), { class: "danger", "data-key": "delete" }),
    ];
    fill(
      head,
      h("div", {}, h("nav", { class: "crumbs", "aria-label": "Where you are" }, h("a", { href: "#/webhooks", "data-key": "up" }, "Webhooks")), h("div", { class: "title" }, h("h1", {}, hook.name), enabled(hook), h("div", { class: "buttons" }, actions))),
      hook.enabled ? null : h("p", { class: "notice" }, "This webhook is disabled: what happens now is not stored for it. What waits is sent when it is enabled again."),
      h(
        "section",
        { class: "panel stack" },
        h("dl", { class: "facts" }, fact("URL", h("code", {}, hook.url)), fact("Events", hook.events.map((event, i) => [i ? ", " : "", breakable(event)])), fact("Created", time(hook.created_at))),
        h("details", {}, h("summary", {}, "How a receiver verifies what it gets"), h("div", { class: "stack" }, h("p", {}, "The header ", h("code", {}, "rtk-signature"), " is base64 of RSA-SHA256 over the raw body; ", h("code", {}, "rtk-uuid"), " is the same at every attempt. The public key is here:"), copyable("Public key", `${location.origin}/.well-known/webhooks.json`))),
      ),
    );
  }

  const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

  function drawLog(hook, found, total) {
    const left = total - found.length;
    const nothing = choose.value ? "No delivery is in this state." : "Nothing yet. Every event that this webhook is told appears here, with what your receiver answered.";
    fill(
      rows,
      found.length ? table("Delivery log", ["When", "Event", "State", "Answer", "Actions"], found.map((entry) => delivery(hook, entry))) : h("p", { class: "dim" }, nothing),
      left > 0 ? button(`Show more (${left.toLocaleString()} left)`, () => (pages++, load()), { "data-key": "more" }) : null,
    );
  }

  function delivery(hook, entry) {
    const [word, kind] = STATES[entry.state];
    const next = entry.next_attempt_at && Date.parse(entry.next_attempt_at) > Date.now() ? `, next ${new Date(entry.next_attempt_at).toLocaleTimeString()}` : "";
    return [
      time(entry.created_at, { exact: true }),
      what(entry),
      h("span", {}, h("span", { class: `chip ${kind}` }, word), h("span", { class: "dim" }, ` ${plural(entry.attempts, "attempt")}${next}`)),
      entry.error ? h("span", { class: "bad" }, entry.error) : entry.status_code,
      h(
        "div",
        { class: "buttons" },
        button("Details", () => look(entry), { "aria-label": `Details: ${entry.event} of ${entry.created_at}`, "data-key": `look ${entry.id}` }),
        isAdmin() && hook.enabled ? button(entry.state === "waiting" ? "Send now" : "Send again", () => again(entry), { "aria-label": `${entry.state === "waiting" ? "Send now" : "Send again"}: ${entry.event} of ${entry.created_at}`, "data-key": `again ${entry.id}` }) : null,
      ),
    ];
  }

  async function look(entry) {
    try {
      const { attempts, delivery: now } = (await get(`/webhooks/${id}/deliveries/${entry.id}`)).data;
      const tried = attempts.map((one) => [time(one.at, { exact: true }), `${one.duration_ms.toLocaleString()} ms`, one.status_code, one.error || one.answer || "empty"]);
      show({
        title: now.event,
        wide: true,
        body: [
          h("p", { class: "dim" }, "Delivery ", h("code", {}, now.id), ", ", time(now.created_at, { exact: true })),
          h("h3", {}, "Attempts"),
          tried.length ? table("Attempts", ["When", "Took", "Status", "Answer"], tried) : h("p", {}, "Not tried yet."),
          h("h3", { id: "payload" }, "Payload"),
          h("pre", { tabindex: "0", role: "region", "aria-labelledby": "payload" }, JSON.stringify(withoutKeys(now.payload), null, 2)),
        ],
      });
    } catch (error) {
      toast(sentence(error), "bad");
    }
  }

  async function again(entry) {
    try {
      await post(`/webhooks/${id}/deliveries/${entry.id}/redeliver`);
      toast("It is sent again");
    } catch (error) {
      toast(sentence(error), "bad");
    }
    await load();
  }

  async function turn(hook) {
    try {
      await patch(`/webhooks/${id}`, { enabled: !hook.enabled });
    } catch (error) {
      toast(sentence(error), "bad");
    }
    await load();
  }

  const discard = (hook) =>
    ask({
      title: "Delete this webhook?",
      body: h("p", {}, `${hook.name} is told nothing any more; what waits for it and its log are gone.`),
      yes: "Delete",
      danger: true,
      async act() {
        await remove(`/webhooks/${id}`);
        location.hash = "#/webhooks";
      },
    });

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(load, SOON_MS);
  }

  const onAttempted = (event) => event.detail.includes(id) && soon();
  live.addEventListener("attempted", onAttempted);
  live.addEventListener("changed", soon); // what happens may be an event for it
  load();
  return {
    title: "Webhook",
    element,
    close() {
      asked++;
      clearTimeout(timer);
      live.removeEventListener("attempted", onAttempted);
      live.removeEventListener("changed", soon);
    },
  };
}

/** A name that phones may break after its dot. */
const breakable = (event) => event.split(".").flatMap((part, i) => (i ? [".", h("wbr"), part] : [part]));

/** The event, and which status it tells. */
const what = (entry) => h("span", {}, breakable(entry.event), entry.payload.status ?? entry.payload.recording?.status ? h("span", { class: "dim" }, ` ${entry.payload.status ?? entry.payload.recording.status}`) : null);

/** Stream keys are shown on their livestream's page, when asked for; not in passing. */
const withoutKeys = (payload) => JSON.parse(JSON.stringify(payload, (name, value) => (name === "streamKey" && value ? "••••••••••••" : value)));
