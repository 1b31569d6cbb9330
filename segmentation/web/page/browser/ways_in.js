// How pictures get onto the page: picker, camera, drop and paste anywhere. They are checked before anything is sent,
// and cut out at once if the visitor wants that.
import { make, say } from "./common.js";

const SLOT = "#begin";
const refused = make("p", { id: "refused", role: "alert" });
const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const input = () => document.querySelector("#pictures input[type=file]");

/** Tells, beside the pictures, why some were not taken; "" if nothing is wrong. */
const refuse = (text) => {
  refused.textContent = text;
  document.querySelector(SLOT).before(refused);
};

export const addFiles = (files) => {
  if (!input() || !files.length) return;
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(file);
  input().files = transfer.files;
  input().dispatchEvent(new Event("change", { bubbles: true }));
};
export const addFromPicker = () => input()?.click();

/** The pictures in the clipboard: Gradio's own paste button finds nothing if every file type is accepted. */
export const addFromClipboard = async () => {
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
  refuse(files.length ? "" : say.nothing_to_paste);
  addFiles(files);
};

/** Opens the camera in the gallery, which is hidden until then. */
export const addFromCamera = () => {
  document.querySelector("#bring").toggleAttribute("data-camera", true);
  document.querySelector("#pictures .source-selection button:nth-of-type(2)")?.click();
};

/**
 * @param {{ most: number, mostBytes: number }} facts
 * @param {(uploading: boolean) => void} tell whether pictures are on their way
 */
export const waysIn = (facts, tell) => {
  let expected = false; // a picture was asked for that is not there yet
  let held = 0;

  const problem = (files, already) => {
    const values = { count: files.length, held: already, most: facts.most, megabytes: facts.mostBytes >> 20 };
    if (already + files.length > facts.most) return filled(already ? say.too_many_more : say.too_many, values);
    const large = files.find((file) => file.size > facts.mostBytes);
    return large ? filled(say.too_large, { ...values, name: large.name }) : "";
  };
  // runs before Gradio's handler and before anything is sent, for the picker, drops and the clipboard
  document.addEventListener(
    "change",
    (event) => {
      const picker = event.target;
      if (!picker.matches?.("#pictures input[type=file]")) return;
      const files = [...picker.files];
      refuse(problem(files, document.querySelectorAll("#pictures .thumbnail-lg").length));
      if (refused.textContent) {
        event.stopImmediatePropagation();
        picker.value = "";
        return;
      }
      expected = files.length > 0;
      tell(expected);
      if (!files.some((file) => file.name.includes('"'))) return; // a form encodes a quote as %22
      const transfer = new DataTransfer();
      for (const file of files)
        transfer.items.add(new File([file], file.name.replaceAll('"', "”"), { type: file.type }));
      picker.files = transfer.files;
    },
    true,
  );
  document.addEventListener("segmatte:expect", () => {
    expected = true;
  });
  document.addEventListener("segmatte:pictures", ({ detail: { count, wanted } }) => {
    const grew = count > held;
    held = count;
    if (grew && expected && wanted) setTimeout(() => document.querySelector("#run")?.click());
    if (grew) {
      expected = false;
      document.querySelector("#bring").toggleAttribute("data-camera", false);
    }
    tell(false);
  });

  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.querySelector("#bring").toggleAttribute("data-over", true);
  });
  for (const kind of ["drop", "dragend", "dragleave"]) {
    document.addEventListener(
      kind,
      (event) => {
        if (kind !== "dragleave" || !event.relatedTarget)
          document.querySelector("#bring").toggleAttribute("data-over", false);
      },
      true,
    );
  }
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
  document.addEventListener(
    "click",
    (event) => {
      if (event.target.closest?.("#pictures [aria-label='capture photo'], #pictures .button-wrap")) expected = true;
      const button = event.target.closest?.("#pictures .source-selection button");
      if (!button || button !== button.parentElement.lastElementChild) return;
      event.stopImmediatePropagation();
      addFromClipboard();
    },
    true,
  );
};
