// The viewer: one large cutout, before and after or stage by stage, at any zoom, and all of them as thumbnails.
// It owns everything in `element` and shows `props.value`. File names are untrusted: they are only ever set as text.
import { make, say, url } from "./common.js";
import { correcting } from "./correcting.js";
import { picturing } from "./picture.js";
import { NOTHING } from "./strokes.js";
import {
  acts,
  apply,
  badge,
  button,
  copied,
  copy,
  doubt,
  failure,
  film,
  frame,
  handle,
  more,
  next,
  notes,
  nothing,
  previous,
  reason,
  rest,
  retry,
  STAGES,
  save,
  saveAlpha,
  sheet,
  show,
  shown,
  stage,
  title,
  unsure,
  views,
  waiting,
  waits,
  warnings,
  zip,
  zooms,
} from "./viewer_parts.js";
import { zooming } from "./zooming.js";

/**
 * The value from viewer.py. Paths are in the upload folder; a box is the left, top, right and bottom of the written
 * part, in a picture of size [height, width], beyond which a canvas may reach.
 * @typedef {object} Value
 * @property {string} run which run is shown
 * @property {number} since when it was first shown: anything older is stale
 * @property {(Cutout | Failure)[]} items
 * @property {number} tuned the latest tuning step finished in full size
 * @property {number | null} wanted number of the picture that was requested last
 * @property {boolean} mixed whether pictures have different settings
 * @property {number} left how many pictures are still to come
 *
 * @typedef {object} Cutout
 * @property {string} key
 * @property {number} index number of the picture
 * @property {string} name of the picture
 * @property {string} label of the cutout, where a picture has several
 * @property {string} file in full size
 * @property {string} file_name
 * @property {string} thumbnail
 * @property {string} screen the cutout at screen size
 * @property {string} before
 * @property {string} before_screen
 * @property {string[]} warnings
 * @property {[number, number, number, number]} box
 * @property {[number, number]} size
 * @property {number} density pixels of the file across a pixel of the picture
 * @property {Record<string, string>} stages stage -> path
 * @property {import("./strokes.js").Correction} correction what was said about the picture
 * @property {number} revision which of the corrections sent that is
 * @property {number} applied how many of its strokes the cutout has
 *
 * @typedef {{ key: string, index: number, name: string, error: string }} Failure
 *
 * A preview that replaces the cutout of the same key until its full size is tuned as far.
 * @typedef {Pick<Cutout, "key" | "file" | "box" | "size" | "stages" | "applied"> & { run: string, tuning: number }} Draft
 */

let run = ""; // which run is shown
let since = 0; // and since when: values of earlier ones are stale
/** @type {Value["items"]} */
let items = [];
let tuned = 0; // the latest tuning step finished in full size
let mixed = false; // whether pictures have different settings
let remaining = 0; // how many pictures are still to come
/** @type {Draft | null} */
let preview = null;
let at = 0;
let chosen = null; // key of what the visitor went to; until then, the first picture is shown
let wanted = null; // number of the picture that was requested last
let view = "compare";
let zoom = 1; // 1 fits the frame
let begun = null; // the run shown when Cut out was pressed, and since when, until it is known whether another comes
let pixels = 1; // the zoom at which one pixel of the picture is one screen pixel

element.replaceChildren(nothing, shown);

const current = () => {
  const item = items[at];
  const fresh = preview && preview.run === run && preview.key === item.key && preview.tuning > tuned;
  return fresh ? { ...item, ...preview, screen: preview.file, isPreview: true } : item;
};

// ------------------------------------------------------------------------------------------- corrections, zoom, pan

const correct = correcting(
  { viewer: shown, stage, sheet },
  {
    load: show,
    render: () => render(),
    zoom: (factor) => zoomTo(zoom * factor),
    send: (data) => trigger("edit", data),
  },
);
sheet.append(doubt.node);
const picture = picturing();
frame.prepend(correct.tools);
frame.append(correct.cursor);
frame.after(correct.hint);
const zoomTo = zooming(stage, sheet, {
  zoom: () => zoom,
  set: (value) => {
    zoom = value;
    render();
  },
  doubled: () => (correct.isActive ? null : zoom > 1 ? 1 : Math.max(pixels, 2)),
  // a brush has the pointer, except the middle button and while the space bar is down; so does the comparison handle
  drags: (event) => (correct.isActive ? event.button === 1 || correct.pans : zoom > 1 && event.target !== handle),
  pinches: () => correct.drop(),
});
zooms.fit.addEventListener("click", () => zoomTo(1));
zooms.actual.addEventListener("click", () => zoomTo(pixels));

