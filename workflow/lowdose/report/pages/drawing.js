// What is drawn over and beside an image, and what pointer and keys read off it.

let planned = false;
function plan() {
  if (planned || !state.images) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
  });
}

function draw() {
  const { width, height } = stage.box;
  const ratio = window.devicePixelRatio || 1;
  const context = fitCanvas($("picture-canvas"), width, height);
  context.setTransform(1, 0, 0, 1, 0, 0);
  const { canvases, view } = state;
  if (view === "slider") {
    const middle = stage.divider * width;
    drawPart(context, canvases.counts.canvas, stage, ratio, 0, middle);
    drawPart(context, canvases.denoised.canvas, stage, ratio, middle, width);
    $("divider").style.left = `${middle}px`;
    $("divider").setAttribute("aria-valuenow", Math.round(100 * stage.divider));
    $("divider").setAttribute("aria-valuetext",
      `counts on the left ${Math.round(100 * stage.divider)} percent, denoised on the right`);
    $("label-left").style.opacity = middle > 70 ? 1 : 0;
    $("label-right").style.opacity = width - middle > 80 ? 1 : 0;
  } else {
    drawPart(context, canvases[view].canvas, stage, ratio, 0, width);
    $("label-left").style.opacity = 1;
  }
  const overlay = fitCanvas($("marks-canvas"), width, height);
  if (view !== "spectrum") {
    const active = marks.hovered ?? marks.chosen;
    marks.draw(overlay, (x, y) => stage.toStage(x, y), stage.scale, { active });
  } else frequencies(overlay);
  scaleBar();
  placeCard();
  $("zoom-value").textContent = `${Math.round(100 * stage.place.zoom)} %`;
  $("zoom-out").disabled = $("zoom-reset").disabled = stage.place.zoom <= 1;
  $("zoom-in").disabled = stage.place.zoom >= stage.mostZoom * 0.999;
}

/** Width of a pixel in the unit of the view, nm or 1/nm. */
const stepOf = () => (state.view === "spectrum" ? state.frame.spectrum.step_per_nm : data.pixel_size_nm);

function scaleBar() {
  const perPixel = stepOf() / stage.scale;
  const length = roundBelow(Math.min(180, 0.3 * stage.box.width) * perPixel);
  $("scale").querySelector("i").style.width = `${length / perPixel}px`;
  $("scale").querySelector("span").textContent = `${Number(length.toPrecision(3))} `
    + (state.view === "spectrum" ? "nm⁻¹" : "nm");
  $("scale").dataset.length = length;
}

/** Draw circles of some lattice spacings over a spectrum. */
function frequencies(context) {
  const { step_per_nm: step, centre_px: centre } = state.frame.spectrum;
  const middle = stage.toStage(centre + 0.5, centre + 0.5);
  context.font = "600 11px system-ui, sans-serif";
  for (const spacing of [0.3, 0.2, 0.1]) {
    const radius = (stage.scale / spacing) / step;
    for (const [stroke, line] of [["rgba(0, 0, 0, .7)", 4], ["#fff", 1.5]]) {
      Object.assign(context, { strokeStyle: stroke, lineWidth: line });
      context.beginPath();
      context.arc(middle.x, middle.y, radius, 0, 2 * Math.PI);
      context.stroke();
    }
    const words = `${spacing} nm`;
    const width = context.measureText(words).width;
    context.fillStyle = "rgba(0, 0, 0, .78)";
    context.fillRect(middle.x - width / 2 - 4, middle.y - radius - 8, width + 8, 16);
    context.fillStyle = "#fff";
    context.fillText(words, middle.x - width / 2, middle.y - radius + 4);
  }
}

// Pointer, columns, what is read off.

const HINT = "Rest the pointer on the image to read it off.";

function hover(point) {
  const before = marks.hovered;
  marks.hovered = point && state.view !== "spectrum" ? marks.under(point, stage) : null;
  if (before !== marks.hovered) plan();
  $("stage").classList.toggle("on-column", marks.hovered !== null);
  $("readout").textContent = (point && readout(point)) || HINT;
}

