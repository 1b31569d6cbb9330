// The viewer: one cutout large, before and after or stage by stage, at any zoom, and all of them as thumbnails.
// Gradio runs this once with `element`, `props`, `trigger` and `watch`. It owns all that is in `element`; what is to be
// shown comes as `props.value` (web/viewer.py says how). File names come from strangers: they are only ever set as text.

const STAGES = ["probability", "mask", "trimap", "alpha"];

let run = ""; // which run is shown
let since = 0; // and since when: what comes late of an earlier one is stale
let items = [];
let tuned = 0; // what has been tuned up to, in full size
let draft = null;
let at = 0;
let chosen = null; // key of what is looked at: what came first, or what the visitor went to
let view = "compare";
let actual = false; // one pixel of the picture is one of the screen

const button = (content, pressed, attributes = {}) =>
  make("button", { type: "button", ...(pressed && { "aria-pressed": "false" }), ...attributes }, content);

const nothing = make("p", { class: "nothing" }, say.empty);
const own = make("img", { class: "own", draggable: "false" });
const whole = make("img", { class: "whole", draggable: "false", alt: "" });
const clip = make("div", { class: "clip" }, whole);
const handle = make("input", {
  type: "range", min: 0, max: 100, step: 0.5, value: 50, class: "handle", "aria-label": say.handle,
});
const sheet = make("div", { class: "sheet" }, own, clip, make("div", { class: "rule" }), handle);
const stage = make("div", { class: "stage", tabindex: 0, role: "region", "aria-label": say.label }, sheet);
const badge = make("span", { class: "badge" }, say.preview);
const views = Object.fromEntries(
  ["compare", "cutout", ...STAGES].map((name) => [name, button(say[name], true, { "data-view": name })]),
);
const zooms = { fit: button(say.fit, true), actual: button(say.actual, true, { "data-zoom": "actual" }) };
const previous = button("‹", false, { "aria-label": say.previous, class: "step" });
const next = button("›", false, { "aria-label": say.next, class: "step" });
const title = make("span", { class: "name", "aria-live": "polite" });
const save = make("a", { class: "save", download: "" }, say.download);
const saveAlpha = make("a", { class: "save-alpha", download: "" }, say.download_alpha);
const copy = button(say.copy, false, { class: "copy" });
const film = make("div", { class: "film", role: "group", "aria-label": say.all });
const shown = make(
  "div", { class: "viewer" },
  make("div", { class: "bar" }, make("div", { class: "views", role: "group" }, ...Object.values(views)),
    make("div", { class: "zooms", role: "group" }, ...Object.values(zooms))),
  make("div", { class: "frame" }, stage, badge),
  make("div", { class: "bar" }, make("div", { class: "steps" }, previous, title, next),
    make("div", { class: "actions" }, save, saveAlpha, copy)),
  film,
);
element.replaceChildren(nothing, shown);

// a picture replaces the last one when it is there, not before: no flicker under a moving hand
const show = (image, source) => {
  if (image.dataset.source === source) return;
  image.dataset.source = source;
  const loading = new Image();
  loading.onload = loading.onerror = () => {
    if (image.dataset.source === source) image.src = source;
  };
  loading.src = source;
};

const current = () => {
  const item = items[at];
  const fresh = draft && draft.run === run && draft.key === item.key && draft.tuning > tuned;
  return fresh ? { ...item, ...draft, drafted: true } : item;
};

