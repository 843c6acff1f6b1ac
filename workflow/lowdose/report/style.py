"""How every figure looks: sizes, colours, names of denoisers, scale bar, grey scale, saving."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")  # before pyplot: a figure is a file, also where there is no screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lowdose.report.lengths import nice_length
from lowdose.runtime import atomic_path

WIDTH_IN = 8.0
DPI = 200  # 1600 px wide
RC = {
    "font.family": "DejaVu Sans",  # shipped with matplotlib: the same letters everywhere
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "errorbar.capsize": 2,
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.facecolor": "white",
    "image.interpolation": "auto",
    "image.interpolation_stage": "data",  # shrink the values, not their colours
    "svg.hashsalt": "lowdose",
    "svg.fonttype": "path",
    "axes.formatter.useoffset": False,
}

REFERENCES = ("clean", "constant", "raw")
TITLES = {
    "clean": "clean",
    "constant": "constant image",
    "raw": "raw counts",
    "gaussian": "Gaussian",
    "butterworth": "Butterworth",
    "wiener": "Wiener",
    "radial-wiener": "radial Wiener",
    "absf": "ABSF",
    "spots": "Fourier spots",
    "nlm": "VST + NLM",
    "tv": "VST + TV",
    "wavelets": "VST + wavelets",
    "bm3d": "VST + BM3D",
    "bm3d-iterative": "iterative VST + BM3D",
    "bm3d-package": "VST + BM3D (authors')",
    "purelet": "PURE-LET",
    "topaz": "Topaz-Denoise",
    "blind-spot": "blind spot, fixed",
    "blind-spot-stopped": "blind spot, stopped",
}
# Okabe and Ito's colours, told apart by colour-blind readers.
BASELINE_COLOURS = ("#e69f00", "#009e73", "#cc79a7", "#d55e00", "#999933", "#44aa99")
REFERENCE_COLOURS = {"clean": "#000000", "constant": "#8c8c8c", "raw": "#8c8c8c"}
MARKERS = ("s", "D", "^", "v", "P", "X")  # of baselines; a network has a dot
POINTS = ("o", *MARKERS)  # where only what was trained tells networks apart
SHIPPED_COLOURS = ("#332288", "#882255")
RING = "#00e5ff"  # marks the truth: a colour that no grey image holds
SITE_COLOURS = {
    "support": "#d9d3c7",
    "bulk": "#9a9a9a",
    "facet": "#56b4e9",
    "edge": "#009e73",
    "corner": "#e69f00",
    "step": "#cc79a7",
    "adatom": "#d55e00",
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the house style, whatever the reader's own matplotlibrc says."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.use("Agg")
        plt.rcParams.update(RC)
        yield


def save(figure: Figure, table: pd.DataFrame, folder: Path, name: str) -> None:
    """Write NAME.png, NAME.svg and NAME.csv; the same content gives the same bytes.

    Parameters
    ----------
    figure : Figure
        At most `WIDTH_IN` inches wide, drawn inside `style`.
    table : DataFrame
        The numbers that the figure shows.
    folder : Path
    name : str
    """
    with atomic_path(folder / f"{name}.csv") as path:
        table.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    # The software's version and the date would make equal figures differ.
    for suffix, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        with atomic_path(folder / f"{name}.{suffix}") as path:
            figure.savefig(path, format=suffix, dpi=DPI, metadata=metadata)
    plt.close(figure)


def network_titles(networks: Sequence[str]) -> dict[str, str]:
    """Name networks by what tells them apart.

    ``wide.white.seed0`` is "wide" if all were trained on one set from one seed, else
    "wide, white" or "wide, white, seed 0".
    """
    parts = {name: name.split(".") for name in networks}
    sets = {p[1] for p in parts.values() if len(p) == 3}
    seeds = {p[2] for p in parts.values() if len(p) == 3}
    titles = {}
    for name, part in parts.items():
        words = part[:1]
        if len(part) == 3 and len(sets) > 1:
            words.append(part[1])
        if len(part) == 3 and len(seeds) > 1:
            words.append(part[2].replace("seed", "seed "))
        titles[name] = ", ".join(words)
    return titles


def titles(spec: Mapping) -> dict[str, str]:
    """Return the short name of every denoiser of the study, in the order of tables."""
    of_networks = network_titles(spec["networks"])
    return {name: of_networks.get(name) or TITLES.get(name, name) for name in spec["denoisers"]}


def titles_without_seeds(spec: Mapping, names: Sequence[str]) -> dict[str, str]:
    """Return short names of some denoisers, of networks without the seed that stands for them."""
    networks = {n: n.rpartition(".seed")[0] + ".seed0" for n in names if n in spec["networks"]}
    short = network_titles(list(networks.values()))
    known = titles(spec)
    return {n: short[networks[n]] if n in networks else known.get(n, n) for n in names}


def looks(spec: Mapping) -> dict[str, dict]:
    """Return colour, marker and line style of every denoiser.

    Networks are blue, darker the later they stand in the configuration (which lists narrow
    fields first), those of the package dark and starred; baselines have one colour-blind-safe hue
    each and dashed lines; references are black and grey, dotted.
    """
    found: dict[str, dict] = {
        name: {"color": colour, "marker": "", "linestyle": ":"}
        for name, colour in REFERENCE_COLOURS.items()
    }
    for i, name in enumerate(spec["baselines"]):
        found[name] = {
            "color": BASELINE_COLOURS[i % len(BASELINE_COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": (0, (4, 1.5)),
        }
    for name, colour in zip(spec["shipped"], itertools.cycle(SHIPPED_COLOURS), strict=False):
        found[name] = {"color": colour, "marker": "*", "linestyle": "-"}
    shades = np.linspace(0.45, 1.0, max(len(spec["networks"]), 2))
    if len(spec["networks"]) == 1:
        shades = shades[-1:]
    for name, shade in zip(spec["networks"], shades, strict=False):
        found[name] = {"color": plt.get_cmap("Blues")(shade), "marker": "o", "linestyle": "-"}
    return {name: found[name] for name in spec["denoisers"] if name in found}


def show_image(
    axes: Axes, image: np.ndarray, pixel_size_nm: float, origin_px: tuple[int, int] = (0, 0), **keys
) -> object:
    """Show an image upright on axes in nm: the centre of pixel i is at i times the pixel size.

    Parameters
    ----------
    axes : Axes
    image : array (y, x)
    pixel_size_nm : float
    origin_px : (int, int)
        Row and column of the frame that the image's first pixel is.
    **keys
        Passed to `Axes.imshow`.
    """
    (top, left), (height, width) = origin_px, image.shape
    edges = np.array([left, left + width, top + height, top]) - 0.5
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_linewidth(0.5)
    return axes.imshow(image, extent=tuple(edges * pixel_size_nm), **keys)


def scale_bar(
    axes: Axes, fraction: float = 0.3, colour: str = "white", label: bool = True
) -> tuple[Rectangle, float]:
    """Draw a scale bar in the lower left corner of axes in nm; return it and its length [nm].

    The bar is a shape in data coordinates, so that its length is right by construction.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    width, height = right - left, bottom - top
    length = nice_length(fraction * width)
    bar = Rectangle(
        (left + 0.05 * width, bottom - 0.08 * height), length, 0.022 * height,
        facecolor=colour, edgecolor="black" if colour == "white" else "white", linewidth=0.4,
    )  # fmt: skip
    axes.add_patch(bar)
    if label:
        axes.text(
            left + 0.05 * width, bottom - 0.11 * height, f"{length:g} nm",
            color=colour, ha="left", va="bottom", fontsize=7.5,
            path_effects=outline("black" if colour == "white" else "white"),
        )  # fmt: skip
    return bar, length


