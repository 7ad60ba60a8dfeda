// The review: the address says who rates, the server says which pair comes next. An answer counts
// once the server has confirmed it; only then the next pair is shown.
const LEAST = 4; // screen pixels of a side of a box: less is no drag
const FIELDS = "input:not([type=range]), select, textarea"; // a slider takes no letters
const SVG = "http://www.w3.org/2000/svg";

class Review {
  constructor() {
    [this.main, this.form, this.done, this.enough, this.alert, this.told] =
      ["main", ".r-enter", ".r-done", ".r-enough", ".r-alert", ".r-told"].map((name) => document.querySelector(name));
    this.name = this.form.querySelector("input");
    this.turn = 0; // counts what was asked for: what comes too late is not shown
    this.form.addEventListener("submit", (event) => {
      event.preventDefault(); // nothing is sent but by `post`
      const asked = `#${new URLSearchParams({ rater: this.name.value.trim() })}`;
      if (asked === location.hash) this.enter();
      else location.hash = asked;
    });
    addEventListener("hashchange", () => this.enter());
    // Before the stage, to which 1 means something else with Shift on some keyboards.
    document.addEventListener("keydown", (event) => this.key(event), true);
    document.addEventListener("click", (event) => this.click(event));
    this.enter();
  }

  // Who is named in the address goes on where they were; or else a name is asked for.
  async enter() {
    const turn = this.begin();
    this.coming = null;
    this.rater = new URLSearchParams(location.hash.slice(1)).get("rater")?.trim() ?? "";
    if (!this.rater) return this.ask("");
    try {
      const state = await this.json("state", {});
      if (turn === this.turn) this.follow(state);
    } catch (error) {
      if (turn === this.turn) this.ask(error.message);
    }
  }

  ask(why) {
    this.main.replaceChildren();
    this.pair = null;
    this.see(this.form);
    this.enough.textContent = "";
    this.name.value = this.rater;
    this.name.focus();
    this.warn(why);
  }

  // From now on nothing can be answered until a pair is shown.
  begin() {
    this.open = false;
    this.drawing = false;
    this.main.setAttribute("aria-busy", "true");
    return ++this.turn;
  }

  see(part) {
    for (const one of [this.form, this.main, this.done]) one.hidden = one !== part;
  }

  // What is shown can be answered.
  ready() {
    this.open = true;
    this.main.removeAttribute("aria-busy");
  }

  follow(state) {
    this.enough.textContent = state.enough ? "Enough pairs were seen: the review can end here. Going on is welcome." : "";
    this.last = state.last;
    if (state.next !== null) return this.show(state.next);
    this.pair = null;
    this.main.replaceChildren();
    this.see(this.done);
    this.done.querySelector("button").hidden = state.last === null;
    this.done.focus();
  }

  // A pair can be answered once its pictures are decoded and on the screen.
  async show(number) {
    const turn = this.begin();
    try {
      const article = await (this.coming?.number === number ? this.coming.article : this.load(number));
      if (turn !== this.turn) return;
      this.put(article);
    } catch (error) {
      if (turn === this.turn) this.warn(`The pair cannot be shown: ${error.message}${error.over ? "" : " Reload the page to try again."}`);
      return;
    }
    await drawn();
    if (turn !== this.turn) return;
    this.ready();
    this.since = performance.now();
    const { ahead } = this.pair.dataset;
    if (ahead === undefined) return;
    const article = this.load(Number(ahead));
    article.catch(() => {}); // told when its turn has come
    this.coming = { number: Number(ahead), article };
  }

  async load(number) {
    const answer = await this.post(`pair/${number}`, {});
    const part = document.createElement("div");
    part.innerHTML = await answer.text();
    try {
      await Promise.all(Array.from(part.querySelectorAll("img"), (one) => one.decode()));
    } catch {
      this.coming = null;
      throw new Error("a picture did not come, or is damaged.");
    }
    return part.firstElementChild;
  }

  // The stage starts with the whole pictures, and compares them as before.
  put(article) {
    const { stage } = this;
    if (stage?.slider) stage.run(false);
    this.coming = null;
    this.pair = article;
    this.main.replaceChildren(article);
    this.see(this.main);
    reach(article);
    this.stage = new Stage(article.querySelector(".stage"));
    if (stage && stage.root.dataset.mode !== "side") this.stage.show(stage.root.dataset.mode);
    this.watch(this.stage.area);
    const [x, y, width, height] = article.dataset.box?.split(" ").map(Number) ?? [];
    this.mark(article.dataset.box ? { x, y, width, height } : null, "draw");
    this.stage.area.focus({ preventScroll: true });
    const before = article.querySelector(".r-say [aria-current]");
    this.told.textContent = article.querySelector("h2").textContent + (before ? `, answered before: ${label(before)}` : "");
  }

