// What the page does beyond Gradio: keyboard, ways in for pictures, marks on changed settings. `props.value` is what
// the server tells it: caps, and the names and defaults of the settings.
import { make, say } from "./common.js";

/** @type {{ most: number, mostBytes: number, stored: string[], defaults: Record<string, unknown> }} */
const facts = props.value;
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// Gradio's upload progress closes its stream twice, and the second time its stub of a stream says so
const warn = console.warn;
console.warn = (...said) => said[0] === "Method not implemented." || warn.apply(console, said);

// ------------------------------------------------------------------------------------------------------ keyboard
const mend = () => {
  // Gradio puts the upload button of a filled gallery into another button: two stops for the keyboard, and no good
  // for screen readers. The inner one steps back; page.css lets the pointer through to the outer one.
  for (const inner of document.querySelectorAll("button.icon-button button:enabled")) {
    inner.disabled = true;
    const outer = inner.closest("button.icon-button");
    outer.addEventListener("click", () => outer.querySelector("input[type=file]").click());
  }
  // It names each radio on its own: a stop each for the keyboard, and no arrows.
  for (const radio of document.querySelectorAll("#settings input[type=radio]")) {
    const name = radio.closest(".block").id;
    if (radio.name !== name) radio.name = name;
  }
};
new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });
document.addEventListener("keydown", (event) => {
  const picker = event.key === "Escape" && document.querySelector(".color-picker");
  if (!picker) return;
  const opener = picker.parentElement.querySelector(".dialog-button");
  opener.click();
  opener.focus();
});

// ------------------------------------------------------------------------------------------------------ pictures
// They may be dropped and pasted anywhere, not only on the empty gallery; a missed drop must not leave the page. What
// they are is for the server to say: browsers do not know the types of HEIC and others.
const refused = make("p", { id: "refused", role: "alert" });
const take = (files) => {
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
// before Gradio hears of it, and before anything is sent: from the picker, a drop or the clipboard
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
    // a form would carry a quote as %22
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
    if (!event.dataTransfer?.files.length || event.target.closest?.("#backdrop")) return;
    event.preventDefault();
    event.stopPropagation();
    event.target.dispatchEvent(new DragEvent("drop", { bubbles: true })); // the gallery ends its own highlight
    take(event.dataTransfer.files);
  },
  true,
);
document.addEventListener("paste", (event) => {
  if (event.defaultPrevented || event.target.closest?.("input, textarea, [contenteditable]")) return;
  take(event.clipboardData.files);
});

// Gradio's own button finds nothing where every file is taken
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
    take(files);
  },
  true,
);

// What the browser cannot show (TIFF, HEIC) the server shows; what it cannot read either is a grey tile with a name.
const file = /\/gradio_api\/file=(.*)$/;
const uploads = ":is(#pictures, #backdrop) img";
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
// Says on closed sections that something in them is not as it is at first.
const mark = (values) => {
  let any = false;
  const tell = (section, text) => {
    section.dataset.changed = text;
    const button = section.querySelector(":scope > button");
    if (button) button.dataset.changed = text;
  };
  for (const section of document.querySelectorAll("[id^=section_]")) tell(section, "");
  for (const [name, value] of Object.entries(values)) {
    if (!(name in facts.defaults) || String(value ?? "") === String(facts.defaults[name] ?? "")) continue;
    any = true;
    const section = SECTIONS[name] && document.querySelector(`#section_${SECTIONS[name]}`);
    if (section) tell(section, say.changed);
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
  ],
  background: [
    "background",
    "colour",
    "background_fit",
    "background_blur",
    "decontaminate",
    "format",
    "crop",
    "crop_margin",
  ],
  network: ["post_process_mask", "mean", "std", "size"],
}))
  for (const name of names) SECTIONS[name] = section;
document.addEventListener("segmatte:settings", (event) => mark(event.detail)); // see events.js
