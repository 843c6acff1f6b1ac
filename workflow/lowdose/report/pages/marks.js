// Columns in the image: rings, which is under the pointer or chosen, what is said of it.

const RING_NM = 0.085;
const LEAST_RING_PX = 5;
const NEAR_PX = 6; // beyond a ring, still its column
const UNKNOWN = [190, 190, 190];

class Marks {
  constructor(data) {
    this.data = data;
    this.shown = true;
    this.all = false;
    this.frame = null;
    this.chosen = null; // place in the frame's list, null for none
    this.hovered = null;
  }

  /** Places of the columns that are marked. */
  get visible() {
    if (!this.shown) return [];
    return this.frame.columns.flatMap((column, k) => (this.all || column.surface ? [k] : []));
  }

  /** A column's place in the image [px], where pixel 0 reaches from 0 to 1. */
  at(k) {
    const column = this.frame.columns[k];
    const { pixel_size_nm: size } = this.data;
    return { x: column.x_nm / size + 0.5, y: column.y_nm / size + 0.5 };
  }

  radius(scale) {
    return Math.max(LEAST_RING_PX, (RING_NM / this.data.pixel_size_nm) * scale);
  }

  colour(column) {
    if (column.llr === null) return UNKNOWN;
    return colourAt(ORANGE_BLUE, 0.5 + column.llr / (2 * this.data.llr_limit));
  }

  /** Return the column under a point of the stage, null for none. */
  under(point, stage) {
    let best = null;
    let least = this.radius(stage.scale) + NEAR_PX;
    for (const k of this.visible) {
      const { x, y } = this.at(k);
      const at = stage.toStage(x, y);
      const far = Math.hypot(at.x - point.x, at.y - point.y);
      if (far < least) [best, least] = [k, far];
    }
    return best;
  }

  /** Choose the next (1) or previous (-1) column of those that are marked. */
  walk(step) {
    const { visible } = this;
    if (!visible.length) return null;
    const here = visible.indexOf(this.chosen);
    const next = here < 0 ? (step > 0 ? 0 : visible.length - 1)
      : (here + step + visible.length) % visible.length;
    this.chosen = visible[next];
    return this.chosen;
  }

  /** Draw the rings; `place` says where a point of the image is, in units of the context. */
  draw(context, place, scale, { labels = "some", active = null } = {}) {
    const radius = this.radius(scale);
    const { visible, frame: { columns } } = this;
    const placed = new Map(visible.map((k) => {
      const { x, y } = this.at(k);
      return [k, place(x, y)];
    }));
    for (const [k, at] of placed) {
      const { surface, state } = columns[k];
      ring(context, at, surface ? radius : 0.6 * radius, this.colour(columns[k]), {
        state, thin: !surface, active: k === active,
      });
    }
    const outer = visible.filter((k) => columns[k].surface);
    const named = outer.filter((k) => labels === "all" || columns[k].state === "not supported"
      || radius >= 20);
    this.label(context, named, placed, outer, radius);
  }

  /** Write columns' names beside their rings: outwards, unless another ring or name is there. */
  label(context, named, placed, outer, radius) {
    context.font = "600 12px system-ui, sans-serif";
    context.textBaseline = "middle";
    const mean = (axis) => outer.reduce((sum, k) => sum + placed.get(k)[axis], 0) / outer.length;
    const middle = { x: mean("x"), y: mean("y") };
    const { columns } = this.frame;
    const taken = [...placed].map(([k, at]) => ({
      ...at, half: columns[k].surface ? radius : 0, of: k,
    }));
    const unit = context.getTransform().a;
    const [width, height] = [context.canvas.width / unit, context.canvas.height / unit];
    const within = (value, margin, most) => Math.min(Math.max(value, margin), most - margin);
    for (const k of named) {
      const at = placed.get(k);
      if (at.x < 0 || at.y < 0 || at.x > width || at.y > height) continue;
      const { id: text } = columns[k].text;
      const half = context.measureText(text).width / 2 + 4;
      const outward = Math.atan2(at.y - middle.y, at.x - middle.x);
      const places = [0, 0.6, -0.6, 1.2, -1.2, 1.8, -1.8, Math.PI].map((turn) => {
        const [dx, dy] = [Math.cos(outward + turn), Math.sin(outward + turn)];
        const [x, y] = [at.x + dx * (radius + 6 + half), at.y + dy * (radius + 13)];
        return { x: within(x, half, width), y: within(y, 8, height), half };
      });
      const free = (place) => taken.every((other) => other.of === k
        || Math.abs(place.x - other.x) > half + other.half
        || Math.abs(place.y - other.y) > 8 + (other.of === undefined ? 8 : other.half));
      const place = places.find(free) ?? places[0];
      taken.push(place);
      context.fillStyle = "rgba(0, 0, 0, .9)";
      context.beginPath();
      context.roundRect(place.x - half, place.y - 8, 2 * half, 16, 4);
      context.fill();
      context.fillStyle = "#fff";
      context.fillText(text, place.x - half + 4, place.y + 0.5);
    }
  }

