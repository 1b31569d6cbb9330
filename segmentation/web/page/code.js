// Programs and a link to paste. `props.value` is a list of [key of the title, text].
const block = ([key, text]) => {
  const copy = make("button", { type: "button" }, say.copy);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = say.copied;
    } catch {
      copy.textContent = say.not_copied;
    }
    setTimeout(() => (copy.textContent = say.copy), 2000);
  });
  const code = make("pre", { tabindex: 0, role: "region", "aria-label": say[key], "data-code": key }, make("code", {}, text));
  return make("section", {}, make("div", { class: "head" }, make("h2", {}, say[key]), copy), code);
};
const take = () => element.replaceChildren(make("p", {}, say.code_info), ...(props.value || []).map(block));
watch("value", take);
take();
