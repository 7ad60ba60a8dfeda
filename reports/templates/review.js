// The review: the address says who rates, the server says which pair comes next. An answer counts
// once the server has confirmed it; only then the next pair is shown.
const FIELDS = "input:not([type=range]), select, textarea"; // a slider takes no letters
const KEEPS = "input, select, label, summary, .pre, .r-alert"; // a click there leaves the focus where it is

class Review {
  constructor() {
    [this.main, this.form, this.done, this.lost, this.enough, this.who, this.keys, this.alert, this.told] =
      ["main", ".r-enter", ".r-done", ".r-lost", ".r-enough", ".r-who", ".r-keys", ".r-alert", ".r-told"].map((name) => document.querySelector(name));
    this.name = this.form.querySelector("input");
    this.drafts = new Drafts(this.main.dataset.review);
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
    this.warn("");
    this.rater = new URLSearchParams(location.hash.slice(1)).get("rater")?.trim() ?? "";
    if (!this.rater) return this.ask("");
    this.name.value = this.rater;
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
    this.name.focus();
    this.name.select(); // another name takes its place
    this.warn(why);
  }

  // From now on nothing can be answered until a pair is shown.
  begin() {
    this.open = false;
    this.place?.leave();
    this.main.setAttribute("aria-busy", "true");
    return ++this.turn;
  }

  see(part) {
    for (const one of [this.form, this.main, this.done, this.lost]) one.hidden = one !== part;
  }

  // What is shown can be answered.
  ready() {
    this.open = true;
    this.main.removeAttribute("aria-busy");
  }

  // Names that differ only in their case are one: the server knows how it was written first.
  follow(state) {
    this.rater = this.name.value = state.rater;
    this.enough.textContent = state.enough ? "Enough pairs were seen" : "";
    this.who.querySelector("bdi").textContent = this.who.title = state.rater;
    this.last = state.last;
    if (state.next !== null) return this.show(state.next);
    this.leave(this.done);
    this.done.querySelector(".r-count").textContent = `${state.answered} of ${state.of} answered. ${state.enough
      ? "Enough pairs were seen: the review can end here." : state.whole
      ? "All pairs of this review are answered: more answers change nothing." : "Not enough pairs were seen yet: another rater helps."}`;
  }

  // To a part without a pair, from which one can go back to the last one.
  leave(part) {
    this.pair = null;
    this.main.replaceChildren();
    this.see(part);
    part.querySelector("[data-deed=back]").hidden = this.last === null;
    part.focus();
  }

