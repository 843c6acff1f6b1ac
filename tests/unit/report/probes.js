// What the tests of the page ask it: colours as they are on the screen.

window.probe = {
  /** Return red, green, blue of every pixel of the image, all of which is on the canvas. */
  pixels(rows, cols) {
    // Of a copy: reading the canvas back again and again would change how Chromium keeps it.
    const shown = document.getElementById("picture-canvas");
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [shown.width, shown.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(shown, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    const found = [];
    for (let y = 0; y < rows; y++) for (let x = 0; x < cols; x++) {
      const row = Math.floor(((y + 0.5) * canvas.height) / rows);
      const i = 4 * (row * canvas.width + Math.floor(((x + 0.5) * canvas.width) / cols));
      found.push(data[i], data[i + 1], data[i + 2]);
    }
    return found;
  },

  /** Return the contrast ratio of an element's words, as WCAG 2 defines it. */
  contrast(selector) {
    const parse = (words) => words.match(/[\d.]+/g).map(Number);
    const luminance = (colour) => colour.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
    const sheet = (element) => parse(getComputedStyle(element).backgroundColor);
    const element = document.querySelector(selector);
    let under = element;
    while (under.parentElement && sheet(under)[3] === 0) under = under.parentElement;
    const pair = [parse(getComputedStyle(element).color), sheet(under)].map(luminance);
    return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
  },

  /** Return how many values of a byte each picture for paper has; false while any is not drawn. */
  paper() {
    const of = (id) => document.getElementById(id);
    const seen = (element) => element.getClientRects().length > 0;
    const canvases = ["paper-counts", "paper-denoised"].map(of);
    return canvases.every(seen) && !seen(of("viewer")) && seen(of("table")) && canvases.map((c) =>
      new Set(c.getContext("2d").getImageData(0, 0, c.width, c.height).data).size);
  },

  /** Return black and white of the grey scale, as the page says them [e/px]. */
  window() {
    return ["black", "white"].map((id) => Number(document.getElementById(id).value));
  },

  /** Type black and white into their fields. */
  setWindow(...values) {
    for (const [k, id] of ["black", "white"].entries()) {
      const field = document.getElementById(id);
      field.value = values[k];
      field.dispatchEvent(new Event("change"));
    }
  },

  /** Say whether anything is drawn inside a column's ring, on its diagonal; all in image pixels. */
  crossed(x, y, cols, radius) {
    const canvas = document.getElementById("marks-canvas");
    const scale = canvas.width / cols;
    const at = [x, y].map((v) => Math.round((v + 0.5 + 0.75 * radius * Math.SQRT1_2) * scale));
    return canvas.getContext("2d").getImageData(...at, 1, 1).data[3] > 0;
  },

  /** Scroll to the stage; return its left, top, width and height in the window. */
  stage() {
    const element = document.getElementById("stage");
    element.scrollIntoView({ block: "center", behavior: "instant" });
    const box = element.getBoundingClientRect();
    return [box.x, box.y, box.width, box.height];
  },
};
