"""By defect, thickness and site: sums that are known, and the length of a surface."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.evaluation.evaluate import Evaluation
from lowdose.evaluation.strata import strata_table, surface_length_nm


@pytest.fixture(scope="module")
def evaluated(particle, spec):
    """Clean frames, from which the last column is always hidden."""
    frames = particle.frame_set("PtNp1a", "PtNp1b", "PtNp2a")
    hidden = {n: own.iloc[len(own) - 1] for n, own in frames.columns.groupby("frame")}

    def denoise(counts, dose, clean):
        number = next(n for n, image in enumerate(frames.clean)
                      if np.allclose(image * np.float32(dose), clean))  # fmt: skip
        image, one = clean.copy(), hidden[number]
        y, x = (round(one[k] / frames.pixel_size_nm) for k in ("y_nm", "x_nm"))
        image[y - 8 : y + 9, x - 8 : x + 9] = dose
        return image

    table = Evaluation(particle.frame_set("PtNp1c"), frames, spec).run(denoise)
    told = {**spec, "evaluation": {**spec["evaluation"], "bootstrap_draws": 200}}
    return frames, table, strata_table(table.frames, table.columns, told)


def test_a_flat_row_of_columns_has_the_length_of_its_gaps(particle):
    points = particle.lattice()
    table = particle.table_of(points)
    length = surface_length_nm(table)
    # The top row of five, and two sides of four steps of 0.2563 nm each.
    step = np.hypot(0.12, particle.layer_nm)
    assert length == pytest.approx(4 * 0.24 + 2 * 4 * step, rel=0.02)


def test_levels_add_up_to_the_whole(evaluated):
    frames, result, table = evaluated
    own = result.frames[result.frames["dose_e_per_px"] == 0.45]
    defects = table[table["factor"] == "defect"].set_index("level")
    assert sorted(defects.index) == ["D0", "D1"]
    for defect, rows in own.groupby("defect"):
        expected = rows["n_matched"].sum() / rows["n_true"].sum()
        assert defects.loc[defect, "recall"] == pytest.approx(expected)
        false = (rows["n_found"] - rows["n_matched"]).sum()
        lengths = [surface_length_nm(frames.columns[frames.columns["frame"] == f])
                   for f in rows["frame"]]  # fmt: skip
        assert defects.loc[defect, "false_per_nm"] == pytest.approx(false / sum(lengths))
    # In D1 the hidden place is the vacancy: nothing is wrong.  In D0 a column is missing.
    assert defects.loc["D1", "recall"] == 1 > defects.loc["D0", "recall"]
    layers = table[table["factor"] == "layers"]
    assert layers["level"].tolist() == ["16"] and layers["n_rows"].iloc[0] == len(own)
    assert set(table["factor"]) == {"defect", "layers", "tilt_deg", "c1_nm", "family", "site"}


def test_sites_have_the_recall_of_their_columns(evaluated):
    _, result, table = evaluated
    sites = table[table["factor"] == "site"].set_index("level")
    own = result.columns[(result.columns["dose_e_per_px"] == 0.45) & result.columns["is_surface"]]
    own = own[own["n_atoms"] > 0]
    assert sites.loc["facet", "recall"] == pytest.approx(own["reported_surface"].mean())
    assert sites.loc["facet", "localisation_pm"] < 5
    assert np.isnan(sites.loc["facet", "false_per_nm"])
