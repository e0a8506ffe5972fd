// The list keeps up with runs that are queued or running, and counts what was picked to be compared.
import { ask } from "./api.js";

const EVERY_MS = 3000;
const table = document.querySelector("table.runs");
const gone = document.querySelector("#gone");

const differs = (items) => {
  const now = new Map(items.map((b) => [b.id, b.state]));
  const shown = table.dataset.active.split(" ").filter(Boolean);
  return shown.length !== now.size || shown.some((id) => now.get(id) !== table.querySelector(`tr[data-id="${CSS.escape(id)}"]`)?.dataset.state);
};

const look = async () => {
  if (!document.hidden) {
    try {
      const { items } = await ask("/benchmarks?state=queued&state=running&size=100");
      gone.hidden = true;
      // A page that is being read stays as it is; what changed shows when nothing is picked or typed.
      const busy = document.querySelector("#picked :checked") || document.activeElement?.matches("input, select");
      if (differs(items) && !busy) return location.reload();
    } catch (e) {
      gone.hidden = e.status !== 0;
    }
  }
  return setTimeout(look, EVERY_MS);
};

if (table?.dataset.active) setTimeout(look, EVERY_MS);

const form = document.querySelector("#picked");
if (form) {
  const words = document.querySelector("#picks");
  const button = form.querySelector("button");
  const say = () => {
    const n = form.querySelectorAll(":checked").length;
    words.textContent = n === 0 ? "Pick two or more." : n === 1 ? "One picked: pick one more." : `${n} picked; the first of the list is the baseline.`;
    button.disabled = n < 2;
  };
  form.addEventListener("change", say);
  say();
}
