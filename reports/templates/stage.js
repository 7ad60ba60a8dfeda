// Makes stages of the figures of the worst pictures: side by side, wipe and flicker, all panes
// zoomed and moved together. Panzoom reads drags, pinches and wheels; what they mean is done here.
const BEAT = 250; // milliseconds that each picture stays: two rounds a second, fewer than can harm
const STEP = 1.5; // zoom of a key or button
const MOVE = 0.1; // way of an arrow key, as a share of the view
const NEAR = 2; // screen pixels a picture's pixel from which it is not smoothed: below, squares are uneven
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Stage {
  constructor(root) {
    this.root = root;
    this.panes = [...root.querySelectorAll(".pane")];
    this.area = root.querySelector(".panes");
    this.slider = root.querySelector(".slider");
    this.play = root.querySelector(".play");
    this.said = root.querySelector(".said");
    this.place = { scale: 1, x: 0.5, y: 0.5 }; // what is in the middle of a view, 0 to 1 of the picture
    this.window = root.dataset.window?.split(" ").map((part) => Number(part) / 100);
    this.deepest = this.window ? Math.max(16, 2 / Math.min(this.window[2], this.window[3])) : 16;
    this.shape();
    this.patch();
    this.zoomers = this.panes.map((pane) => this.zoomer(pane));
    this.listen();
    if (this.slider) this.choose(0, 1);
    this.draw();
  }

  // Every view has the form of the candidate's picture, so that one place is one place in all.
  shape() {
    const own = this.panes.find((pane) => pane.dataset.kind === "candidate") ?? this.panes[0];
    const image = own.querySelector("img");
    this.root.style.setProperty("--aspect", image.getAttribute("width") / image.getAttribute("height"));
  }

  // The exact window from below lies on the whole picture, which was made smaller.
  patch() {
    const tiles = this.root.parentNode.querySelectorAll(".tile[data-kind]");
    for (const tile of tiles) {
      const pane = this.panes.find((one) => one.dataset.kind === tile.dataset.kind);
      const source = tile.querySelector("img");
      if (!pane || !source) continue;
      const exact = new Image();
      exact.className = "patch";
      exact.alt = "";
      exact.src = source.src;
      const [x, y, width, height] = this.window.map((part) => `${100 * part}%`);
      Object.assign(exact.style, { left: x, top: y, width, height });
      pane.querySelector("img").after(exact);
    }
  }

  zoomer(pane) {
    const content = pane.querySelector(".content");
    const zoomer = Panzoom(content, {
      minScale: 1, maxScale: this.deepest, cursor: "", touchAction: "",
      handleStartEvent: (event) => {
        event.preventDefault(); // no picture is dragged away; so the focus must be set
        this.area.focus({ preventScroll: true });
      },
      setTransform: () => {}, // `draw` does it for all panes
    });
    content.addEventListener("panzoomchange", ({ detail }) => {
      const { clientWidth: width, clientHeight: height } = content;
      this.go({ scale: detail.scale, x: 0.5 - detail.x / width, y: 0.5 - detail.y / height });
    });
    content.addEventListener("panzoomstart", () => { this.held = zoomer; });
    content.addEventListener("panzoomend", () => { this.held = null; this.tell(); });
    return zoomer;
  }

  listen() {
    for (const button of this.root.querySelectorAll("button[data-mode]")) {
      button.addEventListener("click", () => this.show(button.dataset.mode));
    }
    for (const button of this.root.querySelectorAll("button[data-zoom]")) {
      button.addEventListener("click", () => this.zoom(button.dataset.zoom));
    }
    this.rove(this.root.querySelector(".tools"));
    this.area.tabIndex = 0;
    this.area.addEventListener("keydown", (event) => this.key(event));
    this.area.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    new ResizeObserver(() => this.draw()).observe(this.area);
    if (!this.slider) return;
    this.slider.addEventListener("input", () => this.wipe());
    this.play.addEventListener("click", () => this.run(this.timer === undefined));
    for (const select of this.root.querySelectorAll("select")) {
      select.addEventListener("change", () => this.chosen(select));
    }
    const divider = this.root.querySelector(".divider");
    // Else, once it has moved away, the browser drags the picture below where it was taken.
    divider.addEventListener("mousedown", (event) => event.preventDefault());
    divider.addEventListener("pointerdown", (event) => divider.setPointerCapture(event.pointerId));
    divider.addEventListener("pointermove", (event) => {
      if (!divider.hasPointerCapture(event.pointerId)) return;
      const edges = this.area.getBoundingClientRect();
      this.slider.value = 100 * (event.clientX - edges.left) / edges.width;
      this.wipe();
    });
    this.wipe();
  }

  // In a toolbar one button takes the tab, and arrows lead to the others.
  rove(bar) {
    const buttons = [...bar.querySelectorAll("button")];
    const enter = (chosen) => buttons.forEach((button) => { button.tabIndex = button === chosen ? 0 : -1; });
    enter(buttons[0]);
    bar.addEventListener("focusin", (event) => enter(event.target));
    bar.addEventListener("keydown", (event) => {
      const last = buttons.length - 1;
      const at = buttons.indexOf(event.target);
      const to = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      buttons[to].focus();
    });
  }

  key(event) {
    if (event.target !== this.area || event.ctrlKey || event.metaKey || event.altKey) return;
    const { scale, x, y } = this.place;
    const step = MOVE / scale;
    const deeds = {
      "+": () => this.zoom("in"), "=": () => this.zoom("in"), "-": () => this.zoom("out"), 0: () => this.zoom("fit"),
      ArrowLeft: () => this.go({ scale, x: x - step, y }), ArrowRight: () => this.go({ scale, x: x + step, y }),
      ArrowUp: () => this.go({ scale, x, y: y - step }), ArrowDown: () => this.go({ scale, x, y: y + step }),
      1: () => this.show("side"), 2: () => this.show("wipe"), 3: () => this.show("flicker"), w: () => this.zoom("window"),
    };
    if (this.root.dataset.mode === "flicker") deeds[" "] = () => this.turn();
    const arrow = event.key.startsWith("Arrow");
    if (arrow && scale === 1) return; // all is in view: the page scrolls
    const deed = deeds[event.key.toLowerCase()] ?? deeds[event.key];
    if (!deed) return;
    event.preventDefault();
    deed();
  }

  wheel(event) {
    const place = this.panes.findIndex((pane) => pane.contains(event.target));
    if (place < 0 || !event.cancelable || !(event.ctrlKey || document.activeElement === this.area)) return;
    if (this.place.scale === 1 && event.deltaY > 0 && !event.ctrlKey) return; // the page scrolls on
    this.zoomers[place].zoomWithWheel(event);
  }

  zoom(how) {
    const { scale, x, y } = this.place;
    if (how === "fit") this.go({ scale: 1, x: 0.5, y: 0.5 });
    else if (how === "in") this.go({ scale: scale * STEP, x, y });
    else if (how === "out") this.go({ scale: scale / STEP, x, y });
    else if (this.window) {
      const [left, top, width, height] = this.window;
      this.go({ scale: 1 / Math.max(width, height), x: left + width / 2, y: top + height / 2 });
    }
  }

  // Go to a place, as far as the picture covers the view.
  go({ scale, x, y }) {
    scale = Math.min(Math.max(scale, 1), this.deepest);
    const edge = 0.5 / scale;
    const within = (at) => Math.min(Math.max(at, edge), 1 - edge);
    this.place = { scale, x: within(x), y: within(y) };
    this.draw();
  }

  draw() {
    const { scale, x, y } = this.place;
    const width = Math.max(...this.panes.map((pane) => pane.querySelector(".content").clientWidth));
    if (scale > 1) this.sharpen();
    for (const pane of this.panes) {
      const image = pane.querySelector("img");
      pane.querySelector(".content").style.transform = `scale(${scale}) translate(${100 * (0.5 - x)}%, ${100 * (0.5 - y)}%)`;
      image.classList.toggle("near", scale * width * devicePixelRatio >= NEAR * image.naturalWidth);
    }
    this.root.style.setProperty("--zoom", scale);
    this.root.classList.toggle("zoomed", scale > 1);
    this.tell();
  }

  // Tell Panzoom where the others went; who is being dragged knows better.
  tell() {
    const { scale, x, y } = this.place;
    const quiet = { force: true, silent: true };
    this.zoomers.forEach((zoomer, place) => {
      if (zoomer === this.held) return;
      const { clientWidth: width, clientHeight: height } = this.panes[place].querySelector(".content");
      zoomer.zoom(scale, quiet);
      zoomer.pan((0.5 - x) * width, (0.5 - y) * height, quiet);
    });
  }

  // A viewer that serves the page has the stored pictures too.
  sharpen() {
    for (const image of this.root.querySelectorAll("img[data-full]")) {
      const full = new Image();
      full.addEventListener("load", () => { image.src = full.src; });
      full.src = image.dataset.full;
      image.removeAttribute("data-full");
    }
  }

  show(mode) {
    if (!this.slider) return;
    this.root.dataset.mode = mode;
    for (const button of this.root.querySelectorAll("button[data-mode]")) {
      button.setAttribute("aria-pressed", button.dataset.mode === mode);
    }
    this.root.dataset.shown = "a";
    this.run(mode === "flicker" && !calm.matches);
    this.draw();
  }

  wipe() {
    this.root.style.setProperty("--wipe", `${this.slider.value}%`);
  }

  run(playing) {
    clearInterval(this.timer);
    this.timer = playing ? setInterval(() => this.swap(), BEAT) : undefined;
    this.play.textContent = playing ? "Pause" : "Play";
  }

  swap() {
    this.root.dataset.shown = this.root.dataset.shown === "a" ? "b" : "a";
  }

  // The other picture, by hand: it stays, and is said.
  turn() {
    this.run(false);
    this.swap();
    const shown = this.root.querySelector(`select[data-side="${this.root.dataset.shown}"]`);
    this.said.textContent = shown.selectedOptions[0].textContent;
  }

  choose(a, b) {
    this.pair = [a, b];
    this.panes.forEach((pane, place) => {
      const side = this.pair.indexOf(place);
      pane.toggleAttribute("data-side", side >= 0);
      if (side >= 0) pane.dataset.side = "ab"[side];
    });
    this.root.querySelectorAll("select").forEach((select, side) => { select.value = this.pair[side]; });
    this.draw();
  }

  // One picture is never compared with itself: the two change places.
  chosen(select) {
    const to = Number(select.value);
    const [a, b] = this.pair;
    if (select.dataset.side === "a") this.choose(to, to === b ? a : b);
    else this.choose(to === a ? b : a, to);
  }
}

// Long texts above a stage scroll by themselves: then the keyboard has to get there, too.
const reach = (part) => {
  for (const text of part.querySelectorAll("p.pre, .tag")) {
    if (text.scrollHeight <= text.clientHeight + 1) continue;
    text.tabIndex = 0;
    text.setAttribute("role", "region");
    text.setAttribute("aria-label", text.matches(".tag") ? "Tag" : "Prompt");
  }
};

document.addEventListener("DOMContentLoaded", () => {
  for (const part of document.querySelectorAll(".case")) reach(part);
  for (const root of document.querySelectorAll(".stage")) new Stage(root);
});
