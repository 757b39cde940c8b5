// What went wrong, as a person understands it: a headline, and what can be done.

const NEW_LINK = "Ask whoever invited you for a new link.";

const REFUSED = {
  ERR_TOKEN_MISSING: ["This link is not complete", `A link to a meeting ends with ?token=… ${NEW_LINK}`],
  ERR_TOKEN_INVALID: ["This link is not valid", NEW_LINK],
  ERR_TOKEN_EXPIRED: ["This link has expired", NEW_LINK],
  ERR_PARTICIPANT_REMOVED: ["You are not invited any more", "Somebody has removed you from this meeting."],
  ERR_OTHER_MEETING: ["This link belongs to another meeting", NEW_LINK],
  ERR_MEETING_INACTIVE: ["This meeting is closed", "Nobody can come in until it is opened again."],
};

/** Why somebody cannot come in: [headline, detail]. */
export function refused(error) {
  if (REFUSED[error.code]) return REFUSED[error.code];
  if (error.code === "ERR_LIMIT_REACHED") {
    if (/pages/.test(error.message)) return ["You have this meeting open too often", "Close it in other windows, then try again."];
    return ["The meeting is full", "Try again when somebody has left."];
  }
  return ["You cannot come in", sentence(error.message)];
}

const OVER = {
  LEFT: ["You have left the meeting", ""],
  KICKED: ["You were removed from the meeting", "A host has sent you away, or has ended the meeting."],
  PARTICIPANT_DELETED: REFUSED.ERR_PARTICIPANT_REMOVED,
  MEETING_ENDED: ["The meeting has ended", ""],
  "rooms.max_participants": ["The meeting is full", "Try again when somebody has left."],
  "rooms.max_event_streams": ["You have this meeting open too often", "Close it in other windows, then try again."],
};

/** Why a stay has ended: [headline, detail]. */
export const over = (reason) => OVER[reason] ?? ["The meeting has ended for you", `The server says: ${reason}.`];

/** Ends of a stay after which the page comes back by itself. */
export const PASSING = new Set(["LOST", "SHUTDOWN"]);

/** Why a device cannot be used; `thing` is `camera`, `microphone` or `screen`. */
export function device(error, thing) {
  switch (error.name) {
    case "NotAllowedError":
      if (thing === "screen") return "The screen is not shared: the browser was not allowed to.";
      return `The browser may not use the ${thing}. Allow it beside the address bar, then try again.`;
    case "NotFoundError":
      return `No ${thing} was found.`;
    case "NotReadableError":
    case "AbortError":
      return `The ${thing} cannot be started. Perhaps another program uses it.`;
    case "OverconstrainedError":
      return `The chosen ${thing} is not there any more.`;
    case "InsecureContextError":
      return `Browsers let pages use the ${thing} over https only.`;
    default:
      return `The ${thing} cannot be used: ${sentence(error.message || error.name)}`;
  }
}

/** Why something that was asked for was not done. */
export function failed(error) {
  if (error.code === "ERR_MUTED") return "The host has muted everybody. You may not speak for now.";
  return sentence(error.message || String(error));
}

export function sentence(text) {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}
