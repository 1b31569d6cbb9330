// Pictures that are too large to be loaded whole, painted in tiles, as sharp as the screen shows them. See tiles.py.
// The canvas is the part of the picture that is in sight and a margin around it. It lies on the picture and moves with
// it, so nothing is painted while the picture moves, until the margin is used up.
import { make } from "./common.js";

const SIDE = 512; // pixels
const COARSE = 1024; // pixels of the longer side, at least, of what is seen until the tiles are there
const MARGIN = 128; // CSS pixels
const KEPT = 80; // tiles, of 1 MB each, as far as no more are in sight

/**
 * One picture of the sheet. Its box is in shares of the sheet.
 * @typedef {object} Painted
 * @property {string} file path in the upload folder
 * @property {[number, number]} size height and width of the file
 * @property {string | null} screen address of the picture at screen size, if there is one
 * @property {{ left: number, top: number, width: number, height: number }} box
 * @property {"left" | "right"} side which side of the comparison it is on
 */

/**
 * @param {HTMLElement} stage the frame, which scrolls
 * @param {HTMLElement} sheet the picture in it
 */
export const tiling = (stage, sheet) => {
  const canvas = make("canvas", { class: "tiles", hidden: "", "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  /** @type {Painted[]} */
  let layers = [];
  let isDue = false;
  let area = null; // what is painted, unless that is stale: left, top, right and bottom in CSS pixels of the sheet
  const images = new Map(); // address -> image, null until it is there; those used last come last
  let used = new Set(); // addresses in the area
  let late = new Map(); // address -> what paints it as soon as it is there

  /** An image, if it is there; otherwise, what is done with it then. */
  const loaded = (address, then) => {
    const image = images.get(address) ?? null;
    if (!images.has(address)) load(address);
    used.add(address);
    images.delete(address);
    images.set(address, image);
    if (!image) late.set(address, then);
    return image;
  };
  const load = async (address) => {
    const image = new Image();
    image.src = address;
    try {
      await image.decode();
      const bitmap = await createImageBitmap(image); // an image may be decoded anew each time it is painted
      if (!images.has(address)) return bitmap.close();
      images.set(address, bitmap);
      late.get(address)?.(bitmap);
      late.delete(address);
    } catch {
      images.delete(address); // the server is away, or it has expired: it is asked for again when more is painted
    }
  };
  const forget = (address) => {
    images.get(address)?.close();
    images.delete(address);
  };

  /** @param {Painted} layer @param {DOMRect} whole the sheet @param {[number, number]} sides of it, on the canvas */
  const paint = (layer, whole, [from, to]) => {
    const [height, width] = layer.size;
    const ratio = window.devicePixelRatio;
    const [left, top] = [layer.box.left * whole.width, layer.box.top * whole.height];
    const scale = width / (layer.box.width * whole.width); // pixels of the file across a CSS pixel
    // on pixels of the canvas, so that no seam is seen between two
    const onCanvas = (...corners) => {
      const [x, y, right, bottom] = corners.map((each, side) =>
        Math.round((each / scale + (side % 2 ? top - area[1] : left - area[0])) * ratio),
      );
      return [x, y, right - x, bottom - y];
    };
    const put = (image, box) => {
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, canvas.height);
      context.clip();
      context.clearRect(...box); // what is seen there until now is less sharp, and a cutout would show it through
      context.drawImage(image, ...box);
      context.restore();
    };
    const tiles = (level) => {
      const step = SIDE * 2 ** level;
      const [x, y, right, bottom] = area.map((each, side) => (each - (side % 2 ? top : left)) * scale);
      const found = [];
      for (let row = Math.max(0, Math.floor(y / step)); row * step < Math.min(bottom, height); row += 1) {
        for (let column = Math.max(0, Math.floor(x / step)); column * step < Math.min(right, width); column += 1) {
          const query = new URLSearchParams({ file: layer.file, level, x: column, y: row });
          const [end, low] = [Math.min((column + 1) * step, width), Math.min((row + 1) * step, height)];
          found.push({
            address: new URL(`./tile?${query}`, document.baseURI).href,
            box: onCanvas(column * step, row * step, end, low),
          });
        }
      }
      return found;
    };
    const putAll = (found, then) => {
      for (const { address, box } of found) {
        const image = loaded(address, then ?? ((bitmap) => put(bitmap, box)));
        if (image) put(image, box);
      }
    };

    const level = Math.max(0, Math.floor(Math.log2(scale / ratio)));
    const coarse = Math.max(0, Math.floor(Math.log2(Math.max(width, height) / COARSE)));
    const sharp = tiles(level);
    if (!sharp.every(({ address }) => images.get(address))) {
      if (layer.screen) putAll([{ address: layer.screen, box: onCanvas(0, 0, width, height) }], repaint);
      else if (coarse > level) putAll(tiles(coarse), repaint);
    }
    putAll(sharp);
  };

  const draw = () => {
    isDue = false;
    if (canvas.hidden) return;
    const [frame, whole] = [stage.getBoundingClientRect(), sheet.getBoundingClientRect()];
    const seen = (margin) => [
      Math.max(0, Math.floor(frame.left - whole.left - margin)),
      Math.max(0, Math.floor(frame.top - whole.top - margin)),
      Math.min(whole.width, Math.ceil(frame.right - whole.left + margin)),
      Math.min(whole.height, Math.ceil(frame.bottom - whole.top + margin)),
    ];
    const [x, y, right, bottom] = seen(0);
    if (area && area[0] <= x && area[1] <= y && area[2] >= right && area[3] >= bottom) return;
    area = seen(MARGIN);
    const ratio = window.devicePixelRatio;
    const [width, height] = [area[2] - area[0], area[3] - area[1]];
    const size = { width: Math.round(width * ratio), height: Math.round(height * ratio) };
    if (canvas.width !== size.width || canvas.height !== size.height) Object.assign(canvas, size);
    else context.clearRect(0, 0, canvas.width, canvas.height);
    Object.assign(canvas.style, {
      left: `${area[0]}px`,
      top: `${area[1]}px`,
      width: `${width}px`,
      height: `${height}px`,
    });
    const at = (Number.parseFloat(sheet.style.getPropertyValue("--at")) / 100) * whole.width;
    const edge = Math.round(Math.min(Math.max(at - area[0], 0), width) * ratio);
    late = new Map();
    used = new Set();
    for (const layer of layers) {
      const sides = layer.side === "left" ? [0, edge] : [edge, canvas.width];
      if (sides[1] > sides[0]) paint(layer, whole, sides);
    }
    for (const address of images.keys()) {
      if (images.size <= KEPT || used.has(address)) break;
      forget(address);
    }
  };
  const drawSoon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(draw);
  };
  const repaint = () => {
    area = null;
    drawSoon();
  };
  stage.addEventListener("scroll", drawSoon, { passive: true });
  new MutationObserver(repaint).observe(sheet, { attributes: true, attributeFilter: ["style"] });

  return {
    node: canvas,
    /** @param {Painted[]} painted none hides the canvas */
    show(painted) {
      layers = painted;
      canvas.hidden = !painted.length;
      sheet.classList.toggle("painted", painted.length > 0);
      if (!painted.length) for (const address of [...images.keys()]) forget(address);
      repaint();
    },
  };
};
