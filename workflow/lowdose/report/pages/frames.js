// The page's data, its frames and views.

const data = JSON.parse(document.getElementById("page-data").textContent);
const $ = (id) => document.getElementById(id);
const VIEWS = [
  ["slider", "Compare"], ["denoised", "Denoised"], ["counts", "Counts"],
  ["residual", "Residual"], ["spectrum", "Spectrum"], ["spread", "Spread"],
];
const ABOUT = {
  residual: ["Residual", "What the image leaves of the counts, over the root of the image: without "
    + "structure if the image is right. One pixel holds too few electrons to be judged by eye; what is "
    + "left of a lattice shows when pixels are summed."],
  spectrum: ["Spectrum of the residual", "Counting noise alone has the power 1 everywhere, and scatters. "
    + "Bright spots at the spacings of a lattice, which the circles give, are signal that the image lacks."],
  spread: ["Where the network disagrees with itself", "Turned and mirrored, a frame is the same; the "
    + "network's answers are not quite. Where they differ it is unsure. Where they agree it may still be "
    + "wrong: all come from the same training."],
};
const KEPT_FRAMES = 3; // decoded
const SUMMED_NM = 0.1;

const state = { index: -1, view: "slider", frame: null, images: null, canvases: {}, pending: 0 };
const decoded = new Map();
const marks = new Marks(data);
const stage = new Stage($("stage"), { draw: plan, hover, click, key });
const rows = new Rows(data, choose);
const grey = new GreyScale(repaint);

// Frames.

/** Return the decoded images of a frame; the latest are kept. */
function imagesOf(index) {
  if (!decoded.has(index)) {
    const frame = data.frames[index];
    const names = ["counts", "denoised", "spectrum", "spread"].filter((name) => frame[name]);
    decoded.set(index, Promise.all(names.map((name) => decode(frame[name])))
      .then((images) => Object.fromEntries(names.map((name, k) => [name, images[k]]))));
    if (decoded.size > KEPT_FRAMES) decoded.delete(decoded.keys().next().value);
  }
  return decoded.get(index);
}

async function showFrame(index) {
  const wanted = ++state.pending;
  const images = await imagesOf(index);
  if (wanted !== state.pending) return; // the reader has gone on
  const frame = data.frames[index];
  Object.assign(state, { index, frame, images, canvases: {}, residual: null });
  Object.assign(marks, { frame, chosen: null, hovered: null });
  const many = data.frames.length;
  const name = `Frame ${frame.number + 1} of ${data.n_frames}`;
  $("frame-name").textContent = many > 1 || data.n_frames > 1
    ? `${name} (${many === 1 ? "1 is" : `${many} are`} in this page)` : name;
  $("frame-slider").value = index;
  $("frame-slider").setAttribute("aria-valuetext", name);
  $("frame-previous").disabled = index === 0;
  $("frame-next").disabled = index === many - 1;
  $("frame-heading").textContent = many > 1 ? name : "This frame";
  $("frame-verdict").textContent = frame.verdict;
  $("vacuum").hidden = frame.vacuum === null;
  $("vacuum").textContent = `Vacuum lies at ${Number((frame.vacuum ?? 0).toPrecision(3))} e/px.`;
  for (const { input } of views) input.parentElement.hidden = !available(input.value);
  if (!available(state.view)) state.view = "slider";
  $("untested").hidden = !frame.columns.some((column) => column.state === "not tested");
  residualFacts(frame.residual_facts);
  rows.show(frame);
  if (!Object.values(images).every((image) => image.faithful)) unfaithful();
  grey.show(frame, images);
  setView(state.view);
  document.body.dataset.shown = frame.number;
}

function stepFrame(step) {
  const next = Math.min(Math.max(state.index + step, 0), data.frames.length - 1);
  if (next !== state.index) showFrame(next);
}

const available = (view) => view !== "spread" || Boolean(state.frame.spread);

/** Say that this browser alters pixels, as some do against tracking. */
function unfaithful() {
  if ($("unfaithful")) return;
  const note = document.createElement("p");
  note.id = "unfaithful";
  note.className = "warning";
  note.textContent = "This browser alters the pixels that a page reads, a protection against tracking. "
    + "Values and images below are approximate; another browser shows them exactly.";
  $("viewer").before(note);
}

// Views.

