// The moments of a run, as rows for charts. Nothing here knows of a page.

const MOST = 600;

/** What one moment adds: figures of the stretch since the moment before it. A figure that nothing can be said of is null. */
const since = (before, now) => {
  const seconds = now.elapsed_s - before.elapsed_s;
  const more = (key) => now[key] - before[key];
  const ended = more("done");
  const ok = (now.outcomes.ok ?? 0) - (before.outcomes.ok ?? 0);
  const all = Object.values(now.outcomes).reduce((a, b) => a + b, 0) - Object.values(before.outcomes).reduce((a, b) => a + b, 0);
  const sent = more("sent");
  return {
    s: now.elapsed_s,
    ttft_p50_ms: now.ttft_p50_ms,
    ttft_p99_ms: now.ttft_p99_ms,
    ok_share: all > 0 ? ok / all : null,
    sent_per_s: now.sent_per_s,
    done_per_s: seconds > 0 ? ended / seconds : null,
    tokens_per_s: now.tokens_per_s,
    in_flight: now.in_flight,
    late_share: sent > 0 ? more("late_1ms") / sent : null,
  };
};

/** Two rows in one: the worse of each figure, so that no spike is smoothed away. */
const merged = (a, b) => {
  const row = { s: b.s };
  for (const key of Object.keys(a)) {
    if (key === "s") continue;
    if (a[key] === null || b[key] === null) row[key] = a[key] ?? b[key];
    else row[key] = key === "ok_share" ? Math.min(a[key], b[key]) : Math.max(a[key], b[key]);
  }
  return row;
};

export class Series {
  rows = [];
  steps = [];
  #before = null;
  #every = 1;
  #waiting = [];

  /** Takes a moment unless less than `least_s` passed since the one before; whether it was taken. */
  add(now, least_s = 0.9) {
    const before = this.#before;
    if (now.step !== null && now.step_id !== this.steps.at(-1)?.id) {
      this.steps.push({ id: now.step_id, s: Math.max(0, now.elapsed_s - now.step_elapsed_s), name: now.step });
    }
    if (before && now.elapsed_s - before.elapsed_s < least_s) return false;
    this.#before = now;
    if (!before) return false;
    this.#waiting.push(since(before, now));
    if (this.#waiting.length < this.#every) return true;
    this.rows.push(this.#waiting.reduce(merged));
    this.#waiting = [];
    if (this.rows.length > MOST) this.#thin();
    return true;
  }

  /** Halves the rows: a long run stays as cheap to draw as a short one. */
  #thin() {
    const half = [];
    for (let i = 0; i + 1 < this.rows.length; i += 2) half.push(merged(this.rows[i], this.rows[i + 1]));
    if (this.rows.length % 2) this.#waiting.unshift(this.rows.at(-1));
    this.rows = half;
    this.#every *= 2;
  }

  /** The row nearest to a second of the run. */
  at(s) {
    let best = null;
    for (const row of this.rows) if (!best || Math.abs(row.s - s) < Math.abs(best.s - s)) best = row;
    return best;
  }
}
