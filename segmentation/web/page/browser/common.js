// Shared by the page's scripts. Gradio gives each of them `element`, `props`, `trigger` and `watch`.

/** The texts of the page in the visitor's language, by key. @type {Record<string, string>} */
export const say = (() => {
  const texts = props.texts ?? {};
  const languages = navigator.languages.flatMap((tag) => [tag, tag.split("-")[0]]);
  return texts[languages.find((tag) => texts[tag])] ?? texts.en;
})();

/**
 * An element with attributes and children. Strings are set as text, since file names are untrusted.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...(Node | string)} children
 */
export const make = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  node.append(...children);
  return node;
};

/**
 * The address of a file in the upload folder, relative to the page: behind a proxy, Gradio does not know its public
 * address.
 * @param {string} path
 */
export const url = (path) => {
  const file = path.split("/").map(encodeURIComponent).join("/");
  return new URL(`.${window.gradio_config.api_prefix}/file=${file}`, document.baseURI).href;
};

/**
 * A button that copies something, and shows for two seconds whether that worked.
 * @param {() => Promise<void>} write writes to the clipboard
 * @param {Record<string, string>} attributes
 */
export const copyButton = (write, attributes = {}) => {
  const button = make("button", { type: "button", ...attributes }, say.copy);
  button.addEventListener("click", async () => {
    try {
      await write();
      button.textContent = say.copied;
    } catch {
      button.textContent = say.not_copied;
    }
    setTimeout(() => {
      button.textContent = say.copy;
    }, 2000);
  });
  return button;
};
