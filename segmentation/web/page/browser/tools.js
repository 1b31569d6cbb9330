// The tools for correcting a cutout: buttons, the size of the brush, and keys.
import { make, say } from "./common.js";
import { icon } from "./icons.js";

const TOOLS = { keep: "k", remove: "r", solve: "h", erase: "e", click: "c" }; // and their keys
const STEPS = { next: "n", undo: "Ctrl+Z", redo: "Ctrl+Shift+Z", clear: "" };
const LOOKS = { before: "b", after: "a" }; // while held down

/**
 * @param {HTMLElement} viewer the keys work in it, and anywhere while it is seen and a tool is in hand
 * @param {object} host
 * @param {() => string | null} host.tool the tool in hand
 * @param {(tool: string | null) => void} host.take
 * @param {(name: keyof typeof STEPS) => void} host.step
 * @param {(name: "before" | "after" | null) => void} host.look
 * @param {(factor: number) => void} host.grow makes the brush larger, or smaller
 * @param {(share: number) => void} host.slide sets its size, from 0 to 1
 * @param {(factor: number) => void} host.zoom
 * @param {(pans: boolean) => void} host.pan whether pointers move the picture for now
 * @returns {{ node: HTMLElement, hint: HTMLElement, update: (state: object) => void }}
 */
export const toolbar = (viewer, host) => {
  const named = (name, key, attributes = {}) => {
    const label = say[`tool_${name}`];
    const about = say[`tool_${name}_info`];
    const title = `${about ?? label}${key ? ` (${key.length === 1 ? key.toUpperCase() : key})` : ""}`;
    const button = make("button", { type: "button", title, "data-tool": name, ...attributes }, icon(name));
    button.append(make("span", {}, label));
    return button;
  };
  const tools = Object.fromEntries(
    Object.entries(TOOLS).map(([name, key]) => [name, named(name, key, { "aria-pressed": "false" })]),
  );
  const steps = Object.fromEntries(Object.entries(STEPS).map(([name, keys]) => [name, named(name, keys)]));
  const looks = Object.fromEntries(Object.entries(LOOKS).map(([name, key]) => [name, named(name, key)]));
  const done = named("done", "Esc");
  const slider = make("input", { type: "range", min: 0, max: 1, step: 0.01, title: say.tool_size_info });
  slider.setAttribute("aria-label", say.tool_size);
  const number = make("output", {});
  const size = make("div", { class: "size" }, slider, number);
  const group = (name, ...children) => make("div", { class: name }, ...children);
  const node = make(
    "div",
    { class: "tools", role: "group", "aria-label": say.tool_all },
    group("kinds", ...Object.values(tools)),
    group("rest", size, group("steps", ...Object.values(steps)), group("looks", ...Object.values(looks), done)),
  );
  const hint = make("p", { class: "hint", "aria-live": "polite" });

  for (const [name, button] of Object.entries(tools)) {
    button.addEventListener("click", () => host.take(host.tool() === name ? null : name));
  }
  for (const [name, button] of Object.entries(steps)) button.addEventListener("click", () => host.step(name));
  done.addEventListener("click", () => host.take(null));
  slider.addEventListener("input", () => host.slide(Number(slider.value)));
  for (const [name, button] of Object.entries(looks)) {
    const end = () => host.look(null);
    button.addEventListener("pointerdown", (event) => {
      button.setPointerCapture(event.pointerId);
      host.look(name);
    });
    for (const kind of ["pointerup", "pointercancel", "blur", "keyup"]) button.addEventListener(kind, end);
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // of a finger that rests
    button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") host.look(name);
    });
  }

  const acts = {
    "[": () => host.grow(0.8),
    "]": () => host.grow(1.25),
    n: () => host.step("next"),
    "+": () => host.zoom(1.25),
    "-": () => host.zoom(0.8),
    Escape: () => host.take(null),
  };
  const byKey = new Map(Object.entries(TOOLS).map(([name, key]) => [key, name]));
  const heldBy = new Map(Object.entries(LOOKS).map(([name, key]) => [key, name]));
  document.addEventListener("keydown", (event) => {
    const inside = viewer.contains(event.target);
    if (!viewer.offsetParent || !(inside || (host.tool() && event.target === document.body))) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.ctrlKey || event.metaKey) {
      const step = { z: event.shiftKey ? "redo" : "undo", y: "redo" }[key];
      if (!step || steps[step].disabled || event.altKey) return;
      event.preventDefault();
      host.step(step);
      return;
    }
    if (event.altKey) return;
    if (byKey.has(key)) host.take(host.tool() === byKey.get(key) ? null : byKey.get(key));
    else if (host.tool() && heldBy.has(key)) host.look(heldBy.get(key));
    else if (host.tool() && key === " " && !event.target.closest("button, a, input")) host.pan(true);
    else if (host.tool() && acts[key]) acts[key]();
    else return;
    event.preventDefault();
  });
  document.addEventListener("keyup", (event) => {
    if (event.key === " ") host.pan(false);
    if (heldBy.has(event.key.toLowerCase())) host.look(null);
  });
  window.addEventListener("blur", () => {
    host.pan(false);
    host.look(null);
  });

  return {
    node,
    hint,
    /**
     * @param {object} state
     * @param {string | null} state.tool
     * @param {boolean} state.rests whether none can be taken, as a new run has begun
     * @param {boolean} state.full whether the last stroke was refused, as there would be too many
     * @param {number} state.share size of the brush on the slider
     * @param {number} state.width of the brush, in pixels of the picture
     * @param {Record<string, boolean>} state.can which steps are possible
     */
    update({ tool, rests, full, share, width, can }) {
      node.classList.toggle("active", Boolean(tool));
      for (const [name, button] of Object.entries(tools)) {
        button.setAttribute("aria-pressed", String(name === tool));
        button.disabled = rests;
      }
      for (const [name, button] of Object.entries(steps)) button.disabled = !can[name];
      slider.value = String(share);
      const pixels = `${width < 10 ? width.toFixed(1) : Math.round(width)} px`;
      slider.setAttribute("aria-valuetext", pixels);
      number.textContent = pixels;
      size.hidden = tool === "click";
      steps.next.hidden = tool !== "click";
      hint.textContent = rests ? say.hint_rests : tool && full ? say.hint_full : tool ? say[`hint_${tool}`] : "";
    },
  };
};
