// The list keeps up with runs that are queued or running, and counts what was picked to be compared.
import { ask } from "./api.js";

const EVERY_MS = 3000;
const table = document.querySelector("table.runs");
const gone = document.querySelector("#gone");

/** Whether a run on this page goes on otherwise than it says, or others came or went: `total` counts those of other pages, too. */
const differs = ({ items, total }) => {
  const now = new Map(items.map((b) => [b.id, b.state]));
  const shown = table.dataset.active.split(" ").filter(Boolean);
  return total !== Number(table.dataset.totalActive) || shown.some((id) => now.get(id) !== table.querySelector(`tr[data-id="${CSS.escape(id)}"]`)?.dataset.state);
};

const look = async () => {
  if (!document.hidden) {
    try {
      const found = await ask("/benchmarks?state=queued&state=running&size=100");
      gone.hidden = true;
      // A page that is being read stays as it is; what changed shows when nothing is picked or typed.
      const busy = document.querySelector("#picked :checked") || document.activeElement?.matches("input, select");
      if (differs(found) && !busy) return location.reload();
    } catch (e) {
      gone.hidden = e.status !== 0;
    }
  }
  return setTimeout(look, EVERY_MS);
};

if (Number(table?.dataset.totalActive)) setTimeout(look, EVERY_MS);

const form = document.querySelector("#picked");
if (form) {
  const words = document.querySelector("#picks");
  const button = form.querySelector("button");
  const most = Number(form.dataset.most);
  const say = () => {
    const n = form.querySelectorAll(":checked").length;
    if (n === 0) words.textContent = "Pick two or more.";
    else if (n === 1) words.textContent = "One picked: pick one more.";
    else if (n > most) words.textContent = `${n} picked: at most ${most} are compared at once.`;
    else words.textContent = `${n} picked; the first of the list is the baseline.`;
    button.disabled = n < 2 || n > most;
  };
  form.addEventListener("change", say);
  say();
}
