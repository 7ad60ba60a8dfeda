// The viewer: the address says which picture at which seed; list, seeds and keys only change it.
const PAUSE = 40; // milliseconds: where a key is held, no picture is loaded that is only passed
const PATIENCE = 400; // milliseconds that the old picture stays until the new ones are decoded

class Viewer {
  constructor() {
    this.main = document.querySelector("main");
    this.list = document.querySelector(".v-list");
    this.told = document.querySelector(".v-told");
    this.links = [...this.list.querySelectorAll("a")];
    this.known = new Map(this.links.map((link) => [this.asked(link.hash).picture, link]));
    this.name = document.title;
    this.turn = 0;
    new Filter(this.list);
    addEventListener("hashchange", () => this.show());
    this.list.addEventListener("keydown", (event) => this.listKey(event));
    document.addEventListener("keydown", (event) => this.seedKey(event));
    if (!location.hash && this.links.length) history.replaceState(null, "", this.links[0].hash);
    this.show();
    this.current?.focus({ preventScroll: true });
  }

  asked(hash) {
    const said = new URLSearchParams(hash.slice(1));
    return { picture: said.get("picture"), seed: said.get("seed") };
  }

  async show() {
    const { picture, seed } = this.asked(location.hash);
    const link = this.known.get(picture);
    const turn = ++this.turn;
    this.choose(link);
    if (!link) return this.put(null, "This run has no such picture.");
    const same = this.shown === picture;
    this.main.setAttribute("aria-busy", "true");
    await wait(PAUSE);
    if (turn !== this.turn) return;
    const part = document.createElement("div");
    try {
      const own = /^\d+$/.test(seed) ? seed : this.asked(link.hash).seed;
      const answer = await fetch(`picture/${link.dataset.place}/${own}`);
      if (answer.ok) part.innerHTML = await answer.text();
      const pictures = Promise.allSettled(Array.from(part.querySelectorAll("img"), (one) => one.decode()));
      await Promise.race([pictures, wait(PATIENCE)]);
      if (turn === this.turn) this.put(part.firstElementChild, "This picture has no such seed.", same);
    } catch {
      if (turn === this.turn) this.put(null, "The viewer has ended, or failed: its terminal says why.");
    }
  }

  // Mark a link of the list: it alone takes the tab.
  choose(link) {
    this.current?.removeAttribute("aria-current");
    for (const one of [this.current, this.links[0]]) if (one) one.tabIndex = -1;
    this.current = link;
    const entry = link ?? this.links[0];
    if (entry) entry.tabIndex = 0;
    link?.setAttribute("aria-current", "true");
    link?.scrollIntoView({ block: "nearest" });
  }

  // Show a picture, or say why there is none. At another seed the stage stays where it was.
  put(article, otherwise, same = false) {
    const focused = [".panes", ".v-seeds"].find((name) => document.activeElement.closest(`main ${name}`));
    const within = this.main.contains(document.activeElement);
    const before = this.stage;
    if (before?.slider) before.run(false);
    if (!article) {
      article = document.createElement("p");
      article.className = "box v-lost";
      article.textContent = otherwise;
    }
    this.main.replaceChildren(article);
    this.main.removeAttribute("aria-busy");
    const root = article.querySelector(".stage");
    this.stage = root ? new Stage(root) : null;
    root?.addEventListener("load", () => this.stage.draw(), true);
    if (before && this.stage) this.carry(before, same);
    if (within) (article.querySelector(focused === ".v-seeds" ? ".v-seeds [aria-current]" : focused) ?? this.main).focus({ preventScroll: true });
    const said = article.dataset.title;
    this.shown = said ? this.asked(location.hash).picture : null;
    this.told.textContent = said ?? article.textContent;
    document.title = `${this.told.textContent} · ${this.name}`;
  }

  carry(before, same) {
    const { stage } = this;
    if (stage.slider && before.slider) {
      if (stage.panes.length === before.panes.length) stage.choose(...before.pair);
      stage.slider.value = before.slider.value;
      stage.wipe();
      stage.show(before.root.dataset.mode);
    }
    if (!same) return;
    stage.go(before.place);
    // A new Panzoom goes to the middle once more: by a timer, in the frame that follows.
    setTimeout(() => requestAnimationFrame(() => stage.go(before.place)));
  }

  listKey(event) {
    if (modified(event)) return;
    const seen = this.links.filter((link) => !link.parentNode.hidden);
    const at = seen.indexOf(document.activeElement);
    const to = { j: at + 1, ArrowDown: at + 1, k: at - 1, ArrowUp: at - 1, Home: 0, End: seen.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to in seen) {
      seen[to].focus();
      location.replace(seen[to].hash); // one entry of the history, however many are passed
    }
  }

  seedKey(event) {
    const by = { "[": -1, "]": 1 }[event.key];
    const within = event.target.closest("main, .v-list");
    if (!by || modified(event) || !within || event.target.matches("select")) return;
    const seeds = [...this.main.querySelectorAll(".v-seeds a")];
    const to = seeds[seeds.findIndex((seed) => seed.ariaCurrent) + by];
    event.preventDefault();
    if (to) location.replace(to.hash);
  }
}

// Search, tag and state of harm: what does not match is hidden.
class Filter {
  constructor(list) {
    this.bar = document.querySelector(".v-filter");
    [this.search, this.tag, this.state] = ["input", ".v-tag", ".v-state"].map((name) => this.bar.querySelector(name));
    this.status = this.bar.nextElementSibling;
    this.all = this.status.textContent;
    this.none = document.querySelector(".v-none");
    this.items = Array.from(list.children, (item) => ({
      item,
      text: fold(item.textContent),
      tags: new Set(Array.from(item.querySelectorAll(".tag"), (one) => one.textContent)),
    }));
    this.bar.addEventListener("input", () => this.apply());
    this.bar.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      for (const field of [this.search, this.tag, this.state]) if (field) field.value = "";
      this.apply();
    });
  }

  apply() {
    const [wanted, tag, state] = [fold(this.search.value.trim()), this.tag?.value, this.state?.value];
    let found = 0;
    for (const { item, text, tags } of this.items) {
      item.hidden = !(text.includes(wanted) && (!tag || tags.has(tag)) && (!state || item.dataset.state === state));
      found += !item.hidden;
    }
    this.none.hidden = found > 0;
    this.status.textContent = wanted || tag || state ? `${found} of ${this.all}` : this.all;
  }
}

const fold = (text) => text.normalize("NFKC").toLowerCase();
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
// Where [ needs AltGr, that is no shortcut of the browser.
const modified = (event) => (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");

document.addEventListener("DOMContentLoaded", () => new Viewer());
