// The page of a run that is over: the report on demand, the SQL box, deletion.
import { NOTHING, count, number } from "./words.js";
import { Refused, ask } from "./api.js";

const by = (name) => document.querySelector(`#${name}`);
const make = (tag, text) => Object.assign(document.createElement(tag), text === undefined ? {} : { textContent: text });

by("embedded")?.addEventListener("toggle", (event) => {
  const frame = event.target.querySelector("iframe");
  if (event.target.open && !frame.src) frame.src = frame.dataset.src;
});

by("delete")?.addEventListener("click", async (event) => {
  const button = event.currentTarget;
  if (button.dataset.sure === undefined) {
    button.dataset.sure = "";
    button.textContent = "Delete for ever?";
    setTimeout(() => { delete button.dataset.sure; button.textContent = "Delete"; }, 4000);
    return;
  }
  try {
    await ask(`/benchmarks/${encodeURIComponent(button.dataset.id)}`, { method: "DELETE" });
    location.assign("/ui/");
  } catch (e) {
    if (!(e instanceof Refused)) throw e;
    button.textContent = "Delete";
    by("gone").textContent = e.message;
    by("gone").hidden = false;
  }
});

const box = by("ask");
if (box) {
  const form = by("query");
  const sql = by("sql");
  const answer = by("answer");
  const path = `/benchmarks/${encodeURIComponent(box.dataset.id)}/query`;
  let named = null;

  const pressed = (button) => {
    for (const other of box.querySelectorAll("[aria-pressed]")) other.setAttribute("aria-pressed", String(other === button));
  };

  /** What a named query answers, its columns with units, and a field for each parameter. */
  const explain = (query) => {
    const about = by("about");
    const columns = document.createElement("dl");
    for (const c of query.columns) columns.append(make("dt", c.unit && c.unit !== "-" ? `${c.name} [${c.unit}]` : c.name), make("dd", c.description));
    about.replaceChildren(make("p", query.question), columns);
    const params = by("params");
    params.replaceChildren(...query.parameters.map((p) => {
      const label = make("label", `${p.name}: ${p.description}`);
      const input = Object.assign(document.createElement("input"), { name: p.name, placeholder: String(p.default), autocomplete: "off" });
      label.append(input);
      return label;
    }));
    sql.value = `FROM ${query.name}`;
    named = query;
  };

  const cell = (value) => {
    const td = document.createElement("td");
    if (value === null) td.textContent = NOTHING;
    else if (typeof value === "number") td.textContent = Number.isInteger(value) ? String(value) : number(value);
    else { td.textContent = typeof value === "object" ? JSON.stringify(value) : String(value); td.className = "text"; }
    if (typeof value === "number") td.title = String(value);
    if (typeof value === "string" && value.length > 60) td.title = value;
    return td;
  };

  const table = ({ columns, rows, cut }) => {
    const scroll = Object.assign(document.createElement("div"), { className: "scroll", tabIndex: 0 });
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "Answer of the query");
    const made = document.createElement("table");
    made.append(Object.assign(make("caption", "Rows of the answer"), { className: "unseen" }));
    const head = made.createTHead().insertRow();
    const texts = columns.map((_, i) => rows.some((row) => row[i] !== null && typeof row[i] !== "number"));
    columns.forEach((name, i) => head.append(Object.assign(make("th", name), { scope: "col", className: texts[i] ? "text" : "" })));
    const body = made.createTBody();
    for (const row of rows) body.insertRow().append(...row.map(cell));
    scroll.append(made);
    const says = make("p", `${count(rows.length)} ${rows.length === 1 ? "row" : "rows"}${cut ? "; there are more: add LIMIT, or download" : ""}.`);
    says.className = "note";
    return [says, scroll];
  };

  for (const button of box.querySelectorAll("[data-query]")) {
    button.addEventListener("click", () => {
      explain(JSON.parse(button.dataset.query));
      pressed(button);
      form.requestSubmit();
    });
  }

  sql.addEventListener("input", () => {
    named = null;
    pressed(null);
    by("params").replaceChildren();
  });
  sql.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });

  /** Parameters that were filled in, as the address of a named query has them. */
  const given = () => {
    const filled = [...by("params").querySelectorAll("input")].filter((i) => i.value.trim());
    return new URLSearchParams(filled.map((i) => ["param", `${i.name}=${i.value.trim()}`]));
  };

  let latest = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const mine = ++latest;
    answer.replaceChildren(Object.assign(make("p", "Asking …"), { className: "waiting" }));
    try {
      let found;
      if (named) {
        found = await ask(`${path}/${named.name}?${given()}`);
      } else found = await ask(path, { method: "POST", body: { sql: sql.value } });
      if (mine === latest) answer.replaceChildren(...table(found));
    } catch (e) {
      if (!(e instanceof Refused)) throw e;
      if (mine !== latest) return;
      const told = Object.assign(document.createElement("pre"), { className: "banner wrong", textContent: e.message });
      told.setAttribute("role", "alert");
      answer.replaceChildren(told);
    }
  });
}
