"""Figure: how well networks denoise and find the surface, against how far they see."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lowdose.report.inputs import Inputs
from lowdose.report.style import POINTS, WIDTH_IN, end_labels, looks, titles
from lowdose.runtime import UserError

PANELS = (("psnr_db", "PSNR [dB]"), ("f1", "F1 of the surface columns"))
# The reference that gives the panel its scale: the floor of the one, the ceiling of the other.
BOUNDS = {"psnr_db": "constant", "f1": "clean"}


def draw(inputs: Inputs, spec: Mapping) -> tuple[Figure, pd.DataFrame]:
    """Draw the figure; return it with one row a denoiser and panel."""
    table = inputs.results(spec)
    dose = spec["reference_dose_e_per_px"]
    table = table[(table["dose_e_per_px"] - dose).abs() < 1e-9]
    networks = table[table["denoiser"].isin(spec["networks"])]
    if networks.empty:
        raise UserError(
            f"{inputs.tables / 'results.csv'} has no network at {dose:g} e/px; add one to `sweep` "
            "and run again."
        )
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH_IN, 3.7), gridspec_kw={"wspace": 0.55, "left": 0.075, "right": 0.865,
                                                  "bottom": 0.13, "top": 0.86},
    )  # fmt: skip
    records = []
    for one, (metric, label) in zip(axes, PANELS, strict=True):
        drawn = [*spec["baselines"], BOUNDS[metric]]
        lines = table[table["denoiser"].isin(drawn)].sort_values(
            "denoiser", key=lambda names, drawn=drawn: names.map(drawn.index)
        )
        _panel(one, networks, lines, metric, spec)
        one.set_ylabel(label)
        for _, row in pd.concat([lines, networks]).iterrows():
            records.append({
                "metric": metric,
                **{k: row[k] for k in ("denoiser", "kind", "receptive_field_px",
                                       "receptive_field_nm", "dose_e_per_px", "n_units")},
                "value": row[metric], "low": row[f"{metric}_low"], "high": row[f"{metric}_high"],
            })  # fmt: skip
    return figure, pd.DataFrame(records)


def _panel(
    axes: Axes, networks: pd.DataFrame, lines: pd.DataFrame, metric: str, spec: Mapping
) -> None:
    look, names = looks(spec), titles(spec)
    fields = networks["receptive_field_px"]
    left, right = fields.min() / 1.5, fields.max() * 2.6  # room for the whiskers
    axes.set_xscale("log")
    axes.set_xlim(left, right)
    for _, row in lines.iterrows():
        keys = look[row["denoiser"]]
        # Bands of all baselines would hide each other: theirs are whiskers at the right edge.
        axes.axhline(row[metric], color=keys["color"], linestyle=keys["linestyle"], lw=1.1)
    ends = right / (right / left) ** 0.03
    step = (right / left) ** 0.025
    for k, (_, row) in enumerate(lines.iterrows()):
        _whisker(axes, ends / step ** (len(lines) - 1 - k), row, metric, look)
    for _, group in networks.groupby(
        networks["denoiser"].str.partition(".")[2], sort=False
    ):  # one line for each training set and seed
        ordered = group.sort_values("receptive_field_px")
        axes.plot(ordered["receptive_field_px"], ordered[metric], color="#9db8d2", lw=1.2, zorder=2)
    sets = list(dict.fromkeys(networks["denoiser"].str.split(".").str[1]))
    for _, row in networks.iterrows():
        which = sets.index(row["denoiser"].split(".")[1])
        marker = POINTS[which % len(POINTS)]
        _whisker(axes, row["receptive_field_px"], row, metric, look, marker=marker, lw=1.4)
    _name_fields(axes, networks, metric, names)
    if len(sets) > 1:
        for marker, name in zip(itertools.cycle(POINTS), sets, strict=False):
            axes.plot([], [], linestyle="", marker=marker, color="#4a7fb0", label=name)
        axes.legend(
            title="training set", fontsize=7, title_fontsize=7, loc="lower center",
            bbox_to_anchor=(0.5, 0), ncols=2, columnspacing=0.8, handletextpad=0.2,
        )  # fmt: skip
    axes.margins(y=0.08)
    if len(sets) > 1:  # room for the legend
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.3 * (high - low), high)
    axes.grid(axis="y")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("receptive field [pixels]")
    pixel = float((networks["receptive_field_nm"] / fields).median())
    top = axes.secondary_xaxis("top", functions=(lambda v: v * pixel, lambda v: v / pixel))
    top.set_xlabel("receptive field [nm]")
    top.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    top.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    top.xaxis.set_minor_locator(NullLocator())
    axes.figure.canvas.draw()
    bound = BOUNDS[metric]
    what = {"constant": "constant (floor)", "clean": "clean (ceiling)"}
    end_labels(
        axes, right, lines[metric].fillna(0),
        [what[bound] if n == bound else names[n] for n in lines["denoiser"]],
        [look[n]["color"] for n in lines["denoiser"]],
    )  # fmt: skip


def _name_fields(axes: Axes, networks: pd.DataFrame, metric: str, names: Mapping[str, str]) -> None:
    """Write the name of each network above its trainings."""
    of_network = networks["denoiser"].str.partition(".")[0]
    named: list[float] = []
    for network, group in networks.groupby(of_network, sort=False):
        field = group["receptive_field_px"].iloc[0]
        # Of two with about the same field the second is named below.
        below = any(abs(math.log(field / other)) < 0.5 for other in named)
        limit = group[f"{metric}_{'low' if below else 'high'}"]
        limit = limit.where(limit.notna(), group[metric])
        axes.annotate(
            names[group["denoiser"].iloc[0]] if len(networks) == of_network.nunique() else network,
            (field, limit.min() if below else limit.max()), xytext=(0, -3 if below else 3),
            textcoords="offset points", fontsize=7.5, color="#08306b",
            ha="center", va="top" if below else "bottom",
        )  # fmt: skip
        named.append(field)


def _whisker(
    axes: Axes, x: float, row: pd.Series, metric: str, look: Mapping, **keys: object
) -> None:
    value, low, high = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
    axes.errorbar(
        x, value, yerr=[[max(value - low, 0)], [max(high - value, 0)]],
        color=look[row["denoiser"]]["color"], zorder=3, **{"elinewidth": 1.0, **keys},
    )  # fmt: skip
