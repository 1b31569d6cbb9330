() => {
  // Gradio puts the upload button of a filled gallery into another button: two stops for the keyboard, and no good for
  // screen readers. The outer one becomes a mere group.
  const mend = () => {
    for (const inner of document.querySelectorAll("button.icon-button button")) {
      const outer = inner.closest("button.icon-button");
      outer.setAttribute("role", "group");
      outer.tabIndex = -1;
    }
  };
  new MutationObserver(mend).observe(document.body, { childList: true, subtree: true });

  // Pictures may be dropped and pasted anywhere, not only on the empty gallery; a missed drop must not leave the page.
  const take = (files) => {
    const input = document.querySelector("#pictures input[type=file]");
    const transfer = new DataTransfer();
    for (const file of files) if (file.type.startsWith("image/")) transfer.items.add(file);
    if (!input || !transfer.files.length) return;
    input.files = transfer.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
  };
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    if (event.defaultPrevented) return; // by the gallery itself
    event.preventDefault();
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (event.defaultPrevented || event.target.closest?.("input, textarea, [contenteditable]")) return;
    take(event.clipboardData.files);
  });
}
