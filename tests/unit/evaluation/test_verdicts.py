"""False discoveries and power, counted on frames whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.evaluation.risk import risk_table
from lowdose.evaluation.verdicts import LEVELS, PLAIN, TESTS, Verdicts, achieved, counted, schedule

DOSE = 2.0


def smooth(counts, dose, clean):
    return gaussian_filter(counts.astype(float), 3.0)


@pytest.fixture(scope="module")
def frames(particle):
    return particle.frame_set("PtNp1a", "PtNp1b")


@pytest.fixture(scope="module")
def table(frames, spec):
    own = {**spec, "dose_e_per_px": DOSE}
    verdicts = Verdicts(frames, smooth, own, 0.14, 0.18)
    plan = schedule(frames, 12)
    assert plan[:5] == [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1)]
    return pd.concat([verdicts.table(n, r, 4 if k < 4 else 0) for k, (n, r) in enumerate(plan)])


def test_every_column_is_weighed_and_has_its_truth(table, frames):
    every, half = (table[table["proposed_by"] == who] for who in ("all", "half"))
    assert every["llr_total"].notna().all() and half["p_value"].between(0, 1).all()
    # Bright columns 0.24 nm apart: nearly all that is shown is there.
    assert every["true"].mean() > 0.9
    assert (every.groupby("frame")["n_surface"].first() > 10).all()
    weighed = every["p_null"].notna()
    assert weighed.groupby([every["frame"], every["realisation"]]).all().sum() == 4
    # Draws of four frames of each group, pooled over columns: 1 / (1 + 4 columns) at least.
    own = every[weighed & (every["frame"] == 0)]
    assert own["p_null"].min() >= 1 / (1 + 4 * len(own))
    assert own.loc[own["true"], "p_null"].median() < 0.2


def test_counts_of_one_frame_by_hand(table):
    rows = counted(table)
    first = table[(table["frame"] == 0) & (table["realisation"] == 0)]
    every = first[first["proposed_by"] == "all"]
    own = rows[(rows["frame"] == 0) & (rows["realisation"] == 0)].set_index(["test", "level"])
    plain = own.loc[PLAIN[0]].iloc[0]
    assert plain["believed"] == len(every)
    assert plain["false"] == (~every["true"].astype(bool)).sum()
    assert plain["found"] == every["true_surface"].sum()
    half = first[first["proposed_by"] == "half"]
    strict = own.loc[("cross-fitted, BH", 0.05)]
    p = np.sort(half["p_value"].to_numpy())
    below = np.flatnonzero(p <= 0.05 * np.arange(1, len(p) + 1) / len(p))
    assert strict["believed"] == (below[-1] + 1 if len(below) else 0)
    # A promise that allows more errors believes more columns.
    for test in TESTS:
        values = own.loc[test]["believed"]
        assert (np.diff(values[list(LEVELS)]) >= 0).all()


def test_rates_are_means_over_frames():
    made = pd.DataFrame([
        {"frame": f, "realisation": r, "base_shape": s, "test": t, "level": level, "believed": 10,
         "false": k, "share_false": k / 10, "found": 5, "n_surface": 10}
        for f, s in enumerate("abcdefgh") for r in range(2)
        for t, level, k in ((PLAIN[0], np.nan, 3), ("cross-fitted, BH", 0.1, f % 2))
    ])  # fmt: skip
    found = achieved(made, 500, lambda: np.random.default_rng(1)).set_index("test")
    assert found.loc[PLAIN[0], "false_discovery_rate"] == pytest.approx(0.3)
    assert np.isnan(found.loc[PLAIN[0], "level"])
    honest = found.loc["cross-fitted, BH"]
    assert honest["false_discovery_rate"] == pytest.approx(0.05)
    assert honest["false_discovery_rate_low"] < 0.05 < honest["false_discovery_rate_high"]
    assert honest["power"] == 0.5 and honest["n_frames"] == 16


def test_with_no_column_there_every_belief_is_false(frames, spec, particle):
    """Frames of vacuum: the rate that was promised is the chance of any false belief at all."""
    empty = particle.frame_set("PtNp1a")
    nothing = empty.clean * 0 + 1
    blank = type(empty)(empty.table, nothing, empty.columns.assign(n_atoms=0), empty.pixel_size_nm,
                        "blank")  # fmt: skip
    verdicts = Verdicts(blank, smooth, {**spec, "dose_e_per_px": DOSE}, 0.02, 0.02)
    rows = counted(pd.concat([verdicts.table(n, r) for n, r in schedule(blank, 150)]))
    shares = rows.groupby(["test", "level"], dropna=False)["share_false"].mean()
    assert shares[PLAIN[1]].iloc[0] > 0.9  # the naive ratio believes noise
    for test in ("cross-fitted, BH", "cross-fitted, e-BH"):
        for level in (0.05, 0.1, 0.2):
            error = np.sqrt(level * (1 - level) / 150)
            assert shares[test, level] <= level + 3 * error, (test, level)


def test_the_error_without_the_truth_is_the_error_with_it(frames, spec):
    table = risk_table(frames, smooth, {**spec, "dose_e_per_px": 500.0})
    for what in ("mse", "gain"):
        true = table[f"true_{what}"]
        assert ((table[f"{what}_low"] <= true) & (true <= table[f"{what}_high"])).sum() >= 3
    # Nine tenths of the electrons are no better than all of them.
    assert (table["full_mse"] < 1.01 * table["true_mse"]).all()
    assert (table["excess"] > 3).all()  # a filter of 0.037 nm blurs what 500 electrons show
