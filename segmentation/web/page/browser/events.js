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

/** Adds the key of the cutout or failed picture that the viewer shows to the values sent to the server: only the browser knows it. */
export function addSelected(_, ...values) {
  return [document.querySelector("#viewer .viewer").dataset.selected ?? "", ...values];
}

/** Cut out was pressed: a new run may replace the cutouts that the viewer shows. */
export function beginRun(...values) {
  document.querySelector("#viewer .viewer").parentElement.dispatchEvent(new CustomEvent("begin"));
  return values;
}

/** The run has ended, whether it replaced them or not. */
export function endRun() {
  document.querySelector("#viewer .viewer").parentElement.dispatchEvent(new CustomEvent("end"));
}

/** Goes to the cutouts. */
export function showCutouts() {
  document.querySelector("#results").scrollIntoView({ block: "start", behavior: "smooth" });
}

/** Controls shown for a kind of background: colour, backdrop, background_fit, background_blur. */
export function showForBackground(kind) {
  return ["colour", "picture", "picture", "blur"].map((its) => ({ __type__: "update", visible: kind === its }));
}

/** Controls shown for a crop and a canvas: crop, crop_margin, canvas_fill, canvas_align, canvas_margin. */
export function showForCanvas(crop, canvas) {
  const none = !canvas || canvas === "none";
  return [none, none && crop === true, !none, !none, !none].map((visible) => ({ __type__: "update", visible }));
}

/** Controls shown for a kind of shadow: shadow_angle, shadow_distance, shadow_blur, shadow_opacity. */
export function showForShadow(kind) {
  const [drop, any] = [kind === "drop" || kind === "both", kind !== "none"];
  return [drop, drop, any, any].map((visible) => ({ __type__: "update", visible }));
}

/** Controls shown for an outline: outline_colour. */
export function showForOutline(width) {
  return [{ __type__: "update", visible: width > 0 }];
}

/** Controls shown for a format: max_kb. */
export function showForFormat(format) {
  return [{ __type__: "update", visible: format !== "png" }];
}

/** Tells the page that a visitor asked for a picture, which is cut out once it is there. */
export function expectPictures(...values) {
  document.dispatchEvent(new CustomEvent("segmatte:expect"));
  return values;
}

/** Tells the page how many pictures there are now, and whether they are to be cut out at once. */
export function tellPictures(pictures, wanted) {
  document.dispatchEvent(new CustomEvent("segmatte:pictures", { detail: { count: pictures?.length ?? 0, wanted } }));
  return [];
}

/** Tells the page that a run has ended, whether it worked or not. */
export function tellEnd() {
  document.dispatchEvent(new CustomEvent("segmatte:end"));
}

/** Whether this browser remembers that pictures are to be cut out at once; some refuse to, in a frame of another site. */
export function wantsAutostart() {
  try {
    return localStorage.getItem("segmatte-autostart") !== "off";
  } catch {
    return true;
  }
}

/** Remembers it. */
export function keepAutostart(wanted) {
  try {
    localStorage.setItem("segmatte-autostart", wanted ? "on" : "off");
  } catch {
    // then it holds until the page is closed
  }
}

/** Controls for a softness: both thresholds, erode size, automatic erode size. */
export function edgesFor(facts, softness) {
  return [...facts.edges.softness[Math.round(softness)], false];
}

/** The softness nearest to both thresholds and the erode size. */
export function softnessOf(facts, ...values) {
  const far = (row) =>
    Math.abs(row[0] - values[0]) +
    Math.abs(row[1] - values[1]) +
    40 * Math.abs(Math.log((row[2] + 1) / (values[2] + 1)));
  const table = facts.edges.softness.map(far);
  return table.indexOf(Math.min(...table));
}

/** The control trust_mask for a position of "follow the model". */
export function followFor(facts, follow) {
  return facts.edges.follow[Math.round(follow)];
}

/** The position nearest to a trust_mask. */
export function followOf(facts, trust) {
  const table = facts.edges.follow.map((each) => Math.abs(each - trust));
  return table.indexOf(Math.min(...table));
}
