"""Columns of a frame of which nothing is known but its counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lowdose.columns.likelihood import benjamini_hochberg, q_values
from lowdose.columns.matching import match
from lowdose.columns.vacuum import vacuum_level
from lowdose.columns.weighing import see, weigh

PIXEL = 0.0122
SIGMA = 0.055
SHAPE = (300, 360)


def lattice(step: tuple[float, float], shift: float, x: tuple, y: tuple) -> np.ndarray:
    """Return the points (x, y) of rows `step[1]` apart, every second one shifted."""
    rows = np.arange(y[0], y[1], step[1])
    return np.array(
        [(px, py) for k, py in enumerate(rows)
         for px in np.arange(x[0] + shift * (k % 2), x[1], step[0])]
    )  # fmt: skip


# Pt [110], rows of {111}; and CeO2 [110] beneath it.
PARTICLE = lattice((0.277, 0.226), 0.1385, (1.4, 2.9), (1.0, 2.4))
SUPPORT = lattice((0.3826, 0.3124), 0.1913, (-0.1, 4.6), (2.60, 3.9))


def image_of(points: np.ndarray, height: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return columns on vacuum of 1."""
    y, x = np.mgrid[: shape[0], : shape[1]] * PIXEL
    image = np.ones(shape)
    for px, py in points:
        image += height * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * SIGMA**2))
    return image


class Oracle:
    """A denoiser that answers with a fixed image, whatever the counts, at their dose."""

    def __init__(self, relative: np.ndarray, dose: float) -> None:
        self.relative, self.total = relative, dose * relative.sum()

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        share = 0.5 if counts.sum() < 0.75 * self.total else 1.0
        return (share * self.total / self.relative.sum() * self.relative).astype(np.float32)


def invented(n: int = 1) -> np.ndarray:
    """Return places in vacuum where an image may draw columns."""
    return np.array([(0.6 + 0.5 * k, 0.45) for k in range(n)])


