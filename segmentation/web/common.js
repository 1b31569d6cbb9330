// What the scripts of the page share; it stands before each of them.
const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};
const url = (path) => {
  const { root, api_prefix } = window.gradio_config;
  return `${root}${api_prefix}/file=${path.split("/").map(encodeURIComponent).join("/")}`;
};
const language = navigator.languages.find((tag) => props.texts?.[tag] || props.texts?.[tag.split("-")[0]]) || "en";
const say = props.texts?.[language] || props.texts?.[language.split("-")[0]] || props.texts?.en;
