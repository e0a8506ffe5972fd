// What the form's fields make of a scenario, and what they show of one. Pure: no page in sight.
//
// The form edits the keys that most runs change. Whatever else a scenario says is carried along untouched.

const list = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);

/** A whole number where the text is one; else the text, for the planner to refuse by name. */
const whole = (text) => (/^\d+$/.test(text) ? Number(text) : text);

const length = (text) => {
  const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(text);
  return range ? { uniform: [Number(range[1]), Number(range[2])] } : whole(text);
};

/** `5` is `5/s`. */
const rate = (text) => (/^[\d.]+$/.test(text) ? `${text}/s` : text);

/** `30` is `30s`. */
const time = (text) => (/^[\d.]+$/.test(text) && Number(text) !== 0 ? `${text}s` : text === "0" ? 0 : text);

/** A limit of `500` is `500ms`. */
const limit = (text) => (/^[\d.]+$/.test(text) ? `${text}ms` : text);

const said = (value) => {
  if (value === undefined || value === null) return "";
  if (typeof value !== "object") return String(value);
  if (Array.isArray(value.uniform) && Object.keys(value).length === 1) return value.uniform.join("-");
  return null; // more than a field can show
};

const STEP_KEYS = ["duration", "requests"];

const same = (steps, key) => steps.every((step) => step[key] === steps[0][key]);

/** The kind of load that the form can show in full, else "kept". */
const kind = (scenario) => {
  const steps = scenario.steps ?? [];
  const plain = (step, key) => Object.keys(step).every((k) => k === key || k === "arrivals" || STEP_KEYS.includes(k));
  for (const [name, key, arrivals] of [["closed", "concurrency", "closed"], ["open", "rate", "poisson"]]) {
    const fits = (step) => plain(step, key) && (step.arrivals ?? arrivals) === arrivals;
    const alike = steps.length > 0 && STEP_KEYS.every((k) => same(steps, k));
    if (!alike || !steps.every(fits)) continue;
    if (steps.every((step) => said(step[key]))) return name;
    const filled = scenario.matrix?.[key];
    if (steps.length === 1 && steps[0][key] === undefined && filled?.every((v) => said(v))) return name;
  }
  return "kept";
};

/** `all`, `sample`, or "" for none, which is what nothing said means, too. */
const textsOf = ({ record }) => (record?.texts === "none" ? "" : record?.texts ?? "");

/** Field → text, of a scenario that a person wrote. `kept`: fields whose value is more than they can show. */
export const read = (scenario) => {
  const { target = {}, workload = {}, matrix = {} } = scenario;
  const slo = typeof scenario.slo === "string" ? { preset: scenario.slo } : scenario.slo ?? {};
  const load = kind(scenario);
  const key = { closed: "concurrency", open: "rate" }[load];
  const first = scenario.steps?.[0] ?? {};
  const variable = /^\$\{(\w+)\}$/.exec(target.api_key ?? "");
  const values = {
    name: scenario.name, seed: scenario.seed, provider: target.provider, url: target.url, api: target.api, model: target.model,
    key: variable?.[1], load, warmup: scenario.warmup, pause: scenario.pause,
    concurrency: "", rate: "",
    input_tokens: matrix.input_tokens?.map(said).join(", ") ?? said(workload.input_tokens),
    output_tokens: matrix.output_tokens?.map(said).join(", ") ?? said(workload.output_tokens),
    slo_preset: slo.preset, ttft: slo.ttft, tpot: slo.tpot, e2e: slo.e2e, attainment: slo.attainment, budget: scenario.budget,
    thresholds: (scenario.thresholds ?? []).filter((t) => typeof t === "string").join("\n"),
    keep_texts: textsOf(scenario),
  };
  const ends = { duration: first.duration, requests: first.requests };
  const steps = scenario.steps ?? [];
  for (const name of Object.keys(ends)) values[name] = steps.length && same(steps, name) ? ends[name] : "";
  if (key) values[key] = (matrix[key] ?? steps.map((step) => step[key])).join(", ");
  const kept = Object.keys(values).filter((name) => values[name] === null);
  for (const name of Object.keys(values)) values[name] = values[name] === undefined || values[name] === null ? "" : String(values[name]);
  return { values, kept };
};

const put = (object, key, value) => {
  if (value === "" || value === undefined) delete object[key];
  else object[key] = value;
};

const target = (scenario, v) => {
  if (scenario.targets) return; // a comparison: its targets are for the text
  const before = scenario.target ?? {};
  const made = { ...before };
  put(made, "provider", v.provider);
  put(made, "url", v.url);
  put(made, "api", v.api);
  put(made, "model", v.model);
  if (v.key) made.api_key = `\${${v.key.replace(/^\$\{?|\}$/g, "")}}`;
  else if (/^\$\{\w+\}$/.test(before.api_key ?? "")) delete made.api_key;
  if (v.url !== "simulator") delete made.simulator;
  scenario.target = made;
};

