"""The electron's wavelength against published values."""

import pytest

from lowdose.imaging.electron import wavelength


@pytest.mark.parametrize(("kev", "angstrom"), [(300, 0.0196875), (200, 0.0250793), (80, 0.0417572)])
def test_wavelength(kev, angstrom):
    assert wavelength(kev) == pytest.approx(angstrom, abs=1e-7)
