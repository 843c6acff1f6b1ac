// From the PNGs of the page to values, and from values to colours.

const LEAST_EXPECTED = 1e-3; // e/px, as in frame_pixels.py
const RESIDUAL_LIMIT = 4; // standard deviations of counting noise at the ends of the colours

// Colour maps that are told apart without seeing red and green: ends and steps between.
const BLUE_RED = ["#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7",
  "#f4a582", "#d6604d", "#b2182b", "#67001f"];
const CIVIDIS = ["#00224e", "#0a316e", "#35456c", "#4f576c", "#666970", "#7d7c78", "#948e77",
  "#aea371", "#c8b866", "#e5cf52", "#fee838"];
// Its middle is yellow, since white is no colour among greys.
const ORANGE_BLUE = ["#e4431b", "#f98a3c", "#ffe46b", "#7cc8f4", "#1f7bea"];

/** Return [r, g, b] at a fraction, 0 to 1, of a colour map. */
function colourAt(map, fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (map.length - 1);
  const low = Math.min(Math.floor(place), map.length - 2);
  const channel = (colour, k) => parseInt(colour.slice(1 + 2 * k, 3 + 2 * k), 16);
  return [0, 1, 2].map((k) => {
    const from = channel(map[low], k);
    return Math.round(from + (place - low) * (channel(map[low + 1], k) - from));
  });
}

const css = ([r, g, b]) => `rgb(${r}, ${g}, ${b})`;

/** Return a pixel of a canvas as one number; every machine that runs a browser is little-endian. */
const pixel = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

/** Return a table of `size` pixels of a colour map. */
function mapTable(map, size = 256) {
  return Uint32Array.from({ length: size }, (_, i) => pixel(...colourAt(map, i / (size - 1))));
}

/** Grey of a value, 0 to 255; black and white in the value's unit. */
function greyOf(value, [black, white]) {
  const share = Math.min(Math.max((value - black) / (white - black), 0), 1);
  return Math.floor(255 * share + 0.5);
}

/** Return the bytes of a grey PNG. */
async function bytesOf(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const colours = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const bytes = new Uint8Array(colours.length / 4);
  for (let i = 0; i < bytes.length; i++) bytes[i] = colours[4 * i];
  return bytes;
}

/** Decode an image of the page: its codes, and whether they are what was written. */
async function decode(coded) {
  const planes = await Promise.all(coded.planes.map((plane) => bytesOf(plane.png)));
  const codes = Uint16Array.from(planes[0]);
  if (planes[1]) for (let i = 0; i < codes.length; i++) codes[i] |= planes[1][i] << 8;
  let most = 0;
  for (let i = 0; i < codes.length; i++) if (codes[i] > most) most = codes[i];
  const faithful = planes.every((bytes, k) => {
    let sum = 0;
    for (let i = 0; i < bytes.length; i++) sum += bytes[i];
    return sum === coded.planes[k].sum;
  });
  return { ...coded, codes, most, faithful, at: (i) => coded.offset + coded.scale * codes[i] };
}

/** Return a canvas of an image's size and what paints it: a function that is given a table. */
function painter(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  return {
    canvas,
    paint(codes, table) {
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[codes[i]];
      context.putImageData(image, 0, 0);
    },
  };
}

/** Return the pixels of all codes of an image in a grey scale. */
function greyTable(image, window) {
  const table = new Uint32Array(image.most + 1);
  for (let code = 0; code < table.length; code++) {
    const grey = greyOf(image.offset + image.scale * code, window);
    table[code] = pixel(grey, grey, grey);
  }
  return table;
}

/** Return the pixels of all codes of an image in a colour map between two values. */
function colourTable(image, map, [low, high]) {
  const colours = mapTable(map);
  const table = new Uint32Array(image.most + 1);
  for (let code = 0; code < table.length; code++) {
    const share = (image.offset + image.scale * code - low) / (high - low);
    table[code] = colours[Math.floor(255 * Math.min(Math.max(share, 0), 1) + 0.5)];
  }
  return table;
}

/** Return sums over squares of `side` pixels, an odd number; at the border over what there is. */
function boxSums(values, width, height, side) {
  const half = (side - 1) / 2;
  const along = new Float64Array(values.length);
  const sums = new Float32Array(values.length);
  const run = (from, to, start, step, n) => {
    let sum = 0;
    for (let k = 0; k < Math.min(half, n); k++) sum += from[start + k * step];
    for (let k = 0; k < n; k++) {
      if (k + half < n) sum += from[start + (k + half) * step];
      if (k - half > 0) sum -= from[start + (k - half - 1) * step];
      to[start + k * step] = sum;
    }
  };
  for (let y = 0; y < height; y++) run(values, along, y * width, 1, width);
  for (let x = 0; x < width; x++) run(along, sums, x, width, height);
  return sums;
}

/** Return the values of all codes of an image. */
const valuesOf = (image) => Float64Array.from({ length: image.most + 1 },
  (_, code) => image.offset + image.scale * code);

/** Return (counts - denoised) / sqrt(denoised), or that of sums over squares of `side` pixels. */
function residualOf(counts, denoised, side = 1) {
  const n = counts.codes.length;
  const [counted, shown] = [valuesOf(counts), valuesOf(denoised)];
  let left = new Float64Array(n);
  let expected = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const value = shown[denoised.codes[i]];
    left[i] = counted[counts.codes[i]] - value;
    expected[i] = Math.max(value, LEAST_EXPECTED);
  }
  if (side > 1) {
    left = boxSums(left, counts.width, counts.height, side);
    expected = boxSums(expected, counts.width, counts.height, side);
  }
  const residual = new Float32Array(n);
  for (let i = 0; i < n; i++) residual[i] = left[i] / Math.sqrt(Math.max(expected[i], 1e-9));
  return residual;
}

/** Return a residual's place in a table of 256 colours. */
function residualCodes(residual) {
  const codes = new Uint8Array(residual.length);
  for (let i = 0; i < codes.length; i++) {
    const share = 0.5 + residual[i] / (2 * RESIDUAL_LIMIT);
    codes[i] = Math.floor(255 * Math.min(Math.max(share, 0), 1) + 0.5);
  }
  return codes;
}

/** Return the greatest of 1, 2 and 5 times a power of ten that is not above a length. */
function roundBelow(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return [5, 2, 1].map((factor) => factor * power).find((value) => value <= length * 1.000001);
}

/** Return round numbers between two values, three to six of them. */
function ticksBetween(low, high) {
  const step = roundBelow((high - low) / 2.9);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-6); k * step <= high + 1e-6 * step; k++) {
    ticks.push(Number((k * step).toPrecision(12)));
  }
  return ticks;
}

/** Write a number with so many decimals and a true minus. */
const fixed = (value, digits) => value.toFixed(digits).replace("-", "−");

/** Return the decimals that tell steps of this size apart. */
const decimals = (step) => Math.min(Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)), 6);
