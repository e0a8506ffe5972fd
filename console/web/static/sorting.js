// Tables whose heads have data-sort: a click sorts by that column; what is unknown stays last either way.
const order = (a, b) => (isNaN(a) || isNaN(b) ? String(a).localeCompare(String(b), undefined, { numeric: true }) : a - b);

const key = (row, at) => row.cells[at].dataset.value ?? row.cells[at].textContent.trim();

const sort = (heading) => {
  const table = heading.closest("table");
  const body = table.tBodies[0];
  const falling = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
  const at = Number(heading.dataset.sort);
  const rows = [...body.rows].sort((one, other) => {
    const a = key(one, at), b = key(other, at);
    if (a === "" || b === "") return (a === "") - (b === "");
    return falling ? order(b, a) : order(a, b);
  });
  body.append(...rows);
};

export const sortable = (table) => {
  for (const heading of table.querySelectorAll("th[data-sort]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent.trim();
    heading.replaceChildren(button);
    button.addEventListener("click", () => sort(heading));
  }
};

for (const table of document.querySelectorAll("table.sortable")) sortable(table);
