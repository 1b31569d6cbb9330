// What the scripts of the page share; it stands before each of them.
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
// relative to the page: what Gradio takes for its own address is that behind a proxy
const url = (path) => {
  const file = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`.${window.gradio_config.api_prefix}/file=${file}`, document.baseURI).href;
};
const language = navigator.languages.find((tag) => props.texts?.[tag] || props.texts?.[tag.split("-")[0]]) || "en";
const say = props.texts?.[language] || props.texts?.[language.split("-")[0]] || props.texts?.en;