def weighed(points, drawn, dose, seed=0, height=0.3, whole=True):
    """Weigh a frame of `points` of which a denoiser also draws `drawn`."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(dose * image_of(points, height)).astype(np.float32)
    oracle = Oracle(image_of(np.concatenate([points, drawn]), height), dose)
    return weigh(counts, oracle(counts), oracle, PIXEL, rng if whole else None)


def at(columns, place):
    distance = np.hypot(columns["x_nm"] - place[0], columns["y_nm"] - place[1])
    assert distance.min() < 0.05
    return columns.loc[distance.idxmin()]


@pytest.fixture(scope="module")
def bright():
    return weighed(np.concatenate([PARTICLE, SUPPORT]), invented(), dose=20)


def test_all_columns_are_found_and_named(bright):
    columns = bright.columns
    for name, points in (("particle", PARTICLE), ("support", SUPPORT)):
        inside = (points[:, 0] > 0.1) & (points[:, 0] < 4.2) & (points[:, 1] < 3.5)
        own = columns.loc[columns["where"] == name, ["x_nm", "y_nm"]].to_numpy()
        _, _, distance = match(points[inside], own, 0.072)
        assert len(distance) == inside.sum()
        assert distance.max() < 0.01
    assert bright.seen.polarity == 1
    assert abs(bright.seen.neighbour_nm - np.hypot(0.1385, 0.226)) < 0.005


def test_the_surface_is_the_outline_without_the_layer_on_the_support(bright):
    columns = bright.columns
    surface = columns.loc[columns["is_surface"], ["x_nm", "y_nm"]].to_numpy()
    top, bottom = PARTICLE[:, 1].min(), PARTICLE[:, 1].max()
    ends = [side(PARTICLE[PARTICLE[:, 1] == y][:, 0]) for y in np.unique(PARTICLE[:, 1])
            for side in (min, max)]  # fmt: skip
    outline = [(x, y) for x, y in PARTICLE if y == top or x in ends]
    here, there, _ = match(np.array(outline), surface, 0.05)
    assert len(here) == len(outline)
    others = np.delete(surface, there, axis=0)
    # The invented column in vacuum, and nothing else.
    assert len(others) == 1
    assert np.hypot(*(others[0] - invented()[0])) < 0.02
    inner = surface[(surface[:, 1] > bottom - 0.05)]
    assert len(inner) == 2
    assert not columns.loc[columns["where"] == "support", "is_surface"].any()


def test_counts_support_what_is_there_and_not_what_was_drawn(bright):
    columns = bright.columns
    drawn = at(columns, invented()[0])
    assert drawn["q_value"] > 0.05
    assert drawn["llr_unseen"] < 0
    surface = columns[columns["is_surface"]]
    real = surface[np.hypot(*(surface[["x_nm", "y_nm"]] - invented()[0]).to_numpy().T) > 0.1]
    assert (real["q_value"] < 1e-3).all()
    assert (real["llr_unseen"] > 5).all()
    assert bright.untested == ""
    assert bright.n_proposed == len(surface)


def test_positions_are_fitted_with_errors(bright):
    row = at(bright.columns, PARTICLE[20])
    assert abs(row["x_fit_nm"] - PARTICLE[20, 0]) < 0.005
    # Closed form for a Gaussian on a level, far from its neighbours: sigma / sqrt(information).
    y, x = np.mgrid[-10:11, -10:11] * PIXEL
    bell = 20 * 0.3 * np.exp(-(x**2 + y**2) / (2 * SIGMA**2))
    near = np.hypot(x, y) < 0.12
    error = np.sum(((bell * x / SIGMA**2) ** 2 / (20 + bell))[near]) ** -0.5
    assert row["x_se_nm"] == pytest.approx(error, rel=0.15)


def test_dark_columns_are_weighed_alike():
    dark = weighed(np.concatenate([PARTICLE, SUPPORT]), invented(), dose=20, height=-0.25)
    assert dark.seen.polarity == -1
    assert at(dark.columns, invented()[0])["q_value"] > 0.05
    surface = dark.columns[dark.columns["is_surface"]]
    assert (surface["q_value"] < 0.01).sum() == len(surface) - 1
    assert (surface["amplitude_e"].dropna() < 0).all()


def test_false_discoveries_stay_below_their_rate_and_p_values_are_valid():
    """Six of the drawn columns are not there; no denoiser noise, so that the null is exact."""
    shares, p = [], []
    drawn = invented(6)
    for seed in range(30):
        result = weighed(np.concatenate([PARTICLE, SUPPORT]), drawn, dose=1.5, seed=seed)
        columns = result.columns[result.columns["is_surface"]]
        _, false, _ = match(drawn, columns[["x_nm", "y_nm"]].to_numpy(), 0.06)
        kept = (columns["q_value"] <= 0.1).to_numpy()
        shares.append(kept[false].sum() / max(kept.sum(), 1))
        p += columns["p_value"].to_numpy()[false].tolist()
    assert len(p) == 180
    assert np.mean(shares) < 0.1 + 2 * np.std(shares) / np.sqrt(len(shares))
    for level in (0.05, 0.2, 0.5):
        n = int(np.sum(np.array(p) <= level))
        assert stats.binomtest(n, len(p), level, alternative="greater").pvalue > 1e-3
    # And not by never rejecting: half of them are above and below the middle, nearly.
    assert 0.35 < np.mean(p) < 0.65


def test_what_is_no_whole_electron_is_not_tested():
    result = weighed(PARTICLE, invented(), dose=20, whole=False)
    assert "whole electrons" in result.untested
    assert result.columns["q_value"].isna().all()
    assert result.columns["llr"].notna().all()


def test_a_crystal_without_vacuum_is_not_tested_and_has_no_surface():
    points = lattice((0.277, 0.226), 0.1385, (-0.5, 5), (-0.5, 4.2))
    result = weighed(points, np.zeros((0, 2)), dose=20)
    assert "no vacuum" in result.untested
    assert not result.columns["is_surface"].any()


def test_the_same_coin_gives_the_same_verdict():
    one, two = (weighed(PARTICLE, invented(), dose=2, seed=5) for _ in range(2))
    assert one.columns.equals(two.columns)


@pytest.mark.parametrize(("shape", "pixel"), [((1, 1), 0.01), ((20, 400), 0.01), ((99, 99), 0.3)])
def test_a_frame_without_room_for_columns_has_none(shape, pixel):
    counts = np.ones(shape, np.float32)
    result = weigh(counts, counts, lambda half: half, pixel, np.random.default_rng(0))
    assert result.untested
    usual = weighed(PARTICLE, invented(), dose=2).columns
    assert set(result.columns) == set(usual)
    assert not len(result.columns)


def test_empty_vacuum_shows_nothing():
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.45, SHAPE).astype(np.float32)
    flat = np.full(SHAPE, 0.45, np.float32)
    seen = see(counts, flat, PIXEL)
    assert not len(seen.columns)
    result = weigh(counts, flat, lambda half: flat / 2, PIXEL, rng)
    assert not len(result.columns)
    assert result.n_proposed == 0


@pytest.mark.parametrize("dose", [0.45, 5.0])
def test_the_vacuum_is_measured(dose):
    image = image_of(np.concatenate([PARTICLE, SUPPORT]), 0.3)
    counts = np.random.default_rng(1).poisson(dose * image).astype(np.float32)
    level, area = vacuum_level(counts, (dose * image).astype(np.float32), PIXEL)
    assert area > 2
    assert abs(level - dose) < 4 * np.sqrt(dose / (area / PIXEL**2))
    # The mean of the whole frame is none of it.
    assert abs(counts.mean() - dose) > 0.025 * dose


@pytest.mark.parametrize("seed", range(5))
def test_q_values_are_those_of_benjamini_and_hochberg(seed):
    p = np.random.default_rng(seed).beta(0.4, 2, 37)
    q = q_values(p)
    np.testing.assert_allclose(q, stats.false_discovery_control(p))
    for level in (0.01, 0.05, 0.3):
        assert (q <= level).tolist() == benjamini_hochberg(p, level).tolist()
    assert q_values([]).shape == (0,)
    assert q_values([np.nan, 0.001]).tolist() == [1.0, 0.002]
