// Signing in: the token goes to the server once, and comes back as a cookie that scripts cannot read.

import { signIn } from "./api.js";
import { h, sentence } from "./dom.js";

export function signInForm(enter, reason) {
  const problem = h("p", { class: "problem", role: "alert", hidden: !reason }, reason);
  const input = h("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false", required: true, maxlength: "256" });
  const go = h("button", { type: "submit", class: "primary" }, "Sign in");

  async function submit(event) {
    event.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      await signIn(input.value.trim());
      enter();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.status === 401 ? "This token is not valid. It may have been revoked, or a character got lost." : sentence(error);
      input.select();
    }
    go.disabled = false;
  }

  return h(
    "form",
    { class: "sign-in", onsubmit: submit },
    h("h1", {}, h("img", { src: "/assets/icon.svg", alt: "", width: "36", height: "36" }), "Headwater"),
    h("label", { for: "token" }, "API token"),
    input,
    problem,
    go,
    h(
      "p",
      { class: "hint" },
      "The first token is in ",
      h("code", {}, "credentials.json"),
      " in the server's data folder, as ",
      h("code", {}, "api_token"),
      ". With a read token one sees everything but stream keys, and changes nothing.",
    ),
  );
}
