// What the page shows at each moment: `#work` says whether there are pictures and cutouts, and which state it is in:
// empty, uploading, queued, working, done, failed, stopped, expired, offline. The server marks its status lines with the state;
// a line without one leaves it as it was. Buttons marked `data-act` do what they say.
import { say } from "./common.js";
import { addFromCamera, addFromClipboard, addFromPicker } from "./ways_in.js";

let uploading = false;
let offline = false;
let started = 0; // when a run was asked for that has not answered yet

const click = (selector) => document.querySelector(selector)?.click();
const ACTS = {
  run: () => click("#run"),
  apply: () => click("#apply_all"),
  choose: addFromPicker,
  camera: addFromCamera,
  paste: addFromClipboard,
  zip: () => click("#download"),
  reload: () => window.location.reload(),
};

const STARTING = 4000; // ms that a click may take to be answered by the server's own state

const stateNow = (pictures) => {
  const marked = document.querySelector("#status .line[data-state]")?.dataset.state;
  if (marked) remembered = marked;
  if (offline) return "offline";
  if (uploading) return "uploading";
  if (Date.now() - started < STARTING && !["queued", "working"].includes(remembered)) return "working";
  return pictures || remembered === "expired" ? remembered : "empty";
};
let remembered = "empty";
let ready = null; // what is cut out of the example that was chosen: it is shown until the run has it in full
let label = "";
let held = 0; // how many pictures there were

const refresh = () => {
  const work = document.querySelector("#work");
  if (!work) return;
  const pictures = document.querySelectorAll("#pictures .thumbnail-item").length;
  if (pictures !== held) uploading = false; // they are there
  held = pictures;
  const cutouts = document.querySelectorAll("#viewer .thumb").length;
  const items = cutouts + document.querySelectorAll("#viewer .broken").length;
  const state = stateNow(pictures || items);
  const put = (name, value) => {
    if (work.dataset[name] !== value) work.dataset[name] = value;
  };
  if (work.dataset.state !== state) {
    work.dataset.state = state;
    const first = document.querySelector("#pictures .thumbnail-item img");
    const told = { state, picture: ready ?? first?.src ?? "" };
    document.querySelector("#viewer .viewer")?.parentElement.dispatchEvent(new CustomEvent("state", { detail: told }));
  }
  put("busy", String(["queued", "working"].includes(state)));
  put("pictures", String(pictures > 0));
  put("filled", String(pictures > 0 || items > 0 || uploading));
  put("cutouts", String(cutouts > 0));
  put("several", String(items > 1));
  document.body.classList.toggle("segmatte-filled", work.dataset.filled === "true");
  // the text is Gradio's, which writes it once
  const text = [...(document.querySelector("#run")?.childNodes ?? [])].find(
    (node) => node.nodeType === Node.TEXT_NODE && node.nodeValue.trim(),
  );
  label ||= text?.nodeValue ?? "";
  const wanted = items && items >= pictures && state !== "stopped" && state !== "failed" ? say.run_again : label;
  if (text && text.nodeValue.trim() !== wanted.trim()) text.nodeValue = wanted;
};
let isDue = false;
export const refreshSoon = () => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    refresh();
  });
};
new MutationObserver(refreshSoon).observe(document.body, { childList: true, subtree: true });

/** Pictures are on their way to the server, or no longer. */
export const setUploading = (value) => {
  uploading = value;
  if (value && !document.activeElement?.closest("[data-example]")) ready = null;
  refreshSoon();
};
/** The server cannot be reached, or can be again. */
export const setOffline = (value) => {
  offline = value;
  refreshSoon();
};
document.addEventListener("click", (event) => {
  const act = event.target.closest?.("[data-act]")?.dataset.act;
  if (act) ACTS[act]?.();
  const example = event.target.closest?.("[data-example]");
  if (example) ready = example.querySelector("span img").src;
  if (example) setUploading(true);
  if (!event.target.closest?.("#run")) return;
  started = Date.now();
  setTimeout(refreshSoon, STARTING + 20);
  refreshSoon();
});
document.addEventListener("segmatte:end", () => {
  started = 0;
  if (["queued", "working"].includes(remembered) && !document.querySelector("#status progress")) remembered = "done";
  refreshSoon();
});
refresh();
