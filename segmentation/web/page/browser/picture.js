// The picture in its frame: which of its files is shown where, and how large. Near the screen's size it is that file, and
// of a large one only tiles. See viewer.js for what an item is.
import { url } from "./common.js";
import { tiling } from "./tiles.js";
import { clip, doubt, handle, own, STAGES, sheet, show, stage, whole } from "./viewer_parts.js";

const WHOLE = 6e6; // pixels of a file that is loaded whole; of a larger one, tiles
const MAX_ZOOM = 16; // screen pixels per pixel of the picture
const CLOSE = 1500; // screen pixels: a picture wider than that is shown from its file, which slow connections take long for

/** @typedef {[number, number, number, number]} Box left, top, right, bottom in pixels of the picture */

const shares = ([left, top, right, bottom], [x, y, u, v]) => ({
  left: (x - left) / (right - left),
  top: (y - top) / (bottom - top),
  width: (u - x) / (right - left),
  height: (v - y) / (bottom - top),
});
const put = (node, part, box) => {
  for (const [side, share] of Object.entries(shares(part, box))) node.style[side] = `${100 * share}%`;
};

export const picturing = () => {
  const tiles = tiling(stage, sheet);
  clip.after(tiles.node); // below the rule and the marks of doubt

  return {
    /**
     * @param {object} item the cutout, or its preview
     * @param {object} kept the cutout of which that may be a preview
     * @param {string} view "compare", "cutout", a stage, or "correct"
     * @param {number} zoom 1 fits the frame
     * @returns the zoom within its limits, the one at which a pixel of the file is one of the screen, and whether the
     *   files are shown instead of their pictures at screen size
     */
    show(item, kept, view, zoom) {
      const [height, width] = item.size;
      /** @type {Box} */
      const all = [0, 0, width, height];
      const staged = STAGES.includes(view);
      // the written part, but all of a picture that is corrected
      const part = view === "correct" ? all : item.box;
      const [across, down] = [part[2] - part[0], part[3] - part[1]];

      const scale = (kept.size[1] / width) * kept.density; // pixels of the file across one of the picture shown
      const natural = (across * scale) / window.devicePixelRatio; // CSS width at one screen pixel per pixel of the file
      // limits how far small pictures are enlarged
      const fit = Math.min(stage.clientWidth, (stage.clientHeight * across) / down, 4 * natural) || natural;
      const pixels = natural / fit;
      const limited = Math.min(Math.max(zoom, Math.min(1, pixels)), Math.max(MAX_ZOOM * pixels, 1));
      sheet.dataset.view = view;
      sheet.style.aspectRatio = `${across} / ${down}`;
      sheet.style.width = `${fit * limited}px`;
      sheet.style.setProperty("--at", view === "compare" ? `${handle.value}%` : staged ? "100%" : "0%");
      stage.classList.toggle("zoomed", limited > 1);
      // views of the whole picture are positioned so that the written part is visible
      for (const each of [whole, doubt.node]) put(each, part, all);
      put(own, part, item.box);
      doubt.show(item.stages.doubt ? url(item.stages.doubt) : null);
      own.hidden = staged;
      clip.hidden = view === "cutout" || view === "correct";
      own.alt = staged ? "" : item.file_name;

      const isClose = fit * limited * window.devicePixelRatio > CLOSE;
      const fileSize = [3, 2].map((side) => Math.round((item.box[side] - item.box[side - 2]) * kept.density));
      const isLarge = Math.max(fileSize[0] * fileSize[1], height * width) > WHOLE;
      // a probability map is as small as the network's input
      const plane = staged && view !== "probability" ? item.stages[view] : null;
      const isPainted = isLarge && !item.isPreview && view !== "correct" && (staged ? Boolean(plane) : isClose);
      const isWhole = isClose && !isPainted;
      show(own, url(isWhole ? item.file : item.screen));
      show(whole, url(staged && !isPainted ? item.stages[view] : isWhole ? item.before : item.before_screen));
      const layer = (file, size, screen, box, side) => ({
        file,
        size,
        screen: screen && url(screen),
        box: shares(part, box),
        side,
      });
      const layers = plane
        ? [layer(plane, [height, width], null, all, "left")]
        : [
            layer(item.before, [height, width], item.before_screen, all, "left"),
            layer(item.file, fileSize, item.screen, item.box, "right"),
          ];
      tiles.show(isPainted ? layers : []);
      return { zoom: limited, pixels, isClose };
    },
  };
};
