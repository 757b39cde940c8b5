// What an encoder needs: the server and the key, to be copied.

import { copyable, h, secret, show } from "./dom.js";

export function encoderSettings(livestream) {
  return h(
    "div",
    { class: "stack" },
    copyable("Server", livestream.ingest_server),
    livestream.stream_key ? secret("Stream key", livestream.stream_key) : h("p", { class: "dim" }, "Stream keys are shown to admin tokens only."),
    h(
      "details",
      {},
      h("summary", {}, "How to put them into OBS"),
      h(
        "ol",
        {},
        h("li", {}, "Settings, Stream: Service “Custom…”, then Server and Stream Key."),
        h("li", {}, "Settings, Output, Advanced, Streaming: keyframe interval 2 s, B-frames 0 for the lowest latency."),
        h("li", {}, "Start Streaming. Viewers see it some two seconds later."),
      ),
    ),
    h(
      "details",
      {},
      h("summary", {}, "Or by WebRTC (WHIP)"),
      h("div", { class: "stack" }, h("p", {}, "Some hundred milliseconds sooner. The stream key is the bearer token; H.264 without B-frames, and Opus. OBS has it as the service “WHIP”."), copyable("WHIP address", `${new URL(livestream.playback_url).origin}/webRTC/publish`)),
    ),
  );
}

/** The same in a dialog, for a livestream that was just made. */
export const connectEncoder = (livestream) =>
  show({ title: "Connect your encoder", body: h("div", { class: "stack" }, h("p", {}, "The livestream is there. Put these into your encoder; they stay on this page."), encoderSettings(livestream)) });
