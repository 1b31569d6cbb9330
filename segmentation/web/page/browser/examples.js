// The examples, with names in the visitor's language. A click adds one to the pictures.
import { say } from "./common.js";

for (const button of element.querySelectorAll("button[data-example]")) {
  button.setAttribute("aria-label", say[`example_${button.dataset.name}`] ?? button.getAttribute("aria-label"));
}
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-example]");
  if (button) trigger("select", { index: Number(button.dataset.example) });
});
