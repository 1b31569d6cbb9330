// Pointers and keys on the picture: strokes of a brush, rubbing, clicks and boxes, all in pixels of the picture.
import { make } from "./common.js";

const CLICK = 6; // pixels on the screen that a click may wander without becoming a box
const LONG = 500; // milliseconds after which a finger's press counts as the other button

/**
 * @param {HTMLElement} stage where pointers are, and the keyboard's focus
 * @param {HTMLElement} sheet the whole picture
 * @param {object} host
 * @param {() => string | null} host.tool the tool in hand
 * @param {() => number} host.radius of its brush, in pixels of the picture
 * @param {(radius: number) => void} host.resize
 * @param {() => [number, number]} host.size height and width of the picture
 * @param {() => boolean} host.pans whether the picture is being moved instead
 * @param {(places: import("./strokes.js").Place[]) => void} host.drawing what is drawn so far
 * @param {(places: import("./strokes.js").Place[]) => void} host.drawn
 * @param {() => void} host.dropped nothing was drawn after all
 * @param {(place: import("./strokes.js").Place, keep: boolean) => void} host.clicked
 * @param {(from: import("./strokes.js").Place, to: import("./strokes.js").Place) => void} host.boxing
 * @param {(from: import("./strokes.js").Place, to: import("./strokes.js").Place) => void} host.boxed
 * @returns {{ cursor: HTMLElement, drop: () => void, refresh: () => void }} the outline of the brush, to lie over the
 *   stage; a function that takes back what is being drawn; and one that shows the brush as it is now
 */
export const painting = (stage, sheet, host) => {
  const cursor = make("div", { class: "brush", "aria-hidden": "true", hidden: "" });
  let hand = null; // what is being drawn: its pointer, places, and where it began on the screen
  let last = null; // where the last stroke ended: Shift continues from there in a straight line
  let at = null; // where the brush is, in pixels of the picture
  let pen = null; // what the keyboard draws

  const scale = () => sheet.getBoundingClientRect().width / host.size()[1]; // screen pixels per pixel of the picture
  const place = ({ clientX, clientY }) => {
    const [box, [height, width]] = [sheet.getBoundingClientRect(), host.size()];
    return [((clientX - box.left) / box.width) * width, ((clientY - box.top) / box.height) * height];
  };
  const brushes = () => host.tool() && host.tool() !== "click";

  const refresh = () => {
    cursor.hidden = !host.tool() || !at || host.pans();
    if (cursor.hidden) return;
    const [picture, frame] = [sheet.getBoundingClientRect(), cursor.parentElement.getBoundingClientRect()];
    const side = brushes() ? 2 * host.radius() * scale() : 12;
    cursor.className = `brush ${host.tool()}`;
    cursor.style.width = cursor.style.height = `${side}px`;
    cursor.style.left = `${picture.left - frame.left + at[0] * scale()}px`;
    cursor.style.top = `${picture.top - frame.top + at[1] * scale()}px`;
  };
  const point = (to) => {
    at = to;
    refresh();
  };

  const drop = () => {
    if (!hand && !pen) return;
    clearTimeout(hand?.timer);
    hand = pen = null;
    host.dropped();
  };

  const press = (event) => {
    if (!host.tool() || host.pans() || !event.isPrimary || event.button === 1 || hand) return;
    if (brushes() && event.button) return;
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    const here = place(event);
    const straight = brushes() && event.shiftKey && last;
    hand = { id: event.pointerId, places: straight ? [last, here] : [here], from: event, keep: true };
    hand.keep = event.button === 0 && !event.altKey && !event.ctrlKey;
    point(here);
    if (brushes()) host.drawing(hand.places);
    else if (event.pointerType === "touch") {
      hand.timer = setTimeout(() => {
        if (hand.boxes) return;
        hand.keep = false;
        navigator.vibrate?.(20);
      }, LONG);
    }
  };
  const move = (event) => {
    if (event.pointerType !== "touch" || hand) point(place(event));
    if (hand?.id !== event.pointerId) return;
    if (brushes()) {
      const all = event.getCoalescedEvents?.() ?? [];
      hand.places.push(...(all.length ? all : [event]).map(place));
      host.drawing(hand.places);
      return;
    }
    hand.boxes ||= Math.hypot(event.clientX - hand.from.clientX, event.clientY - hand.from.clientY) > CLICK;
    if (hand.boxes) host.boxing(hand.places[0], place(event));
  };
  const release = (event) => {
    if (hand?.id !== event.pointerId) return;
    const { places, boxes, keep, timer } = hand;
    clearTimeout(timer);
    hand = null;
    if (brushes()) {
      last = places.at(-1);
      host.drawn(places);
    } else if (boxes) host.boxed(places[0], place(event));
    else host.clicked(places[0], keep);
    if (event.pointerType === "touch") point(null);
  };
  stage.addEventListener("pointerdown", press);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", release);
  stage.addEventListener("pointercancel", drop);
  stage.addEventListener("pointerleave", (event) => {
    if (!hand && event.pointerType !== "touch") point(null);
  });
  stage.addEventListener("contextmenu", (event) => {
    if (host.tool()) event.preventDefault();
  });
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!event.shiftKey || !brushes()) return;
      event.preventDefault();
      host.resize(host.radius() * Math.exp(-(event.deltaY || event.deltaX) / 400));
      refresh();
    },
    { passive: false },
  );

  // The keyboard moves the brush by its own radius, with Shift by a pixel; Enter puts it down and lifts it.
  const steer = (event) => {
    const [height, width] = host.size();
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const step = event.shiftKey ? 1 : Math.max(1, brushes() ? host.radius() : width / 50);
    const [x, y] = at ?? [width / 2, height / 2];
    point([Math.min(Math.max(x + dx * step, 0), width), Math.min(Math.max(y + dy * step, 0), height)]);
    if (!pen) return;
    pen.push(at);
    host.drawing(pen);
  };
  const tap = (event) => {
    const [height, width] = host.size();
    if (!at) return point([width / 2, height / 2]);
    if (!brushes()) return host.clicked(at, !event.altKey);
    if (pen) {
      host.drawn(pen);
      pen = null;
    } else {
      pen = [at];
      host.drawing(pen);
    }
  };
  stage.addEventListener("keydown", (event) => {
    if (!host.tool() || event.target !== stage || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter") tap(event);
    else if (event.key.startsWith("Arrow")) steer(event);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  stage.addEventListener("blur", () => pen && drop());
  return { cursor, drop, refresh };
};
