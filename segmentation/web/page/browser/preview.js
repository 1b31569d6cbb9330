// Passes a preview on to the viewer.
watch("value", () => {
  const viewer = document.querySelector("#viewer .viewer").parentElement;
  viewer.dispatchEvent(new CustomEvent("preview", { detail: props.value }));
});
