"""The page that lies in a benchmark's folder."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLE = """import json, os, numpy as np
files = json.load(open("benchmark.json"))["files"]; os.makedirs("mine", exist_ok=True)
for path in [p for p in files if p.startswith("inputs/")]:
    counts = np.load(path)["counts"].astype(np.float32)               # (image, y, x), electrons
    estimate = denoise(counts, dose=files[path]["dose_e_per_px"])     # yours: same shape and unit
    np.save("mine/" + os.path.basename(path).replace("npz", "npy"), estimate.astype(np.float32))
"""

WHAT = {
    "validation": "other shapes, on which the scorer chooses your detection threshold at each dose",
    "test": "frames of the world that the networks of the study are trained in, from shapes that "
    "they are not trained on",
    "shifted": "frames that leave that world; `none` are the same particles in it",
}

FRAMES = (
    "what each frame is: model, base shape, defect, thickness, tilt, defocus C1 (positive = "
    "overfocus), shift, height of the interface"
)
COLUMNS = (
    "every true column: place, element, atoms, whether it is on the surface, `site`; a vacancy has "
    "no atoms"
)
SITES = (
    "the columns at stake: two frames of each matched pair, with the column (`present`) and "
    "without it"
)


def readme(manifest: Mapping, size: int) -> str:
    """Return the README of a benchmark, Markdown.

    Parameters
    ----------
    manifest : mapping
        ``benchmark.json``.
    size : int
        Bytes of arrays and tables.
    """
    doses = ", ".join(f"{dose:g}" for dose in manifest["doses_e_per_px"])
    height, width = manifest["shape"]
    pixel = manifest["pixel_size_nm"]
    rows = []
    for name, about in manifest["sets"].items():
        pairs = ", ".join(f"{n} {kind}" for kind, n in about["pairs"].items()) or "none"
        what = WHAT.get(name, "")
        if "shifts" in about:
            what += f" ({', '.join(about['shifts'])})"
        rows.append(
            f"| `{name}` | {about['frames']} | {about['realisations']} | {about['base_shapes']} | "
            f"{pairs} | {what} |"
        )
    table = "\n".join(rows)
    first = next(path for path in manifest["files"] if path.startswith("inputs/"))
    return f"""# lowdose benchmark: denoising TEM frames at ultra-low electron dose

SHA-256 `{manifest["sha256"]}` ({size / 1e6:.1f} MB)

Simulated atomic-resolution TEM frames of supported metal nanoparticles with their counts at
{doses} electrons per pixel in vacuum. Your denoiser needs none of our code: it reads arrays and
writes arrays. Asked is not only how near an image comes to the expectation, but whether its
columns of atoms are there: matched pairs of frames differ in a single column.

| set | frames | noise realisations | particle shapes | matched pairs | what |
|---|---:|---:|---:|---|---|
{table}

## What to do

1. Denoise every file in `inputs/`. `inputs/SET-DOSE.npz` has one array, `counts`, of shape
   (image, y, x) with {height} x {width} pixels of {1000 * pixel:g} pm: electrons per pixel,
   Poisson, row 0 at the top (vacuum above, support below). All images are independent draws; do
   not average over them. Dose and pixel size may be used: they are known at a microscope too.
2. Write **expected electrons per pixel**, same shape and order, as `SET-DOSE.npy` (or an `.npz`
   with one array) in a folder of yours; float16 suffices. Vacuum is then about the dose.
3. In a copy of lowdose: `python -m lowdose score BENCHMARK YOUR_FOLDER --output scores.csv`

In this folder, with `denoise` being yours:

```python
{EXAMPLE}```

A file that you leave out is shown as missing, not as zero. Without `validation` no threshold can
be chosen, and the numbers that need one are missing.

## What it is measured against

`truth/` is apart from the inputs, and no denoiser may look there:

| file | what |
|---|---|
| `truth/SET.npz` | `clean`: the expectation of each frame, vacuum = 1, float16 |
| `truth/SET-frames.csv` | {FRAMES} |
| `truth/SET-columns.csv` | {COLUMNS} |
| `truth/SET-sites.csv` | {SITES} |

Image `realisation * frames + frame` shows row `frame` of these tables. Places are in nm from the
centre of the upper left pixel, x to the right, y downwards.

## Be honest with it

The truth is public, so nothing but honesty keeps the benchmark a test. Do not train on it, do not
tune on `test` or `shifted` (tune on `validation` if you must, and say so), and do not choose
between runs by their score here. The frames are simulated: a good score is no proof for your
microscope.

`benchmark.json` holds the SHA-256 of each table and of each array as a `.npy` file
(`unzip -p {first} | sha256sum`), the resolved specification of the simulation and the seed. Quote
the SHA-256 above with any score.

Made by lowdose {manifest["made_by"]["lowdose"]}, GPL-3.0-or-later. Cite the software by its
`CITATION.cff`, and Vincent et al. (2021), doi:10.1017/S1431927621012678.
"""
