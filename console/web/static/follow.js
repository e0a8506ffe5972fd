// An event source that outlives its server: it says when the server is gone, tries again ever more slowly, and says when it is back.
const SOONEST_MS = 1000;
const LATEST_MS = 15000;

/** `on`: event name → what to do with its data, parsed. `gone` and `back` take nothing. Returns what closes it. */
export const follow = (url, { on, gone, back }) => {
  let source = null;
  let timer = null;
  let wait = SOONEST_MS;
  let lost = false;

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
    source.addEventListener("error", () => {
      if (!lost) gone();
      lost = true;
      // A browser that gives up (a status other than 200) would stay silent for ever; one that tries by itself is left alone.
      if (source.readyState !== EventSource.CLOSED) return;
      timer = setTimeout(open, wait);
      wait = Math.min(wait * 2, LATEST_MS);
    });
  };

  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
};
