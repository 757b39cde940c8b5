// The dashboard: who is signed in, which view is shown. A view is a function that returns {title, element, close}.

import { analytics } from "./analytics.js";
import { isAdmin, resume, session, signOut } from "./api.js";
import { button, failed, fill, h, icon, toast } from "./dom.js";
import { live } from "./live.js";
import { livestream } from "./livestream.js";
import { livestreams } from "./livestreams.js";
import { meeting } from "./meeting.js";
import { meetings } from "./meetings.js";
import { recording } from "./recording.js";
import { recordings } from "./recordings.js";
import { session as sessionView } from "./session.js";
import { signInForm } from "./sign_in.js";
import { webhook } from "./webhook.js";
import { webhooks } from "./webhooks.js";

const VIEWS = [
  { path: /^\/livestreams$/, view: livestreams, label: "Livestreams", link: "#/livestreams" },
  { path: /^\/livestreams\/([\w-]+)$/, view: livestream, under: "#/livestreams" },
  { path: /^\/sessions\/([\w-]+)$/, view: sessionView, under: "#/livestreams" },
  { path: /^\/recordings$/, view: recordings, label: "Recordings", link: "#/recordings" },
  { path: /^\/recordings\/([\w-]+)$/, view: recording, under: "#/recordings" },
  { path: /^\/analytics$/, view: analytics, label: "Analytics", link: "#/analytics" },
  { path: /^\/meetings$/, view: meetings, label: "Meetings", link: "#/meetings" },
  { path: /^\/meetings\/([\w-]+)$/, view: meeting, under: "#/meetings" },
  { path: /^\/webhooks$/, view: webhooks, label: "Webhooks", link: "#/webhooks" },
  { path: /^\/webhooks\/([\w-]+)$/, view: webhook, under: "#/webhooks" },
];

const $ = (id) => document.getElementById(id);
let shown = null;

// -- views -------------------------------------------------------------------------------------------------------

function route() {
  if (session.who === null) return;
  const path = location.hash.slice(1);
  const found = VIEWS.find((entry) => entry.path.test(path));
  if (!found) return void location.replace("#/livestreams");
  const again = shown !== null;
  shown?.close?.();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
  shown = found.view(...found.path.exec(path).slice(1));
  document.title = `${shown.title} – Headwater`;
  fill($("main"), shown.element);
  if (again) $("main").focus({ preventScroll: true });
  scrollTo(0, 0);
  for (const link of $("nav").children) {
    link.toggleAttribute("aria-current", false);
    if (link.getAttribute("href") === (found.link ?? found.under)) link.setAttribute("aria-current", "page");
  }
  $("nav").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function close() {
  shown?.close?.();
  shown = null;
  live.close();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.close());
}

// -- the frame around them ---------------------------------------------------------------------------------------

function frame() {
  fill($("nav"), VIEWS.filter((entry) => entry.label).map((entry) => h("a", { href: entry.link }, entry.label)));
  fill($("account"), connection, apps(), isAdmin() ? null : h("span", { class: "chip" }, "read only"), leaving());
  $("top").hidden = false;
}

const connection = h("span", { id: "connection", role: "status" });

function showConnection() {
  connection.className = live.connected ? "on" : "off";
  connection.textContent = live.connected ? "" : "reconnecting …";
  connection.title = live.connected ? "Updates come as they happen" : "";
}

function apps() {
  if (session.apps.length < 2) return null;
  const choose = () => {
    session.app = session.apps.find((app) => app.id === select.value);
    live.open();
    location.hash === "#/livestreams" ? route() : (location.hash = "#/livestreams");
  };
  const options = session.apps.map((app) => h("option", { value: app.id, selected: app === session.app }, app.name));
  const select = h("select", { "aria-label": "App", onchange: choose }, options);
  return select;
}

function leaving() {
  const leave = async () => {
    try {
      await signOut();
    } catch (error) {
      return toast(error.message, "bad");
    }
    welcome();
  };
  return button([icon("out"), h("span", {}, "Sign out")], leave, { class: "quiet", title: `Signed in by the token “${session.who.name}”` });
}

// -- coming and going --------------------------------------------------------------------------------------------

function welcome(reason = "") {
  close();
  session.who = null;
  $("top").hidden = true;
  document.title = "Sign in – Headwater";
  fill($("main"), signInForm(enter, reason));
  $("main").querySelector("input").focus();
}

function enter() {
  if (session.app === null) return welcome("This token has no app to show.");
  frame();
  live.open();
  route();
}

async function start() {
  try {
    if (await resume()) enter();
    else welcome();
  } catch (error) {
    fill($("main"), failed(error, start));
  }
}

addEventListener("hashchange", route);
addEventListener("signed-out", () => session.who !== null && welcome("You have been signed out: sign in again."));
live.addEventListener("connection", showConnection);
$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  $("main").focus();
});

start();