const steps = (scenario, v) => {
  const each = {};
  if (v.duration) each.duration = time(v.duration);
  if (v.requests) each.requests = whole(v.requests);
  const key = { closed: "concurrency", open: "rate" }[v.load];
  if (!key) {
    for (const step of scenario.steps ?? []) {
      if (v.duration || v.requests) for (const end of ["duration", "requests", "sessions"]) delete step[end];
      Object.assign(step, each);
    }
    return;
  }
  if (!v.duration && !v.requests) each.duration = "30s";
  const value = key === "rate" ? rate : whole;
  const loads = list(v[key]).map(value);
  const only = scenario.steps?.length === 1 ? scenario.steps[0] : {};
  if (scenario.matrix?.[key] && loads.length) {
    // A matrix stays one: its cells have names that comparisons go by.
    const { duration, requests, ...rest } = only;
    scenario.steps = [{ ...rest, ...each }];
    scenario.matrix[key] = loads;
    delete scenario.matrix[key === "rate" ? "concurrency" : "rate"];
    return;
  }
  const arrivals = { closed: "closed", open: "poisson" }[v.load];
  const told = scenario.steps?.length && scenario.steps.every((step) => step.arrivals === arrivals) ? { arrivals } : {};
  const made = loads.map((load) => ({ ...told, [key]: load, ...each }));
  scenario.steps = made.length ? made : [each];
  if (scenario.matrix) for (const name of ["concurrency", "rate"]) delete scenario.matrix[name];
};

const tokens = (scenario, v, kept) => {
  for (const key of ["input_tokens", "output_tokens"]) {
    if (kept.includes(key) && !v[key]) continue;
    const several = list(v[key]);
    if (scenario.workloads) continue; // a mix: each workload has lengths of its own
    scenario.workload = { ...scenario.workload };
    delete scenario.workload[key];
    if (scenario.matrix) delete scenario.matrix[key];
    if (several.length === 1) scenario.workload[key] = length(several[0]);
    if (several.length > 1) scenario.matrix = { ...scenario.matrix, [key]: several.map(length) };
  }
  if (scenario.workload && !Object.keys(scenario.workload).length) delete scenario.workload;
  if (scenario.matrix && !Object.keys(scenario.matrix).length) delete scenario.matrix;
};

const limits = (scenario, v) => {
  const before = typeof scenario.slo === "string" ? {} : scenario.slo ?? {};
  const slo = { ...before };
  put(slo, "preset", v.slo_preset);
  for (const key of ["ttft", "tpot", "e2e"]) put(slo, key, v[key] && limit(v[key]));
  put(slo, "attainment", /^[\d.]+$/.test(v.attainment) && Number(v.attainment) > 1 ? `${v.attainment}%` : v.attainment);
  if (/^0?\.\d+$/.test(slo.attainment ?? "")) slo.attainment = Number(slo.attainment);
  put(scenario, "slo", Object.keys(slo).length ? slo : "");
  const rules = (scenario.thresholds ?? []).filter((t) => typeof t !== "string");
  rules.push(...v.thresholds.split("\n").map((line) => line.trim()).filter(Boolean));
  put(scenario, "thresholds", rules.length ? rules : "");
};

const texts = (scenario, v) => {
  if (v.keep_texts === textsOf(scenario)) return;
  const { texts: before, ...rest } = scenario.record ?? {};
  put(scenario, "record", v.keep_texts ? { texts: v.keep_texts, ...rest } : Object.keys(rest).length ? rest : "");
};

/** The scenario of `base` and the fields. Keys come in the order in which people read them. */
export const compose = (base, v, kept = []) => {
  const scenario = structuredClone(base);
  put(scenario, "name", v.name);
  put(scenario, "seed", v.seed === "" ? "" : whole(v.seed));
  target(scenario, v);
  steps(scenario, v);
  for (const key of ["warmup", "pause"]) put(scenario, key, v[key] && time(v[key]));
  tokens(scenario, v, kept);
  limits(scenario, v);
  texts(scenario, v);
  put(scenario, "budget", /^[\d.]+$/.test(v.budget) ? `$${v.budget}` : v.budget);
  const order = ["name", "seed", "target", "targets", "workload", "workloads", "warmup", "pause", "steps", "matrix"];
  const rank = (key) => (order.includes(key) ? order.indexOf(key) : order.length);
  return Object.fromEntries(Object.entries(scenario).sort(([a], [b]) => rank(a) - rank(b)));
};
