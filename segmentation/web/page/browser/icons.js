// Icons of 24 by 24, drawn as lines in the colour of the text.
const LINES = {
  keep: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 8v8M8 12h8",
  remove: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8 12h8",
  solve: "M5 21c-2-7 3-9 1-18M12 21c-3-7 3-10 0-18M19 21c-3-7 2-9-1-18",
  erase: "M8 20h12M4.5 14.5l9-10 6 5.5-9 10h-3zM9 9.5l6 5.5",
  click: "M6 3l5 17 2.5-6.5L20 11z",
  next: "M6 5l7 7-7 7M13 5l7 7-7 7",
  undo: "M9 5L4 10l5 5M4 10h10a5 5 0 0 1 0 10h-4",
  redo: "M15 5l5 5-5 5M20 10H10a5 5 0 0 0 0 10h4",
  clear: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  before: "M3 5h18v14H3zM3 16l5-5 5 5 3-3 5 5M15.5 9h.1",
  after: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  done: "M4 12l6 6L20 6",
  choose: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  camera: "M3 7h5l2-3h4l2 3h5v13H3zM12 10a4 4 0 1 0 0 7 4 4 0 0 0 0-7z",
  settings: "M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4",
  paste: "M8 5H5v16h14V5h-3M9 3h6v4H9z",
};

/** @param {keyof typeof LINES} name */
export const icon = (name) => {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", LINES[name]);
  svg.append(path);
  return svg;
};
