"""Figure: how far the counts support each surface column that the widest network shows."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lowdose.report.inputs import Inputs
from lowdose.report.shown_frame import choose_frame, grey_limits, particle_crop
from lowdose.report.style import RING, WIDTH_IN, ring, scale_bar, show_image, titles

RADIUS_NM = 0.085
MAP = "RdBu"  # red: against an atom, blue: for it


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a detected surface column of the frame."""
    frames, table = inputs.frame_set(), inputs.likelihood()
    frame, x, y, vacancy = choose_frame(frames)
    here = table[table["frame"] == frame].reset_index(drop=True)
    clean, pixel = frames.clean[frame], frames.pixel_size_nm
    crop = particle_crop(frames, frame)
    low, high = grey_limits(crop.of(clean))
    # A poorly trained network may show no surface column at all: then there is no ring.
    reach = max(float(here["llr_total"].abs().max()), 1e-9) if len(here) else 1.0
    norm = TwoSlopeNorm(0.0, -reach, reach)
    colour = plt.get_cmap(MAP)

    height, width = crop.of(clean).shape
    gap, panel_w = 0.08, (WIDTH_IN - 0.9) / 2
    panel_h = panel_w * height / width
    total = panel_h + 1.08
    figure = plt.figure(figsize=(WIDTH_IN, total))
    for k, (name, label) in enumerate(
        (("raw", "noisy counts"), (spec["widest"], f"denoised by {titles(spec)[spec['widest']]}"))
    ):
        left = 0.06 + k * (panel_w + gap)
        axes = figure.add_axes((left / WIDTH_IN, 0.4 / total, panel_w / WIDTH_IN, panel_h / total))
        image = crop.of(inputs.image(name, frame))
        show_image(axes, image, pixel, crop.origin, cmap="gray", vmin=low, vmax=high)
        axes.set_title(label, pad=3)
        for _, one in here.iterrows():
            style = "solid" if one["supported"] else (0, (2, 1.3))
            for edge, line in (("black", 3.0), (colour(norm(one["llr_total"])), 2.0)):
                ring(axes, one["x_nm"], one["y_nm"], RADIUS_NM, edgecolor=edge, linewidth=line,
                     linestyle=style if edge != "black" or not one["supported"] else "solid",
                     alpha=0.5 if edge == "black" else 1.0)  # fmt: skip
        if vacancy:
            axes.plot(x, y, marker="+", color=RING, ms=8, mew=1.6, ls="none")
        if k == 1:
            scale_bar(axes, 0.3)
    supported = int(here["supported"].sum())
    rate = spec.get("evaluation", {}).get("false_discovery_rate")
    figure.text(
        0.5, 1 - 0.08 / total, verdict(supported, len(here), rate), ha="center", va="top",
        fontsize=11, fontweight="bold",
    )  # fmt: skip
    if rate is not None:
        figure.text(
            0.5, 1 - 0.29 / total, evidence(here, rate), ha="center", va="top", fontsize=8,
            color="#444444",
        )  # fmt: skip
    bar_axes = figure.add_axes(
        ((0.06 + 2 * panel_w + gap + 0.08) / WIDTH_IN, 0.55 / total, 0.13 / WIDTH_IN,
         (panel_h - 0.3) / total)
    )  # fmt: skip
    bar = figure.colorbar(plt.cm.ScalarMappable(norm, MAP), cax=bar_axes)
    bar.set_label("log-likelihood ratio, atom against vacuum", fontsize=8)
    bar.outline.set_linewidth(0.5)
    _legend(figure, vacancy)
    keep = [c for c in here.columns if c != "index"]
    return figure, here[keep].sort_values(["y_nm", "x_nm"], ignore_index=True)


def verdict(supported: int, detected: int, rate: float | None) -> str:
    """Say in words how many of the detected surface columns the counts support."""
    at = "" if rate is None else f" at {100 * rate:g} % false discoveries"
    verb = "is" if supported == 1 else "are"
    return f"{supported} of {detected} surface columns {verb} supported by the counts{at}"


def evidence(columns: pd.DataFrame, rate: float) -> str:
    """Say how strong the evidence is, and what the stricter test leaves of it."""
    if columns.empty:
        return "the network shows none in this frame"
    strict = int(columns["supported_e"].sum())
    return (
        f"strongest evidence for one column: p = {columns['p_value'].min():.2g}, "
        f"e = {columns['e_value'].max():.3g}; by e-BH at {100 * rate:g} %, which holds under any "
        f"dependence: {strict}"
    )


def _legend(figure: Figure, vacancy: bool) -> None:
    keys = {"marker": "o", "mfc": "none", "ms": 9, "mew": 1.8, "ls": "none"}
    handles = [
        Line2D([], [], mec="white", label="supported", **keys),
        _DashedRing([], [], color="white", label="not supported (dashed)"),
    ]
    if vacancy:
        handles.append(
            Line2D(
                [],
                [],
                marker="+",
                color=RING,
                ms=9,
                mew=2,
                ls="none",
                label="true vacancy: no column here",
            )
        )
    figure.legend(
        handles=handles, loc="lower center", ncols=3, bbox_to_anchor=(0.47, 0.0),
        handler_map={_DashedRing: _RingHandler()}, facecolor="#6e6e6e", frameon=True,
        labelcolor="white", edgecolor="none", borderpad=0.5,
    )  # fmt: skip


class _DashedRing(Line2D):
    """A dashed ring in the legend: markers of a line cannot be dashed."""


class _RingHandler:
    def legend_artist(self, legend, handle, fontsize, box):
        from matplotlib.patches import Ellipse

        centre = box.xdescent + box.width / 2, box.ydescent + box.height / 2
        artist = Ellipse(
            centre, 9, 9, facecolor="none", edgecolor=handle.get_color(), linewidth=1.8,
            linestyle=(0, (2, 1.3)), transform=box.get_transform(),
        )  # fmt: skip
        box.add_artist(artist)
        return artist
