// Models side by side on one picture. `props.value` is a list of what web/comparison.py says; all of it is set as text.
const card = (entry, index) => {
  const picture = (path, name) =>
    make("figure", {}, make("img", { src: url(path), alt: `${name}, ${entry.title}`, loading: "lazy" }),
      make("figcaption", {}, name));
  const body = entry.error
    ? [make("p", { class: "failed" }, entry.error)]
    : entry.thumbnail
      ? [picture(entry.thumbnail, say.cutout), picture(entry.alpha, say.alpha)]
      : [make("p", { class: "quiet" }, "…")];
  const licence = entry.licence_url
    ? make("a", { href: entry.licence_url, target: "_blank", rel: "noopener" }, entry.licence)
    : entry.licence;
  const facts = make("dl", {});
  for (const [name, value] of [
    [say.seconds, entry.seconds], [say.memory, entry.memory], [say.licence, licence], [say.commercial, entry.commercial],
  ]) {
    if (value) facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, value)));
  }
  const use = make("button", { type: "button" }, say.use);
  use.addEventListener("click", () => trigger("select", { index }));
  return make("section", { "aria-label": entry.title }, make("h2", {}, entry.title), ...body, facts,
    ...(entry.thumbnail ? [use] : []));
};
const take = () => {
  const cards = (props.value || []).map(card);
  element.replaceChildren(...(cards.length ? [make("div", { class: "comparison" }, ...cards)] : []));
};
watch("value", take);
take();