  // A pair can be answered once its pictures are decoded and on the screen.
  async show(number) {
    const turn = this.begin();
    try {
      const article = await (this.coming?.number === number ? this.coming.article : this.load(number));
      if (turn !== this.turn) return;
      this.put(article);
    } catch (error) {
      if (turn !== this.turn) return;
      this.warn(`The pair cannot be shown: ${error.message}${error.over ? "" : " Reload the page to try again."}`);
      if (error.back === undefined) return;
      this.last = error.back;
      return this.leave(this.lost);
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
    const article = part.firstElementChild;
    try {
      await Promise.all(Array.from(part.querySelectorAll("img"), (one) => one.decode()));
    } catch {
      this.coming = null;
      const back = article.dataset.back === undefined ? null : Number(article.dataset.back);
      throw Object.assign(new Error("a picture did not come, or is damaged."), { back });
    }
    return article;
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
    const [x, y, width, height] = article.dataset.box?.split(" ").map(Number) ?? [];
    this.place = new Place(article, this.stage, article.dataset.box ? { x, y, width, height } : null, () => this.keep());
    article.querySelector("progress").after(this.enough);
    article.querySelector(".tools").before(this.who);
    this.note.addEventListener("input", () => this.keep());
    this.restore();
    this.stage.area.focus({ preventScroll: true });
    const before = article.querySelector(".r-say [aria-current]");
    this.told.textContent = article.querySelector("h2").textContent + (before ? `, answered before: ${label(before)}` : "");
  }

  // What is not answered yet, and belongs to the answer that the page knows.
  get draft() {
    const tags = Array.from(this.pair.querySelectorAll("[data-tag][aria-pressed=true]"), (one) => one.dataset.tag);
    return { known: this.pair.dataset.known ?? null, tags, box: this.place.box, note: this.note.value };
  }

  get number() {
    return Number(this.pair.dataset.number);
  }

  keep() {
    this.drafts.keep(this.rater, this.number, this.draft);
  }

  restore() {
    const draft = this.drafts.of(this.rater, this.number);
    if (!draft) return;
    const { known, ...rest } = this.draft;
    if (draft.known !== known) {
      this.drafts.drop(this.rater, this.number);
      // It was saved, and only its confirmation was lost.
      if (JSON.stringify({ ...draft, known }) === JSON.stringify({ known, ...rest })) return;
      const note = draft.note && ` Your note here was: ${draft.note}`;
      return this.warn(`This pair was answered in another tab, and what you chose here was not saved. That answer is shown: answer again to change it.${note}`);
    }
    for (const button of this.pair.querySelectorAll("[data-tag]")) button.setAttribute("aria-pressed", draft.tags.includes(button.dataset.tag));
    this.note.value = draft.note;
    this.place.drawn = draft.box;
    this.place.show();
  }

  // Letters work wherever nothing is written or chosen.
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.matches(FIELDS)) return this.written(event);
    // A keyboard of other letters has the same places.
    const letter = event.key > "~" && event.code.startsWith("Key") ? event.code[3] : event.key;
    const tag = event.shiftKey && /^Digit([1-6])$/.exec(event.code);
    const deed = tag ? () => this.tag(this.pair?.querySelectorAll("[data-tag]")[tag[1] - 1])
      : letter === "?" ? () => this.list() : !event.shiftKey && {
      l: () => this.answer("left"), r: () => this.answer("right"), t: () => this.answer("tie"), b: () => this.answer("bad"),
      u: () => this.back(), backspace: () => this.back(), n: () => this.write(), m: () => this.toggle("mark"), d: () => this.toggle("draw"),
      ...this.open && this.place.drawing && { escape: () => this.toggle("leave") },
    }[letter.toLowerCase()];
    if (!deed) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) deed();
  }

  click(event) {
    const button = event.target.closest("button");
    const { said, tag, deed } = button?.dataset ?? {};
    if (said) this.answer(said);
    else if (tag) this.tag(button);
    else if (deed === "back") this.back();
    else if (deed === "who") location.hash = "";
    else if (deed) this.toggle(deed);
    // A key presses a button once more; who points goes on with the keys of the pictures.
    if (event.detail > 0 && this.pair && !event.target.closest(KEEPS)) this.stage.area.focus({ preventScroll: true });
  }

  async answer(said) {
    if (!this.open) return;
    const seconds = (performance.now() - this.since) / 1000;
    const turn = this.begin();
    this.warn("");
    const { rater, number, draft } = this;
    try {
      const state = await this.json("answer", { pair: number, said, ...draft, seconds });
      this.drafts.drop(rater, number);
      if (turn === this.turn) this.follow(state);
    } catch (error) {
      if (turn !== this.turn) return;
      const stale = error.status === 409; // the server has more than the page knows
      this.warn(`The answer was not saved: ${error.message}${stale || error.over ? "" : " The same key tries again."}`);
      if (!stale) return this.ready();
      this.keep();
      return this.show(number);
    }
  }

  // To the pair before, which can then be answered again.
  back() {
    if (!this.open && this.done.hidden && this.lost.hidden) return;
    const to = this.pair ? this.pair.dataset.back : this.last;
    if (to === undefined || to === null) return;
    this.warn("");
    this.show(Number(to));
  }

  tag(button) {
    if (!this.open) return;
    const pressed = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", pressed);
    this.keep();
    this.told.textContent = `${label(button)}: ${pressed ? "yes" : "no"}`;
  }

  get note() {
    return this.pair.querySelector(".r-note input");
  }

  write() {
    if (this.open) this.note.focus();
  }

  // From the note back to the pictures; other keys are its own.
  written(event) {
    if (!event.target.closest(".r-note") || !["Enter", "Escape"].includes(event.key)) return;
    event.preventDefault();
    this.stage.area.focus({ preventScroll: true });
  }

  // `how`: mark, draw, or leave it.
  toggle(how) {
    if (this.open && (how === "leave" || this.pair.querySelector(`[data-deed=${how}]`))) this.told.textContent = this.place[how]();
  }

  list() {
    const open = this.keys.open = !this.keys.open;
    if (open) this.keys.scrollIntoView();
    else scrollTo(0, 0);
    this.told.textContent = open ? "The list of keys is open, at the end of the page." : "The list of keys is closed.";
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
    const { error, back } = answer.headers.get("Content-Type") === "application/json" ? JSON.parse(text) : { error: `${text.trim()}.` };
    throw Object.assign(new Error(error), { back, status: answer.status });
  }
}

const label = (button) => button.firstChild.textContent.trim();
// What was put into the page is on the screen in the frame after the next.
const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));

document.addEventListener("DOMContentLoaded", () => new Review());
