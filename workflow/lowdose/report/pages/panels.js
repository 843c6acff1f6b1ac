// What stands around the image: colour bars, grey scale, table, facts, the figure on paper.

/** Give a canvas its size in CSS pixels, sharp on any screen; return what draws in these units. */
function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const size = [width, height].map((side) => Math.max(1, Math.round(side * ratio)));
  if (canvas.width !== size[0] || canvas.height !== size[1]) {
    [canvas.width, canvas.height] = size;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, ...size);
  context.scale(ratio, ratio);
  return context;
}

/** Fill a colour bar: its colours, and [value, words] below it. */
function colourBar(element, map, [low, high], ticks, words) {
  const canvas = element.querySelector("canvas");
  canvas.width = 256;
  const context = canvas.getContext("2d");
  for (let i = 0; i < 256; i++) {
    context.fillStyle = css(colourAt(map, i / 255));
    context.fillRect(i, 0, 1, canvas.height);
  }
  element.querySelector(".ticks").replaceChildren(...ticks.map(([value, text]) => {
    const tick = document.createElement("span");
    tick.textContent = text;
    const share = (value - low) / (high - low);
    tick.style.left = `${100 * share}%`;
    // The outermost words stay within the bar.
    tick.style.transform = `translateX(${share < 0.03 ? 0 : share > 0.97 ? -100 : -50}%)`;
    return tick;
  }));
  if (words !== undefined) element.querySelector("p").textContent = words;
}

/** Black and white point: sliders, numbers, histogram. */
class GreyScale {
  constructor(changed) {
    this.changed = changed;
    this.get = (id) => document.getElementById(id);
    this.window = [0, 1];
    this.touched = false; // the reader's own choice goes from frame to frame
    for (const end of [0, 1]) {
      const name = ["black", "white"][end];
      this.get(`${name}-slider`).addEventListener("input", (event) => {
        this.set(end, Number(event.target.value), false);
      });
      this.get(name).addEventListener("change", (event) => {
        if (event.target.value !== "") this.set(end, Number(event.target.value), true);
      });
    }
    for (const kind of ["denoised", "counts"]) {
      this.get(`grey-${kind}`).addEventListener("click", () => {
        this.window = [...this.frame.grey[kind]];
        this.touched = kind === "counts";
        this.rescale();
      });
    }
  }

  show(frame, images) {
    this.frame = frame;
    this.images = images;
    if (!this.touched) this.window = [...frame.grey.denoised];
    this.rescale();
  }

  set(end, value, rescale) {
    const least = (this.limits[1] - this.limits[0]) / 500;
    this.window[end] = value;
    // White stays above black.
    if (this.window[1] - this.window[0] < least) this.window[1 - end] = value + (end ? -least : least);
    this.touched = true;
    if (rescale) this.rescale();
    else this.update();
  }

  /** Let the sliders reach over the denoised image and what is chosen. */
  rescale() {
    const { denoised } = this.images;
    const low = Math.min(denoised.offset, this.window[0]);
    const high = Math.max(denoised.offset + denoised.scale * denoised.most, this.window[1]);
    const beyond = 0.05 * (high - low);
    this.limits = [Math.max(low - beyond, Math.min(low, 0)), high + beyond];
    for (const name of ["black", "white"]) {
      this.get(`${name}-slider`).min = this.limits[0];
      this.get(`${name}-slider`).max = this.limits[1];
    }
    this.update();
  }

  update() {
    const digits = decimals((this.window[1] - this.window[0]) / 100);
    for (const [end, name] of [[0, "black"], [1, "white"]]) {
      this.get(`${name}-slider`).value = this.window[end];
      this.get(`${name}-slider`).setAttribute("aria-valuetext",
        `${fixed(this.window[end], digits)} electrons per pixel`);
      this.get(name).value = this.window[end].toFixed(digits);
      this.get(name).step = 10 ** -digits;
    }
    this.draw();
    this.changed();
  }

  /** Draw how often each value is in the denoised image, and the two points. */
  draw() {
    const canvas = this.get("histogram");
    const width = canvas.parentElement.clientWidth
      - 2 * parseFloat(getComputedStyle(canvas.parentElement).paddingLeft);
    if (width < 20) return;
    const context = fitCanvas(canvas, width, 56);
    const style = getComputedStyle(document.documentElement);
    const { denoised } = this.images;
    if (this.counted !== denoised) {
      this.counted = denoised;
      this.often = new Float64Array(denoised.most + 1);
      for (const code of denoised.codes) this.often[code] += 1;
    }
    const [low, high] = this.limits;
    // The thumbs of the sliders, 16 px wide, do not reach the ends.
    const place = (value) => 8 + ((width - 16) * (value - low)) / (high - low);
    const bars = new Float64Array(Math.ceil(width / 2));
    this.often.forEach((often, code) => {
      bars[Math.floor(place(denoised.offset + denoised.scale * code) / 2)] += often;
    });
    const most = Math.max(...bars);
    context.fillStyle = style.getPropertyValue("--window");
    context.fillRect(place(this.window[0]), 0, place(this.window[1]) - place(this.window[0]), 56);
    context.fillStyle = style.getPropertyValue("--muted");
    bars.forEach((often, k) => {
      const height = 52 * Math.sqrt(often / most);
      context.fillRect(2 * k, 56 - height, 1.5, height);
    });
  }
}

