// Downloads the ZIP from the server. `props.value` is its path and name.
import { make, url } from "./common.js";

watch("value", () => {
  if (props.value) make("a", { href: url(props.value.file), download: props.value.name }).click();
});
