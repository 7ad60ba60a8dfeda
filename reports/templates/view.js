// The viewer: the address says which picture at which seed; list, seeds and keys only change it.
const PAUSE = 40; // milliseconds: where a key is held, no picture is loaded that is only passed
const FIELDS = "input:not([type=range]), select, textarea"; // a slider takes no letters
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
    new Filter(this.list, () => this.enter(), () => this.descend());
    addEventListener("hashchange", () => this.show());
    document.addEventListener("keydown", (event) => this.key(event));
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

  // Mark a link of the list.
  choose(link) {
    this.current?.removeAttribute("aria-current");
    this.current = link;
    link?.setAttribute("aria-current", "true");
    link?.scrollIntoView({ block: "nearest" });
    this.enter();
  }

  // One link alone takes the tab: the current one, or where that is hidden the first that is not.
  enter() {
    if (this.entry) this.entry.tabIndex = -1;
    this.entry = this.current && seen(this.current) ? this.current : this.links.find(seen);
    if (this.entry) this.entry.tabIndex = 0;
  }

  // From the search into the list: the current picture stays at its seed.
  descend() {
    if (this.entry === this.current) this.entry?.focus();
    else this.go(this.entry, true);
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
    reach(article);
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

  // Letters and brackets work wherever nothing is written or chosen, arrows in the list.
  key(event) {
    if (modified(event) || event.target.matches(FIELDS)) return;
    const listed = this.list.contains(event.target);
    const deed = {
      j: () => this.next(listed), k: () => this.previous(listed), "[": () => this.seed(-1), "]": () => this.seed(1),
      ...listed && { ArrowDown: () => this.next(true), ArrowUp: () => this.previous(true), Home: () => this.go(this.links.find(seen), true), End: () => this.go(this.links.findLast(seen), true) },
    }[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  }

  // Place in the list: of the focus, or else of the address, which a key changes before the picture is there.
  place(listed) {
    return this.links.indexOf(listed ? document.activeElement : this.known.get(this.asked(location.hash).picture));
  }

  next(listed) {
    const at = this.place(listed);
    this.go(this.links.find((link, place) => place > at && seen(link)), listed);
  }

  previous(listed) {
    const at = this.place(listed);
    this.go(this.links.findLast((link, place) => place < at && seen(link)), listed);
  }

  // Outside the list the focus stays: the next picture has such a place, too.
  go(link, listed) {
    if (!link) return;
    if (listed) link.focus();
    location.replace(link.hash); // one entry of the history, however many are passed
  }

  seed(by) {
    const seeds = [...this.main.querySelectorAll(".v-seeds a")];
    const to = seeds[seeds.findIndex((seed) => seed.ariaCurrent) + by];
    if (to) location.replace(to.hash);
  }
}

// Search, tag and state of harm: what does not match is hidden.
class Filter {
  constructor(list, narrowed, descend) {
    this.narrowed = narrowed;
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
    this.search.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowDown" || modified(event)) return;
      event.preventDefault();
      descend();
    });
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
    this.narrowed();
    this.status.textContent = wanted || tag || state ? `${found} of ${this.all}` : this.all;
  }
}

const seen = (link) => !link.parentNode.hidden;
const fold = (text) => text.normalize("NFKC").toLowerCase();
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
// Where [ needs AltGr, that is no shortcut of the browser.
const modified = (event) => (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");

document.addEventListener("DOMContentLoaded", () => new Viewer());
