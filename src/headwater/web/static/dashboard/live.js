// What is live, as the server tells it: one connection for all views, none while the page is hidden.

import { call, eventsUrl } from "./api.js";

const HIDDEN_MS = 30_000; // a page that is not looked at lets go of its connection
const AGAIN_MS = 5000;

class Live extends EventTarget {
  sessions = new Map(); // livestream id -> what is live of it
  connected = false;
  #source = null;
  #timer = null;

  constructor() {
    super();
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#timer);
      if (!this.wanted) return;
      if (!document.hidden) this.#connect();
      else this.#timer = setTimeout(() => this.#disconnect(), HIDDEN_MS);
    });
  }

  wanted = false;

  /** Listen to the chosen app. */
  open() {
    this.close();
    this.wanted = true;
    this.#connect();
  }

  close() {
    this.wanted = false;
    this.sessions.clear();
    this.#disconnect();
  }

  #disconnect() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
    this.#say(false);
  }

  #say(connected) {
    this.connected = connected;
    this.dispatchEvent(new Event("connection"));
  }

  #connect() {
    if (this.#source && this.#source.readyState !== EventSource.CLOSED) return;
    const source = (this.#source = new EventSource(eventsUrl()));
    source.addEventListener("open", () => {
      this.#say(true);
      this.#changed(null); // whatever happened meanwhile
    });
    source.addEventListener("error", () => {
      this.#say(false);
      if (source.readyState === EventSource.CLOSED) this.#again();
    });
    source.addEventListener("live", (event) => this.#take(JSON.parse(event.data).live));
    source.addEventListener("changed", (event) => this.#changed(JSON.parse(event.data).livestreams));
    for (const [name, field] of [["attempted", "webhooks"], ["met", "meetings"]]) source.addEventListener(name, (event) => this.dispatchEvent(new CustomEvent(name, { detail: JSON.parse(event.data)[field] })));
  }

  /** The browser has given up: the server refused. Perhaps nobody is signed in any more. */
  async #again() {
    try {
      if ((await call("GET", "/session")).data === null) return void dispatchEvent(new Event("signed-out"));
    } catch {
      // the server is away: go on trying
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wanted && !document.hidden && this.#connect(), AGAIN_MS);
  }

  #take(live) {
    this.sessions = new Map(live.map((session) => [session.livestream_id, session]));
    this.dispatchEvent(new Event("live"));
  }

  #changed(livestreams) {
    this.dispatchEvent(new CustomEvent("changed", { detail: livestreams }));
  }
}

export const live = new Live();

/** Whether there is something new of a livestream in a `changed` event. */
export const concerns = (event, id) => event.detail === null || event.detail.includes(id);
