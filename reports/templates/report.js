"use strict";
// The page is complete without this: it adds the sorting of columns.
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.closest("th")));
  }
});
function sort(head) {
  const column = head.cellIndex;
  const words = head.dataset.sort === "words";
  const first = words ? "ascending" : "descending";
  const second = words ? "descending" : "ascending";
  const order = head.getAttribute("aria-sort") === first ? second : first;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const body = head.closest("table").tBodies[0];
  const key = (row) => row.cells[column].dataset.key; // numbers grow as the picture gets worse
  const compare = words
    ? (a, b) => key(a).localeCompare(key(b), "en", { numeric: true })
    : (a, b) => Number(key(a)) - Number(key(b)) || 0; // two infinities give NaN
  const rows = Array.from(body.rows).sort(compare);
  if (order === "descending") rows.reverse();
  body.append(...rows);
}