function readout(point) {
  const at = stage.toImage(point.x, point.y);
  const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
  if (x < 0 || y < 0 || x >= stage.size.width || y >= stage.size.height) return null;
  const i = y * stage.size.width + x;
  const { counts, denoised, spectrum, spread } = state.images;
  if (state.view === "spectrum") {
    const { step_per_nm: step, centre_px: centre } = state.frame.spectrum;
    const k = Math.hypot(x - centre, y - centre) * step;
    const spacing = k > 0 ? ` (spacing ${fixed(1 / k, 3)} nm)` : "";
    return `${fixed(k, 2)} nm⁻¹${spacing}   power ${Number((10 ** spectrum.at(i)).toPrecision(2))}`;
  }
  const digits = decimals(data.pixel_size_nm) + 1;
  const parts = [
    `x ${fixed(x * data.pixel_size_nm, digits)} nm`, `y ${fixed(y * data.pixel_size_nm, digits)} nm`,
    `counts ${counts.exact ? counts.at(i) : fixed(counts.at(i), decimals(counts.scale))}`,
    `denoised ${fixed(denoised.at(i), decimals(denoised.scale))} e/px`,
  ];
  if (state.view === "residual") parts.push(`residual ${fixed(state.residual[i], 1)}`);
  if (state.view === "spread") parts.push(`spread ${fixed(spread.at(i), decimals(spread.scale))} e/px`);
  return parts.join("   ");
}

function click(point) {
  marks.chosen = state.view === "spectrum" ? null : marks.under(point, stage);
  rows.mark(marks.chosen);
  $("readout").textContent = readout(point) || HINT;
  if (marks.chosen !== null) say(marks.sentence(marks.chosen));
  plan();
}

/** Choose a column in the table: look at it in the image. */
function choose(k) {
  if (state.view === "spectrum") setView("slider");
  if (!marks.shown) showMarks(true);
  Object.assign(marks, { chosen: k, hovered: null });
  rows.mark(k);
  const { x, y } = marks.at(k);
  stage.lookAt(x, y, Math.min(2.5, stage.mostZoom));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  $("stage").scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
  say(marks.sentence(k));
}

function walk(step) {
  const k = marks.walk(step);
  if (k === null) return;
  rows.mark(k);
  const { x, y } = marks.at(k);
  stage.keepInView(x, y);
  say(`${marks.sentence(k)} ${marks.visible.indexOf(k) + 1} of ${marks.visible.length}.`);
  plan();
}

function say(words) {
  $("said").textContent = words;
}

/** Put the card of the column under the pointer, or the chosen one, beside it. */
function placeCard() {
  const k = marks.hovered ?? marks.chosen;
  const card = $("card");
  card.hidden = k === null || state.view === "spectrum" || !marks.visible.includes(k);
  if (card.hidden) return;
  if (card.dataset.column !== `${state.index}:${k}`) {
    card.dataset.column = `${state.index}:${k}`;
    const head = document.createElement("b");
    head.textContent = `Column ${marks.frame.columns[k].text.id}`;
    const list = document.createElement("dl");
    for (const [name, words] of marks.facts(k)) {
      const [term, value] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, value.textContent] = [name, words];
      list.append(term, value);
    }
    card.replaceChildren(head, list);
  }
  const { x, y } = marks.at(k);
  const at = stage.toStage(x, y);
  const off = marks.radius(stage.scale) + 12;
  const { width, height } = stage.box;
  const sides = [at.x + off, at.x - off - card.offsetWidth];
  // Outwards, where it hides fewer of the other columns.
  const others = marks.visible.filter((other) => marks.at(other).x > x).length;
  if (others > marks.visible.length / 2) sides.reverse();
  const left = sides.find((side) => side >= 2 && side + card.offsetWidth + 2 <= width) ?? sides[0];
  card.style.left = `${Math.min(Math.max(left, 2), Math.max(width - card.offsetWidth - 2, 2))}px`;
  const top = at.y - card.offsetHeight / 2;
  card.style.top = `${Math.min(Math.max(top, 2), Math.max(height - card.offsetHeight - 2, 2))}px`;
}

function showMarks(shown) {
  marks.shown = $("marks-shown").checked = shown;
  marks.hovered = null;
  if (!shown) marks.chosen = null;
  $("marks").hidden = state.view === "spectrum" || !marks.visible.length;
  plan();
}

/** Keys of the whole viewer; true if one was meant. */
function key(event) {
  const actions = {
    ",": () => stepFrame(-1), ".": () => stepFrame(1), n: () => walk(1), p: () => walk(-1),
    c: () => showMarks(!marks.shown),
    Escape: () => {
      Object.assign(marks, { chosen: null, hovered: null });
      rows.mark(null);
      plan();
    },
  };
  actions[event.key]?.();
  return event.key in actions;
}
