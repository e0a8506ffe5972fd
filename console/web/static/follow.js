// An event source that outlives its server: it says when the server is gone, tries again ever more slowly, and says when it is back.
const SOONEST_MS = 1000;
const LATEST_MS = 15000;

/** `on`: event name → what to do with its data, parsed. `gone` and `back` take nothing. `refused` says, once asked, whether to try again:
 * a browser gives up at any status other than 200, and tells nobody which. Returns what closes it. */
export const follow = (url, { on, gone, back, refused }) => {
  let source = null;
  let timer = null;
  let wait = SOONEST_MS;
  let lost = false;
  let closed = false;

  const open = () => {
    source = new EventSource(url);
    source.addEventListener("open", () => {
      wait = SOONEST_MS;
      if (lost) back();
      lost = false;
    });
    for (const [name, act] of Object.entries(on)) {
      source.addEventListener(name, (event) => act(JSON.parse(event.data)));
    }
    source.addEventListener("error", async () => {
      const over = source.readyState === EventSource.CLOSED;
      // A browser that tries again by itself is left alone.
      if (!over && !lost) gone();
      lost = true;
      if (!over || !(await refused()) || closed) return;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, LATEST_MS);
    });
  };

  open();
  return () => {
    closed = true;
    clearTimeout(timer);
    source.close();
  };
};
