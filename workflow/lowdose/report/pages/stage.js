// The part of an image that is seen: zoom, position, scale bar; pointers and keys that move it.

const MOST_CSS_PX = 48; // of one pixel of the image
const GRIP_PX = 22; // on either side of the divider
const MOVED_PX = 4; // less than that is a click

class Stage {
  /**
   * @param on what to call: draw(), hover(point or null), click(point), key(event)
   */
  constructor(element, on) {
    this.element = element;
    this.on = on;
    this.size = { width: 1, height: 1 }; // of the image [px]
    this.kept = {}; // places in images of other kinds
    this.place = { zoom: 1, x: 0.5, y: 0.5 }; // fractions of the image
    this.divider = 0.5;
    this.pointers = new Map();
    this.gesture = null;
    new ResizeObserver(() => this.resized()).observe(element);
    this.listen();
  }

  /** Show an image of this size and kind; each kind keeps its place. */
  show(kind, width, height) {
    if (this.kind !== undefined) this.kept[this.kind] = this.place;
    this.kind = kind;
    this.place = this.kept[kind] ?? { zoom: 1, x: 0.5, y: 0.5 };
    this.size = { width, height };
    this.clamp();
  }

  get box() {
    return { width: this.element.clientWidth || 1, height: this.element.clientHeight || 1 };
  }

  /** CSS pixels per pixel of the image when all of it is seen. */
  get fit() {
    return Math.min(this.box.width / this.size.width, this.box.height / this.size.height);
  }

  get scale() {
    return this.fit * this.place.zoom;
  }

  get mostZoom() {
    return Math.max(1, MOST_CSS_PX / this.fit);
  }

  /** Where the image's upper left corner is [CSS px]. */
  get origin() {
    return {
      x: this.box.width / 2 - this.place.x * this.size.width * this.scale,
      y: this.box.height / 2 - this.place.y * this.size.height * this.scale,
    };
  }

  toImage(x, y) {
    const { x: left, y: top } = this.origin;
    return { x: (x - left) / this.scale, y: (y - top) / this.scale };
  }

  toStage(x, y) {
    const { x: left, y: top } = this.origin;
    return { x: left + x * this.scale, y: top + y * this.scale };
  }

  clamp() {
    this.place.zoom = Math.min(Math.max(this.place.zoom, 1), this.mostZoom);
    for (const [axis, side] of [["x", "width"], ["y", "height"]]) {
      // Half of what is seen, as a fraction of the image; all of it is centred.
      const half = this.box[side] / (2 * this.size[side] * this.scale);
      this.place[axis] = half >= 0.5 ? 0.5 : Math.min(Math.max(this.place[axis], half), 1 - half);
    }
    this.element.classList.toggle("zoomed", this.place.zoom > 1);
  }

  /** Zoom by a factor about a point of the stage [CSS px], its middle by default. */
  zoomBy(factor, x = this.box.width / 2, y = this.box.height / 2) {
    const under = this.toImage(x, y);
    this.place.zoom = Math.min(Math.max(this.place.zoom * factor, 1), this.mostZoom);
    this.place.x = (under.x - (x - this.box.width / 2) / this.scale) / this.size.width;
    this.place.y = (under.y - (y - this.box.height / 2) / this.scale) / this.size.height;
    this.clamp();
    this.on.draw();
  }

  panBy(x, y) {
    this.place.x -= x / (this.size.width * this.scale);
    this.place.y -= y / (this.size.height * this.scale);
    this.clamp();
    this.on.draw();
  }

  reset() {
    this.place = { zoom: 1, x: 0.5, y: 0.5 };
    this.clamp();
    this.on.draw();
  }

  /** Move a point of the image [px] to the middle, at least at this zoom. */
  lookAt(x, y, zoom) {
    this.place = {
      zoom: Math.max(this.place.zoom, zoom), x: x / this.size.width, y: y / this.size.height,
    };
    this.clamp();
    this.on.draw();
  }

  /** Move the image until a point of it [px] is seen. */
  keepInView(x, y) {
    const at = this.toStage(x, y);
    const margin = 30;
    const beyond = (value, most) => Math.min(value - margin, 0) + Math.max(value - most + margin, 0);
    const dx = beyond(at.x, this.box.width);
    const dy = beyond(at.y, this.box.height);
    if (dx || dy) this.panBy(-dx, -dy);
  }

  resized() {
    this.clamp();
    this.on.draw();
  }

  point(event) {
    const box = this.element.getBoundingClientRect();
    return {
      x: event.clientX - box.left - this.element.clientLeft,
      y: event.clientY - box.top - this.element.clientTop,
    };
  }

