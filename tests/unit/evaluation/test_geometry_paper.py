"""Published matrices beside ours: losses of known numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from lowdose.evaluation.geometry_paper import PUBLISHED, beside


def test_losses_are_those_below_the_matching_training():
    own = pd.DataFrame([
        {"trained_on": t, "tested_axis": "contrast", "tested_on": k, "contrast_psnr_db": v}
        for t, k, v in (("only-black", "black", 5.0), ("only-black", "white", 2.0),
                        ("only-white", "white", 6.0), ("only-white", "black", 4.5),
                        ("all", "white", 5.5))
    ])  # fmt: skip
    found = beside(own).set_index(["trained_on", "tested_on"])
    assert len(found) == 4
    assert found.loc[("black", "white"), "own_loss_db"] == 4.0
    assert found.loc[("white", "black"), "own_loss_db"] == 0.5
    assert found.loc[("black", "white"), "paper_loss_db"] == pytest.approx(8.33)
    assert found.loc[("white", "black"), "paper_loss_db"] == pytest.approx(2.16)
    for kind in ("black", "white"):
        assert found.loc[(kind, kind), "own_loss_db"] == 0
        assert found.loc[(kind, kind), "paper_loss_db"] == 0


def test_the_matrices_are_whole():
    for tested, matrix in PUBLISHED.values():
        assert set(matrix) == set(tested)
        assert all(len(row) == len(tested) for row in matrix.values())
