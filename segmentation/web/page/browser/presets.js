// The presets as chips. One is pressed while the settings have its values; another click takes it back.
// `props.value` is preset -> name of the control -> value.
import { make, say } from "./common.js";

const chips = Object.keys(props.value).map((name) => {
  const chip = make("button", { type: "button", "aria-pressed": "false", title: say[`preset_${name}_info`] });
  chip.textContent = say[`preset_${name}`];
  chip.addEventListener("click", () => {
    trigger("select", { index: chip.getAttribute("aria-pressed") === "true" ? "" : name });
  });
  return [name, chip];
});
element.replaceChildren(
  make("div", { class: "chips", role: "group", "aria-label": say.presets }, ...chips.map(([, chip]) => chip)),
);
document.addEventListener("segmatte:settings", (event) => {
  for (const [name, chip] of chips) {
    const wanted = Object.entries(props.value[name]);
    const has = wanted.every(([control, value]) => String(event.detail[control] ?? "") === String(value));
    chip.setAttribute("aria-pressed", String(has));
  }
});
