// Sorts the pictures by any measure, the worst or the best first, and shows those of one candidate.
const list = document.querySelector(".cards");
const [measure, order, candidate] = ["measure", "order", "candidate"].map((id) => document.getElementById(id));
const items = [...list.children];

const update = () => {
  const { value, selectedOptions } = measure;
  const lowIsGood = selectedOptions[0].dataset.low === "true";
  const sign = lowIsGood === (order.value === "worst") ? -1 : 1;
  const number = (item) => Number(item.querySelector(`[data-measure="${value}"]`).dataset.value);
  items.sort((one, other) => sign * (number(one) - number(other)));
  for (const item of items) {
    item.hidden = candidate.value !== "" && item.dataset.candidate !== candidate.value;
    for (const part of item.querySelectorAll("dl div")) part.classList.toggle("chosen", part.dataset.measure === value);
  }
  list.replaceChildren(...items);
};
for (const choice of [measure, order, candidate]) choice.addEventListener("change", update);
document.querySelector(".choices").hidden = false;
update();