  moveDivider(fraction) {
    this.divider = Math.min(Math.max(fraction, 0), 1);
    this.on.draw();
  }

  listen() {
    const { element } = this;
    element.addEventListener("wheel", (event) => {
      // A pinch on a touch pad comes as small steps with the control key.
      const speed = event.ctrlKey ? 0.01 : event.deltaMode ? 0.05 : 0.0015;
      const factor = Math.exp(-event.deltaY * speed);
      // The whole image is seen: the page scrolls on.
      if (factor <= 1 && this.place.zoom <= 1 && !event.ctrlKey) return;
      event.preventDefault();
      const { x, y } = this.point(event);
      this.zoomBy(Math.min(Math.max(factor, 0.5), 2), x, y);
    }, { passive: false });
    element.addEventListener("dblclick", (event) => {
      const { x, y } = this.point(event);
      this.zoomBy(event.shiftKey ? 0.5 : 2, x, y);
    });
    element.addEventListener("pointerdown", (event) => this.down(event));
    element.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) {
      element.addEventListener(name, (event) => this.up(event));
    }
    element.addEventListener("pointerleave", () => {
      if (!this.pointers.size) this.on.hover(null);
    });
    element.addEventListener("keydown", (event) => this.key(event));
  }

  down(event) {
    if (event.button) return;
    const at = this.point(event);
    this.pointers.set(event.pointerId, at);
    this.element.setPointerCapture(event.pointerId);
    if (this.pointers.size === 2) {
      this.gesture = { kind: "pinch", ...this.span() };
      return;
    }
    const onDivider = this.dividable
      && Math.abs(at.x - this.divider * this.box.width) <= GRIP_PX;
    const free = this.dividable && this.place.zoom <= 1;
    const kind = onDivider || free ? "divide" : "pan";
    // A grip keeps its distance from the pointer; a click beside it must not move it.
    this.gesture = { kind, onDivider, start: at, last: at, from: this.divider, moved: false };
  }

  move(event) {
    const at = this.point(event);
    if (!this.pointers.has(event.pointerId)) {
      this.on.hover(at);
      return;
    }
    this.pointers.set(event.pointerId, at);
    const { gesture } = this;
    if (!gesture) return;
    if (gesture.kind === "pinch") {
      const span = this.span();
      this.panBy(span.x - gesture.x, span.y - gesture.y);
      this.zoomBy(span.length / gesture.length, span.x, span.y);
      Object.assign(gesture, span);
      return;
    }
    const far = Math.hypot(at.x - gesture.start.x, at.y - gesture.start.y);
    gesture.moved ||= far > MOVED_PX;
    if (!gesture.moved) return;
    if (gesture.kind === "pan") this.panBy(at.x - gesture.last.x, at.y - gesture.last.y);
    else if (gesture.onDivider) {
      this.moveDivider(gesture.from + (at.x - gesture.start.x) / this.box.width);
    } else this.moveDivider(at.x / this.box.width);
    gesture.last = at;
    this.on.hover(null);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const { gesture } = this;
    this.gesture = null;
    const click = gesture && gesture.kind !== "pinch" && !gesture.moved;
    if (click && event.type === "pointerup") this.on.click(gesture.start);
  }

  /** Middle and distance of two fingers. */
  span() {
    const [a, b] = [...this.pointers.values()];
    return {
      x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, length: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1),
    };
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const step = event.shiftKey ? 200 : 50;
    const arrows = {
      ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step],
    };
    if (event.key === "+" || event.key === "=") this.zoomBy(1.5);
    else if (event.key === "-" || event.key === "−") this.zoomBy(1 / 1.5);
    else if (event.key === "0") this.reset();
    else if (arrows[event.key] && this.place.zoom > 1) this.panBy(...arrows[event.key]);
    else if (!this.on.key(event)) return;
    event.preventDefault();
  }
}

/** Draw the part of a canvas that a stage shows, between two of its x [CSS px]. */
function drawPart(context, canvas, stage, ratio, from, to) {
  const { x, y } = stage.origin;
  const scale = stage.scale * ratio;
  context.save();
  context.beginPath();
  context.rect(Math.round(from * ratio), 0, Math.round(to * ratio) - Math.round(from * ratio),
    context.canvas.height);
  context.clip();
  // Enlarged twice or more, pixels are squares of their own colour; less, steps would look uneven.
  context.imageSmoothingEnabled = scale < 2;
  context.imageSmoothingQuality = "high";
  context.drawImage(canvas, x * ratio, y * ratio, canvas.width * scale, canvas.height * scale);
  context.restore();
}
