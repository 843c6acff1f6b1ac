"""The aberration function term by term, its slope, and the limits of sampling it."""

import numpy as np
import pytest
import torch

from lowdose.imaging.aberrations import aberration
from lowdose.imaging.optics import WaveOptics
from lowdose.runtime import UserError

LAMBDA = 0.019687489  # Å at 300 keV
ROUND = {"c3_um": 0.0, "c5_mm": 0.0}
SKEW = {
    "c3_um": -13.0, "c5_mm": 5.0, "c12_nm": 3.0, "phi12_deg": 25.0, "c21_nm": 150.0,
    "phi21_deg": -70.0, "c23_nm": 80.0, "phi23_deg": 40.0,
}  # fmt: skip


def by_hand(kx, ky, c1_nm, optics) -> np.ndarray:
    """Sum the published series in polar coordinates; ky runs down the image."""
    a, phi = LAMBDA * np.hypot(kx, ky), np.arctan2(-ky, kx)
    angle = {key: np.deg2rad(optics.get(f"phi{key}_deg", 0.0)) for key in ("12", "21", "23")}
    c12, c21, c23 = (10 * optics.get(f"c{key}_nm", 0.0) for key in ("12", "21", "23"))
    series = (
        a**2 * (10 * c1_nm + c12 * np.cos(2 * (phi - angle["12"]))) / 2
        + a**3 * c21 * np.cos(phi - angle["21"]) / 3
        + a**3 * c23 * np.cos(3 * (phi - angle["23"])) / 3
        + a**4 * optics["c3_um"] * 1e4 / 4
        + a**6 * optics["c5_mm"] * 1e7 / 6
    )
    return 2 * np.pi / LAMBDA * series


@pytest.fixture(scope="module")
def plane() -> tuple[torch.Tensor, torch.Tensor]:
    """Frequencies over the whole plane up to 1.7 1/Å."""
    k = torch.linspace(-1.2, 1.2, 31, dtype=torch.float64)
    return k[None, :], k[:, None]


@pytest.mark.parametrize(
    "optics",
    [
        {**ROUND, "c12_nm": 3.0, "phi12_deg": 25.0},
        {**ROUND, "c21_nm": 150.0, "phi21_deg": -70.0},
        {**ROUND, "c23_nm": 80.0, "phi23_deg": 40.0},
        SKEW,
    ],
    ids=["astigmatism", "coma", "threefold", "all"],
)
def test_phase_and_slope_of_each_term(plane, optics):
    kx, ky = (k.numpy() for k in plane)
    chi, slope2 = aberration(*plane, 6.0, optics, 300.0)
    # The rounded wavelength above is good to 1e-8; phases reach some hundred radians.
    assert np.abs(chi.numpy() - by_hand(kx, ky, 6.0, optics)).max() < 1e-4
    d = 1e-5
    gx = by_hand(kx + d, ky, 6.0, optics) - by_hand(kx - d, ky, 6.0, optics)
    gy = by_hand(kx, ky + d, 6.0, optics) - by_hand(kx, ky - d, 6.0, optics)
    expected = (gx**2 + gy**2) / (2 * d * LAMBDA) ** 2
    assert np.abs(slope2.numpy() - expected).max() < 1e-4 * expected.max()


def test_astigmatism_is_a_defocus_that_differs_between_two_axes():
    # Along phi12 the defocus is C1 + C12, across it C1 - C12; 30° is up and to the right.
    optics = {**ROUND, "c12_nm": 4.0, "phi12_deg": 30.0}
    along = torch.tensor([[np.cos(np.pi / 6)]]), torch.tensor([[-0.5]])
    across = torch.tensor([[0.5]]), torch.tensor([[np.cos(np.pi / 6)]])
    for (kx, ky), sign in ((along, 1), (across, -1)):
        value = aberration(kx, ky, 6.0, optics, 300.0)[0].item()
        assert value == pytest.approx(np.pi * LAMBDA * 10 * (6.0 + sign * 4.0), rel=1e-6)


def test_batch_of_coefficients(plane):
    c1 = torch.tensor([0.0, 7.0, 12.0])
    coma = torch.tensor([0.0, 50.0, 150.0])
    together, slopes = aberration(*plane, c1, {**SKEW, "c21_nm": coma}, 300.0)
    assert together.shape == (3, 31, 31)
    for number in range(3):
        optics = {**SKEW, "c21_nm": coma[number].item()}
        alone, slope = aberration(*plane, c1[number].item(), optics, 300.0)
        assert torch.allclose(together[number], alone, atol=1e-9)
        assert torch.allclose(slopes[number], slope, rtol=1e-9)


def test_derivatives_by_coefficients_are_exact(plane):
    values = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in SKEW.items()}
    keys = list(values)

    def both(c1, *coefficients):
        chi, slope2 = aberration(*plane, c1, dict(zip(keys, coefficients, strict=True)), 300.0)
        return chi[::10, ::7], slope2[::10, ::7] * 1e-6

    c1 = torch.tensor([6.0, 9.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(both, (c1, *values.values()), eps=1e-5, atol=1e-4)


def test_default_lens_and_cell_allow_all_defoci_of_the_study(optics):
    for cell_nm in ((5.0, 5.3), (5.0, 5.0)):
        for points in (1, 15):
            lens = WaveOptics(cell_nm, {**optics, "focal_points": points}, 300.0)
            assert lens.sampling.c1_nm[0] < -5
            assert lens.sampling.c1_nm[1] > 20


def test_limit_of_the_defocus_in_closed_form():
    # Pure defocus: neighbours m - 1 and m along an axis differ by pi lambda C1 (2 m - 1) / L^2.
    lens = {**ROUND, "focal_spread_nm": 4.0, "convergence_mrad": 0.0}
    sampling = WaveOptics((2.0, 2.0), lens, 300.0).sampling
    m = 31  # 20 Å times 1.566 1/Å
    expected = 20.0**2 / (LAMBDA * (2 * m - 1)) / 10
    assert sampling.c1_nm[1] == pytest.approx(expected, rel=1e-6)
    assert sampling.c1_nm[0] == pytest.approx(-expected, rel=1e-6)


@pytest.mark.parametrize("c1_nm", [-60.0, 200.0])
def test_refused_defocus_comes_with_values_that_work(optics, c1_nm):
    lens = WaveOptics((2.5, 3.0), optics, 300.0)
    flat = torch.ones(1, 2 * lens.cut[0] + 1, 2 * lens.cut[1] + 1, dtype=torch.complex64)
    with pytest.raises(UserError, match=rf"C1 = {c1_nm:g} nm is too strong.*frames\.c1_nm") as told:
        lens.intensity(flat, [6.0, c1_nm])
    words = str(told.value)
    nearest = float(words.split("nearest that works is ")[1].split()[0])
    assert lens.sampling.c1_nm[0] <= nearest <= lens.sampling.c1_nm[1]
    assert lens.intensity(flat, nearest).shape == lens.grid
    height, _, width = words.split("a cell of ")[2].split()[:3]
    wider = WaveOptics((float(height), float(width)), optics, 300.0).sampling
    assert wider.c1_nm[0] <= c1_nm <= wider.c1_nm[1]


def test_aberrations_beyond_any_defocus_are_refused(optics):
    strong = {**optics, "c21_nm": 5000.0}
    with pytest.raises(UserError, match=r"too strong for a cell of 5 x 5\.3 nm.*at any") as told:
        WaveOptics((5.0, 5.3), strong, 300.0)
    height, _, width = str(told.value).split("take a cell of ")[1].split()[:3]
    WaveOptics((float(height), float(width)), strong, 300.0)
