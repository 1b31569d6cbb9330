// Another model, by its name on the Hub: looked up, inspected, and its readings of a picture side by side. `props.value`
// comes from other_model.py; all of it is set as text, as repositories are untrusted.
import { copyButton, make, say } from "./common.js";

/**
 * @typedef {{ id: string, about: string }} Hit a repository that the search found, with downloads and licence
 * @typedef {{ file: string, name: string, size: string }} Variant
 *
 * @typedef {object} Reading one way to use the model, tried on the visitor's picture
 * @property {string} name
 * @property {string} cutout data URL
 * @property {string} about
 *
 * @typedef {object} Model
 * @property {string} id
 * @property {string} title
 * @property {string | null} url
 * @property {string} repository "" unless it is on the Hub
 * @property {string} size
 * @property {string} confidence how sure it is, in words
 * @property {boolean} sure
 * @property {boolean} usable
 * @property {string[]} about sentences
 * @property {string[]} doubts sentences
 * @property {string[]} notes sentences
 * @property {string} licence
 * @property {string | null} licence_url
 * @property {string} commercial
 * @property {Variant[]} files
 * @property {string} file the one that is used
 * @property {string[]} steps what is done with a picture, as sentences
 * @property {[string, string, string][]} contract key, value and source
 * @property {[string, string][]} facts about the graph
 * @property {string} entry YAML of a registry file
 * @property {string} entry_name
 *
 * @typedef {object} Value
 * @property {string} status
 * @property {boolean} failed whether the status is a problem
 * @property {boolean} busy
 * @property {number | null} share progress in 0..1, if it is known
 * @property {boolean} uploads whether own models may be uploaded
 * @property {Hit[]} hits
 * @property {Model | null} model
 * @property {Reading[]} readings
 * @property {string} picture name of the picture that was read
 * @property {number} chosen the reading that is used
 * @property {string} proof what the readings show, as a sentence
 * @property {boolean} proven whether that is good
 */

/** @returns {Value} */
const shown = () => props.value;
const send = (action, value = "") => trigger("submit", { action, value });
const settings = element.closest("#settings") ?? document.body;
const pictures = document.querySelector("#pictures");
const countPictures = () => pictures?.querySelectorAll(".thumbnail-item").length ?? 0;

/** Buttons have keys, so that one that has the focus keeps it when the panel is rendered anew. */
const button = (key, text, act, attributes = {}) => {
  const made = make("button", { type: "button", "data-key": key, ...attributes }, text);
  made.disabled = shown().busy;
  made.addEventListener("click", act);
  return made;
};
const linked = (text, address) =>
  address ? make("a", { href: address, target: "_blank", rel: "noopener" }, text) : text;
const quiet = (text) => make("p", { class: "quiet" }, text);

const field = make("input", { type: "search", id: "other_name", placeholder: say.other_example, maxlength: 300 });
field.autocomplete = "off";
field.spellcheck = false;
const look = make("button", { type: "submit" }, say.other_look);
const own = make("button", { type: "button", class: "link" }, say.other_upload);
own.addEventListener("click", () => document.querySelector("#upload_model")?.click());
const form = make(
  "form",
  { class: "ask" },
  make("label", { for: "other_name" }, say.other_name),
  make("div", { class: "row" }, field, look),
  own,
);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (field.value.trim() && !shown().busy) send("look", field.value.trim());
});

const status = make("p", { class: "status", role: "status" });
const bar = make("progress", { max: 1, "aria-label": say.other_progress });
const stop = make("button", { type: "button" }, say.other_stop);
stop.addEventListener("click", () => {
  trigger("stop");
  field.focus();
});
const activity = make("div", { class: "row activity" }, bar, stop);
const found = make("div", { class: "found" });
const panel = make("div", { class: "other" }, form, status, activity, found);
element.replaceChildren(panel);

/** @type {(hits: Hit[]) => Node[]} */
const list = (hits) => {
  if (!hits.length) return [];
  const items = hits.map(({ id, about }) => {
    const hit = button(id, "", () => {
      field.value = id;
      send("look", id);
    });
    hit.append(make("b", {}, id), make("span", { class: "quiet" }, about));
    return make("li", {}, hit);
  });
  return [make("ul", { class: "hits", "aria-label": say.other_hits }, ...items)];
};

const details = (title, ...children) => make("details", {}, make("summary", { "data-key": title }, title), ...children);

/** @type {(model: Model) => Node[]} */
const variants = ({ files, file: used }) => {
  if (files.length < 2) return [];
  const chips = files.map(({ file, name, size }) =>
    button(file, `${name} · ${size}`, () => send("file", file), { title: file, "aria-pressed": file === used }),
  );
  return [make("div", { class: "row variants", role: "group", "aria-label": say.other_files }, ...chips)];
};

