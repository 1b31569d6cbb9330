// Pictures that are too large to be loaded whole, painted in tiles, as sharp as the screen shows them. See tiles.py.
// The canvas is the part of the picture that is in sight and a margin around it. It lies on the picture and moves with
// it, so nothing is painted while the picture moves, until the margin is used up.
import { make } from "./common.js";

const SIDE = 512; // pixels
const COARSE = 1024; // pixels of the longer side, at least, of what is seen until the tiles are there
const MARGIN = 128; // CSS pixels

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
  const images = new Map(); // address -> image, null until it is there
  let used = new Set(); // addresses of the last painting

  const loaded = (address) => {
    used.add(address);
    if (!images.has(address)) {
      images.set(address, null);
      const image = new Image();
      image.src = address;
      image
        .decode()
        .then(() => createImageBitmap(image)) // an image may be decoded anew each time it is painted
        .then((bitmap) => {
          if (images.has(address)) images.set(address, bitmap);
          repaint();
        })
        .catch(() => {});
    }
    return images.get(address);
  };

  /** The tiles of a layer in the area: image, if it is there, and place on the canvas. */
  const tiles = (level, { file, size: [height, width] }, place) => {
    const step = SIDE * 2 ** level;
    const [left, top] = place.pixel(area[0], area[1]).map((each) => Math.max(0, Math.floor(each / step)));
    const [right, bottom] = place.pixel(area[2], area[3]);
    const found = [];
    for (let y = top; y * step < Math.min(bottom, height); y += 1) {
      for (let x = left; x * step < Math.min(right, width); x += 1) {
        const query = new URLSearchParams({ file, level, x, y });
        const image = loaded(new URL(`./tile?${query}`, document.baseURI).href);
        const corners = [x * step, y * step, Math.min((x + 1) * step, width), Math.min((y + 1) * step, height)];
        found.push({ image, box: place.box(...corners) });
      }
    }
    return found;
  };
  const put = ({ image, box }) => {
    if (!image) return;
    context.clearRect(...box); // what is seen there until now is less sharp, and a cutout would show it through
    context.drawImage(image, ...box);
  };

  /** @param {Painted} layer @param {DOMRect} whole the sheet */
  const paint = (layer, whole) => {
    const [height, width] = layer.size;
    const ratio = window.devicePixelRatio;
    const [left, top] = [layer.box.left * whole.width, layer.box.top * whole.height];
    const scale = width / (layer.box.width * whole.width); // pixels of the file across a CSS pixel
    const place = {
      pixel: (x, y) => [(x - left) * scale, (y - top) * scale],
      // on pixels of the canvas, so that no seam is seen between two
      box: (...corners) => {
        const [x, y, right, bottom] = corners.map((each, side) =>
          Math.round((each / scale + (side % 2 ? top - area[1] : left - area[0])) * ratio),
        );
        return [x, y, right - x, bottom - y];
      },
    };
    const level = Math.max(0, Math.floor(Math.log2(scale / ratio)));
    const sharp = tiles(level, layer, place);
    if (!sharp.every(({ image }) => image)) {
      const coarse = Math.max(0, Math.floor(Math.log2(Math.max(width, height) / COARSE)));
      if (layer.screen) put({ image: loaded(layer.screen), box: place.box(0, 0, width, height) });
      else if (coarse > level) tiles(coarse, layer, place).forEach(put);
    }
    sharp.forEach(put);
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
    used = new Set();
    for (const layer of layers) {
      const [from, to] = layer.side === "left" ? [0, edge] : [edge, canvas.width];
      if (to <= from) continue;
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, canvas.height);
      context.clip();
      paint(layer, whole);
      context.restore();
    }
    for (const address of images.keys()) if (!used.has(address)) images.delete(address);
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
      if (!painted.length) images.clear();
      repaint();
    },
  };
};
