// What the viewer consists of. File names are untrusted: they are only ever set as text.
import { copyButton, make, say, url } from "./common.js";
import { doubted } from "./doubt.js";
import { moreMenu } from "./more.js";

export const STAGES = ["probability", "mask", "trimap", "alpha"];

export const button = (content, pressed, attributes = {}) =>
  make("button", { type: "button", ...(pressed && { "aria-pressed": "false" }), ...attributes }, content);

export const waits = make("img", { alt: "" });
export const waiting = make("p", {}, say.empty);
export const nothing = make("div", { class: "nothing" }, waits, waiting);
export const own = make("img", { class: "own", draggable: "false" });
export const whole = make("img", { class: "whole", draggable: "false", alt: "" });
export const clip = make("div", { class: "clip" }, whole);
export const handle = make("input", {
  type: "range",
  min: 0,
  max: 100,
  step: 0.5,
  value: 50,
  class: "handle",
  "aria-label": say.handle,
});
export const sheet = make("div", { class: "sheet" }, own, clip, make("div", { class: "rule" }), handle);
export const stage = make("div", { class: "stage", tabindex: 0, role: "region", "aria-label": say.label }, sheet);
export const badge = make("span", { class: "badge" }, say.preview);
export const reason = make("p", { class: "reason" });
export const retry = button(say.retry, false, { class: "retry" });
export const failure = make("div", { class: "failure" }, reason, retry);
export const doubt = doubted();
export const warnings = make("span");
export const notes = make("p", { class: "notes" }, warnings, doubt.button);
export const unsure = button("", false, { class: "act" });
export const apply = button(say.mixed, false, { class: "act", "data-act": "apply" });
export const acts = make("p", { class: "acts" }, unsure, apply);
export const views = Object.fromEntries(
  ["compare", "cutout", ...STAGES].map((name) => [name, button(say[name], true, { "data-view": name })]),
);
export const zooms = { fit: button(say.fit, true), actual: button(say.actual, true, { "data-zoom": "actual" }) };
export const previous = button("‹", false, { "aria-label": say.previous, class: "step" });
export const next = button("›", false, { "aria-label": say.next, class: "step" });
export const title = make("span", { class: "name", "aria-live": "polite" });
export const save = make("a", { class: "save", download: "" }, say.download);
export const saveAlpha = make("a", { class: "save-alpha", download: "" }, say.download_alpha);
/** Path of the file that the button copies. */
export const copied = { file: "" };
const toPng = async (blob) => {
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
};
export const copy = copyButton(
  () => {
    const png = fetch(url(copied.file))
      .then((answer) => answer.blob())
      .then(toPng);
    return navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
  },
  { class: "copy" },
);
export const zip = button(say.zip, false, { class: "zip", "data-act": "zip" });
export const more = moreMenu(saveAlpha, copy, zip);
export const frame = make("div", { class: "frame" }, stage, failure, badge);
export const film = make("div", { class: "film", role: "group", "aria-label": say.all });
export const rest = make("span", { class: "rest-of-run", hidden: "" });
const add = button("+", false, {
  class: "add",
  "data-act": "choose",
  "aria-label": say.hero_choose,
  title: say.hero_choose,
});
export const shown = make(
  "div",
  { class: "viewer" },
  make(
    "div",
    { class: "bar" },
    make("div", { class: "views", role: "group" }, ...Object.values(views)),
    make("div", { class: "zooms", role: "group" }, ...Object.values(zooms)),
  ),
  frame,
  make(
    "div",
    { class: "bar" },
    make("div", { class: "steps" }, previous, title, next),
    make("div", { class: "actions" }, save, more.toggle, more.menu),
  ),
  notes,
  acts,
  make("div", { class: "strip" }, film, rest, add),
);
// a picture replaces the last one only once loaded, so that nothing flickers during live tuning
export const show = (image, source) => {
  if (image.dataset.source === source) return;
  image.dataset.source = source;
  const loading = new Image();
  loading.onload = loading.onerror = () => {
    if (image.dataset.source === source) image.src = source;
  };
  loading.src = source;
};