  // Letters work wherever nothing is written or chosen.
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.matches(FIELDS)) return this.leave(event);
    // A keyboard of other letters has the same places.
    const letter = event.key > "~" && event.code.startsWith("Key") ? event.code[3] : event.key;
    const tag = event.shiftKey && /^Digit([1-6])$/.exec(event.code);
    const deed = tag ? () => this.tag(this.pair?.querySelectorAll("[data-tag]")[tag[1] - 1]) : !event.shiftKey && {
      l: () => this.answer("left"), r: () => this.answer("right"), t: () => this.answer("tie"), b: () => this.answer("bad"),
      u: () => this.back(), backspace: () => this.back(), n: () => this.write(), m: () => this.toggle("mark"), d: () => this.toggle("draw"),
      ...this.drawing && { escape: () => this.toggle("draw") },
    }[letter.toLowerCase()];
    if (!deed) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) deed();
  }

  click(event) {
    const button = event.target.closest("button");
    if (!button) return;
    const { said, tag, deed } = button.dataset;
    if (said) this.answer(said);
    else if (tag) this.tag(button);
    else if (deed === "back") this.back();
    else if (deed) this.toggle(deed);
  }

  async answer(said) {
    if (!this.open) return;
    const seconds = (performance.now() - this.since) / 1000;
    const turn = this.begin();
    this.warn("");
    const tags = Array.from(this.pair.querySelectorAll("[data-tag][aria-pressed=true]"), (one) => one.dataset.tag);
    const content = { pair: Number(this.pair.dataset.number), said, tags, box: this.box, note: this.note.value, seconds };
    try {
      const state = await this.json("answer", content);
      if (turn === this.turn) this.follow(state);
    } catch (error) {
      if (turn !== this.turn) return;
      this.mark(this.box, this.how);
      this.ready();
      this.warn(`The answer was not saved: ${error.message}${error.over ? "" : " The same key tries again."}`);
    }
  }

  // To the pair before, which can then be answered again.
  back() {
    if (!this.open && this.done.hidden) return;
    const to = this.pair ? this.pair.dataset.back : this.last;
    if (to === undefined || to === null) return;
    this.warn("");
    this.show(Number(to));
  }

  tag(button) {
    if (!this.open) return;
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    this.told.textContent = `${label(button)}: ${pressed ? "yes" : "no"}`;
  }

  get note() {
    return this.pair.querySelector(".r-note input");
  }

  write() {
    if (this.open) this.note.focus();
  }

  // From the note back to the pictures; other keys are its own.
  leave(event) {
    if (!event.target.closest(".r-note") || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    this.stage.area.focus({ preventScroll: true });
  }

  // Each of the two ways to a box takes its own box away again.
  toggle(how) {
    if (!this.open || !this.pair.querySelector(`[data-deed=${how}]`)) return;
    const again = this.how === how && (this.box || this.drawing);
    this.drawing = how === "draw" && !again;
    const [x, y, width, height] = this.stage.window ?? [];
    this.mark(again || this.drawing ? null : { x, y, width, height }, how);
    this.told.textContent = this.drawing ? "Drag on a picture to draw a box." : this.box ? "Box drawn." : "No box.";
  }

  // Show a box, in shares of the picture, in all panes; null for none.
  mark(box, how) {
    // Shares that were rounded may go beyond the edge.
    this.box = box && { ...box, width: Math.min(box.width, 1 - box.x), height: Math.min(box.height, 1 - box.y) };
    this.how = how;
    this.stage.root.classList.toggle("drawing", this.drawing);
    for (const button of this.pair.querySelectorAll("[data-deed][aria-pressed]")) {
      button.setAttribute("aria-pressed", button.dataset.deed === how && (this.box !== null || this.drawing));
    }
    for (const pane of this.stage.panes) {
      pane.querySelector(".r-box")?.remove();
      if (this.box) pane.querySelector(".content").append(outline(this.box));
    }
  }

  // A box by dragging on any picture, which stays where it is meanwhile.
  watch(area) {
    let from = null;
    area.addEventListener("pointerdown", (event) => {
      const content = event.target.closest(".content");
      if (!this.drawing || !content || !event.isPrimary || event.button !== 0) return;
      event.preventDefault();
      event.stopPropagation();
      area.focus({ preventScroll: true });
      area.setPointerCapture(event.pointerId);
      from = { edges: content.getBoundingClientRect(), x: event.clientX, y: event.clientY };
    }, true);
    area.addEventListener("pointermove", (event) => {
      if (from && this.drawing) this.mark(span(from, event), "draw");
    });
    area.addEventListener("pointerup", (event) => {
      if (!from || !this.drawing) return;
      const far = [event.clientX - from.x, event.clientY - from.y].every((way) => Math.abs(way) >= LEAST);
      this.drawing = !far;
      this.mark(far ? span(from, event) : null, "draw");
      if (far) this.told.textContent = "Box drawn.";
    });
    for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, () => { from = null; });
  }

  warn(text) {
    this.alert.textContent = text;
  }

  async json(address, content) {
    return (await this.post(address, content)).json();
  }

  // An error's text says why in a sentence.
  async post(address, content) {
    const answer = await fetch(address, {
      method: "POST",
      keepalive: true, // an answer is sent even if the tab is closed at once
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ rater: this.rater, ...content }),
    }).catch(() => { throw new Error("the server has ended, or cannot be reached."); });
    if (answer.ok) return answer;
    if (answer.status === 404) throw Object.assign(new Error("the review was started again. Go on at the address that it printed."), { over: true });
    const text = await answer.text();
    throw new Error(answer.headers.get("Content-Type") === "application/json" ? JSON.parse(text).error : `${text.trim()}.`);
  }
}

// The box between two points of the screen, as far as it lies in the picture.
const span = ({ edges, x, y }, event) => {
  const within = (at, start, length) => Math.min(Math.max((at - start) / length, 0), 1);
  const across = [x, event.clientX].map((at) => within(at, edges.left, edges.width)).sort();
  const down = [y, event.clientY].map((at) => within(at, edges.top, edges.height)).sort();
  return { x: across[0], y: down[0], width: across[1] - across[0], height: down[1] - down[0] };
};

const outline = (box) => {
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("class", "mark r-box");
  drawing.setAttribute("aria-hidden", "true");
  for (const line of ["outer", "inner"]) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", line);
    for (const [name, share] of Object.entries(box)) rect.setAttribute(name, `${100 * share}%`);
    drawing.append(rect);
  }
  return drawing;
};

const label = (button) => button.firstChild.textContent.trim();
// What was put into the page is on the screen in the frame after the next.
const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

document.addEventListener("DOMContentLoaded", () => new Review());
