"use strict";
(() => {
  const key = (row, column) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();

  function sort(table, heading, column) {
    const numeric = heading.dataset.kind === "number";
    const now = heading.getAttribute("aria-sort");
    const preferred = heading.dataset.first || "ascending";
    const other = { ascending: "descending", descending: "ascending" };
    const next = now === "none" ? preferred : other[now];
    for (const each of table.querySelectorAll("th[aria-sort]")) each.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const number = (text) => (text === "-inf" ? -Infinity : text === "inf" ? Infinity : Number(text));
    const compare = (a, b) => {
      const [x, y] = [key(a, column), key(b, column)];
      if (!numeric) return sign * x.localeCompare(y, undefined, { numeric: true });
      if (x === "" || y === "") return (x === "") - (y === "");  // no number: always last
      const [u, v] = [number(x), number(y)];
      return u === v ? 0 : sign * (u < v ? -1 : 1);
    };
    const body = table.tBodies[0];
    body.append(...Array.from(body.rows).sort(compare));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.querySelectorAll("th[aria-sort]")) {
      const column = Number(heading.dataset.column);
      heading.querySelector("button").addEventListener("click", () => sort(table, heading, column));
    }
  }

  const filter = document.querySelector(".filter");
  if (filter) {
    filter.hidden = false;
    filter.querySelector("input").addEventListener("input", (event) => {
      const wanted = event.target.value.trim().toLowerCase();
      for (const row of document.querySelectorAll("tr[data-model]")) {
        row.hidden = !row.dataset.model.toLowerCase().includes(wanted);
      }
    });
  }
})();
