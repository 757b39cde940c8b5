// The server's side of a meeting over HTTP, with the participant's token as bearer. No page here.

/** The server does not want that, and says why. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether asking again may help: the server is busy or restarting. */
  get passing() {
    return this.status >= 500 && this.code !== "ERR_LIMIT_REACHED";
  }
}

/** The server was not reached. */
export class Unreachable extends Error {}

/**
 * The meeting's id and the token, from the address or from before a reload.
 *
 * The token leaves the address, so that it is in no history, no screenshot and no shared link; this tab keeps it.
 */
export function invitation(location = window.location) {
  const id = location.pathname.split("/")[2];
  const key = `meet ${id}`;
  const given = new URLSearchParams(location.search).get("token");
  try {
    if (given !== null) {
      sessionStorage.setItem(key, given);
      history.replaceState(null, "", location.pathname);
    }
    return { id, token: given ?? sessionStorage.getItem(key) };
  } catch {
    return { id, token: given }; // a browser that stores nothing: the address keeps the token, for a reload
  }
}

export class Meeting {
  /** STUN and TURN servers, known after the first answer (RFC 9725, 4.6). */
  iceServers = [];

  constructor(id, token) {
    this.base = `/meet/${encodeURIComponent(id)}`;
    this.token = token;
  }

  /**
   * One request. A path that begins with a slash is taken as it is.
   *
   * @throws {Refusal} the answer is no success
   * @throws {Unreachable} there is no answer
   */
  async call(method, path, { body, headers = {}, ...options } = {}) {
    const url = path.startsWith("/") ? path : `${this.base}/${path}`;
    const authorization = this.token === null ? {} : { Authorization: `Bearer ${this.token}` };
    let response;
    try {
      response = await fetch(url, { method, body, headers: { ...authorization, ...headers }, cache: "no-store", ...options });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Unreachable("the server cannot be reached");
    }
    if (!response.ok) throw await refusal(response);
    return response;
  }

  /** A request with JSON; returns the answer's `data`. */
  async json(method, path, content, options = {}) {
    const body = content === undefined ? undefined : JSON.stringify(content);
    const headers = body === undefined ? {} : { "Content-Type": "application/json" };
    return (await (await this.call(method, path, { body, headers, ...options })).json()).data;
  }

  /** Post an offer; returns the answer and where it lives. */
  async offer(path, sdp) {
    const response = await this.call("POST", path, { body: sdp, headers: { "Content-Type": "application/sdp" } });
    this.iceServers = readLinks(response.headers.get("Link") ?? "");
    return { sdp: await response.text(), location: response.headers.get("Location") };
  }
}

async function refusal(response) {
  try {
    const { error } = await response.json();
    return new Refusal(response.status, error.code, error.message);
  } catch {
    return new Refusal(response.status, "", `the server answered ${response.status}`);
  }
}

/** `Link` headers of ICE servers (RFC 9725, 4.6) as WebRTC wants them. */
export function readLinks(header) {
  const found = [];
  for (const [, url, rest] of header.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^",;\s]+))*)/g)) {
    const values = {};
    for (const [, name, quoted, plain] of rest.matchAll(/([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",;\s]+))/g)) values[name] = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    if (values.rel !== "ice-server") continue;
    found.push(values.username === undefined ? { urls: url } : { urls: url, username: values.username, credential: values.credential });
  }
  return found;
}
