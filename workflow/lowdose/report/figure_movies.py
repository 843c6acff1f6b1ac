"""Figure: every way to denoise a movie on one frame, and what it sees of events against dose."""

from __future__ import annotations

import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.data.movies import Movie
from lowdose.evaluation.movies import IDEAL, counts_at, shown_frame
from lowdose.report.inputs import Inputs
from lowdose.report.shown_frame import grey_limits
from lowdose.report.style import RING, WIDTH_IN, ring, scale_bar, show_image

PER_ROW = 5
RING_NM = 0.12  # half a neighbour distance
TITLES = {
    "clean": "clean", "raw": "counts", "gaussian": "Gaussian", "bm3d": "VST + BM3D",
    "sum": "sum of frames", "blind-spot": "blind spot, 1 frame", "udvd": "UDVD",
    "white": "network white", "adapted": "white, adapted", "white-of-sum": "white of a sum",
    IDEAL: "ideal observer",
}  # fmt: skip
LOOKS = {
    IDEAL: ("#000000", "", (0, (1, 1.2))), "raw": ("#8c8c8c", "o", ":"),
    "gaussian": ("#e69f00", "s", (0, (4, 1.5))), "bm3d": ("#d55e00", "D", (0, (4, 1.5))),
    "sum": ("#009e73", "^", (0, (4, 1.5))), "blind-spot": ("#999933", "v", "-"),
    "udvd": ("#cc79a7", "P", "-"), "white": ("#332288", "*", "-"),
    "adapted": ("#882255", "X", "-"), "white-of-sum": ("#0072b2", "h", "-"),
}  # fmt: skip
OTHER = ("#444444", "o", "-")


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table that it shows."""
    table = inputs.table("movies", "movies")
    film = spec["films"][0]
    movie = inputs.film(film)
    frame = shown_frame(movie, spec["first_frames"])
    reference = spec["reference_dose_e_per_px"]
    shown = ["clean", *spec["methods"]]
    rows = math.ceil(len(shown) / PER_ROW)
    gap, title = 0.08, 0.36
    side = (WIDTH_IN - 0.1 - gap * (PER_ROW - 1)) / PER_ROW
    charts = 3.1
    height = rows * (side + title) + charts + 0.25
    figure = plt.figure(figsize=(WIDTH_IN, height))
    low, high = grey_limits(movie.clean[frame])
    at_reference = table[table["dose_e_per_px"] == reference].set_index("method")
    for number, name in enumerate(shown):
        row, column = divmod(number, PER_ROW)
        top = row * (side + title) + title
        axes = figure.add_axes(
            ((0.05 + column * (side + gap)) / WIDTH_IN, 1 - (top + side) / height,
             side / WIDTH_IN, side / height)
        )  # fmt: skip
        _panel(axes, inputs, spec, movie, frame, name, low, high)
        score = "" if name == "clean" else f"{at_reference.loc[name, 'psnr_db']:.1f} dB"
        words = f"{TITLES.get(name, name)}\n{score or 'what is to be found'}"
        axes.set_title(words, fontsize=8, linespacing=1.25, pad=3)
        if number == 0:
            scale_bar(axes)
    bottom = 0.45 / height
    boxes = [(0.075, 0.25), (0.405, 0.25), (0.725, 0.265)]
    event, surface, accuracy = (
        figure.add_axes((left, bottom, width, (charts - 0.95) / height)) for left, width in boxes
    )
    _events(event, table, spec)
    _lines(surface, table, spec, "f1", "F1 of surface columns", "(b) surface of a frame")
    _lines(accuracy, table, spec, "psnr_db", "PSNR [dB]", "(c) image")
    handles, labels = event.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", ncols=5, fontsize=7.5, handlelength=2.6,
        bbox_to_anchor=(0.5, (charts + 0.12) / height), columnspacing=1.4,
    )  # fmt: skip
    return figure, table


def _panel(
    axes: Axes, inputs: Inputs, spec: Mapping, movie: Movie, frame: int, name: str,
    low: float, high: float,
) -> None:  # fmt: skip
    """Show one method's frame, with rings where columns are gone or have come."""
    image = movie.clean[frame] if name == "clean" else inputs.movie_image(name)
    limits = (low, high)
    if name == "raw":
        counts, _ = counts_at(movie, spec["reference_dose_e_per_px"], spec["seed"])
        image, limits = counts[frame], (0, 3)
    show_image(axes, image, movie.pixel_size_nm, cmap="gray", vmin=limits[0], vmax=limits[1])
    own = movie.truth[(movie.truth["frame"] == frame) & (movie.truth["process"] != "")]
    for row in own.itertuples():
        there = row.n_atoms > 0
        came = str(row.process).startswith("adatom")
        if there == came:  # not as usual
            ring(axes, row.x_nm, row.y_nm, RING_NM, edgecolor=RING)


def _events(axes: Axes, table: pd.DataFrame, spec: Mapping) -> None:
    """Draw the shortest event that is seen against dose; above the longest: none is."""
    lengths = sorted(int(c.split("_")[1]) for c in table.columns if c.startswith("recall_"))
    beyond = 2 * lengths[-1]
    for name in [IDEAL, *spec["methods"]]:
        own = table[table["method"] == name].sort_values("dose_e_per_px")
        colour, marker, dashes = LOOKS.get(name, OTHER)
        # Moved apart a little, or methods that see the same would hide each other.
        place = ([IDEAL, *spec["methods"]].index(name) - len(spec["methods"]) / 2) * 0.012
        axes.plot(
            own["dose_e_per_px"], own["shortest"].fillna(beyond) * (1 + place), color=colour,
            marker=marker, linestyle=dashes, ms=4.5, lw=1.3, label=TITLES.get(name, name),
        )  # fmt: skip
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(FixedLocator([*lengths, beyond]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if v < beyond else "none"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("frames")
    axes.set_title("(a) shortest event seen, 90 % recall", loc="left", fontsize=8.5)
    _dose_axis(axes, table)


def _lines(
    axes: Axes, table: pd.DataFrame, spec: Mapping, column: str, label: str, title: str
) -> None:
    for name in spec["methods"]:
        if name == "raw" and column == "psnr_db":
            continue
        own = table[table["method"] == name].sort_values("dose_e_per_px")
        colour, marker, dashes = LOOKS.get(name, OTHER)
        axes.plot(own["dose_e_per_px"], own[column], color=colour, marker=marker,
                  linestyle=dashes, ms=4.5, lw=1.3)  # fmt: skip
    axes.set_ylabel(label)
    axes.set_title(title, loc="left", fontsize=8.5)
    _dose_axis(axes, table)


def _dose_axis(axes: Axes, table: pd.DataFrame) -> None:
    doses = np.unique(table["dose_e_per_px"])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(doses))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.set_xlabel("electrons per pixel and frame")
    axes.grid()