def outline(colour: str = "black", width: float = 1.4) -> list:
    """Return path effects that keep a text legible on any grey."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=colour, alpha=0.75)]


def ring(axes: Axes, x_nm: float, y_nm: float, radius_nm: float, **keys) -> None:
    """Draw an open ring around a position."""
    from matplotlib.patches import Circle

    keys = {"edgecolor": RING, "linewidth": 1.1, **keys}
    axes.add_patch(Circle((x_nm, y_nm), radius_nm, facecolor="none", **keys))


def spread(values: Sequence[float], gap: float) -> np.ndarray:
    """Move values apart, as little as needed, until neighbours differ by at least `gap`.

    For labels at the ends of curves: the order is kept; clusters stay centred on their mean.
    """
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")
    clusters: list[list[float]] = []  # each: sum of wanted positions of its middle, members
    for v in values[order]:
        clusters.append([v, 1])
        while len(clusters) > 1:
            (a, n), (b, m) = clusters[-2], clusters[-1]
            if (b - a) >= gap * (n + m) / 2 - 1e-12:
                break
            clusters[-2:] = [[(a * n + b * m) / (n + m), n + m]]
    placed = np.empty_like(values)
    start = 0
    for centre, n in clusters:
        placed[order[start : start + n]] = centre + gap * (np.arange(n) - (n - 1) / 2)
        start += n
    return placed


def end_labels(
    axes: Axes,
    x: float,
    values: Sequence[float],
    texts: Sequence[str],
    colours: Sequence,
    size: float = 7.5,
) -> None:
    """Write the names of curves beside their right ends, apart from each other.

    Call when the limits and the size of the axes are final.
    """
    low, high = axes.get_ylim()
    height_pt = axes.get_window_extent().height / axes.figure.dpi * 72
    gap = (high - low) * size * 1.25 / height_pt
    places = spread(np.clip(values, low, high), gap)
    places += np.clip(low - places.min(), 0, None) - np.clip(places.max() - high, 0, None)
    for place, text, colour in zip(places, texts, colours, strict=True):
        axes.annotate(
            text, (x, place), xytext=(5, 0), textcoords="offset points", color=colour,
            fontsize=size, va="center", annotation_clip=False,
        )  # fmt: skip
