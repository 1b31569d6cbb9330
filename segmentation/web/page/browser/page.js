// What the page adds to Gradio: keyboard access, picture sources, marks on changed settings. `props.value` comes from
// the server: limits, and the names and defaults of the settings.
import { make, say } from "./common.js";

/** @type {{ most: number, mostBytes: number, stored: string[], defaults: Record<string, unknown> }} */
const facts = props.value;
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

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

// ------------------------------------------------------------------------------------------------------ pictures
// They can be dropped and pasted anywhere, not only on the empty gallery, and a missed drop must not leave the page.
// The server decides which files are pictures: browsers do not know the types of HEIC and others.
const refused = make("p", { id: "refused", role: "alert" });
const addFiles = (files) => {
  const input = document.querySelector("#pictures input[type=file]");
  if (!input || !files.length) return;
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
};
const problem = (files, held) => {
  const values = { count: files.length, held, most: facts.most, megabytes: facts.mostBytes >> 20 };
  if (held + files.length > facts.most) return filled(held ? say.too_many_more : say.too_many, values);
  const large = files.find((file) => file.size > facts.mostBytes);
  return large ? filled(say.too_large, { ...values, name: large.name }) : "";
};
// runs before Gradio's handler and before anything is sent, for the picker, drops and the clipboard
document.addEventListener(
  "change",
  (event) => {
    const input = event.target;
    if (!input.matches?.("#pictures input[type=file]")) return;
    refused.textContent = problem([...input.files], document.querySelectorAll("#pictures .thumbnail-lg").length);
    document.querySelector("#begin").before(refused);
    if (refused.textContent) {
      event.stopImmediatePropagation();
      input.value = "";
      return;
    }
    // a form encodes a quote as %22
    if (![...input.files].some((file) => file.name.includes('"'))) return;
    const transfer = new DataTransfer();
    for (const file of input.files) {
      transfer.items.add(new File([file], file.name.replaceAll('"', "”"), { type: file.type }));
    }
    input.files = transfer.files;
  },
  true,
);
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener(
  "drop",
  (event) => {
    if (!event.dataTransfer?.files.length || event.target.closest?.("#backdrop, #truth")) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.dispatchEvent(new DragEvent("drop", { bubbles: true })); // lets the gallery end its highlight
    addFiles(event.dataTransfer.files);
  },
  true,
);
document.addEventListener("paste", (event) => {
  if (event.defaultPrevented || event.target.closest?.("input, textarea, [contenteditable]")) return;
  addFiles(event.clipboardData.files);
});

// Gradio's own paste button finds nothing if every file type is accepted
document.addEventListener(
  "click",
  async (event) => {
    const button = event.target.closest?.("#pictures .source-selection button");
    if (!button || button !== button.parentElement.lastElementChild) return;
    event.stopImmediatePropagation();
    const items = await navigator.clipboard.read().catch(() => []);
    const types = items.flatMap((item) =>
      item.types.filter((type) => type.startsWith("image/")).map((type) => [item, type]),
    );
    const files = await Promise.all(
      types.map(
        async ([item, type], at) =>
          new File([await item.getType(type)], `pasted-${at + 1}.${type.split("/")[1]}`, { type }),
      ),
    );
    refused.textContent = files.length ? "" : say.nothing_to_paste;
    document.querySelector("#begin").before(refused);
    addFiles(files);
  },
  true,
);

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
  canvas: ["crop", "crop_margin", "canvas", "canvas_fill", "canvas_align", "canvas_margin"],
  effects: [
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
