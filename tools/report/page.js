// SPDX-License-Identifier: MIT
// Sorts and filters the table of all results. Without it the page says the same in one order.
"use strict";
(() => {
  const table = document.querySelector("table.results");
  const form = document.querySelector("form.filters");
  if (!table || !form) return;
  const body = table.tBodies[0];
  // 4,096 is found as 4096 too
  const wordsOf = (row) => {
    const text = Array.from(row.cells, (cell) => cell.textContent).join(" ").toLowerCase();
    return `${text} ${text.replace(/(\d),(?=\d{3})/g, "$1")}`;
  };
  const rows = Array.from(body.rows, (row, place) => ({ row, place, text: wordsOf(row) }));
  const heads = Array.from(table.tHead.rows[0].cells);

  // ---- sorting: a button in each heading; the same again turns it round

  // A number where the cell has one, else its text; null where it is empty.
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v === undefined ? cell.textContent || null : Number(cell.dataset.v);
  };

  const sort = (column) => {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = rows.map((item) => ({ item, key: key(item.row, column) }));
    keyed.sort((a, b) => {
      // what has no value stands last in either direction
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.item.place - b.item.place;
      const order = typeof a.key === "number" && typeof b.key === "number" ? a.key - b.key : String(a.key).localeCompare(String(b.key), "en", { numeric: true });
      return (down ? -order : order) || a.item.place - b.item.place;
    });
    body.append(...keyed.map(({ item }) => item.row));
  };

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  // ---- filtering: every word is somewhere in the row, and every list's choice in its column

  const find = form.elements.find;
  const choices = Array.from(form.querySelectorAll("select"));
  const count = form.elements.count;

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      const fits =
        words.every((word) => text.includes(word)) &&
        choices.every((choice) => !choice.value || row.cells[choice.dataset.column].textContent === choice.value);
      row.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${rows.length} shown`;
  };

  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
})();
