// What the page adds to Gradio: keyboard access, previews of uploads, marks on changed settings. `props.value` comes from
// the server: limits, and the names and defaults of the settings.
import { say } from "./common.js";
import { keyMap } from "./keys.js";
import { watchConnection } from "./offline.js";
import { sheet } from "./sheet.js";
import { setOffline, setUploading } from "./states.js";
import { waysIn } from "./ways_in.js";

/** @type {{ most: number, mostBytes: number, stored: string[], defaults: Record<string, unknown> }} */
const facts = props.value;

// Gradio's upload progress closes its stream twice; the second time, its stub of a stream logs this warning
const warn = console.warn;
console.warn = (...args) => args[0] === "Method not implemented." || warn.apply(console, args);

// ------------------------------------------------------------------------------------------------------ keyboard
const fixControls = () => {
  // Gradio nests the upload button of a filled gallery in another button: two tab stops, and confusing for screen
  // readers. The inner one is disabled here; page.css lets the pointer through to the outer one.
  for (const inner of document.querySelectorAll("button.icon-button button:enabled")) {
    inner.disabled = true;
    const outer = inner.closest("button.icon-button");
    outer.addEventListener("click", () => outer.querySelector("input[type=file]").click());
  }
  // It gives each radio a name of its own, so each is a tab stop and the arrow keys do not work.
  for (const radio of document.querySelectorAll("#settings input[type=radio]")) {
    const name = radio.closest(".block").id;
    if (radio.name !== name) radio.name = name;
  }
};
new MutationObserver(fixControls).observe(document.body, { childList: true, subtree: true });
document.addEventListener("keydown", (event) => {
  const picker = event.key === "Escape" && document.querySelector(".color-picker");
  if (!picker) return;
  const opener = picker.parentElement.querySelector(".dialog-button");
  opener.click();
  opener.focus();
});

waysIn(facts, setUploading);
// Gradio may run this before all of the page is there
const complete = () => {
  if (!["#head", "#work", "#settings", "#viewer .viewer"].every((each) => document.querySelector(each))) {
    requestAnimationFrame(complete);
    return;
  }
  keyMap();
  sheet();
  watchConnection(setOffline);
};
complete();

// The server provides previews of what browsers cannot show (TIFF, HEIC), or else a grey tile, labelled with the name.
const file = /\/gradio_api\/file=(.*)$/;
const uploads = ":is(#pictures, #backdrop, #truth) img";
document.addEventListener(
  "error",
  (event) => {
    const image = event.target;
    const path = image.matches?.(uploads) && file.exec(image.src)?.[1];
    if (path) image.src = new URL(`./preview?file=${path}`, document.baseURI).href;
  },
  true,
);
for (const kind of ["load", "error"]) {
  document.addEventListener(
    kind,
    (event) => {
      const image = event.target;
      if (image.matches?.(uploads)) image.alt = decodeURIComponent(image.src.split(/[/]|%2F/).pop());
    },
    true,
  );
}
// a click on an upload shows its cutout
document.addEventListener(
  "click",
  (event) => {
    const thumb = event.target.closest?.("#pictures .thumbnail-item");
    if (!thumb) return;
    const index = [...document.querySelectorAll("#pictures .thumbnail-item")].indexOf(thumb);
    document.querySelector("#viewer .viewer")?.parentElement.dispatchEvent(new CustomEvent("look", { detail: index }));
  },
  true,
);

// ------------------------------------------------------------------------------------------------------ settings
// Marks closed sections that contain changed settings.
const mark = (values) => {
  let any = false;
  const label = (section, text) => {
    section.dataset.changed = text;
    const button = section.querySelector(":scope > button");
    if (button) button.dataset.changed = text;
  };
  for (const section of document.querySelectorAll("[id^=section_]")) label(section, "");
  for (const [name, value] of Object.entries(values)) {
    if (!(name in facts.defaults) || String(value ?? "") === String(facts.defaults[name] ?? "")) continue;
    any = true;
    const section = SECTIONS[name] && document.querySelector(`#section_${SECTIONS[name]}`);
    if (section) label(section, say.changed);
  }
  document.querySelector("#settings")?.toggleAttribute("data-changed", any);
};
const SECTIONS = {};
for (const [section, names] of Object.entries({
  matting: [
    "alpha_matting_foreground_threshold",
    "alpha_matting_background_threshold",
    "alpha_matting_erode_size",
    "auto_erode_size",
    "matting_method",
    "trust_mask",
    "mask_mode",
  ],
  background: ["background", "colour", "background_fit", "background_blur", "decontaminate"],
  canvas: [
    "crop",
    "crop_margin",
    "canvas",
    "canvas_fill",
    "canvas_align",
    "canvas_margin",
    "shadow",
    "shadow_angle",
    "shadow_distance",
    "shadow_blur",
    "shadow_opacity",
    "outline_width",
    "outline_colour",
  ],
  output: ["format", "max_edge", "max_kb"],
  network: ["subjects", "prompt_model", "invert", "post_process_mask", "mean", "std", "size", "contract"],
}))
  for (const name of names) SECTIONS[name] = section;
document.addEventListener("segmatte:settings", (event) => mark(event.detail)); // see events.js
