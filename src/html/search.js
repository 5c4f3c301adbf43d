"use strict";
// The page is whole without this: it filters and sorts tables of class "searched".
for (const table of document.querySelectorAll("table.searched")) {
  const body = table.tBodies[0];
  const rows = Array.from(body.rows, (row) => ({ row, text: row.textContent.toLowerCase() }));
  const form = document.createElement("form");
  form.className = "search";
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "Search";
  field.setAttribute("aria-label", "Search");
  const found = document.createElement("span");
  found.className = "soft";
  found.setAttribute("role", "status");
  form.append(field, found);
  form.addEventListener("submit", (event) => event.preventDefault());
  const place = table.closest(".scroll") || table;
  place.before(form);
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { row, text } of rows) {
      const fits = words.every((word) => text.includes(word));
      row.hidden = !fits;
      if (fits) shown += 1;
    }
    found.textContent = shown + " of " + rows.length;
  };
  let waiting;
  field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
  filter();
  const key = (row, at) => {
    const cell = row.cells[at];
    return cell ? cell.dataset.sort ?? cell.textContent.trim() : "";
  };
  const order = new Intl.Collator(undefined, { numeric: true });
  Array.from(table.tHead.rows[0].cells).forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const upwards = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
      const keyed = rows.map((entry) => ({ entry, key: key(entry.row, at) }));
      keyed.sort((a, b) => order.compare(a.key, b.key) * (upwards ? 1 : -1));
      body.append(...keyed.map(({ entry }) => entry.row));
    });
  });
}
