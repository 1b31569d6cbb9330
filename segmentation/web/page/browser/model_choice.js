// Fast, fine or best for a task, above the list of all models. `props.value` comes from model_choice.py.
import { make, say } from "./common.js";

/**
 * @typedef {object} Tier
 * @property {string} tier "fast", "fine" or "best"
 * @property {string} id of its model
 * @property {string} seconds
 * @property {string} place what must be downloaded, or why it cannot be used
 * @property {boolean} refused
 */
/** @typedef {{ id: string, title: string, label: string, tasks: string[], tier: string, refused: boolean }} Model */
/** @returns {{ chosen: string, tasks: Record<string, Tier[]>, models: Model[] }} */
const shown = () => props.value;
const settings = element.closest("#settings") ?? document.body;

let chosen = "";
let task = "";
let open = false;

const choose = (id) => {
  chosen = id;
  trigger("select", { index: id });
  render();
};
/** The visitor wants another task: the same tier of it, or else the nearest one that can be used. */
const chooseTask = (wanted) => {
  task = wanted;
  const order = ["fast", "fine", "best"];
  const now = order.indexOf(shown().models.find(({ id }) => id === chosen)?.tier ?? "fast");
  const distance = ({ tier }) => Math.abs(order.indexOf(tier) - now);
  const usable = shown().tasks[task].filter(({ refused }) => !refused);
  const [nearest] = usable.sort((one, other) => distance(one) - distance(other));
  if (nearest && nearest.id !== chosen) choose(nearest.id);
  else render();
};

/** @param {Tier} entry */
const card = (entry) => {
  const radio = make("input", { type: "radio", name: "model_choice", value: entry.id, "data-key": entry.tier });
  radio.checked = entry.id === chosen;
  radio.disabled = entry.refused;
  radio.addEventListener("change", () => choose(entry.id));
  return make(
    "label",
    { class: "tier" },
    radio,
    make("b", {}, say[`tier_${entry.tier}`]),
    make("span", {}, entry.seconds),
    make("span", { class: "quiet" }, entry.place),
  );
};
const tasks = () => {
  const select = make("select", { id: "model_task", "data-key": "task" });
  for (const name of Object.keys(shown().tasks)) select.append(make("option", { value: name }, say[`task_${name}`]));
  select.value = task;
  select.addEventListener("change", () => chooseTask(select.value));
  return make("div", { class: "task" }, make("label", { for: "model_task" }, say.task), select);
};
const all = () => {
  const attributes = { type: "button", "aria-expanded": open, "aria-controls": "model", "data-key": "all" };
  const button = make("button", attributes, say.all_models);
  button.addEventListener("click", () => {
    open = !open;
    render();
    const search = document.querySelector("#model input");
    if (!open || !search) return;
    search.focus();
    search.select(); // so that typing searches
  });
  return button;
};
function render() {
  const { tasks: known, models } = shown();
  const model = models.find(({ id }) => id === chosen);
  if (!(task in known)) [task] = Object.keys(known);
  const few = task !== undefined; // else no model on offer has a task
  settings.toggleAttribute("data-few-models", few && !open); // hides the list, see panels.css
  settings.dataset.model = chosen; // other_model.js looks at it
  const focused = element.contains(document.activeElement) && document.activeElement.dataset.key;
  element.replaceChildren(
    ...(few
      ? [
          make(
            "div",
            { class: "choice" },
            tasks(),
            make("div", { class: "tiers", role: "radiogroup", "aria-label": say.quality }, ...known[task].map(card)),
            make("p", { class: "now" }, make("span", {}, model?.title ?? chosen), all()),
          ),
        ]
      : []),
  );
  if (focused) element.querySelector(`[data-key="${focused}"]`)?.focus();
}
const update = () => {
  if (!shown()) return;
  if (shown().chosen !== chosen) {
    chosen = shown().chosen;
    const itsTasks = shown().models.find(({ id }) => id === chosen)?.tasks ?? [];
    if (!itsTasks.includes(task)) task = itsTasks.find((each) => each in shown().tasks) ?? task;
  }
  render();
};

// The list is Gradio's; its entries are made when it opens.
new MutationObserver(() => {
  const refused = new Set((shown()?.models ?? []).filter((model) => model.refused).map(({ label }) => label));
  for (const option of document.querySelectorAll("#model [role=option]")) {
    option.classList.toggle("refused", refused.has(option.getAttribute("aria-label") ?? option.textContent.trim()));
  }
}).observe(settings, { childList: true, subtree: true });

watch("value", update);
update();