const render = () => {
  nothing.hidden = items.length > 0;
  shown.hidden = !items.length;
  if (!items.length) return;
  at = Math.min(at, items.length - 1);
  const item = current();
  const stages = STAGES.filter((name) => item.stages[name]);
  if (STAGES.includes(view) && !stages.includes(view)) view = "cutout";
  const [left, top, right, bottom] = item.box;
  const [height, width] = item.size;
  const [boxWidth, boxHeight] = [right - left, bottom - top];

  const compare = view === "compare";
  const staged = stages.includes(view);
  sheet.dataset.view = view;
  sheet.style.aspectRatio = `${boxWidth} / ${boxHeight}`;
  const scale = items[at].size[1] / width; // of the picture beside its draft
  const pixels = (boxWidth * scale) / window.devicePixelRatio;
  stage.classList.toggle("actual", actual);
  // small pictures are not blown up without end
  sheet.style.width = actual ? `${pixels}px` : `min(100cqw, ${(100 * boxWidth) / boxHeight}cqh, ${4 * pixels}px)`;
  // what shows the whole picture lies so that the part that was written is in sight
  Object.assign(whole.style, {
    width: `${(100 * width) / boxWidth}%`, height: `${(100 * height) / boxHeight}%`,
    left: `${(-100 * left) / boxWidth}%`, top: `${(-100 * top) / boxHeight}%`,
  });
  own.hidden = staged;
  clip.hidden = view === "cutout";
  own.alt = staged ? "" : item.file_name;
  show(own, url(item.file));
  show(whole, url(staged ? item.stages[view] : item.before));
  sheet.style.setProperty("--at", compare ? `${handle.value}%` : staged ? "100%" : "0%");
  badge.hidden = !item.drafted;

  for (const [name, node] of Object.entries(views)) {
    node.setAttribute("aria-pressed", name === view);
    node.hidden = STAGES.includes(name) && !item.stages[name];
  }
  zooms.fit.setAttribute("aria-pressed", !actual);
  zooms.actual.setAttribute("aria-pressed", actual);
  title.textContent = `${at + 1} / ${items.length}  ${item.name}${item.label ? ` (${item.label})` : ""}`;
  previous.disabled = at === 0;
  next.disabled = at === items.length - 1;
  // while a preview stands in for the file, there is none to be had
  for (const [link, path] of [[save, items[at].file], [saveAlpha, items[at].stages.alpha]]) {
    if (item.drafted) link.removeAttribute("href");
    else link.href = url(path);
  }
  save.download = items[at].file_name;
  // the plane is the whole picture's: beside a cropped cutout it would not fit ("mask only" does)
  saveAlpha.hidden = boxWidth !== width || boxHeight !== height;
  saveAlpha.download = `${items[at].file_name.replace(/\.\w+$/, "")}-alpha.png`;
  film.hidden = items.length < 2;
  [...film.children].forEach((node, place) => node.setAttribute("aria-current", place === at));
};

const go = (place) => {
  if (place < 0 || place >= items.length || place === at) return;
  const followed = film.contains(document.activeElement);
  at = place;
  chosen = items[at].key;
  render();
  film.children[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  if (followed) film.children[at].focus();
  trigger("select", { key: chosen });
};

const take = () => {
  const value = props.value;
  if (!value?.items || value.since < since) return;
  if (value.run !== run) chosen = draft = null;
  ({ run, since, items, tuned } = value);
  if (!chosen && items.length) {
    chosen = items[0].key;
    trigger("select", { key: chosen });
    if (window.matchMedia("(max-width: 768px)").matches) element.scrollIntoView({ behavior: "smooth" });
  }
  at = Math.max(0, items.findIndex((item) => item.key === chosen));
  items.forEach((item, place) => {
    let node = film.children[place];
    if (!node) {
      node = button(make("img", { alt: "" }), false, { class: "thumb" });
      node.addEventListener("click", () => go(place));
      film.append(node);
    }
    node.title = item.file_name;
    node.setAttribute("aria-label", item.file_name);
    show(node.firstChild, url(item.thumbnail));
  });
  while (film.children.length > items.length) film.lastChild.remove();
  render();
};

const toPng = async (blob) => {
  if (blob.type === "image/png") return blob;
  const bitmap = await createImageBitmap(blob);
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
};

copy.addEventListener("click", async () => {
  const png = fetch(url(items[at].file)).then((answer) => answer.blob()).then(toPng);
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": png })]);
    copy.textContent = say.copied;
  } catch {
    copy.textContent = say.not_copied;
  }
  setTimeout(() => (copy.textContent = say.copy), 2000);
});
handle.addEventListener("input", () => sheet.style.setProperty("--at", `${handle.value}%`));
previous.addEventListener("click", () => go(at - 1));
next.addEventListener("click", () => go(at + 1));
for (const [name, node] of Object.entries(views)) node.addEventListener("click", () => ((view = name), render()));
for (const [name, node] of Object.entries(zooms)) {
  node.addEventListener("click", () => {
    actual = name === "actual";
    render();
    stage.scrollTo((sheet.offsetWidth - stage.clientWidth) / 2, (sheet.offsetHeight - stage.clientHeight) / 2);
  });
}
document.addEventListener("keydown", (event) => {
  if (event.target !== document.body && !shown.contains(event.target)) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1 }[event.key];
  const busy = event.key.startsWith("Arrow") && (event.target === handle || (actual && event.target === stage));
  if (!step || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(at + step);
});
// where the picture is larger than its frame, it is dragged, but by the knob, which divides
stage.addEventListener("pointerdown", (event) => {
  if (!actual || event.target === handle) return;
  const start = [event.clientX + stage.scrollLeft, event.clientY + stage.scrollTop];
  const drag = (move) => stage.scrollTo(start[0] - move.clientX, start[1] - move.clientY);
  stage.setPointerCapture(event.pointerId);
  stage.addEventListener("pointermove", drag);
  stage.addEventListener("pointerup", () => stage.removeEventListener("pointermove", drag), { once: true });
});
element.addEventListener("draft", (event) => {
  draft = event.detail;
  if (items.length) render();
});
watch("value", take);
take();
