// All keys, on `?` and behind the button of that name. They work as tools.js and viewer.js say.
import { make, say } from "./common.js";

const KEYS = [
  ["← →", say.keys_go],
  ["K", say.tool_keep],
  ["R", say.tool_remove],
  ["H", say.tool_solve],
  ["E", say.tool_erase],
  ["C", say.tool_click],
  ["N", say.tool_next],
  ["[ ]", say.tool_size],
  ["+ −", say.keys_zoom],
  ["Space", say.keys_pan],
  ["B", say.tool_before_info],
  ["A", say.tool_after_info],
  ["Ctrl+Z", say.tool_undo],
  ["Ctrl+Shift+Z", say.tool_redo],
  ["Esc", say.tool_done],
  ["?", say.keys],
];

export const keyMap = () => {
  const list = make("dl", {});
  for (const [key, what] of KEYS) {
    list.append(make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)));
  }
  const close = make("button", { type: "button", class: "close" }, say.close);
  const heading = make("h2", { id: "keys_title" }, say.keys);
  const dialog = make("dialog", { id: "keys", "aria-labelledby": "keys_title" }, heading, list, close);
  const opener = make("button", { type: "button", id: "keys_open", title: `${say.keys} (?)` }, "?");
  opener.setAttribute("aria-label", say.keys);
  opener.addEventListener("click", () => dialog.showModal());
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
  document.addEventListener("keydown", (event) => {
    if (event.key !== "?" || event.ctrlKey || event.metaKey || event.altKey || dialog.open) return;
    if (event.target.closest?.("input:not([type=range], [type=checkbox], [type=radio]), textarea, [contenteditable]"))
      return;
    event.preventDefault();
    dialog.showModal();
  });
  document.querySelector("#head").append(opener, dialog);
};
