// The first screen: the place to drop photos, beside a portrait before and after. `props.value` has both pictures.
import { make, say } from "./common.js";
import { icon } from "./icons.js";

/** Buttons that do what ways_in.js does: another script, to which it is only told. */
const button = (act, drawn, attributes = {}) => {
  const node = make("button", { type: "button", "data-act": act, ...attributes }, icon(drawn));
  node.append(make("span", {}, say[`hero_${act}`]));
  return node;
};
const handle = make("input", { type: "range", min: 0, max: 100, step: 0.5, value: 50, "aria-label": say.hero_demo });
const picture = (source, kind) => make("img", { src: source, alt: "", class: kind, draggable: "false" });
const demo = make(
  "div",
  { class: "demo" },
  picture(props.value.before, "before"),
  make("div", { class: "after" }, picture(props.value.after, "cut")),
  make("div", { class: "rule" }),
  handle,
);
const at = (value) => demo.style.setProperty("--at", `${value}%`);
handle.addEventListener("input", () => {
  demo.dataset.held = "";
  at(handle.value);
});
const ways = [button("choose", "choose", { class: "first" }), button("camera", "camera"), button("paste", "paste")];
element.replaceChildren(
  make(
    "div",
    { class: "hero" },
    make(
      "div",
      { class: "ways" },
      make("h2", {}, window.matchMedia("(pointer: coarse)").matches ? say.hero_touch : say.hero_title),
      make("p", {}, say.hero_info),
      make("div", { class: "buttons" }, ...ways),
    ),
    demo,
  ),
);
