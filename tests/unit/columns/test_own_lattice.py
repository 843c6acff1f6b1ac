"""A particle's own lattice: exact without noise, and as uncertain as it says with it."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.columns.own_lattice import displacements, fit_lattice, strains
from lowdose.runtime import UserError

A, B = np.array([0.24, 0.0]), np.array([0.12, 0.196])


def turned(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s], [-s, c]])


def particle(rows=7, cols=8, degrees=0.0, keep=None):
    """Return columns (x, y) [nm] and which of them are in the top row."""
    i, j = (n.ravel() for n in np.mgrid[:rows, :cols])
    places = (j - i // 2)[:, None] * A + i[:, None] * B + [1.0, 0.5]
    kept = np.ones(len(places), bool) if keep is None else keep(len(places))
    return (places @ turned(degrees))[kept], (i == 0)[kept]


@pytest.mark.parametrize("degrees", [0, 13, 30, 47, 90, 151, 200])
def test_an_affine_lattice_is_recovered_at_any_angle(degrees):
    places, _ = particle(degrees=degrees)
    lattice = fit_lattice(places, 0.005)
    assert lattice.assigned.all() and lattice.fitted.all()
    np.testing.assert_allclose(lattice.nodes(), places, atol=1e-12)
    # The same lattice, whichever two vectors were found: the same area, and whole steps.
    area = abs(np.linalg.det(lattice.vectors))
    assert area == pytest.approx(abs(np.linalg.det([A, B])))
    steps = np.array([A, B]) @ turned(degrees) @ np.linalg.inv(lattice.vectors)
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-9)
    assert lattice.chi2_per_dof == pytest.approx(0, abs=1e-20)
    found = displacements(lattice)
    np.testing.assert_allclose(found[["dx_nm", "dy_nm"]], 0, atol=1e-12)


def test_missing_columns_and_a_false_one():
    rng = np.random.default_rng(1)
    places, _ = particle(9, 9, 21, keep=lambda n: rng.random(n) > 0.25)
    noisy = places + rng.normal(0, 0.006, places.shape)
    false = noisy[20] + [0.05, 0.03]
    lattice = fit_lattice(np.vstack([noisy, false]), 0.006)
    assert lattice.assigned[:-1].mean() > 0.95
    assert not lattice.assigned[-1] and not lattice.fitted[-1]
    assert lattice.chi2_per_dof < 1.6
    good = lattice.assigned[:-1]
    np.testing.assert_allclose(lattice.nodes()[:-1][good], places[good], atol=0.006)
    assert displacements(lattice).iloc[-1, 2:].isna().all()


def test_a_surface_that_has_relaxed_outwards():
    places, top = particle()
    rng, errors = np.random.default_rng(2), 0.004
    moved = places - np.where(top, 0.008, 0)[:, None] * [0, 1]
    exact = displacements(fit_lattice(moved, errors, reference=~top))
    np.testing.assert_allclose(exact.loc[top, "dy_nm"], -0.008, atol=1e-12)
    np.testing.assert_allclose(exact.loc[~top, ["dx_nm", "dy_nm"]], 0, atol=1e-12)
    noisy = moved + rng.normal(0, errors, moved.shape)
    found = displacements(fit_lattice(noisy, errors, reference=~top))
    mean, se = found.loc[top, "dy_nm"].mean(), errors / np.sqrt(top.sum())
    assert mean == pytest.approx(-0.008, abs=4 * se) and mean < -0.004
    # Fitted to all columns the lattice follows the surface, and the displacement shrinks.
    shared = displacements(fit_lattice(moved, errors))
    assert shared.loc[top, "dy_nm"].mean() > -0.0065


def test_errors_of_displacements_and_strains_are_right():
    """Over many noisy copies everything scatters by its own standard error, column by column."""
    rng, copies = np.random.default_rng(3), 400
    places, top = particle(5, 6, 17)
    errors = rng.uniform(0.002, 0.009, places.shape)
    pulls = {name: [] for name in ("dx_nm", "dy_nm", "exx", "eyy", "exy", "rotation")}
    vectors, start = [], np.array([A, B]) @ turned(17)
    for _ in range(copies):
        noisy = places + errors * rng.normal(size=places.shape)
        lattice = fit_lattice(noisy, errors, reference=~top, vectors_nm=start)
        vectors.append(lattice.vectors.ravel())
        moved, strain = displacements(lattice), strains(lattice)
        for name, values in pulls.items():
            table = moved if name in moved else strain
            said = table[name.replace("_nm", "") + ("_se_nm" if name[0] == "d" else "_se")]
            values.append(table[name] / said)
    for name, values in pulls.items():
        values = np.array(values)
        assert np.isfinite(values).all()
        assert np.sqrt(np.mean(values**2)) == pytest.approx(1, abs=0.03), name
        assert np.std(values, axis=0) == pytest.approx(np.ones(len(places)), abs=0.16), name
    variance = np.diagonal(lattice.covariance, axis1=1, axis2=2)
    scatter = np.var(vectors, axis=0).reshape(2, 2).T
    assert scatter == pytest.approx(variance[:, 1:], rel=0.25)


def test_without_errors_they_follow_from_the_residuals():
    rng = np.random.default_rng(4)
    places, _ = particle(12, 12, 5)
    noisy = places + rng.normal(0, 0.005, places.shape)
    lattice = fit_lattice(noisy)
    assert lattice.se_nm == pytest.approx(np.full(places.shape, 0.005), rel=0.1)
    known = fit_lattice(noisy, 0.005)
    assert lattice.covariance == pytest.approx(known.covariance * known.chi2_per_dof)


def test_strain_and_rotation_of_a_part():
    """The lower half is the lattice; the upper half is strained, sheared and turned against it."""
    places, _ = particle(14, 8)
    middle = np.median(places[:, 1])
    gradient = np.array([[0.02, 0.012], [-0.004, -0.03]])  # d(u_x, u_y) / d(x, y)
    depth = (places - [0.0, middle]) * (places[:, 1] < middle)[:, None]
    moved = places + depth @ gradient.T
    lower = places[:, 1] > middle
    lattice = fit_lattice(moved, 0.003, reference=lower)
    found = strains(lattice)
    deep = places[:, 1] < middle - 0.3
    expected = {"exx": 0.02, "eyy": -0.03, "exy": 0.004, "rotation": -0.008}
    for name, value in expected.items():
        np.testing.assert_allclose(found.loc[deep, name], value, atol=1e-9)
        below = places[:, 1] > middle + 0.3
        np.testing.assert_allclose(found.loc[below, name], 0, atol=1e-9)
    assert found["neighbours"].max() == 6
    # Of a turn from x towards y, nothing but that angle.
    pivot = np.array([1.5, middle])
    moved = np.where(lower[:, None], places, (places - pivot) @ turned(0.1) + pivot)
    turn = strains(fit_lattice(moved, 0.003, reference=lower))[deep]
    assert turn["rotation"].to_numpy() == pytest.approx(np.deg2rad(0.1), rel=1e-4)
    assert np.abs(turn[["exx", "eyy", "exy"]]).to_numpy().max() < 1e-5


def test_sixty_columns_alone_on_a_line_and_other_bad_input():
    line = np.arange(60)[:, None] * A
    with pytest.raises(UserError, match="no two steps"):
        fit_lattice(line, 0.005)
    with pytest.raises(UserError, match="all on one line"):
        fit_lattice(line, 0.005, vectors_nm=[A, B])
    places, _ = particle()
    for call, says in (
        (lambda: fit_lattice(places[:5]), "six or more"),
        (lambda: fit_lattice(places, 0.0), "not positive"),
        (lambda: fit_lattice(places * np.nan), "finite"),
        (lambda: fit_lattice(np.random.default_rng(5).random((40, 2)), 0.01), "lattice"),
    ):
        with pytest.raises(UserError, match=says):
            call()
