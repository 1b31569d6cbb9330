// Zoom and pan of a picture that is larger than its frame: wheel, drag, two fingers.

/**
 * @param {HTMLElement} stage the frame, which scrolls
 * @param {HTMLElement} sheet the picture in it
 * @param {object} host
 * @param {() => number} host.zoom 1 fits the frame
 * @param {(zoom: number) => void} host.set shows it at another zoom
 * @param {() => number | null} host.doubled the zoom of a double click, if it zooms
 * @param {(event: PointerEvent) => boolean} host.drags whether this pointer moves the picture
 * @param {() => void} host.pinches called when a second finger comes
 * @returns zooms around a point of the window, which stays in place; by default, the middle of the frame
 */
export const zooming = (stage, sheet, host) => {
  const zoomTo = (zoom, x, y) => {
    const frame = stage.getBoundingClientRect();
    const [atX, atY] = [x ?? frame.left + frame.width / 2, y ?? frame.top + frame.height / 2];
    const before = sheet.getBoundingClientRect();
    const [u, v] = [(atX - before.left) / before.width, (atY - before.top) / before.height];
    host.set(zoom);
    const after = sheet.getBoundingClientRect();
    stage.scrollBy(after.left + u * after.width - atX, after.top + v * after.height - atY);
  };
  stage.addEventListener(
    "wheel",
    (event) => {
      if (event.shiftKey) return; // see painting.js
      event.preventDefault();
      zoomTo(host.zoom() * Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), event.clientX, event.clientY);
    },
    { passive: false },
  );
  stage.addEventListener("dblclick", (event) => {
    const zoom = host.doubled();
    if (zoom) zoomTo(zoom, event.clientX, event.clientY);
  });

  const fingers = new Map();
  let pinch = null; // distance and middle of the fingers when the picture last moved
  let drag = null; // start of the drag plus the scroll position at that moment
  const spread = () => {
    const [a, b] = fingers.values();
    return [
      Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY),
      (a.clientX + b.clientX) / 2,
      (a.clientY + b.clientY) / 2,
    ];
  };
  stage.addEventListener(
    "pointerdown",
    (event) => {
      fingers.set(event.pointerId, event);
      if (fingers.size === 2) {
        pinch = spread();
        host.pinches();
      } else if (host.drags(event)) {
        event.preventDefault(); // the middle button would begin to scroll by itself
        drag = [event.clientX + stage.scrollLeft, event.clientY + stage.scrollTop];
        stage.setPointerCapture(event.pointerId);
      }
    },
    true,
  );
  stage.addEventListener(
    "pointermove",
    (event) => {
      if (!fingers.has(event.pointerId)) return;
      fingers.set(event.pointerId, event);
      if (pinch && fingers.size === 2) {
        const [distance, x, y] = spread();
        zoomTo((host.zoom() * distance) / pinch[0], pinch[1], pinch[2]);
        stage.scrollBy(pinch[1] - x, pinch[2] - y);
        pinch = [distance, x, y];
      } else if (drag && stage.hasPointerCapture(event.pointerId)) {
        stage.scrollTo(drag[0] - event.clientX, drag[1] - event.clientY);
      }
    },
    true,
  );
  for (const kind of ["pointerup", "pointercancel"]) {
    window.addEventListener(kind, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size < 2) pinch = drag = null;
    });
  }
  return zoomTo;
};
