// Downloads the ZIP that the server has packed.
watch("value", () => {
  if (props.value) make("a", { href: url(props.value.file), download: props.value.name }).click();
});
