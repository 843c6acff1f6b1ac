"""Figure: what adapting a network to a frame gains, at home and away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import SHIPPED_COLOURS, WIDTH_IN

HOME = "in distribution"
LEAST_DB = -0.1  # that adapting may cost at home
LINEAR_DB = 0.3  # the axis is linear up to here, for a loss to be seen beside gains of decibels
# Case -> what its line is called; in the order of lines.
TITLES = {
    HOME: "as in training",
    "none": "shifted set, unshifted",
    "second-code": "second multislice code",
    "phonons": "frozen phonons",
    "coherence": "incoherent focal spread",
    "optics": "other aberrations",
    "camera": "other camera",
    "drift": "drift",
    "contamination": "carbon on the particle",
    "registry": "turned on its support",
    "dose / 4": "dose / 4",
    "dose x 40": "dose × 40",
    "contrast x 0.5": "contrast × 0.5",
    "contrast x 2": "contrast × 2",
    "inverted contrast": "contrast inverted",
    "pixel x 1.4": "pixels × 1.4, resampled",
    "pixel x 1.4, not told": "pixels × 1.4, not told",
    "Au on TiO2": "Au on TiO₂",
    "vacuum only": "vacuum only",
}
OF_IMAGES = {
    HOME: "as in training",
    "noise 15": "noise 15",
    "noise 40": "noise 40",
    "noise 60": "noise 60",
    "textures": "textures",
    "text": "text",
    "science": "scientific images",
}
IMAGES_COLOUR = "#117733"
# Columns at the right of the axes, in points: middle of the first, and how far to the next.
BETTER_PT, BETTER_WIDE_PT, ALONE_WIDE_PT = 40, 64, 26
ROW_IN, FRAME_IN = 0.23, 0.85  # height of a line, and of what is around them


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the table that it shows."""
    frames = inputs.table("adaptation", "adaptation").assign(panel="frames")
    images = inputs.table("natural_images", "adaptation")
    images = images.assign(panel="natural images", network="small DnCNN")
    lines = [sum(case in set(t["case"]) for case in titles)
             for t, titles in ((frames, TITLES), (images, OF_IMAGES))]  # fmt: skip
    figure, panels = plt.subplots(
        2, 1, figsize=(WIDTH_IN, 2 * FRAME_IN + ROW_IN * sum(lines)), sharex=True,
        gridspec_kw={"height_ratios": lines},
    )  # fmt: skip
    height = figure.get_figheight()
    figure.subplots_adjust(left=0.22, right=0.60, top=1 - 0.42 / height, bottom=0.5 / height,
                           hspace=2 * FRAME_IN / (ROW_IN * sum(lines)))  # fmt: skip
    networks = list(dict.fromkeys(frames["network"]))
    _panel(panels[0], frames, TITLES, networks, SHIPPED_COLOURS)
    _panel(panels[1], images, OF_IMAGES, ["small DnCNN"], (IMAGES_COLOUR,))
    panels[0].tick_params(labelbottom=True)
    panels[0].set_title("(a) low-dose frames", loc="left")
    panels[1].set_title("(b) natural images, Gaussian noise", loc="left")
    panels[0].legend(loc="lower right", bbox_to_anchor=(1.02, 0.99), ncols=len(networks),
                     handletextpad=0.2, columnspacing=1)  # fmt: skip
    panels[1].set_xlabel("gain in PSNR by adapting to the frame [dB]")
    return figure, pd.concat([frames, images], ignore_index=True)


def _panel(
    axes: Axes, table: pd.DataFrame, titles: Mapping, networks: Sequence, colours: Sequence
) -> None:
    """Draw one dot with its interval for each case and network, and write shares beside it."""
    known = [case for case in titles if case in set(table["case"])]
    places = dict(zip(known, np.arange(len(known))[::-1], strict=True))
    apart = 0.22 if len(networks) > 1 else 0.0
    axes.axvline(0, color="#555555", lw=0.8, zorder=0)
    home = places[HOME]
    axes.plot([LEAST_DB] * 2, [home - 0.5, home + 0.5], color="#555555", lw=1, ls="--", zorder=0)
    axes.set_xscale("symlog", linthresh=LINEAR_DB)
    for number, (name, colour) in enumerate(zip(networks, colours, strict=False)):
        rows = table[(table["network"] == name) & table["case"].isin(known)]
        y = rows["case"].map(places) + apart * (0.5 - number)
        gain = rows["gain_db"].to_numpy()
        error = np.abs(np.stack([gain - rows["gain_low"], rows["gain_high"] - gain]))
        axes.errorbar(gain, y, xerr=error, ls="none", marker="o", ms=4, elinewidth=1,
                      capsize=1.5, color=colour, label=name)  # fmt: skip
        for row, place in zip(rows.itertuples(), rows["case"].map(places), strict=True):
            low, high = 100 * row.improved_low, 100 * row.improved_high
            better = f"{100 * row.improved:.0f} ({low:.0f}–{high:.0f})"
            x = BETTER_PT + BETTER_WIDE_PT * number
            _write(axes, x, place, better, colour)
            x = BETTER_PT + BETTER_WIDE_PT * len(networks) + ALONE_WIDE_PT * number
            _write(axes, x, place, f"{100 * row.left_alone:.0f}", colour)
    top = len(known) - 0.2
    last = len(networks) - 1
    _write(axes, BETTER_PT + BETTER_WIDE_PT * last / 2, top, "better [%]")
    x = BETTER_PT + BETTER_WIDE_PT * (last + 1) + ALONE_WIDE_PT * last / 2
    _write(axes, x, top, "left alone [%]")
    for place in range(0, len(known), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="#f5f5f5", lw=0, zorder=-1)
    axes.set_ylim(-0.6, len(known) - 0.4)
    axes.set_yticks(list(places.values()), [titles[case] for case in known])
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(FixedLocator([-10, -3, -1, -0.3, -0.1, 0, 0.1, 0.3, 1, 3, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x")


def _write(axes: Axes, right_pt: float, y: float, text: str, colour: str = "black") -> None:
    """Write beside the axes, so many points off its right end, at a height in its data."""
    axes.annotate(text, (1, y), xycoords=("axes fraction", "data"), xytext=(right_pt, 0),
                  textcoords="offset points", color=colour, fontsize=7.5, ha="center",
                  va="center", annotation_clip=False)  # fmt: skip
