// Joins controls and page, and shows the first frame.

$("marks").addEventListener("keydown", (event) => {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  if (!steps[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  walk(steps[event.key]);
});
$("divider").addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const to = {
    ArrowLeft: stage.divider - step, ArrowDown: stage.divider - step, ArrowRight: stage.divider + step,
    ArrowUp: stage.divider + step, Home: 0, End: 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  stage.moveDivider(to);
});
$("zoom-in").addEventListener("click", () => stage.zoomBy(1.5));
$("zoom-out").addEventListener("click", () => stage.zoomBy(1 / 1.5));
$("zoom-reset").addEventListener("click", () => stage.reset());
$("frame-previous").addEventListener("click", () => stepFrame(-1));
$("frame-next").addEventListener("click", () => stepFrame(1));
$("frame-slider").addEventListener("input", (event) => showFrame(Number(event.target.value)));
$("residual-sum").addEventListener("change", () => setView("residual"));
$("marks-shown").addEventListener("change", (event) => showMarks(event.target.checked));
for (const input of document.querySelectorAll("input[name=which]")) {
  input.addEventListener("change", () => {
    marks.all = input.value === "all";
    $("marks-box").classList.toggle("all", marks.all);
    if (!marks.visible.includes(marks.chosen)) marks.chosen = null;
    showMarks(marks.shown);
  });
}
for (const button of document.querySelectorAll("button[data-view]")) {
  button.addEventListener("click", () => {
    setView(button.dataset.view);
    $("stage").scrollIntoView({ block: "nearest" });
    $("stage").focus({ preventScroll: true });
  });
}
$("frame-slider").max = data.frames.length - 1;
$("frame-bar").hidden = data.n_frames === 1 && data.frames.length === 1;
for (const item of ["frame-previous", "frame-slider", "frame-next"]) {
  $(item).hidden = data.frames.length === 1;
}

/** Draw the figure that only paper shows. */
function printed() {
  if (!state.images) return;
  const { counts, denoised } = state.images;
  const canvases = [counts, denoised].map((image) => {
    const one = painter(image.width, image.height);
    one.paint(image.codes, greyTable(image, grey.window));
    return one.canvas;
  });
  drawPaper(canvases, marks, data.pixel_size_nm, grey.window, state.frame,
    `Frame ${state.frame.number + 1}: counts on the left, denoised on the right${marks.visible.length
      ? " with its columns by number, dashed and crossed where the counts do not support them" : ""}. `);
}
let folded = false;
addEventListener("beforeprint", () => {
  printed();
  folded = !$("rows").open;
  $("rows").open = true;
});
addEventListener("afterprint", () => {
  if (folded) $("rows").open = false;
});
matchMedia("print").addEventListener("change", (event) => event.matches && printed());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => grey.draw());
drawKeys(marks);
showFrame(0);
