"""Information limit and contrast transfer against their closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lowdose.config_world import Camera, Optics
from lowdose.report.information_limit import (
    camera_transfer,
    contrast_transfer,
    detected_limit_nm,
    information_limit_nm,
)

LAMBDA_NM = 0.00196874890  # of 300 keV electrons


def optics(**keys):
    return {**Optics().model_dump(), **keys}


def camera(**keys):
    return {**Camera().model_dump(), **keys}


def test_the_limit_is_the_textbooks():
    # k = sqrt(2 / (pi lambda s)) with the rms focal spread s = 4 nm / sqrt(2).
    k = math.sqrt(2 / (math.pi * LAMBDA_NM * 4 / math.sqrt(2)))
    assert information_limit_nm(optics(), 300.0) == pytest.approx(1 / k, rel=1e-6)
    assert 1 / k == pytest.approx(0.0935, abs=5e-5)
    # Half the spread reaches sqrt(2) further.
    half = information_limit_nm(optics(focal_spread_nm=2.0), 300.0)
    assert half * math.sqrt(2) == pytest.approx(1 / k, rel=1e-6)
    assert information_limit_nm(optics(focal_spread_nm=0.0), 300.0) == 0


@pytest.mark.parametrize("focal_points", [1, 7])
def test_the_lens_leaves_one_over_e_squared_at_the_limit(focal_points):
    still = optics(convergence_mrad=0.0, focal_points=focal_points)
    k = 1 / information_limit_nm(still, 300.0)
    envelope = contrast_transfer(np.array([0.0, k]), 6.0, still, 300.0)[1]
    np.testing.assert_allclose(envelope, [1, math.exp(-2)], rtol=1e-5)


@pytest.mark.parametrize("c1_nm", [0.0, 6.0, 20.0])
def test_the_transfer_is_e_sine_chi(c1_nm):
    k = np.linspace(0, 12, 97)
    sine, envelope = contrast_transfer(k, c1_nm, optics(), 300.0)
    angle = LAMBDA_NM * k
    c3, c5 = -13e3, 5e6  # nm
    chi = 2 * np.pi / LAMBDA_NM * (c1_nm * angle**2 / 2 + c3 * angle**4 / 4 + c5 * angle**6 / 6)
    np.testing.assert_allclose(sine, envelope * np.sin(chi), atol=2e-5)
    slope = 2 * np.pi / LAMBDA_NM * (c1_nm * angle + c3 * angle**3 + c5 * angle**5)
    expected = -((np.pi * LAMBDA_NM * 4 * k**2 / 2) ** 2) - (0.2e-3 / 2 * slope) ** 2
    np.testing.assert_allclose(envelope, np.exp(expected), atol=2e-5)


def test_overfocus_makes_atoms_bright_and_focus_makes_them_dark():
    k = np.array([4.0])  # 0.25 nm: neighbouring columns
    assert contrast_transfer(k, 6.0, optics(), 300.0)[0] > 0.3
    assert contrast_transfer(k, 0.0, optics(), 300.0)[0] < 0


def test_camera_and_vibration_are_gaussians():
    k = np.array([0.0, 3.3, 9.7])
    nyquist = 1 / (2 * 0.0061)
    expected = 0.5 ** (k**2 / nyquist**2) * np.exp(-2 * np.pi**2 * 0.02**2 * k**2)
    np.testing.assert_allclose(camera_transfer(k, camera()), expected, atol=1e-5)


def test_the_detected_limit_solves_its_quadratic():
    # Focal spread and vibration alone: (pi lambda D / 2)^2 q^2 + 2 pi^2 u^2 q = 2 with q = k^2.
    a, b = (math.pi * LAMBDA_NM * 4 / 2) ** 2, 2 * math.pi**2 * 0.02**2
    q = (-b + math.sqrt(b**2 + 8 * a)) / (2 * a)
    still = optics(convergence_mrad=0.0)
    found = detected_limit_nm(6.0, still, camera(mtf_nyquist=1.0), 300.0)
    assert found == pytest.approx(1 / math.sqrt(q), rel=1e-4)
    # Convergence, camera and vibration only take away.
    lens = information_limit_nm(still, 300.0)
    assert lens < found < detected_limit_nm(6.0, optics(convergence_mrad=1.0), camera(), 300.0)
    sharp = detected_limit_nm(
        6.0, optics(focal_spread_nm=0.0, convergence_mrad=0.0), camera(mtf_nyquist=1.0,
        vibration_nm=0.0), 300.0,
    )  # fmt: skip
    assert sharp == pytest.approx(0.05)
