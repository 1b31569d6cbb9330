// Browser-side handlers of events, run before the server's or instead of it. Gradio gets each of these functions alone,
// so none may refer to anything outside itself.

/** Stores the settings in this browser, and marks those that were changed. Their names are among the page's facts. */
export function keepSettings(facts, saved, ...values) {
  const now = Object.fromEntries(facts.stored.map((name, place) => [name, values[place]]));
  document.dispatchEvent(new CustomEvent("segmatte:settings", { detail: now }));
  return window.location.search ? saved : now; // settings from a link are not this visitor's own choice
}

/** Adds the address of the page to the values sent to the server: only the browser knows it. */
export function addAddress(...values) {
  return [...values.slice(0, -1), window.location.origin + window.location.pathname];
}

/** Adds the key of the cutout that the viewer shows to the values sent to the server: only the browser knows it. */
export function addSelected(_, ...values) {
  return [document.querySelector("#viewer .viewer").dataset.selected ?? "", ...values];
}

/** Goes to the tab of the cutouts. */
export function showCutouts() {
  document.querySelector("#tabs button[role=tab]").click();
}

/** Controls shown for a kind of background: colour, backdrop, background_fit, background_blur. */
export function showForBackground(kind) {
  return ["colour", "picture", "picture", "blur"].map((its) => ({ __type__: "update", visible: kind === its }));
}

/** Controls shown for cropping: crop_margin. */
export function showForCrop(crop) {
  return [{ __type__: "update", visible: crop === true }];
}
