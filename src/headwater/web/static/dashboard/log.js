// Entries of a livestream's event log as a table.

import { h, table, time } from "./dom.js";

const row = (entry) => [time(entry.at, { exact: true }), entry.kind.replaceAll("_", " "), h("span", { class: entry.code ? "bad" : "" }, entry.message, entry.code ? h("code", {}, ` ${entry.code}`) : null)];

export const logTable = (entries) => table("Event log", ["When", "What", "In words"], entries.map(row));
