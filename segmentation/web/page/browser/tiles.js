// Pictures that are too large to be loaded whole, painted on a canvas of the frame's size: the picture at screen size,
// and over it tiles of what is in sight, as sharp as the screen shows them. See tiles.py.
import { make } from "./common.js";

const SIDE = 512; // pixels
const COARSE = 1024; // pixels of the longer side, at least, of what lies under the tiles until they are there
const MARGIN = 256; // CSS pixels around the frame, so that tiles are there before they are seen

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
 * @param {HTMLElement} sheet the picture in it, whose place the canvas takes
 */
export const tiling = (stage, sheet) => {
  const canvas = make("canvas", { class: "tiles", hidden: "", "aria-hidden": "true" });
  const context = canvas.getContext("2d", { alpha: true });
  /** @type {Painted[]} */
  let layers = [];
  let isDue = false;
  const images = new Map(); // address -> image
  let used = new Set(); // addresses of the last frame

  const loaded = (address) => {
    used.add(address);
    let image = images.get(address);
    if (!image) {
      image = new Image();
      image.src = address;
      images.set(address, image);
      image.decode().then(drawSoon, () => {});
    }
    return image.complete && image.naturalWidth ? image : null;
  };
  const checker = () => {
    const dark = document.body.classList.contains("dark");
    const square = Object.assign(document.createElement("canvas"), { width: 20, height: 20 });
    const ink = square.getContext("2d");
    ink.fillStyle = dark ? "#262b34" : "#f4f6f8";
    ink.fillRect(0, 0, 20, 20);
    ink.fillStyle = dark ? "#3a414d" : "#c9ced6";
    ink.fillRect(10, 0, 10, 10);
    ink.fillRect(0, 10, 10, 10);
    return context.createPattern(square, "repeat");
  };

  /** @param {Painted} layer @param {DOMRect} frame @param {DOMRect} box of the layer on the screen */
  const paint = (layer, frame, box) => {
    const [height, width] = layer.size;
    const scale = width / box.width; // pixels of the file across a CSS pixel
    const level = Math.max(0, Math.floor(Math.log2(scale / window.devicePixelRatio)));
    const coarse = Math.max(0, Math.floor(Math.log2(Math.max(width, height) / COARSE)));
    const under = layer.screen && loaded(layer.screen);
    if (under) {
      const share = under.naturalWidth / box.width;
      const [x, y] = [Math.max(0, frame.left - box.left), Math.max(0, frame.top - box.top)];
      const across = Math.min(box.width - x, frame.width);
      const down = Math.min(box.height - y, frame.height);
      const place = [box.left + x - frame.left, box.top + y - frame.top, across, down];
      context.drawImage(under, x * share, y * share, across * share, down * share, ...place);
    }
    if (!layer.screen && coarse > level) paintLevel(coarse, layer, frame, box);
    paintLevel(level, layer, frame, box);
  };
  const paintLevel = (level, layer, frame, box) => {
    const [height, width] = layer.size;
    const scale = width / box.width;
    const step = SIDE * 2 ** level;
    const range = (from, to, origin, whole) => [
      Math.max(0, Math.floor(((from - MARGIN - origin) * scale) / step)),
      Math.min(Math.ceil(whole / step), Math.ceil(((to + MARGIN - origin) * scale) / step)),
    ];
    const [left, right] = range(frame.left, frame.right, box.left, width);
    const [top, bottom] = range(frame.top, frame.bottom, box.top, height);
    for (let y = top; y < bottom; y += 1) {
      for (let x = left; x < right; x += 1) {
        const query = new URLSearchParams({ file: layer.file, level, x, y });
        const tile = loaded(new URL(`./tile?${query}`, document.baseURI).href);
        if (!tile) continue;
        const [wide, high] = [Math.min(step, width - x * step) / scale, Math.min(step, height - y * step) / scale];
        const place = [box.left - frame.left + (x * step) / scale, box.top - frame.top + (y * step) / scale];
        context.clearRect(...place, wide, high); // what lies below it is less sharp
        ground(...place, wide, high);
        context.drawImage(tile, ...place, wide, high);
      }
    }
  };
  let pattern = null;
  const ground = (...rectangle) => {
    context.fillStyle = pattern;
    context.fillRect(...rectangle);
  };

  const draw = () => {
    isDue = false;
    if (canvas.hidden) return;
    const frame = stage.getBoundingClientRect();
    const whole = sheet.getBoundingClientRect();
    const ratio = window.devicePixelRatio;
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      Object.assign(canvas.style, { width: `${width}px`, height: `${height}px` });
    }
    const host = canvas.parentElement.getBoundingClientRect();
    canvas.style.left = `${frame.left - host.left}px`;
    canvas.style.top = `${frame.top - host.top}px`;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    pattern = checker();
    const at = Number.parseFloat(sheet.style.getPropertyValue("--at")) / 100;
    const edge = whole.left - frame.left + at * whole.width;
    used = new Set();
    for (const layer of layers) {
      const box = new DOMRect(
        whole.left + layer.box.left * whole.width,
        whole.top + layer.box.top * whole.height,
        layer.box.width * whole.width,
        layer.box.height * whole.height,
      );
      const [from, to] = layer.side === "left" ? [0, Math.min(edge, width)] : [Math.max(0, edge), width];
      if (to <= from) continue;
      context.save();
      context.beginPath();
      context.rect(from, 0, to - from, height);
      context.clip();
      ground(whole.left - frame.left, whole.top - frame.top, whole.width, whole.height);
      paint(layer, frame, box);
      context.restore();
    }
    for (const address of images.keys()) if (!used.has(address)) images.delete(address);
  };
  const drawSoon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(draw);
  };
  stage.addEventListener("scroll", drawSoon, { passive: true });
  window.addEventListener("scroll", drawSoon, { passive: true });
  new MutationObserver(drawSoon).observe(sheet, { attributes: true, attributeFilter: ["style"] });

  return {
    node: canvas,
    /** @param {Painted[]} painted none hides the canvas */
    show(painted) {
      layers = painted;
      canvas.hidden = !painted.length;
      sheet.classList.toggle("painted", painted.length > 0);
      if (!painted.length) images.clear();
      drawSoon();
    },
  };
};
