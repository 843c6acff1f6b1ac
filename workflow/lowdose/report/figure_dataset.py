"""Figure: column contrast, expected counts and contrast transfer of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.report.class_table import CLASSES, COLOURS, PAPER_COLOUR
from lowdose.report.frozen_sets import (
    BIN,
    PAPER_HIGH,
    PAPER_LOW,
    PAPER_SD,
    PAPER_VACUUM,
    FrozenSet,
)
from lowdose.report.information_limit import (
    EDGE,
    camera_transfer,
    contrast_transfer,
    detected_limit_nm,
    information_limit_nm,
)
from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN

SET_COLOURS = ("#0072b2", "#cc79a7", "#009e73", "#e69f00")
CURVES = ("#56b4e9", "#0072b2", "#1b1b1b")
CONTRAST_BINS = 45


def draw(inputs: Inputs, frozen: Sequence[FrozenSet], spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with the histograms and the curves.

    Parameters
    ----------
    inputs : Inputs
        For ``classes.parquet``.
    frozen : sequence of FrozenSet
    spec : mapping
        ``optics, camera, frames, structures`` and ``simulation.energy_kev``.
    """
    figure = plt.figure(figsize=(WIDTH_IN, 5.3))
    left = figure.add_axes((0.1, 0.595, 0.36, 0.335))
    right = figure.add_axes((0.575, 0.595, 0.405, 0.335))
    below = figure.add_axes((0.1, 0.095, 0.72, 0.34))
    tables = [
        _column_contrast(left, inputs.contrast_classes()),
        _expected_counts(right, frozen, spec["frames"]["reference_dose_e_per_px"]),
        _transfer(below, spec),
    ]
    return figure, pd.concat(tables, ignore_index=True)


def curves_c1_nm(frames: Mapping) -> list[float]:
    """Choose the C1 values whose transfer is shown: the least, about the third part, the most."""
    c1 = sorted(frames["c1_nm"])
    return sorted({float(c1[round(part * (len(c1) - 1))]) for part in (0, 0.3, 1)})


def _column_contrast(axes: Axes, images: pd.DataFrame) -> pd.DataFrame:
    """Stack the histograms of the three classes."""
    images = images[images["contrast"].isin(CLASSES)]
    edges = np.histogram_bin_edges(images["mean_contrast"], CONTRAST_BINS)
    base, records = np.zeros(len(edges) - 1), []
    for name in CLASSES[::-1]:
        of_class = images.loc[images["contrast"] == name, "mean_contrast"]
        number = np.histogram(of_class, edges)[0]
        axes.bar(edges[:-1], number, np.diff(edges), bottom=base, align="edge", label=name,
                 color=COLOURS[name], edgecolor="#555555", linewidth=0.4)  # fmt: skip
        base = base + number
        records += [
            {"panel": "column contrast", "series": name, "from": a, "to": b, "value": int(n)}
            for a, b, n in zip(edges[:-1], edges[1:], number, strict=True)
        ]
    axes.axvline(0, color="#555555", lw=0.7, ls=(0, (3, 2)))
    axes.set_xlabel("mean contrast of the columns of an image")
    axes.set_ylabel("images")
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=7.5,
                columnspacing=1.2, borderaxespad=0.2)  # fmt: skip
    return pd.DataFrame(records)


