// What goes on in the room, as the server tells it: server-sent events by fetch, because EventSource sends no bearer.

import { Refusal } from "./api.js";

const SILENCE_MS = 12_000; // the server says something every 5 s
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;

export class Feed {
  #abort = null;
  #stopped = true;
  #failures = 0;
  #hurry = null;
  #online = () => this.#hurry?.();

  /**
   * @param {import("./api.js").Meeting} meeting
   * @param {object} listener state(state), bye(reason), lost(), refused(error): the last three end a connection;
   *   only after lost() another one is made
   */
  constructor(meeting, listener) {
    this.meeting = meeting;
    this.listener = listener;
  }

  async start() {
    this.#stopped = false;
    addEventListener("online", this.#online);
    while (!this.#stopped) {
      await this.#listen();
      if (this.#stopped) break;
      this.listener.lost();
      const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures++) * (0.75 + Math.random() / 2);
      await new Promise((resolve) => {
        this.#hurry = resolve;
        setTimeout(resolve, wait);
      });
    }
  }

  stop() {
    this.#stopped = true;
    removeEventListener("online", this.#online);
    this.#abort?.abort();
    this.#hurry?.();
  }

  async #listen() {
    const abort = (this.#abort = new AbortController());
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await this.meeting.call("GET", "events", { signal: abort.signal });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) return;
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        text += value;
        for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) this.#take(text.slice(0, end));
      }
    } catch (error) {
      if (error instanceof Refusal && !error.passing && !this.#stopped) {
        this.stop();
        this.listener.refused(error);
      }
    } finally {
      clearTimeout(watchdog);
    }
  }

  #take(message) {
    const found = /^event: (\w+)\ndata: (.*)$/.exec(message);
    if (!found || this.#stopped) return;
    const data = JSON.parse(found[2]);
    if (found[1] === "state") {
      this.#failures = 0;
      this.listener.state(data);
    } else if (found[1] === "bye") this.listener.bye(data.reason, this);
  }
}
