"""Figure: how far the counts support each surface column that the widest network shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lowdose.report.inputs import Inputs
from lowdose.report.shown_frame import (
    choose_frame,
    grey_limits,
    particle_crop,
    partner_of,
    true_columns,
)
from lowdose.report.style import RING, WIDTH_IN, ring, scale_bar, show_image, titles

if TYPE_CHECKING:
    from lowdose.data.frames import FrameSet

RADIUS_NM = 0.085
MAP = "RdBu"  # red: against an atom, blue: for it


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a ring: the image, and what the counts say there."""
    frames, table = inputs.frame_set(), inputs.likelihood()
    frame, x, y, vacancy = choose_frame(frames)
    here = table[table["frame"] == frame].reset_index(drop=True)
    crop = particle_crop(frames, frame)
    low, high = grey_limits(crop.of(frames.clean[frame]))
    panels = [("raw", "noisy counts", inputs.image("raw", frame), here.iloc[:0])]
    panels += [
        (name, label, image, asked(frames, spec, frame, image, of))
        for name, label, image, of in structures(frames, frame)
    ]
    denoised = f"denoised by {titles(spec)[spec['widest']]}"
    panels.insert(2, (spec["widest"], denoised, inputs.image(spec["widest"], frame), here))
    # A poorly trained network may show no surface column at all: then there is no ring.
    reach = max([1e-9, *(float(rows["llr_total"].abs().max()) for *_, rows in panels if len(rows))])
    norm = TwoSlopeNorm(0.0, -reach, reach)

    height, width = crop.of(frames.clean[frame]).shape
    gap, panel_w = 0.08, (WIDTH_IN - 0.9) / 2
    panel_h = panel_w * height / width
    lines = -(-len(panels) // 2)
    step = panel_h + 0.24
    total = lines * step + 0.84
    figure = plt.figure(figsize=(WIDTH_IN, total))
    for k, (_, label, image, rows) in enumerate(panels):
        left, bottom = 0.06 + k % 2 * (panel_w + gap), 0.4 + (lines - 1 - k // 2) * step
        axes = figure.add_axes(
            (left / WIDTH_IN, bottom / total, panel_w / WIDTH_IN, panel_h / total)
        )
        show_image(axes, crop.of(image), frames.pixel_size_nm, crop.origin, cmap="gray", vmin=low,
                   vmax=high)  # fmt: skip
        axes.set_title(label, pad=3)
        _rings(axes, rows, plt.get_cmap(MAP), norm)
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
         (lines * step - 0.54) / total)
    )  # fmt: skip
    bar = figure.colorbar(plt.cm.ScalarMappable(norm, MAP), cax=bar_axes)
    bar.set_label("log-likelihood ratio, atom against vacuum", fontsize=8)
    bar.outline.set_linewidth(0.5)
    _legend(figure, vacancy)
    shown = [rows.assign(image=name) for name, _, _, rows in panels if len(rows)]
    # An empty table keeps its columns.
    records = pd.concat(shown or [here.assign(image=spec["widest"])], ignore_index=True)
    records.insert(0, "image", records.pop("image"))
    return figure, records.sort_values(["image", "y_nm", "x_nm"], ignore_index=True)


def structures(frames: FrameSet, frame: int) -> list[tuple[str, str, np.ndarray, int]]:
    """Return the true structure of a frame and, where there is one, its perfect partner's.

    Returns
    -------
    list of (name, label, clean image, frame whose columns it has)
    """
    found = [("clean", "clean image", frames.clean[frame], frame)]
    other = partner_of(frames, frame)
    if other not in (None, frame):
        label = "wrong: clean image of the perfect particle"
        found.append(("wrong", label, frames.clean[other], other))
    return found


def asked(
    frames: FrameSet, spec: Mapping, frame: int, image: np.ndarray, columns_of: int
) -> pd.DataFrame:
    """Ask the counts of a frame about the surface columns that an image of it shows.

    Parameters
    ----------
    frames : FrameSet
    spec : mapping
        ``reference_dose_e_per_px``, ``seed``.
    frame : int
        Whose counts, realisation 0.
    image : array (y, x)
        Vacuum = 1.
    columns_of : int
        Frame whose true surface columns the image shows.
    """
    from lowdose.evaluation.belief import weighed  # brings torch: only where it is needed

    dose, pixel = spec["reference_dose_e_per_px"], frames.pixel_size_nm
    own = true_columns(frames, columns_of)
    places = own.loc[own["is_surface"], ["x_nm", "y_nm"]].to_numpy(dtype=float)
    counts = frames.counts(frame, dose, 0, spec["seed"])
    table = weighed(counts, dose * image.astype(np.float64), places, pixel, dose)
    return table.assign(supported=True, frame=frame)


def _rings(axes: Axes, rows: pd.DataFrame, colour, norm) -> None:
    for _, one in rows.iterrows():
        style = "solid" if one["supported"] else (0, (2, 1.3))
        for edge, line in (("black", 3.0), (colour(norm(one["llr_total"])), 2.0)):
            ring(axes, one["x_nm"], one["y_nm"], RADIUS_NM, edgecolor=edge, linewidth=line,
                 linestyle=style if edge != "black" or not one["supported"] else "solid",
                 alpha=0.5 if edge == "black" else 1.0)  # fmt: skip


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
