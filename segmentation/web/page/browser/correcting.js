// Corrections of the picture that the viewer shows: the tool in hand, what was said so far, and what the server knows.
import { layer } from "./layer.js";
import { painting } from "./painting.js";
import { erased, fits, History, isEmpty, NOTHING, nextCandidate, stroke } from "./strokes.js";
import { toolbar } from "./tools.js";
import { acknowledge, hold, unsent } from "./unsent.js";

const SIZES = [1 / 1000, 1 / 6]; // radius of the smallest and the largest brush, in longer sides of the picture

/**
 * What the viewer tells about its picture.
 * @typedef {object} Shown
 * @property {string} run
 * @property {number} index number of the picture
 * @property {string} key of the cutout
 * @property {[number, number]} size height and width of the whole picture
 * @property {string} before address of the picture
 * @property {string} alpha address of the alpha of the whole picture
 * @property {import("./strokes.js").Correction} correction what the server knows
 * @property {number} revision which of the corrections sent that is
 * @property {number} applied how many of the strokes the alpha has
 */

/**
 * @param {{ viewer: HTMLElement, stage: HTMLElement, sheet: HTMLElement }} elements
 * @param {object} host
 * @param {(image: HTMLImageElement, source: string) => void} host.load sets a picture's source once it has loaded
 * @param {() => void} host.render shows everything again, as another tool was taken
 * @param {(factor: number) => void} host.zoom
 * @param {(data: object) => void} host.send to the server
 */