def _expected_counts(axes: Axes, frozen: Sequence[FrozenSet], dose: float) -> pd.DataFrame:
    """Show the share of the pixels by expected counts, and the range of the paper's frames."""
    records = []
    low = min(PAPER_LOW / PAPER_VACUUM, *(s.low for s in frozen)) * dose
    high = max(PAPER_HIGH / PAPER_VACUUM, *(s.high for s in frozen)) * dose
    factor = dose / PAPER_VACUUM
    axes.axvspan(PAPER_LOW * factor, PAPER_HIGH * factor, color=PAPER_COLOUR, alpha=0.12, lw=0)
    for one, colour in zip(frozen, SET_COLOURS * len(frozen), strict=False):
        edges = dose * BIN * np.arange(len(one.histogram) + 1)
        share = one.histogram / one.histogram.sum()
        seen = np.flatnonzero(one.histogram)
        part = slice(seen[0], seen[-1] + 1)
        axes.stairs(100 * share[part], edges[part.start : part.stop + 1], color=colour, lw=1.1,
                    label=f"{one.name}, sd {one.sd * dose:.3f}")  # fmt: skip
        records += [
            {"panel": "expected counts", "series": one.name, "from": edges[i], "to": edges[i + 1],
             "value": share[i]}
            for i in range(part.start, part.stop)
        ]  # fmt: skip
    axes.axvline(dose, color="#555555", lw=0.7, ls=(0, (3, 2)))
    axes.set_yscale("log")
    margin = 0.04 * (high - low)
    axes.set_xlim(low - margin, high + margin)
    axes.set_ylim(top=300)
    axes.yaxis.set_major_locator(FixedLocator([10.0**n for n in range(-6, 3, 2)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.annotate("vacuum", (dose, 0.985), xycoords=("data", "axes fraction"), fontsize=7.5,
                  xytext=(3, 0), textcoords="offset points", va="top", color="#555555")  # fmt: skip
    axes.annotate(f"the paper's sample frames,\nsd {PAPER_SD * factor:.3f}", (1, 0.985),
                  xycoords="axes fraction", fontsize=7.5, color=PAPER_COLOUR, va="top",
                  ha="right")  # fmt: skip
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, fontsize=7.2,
                columnspacing=0.8, handlelength=1.1, handletextpad=0.5,
                borderaxespad=0.2)  # fmt: skip
    axes.set_xlabel(f"expected counts [electrons per pixel], {dose:g} in vacuum")
    axes.set_ylabel("share of the pixels [%]")
    return pd.DataFrame(records)


def _transfer(axes: Axes, spec: Mapping) -> pd.DataFrame:
    """Show E sin(chi) at some C1, and where nothing is left."""
    optics, camera, energy = spec["optics"], spec["camera"], spec["simulation"]["energy_kev"]
    lens = information_limit_nm(optics, energy)
    values = curves_c1_nm(spec["frames"])
    end = min(1.35 / lens, 20.0) if lens > 0 else 20.0
    k, records = np.linspace(0, end, 600), []
    axes.axhline(0, color="#999999", lw=0.6)
    for c1, colour in zip(values, CURVES, strict=False):
        sine, envelope = contrast_transfer(k, c1, optics, energy)
        axes.plot(k, sine, color=colour, lw=1.3, label=f"C1 = {c1:g} nm")
        for name, curve in (("E sin chi", sine), ("E", envelope)):
            records += [
                {"panel": "transfer", "series": f"{name}, C1 = {c1:g} nm", "from": a, "to": a,
                 "value": v} for a, v in zip(k[::4], curve[::4], strict=True)
            ]  # fmt: skip
    blurred = camera_transfer(k, camera)
    axes.plot(k, blurred, color="#009e73", lw=1.0, ls=(0, (4, 1.5)), label="camera, vibration")
    records += [{"panel": "transfer", "series": "camera and vibration", "from": a, "to": a,
                 "value": v} for a, v in zip(k[::4], blurred[::4], strict=True)]  # fmt: skip
    middle = values[len(values) // 2]
    limits = {"lens": lens, "on the camera": detected_limit_nm(middle, optics, camera, energy)}
    for (name, limit), side in zip(limits.items(), (1, -1), strict=True):
        if limit > 0:
            axes.axvline(1 / limit, color=PAPER_COLOUR, lw=1.0, ls=":")
            axes.annotate(f"{name}\n{limit:.4f} nm", (1 / limit, -0.84), xytext=(4 * side, 0),
                          textcoords="offset points", fontsize=7.5, color=PAPER_COLOUR,
                          va="center", ha="left" if side > 0 else "right",
                          annotation_clip=False)  # fmt: skip
        records.append({"panel": "transfer", "series": f"information limit [nm], {name}",
                        "from": 1 / limit if limit > 0 else np.inf, "value": limit})  # fmt: skip
    lattice, element = (spec["structures"][f"particle_{key}"] for key in ("lattice_nm", "element"))
    for name, squares in ((f"{element} 111", 3), ("200", 4), ("220", 8)):  # h^2 + k^2 + l^2
        place = np.sqrt(squares) / lattice
        if place < end:
            line = {"arrowstyle": "-", "lw": 0.7, "color": "#444444", "shrinkA": 0, "shrinkB": 0}
            axes.annotate(name, (place, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 9),
                          textcoords="offset points", ha="right" if " " in name else "center",
                          fontsize=7.5, color="#444444", arrowprops=line)  # fmt: skip
    axes.set_xlim(0, end)
    axes.set_ylim(-1.02, 1.02)
    axes.set_xlabel("spatial frequency [1/nm]")
    axes.set_ylabel("phase contrast transfer\nE sin χ")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=7.5, borderaxespad=0)
    axes.text(1.02, 0.4, f"dotted: information\nlimits, where 1/e²,\n{100 * EDGE:.1f} %, is left",
              transform=axes.transAxes, fontsize=7.5, color=PAPER_COLOUR, va="top")  # fmt: skip
    return pd.DataFrame(records)
