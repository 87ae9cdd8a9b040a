// Tables that sort: each header becomes a button. Numbers are compared as numbers, empty cells come
// last, rows that are equal keep their order; a second time turns it round.
"use strict";
for (const table of document.querySelectorAll("table.sorts")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const value = (row, i) => {
    const cell = row.cells[i];
    const text = cell.textContent.trim();
    if (text === "") return null;
    return cell.className === "number" ? parseFloat(text) : text;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, {numeric: true});
  };
  heads.forEach((th, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...th.childNodes);
    button.addEventListener("click", () => {
      const way = th.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(h => h.removeAttribute("aria-sort"));
      th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      const rows = [...body.rows].map(row => [value(row, i), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null);
        return way * compare(a, b);
      });
      body.append(...rows.map(([, row]) => row));
    });
    th.append(button);
  });
}
