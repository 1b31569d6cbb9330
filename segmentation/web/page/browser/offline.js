// Says so when the server cannot be reached, and when it can be again.
import { make, say } from "./common.js";

const AGAIN = 3000; // ms between two tries

/** @param {(isOffline: boolean) => void} tell */
export const watchConnection = (tell) => {
  const again = make("button", { type: "button" }, say.retry);
  const banner = make("div", { id: "offline", role: "alert", hidden: "" }, make("span", {}, say.offline), again);
  document.querySelector("#work").before(banner);
  const asked = window.fetch;
  let isOffline = false;
  let timer = null;
  const put = (value) => {
    if (value !== isOffline) {
      isOffline = value;
      banner.hidden = !value;
      tell(value);
    }
    clearTimeout(timer);
    if (value) timer = setTimeout(look, AGAIN);
  };
  const look = async () => {
    const address = new URL(`.${window.gradio_config.api_prefix}/app_id`, document.baseURI);
    try {
      await asked(address, { cache: "no-store", signal: AbortSignal.timeout(4000) });
      put(false);
    } catch {
      put(true);
    }
  };
  window.fetch = async (...request) => {
    try {
      return await asked(...request);
    } catch (error) {
      if (error?.name === "TypeError") look(); // no answer at all; anything else is an answer, or was given up
      throw error;
    }
  };
  again.addEventListener("click", look);
  window.addEventListener("offline", look);
  window.addEventListener("online", look);
};
