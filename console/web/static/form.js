// The form that configures a run: fields → scenario → plan, as one types.
import { Refused, ask } from "./api.js";
import { compose, read } from "./scenario.js";
import { planned } from "./plan.js";
import { yaml } from "./yaml.js";

const PATIENCE_MS = 350;
const AGAIN_MS = 3000;
const TO_MEND = [400, 413, 422];
const PASSING = [0, 429, 503];

const making = document.querySelector(".making");
const form = document.querySelector("#make");
const fields = document.querySelector("#fields");
const chooser = document.querySelector("#f-scenario");
const shown = document.querySelector("#yaml");
const typed = document.querySelector("#text");
const byHand = document.querySelector("#by-hand");
const start = document.querySelector("#start");
const refused = document.querySelector("#refused");
const keys = JSON.parse(making.dataset.keys);

let base = { target: { url: "simulator" }, steps: [] };
let kept = [];

const values = () => {
  const found = {};
  for (const control of fields.querySelectorAll("input, select, textarea")) {
    if (control.type === "radio") { if (control.checked) found[control.name] = control.value; }
    else if (control.type === "checkbox") found[control.name] = control.indeterminate ? "sample" : control.checked ? "all" : "";
    else found[control.name] = control.value.trim();
  }
  return found;
};

const fill = (scenario) => {
  base = scenario;
  const known = read(scenario);
  kept = known.kept;
  for (const [name, text] of Object.entries(known.values)) {
    const control = fields.querySelector(`#f-${name}`);
    if (control.matches("fieldset")) control.querySelector(`input[value="${text}"]`).checked = true;
    else if (control.type === "checkbox") {
      control.checked = text === "all";
      control.indeterminate = text === "sample";
    } else control.value = text;
    if (kept.includes(name)) control.placeholder = "as the scenario has it";
  }
  const mixed = Boolean(scenario.workloads);
  for (const name of ["input_tokens", "output_tokens"]) fields.querySelector(`#f-${name}`).disabled = mixed;
  for (const name of ["provider", "url", "api", "model", "key"]) fields.querySelector(`#f-${name}`).disabled = Boolean(scenario.targets);
};

const scenarioNow = () => compose(base, values(), kept);

/** What is sent: the text where it is edited by hand, else the form's scenario. */
const submission = () => {
  const v = values();
  const tags = v.tags.split(",").map((tag) => tag.trim()).filter(Boolean);
  return { scenario: typed.hidden ? scenarioNow() : typed.value, tags };
};

const clear = () => {
  for (const fault of form.querySelectorAll(".fault")) { fault.hidden = true; fault.textContent = ""; }
  for (const control of form.querySelectorAll("[aria-invalid]")) control.removeAttribute("aria-invalid");
};

const pattern = (path) => new RegExp(`(?:^|[\\s:])${path.replaceAll(".", "\\.").replace("*", "\\d+")}(?![\\w])`);

/** The field that a fault's line names, by the most exact of its keys. */
const fieldOf = (line) => {
  let best = null;
  for (const [name, paths] of Object.entries(keys)) {
    for (const path of paths) {
      if (pattern(path).test(line) && (!best || path.length > best.path.length)) best = { name, path };
    }
  }
  return best?.name ?? null;
};

const show = (errors) => {
  clear();
  const rest = [];
  for (const line of errors) {
    const name = typed.hidden ? fieldOf(line) : null;
    const fault = name && form.querySelector(`#e-${name}`);
    if (!fault) { rest.push(line); continue; }
    fault.hidden = false;
    fault.textContent = fault.textContent ? `${fault.textContent}\n${line}` : line;
    fields.querySelector(`#f-${name}`).setAttribute("aria-invalid", "true");
  }
  return rest;
};

const planBox = document.querySelector("#plan");
let asking = null;
let timer = null;

const replan = async () => {
  asking?.abort();
  asking = new AbortController();
  planBox.setAttribute("aria-busy", "true");
  try {
    const plan = await ask("/plan", { method: "POST", body: submission(), signal: asking.signal });
    clear();
    start.disabled = false;
    planBox.replaceChildren(planned(plan));
  } catch (e) {
    if (e.name === "AbortError") return;
    if (!(e instanceof Refused)) throw e;
    const mend = TO_MEND.includes(e.status);
    start.disabled = mend;
    const lines = mend && e.errors.length ? e.errors : [e.message];
    const rest = show(mend ? lines : []);
    const told = document.createElement("div");
    told.className = "banner wrong";
    const head = document.createElement("p");
    head.textContent = !mend ? e.message : `${lines.length === 1 ? "One thing is" : `${lines.length} things are`} to be mended${rest.length < lines.length ? ", marked in the form" : ""}.`;
    const items = document.createElement("ul");
    for (const line of mend ? lines : []) items.append(Object.assign(document.createElement("li"), { textContent: line }));
    told.append(head, items);
    planBox.replaceChildren(told);
    if (PASSING.includes(e.status)) timer = setTimeout(replan, AGAIN_MS);
  }
  planBox.setAttribute("aria-busy", "false");
};

const changed = () => {
  if (typed.hidden) shown.textContent = yaml(scenarioNow());
  clearTimeout(timer);
  timer = setTimeout(replan, PATIENCE_MS);
};

form.addEventListener("input", (event) => {
  const lever = { concurrency: "closed", rate: "open" }[event.target.name];
  if (lever && event.target.value.trim()) fields.querySelector(`input[name="load"][value="${lever}"]`).checked = true;
  // A step ends by one of the two.
  const other = { duration: "requests", requests: "duration" }[event.target.name];
  if (other && event.target.value.trim()) fields.querySelector(`#f-${other}`).value = "";
  if (event.target !== chooser) changed();
});
typed.addEventListener("input", changed);

byHand.addEventListener("click", () => {
  const open = typed.hidden;
  if (open) typed.value = shown.textContent;
  typed.hidden = !open;
  shown.hidden = open;
  fields.disabled = open;
  byHand.setAttribute("aria-pressed", String(open));
  byHand.textContent = open ? "Back to the form" : "Edit as text";
  changed();
  if (open) typed.focus();
});

document.querySelector("#copy").addEventListener("click", async () => {
  const says = document.querySelector("#copied");
  const text = typed.hidden ? shown.textContent : typed.value;
  try {
    await navigator.clipboard.writeText(text);
    says.textContent = "Copied.";
  } catch {
    // Without a clipboard (plain HTTP from elsewhere), the text is selected for the person to copy.
    getSelection().selectAllChildren(shown);
    says.textContent = "Selected; copy it with the keyboard.";
  }
  const button = document.querySelector("#copy");
  button.textContent = says.textContent.replace(".", "");
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  start.disabled = true;
  refused.hidden = true;
  try {
    const made = await ask("/benchmarks", { method: "POST", body: submission() });
    location.assign(`/ui/runs/${encodeURIComponent(made.id)}`);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    const rest = show(e.errors.length ? e.errors : [e.message]);
    refused.textContent = rest.length ? rest.join("\n") : "The fields marked above are to be mended.";
    refused.hidden = false;
    start.disabled = false;
    form.querySelector("[aria-invalid]")?.focus();
  }
});

const choose = async () => {
  const option = chooser.selectedOptions[0];
  document.querySelector("#scenario-says").textContent = option?.dataset.says ?? "";
  const again = !chooser.value && making.dataset.again;
  const path = again ? `/ui/again/${encodeURIComponent(again)}` : `/ui/scenarios/${encodeURIComponent(chooser.value)}`;
  try {
    fill(await ask(path));
    changed();
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    planBox.textContent = e.message;
  }
};
chooser.addEventListener("change", choose);
choose();
