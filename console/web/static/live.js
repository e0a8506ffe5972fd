// The page of a run while it waits and goes: progress, charts, notes, the stop button. When it is over, the page becomes its results.
import { CHARTS, LiveChart } from "./charts.js";
import { Refused, ask } from "./api.js";
import { Series } from "./series.js";
import { count, number, span } from "./words.js";
import { follow } from "./follow.js";

const DRAW_MS = 1000;
const SAY_S = 20;
const AGAIN_MS = 1000;

const root = document.querySelector("#live");
const path = `/benchmarks/${encodeURIComponent(root.dataset.id)}`;
const series = new Series();
const charts = [];
let latest = null;
let cursor = null;

const by = (name) => document.querySelector(`#${name}`);

const PHASES = {
  starting: "starting workers", probe: "asking the target a few questions first", drain: "waiting for the last answers",
  pause: "pausing between steps", sealing: "writing and judging what was recorded", done: "done",
};

const stage = (p) => {
  if (p.phase !== "step") return PHASES[p.phase] ?? p.phase;
  return `step ${p.step_id + 1} of ${p.steps}: ${p.step}`;
};

const figures = (p) => [
  `${count(p.sent)} sent`, `${count(p.done)} ended`, `${count(p.in_flight)} in flight`, `${count(p.tokens)} tokens`,
  ...(p.spent_usd === null ? [] : [`$${number(p.spent_usd)} spent`]),
  ...Object.entries(p.outcomes).filter(([kind, n]) => kind !== "ok" && n).sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${count(n)} ${kind}`),
].join(" · ");

let said = { stage: "", s: -Infinity };

/** Spoken now and then, not each second: where the run is, and what is left. */
const speak = (p) => {
  const now = stage(p);
  if (now === said.stage && p.elapsed_s - said.s < SAY_S) return;
  said = { stage: now, s: p.elapsed_s };
  by("spoken").textContent = p.left_s === null ? now : `${now}, ${span(p.left_s)} left`;
};

const progress = (p) => {
  const bar = by("bar");
  if (p.left_s !== null) {
    const share = p.elapsed_s / Math.max(p.elapsed_s + p.left_s, 1e-9);
    bar.value = Math.min(share, 1);
    bar.textContent = `${Math.round(share * 100)} %`;
  } else bar.removeAttribute("value");
  by("stage").textContent = stage(p);
  by("time").textContent = p.left_s === null ? `${span(p.elapsed_s)} gone` : `${span(p.elapsed_s)} gone, ${span(p.left_s)} left`;
  by("figures").textContent = figures(p);
  speak(p);
};

const note = (text) => {
  by("notes").hidden = false;
  const item = document.createElement("li");
  item.textContent = text;
  by("notes-list").append(item);
};

let drawn = 0;
let planned = null;

const draw = () => {
  planned = null;
  if (document.hidden || !series.rows.length) return;
  drawn = performance.now();
  for (const chart of charts) {
    chart.draw(series.rows, series.steps);
    if (!cursor) chart.tell(series.rows.at(-1));
  }
};

/** At most once a second, and not at all while nobody looks. */
const drawSoon = () => {
  planned ??= setTimeout(() => requestAnimationFrame(draw), Math.max(0, DRAW_MS - (performance.now() - drawn)));
};

const describe = () => {
  if (document.hidden || !series.rows.length) return;
  for (const chart of charts) chart.figure.querySelector(".plot").setAttribute("aria-label", chart.sentence(series.rows));
};

const point = (row) => {
  cursor = row;
  for (const chart of charts) {
    chart.mark(row);
    chart.tell(row ?? series.rows.at(-1));
  }
  by("cursor-says").textContent = row ? `Figures at ${span(row.s)} of the run.` : "";
};

/** One cursor for all charts: by the pointer, or by the arrow keys on a chart that has the focus. */
const steer = (chart) => {
  const plot = chart.figure.querySelector(".plot");
  plot.addEventListener("pointermove", (event) => point(series.at(chart.second(event.clientX) ?? Infinity)));
  plot.addEventListener("pointerleave", () => point(null));
  plot.addEventListener("blur", () => point(null));
  plot.addEventListener("keydown", (event) => {
    const rows = series.rows;
    const at = cursor ? rows.indexOf(cursor) : rows.length;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (event.key === "Escape") point(null);
    if (to === undefined || !rows.length) return;
    event.preventDefault();
    point(rows[Math.min(Math.max(to, 0), rows.length - 1)]);
  });
};

const live = (p) => {
  if (latest && p.elapsed_s <= latest.elapsed_s) return; // told once more, after a new connection
  root.dataset.state = "running";
  latest = p;
  progress(p);
  p.notes.forEach(note);
  if (series.add(p)) drawSoon();
  by("waiting").hidden = true;
  by("charts").hidden = !charts.length;
};

const state = ({ state: now, position }) => {
  const chip = by("state");
  chip.className = `chip ${now}`;
  chip.textContent = now;
  if (now === "queued") by("waiting").textContent = position ? `Waiting: ${count(position)} before it in the queue.` : "Waiting for its turn.";
  if (now === "running" && !latest) by("waiting").textContent = "Starting …";
};

const stop = by("stop");
let asked = stop.dataset.asked !== undefined;

const offer = () => {
  stop.disabled = false;
  stop.textContent = asked ? "Cut" : "Stop";
  stop.title = asked ? "Stopping waits for the answers on their way; this ends them, too." : "";
};
offer();

stop.addEventListener("click", async () => {
  const cut = asked;
  stop.disabled = true;
  stop.textContent = cut ? "Cutting …" : "Stopping …";
  try {
    await ask(`${path}/stop`, { method: "POST" });
    by("spoken").textContent = cut ? "Answers on their way are cut." : "Stopping: nothing more is issued, answers on their way are waited for.";
    asked = true;
    // Not at once: the second press of a double click cuts nothing.
    if (!cut) setTimeout(offer, AGAIN_MS);
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    offer();
    note(`Stopping was refused: ${e.message}`);
  }
});

try {
  for (const [name, chart] of Object.entries(CHARTS)) {
    const made = await LiveChart.on(by(`chart-${name}`), chart);
    charts.push(made);
    steer(made);
  }
} catch (e) {
  // Figures in words, progress and the end of the run need no charts.
  charts.length = 0;
  by("charts").hidden = true;
  note(`The charts cannot be drawn: ${globalThis.vegaEmbed ? e.message : "the charting library did not load"}.`);
}
// The charts were measured while shown; until there is something to draw, words stand in their place.
if (!series.rows.length && root.dataset.state === "queued") by("charts").hidden = true;

document.addEventListener("visibilitychange", () => { drawSoon(); });
setInterval(describe, 5000);

const gone = by("gone");
const AWAY = gone.textContent;

const say = (words) => {
  if (gone.textContent !== words) gone.textContent = words;
  gone.hidden = false;
};

/** Why the events are refused, asked where a status can be seen; whether to try again. A token that is wanted leads to the login. */
const refused = async () => {
  try {
    const { state: now } = await ask(`${path}?size=0`);
    if (now !== "queued" && now !== "running") location.reload();
    else say("The service answers, but does not tell of this run for now: others follow runs, too. This page goes on by itself.");
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    if (e.status === 404) close();
    if (e.status === 0) say(AWAY);
    else say(e.status === 404 ? "This run is no longer there: it was deleted." : e.message);
    return e.status !== 401 && e.status !== 404;
  }
  return true;
};

const close = follow(`${path}/events`, {
  on: {
    live,
    state,
    end: () => { close(); location.reload(); },
  },
  gone: () => say(AWAY),
  back: () => { gone.hidden = true; },
  refused,
});
