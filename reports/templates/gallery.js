// Search and groups: they hide pictures of the gallery and rows of the table, and fade marks of plots.
document.addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector(".filter");
  if (!bar) return;
  const search = bar.querySelector("input");
  const tag = bar.querySelector("select");
  const clear = bar.querySelector("button");
  const status = bar.querySelector("p");
  const all = status.textContent;
  const body = document.querySelector("table.pictures").tBodies[0];
  const grid = document.querySelector(".g-grid");
  const groups = document.querySelectorAll(".g-groups input");
  const fold = (text) => text.normalize("NFKC").toLowerCase();
  const entry = (sample, from) => ({
    sample,
    text: fold(from.textContent),
    tags: new Set(Array.from(from.querySelectorAll(".tag"), (one) => one.textContent)),
  });
  const rows = Array.from(body.rows, (row) => {
    const head = row.querySelector("th");
    return { ...entry(head.dataset.key, head), row };
  });
  const known = new Map(rows.map((one) => [one.sample, one]));
  const items = Array.from(grid ? grid.children : [], (item) => {
    const sample = item.dataset.sample; // one that the table leaves out has what stands below it
    return { ...(known.get(sample) || entry(sample, item)), item };
  });
  const marks = Array.from(document.querySelectorAll(".s-field [data-sample]"));

  function group() {
    return Array.from(groups).find((one) => one.checked)?.value || "";
  }
  function arrange() {
    const key = group();
    const place = ({ item }) => Number(item.dataset[key]) || Infinity;
    // The script's own list has the order of all groups; equal places keep it.
    const order = key ? items.slice().sort((a, b) => place(a) - place(b) || 0) : items;
    grid.append(...order.map((one) => one.item));
  }
  // While rows are hidden, columns keep the widths that they have with all of them.
  function hold(active) {
    const heads = Array.from(body.parentNode.tHead.rows[0].cells);
    const widths = heads.map((head) => (active ? head.style.width || head.offsetWidth + "px" : ""));
    heads.forEach((head, place) => { head.style.width = widths[place]; });
  }
  function apply() {
    const wanted = fold(search.value.trim());
    const chosen = tag ? tag.value : "";
    const matches = (one) => one.text.includes(wanted) && (!chosen || one.tags.has(chosen));
    const active = Boolean(wanted || chosen);
    const found = new Set();
    hold(active);
    for (const one of rows) {
      const match = matches(one);
      if (match) found.add(one.sample);
      one.row.hidden = !match;
    }
    const key = group();
    let shown = 0;
    for (const one of items) {
      const match = matches(one) && (!key || key in one.item.dataset);
      one.item.hidden = !match;
      shown += match;
    }
    for (const mark of marks) mark.classList.toggle("faded", active && !found.has(mark.dataset.sample));
    if (grid) grid.nextElementSibling.hidden = shown > 0;
    body.closest(".scroll").querySelector(".g-none").hidden = found.size > 0 || !rows.length;
    clear.disabled = !active;
    const said = active ? `${found.size} of ${rows.length} pictures match` : all;
    if (status.textContent !== said) status.textContent = said;
  }
  function reset() {
    search.value = "";
    if (tag) tag.value = "";
    apply();
    search.focus();
  }

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(apply, 120);
  });
  tag?.addEventListener("change", apply);
  clear.addEventListener("click", reset);
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    clearTimeout(waiting);
    reset();
  });
  for (const one of groups) one.addEventListener("change", () => { arrange(); apply(); });
  if (grid) arrange();
  apply();
  grid?.classList.remove("early");
});
