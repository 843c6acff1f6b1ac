"""How well networks do against how far they see, over base shapes and training seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from lowdose import seeds
from lowdose.denoisers.cards import read_card
from lowdose.evaluation.arms import network_folder
from lowdose.evaluation.crossed import crossed_interval
from lowdose.evaluation.summary import MEASURES, with_sums

COMPARED = ("psnr_db", "contrast_psnr_db", "f1", "fill_in_rate", "erasure_rate")
OF_CARD = ("parameters", "receptive_field_px", "receptive_field_nm", "own_pixel_size_nm")


def table(spec: Mapping, evaluation: Path, networks: Path) -> pd.DataFrame:
    """Summarise the trainings of a sweep by network.

    Parameters
    ----------
    spec : mapping
        ``trainings`` (from :mod:`lowdose.sweeps`), ``reference_dose_e_per_px``, ``draws``,
        ``seed``.
    evaluation, networks : Path
        Folders of those stages.

    Returns
    -------
    DataFrame
        One row a network and training set, smallest field first: names, ``long``, ``n_seeds``,
        ``n_shapes``, ``steps``, ``minutes``; of the cards ``parameters, receptive_field_px,
        receptive_field_nm, own_pixel_size_nm, effective_field_px`` (mean over seeds); each
        measure with ``_low`` and ``_high`` at 95 %, over shapes and seeds.
    """
    groups: dict[tuple, list[Mapping]] = {}
    for one in spec["trainings"]:
        groups.setdefault((one["network"], one["training_set"]), []).append(one)
    rows = []
    for (network, training_set), group in groups.items():
        cards = [read_card(network_folder(networks, one["denoiser"])) for one in group]
        fields = [card["effective_field_px"] for card in cards]
        row = {
            "network": network,
            "training_set": training_set,
            "long": group[0].get("long", False),
            "n_seeds": len(group),
            "steps": group[0]["steps"],
            "minutes": group[0]["minutes"],
            **{key: cards[0][key] for key in OF_CARD},
            "effective_field_px": sum(fields) / len(fields) if None not in fields else None,
        }
        frames = frames_of(group, evaluation, spec["reference_dose_e_per_px"])
        row["n_shapes"] = frames["base_shape"].nunique()
        rows.append(row | intervals(frames, spec, network, training_set))
    return pd.DataFrame(rows).sort_values(
        ["long", "own_pixel_size_nm", "receptive_field_px"], kind="stable", ignore_index=True
    )


def frames_of(trainings: Sequence[Mapping], evaluation: Path, dose_e_per_px: float) -> pd.DataFrame:
    """Return the evaluated frames of some trainings at one dose, with their ``seed``."""
    tables = [
        pd.read_parquet(evaluation / one["denoiser"] / "frames.parquet").assign(seed=one["seed"])
        for one in trainings
    ]
    frames = pd.concat(tables, ignore_index=True)
    return with_sums(frames[(frames["dose_e_per_px"] - dose_e_per_px).abs() < 1e-9])


def intervals(frames: pd.DataFrame, spec: Mapping, *names: str) -> dict[str, float]:
    """Return each measure with its limits at 95 %, over base shapes and seeds."""
    found = {}
    for measure in COMPARED:
        value, weights, bounds = MEASURES[measure]
        estimate, low, high = crossed_interval(
            frames, value, weights=weights, bounds=bounds, draws=spec["draws"],
            rng=seeds.rng(spec["seed"], "crossed", measure, *names),
        )  # fmt: skip
        found |= {measure: estimate, f"{measure}_low": low, f"{measure}_high": high}
    return found
