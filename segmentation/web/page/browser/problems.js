// Shows the problem of each field beside it. `props.value` is field -> message.
import { make } from "./common.js";

watch("value", () => {
  const problems = props.value || {};
  for (const field of ["mean", "std", "size"]) {
    const block = document.querySelector(`#${field}`);
    const input = block?.querySelector("input, textarea");
    if (!input) continue;
    block.querySelector(".problem")?.remove();
    input.toggleAttribute("aria-invalid", field in problems);
    if (!(field in problems)) continue;
    input.setAttribute("aria-invalid", "true");
    block.append(make("p", { class: "problem", role: "alert" }, problems[field]));
  }
});
