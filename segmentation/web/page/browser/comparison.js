// Models side by side on one picture. `props.value` is a list of columns; all of it is set as text.
import { make, say, url } from "./common.js";

/**
 * A column from comparison.py. Paths are in the upload folder; without them, the model is still running.
 * @typedef {object} Column
 * @property {string} title
 * @property {string} error "" unless the model failed
 * @property {string} licence
 * @property {string | null} licence_url
 * @property {string} commercial whether commercial use is allowed, as a phrase
 * @property {string} [thumbnail] path of the cutout
 * @property {string} [alpha] path of the alpha
 * @property {string} [seconds]
 * @property {string} [memory]
 * @property {{ name: string, text: string, best: boolean }[]} scores against the truth, if there is one
 */

let zoom = 1;
let [x, y] = [50, 50]; // percent of a picture: the point that stays where it is

// shows the same part of each picture at the same zoom
const render = () => {
  for (const image of element.querySelectorAll("figure img")) {
    image.style.transformOrigin = `${x}% ${y}%`;
    image.style.transform = zoom === 1 ? "" : `scale(${zoom})`;
  }
};
const zoomTo = (target, event) => {
  const frame = event.target.closest(".frame");
  if (!frame) return;
  event.preventDefault();
  if (zoom === 1) {
    const box = frame.getBoundingClientRect();
    [x, y] = [((event.clientX - box.left) / box.width) * 100, ((event.clientY - box.top) / box.height) * 100];
  }
  zoom = Math.min(Math.max(target, 1), 12);
  render();
};
element.addEventListener("wheel", (event) => zoomTo(zoom * Math.exp(-event.deltaY / 400), event), { passive: false });
element.addEventListener("dblclick", (event) => zoomTo(zoom > 1 ? 1 : 3, event));
element.addEventListener("pointermove", (event) => {
  if (zoom === 1 || !(event.buttons & 1) || !event.target.closest(".frame")) return;
  const box = event.target.closest(".frame").getBoundingClientRect();
  x = Math.min(Math.max(x - (event.movementX / box.width / (zoom - 1)) * 100, 0), 100);
  y = Math.min(Math.max(y - (event.movementY / box.height / (zoom - 1)) * 100, 0), 100);
  render();
});

/** @type {(entry: Column, index: number) => HTMLElement} */
const card = (entry, index) => {
  const picture = (path, name) =>
    make(
      "figure",
      {},
      make(
        "div",
        { class: "frame" },
        make("img", { src: url(path), alt: `${name}, ${entry.title}`, loading: "lazy", draggable: "false" }),
      ),
      make("figcaption", {}, name),
    );
  const body = entry.error
    ? [make("p", { class: "failed" }, entry.error)]
    : entry.thumbnail
      ? [picture(entry.thumbnail, say.cutout), picture(entry.alpha, say.alpha)]
      : [make("p", { class: "quiet" }, "…")];
  const licence = entry.licence_url
    ? make("a", { href: entry.licence_url, target: "_blank", rel: "noopener" }, entry.licence)
    : entry.licence;
  const facts = make("dl", {});
  for (const [name, value] of [
    [say.seconds, entry.seconds],
    [say.memory, entry.memory],
    [say.licence, licence],
    [say.commercial, entry.commercial],
  ]) {
    if (value) facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }
  const scores = make("dl", { class: "scores" });
  for (const { name, text, best } of entry.scores) {
    const star = make("span", { class: "star", role: "img", "aria-label": say.score_best }, " ★");
    const value = make("dd", best ? { class: "best" } : {}, text, ...(best ? [star] : []));
    scores.append(make("div", {}, make("dt", {}, say[`score_${name}`]), value));
  }
  const use = make("button", { type: "button" }, say.use);
  use.addEventListener("click", () => trigger("select", { index }));
  return make(
    "section",
    { "aria-label": entry.title },
    make("h2", {}, entry.title),
    ...(entry.scores.length ? [scores] : []),
    ...body,
    facts,
    ...(entry.thumbnail ? [use] : []),
  );
};
const update = () => {
  const cards = (props.value || []).map(card);
  element.replaceChildren(...(cards.length ? [make("div", { class: "comparison" }, ...cards)] : []));
  render();
};
watch("value", update);
update();
