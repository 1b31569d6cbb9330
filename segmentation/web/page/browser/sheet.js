// On phones the settings are a sheet at the bottom, below the picture, which stays in sight.
import { make, say } from "./common.js";
import { icon } from "./icons.js";

export const sheet = () => {
  const settings = document.querySelector("#settings");
  const attributes = { type: "button", id: "sheet_toggle", "aria-expanded": "false", "aria-controls": "settings" };
  const toggle = make("button", attributes, icon("settings"), make("span", {}, say.settings));
  const open = (wanted) => {
    toggle.setAttribute("aria-expanded", String(wanted));
    document.querySelector("#work").dataset.sheet = String(wanted);
    if (wanted) document.querySelector("#viewer .stage")?.scrollIntoView({ block: "start" });
  };
  toggle.addEventListener("click", () => open(toggle.getAttribute("aria-expanded") !== "true"));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || event.defaultPrevented || !settings.contains(event.target)) return;
    if (!toggle.offsetParent && getComputedStyle(toggle).display === "none") return;
    open(false);
    toggle.focus();
  });
  settings.before(toggle);
};
