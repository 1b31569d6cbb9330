// Where the network was in doubt: a button for the warning, and a pattern over the picture while it is pressed.
import { make, say } from "./common.js";

/** @returns {{ node: HTMLElement, button: HTMLElement, show: (source: string | null) => void }} */
export const doubted = () => {
  const node = make("div", { class: "doubt", hidden: "" });
  const button = make("button", { type: "button", class: "where", "aria-pressed": "false" }, say.doubt);
  let source = null;
  let isShown = false;
  const render = () => {
    button.hidden = !source;
    button.setAttribute("aria-pressed", String(isShown));
    node.hidden = !source || !isShown;
    if (!node.hidden) node.style.maskImage = `url("${source}")`;
  };
  button.addEventListener("click", () => {
    isShown = !isShown;
    render();
  });
  return {
    node,
    button,
    /** @param {string | null} now address of a grey picture of the doubt, if there is any */
    show: (now) => {
      source = now;
      render();
    },
  };
};
