// What a person says about a picture: strokes, points and a box, in pixels of the whole picture, and the history of it.
// Data alone: nothing here knows the page.

/**
 * @typedef {[number, number]} Place x from the left, y from the top
 * @typedef {{ kind: "keep" | "remove" | "solve", radius: number, points: Place[] }} Stroke
 * @typedef {{ x: number, y: number, keep: boolean }} Point
 * @typedef {[number, number, number, number]} Box left, top, right, bottom
 * @typedef {{ strokes: Stroke[], points: Point[], box: Box | null, candidate: number }} Correction the candidate is the
 *   place of the answer to points and box that is taken, from 1; beyond the last, counting starts over
 */

/** Nothing was said. @type {Correction} */
export const NOTHING = { strokes: [], points: [], box: null, candidate: 1 };
const MAX_CANDIDATE = 1000; // as the server has it
const [MAX_STROKES, MAX_STROKE_POINTS] = [500, 20_000]; // of a picture, as the server has it

/** Whether a correction says nothing. @param {Correction} correction */
export const isEmpty = (correction) => !correction.strokes.length && !correction.points.length && !correction.box;

const tenth = (value) => Math.round(value * 10) / 10;

/** Distance of a place from the line between two others. */
const distance = ([x, y], [ax, ay], [bx, by]) => {
  const [dx, dy] = [bx - ax, by - ay];
  const along = Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy || 1), 0), 1);
  return Math.hypot(x - ax - along * dx, y - ay - along * dy);
};

/**
 * Fewer places along the same line: none that is left out lies farther than `tolerance` from it (Douglas and Peucker).
 * @param {Place[]} places
 * @param {number} tolerance
 */
export const thinned = (places, tolerance) => {
  const kept = new Set([0, places.length - 1]);
  const parts = [[0, places.length - 1]];
  while (parts.length) {
    const [first, last] = parts.pop();
    let [farthest, most] = [0, tolerance];
    for (let place = first + 1; place < last; place += 1) {
      const away = distance(places[place], places[first], places[last]);
      if (away > most) [farthest, most] = [place, away];
    }
    if (!farthest) continue;
    kept.add(farthest);
    parts.push([first, farthest], [farthest, last]);
  }
  return places.filter((_, place) => kept.has(place));
};

/**
 * A stroke of few points, a few kB at most: a hand is not steadier than a tenth of its brush.
 * @param {Stroke["kind"]} kind
 * @param {number} radius
 * @param {Place[]} places
 * @returns {Stroke}
 */
export const stroke = (kind, radius, places) => ({
  kind,
  radius: tenth(radius),
  points: thinned(places, Math.max(0.25, radius / 10)).map(([x, y]) => [tenth(x), tenth(y)]),
});

/** Places at most `step` apart along a line, its own among them. */
const dense = (places, step) =>
  places.flatMap((to, number) => {
    if (!number) return [to];
    const from = places[number - 1];
    const count = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / step));
    return Array.from({ length: count }, (_, part) =>
      [0, 1].map((axis) => from[axis] + ((to[axis] - from[axis]) * (part + 1)) / count),
    );
  });

/**
 * Strokes without what an eraser touches on its way from one place to another. What is left of one stays as it was.
 * @param {Stroke[]} strokes
 * @param {Place} from
 * @param {Place} to
 * @param {number} radius of the eraser
 */
export const erased = (strokes, from, to, radius) =>
  strokes.flatMap((each) => {
    const reach = Math.max(radius, each.radius);
    const touched = (place) => distance(place, from, to) < reach;
    const places = dense(each.points, Math.max(0.5, reach / 4));
    if (!places.some(touched)) return [each];
    const runs = [[]];
    for (const place of places) {
      if (touched(place)) runs.push([]);
      else runs.at(-1).push(place);
    }
    return runs.filter((run) => run.length > 1).map((run) => stroke(each.kind, each.radius, run));
  });

/** Which candidate comes after that of a correction. @param {Correction} correction */
export const nextCandidate = ({ candidate }) => (candidate % MAX_CANDIDATE) + 1;

/** Whether the server takes as many strokes. @param {Stroke[]} strokes */
export const fits = (strokes) =>
  strokes.length <= MAX_STROKES && strokes.reduce((sum, each) => sum + each.points.length, 0) <= MAX_STROKE_POINTS;

/** What was said about one picture, step by step. */
export class History {
  /** @param {Correction} correction known already, as of a page that was reloaded: its parts can be taken back */
  constructor({ strokes = [], points = [], box = null, candidate = 1 } = NOTHING) {
    const states = [NOTHING];
    const then = (change) => states.push({ ...states.at(-1), ...change });
    strokes.forEach((_, last) => {
      then({ strokes: strokes.slice(0, last + 1) });
    });
    points.forEach((_, last) => {
      then({ points: points.slice(0, last + 1) });
    });
    if (box) then({ box });
    if (candidate > 1) then({ candidate });
    this.states = states;
    this.at = states.length - 1;
  }
  get now() {
    return this.states[this.at];
  }
  get canUndo() {
    return this.at > 0;
  }
  get canRedo() {
    return this.at < this.states.length - 1;
  }
  /** Take the next step; what was undone is forgotten. @param {Partial<Correction>} change */
  push(change) {
    this.states = [...this.states.slice(0, this.at + 1), { ...this.now, ...change }];
    this.at += 1;
  }
  undo() {
    if (this.canUndo) this.at -= 1;
  }
  redo() {
    if (this.canRedo) this.at += 1;
  }
}
