// On phones, what is done less often with a cutout is behind a button: the bar has room for Download alone.
import { make, say } from "./common.js";

/**
 * @param {...HTMLElement} inside what is behind it; on wider screens all of it is in the bar, and the button is not
 * @returns {{ toggle: HTMLElement, menu: HTMLElement }}
 */
export const moreMenu = (...inside) => {
  const menu = make("div", { class: "menu", id: "more_actions" }, ...inside);
  const names = { "aria-label": say.more, title: say.more, "aria-controls": menu.id };
  const toggle = make("button", { type: "button", class: "more", "aria-expanded": "false", ...names }, "⋯");
  const isOpen = () => toggle.getAttribute("aria-expanded") === "true";
  const open = (wanted) => toggle.setAttribute("aria-expanded", String(wanted));
  toggle.addEventListener("click", () => {
    const wanted = !isOpen();
    if (wanted) document.querySelector('#sheet_toggle[aria-expanded="true"]')?.click(); // it would cover the menu
    open(wanted);
  });
  // Copy says whether it worked, so it stays
  document.addEventListener("click", ({ target }) => {
    if (!toggle.contains(target) && !target.closest?.("#more_actions button.copy")) open(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isOpen()) return;
    open(false);
    if (menu.contains(event.target)) toggle.focus();
  });
  return { toggle, menu };
};