  /** What is known of a column: pairs of name and words. */
  facts(k) {
    const column = this.frame.columns[k];
    const known = this.data.fields.filter((field) => field.key !== "id" && column.text[field.key]);
    return known.map((field) => [field.title, column.text[field.key]]);
  }

  /** The same as one sentence, to be read aloud. */
  sentence(k) {
    const column = this.frame.columns[k];
    const facts = this.facts(k).map(([name, words]) => {
      const unit = /^(.*) \[(.*)\]$/.exec(name);
      return unit ? `${unit[1]} ${words} ${unit[2]}` : `${name} ${words}`;
    });
    return `Column ${column.text.id}: ${facts.join(", ")}.`;
  }
}

/** Draw one ring: dashed and crossed where the counts do not support the column, dotted if untested. */
function ring(context, at, radius, colour, { state, thin, active }) {
  const doubtful = state === "not supported";
  const circle = new Path2D();
  circle.arc(at.x, at.y, radius, 0, 2 * Math.PI);
  const ticks = new Path2D();
  if (doubtful) {
    for (const [dx, dy] of [[1, 1], [1, -1], [-1, 1], [-1, -1]]) {
      const from = radius * 0.6 * Math.SQRT1_2;
      const to = (radius + 5) * Math.SQRT1_2;
      ticks.moveTo(at.x + dx * from, at.y + dy * from);
      ticks.lineTo(at.x + dx * to, at.y + dy * to);
    }
  }
  const width = (thin ? 0.55 : 1) * Math.min(Math.max(0.09 * radius, 2.2), 4);
  context.save();
  context.lineCap = "butt";
  // Dark below light: a ring is seen on black, on white and on any grey.
  context.strokeStyle = "rgba(0, 0, 0, .8)";
  context.lineWidth = width + (thin ? 2 : 3);
  context.stroke(circle);
  context.stroke(ticks);
  context.strokeStyle = css(colour);
  context.lineWidth = width;
  context.stroke(ticks);
  if (doubtful) context.setLineDash([(radius * Math.PI) / 8, (radius * Math.PI) / 8]);
  if (state === "not tested") context.setLineDash([3, 3]);
  context.stroke(circle);
  if (active) {
    context.setLineDash([]);
    for (const [stroke, line] of [["rgba(0, 0, 0, .85)", 7], ["#fff", 3]]) {
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.beginPath();
      context.arc(at.x, at.y, radius + 6, 0, 2 * Math.PI);
      context.stroke();
    }
  }
  context.restore();
}

/** Draw the keys of the legend. */
function drawKeys(marks) {
  const { llr_limit: limit } = marks.data;
  const colours = {
    supported: colourAt(ORANGE_BLUE, 0.85), "not supported": colourAt(ORANGE_BLUE, 0.5),
    "not tested": UNKNOWN, inside: UNKNOWN,
  };
  for (const canvas of document.querySelectorAll("canvas.key")) {
    const context = fitCanvas(canvas, 30, 30);
    const kind = canvas.dataset.key;
    context.fillStyle = "#6b6b6b";
    context.fillRect(0, 0, 30, 30);
    ring(context, { x: 15, y: 15 }, kind === "inside" ? 5 : 8, colours[kind], {
      state: kind, thin: kind === "inside",
    });
  }
  colourBar(document.getElementById("llr-colours"), ORANGE_BLUE, [-limit, limit], [
    [-limit, `≤ −${limit}`], [-limit / 2, `−${limit / 2}`], [0, "0"], [limit / 2, `${limit / 2}`],
    [limit, `≥ ${limit}`],
  ]);
}
