// Live charts: Vega-Lite drawn by the bundle that comes with vl-convert. Vega's expressions are interpreted (`ast`), not compiled, because
// the page's Content-Security-Policy forbids eval; colours are the page's own custom properties, so that a change of theme costs nothing.
import { NOTHING, number, share } from "./words.js";

const LABEL = "format(datum.value, abs(datum.value) >= 10000 ? '~s' : ',~r')";

const percent = (value) => share(value);

/** One entry a figure of the page, by the id of its element. `lines`: key of a row, name, colour. */
export const CHARTS = {
  ttft: { title: "TTFT", unit: "ms", say: number, lines: [["ttft_p50_ms", "p50", "var(--accent-2)"], ["ttft_p99_ms", "p99", "var(--ramp-3)"]] },
  success: { title: "Success", unit: "%", say: percent, top: 1, label: "format(datum.value, '~%')", lines: [["ok_share", "ok", "var(--good)"]] },
  requests: { title: "Requests", unit: "/s", say: number, lines: [["sent_per_s", "sent", "var(--accent-2)"], ["done_per_s", "ended", "var(--ramp-0)"]] },
  tokens: { title: "Output tokens", unit: "/s", say: number, lines: [["tokens_per_s", "tokens", "var(--accent-2)"]] },
  flight: { title: "In flight", unit: "", say: number, lines: [["in_flight", "in flight", "var(--accent-2)"]] },
  late: { title: "Issued over 1 ms late", unit: "%", say: percent, least: 0.01, label: "format(datum.value, '~%')", lines: [["late_share", "late", "var(--bad)"]] },
};

const spec = (chart) => {
  const x = { field: "s", type: "quantitative", scale: { nice: false, domain: [0, { expr: "last" }] } };
  const y = { type: "quantitative", scale: { nice: false, domain: [0, { expr: "top" }] } };
  const axis = { title: null, tickCount: 3, labelExpr: chart.label ?? LABEL };
  const rule = (name, field, mark) => ({
    data: { name },
    mark: { type: "rule", aria: false, ...mark },
    encoding: { x: { ...x, field } },
  });
  return {
    width: "container",
    height: "container",
    // Labels grow with what they count; the drawing is fitted to its place anew each time.
    autosize: { type: "fit", contains: "padding", resize: true },
    params: [{ name: "last", value: 10 }, { name: "top", value: 1 }],
    config: {
      background: null,
      font: "Inter, Segoe UI, Helvetica, Arial, sans-serif",
      padding: { left: 0, right: 6, top: 6, bottom: 0 },
      view: { stroke: null },
      legend: { disable: true },
      axis: { labelColor: "var(--muted)", gridColor: "var(--grid)", domain: false, ticks: false, labelFontSize: 11, labelPadding: 5 },
      axisX: { grid: false, ticks: true, tickColor: "var(--grid)", tickSize: 4 },
    },
    layer: [
      rule("steps", "s", { stroke: "var(--rule)", strokeDash: [3, 3] }),
      {
        data: { name: "rows" },
        mark: { type: "line", aria: false, strokeWidth: 1.75, strokeJoin: "round", invalid: "break-paths-show-domains" },
        encoding: {
          x: { ...x, axis: { title: null, tickCount: 5, labelExpr: "format(datum.value, ',~r') + ' s'", labelOverlap: "greedy" } },
          y: { ...y, field: "v", axis },
          color: {
            field: "k", type: "nominal",
            scale: { domain: chart.lines.map(([, name]) => name), range: chart.lines.map(([, , colour]) => colour) },
          },
        },
      },
      rule("cursor", "s", { stroke: "var(--muted)" }),
    ],
  };
};

/** A round number at or above: a scale that does not twitch with every moment. */
const above = (value) => {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((m) => m * unit).find((v) => v >= value * (1 - 1e-9));
};

export class LiveChart {
  #view;

  static async on(figure, chart) {
    const made = new LiveChart();
    made.figure = figure;
    made.chart = chart;
    const plot = figure.querySelector(".plot");
    const { view } = await globalThis.vegaEmbed(plot, spec(chart), {
      mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: false, logLevel: 1,
    });
    made.#view = view;
    plot.querySelector("svg").setAttribute("aria-hidden", "true");
    return made;
  }

  /** Rows of a Series, and where steps begin. */
  draw(rows, steps) {
    const points = [];
    let most = this.chart.least ?? 0;
    for (const [key, name] of this.chart.lines) {
      for (const row of rows) {
        points.push({ s: row.s, v: row[key], k: name });
        if (row[key] > most) most = row[key];
      }
    }
    this.#view
      .signal("last", Math.max(10, rows.at(-1)?.s ?? 0))
      .signal("top", this.chart.top ?? above(most))
      .data("rows", points)
      .data("steps", steps.slice(1))
      .runAsync();
  }

  /** The row that the cursor stands on, or none. */
  mark(row) {
    this.#view.data("cursor", row ? [{ s: row.s }] : []).runAsync();
  }

  /** The second of the run under a place of the screen, or none. */
  second(clientX) {
    const box = this.figure.querySelector(".plot").getBoundingClientRect();
    const s = this.#view.scale("x").invert(clientX - box.left - this.#view.origin()[0]);
    return Number.isFinite(s) ? s : null;
  }

  /** Writes the figures of a row beside the title. */
  tell(row) {
    const { lines, unit, say } = this.chart;
    const out = this.figure.querySelector("output");
    const words = lines.map(([key]) => (row ? say(row[key]) : NOTHING)).join(" · ");
    out.replaceChildren(words);
    if (unit && row) {
      const small = document.createElement("small");
      small.textContent = unit;
      out.append(small);
    }
  }

  /** One sentence for those who do not see the drawing. */
  sentence(rows) {
    const { lines, unit, say, title } = this.chart;
    const told = lines.map(([key, name]) => {
      const known = rows.map((row) => row[key]).filter((v) => v !== null);
      if (!known.length) return `${name} not known yet`;
      return `${name} now ${say(known.at(-1))}, so far from ${say(Math.min(...known))} to ${say(Math.max(...known))}`;
    });
    return `${title}${unit ? ` in ${unit}` : ""} over the run: ${told.join("; ")}`;
  }
}
