// The meeting page: lobby, meeting, and the words at the end. `window.headwaterMeeting` is for tests and the curious.

import { h, toast } from "../dashboard/dom.js";
import { Meeting, invitation } from "./api.js";
import { Call } from "./call.js";
import { lobby } from "./lobby.js";
import { room } from "./room.js";
import { over, refused } from "./words.js";

const SAID_MS = 4000;
const { id, token } = invitation();
const meeting = new Meeting(id, token);
let view = null;
let call = null;

function put(next) {
  view?.leave?.();
  view = next;
  document.getElementById("view").replaceChildren(next.element);
  next.focus?.();
}

/** Tell those who do not see the page; several at once are read one after the other. */
const sentences = [];
let saying;
function say(text) {
  sentences.push(text);
  const said = document.getElementById("said");
  said.textContent = sentences.join(". ");
  clearTimeout(saying);
  saying = setTimeout(() => {
    sentences.length = 0;
    said.textContent = "";
  }, SAID_MS);
}

const notice = (text) => {
  toast(text, "bad");
  say(text);
};

function words([headline, detail], again) {
  document.title = headline;
  const button = again && h("button", { type: "button", class: "primary", id: "again", onclick: again.act }, again.label);
  const heading = h("h1", { tabindex: "-1" }, headline);
  put({ element: h("main", { class: "words" }, heading, detail && h("p", {}, detail), button), focus: () => (button || heading).focus() });
}

const FINAL = new Set(["ERR_TOKEN_MISSING", "ERR_TOKEN_INVALID", "ERR_TOKEN_EXPIRED", "ERR_PARTICIPANT_REMOVED", "ERR_OTHER_MEETING"]);

async function enter() {
  put({ element: h("main", { class: "words" }, h("p", { class: "dim" }, "Loading …")) });
  let me;
  try {
    me = await meeting.json("GET", "me");
  } catch (error) {
    const tryAgain = { label: "Try again", act: enter };
    if (error.status === undefined) return words(["The server cannot be reached", "Are you connected to a network?"], tryAgain);
    return words(refused(error), FINAL.has(error.code) ? null : tryAgain);
  }
  document.title = me.title || "Meeting";
  put(lobby(me, join));
}

function join(tracks) {
  call = new Call(meeting);
  window.headwaterMeeting = call;
  call.addEventListener("notice", ({ detail }) => notice(detail));
  call.addEventListener("over", ({ detail }) => {
    call = null;
    if (detail.error) return words(refused(detail.error), FINAL.has(detail.error.code) ? null : { label: "Try again", act: enter });
    return words(over(detail.reason), { label: "Join again", act: enter });
  });
  put(room(call, say, (text, kind) => (kind === "bad" ? notice(text) : toast(text))));
  call.join(tracks);
}

addEventListener("pagehide", () => call?.leave());
enter();
