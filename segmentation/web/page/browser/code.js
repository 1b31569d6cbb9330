// Programs and a link to paste. `props.value` is a list of [key of the title, text, perhaps a note].
import { copyButton, make, say } from "./common.js";

const block = ([key, text, note]) => {
  const copy = copyButton(() => navigator.clipboard.writeText(text));
  const heading = make("div", { class: "head" }, make("h2", {}, say[key]), copy);
  const attributes = { tabindex: 0, role: "region", "aria-label": say[key], "data-code": key };
  const code = make("pre", attributes, make("code", {}, text));
  return make("section", {}, heading, code, ...(note ? [make("p", {}, note)] : []));
};
const update = () => element.replaceChildren(make("p", {}, say.code_info), ...(props.value || []).map(block));
watch("value", update);
update();
