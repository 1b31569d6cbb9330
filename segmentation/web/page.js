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
}
