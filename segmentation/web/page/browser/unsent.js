// Corrections on their way to the server, kept in this tab until it has them: once a lost connection is back, Gradio
// loads the page again.
const HELD = "segmatte-unsent";

/** @typedef {{ revision: number, correction: import("./strokes.js").Correction }} Sent */

/** What is held for the pictures of a run, by their numbers. Some browsers refuse to store in a frame of another site. */
const heldOf = (run) => {
  try {
    const held = JSON.parse(sessionStorage.getItem(HELD) ?? "{}");
    return held.run === run ? held.sent : {};
  } catch {
    return {};
  }
};

const keep = (run, sent) => {
  try {
    if (Object.keys(sent).length) sessionStorage.setItem(HELD, JSON.stringify({ run, sent }));
    else sessionStorage.removeItem(HELD);
  } catch {
    // then it is lost with the connection
  }
};

/** @param {string} run @param {number} index @param {Sent} sent */
export const hold = (run, index, sent) => keep(run, { ...heldOf(run), [index]: sent });

/** What was sent last for a picture, if it is not known to have arrived. @returns {Sent | undefined} */
export const unsent = (run, index) => heldOf(run)[index];

/** The server has a correction, and all that were sent before it. */
export const acknowledge = (run, index, revision) => {
  const { [index]: sent, ...others } = heldOf(run);
  if (sent && sent.revision <= revision) keep(run, others);
};