/** @type {(value: Value) => Node[]} */
const tiles = ({ readings, chosen, picture, busy }) => {
  if (!readings.length) return [];
  const made = readings.map((reading, at) => {
    const tile = button(`reading ${at}`, "", () => send("pick", at), { "aria-pressed": at === chosen });
    tile.append(
      make("img", { src: reading.cutout, alt: "" }),
      make("span", { class: "name" }, reading.name),
      make("span", { class: "quiet" }, reading.about),
    );
    return tile;
  });
  const again = button("try", say.other_try, () => send("try"), { class: "link" });
  return [
    make("h3", {}, say.other_readings.replace("{name}", picture)),
    ...(readings.length > 1 ? [quiet(say.other_pick)] : []),
    make(
      "div",
      { class: "readings", role: "group", "aria-label": say.other_readings.replace("{name}", picture) },
      ...made,
    ),
    ...(countPictures() > 1 && !busy ? [again] : []),
  ];
};

/** What can be done now: cut out, or choose the model again. @type {(value: Value) => Node[]} */
const actions = ({ model, readings, busy }) => {
  if (!model?.usable) return [];
  const chosen = settings.dataset.model === model.id;
  const some = countPictures() > 0;
  const run = document.querySelector("#run");
  const attributes = { class: "main" };
  const main = chosen
    ? some && button("main", say.other_cut, () => run?.click(), attributes)
    : button("main", say.other_use, () => send("use"), attributes);
  const state = !chosen ? "" : some ? say.other_chosen : say.other_chosen_no_picture;
  const tries = some && !readings.length && !busy && button("try", say.other_try, () => send("try"));
  const said = state && make("span", { class: "chosen" }, state);
  return [make("div", { class: "row" }, ...[main, tries, said].filter(Boolean))];
};

/** @type {(model: Model) => Node} */
const entry = (model) => {
  const copy = copyButton(() => navigator.clipboard.writeText(model.entry), { "data-key": "copy" });
  const address = `data:application/yaml;charset=utf-8,${encodeURIComponent(model.entry)}`;
  return details(
    say.other_entry,
    quiet(say.other_entry_info),
    make("div", { class: "row" }, copy, make("a", { href: address, download: model.entry_name }, say.download)),
    make("pre", { tabindex: 0 }, model.entry),
  );
};

const table = (rows) =>
  make(
    "table",
    {},
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell))))),
  );

/** @type {(value: Value) => Node[]} */
const card = (value) => {
  const { model, proof, proven, readings } = value;
  if (!model) return [];
  const where = [model.repository, model.file, model.size].filter(Boolean).join(" · ");
  const sure = proof ? proven : model.sure;
  const doubts = model.doubts.map(quiet);
  return [
    make(
      "section",
      { "aria-label": model.title },
      make("h2", { tabindex: -1 }, linked(model.title, model.url)),
      quiet(where),
      make("p", { class: "quiet" }, linked(model.licence, model.licence_url), ` (${model.commercial})`),
      ...variants(model),
      ...model.about.map((sentence) => make("p", {}, sentence)),
      ...model.notes.map(quiet),
      make("p", { class: sure ? "sure" : "unsure" }, proof || model.confidence),
      ...(readings.length ? [] : doubts),
      ...tiles(value),
      ...actions(value),
      ...(model.usable
        ? [
            details(
              say.other_contract,
              ...(readings.length ? doubts : []),
              ...model.steps.map((sentence) => make("p", {}, sentence)),
              table(model.contract),
              table(model.facts),
            ),
          ]
        : []),
      ...(model.entry ? [entry(model)] : []),
    ),
  ];
};

let last = "";
/** The field names the model that is shown, wherever its name was entered. @type {(model: Model | null) => void} */
const fill = (model) => {
  if (model && model.id !== last && document.activeElement !== field) field.value = model.repository;
  last = model?.id ?? "";
};

/** Key of what had the focus before the panel was rendered anew. */
let wanted = "";
const refocus = (busy) => {
  const again = [...found.querySelectorAll("[data-key]")].find((each) => each.dataset.key === wanted);
  if (again && !again.disabled) again.focus();
  else if (busy) stop.focus();
  else found.querySelector("h2")?.focus();
  if (!busy) wanted = "";
};

const render = () => {
  const value = shown();
  fill(value.model);
  status.textContent = value.status;
  status.classList.toggle("failed", value.failed);
  look.disabled = value.busy;
  own.hidden = !value.uploads;
  own.disabled = value.busy;
  activity.hidden = !value.busy;
  if (value.share === null) bar.removeAttribute("value");
  else bar.value = value.share;
  panel.setAttribute("aria-busy", String(value.busy));
  const open = new Set([...found.querySelectorAll("details[open] > summary")].map((each) => each.dataset.key));
  const active = document.activeElement;
  if (found.contains(active)) wanted = active.dataset.key ?? "";
  else if (active !== stop && active !== document.body) wanted = "";
  found.replaceChildren(...list(value.hits), ...card(value));
  for (const summary of found.querySelectorAll("summary")) summary.parentElement.open = open.has(summary.dataset.key);
  if (wanted) refocus(value.busy);
};
watch("value", render);
render();

// what is chosen and how many pictures there are decides what can be done
new MutationObserver(render).observe(settings, { attributeFilter: ["data-model"] });
let count = countPictures();
if (pictures) {
  new MutationObserver(() => {
    if (countPictures() === count) return;
    count = countPictures();
    render();
  }).observe(pictures, { childList: true, subtree: true });
}