// ---------------------------------------------------------------------------------------------------- what is shown

const render = () => {
  nothing.hidden = items.length > 0;
  shown.hidden = !items.length;
  if (!items.length) {
    correct.show(null);
    return;
  }
  at = Math.min(at, items.length - 1);
  const item = current();
  title.textContent = `${at + 1} / ${items.length}  ${item.name}${item.label ? ` (${item.label})` : ""}`;
  title.title = item.name;
  previous.disabled = at === 0;
  next.disabled = at === items.length - 1;
  film.hidden = items.length < 2 && !item.error;
  for (const [place, node] of [...film.children].entries()) node.setAttribute("aria-current", place === at);
  failure.hidden = !item.error;
  stage.hidden = badge.hidden = Boolean(item.error);
  for (const node of [save, saveAlpha, copied, copy, zooms.fit, zooms.actual]) node.hidden = Boolean(item.error);
  zip.hidden = items.filter((each) => !each.error).length < 2;
  more.toggle.hidden = Boolean(item.error) && zip.hidden;
  const doubtful = items.filter((each) => each.stages?.doubt);
  unsure.hidden = doubtful.every((each) => each === items[at]); // its own warning has a button
  unsure.textContent = say.unsure.replace("{count}", String(doubtful.length));
  apply.hidden = !mixed;
  acts.hidden = unsure.hidden && apply.hidden;
  rest.hidden = !remaining;
  rest.textContent = `+${remaining}`;
  copied.file = items[at].file ?? "";
  warnings.textContent = (item.warnings || []).join(" ");
  notes.hidden = !item.warnings?.length;
  if (shown.dataset.selected !== item.key) {
    shown.dataset.selected = item.key; // sent along by events.js
    trigger("select", { key: item.key });
  }
  if (item.error) {
    correct.show(null);
    reason.textContent = item.error;
    for (const node of Object.values(views)) node.hidden = true;
    return;
  }
  const stages = STAGES.filter((name) => item.stages[name]);
  if (STAGES.includes(view) && !stages.includes(view)) view = "cutout";
  const seen = picture.show(item, items[at], correct.isActive ? "correct" : view, zoom);
  zoom = seen.zoom;
  pixels = seen.pixels;
  badge.hidden = !item.isPreview;

  for (const [name, node] of Object.entries(views)) {
    node.setAttribute("aria-pressed", name === view && !correct.isActive);
    node.hidden = STAGES.includes(name) && !item.stages[name];
  }
  zooms.fit.setAttribute("aria-pressed", zoom === 1);
  zooms.actual.setAttribute("aria-pressed", Math.abs(zoom - pixels) < 1e-3);
  // while a preview is shown, its file cannot be downloaded
  for (const [link, path] of [
    [save, items[at].file],
    [saveAlpha, items[at].stages.alpha],
  ]) {
    if (item.isPreview) link.removeAttribute("href");
    else link.href = url(path);
  }
  save.download = items[at].file_name;
  // the alpha is that of the whole picture, and would not match a part of it or a canvas ("mask only" does)
  saveAlpha.hidden = String(item.box) !== String([0, 0, item.size[1], item.size[0]]);
  saveAlpha.download = `${items[at].file_name.replace(/\.\w+$/, "")}-alpha.png`;
  const { index, key, size, correction = NOTHING, revision = 0 } = items[at];
  correct.show({
    run,
    index,
    key,
    size,
    correction,
    revision,
    applied: item.applied ?? 0,
    before: url(seen.isClose ? item.before : item.before_screen),
    alpha: url(item.stages.alpha),
  });
};

// what would be said now of a cutout, or of a picture, would be lost with it
const wait = (now) => {
  begun = now;
  correct.rest(Boolean(begun));
  shown.classList.toggle("begun", Boolean(begun));
  if (items.length) render();
};

const go = (place) => {
  if (place < 0 || place >= items.length || place === at) return;
  const hasFocus = film.contains(document.activeElement);
  at = place;
  chosen = items[at].key;
  zoom = 1;
  render();
  film.children[at].scrollIntoView({ block: "nearest", inline: "nearest" });
  if (hasFocus) film.children[at].focus();
};

