"""Where denoisers err: by defect, thickness, tilt, defocus, family and kind of site."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lowdose.columns.surface import ALPHA_PER_NEIGHBOUR, NEIGHBOUR_NM, alpha_shape_edges
from lowdose.evaluation.summary import MEASURES, with_intervals, with_sums

C1_STEP_NM = 4.0
FACTORS = ("defect", "layers", "tilt_deg", "c1_nm", "family")
OF_FRAMES = ("precision", "recall", "f1", "jaccard", "localisation_pm")
OF_SITES = {
    "recall": ("reported_surface", None, (0, 1)),
    "localisation_pm": ("squared_nm2", "reported", None),
}


def surface_length_nm(columns: pd.DataFrame) -> float:
    """Return the length of a particle's true surface in projection [nm].

    Parameters
    ----------
    columns : DataFrame
        Its true columns: ``x_nm, y_nm, n_atoms, is_surface``.

    Notes
    -----
    The edges of the alpha shape of the occupied columns both of whose ends are surface; alpha is
    that of :mod:`lowdose.columns.surface`.
    """
    there = columns[columns["n_atoms"] > 0]
    points = there[["x_nm", "y_nm"]].to_numpy()
    surface = there["is_surface"].to_numpy(dtype=bool)
    edges = alpha_shape_edges(points, ALPHA_PER_NEIGHBOUR * NEIGHBOUR_NM)
    kept = edges[surface[edges].all(axis=1)]
    return float(np.linalg.norm(points[kept[:, 0]] - points[kept[:, 1]], axis=1).sum())


def strata_table(frames: pd.DataFrame, columns: pd.DataFrame, spec: Mapping) -> pd.DataFrame:
    """Return the accuracy of one denoiser at the reference dose by each factor.

    Parameters
    ----------
    frames, columns : DataFrame
        Of its evaluation.
    spec : mapping
        ``reference_dose_e_per_px``, ``evaluation`` (bootstrap_draws), ``seed``.

    Returns
    -------
    DataFrame
        ``factor`` (of `FACTORS`, or ``site``), ``level``, ``n_units, n_rows, method`` and, with
        intervals over base shapes, `OF_FRAMES` and ``false_per_nm``, the surface columns that are
        reported and not there, over the length of the true surface; of a site its recall as surface
        column and its localisation error alone.  Defocus is rounded to 4 nm.
    """
    dose = spec["reference_dose_e_per_px"]
    frames = with_sums(frames[frames["dose_e_per_px"] == dose])
    columns = columns[columns["dose_e_per_px"] == dose]
    first = columns[columns["realisation"] == 0]
    length = {frame: surface_length_nm(own) for frame, own in first.groupby("frame")}
    frames = frames.assign(
        tilt_deg=np.hypot(frames["tilt_x_deg"], frames["tilt_y_deg"]),
        c1_nm=C1_STEP_NM * np.rint(frames["c1_nm"] / C1_STEP_NM),
        n_false=frames["n_found"] - frames["n_matched"],
        surface_nm=frames["frame"].map(length),
    )
    of_frames = {name: MEASURES[name] for name in OF_FRAMES}
    of_frames["false_per_nm"] = ("n_false", "surface_nm", None)
    draws, seed = spec["evaluation"]["bootstrap_draws"], spec["seed"]
    tables = []
    for factor in FACTORS:
        table = with_intervals(frames, of_frames, [factor], draws, seed, "strata", factor)
        tables.append(table.rename(columns={factor: "level"}).assign(factor=factor))
    shape = frames.drop_duplicates("frame").set_index("frame")["base_shape"]
    sites = columns[columns["is_surface"] & (columns["n_atoms"] > 0)]
    sites = sites.assign(
        base_shape=sites["frame"].map(shape),
        squared_nm2=np.square(sites["distance_nm"]).fillna(0.0),
        reported=sites["reported"].astype(float),
        reported_surface=sites["reported_surface"].astype(float),
    )
    table = with_intervals(sites, OF_SITES, ["site"], draws, seed, "strata", "site")
    tables.append(table.rename(columns={"site": "level"}).assign(factor="site"))
    result = pd.concat(tables, ignore_index=True)
    squares = [f"localisation_pm{end}" for end in ("", "_low", "_high")]
    result[squares] = 1e3 * np.sqrt(np.maximum(result[squares], 0))
    result["level"] = [v if isinstance(v, str) else f"{v:g}" for v in result["level"]]
    return result[["factor", "level", *(c for c in result if c not in ("factor", "level"))]]
