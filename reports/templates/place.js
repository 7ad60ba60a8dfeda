// The place that an answer speaks of: one box, in shares of the picture, shown in all panes.
// A box that was drawn stays until another one is: neither a mark nor a drag that ends early takes it.
const LEAST = 4; // screen pixels of a side of a box: less is no drag
const SVG = "http://www.w3.org/2000/svg";

class Place {
  // `drawn`: the box to begin with, or null. `changed` is called whenever the box is another one.
  constructor(pair, stage, drawn, changed) {
    [this.stage, this.drawn, this.changed] = [stage, drawn, changed];
    this.buttons = pair.querySelectorAll("[data-deed=mark], [data-deed=draw]");
    this.marked = false; // whether it is the window, and not the box that was drawn
    this.drawing = false;
    this.watch(stage.area);
    this.show();
  }

  get box() {
    const [x, y, width, height] = this.stage.window ?? [];
    // Shares that were rounded may go beyond the edge.
    return this.marked ? { x, y, width: Math.min(width, 1 - x), height: Math.min(height, 1 - y) } : this.drawn;
  }

  // To the window, or back to what was there; what is said of it.
  mark() {
    this.marked = !this.marked;
    this.drawing = false;
    this.show();
    this.changed();
    return this.told;
  }

  // The next drag is a box. Who asks again instead of dragging wants none.
  draw() {
    if (this.drawing && !this.marked) this.drawn = null;
    this.drawing = !this.drawing;
    this.show();
    this.changed();
    return this.drawing ? `Drag on a picture to draw ${this.box ? "another" : "a"} box.` : this.told;
  }

  leave() {
    this.drawing = false;
    this.show();
    return this.told;
  }

  take(box) {
    [this.drawn, this.marked, this.drawing] = [box, false, false];
    this.show();
    this.changed();
  }

  get told() {
    return this.box ? "Box drawn." : "No box.";
  }

  // `box`: what is being drawn, if anything.
  show(box = this.box) {
    this.stage.root.classList.toggle("drawing", this.drawing);
    for (const button of this.buttons) {
      const own = button.dataset.deed === "mark" ? this.marked : this.drawing || (this.drawn !== null && !this.marked);
      button.setAttribute("aria-pressed", own);
    }
    for (const pane of this.stage.panes) {
      pane.querySelector(".r-box")?.remove();
      if (box) pane.querySelector(".content").append(outline(box));
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
      if (from && this.drawing) this.show(span(from, event));
    });
    area.addEventListener("pointerup", (event) => {
      if (!from || !this.drawing) return;
      if ([event.clientX - from.x, event.clientY - from.y].every((way) => Math.abs(way) >= LEAST)) this.take(span(from, event));
      else this.show();
    });
    area.addEventListener("pointercancel", () => this.show());
    for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, () => { from = null; });
  }
}

// The box between two points of the screen, as far as it lies in the picture.
const span = ({ edges, x, y }, event) => {
  const within = (at, start, length) => Math.min(Math.max((at - start) / length, 0), 1);
  const across = [x, event.clientX].map((at) => within(at, edges.left, edges.width)).sort(upwards);
  const down = [y, event.clientY].map((at) => within(at, edges.top, edges.height)).sort(upwards);
  return { x: across[0], y: down[0], width: across[1] - across[0], height: down[1] - down[0] };
};

const upwards = (one, other) => one - other;

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