export const correcting = ({ viewer, stage, sheet }, host) => {
  const over = layer(host.load);
  sheet.append(over.node);
  const histories = new Map(); // number of the picture -> History
  const revisions = new Map(); // number of the picture -> the latest correction that was sent, or came
  const received = new Map(); // number of the picture -> the latest correction that the server is known to have
  let revision = 0; // of the latest correction that was sent
  /** @type {Shown | null} */
  let shown = null;
  let run = null; // of what was shown last
  let tool = null;
  let look = null;
  let pans = false;
  let size = 1 / 50; // radius of the brush, in longer sides of the picture
  let full = false; // whether the last stroke was refused, as there would be too many
  let rests = false; // whether a new run may replace the picture
  let draft = null; // what is being drawn: a stroke, the strokes that an eraser leaves, or a box

  const tenth = (value) => Math.round(value * 10) / 10;
  const inside = (x, y) => x >= 0 && y >= 0 && x <= shown.size[1] && y <= shown.size[0];
  const boxOf = ([x, y], [u, v]) => {
    const [height, width] = shown.size;
    const held = (value, most) => tenth(Math.min(Math.max(value, 0), most));
    const box = [held(Math.min(x, u), width), held(Math.min(y, v), height)];
    return [...box, held(Math.max(x, u), width), held(Math.max(y, v), height)];
  };
  const longest = () => Math.max(...shown.size);
  const radius = () => Math.min(Math.max(size * longest(), 0.5), 2000);
  const history = () => histories.get(shown.index);

  const send = () => {
    revision = Math.max(revision + 1, Date.now());
    revisions.set(shown.index, revision);
    hold(shown.run, shown.index, { revision, correction: history().now });
    // as text, since the server accepts few lists, but long strings
    const { run: name, key, index } = shown;
    host.send({ run: name, key, index, revision, correction: JSON.stringify(history().now) });
  };
  // the server refuses strokes that lie outside as a whole, as what an eraser leaves may
  const reaches = ({ radius: reach, points }) =>
    [shown.size[1], shown.size[0]].every((side, axis) => {
      const values = points.map((each) => each[axis]);
      return Math.min(...values) - reach < side && Math.max(...values) + reach > 0;
    });
  const put = (change) => {
    full = !fits(change.strokes ?? []);
    if (full) {
      update();
      return;
    }
    history().push(change);
    draft = null;
    send();
    update();
  };

  const draw = () => {
    if (!tool || !shown) return;
    over.draw({ ...history().now, ...draft }, shown.size, shown.applied);
    over.sketch(draft?.stroke ?? null);
  };
  const steps = {
    undo: () => history().undo(),
    redo: () => history().redo(),
    clear: () => history().push(NOTHING),
    next: () => history().push({ candidate: nextCandidate(history().now) }),
  };
  const bar = toolbar(viewer, {
    tool: () => tool,
    take: (name) => {
      if (!shown || rests) return;
      brush.drop();
      tool = name;
      look = null;
      host.render();
      if (tool) stage.focus({ preventScroll: true });
    },
    step: (name) => {
      if (!shown || rests || !can()[name]) return;
      brush.drop();
      steps[name]();
      full = false;
      send();
      update();
    },
    look: (name) => {
      look = tool && name;
      host.render();
    },
    grow: (factor) => resize(radius() * factor),
    slide: (share) => resize(longest() * SIZES[0] * (SIZES[1] / SIZES[0]) ** share),
    zoom: host.zoom,
    pan: (value) => {
      pans = value && Boolean(tool);
      stage.classList.toggle("pans", pans);
      brush.refresh();
    },
  });
  const brush = painting(stage, sheet, {
    tool: () => tool,
    radius,
    resize: (value) => resize(value),
    size: () => shown.size,
    pans: () => pans,
    drawing: (places) => {
      if (tool === "erase") {
        let left = draft?.strokes ?? history().now.strokes;
        for (let place = draft?.rubbed ?? 0; place < places.length; place += 1) {
          left = erased(left, places[Math.max(place - 1, 0)], places[place], radius());
        }
        draft = { strokes: left, rubbed: places.length };
      } else draft = { stroke: { kind: tool, radius: radius(), points: places } };
      draw();
    },
    drawn: (places) => {
      const now = history().now;
      if (tool === "erase") {
        const left = draft?.strokes ?? now.strokes;
        if (left.length === now.strokes.length && left.every((each, place) => each === now.strokes[place]))
          draft = null;
        else put({ strokes: left.filter(reaches) }); // they may be more than before
      } else {
        const drawn = stroke(tool, radius(), places);
        if (reaches(drawn)) put({ strokes: [...now.strokes, drawn] });
      }
      draft = null;
      draw();
    },
    dropped: () => {
      draft = null;
      draw();
    },
    clicked: ([x, y], keep) => {
      const { points } = history().now;
      const reach = (10 * shown.size[1]) / sheet.clientWidth; // a click on a point takes it away
      const left = points.filter((point) => Math.hypot(point.x - x, point.y - y) > reach);
      if (left.length < points.length) put({ points: left, candidate: 1 });
      else if (inside(x, y)) put({ points: [...points, { x: tenth(x), y: tenth(y), keep }], candidate: 1 });
    },
    boxing: (from, to) => {
      draft = { box: boxOf(from, to) };
      draw();
    },
    boxed: (from, to) => {
      const [left, top, right, bottom] = boxOf(from, to);
      if (left < right && top < bottom) put({ box: [left, top, right, bottom], candidate: 1 });
      draft = null;
      draw();
    },
  });
  const resize = (value) => {
    const [least, most] = SIZES.map((share) => share * longest());
    size = Math.min(Math.max(value, least), most) / longest();
    brush.refresh();
    update();
  };
  const can = () => ({
    undo: history().canUndo,
    redo: history().canRedo,
    clear: !isEmpty(history().now),
    next: history().now.points.length > 0 || Boolean(history().now.box),
  });

  const update = () => {
    const share = Math.log(size / SIZES[0]) / Math.log(SIZES[1] / SIZES[0]);
    bar.update({ tool, rests, full, share, width: 2 * radius(), can: can() });
    draw();
    brush.refresh();
  };

  return {
    tools: bar.node,
    hint: bar.hint,
    cursor: brush.cursor,
    /** Whether a tool is in hand: then the whole picture is shown. */
    get isActive() {
      return Boolean(tool && shown);
    },
    get pans() {
      return pans;
    },
    /** Takes back what is being drawn: a second finger came. */
    drop: () => brush.drop(),
    /** Puts the tool away. */
    leave: () => {
      brush.drop();
      tool = look = null;
    },
    /** Switches the tools off, or on again. @param {boolean} value */
    rest: (value) => {
      if (value) {
        brush.drop();
        tool = look = null;
      }
      rests = value;
    },
    /** @param {Shown | null} now the picture that the viewer shows; null if it shows none */
    show: (now) => {
      if (now && now.run !== run) {
        run = now.run;
        histories.clear();
        revisions.clear();
        received.clear();
      }
      if (now?.index !== shown?.index) {
        brush.drop();
        full = false;
      }
      shown = now;
      bar.node.hidden = bar.hint.hidden = !now;
      viewer.classList.toggle("correcting", Boolean(tool && now));
      stage.classList.toggle("paints", Boolean(tool && now));
      if (!now) return;
      const held = revisions.has(now.index) ? null : unsent(now.run, now.index);
      revision = Math.max(revision, now.revision); // the clock may have gone back
      // the server knows more than this page if the page is new, or there is another
      if (now.revision > (revisions.get(now.index) ?? -1)) {
        revisions.set(now.index, now.revision);
        histories.set(now.index, new History(now.correction));
      }
      if (now.revision !== received.get(now.index)) {
        received.set(now.index, now.revision);
        acknowledge(now.run, now.index, now.revision);
      }
      if (held?.revision > now.revision) {
        histories.set(now.index, new History(held.correction));
        send();
      }
      over.node.hidden = !tool || look === "after";
      over.node.classList.toggle("before", look === "before");
      if (tool) over.pictures(now.before, now.alpha);
      update();
    },
  };
};
