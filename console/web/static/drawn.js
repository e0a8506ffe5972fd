// Charts of data that is there already: specifications that the page carries, drawn by the same library, with words at the pointer.
const OPTIONS = { mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, tooltip: false, logLevel: 1 };

const draw = async (place) => {
  const spec = JSON.parse(place.dataset.spec);
  delete place.dataset.spec;
  const { view } = await globalThis.vegaEmbed(place, spec, OPTIONS);
  place.querySelector("svg").setAttribute("aria-hidden", "true");
  return view;
};

// A panel that is not shown has no width to be drawn in: it is drawn when it is first chosen.
const drawShown = () => {
  for (const place of document.querySelectorAll(".drawn[data-spec]")) {
    if (place.clientWidth) draw(place);
  }
};
document.addEventListener("change", drawShown);
drawShown();

const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
document.body.append(tip);
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest?.(".drawn [aria-roledescription][aria-label]:not(g)");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.getAttribute("aria-label");
  const box = tip.getBoundingClientRect();
  const x = event.clientX + 14 + box.width > innerWidth ? event.clientX - box.width - 10 : event.clientX + 14;
  const y = event.clientY + 16 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 16;
  tip.style.transform = `translate(${Math.max(4, x)}px, ${Math.max(4, y)}px)`;
});
