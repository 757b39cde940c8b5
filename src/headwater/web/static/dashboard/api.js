// The server's side: the session, the API by cookie, refusals as sentences. No token is ever kept here.

const BASE = "/dashboard/api";

/** A request that was refused, or that did not get through (status 0). */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Call the server; returns its JSON. */
export async function call(method, path, body) {
  const headers = { "X-Headwater-Dashboard": "1", Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(BASE + path, { method, headers, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, "The server cannot be reached. Is it running, and are you online?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401 && path !== "/session") dispatchEvent(new Event("signed-out"));
  throw new Refused(response.status, words(response, answer));
}

function words(response, answer) {
  const said = answer?.error?.message ?? `The server answered ${response.status}`;
  const wait = response.headers.get("retry-after");
  return response.status === 429 && wait ? `${said}. Try again in ${wait} s.` : said;
}

// -- who is signed in --------------------------------------------------------------------------------------------

export const session = { who: null, apps: [], app: null };

export const isAdmin = () => session.who?.permission === "admin";

/** Look who is signed in; false where nobody is. */
export async function resume() {
  return enter((await call("GET", "/session")).data);
}

export async function signIn(token) {
  return enter((await call("POST", "/session", { api_token: token })).data);
}

export async function signOut() {
  await call("DELETE", "/session");
  session.who = null;
}

async function enter(who) {
  session.who = who;
  if (who === null) return false;
  session.apps = (await call("GET", `${account()}/apps?per_page=1000&sort_order=ASC`)).data;
  session.app = session.apps.find((app) => app.id === session.app?.id) ?? session.apps[0] ?? null;
  return true;
}

const account = () => `/client/v4/accounts/${session.who.account_id}/realtime/kit`;

/** A path of the chosen app's API. */
export const app = (path) => `${account()}/${session.app.id}${path}`;

export const get = (path) => call("GET", app(path));
export const post = (path, body) => call("POST", app(path), body);
export const patch = (path, body) => call("PATCH", app(path), body);
export const put = (path, body) => call("PUT", app(path), body);
export const remove = (path) => call("DELETE", app(path));

/** The address of events; a browser's EventSource sends no headers of ours. */
export const eventsUrl = () => `${BASE}/events?app_id=${session.app.id}`;