/** The table of surface columns: rows to choose, heads that sort. */
class Rows {
  constructor(data, choose) {
    this.data = data;
    this.choose = choose;
    this.table = document.getElementById("table");
    this.order = null; // of { key, up }
    const heads = this.table.querySelectorAll("thead th");
    data.fields.forEach((field, k) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = field.title;
      button.addEventListener("click", () => this.sort(field.sorts_by));
      heads[k].replaceChildren(button);
    });
  }

  sort(key) {
    this.order = { key, up: this.order?.key === key ? !this.order.up : true };
    this.fill();
  }

  show(frame) {
    this.frame = frame;
    this.fill();
  }

  fill() {
    const { columns } = this.frame;
    const places = columns.flatMap((column, k) => (column.surface ? [k] : []));
    if (this.order) {
      const { key, up } = this.order;
      const compare = (a, b) => {
        const [one, other] = [columns[a][key], columns[b][key]];
        if (one === other) return 0;
        if (one === null || one === "") return 1; // unknown comes last, either way
        if (other === null || other === "") return -1;
        const numbers = typeof one === "number" && typeof other === "number";
        const order = numbers ? one - other : String(one).localeCompare(String(other));
        return up ? order : -order;
      };
      places.sort(compare);
    }
    this.data.fields.forEach((field, k) => {
      const head = this.table.querySelectorAll("thead th")[k];
      const here = this.order?.key === field.sorts_by;
      head.setAttribute("aria-sort", here ? (this.order.up ? "ascending" : "descending") : "none");
    });
    this.table.tBodies[0].replaceChildren(...places.map((k) => this.row(k)));
    const doubtful = places.filter((k) => columns[k].state === "not supported").length;
    this.table.caption.firstElementChild.textContent = `Frame ${this.frame.number + 1}: ${places.length} surface column`
      + `${places.length === 1 ? "" : "s"}`
      + `${doubtful ? `, ${doubtful} of them not supported by the counts` : ""}`;
  }

  row(k) {
    const column = this.frame.columns[k];
    const row = document.createElement("tr");
    row.dataset.column = k;
    row.classList.toggle("doubtful", column.state === "not supported");
    this.data.fields.forEach((field, place) => {
      const cell = document.createElement(place ? "td" : "th");
      if (place) cell.textContent = column.text[field.key] || "–";
      else {
        cell.scope = "row";
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = column.text.id;
        button.setAttribute("aria-label", `Column ${column.text.id}: show in the image`);
        cell.append(button);
      }
      row.append(cell);
    });
    row.addEventListener("click", () => this.choose(k));
    return row;
  }

  mark(k) {
    for (const row of this.table.tBodies[0].rows) {
      const here = k !== null && Number(row.dataset.column) === k;
      row.classList.toggle("chosen", here);
      if (here) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }
}

/** Write what the residual of a frame says. */
function residualFacts(facts) {
  document.querySelector("#residual-facts tbody").replaceChildren(...facts.map((fact) => {
    const row = document.createElement("tr");
    fact.forEach((words, k) => {
      const cell = document.createElement(k ? "td" : "th");
      if (!k) cell.scope = "row";
      cell.textContent = words;
      row.append(cell);
    });
    return row;
  }));
}

/** Draw counts and image side by side for paper, with columns and a scale bar. */
function drawPaper(canvases, marks, pixelSize, window, frame, words) {
  for (const [k, kind] of ["counts", "denoised"].entries()) {
    const source = canvases[k];
    const canvas = document.getElementById(`paper-${kind}`);
    const scale = Math.max(1, Math.round(1000 / source.width));
    canvas.width = source.width * scale;
    canvas.height = source.height * scale;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    // Lines and letters are for a figure of about 480 px.
    const unit = canvas.width / 480;
    context.scale(unit, unit);
    const place = (x, y) => ({ x: (x * scale) / unit, y: (y * scale) / unit });
    if (kind === "denoised") marks.draw(context, place, scale / unit, { labels: "all" });
    const nm = roundBelow(0.25 * source.width * pixelSize);
    const width = (nm / pixelSize) * (scale / unit);
    const bottom = canvas.height / unit;
    context.fillStyle = "rgba(0, 0, 0, .75)";
    context.fillRect(8, bottom - 38, Math.max(width, 50) + 16, 30);
    context.fillStyle = "#fff";
    context.fillRect(16, bottom - 16, width, 4);
    context.font = "600 13px system-ui, sans-serif";
    context.textBaseline = "alphabetic";
    context.fillText(`${nm} nm`, 16, bottom - 21);
  }
  document.getElementById("paper-caption").textContent = words
    + `Grey scale of both: black ${Number(window[0].toPrecision(4))}, `
    + `white ${Number(window[1].toPrecision(4))} e/px.`;
}
