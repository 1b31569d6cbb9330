// Another model, by its name on the Hub: looked up, inspected, and its readings of a picture side by side. `props.value`
// comes from other_model.py; all of it is set as text, as repositories are untrusted.
import { copyButton, make, say } from "./common.js";

/**
 * @typedef {object} Hit a repository that the search found
 * @property {string} id
 * @property {string} about such as its downloads and licence
 * @property {boolean} allowed
 *
 * @typedef {object} Reading one way to use the model, tried on the visitor's picture
 * @property {string} name
 * @property {string} mask data URL of a PNG
 * @property {string} about
 *
 * @typedef {object} Model
 * @property {string} title
 * @property {string | null} url
 * @property {string} confidence how sure it is, in words
 * @property {boolean} sure
 * @property {string[]} verdict sentences
 * @property {string} licence
 * @property {string | null} licence_url
 * @property {string} commercial
 * @property {{ file: string, about: string }[]} files its variants
 * @property {string} file the one that is used
 * @property {[string, string, string][]} contract key, value and source
 * @property {[string, string][]} facts about the graph
 * @property {string} entry YAML of a registry file
 * @property {string} entry_name
 *
 * @typedef {object} Value
 * @property {string} status
 * @property {boolean} failed whether the status is a problem
 * @property {boolean} busy
 * @property {Hit[]} hits
 * @property {Model | null} model
 * @property {boolean} has_picture whether there is a picture to try it on
 * @property {Reading[]} readings
 * @property {number} chosen the reading that is used
 * @property {string} proof what the readings show, as a sentence
 */

const send = (action, value = "") => trigger("submit", { action, value });

const field = make("input", { type: "search", id: "other_name", placeholder: say.other_example, maxlength: 300 });
field.autocomplete = "off";
field.spellcheck = false;
const look = make("button", { type: "submit" }, say.other_look);
const form = make(
  "form",
  { class: "ask" },
  make("label", { for: "other_name" }, say.other_name),
  make("div", { class: "row" }, field, look),
);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (field.value.trim()) send("look", field.value.trim());
});
const status = make("p", { class: "status", role: "status" });
const found = make("div", { class: "found" });
element.replaceChildren(make("div", { class: "other" }, form, status, found));

const button = (text, action, value, attributes = {}) => {
  const made = make("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", () => send(action, value));
  return made;
};

/** @type {(hits: Hit[]) => Node[]} */
const list = (hits) => {
  if (!hits.length) return [];
  const items = hits.map((hit) => {
    const use = button(hit.id, "look", hit.id);
    use.disabled = !hit.allowed;
    return make("li", {}, use, make("span", { class: "quiet" }, hit.about));
  });
  return [make("ul", { class: "hits", "aria-label": say.other_hits }, ...items)];
};

const details = (title, ...children) => make("details", {}, make("summary", {}, title), ...children);

/** @type {(value: Value) => Node[]} */
const tiles = ({ readings, chosen, proof, has_picture }) => {
  if (!readings.length) {
    return has_picture ? [button(say.other_try, "try", "", { class: "try" })] : [];
  }
  const made = readings.map((reading, at) => {
    const tile = button("", "pick", at, { "aria-pressed": at === chosen });
    tile.append(
      make("img", { src: reading.mask, alt: "" }),
      make("span", { class: "name" }, reading.name),
      make("span", { class: "quiet" }, reading.about),
    );
    return tile;
  });
  return [
    make("h4", {}, say.other_readings),
    make("p", {}, proof),
    make("div", { class: "readings", role: "group", "aria-label": say.other_readings }, ...made),
  ];
};

/** @type {(model: Model) => Node} */
const entry = (model) => {
  const copy = copyButton(() => navigator.clipboard.writeText(model.entry));
  const address = `data:application/yaml;charset=utf-8,${encodeURIComponent(model.entry)}`;
  return details(
    say.other_entry,
    make("p", { class: "quiet" }, say.other_entry_info),
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
  const model = value.model;
  if (!model) return [];
  const linked = (text, address) =>
    address ? make("a", { href: address, target: "_blank", rel: "noopener" }, text) : text;
  const files = model.files.map((file) => {
    const choice = button(file.file, "file", file.file, { "aria-pressed": file.file === model.file });
    return make("li", {}, choice, make("span", { class: "quiet" }, file.about));
  });
  return [
    make(
      "section",
      { "aria-label": model.title },
      make("h3", {}, linked(model.title, model.url)),
      make("p", { class: model.sure ? "sure" : "unsure" }, model.confidence),
      ...model.verdict.map((sentence) => make("p", {}, sentence)),
      make("p", {}, `${say.licence}: `, linked(model.licence, model.licence_url), ` (${model.commercial})`),
      ...tiles(value),
      ...(files.length > 1 ? [details(say.other_files, make("ul", { class: "files" }, ...files))] : []),
      details(say.other_contract, table(model.contract), table(model.facts)),
      ...(model.entry ? [entry(model)] : []),
    ),
  ];
};

const update = () => {
  /** @type {Value} */
  const value = props.value;
  status.textContent = value.status;
  status.classList.toggle("failed", value.failed);
  look.disabled = value.busy;
  element.firstElementChild.toggleAttribute("aria-busy", value.busy);
  const open = [...found.querySelectorAll("details")].map((each) => each.open);
  found.replaceChildren(...list(value.hits), ...card(value));
  found.querySelectorAll("details").forEach((each, at) => {
    each.open = open[at] ?? false;
  });
};
watch("value", update);
update();