const views = VIEWS.map(([value, title]) => {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "view", value });
  const words = document.createElement("span");
  words.textContent = title;
  label.append(input, words);
  $("views").append(label);
  input.addEventListener("change", () => setView(value));
  return { input };
});

function setView(view) {
  state.view = view;
  for (const { input } of views) input.checked = input.value === view;
  const spectrum = view === "spectrum";
  const shown = spectrum ? state.images.spectrum : state.images.counts;
  stage.dividable = view === "slider";
  $("viewer").style.setProperty("--aspect", state.images.counts.width / state.images.counts.height);
  stage.show(spectrum ? "spectrum" : "image", shown.width, shown.height);
  const inGrey = ["slider", "denoised", "counts"].includes(view);
  $("grey-box").hidden = !inGrey;
  $("marks-box").hidden = spectrum || !state.frame.columns.length;
  $("about-box").hidden = !ABOUT[view];
  [$("about-heading").textContent, $("about-view").textContent] = ABOUT[view] ?? ["", ""];
  $("residual-sum").parentElement.hidden = view !== "residual";
  $("divider").hidden = view !== "slider";
  $("marks").hidden = spectrum || !marks.visible.length;
  $("label-left").textContent = view === "slider" ? "counts" : {
    denoised: "denoised", counts: "counts", residual: "residual", spectrum: "spectrum of the residual",
    spread: "where the network disagrees with itself",
  }[view];
  $("label-right").textContent = "denoised";
  $("label-right").hidden = view !== "slider";
  if (!inGrey) state.canvases[view] = null;
  if (inGrey) grey.draw();
  paint();
  describeColours();
  hover(null);
  plan();
}

/** Paint what the view needs in the present grey scale and colours. */
function paint() {
  const { counts, denoised, spectrum, spread } = state.images;
  const made = (name, image) => (state.canvases[name] ??= painter(image.width, image.height));
  const window = grey.window;
  if (state.view === "slider" || state.view === "counts") {
    made("counts", counts).paint(counts.codes, greyTable(counts, window));
  }
  if (state.view === "slider" || state.view === "denoised") {
    made("denoised", denoised).paint(denoised.codes, greyTable(denoised, window));
  }
  if (state.view === "residual") {
    const side = $("residual-sum").checked ? 2 * Math.round(SUMMED_NM / data.pixel_size_nm / 2) + 1 : 1;
    state.residual = residualOf(counts, denoised, side);
    made("residual", counts).paint(residualCodes(state.residual), mapTable(BLUE_RED));
  }
  if (state.view === "spectrum") {
    made("spectrum", spectrum).paint(spectrum.codes, colourTable(spectrum, CIVIDIS, powerRange()));
  }
  if (state.view === "spread") {
    made("spread", spread).paint(spread.codes, colourTable(spread, CIVIDIS, state.frame.grey.spread));
  }
}

/** Decimal logarithms of the least and greatest power that the colours tell apart. */
function powerRange() {
  const { spectrum } = state.images;
  return [-1, Math.max(1, Math.ceil(spectrum.offset + spectrum.scale * spectrum.most))];
}

function describeColours() {
  const element = $("colours");
  const plain = (ticks) => {
    const digits = decimals(ticks[1] - ticks[0] || 1);
    return ticks.map((value) => [value, fixed(value, digits)]);
  };
  if (state.view === "residual") {
    colourBar(element, BLUE_RED, [-RESIDUAL_LIMIT, RESIDUAL_LIMIT], plain([-4, -2, 0, 2, 4]),
      "counts minus image, in standard deviations of counting noise");
  } else if (state.view === "spectrum") {
    const [low, high] = powerRange();
    const ticks = Array.from({ length: high - low + 1 }, (_, k) => [low + k, String(10 ** (low + k))]);
    colourBar(element, CIVIDIS, [low, high], ticks, "power, 1 is that of counting noise");
  } else if (state.view === "spread") {
    const range = state.frame.grey.spread;
    colourBar(element, CIVIDIS, range, plain(ticksBetween(...range)),
      "e/px, standard deviation of the network's answers to the turned and mirrored frame");
  } else {
    colourBar(element, ["#000000", "#ffffff"], grey.window, plain(ticksBetween(...grey.window)),
      state.view === "slider" ? "e/px, the same on both sides" : "e/px");
  }
}

function repaint() {
  if (!Object.keys(state.canvases).length) return;
  paint();
  describeColours();
  plan();
}
