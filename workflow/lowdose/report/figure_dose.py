"""Figure: surface F1 and fill-in rate against dose, of each network its first training."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import WIDTH_IN, end_labels, looks, titles_without_seeds
from lowdose.sweeps import first_of_each

PANELS = (
    ("f1", "F1 of the surface columns\n(1: all found, none invented)"),
    ("fill_in_rate", "fill-in rate\n(share of true vacancies shown as filled)"),
)


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a denoiser, dose and panel."""
    # On a constant image nothing is ever found, at any dose: its line would tell nothing.
    table = inputs.results(spec)
    first = first_of_each(spec["networks"])
    shown = [n for n in spec["denoisers"] if n in first or n not in spec["networks"]]
    table = table[table["denoiser"].isin(shown) & (table["denoiser"] != "constant")]
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH_IN, 3.8),
        gridspec_kw={"wspace": 0.62, "left": 0.09, "right": 0.885, "bottom": 0.125, "top": 0.97},
    )  # fmt: skip
    records = []
    for one, (metric, label) in zip(axes, PANELS, strict=True):
        _panel(one, table, metric, spec)
        one.set_ylabel(label)
        for _, row in table.iterrows():
            records.append({
                "metric": metric,
                **{k: row[k] for k in ("denoiser", "kind", "dose_e_per_px", "n_units")},
                "value": row[metric], "low": row[f"{metric}_low"], "high": row[f"{metric}_high"],
            })  # fmt: skip
    return figure, pd.DataFrame(records)


def _panel(axes: Axes, table: pd.DataFrame, metric: str, spec: Mapping) -> None:
    look, names = looks(spec), titles_without_seeds(spec, table["denoiser"].unique())
    doses = np.sort(table["dose_e_per_px"].unique())
    present = [n for n in spec["denoisers"] if n in set(table["denoiser"])]
    ends = []
    axes.set_xscale("log")
    for k, name in enumerate(present):
        rows = table[table["denoiser"] == name].sort_values("dose_e_per_px")
        # Moved sideways by a few per cent, or the intervals would lie on top of each other.
        x = rows["dose_e_per_px"] * 1.03 ** (k - (len(present) - 1) / 2)
        value = rows[metric]
        error = [(value - rows[f"{metric}_low"]).clip(lower=0),
                 (rows[f"{metric}_high"] - value).clip(lower=0)]  # fmt: skip
        _, caps, bars = axes.errorbar(x, value, yerr=error, elinewidth=0.8, lw=1.3, **look[name])
        for part in (*caps, *bars):  # with few shapes they are long: the values come first
            part.set_alpha(0.4)
        ends.append(float(value.iloc[-1]))
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlim(doses.min() / 1.25, doses.max() * 1.25)
    axes.xaxis.set_major_locator(FixedLocator(list(doses)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(spec["reference_dose_e_per_px"], color="#dddddd", lw=5, zorder=0)
    axes.grid(axis="y")
    axes.set_xlabel("dose [electrons per pixel in vacuum]")
    end_labels(
        axes, doses.max() * 1.25, np.nan_to_num(ends), [names[n] for n in present],
        [look[n]["color"] for n in present],
    )  # fmt: skip
