"""One estimate against the truth: image metrics, columns, surface, vacancies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lowdose.columns.detection import detect_columns
from lowdose.columns.matching import match
from lowdose.columns.surface import surface_columns

LOWEST_RESPONSE = 0.004  # of vacuum; below it a response is nothing on any image
# The lowest layer is 0.115 nm above the middle of the gap, the second 0.34 nm.
BOTTOM_LAYER_NM = 0.20
SAME_SITE_NM = 0.03  # a vacancy and the column of its perfect partner


def candidates(
    relative: np.ndarray, pixel_size_nm: float, interface_y_nm: float, sigma_nm: float
) -> pd.DataFrame:
    """Return every candidate column above the interface, strongest first.

    Parameters
    ----------
    relative : array (y, x)
        Estimated image, vacuum = 1.
    pixel_size_nm, interface_y_nm, sigma_nm : float
        Pixel size, height of the interface from the upper edge, scale of the detector [nm].

    Returns
    -------
    DataFrame
        ``x_nm, y_nm, response, amplitude``.
    """
    above = np.zeros(relative.shape, dtype=bool)
    above[: max(1, round(interface_y_nm / pixel_size_nm))] = True
    return detect_columns(
        relative, pixel_size_nm, threshold=LOWEST_RESPONSE, sigma_nm=sigma_nm, mask=above
    )


def truth_of_frame(columns: pd.DataFrame) -> pd.DataFrame:
    """Return the platinum rows of a frame's true columns (occupied and vacant)."""
    return columns[columns["is_particle"]].reset_index(drop=True)


@dataclass(frozen=True)
class Sites:
    """Where a frame's columns are and where they are not: arrays (column, 2) of x and y [nm].

    Attributes
    ----------
    surface, vacancies, partners : array
        Surface columns, vacant sites, and columns of the perfect model at the vacancy of its
        partner.
    """

    surface: np.ndarray
    vacancies: np.ndarray
    partners: np.ndarray

    @classmethod
    def of(cls, truth: pd.DataFrame) -> Sites:
        """Return the sites of a table from :func:`truth_of_frame` with ``is_partner``."""
        points = truth[["x_nm", "y_nm"]].to_numpy()
        chosen = (truth["is_surface"], truth["site"] == "vacancy", truth["is_partner"])
        return cls(*(points[mask.to_numpy(dtype=bool)] for mask in chosen))

    def compare(
        self, points: np.ndarray, interface_y_nm: float, gate_nm: float
    ) -> dict[str, float]:
        """Return the numbers of :func:`surface_counts` for detected columns (x, y) [nm]."""
        surface = points[
            surface_columns(points, interface_y_nm=interface_y_nm, bottom_layer_nm=BOTTOM_LAYER_NM)
        ]
        _, _, distance = match(self.surface, surface, gate_nm)
        return {
            "n_true": len(self.surface),
            "n_found": len(surface),
            "n_matched": len(distance),
            "squared_error_nm2": float(np.sum(np.square(distance))),
            "n_vacancies": len(self.vacancies),
            "n_filled": len(match(self.vacancies, points, gate_nm)[0]),
            "n_partners": len(self.partners),
            "n_erased": len(self.partners) - len(match(self.partners, points, gate_nm)[0]),
        }


def surface_counts(
    found: pd.DataFrame, truth: pd.DataFrame, interface_y_nm: float, gate_nm: float
) -> dict[str, float]:
    """Compare the surface of the detected columns with the true one.

    Parameters
    ----------
    found : DataFrame
        Detected columns (``x_nm, y_nm``), already above threshold.
    truth : DataFrame
        From :func:`truth_of_frame`.
    interface_y_nm, gate_nm : float
        Height of the interface; matching gate [nm].

    Returns
    -------
    dict
        Numbers that add up over frames: ``n_true, n_found, n_matched`` (surface columns),
        ``squared_error_nm2`` (sum over matched), ``n_vacancies, n_filled`` (true vacancies at
        which a column is reported), ``n_partners, n_erased`` (columns of the perfect model at
        its partner's vacancy, and those that are not reported).
    """
    points = found[["x_nm", "y_nm"]].to_numpy()
    return Sites.of(truth).compare(points, interface_y_nm, gate_nm)


def per_column(
    found: pd.DataFrame, truth: pd.DataFrame, interface_y_nm: float, gate_nm: float
) -> pd.DataFrame:
    """Say of every true column and vacancy whether it was reported, and where.

    Returns
    -------
    DataFrame
        ``x_nm, y_nm, n_atoms, site, is_surface, is_partner`` of the truth; ``reported``,
        ``reported_surface``, ``distance_nm`` (NaN where not reported).
    """
    points = found[["x_nm", "y_nm"]].to_numpy()
    on_surface = surface_columns(
        points, interface_y_nm=interface_y_nm, bottom_layer_nm=BOTTOM_LAYER_NM
    )
    i_true, i_found, distance = match(truth[["x_nm", "y_nm"]].to_numpy(), points, gate_nm)
    keep = ["x_nm", "y_nm", "n_atoms", "site", "is_surface", "is_partner"]
    table = truth[keep].assign(reported=False, reported_surface=False, distance_nm=np.nan)
    table.loc[i_true, "reported"] = True
    table.loc[i_true, "reported_surface"] = on_surface[i_found]
    table.loc[i_true, "distance_nm"] = distance
    return table


def mark_partners(columns: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Mark the columns of perfect models that stand where a sibling has a vacancy.

    Parameters
    ----------
    columns : DataFrame
        True columns of all frames of a set, with ``frame``.
    table : DataFrame
        The frames: siblings share base shape, thickness, tilt and C1.

    Returns
    -------
    DataFrame
        `columns` with ``is_partner`` (bool).
    """
    condition = ["base_shape", "layers", "tilt_x_deg", "tilt_y_deg", "c1_nm"]
    result = columns.assign(is_partner=False)
    for _, siblings in table.groupby(condition):
        frames = siblings["frame"]
        vacant = columns[columns["frame"].isin(frames) & (columns["site"] == "vacancy")]
        perfect = siblings.loc[siblings["defect"] == "D0", "frame"]
        of_perfect = columns["frame"].isin(perfect) & columns["is_particle"]
        i_perfect = columns.index[of_perfect]
        here, _, _ = match(
            columns.loc[i_perfect, ["x_nm", "y_nm"]].to_numpy(),
            vacant[["x_nm", "y_nm"]].drop_duplicates().to_numpy(),
            SAME_SITE_NM,
        )
        result.loc[i_perfect[here], "is_partner"] = True
    return result


def pooled_f1(counts: Mapping[str, np.ndarray] | pd.DataFrame) -> float:
    """Return F1 = 2 matched / (true + found), pooled over frames; 0 if nothing was found."""
    both = float(np.sum(counts["n_true"]) + np.sum(counts["n_found"]))
    return 2 * float(np.sum(counts["n_matched"])) / both if both else 1.0
