// What lies on a picture while it is corrected: what is kept in full, what was removed in grey, and everything a person
// has said, on top. All is sized by the sheet, so it zooms with the picture.
import { make } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";

const drawn = (tag, attributes) => {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
};

/** The line of a stroke, which a single point has too. */
const path = (points) => (points.length > 1 ? points : [points[0], points[0]]).map((place) => place.join()).join(" ");

/** A stroke as two lines: its width, and along its middle a pattern that tells its kind without colour. */
const lines = ({ kind, radius, points }, isFresh) => {
  const group = drawn("g", { class: `${kind}${isFresh ? " fresh" : ""}` });
  group.append(
    drawn("polyline", { class: "width", points: path(points), "stroke-width": 2 * radius }),
    drawn("polyline", { class: "under", points: path(points) }),
    drawn("polyline", { class: "middle", points: path(points) }),
  );
  return group;
};

const share = (value, whole) => `${(100 * value) / whole}%`;

/**
 * @param {(image: HTMLImageElement, source: string) => void} show sets a picture's source once it has loaded
 */
export const layer = (show) => {
  const removed = make("img", { class: "removed", alt: "", draggable: "false" });
  const kept = make("img", { class: "kept", alt: "", draggable: "false" });
  const ink = drawn("svg", { class: "ink", preserveAspectRatio: "none", "aria-hidden": "true" });
  const marks = make("div", { class: "marks" });
  const node = make("div", { class: "correction" }, removed, kept, ink, marks);
  const settled = drawn("g", {});
  const sketched = drawn("g", {});
  ink.append(settled, sketched);
  let mask = null; // the picture that says what is kept; held, so that it is not loaded twice
  let before = []; // what was drawn last

  return {
    node,
    /**
     * @param {string} picture
     * @param {string} alpha of the whole picture, grey
     */
    pictures(picture, alpha) {
      show(removed, picture);
      show(kept, picture);
      if (mask?.src === alpha) return;
      const loading = new Image();
      mask = loading;
      loading.src = alpha;
      // it replaces the last one only when it can be painted at once, so that nothing flickers
      loading.decode().then(
        () => {
          if (mask === loading) kept.style.maskImage = `url("${alpha}")`;
        },
        () => {},
      );
    },
    /**
     * @param {import("./strokes.js").Correction} correction
     * @param {[number, number]} size height and width of the picture
     * @param {number} applied how many strokes have been answered
     */
    draw({ strokes, points, box }, [height, width], applied) {
      const now = [strokes, applied];
      if (now.some((each, place) => each !== before[place])) {
        settled.replaceChildren(...strokes.map((each, place) => lines(each, place >= applied)));
        before = now;
      }
      ink.setAttribute("viewBox", `0 0 ${width} ${height}`);
      marks.replaceChildren(
        ...points.map(({ x, y, keep }) =>
          make(
            "span",
            { class: keep ? "point" : "point less", style: `left:${share(x, width)};top:${share(y, height)}` },
            keep ? "+" : "−",
          ),
        ),
      );
      if (!box) return;
      const [left, top, right, bottom] = box;
      const frame = { left: share(left, width), top: share(top, height), width: share(right - left, width) };
      const mark = make("span", { class: "box" });
      Object.assign(mark.style, frame, { height: share(bottom - top, height) });
      marks.append(mark);
    },
    /** @param {import("./strokes.js").Stroke | null} stroke the one that is being drawn */
    sketch(stroke) {
      sketched.replaceChildren(...(stroke ? [lines(stroke, true)] : []));
    },
  };
};