const update = () => {
  const value = props.value;
  if (!value?.items || value.since < since) return;
  const first = !items.length && value.items.length;
  if (begun && (value.run !== begun.run || value.since > begun.since)) wait(null);
  if (value.run !== run) {
    chosen = preview = null;
    zoom = 1;
  }
  ({ run, since, items, tuned, mixed, left: remaining = 0 } = value);
  const requested = value.wanted !== wanted && items.find((item) => item.index === value.wanted);
  if (requested) {
    chosen = requested.key;
    wanted = value.wanted;
    zoom = 1;
  }
  if (first && window.matchMedia("(max-width: 767px)").matches) {
    requestAnimationFrame(() => stage.scrollIntoView({ block: "start", behavior: "smooth" }));
  }
  // other classes are other cutouts: then the first of the same picture is shown
  const places = [(item) => item.key === chosen, (item) => item.index === Number.parseInt(chosen, 10)];
  at = Math.max(0, places.map((is) => items.findIndex(is)).find((place) => place >= 0) ?? 0);
  items.forEach((item, place) => {
    let node = film.children[place];
    if (!node) {
      node = button(make("img", { alt: "" }), false);
      node.addEventListener("click", () => go(place));
      film.append(node);
    }
    node.className = item.error ? "broken" : item.stages.doubt ? "thumb doubtful" : "thumb";
    node.title = item.file_name || item.name;
    node.setAttribute("aria-label", item.error ? `${item.name}: ${item.error}` : item.file_name);
    if (!item.error) show(node.firstChild, url(item.thumbnail));
  });
  while (film.children.length > items.length) film.lastChild.remove();
  render();
};

// to the next picture with doubt, and where it is
unsure.addEventListener("click", () => {
  const places = [...items.keys()].map((step) => (at + step) % items.length);
  const isShown = doubt.button.getAttribute("aria-pressed") === "true" && items[at].stages?.doubt;
  const place = places.find((each) => items[each].stages?.doubt && !(isShown && each === at)) ?? at;
  go(place);
  if (doubt.button.getAttribute("aria-pressed") !== "true") doubt.button.click();
});
retry.addEventListener("click", () => trigger("submit", { index: items[at].index }));
handle.addEventListener("input", () => sheet.style.setProperty("--at", `${handle.value}%`));
previous.addEventListener("click", () => go(at - 1));
next.addEventListener("click", () => go(at + 1));
for (const [name, node] of Object.entries(views)) {
  node.addEventListener("click", () => {
    view = name;
    correct.leave();
    render();
  });
}

document.addEventListener("keydown", (event) => {
  if (event.target !== document.body && !shown.contains(event.target)) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -1, PageDown: 1 }[event.key];
  const busy = event.key.startsWith("Arrow") && (event.target.matches("input") || (zoom > 1 && event.target === stage));
  if (!step || busy || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  go(at + step);
});

// ----------------------------------------------------------------------------------------------- events from outside

element.addEventListener("preview", (event) => {
  const now = event.detail;
  // answers may come in another order than their questions
  if (now && preview?.run === now.run && preview.key === now.key && preview.tuning > now.tuning) return;
  preview = now;
  if (items.length) render();
});
// until there is a cutout, the picture itself says what is being done
element.addEventListener("state", (event) => {
  const { state, picture } = event.detail;
  nothing.dataset.state = state;
  const told = { uploading: say.uploading, queued: say.queued, working: say.working };
  waiting.textContent = told[state] ?? say.empty;
  waits.hidden = !picture;
  if (picture && waits.src !== picture) waits.src = picture;
});
element.addEventListener("begin", () => wait({ run, since }));
element.addEventListener("end", () => wait(null));
element.addEventListener("look", (event) => {
  const place = items.findIndex((item) => item.index === event.detail);
  if (place >= 0) go(place);
});
// on narrow screens, everything above the picture scrolls away and the picture stays (screens.css)
const column = element.closest("#results");
new ResizeObserver(() => {
  const above = stage.getBoundingClientRect().top - column.getBoundingClientRect().top;
  if (stage.offsetParent) column.style.setProperty("--above", `${above}px`);
  else column.style.removeProperty("--above"); // nothing is shown, or another tab is open
}).observe(column);
new ResizeObserver(() => items.length && render()).observe(stage);
watch("value", update);
update();
