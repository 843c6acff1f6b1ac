"""A bench for the convergence study: waves and images of one structure, timed and compared."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from lowdose.imaging.potential import planes
from lowdose.imaging.rendering import ImageRenderer
from lowdose.imaging.waves import exit_waves

C1_NM = (0.0, 6.0, 9.0, 12.0)
TILTS_DEG = ((0.0, 0.0), (3.0, 0.0))


@dataclass(frozen=True)
class Row:
    """One comparison; differences in per cent of the reference image's standard deviation."""

    study: str
    setting: str
    reference: str
    c1_nm: float
    tilt_deg: float
    error_rms_percent: float
    error_mean_percent: float
    seconds: float
    is_default: bool


def differences(image: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Return rms and mean absolute difference in per cent of the reference's contrast."""
    difference, contrast = image - reference, reference.std()
    return (
        100 * float(np.sqrt(np.mean(difference**2)) / contrast),
        100 * float(np.mean(np.abs(difference)) / contrast),
    )


class Bench:
    """Makes waves and images of one structure, and remembers the waves' processor time."""

    def __init__(self, atoms: Atoms, spec: Mapping, simulation: Mapping, tiles: int = 1) -> None:
        self.atoms, self.spec, self.simulation = atoms, spec, dict(simulation)
        self.tiles = tiles
        width, height, _ = atoms.cell.lengths() / 10
        self.cell_nm = (float(height), float(width))
        self._renderers: dict[int, ImageRenderer] = {}
        self._waves: dict[tuple, tuple[np.ndarray, float]] = {}

    def key(self, settings: Mapping) -> tuple:
        """Return what tells two settings apart: equal keys give equal waves."""
        merged = {**self.simulation, **settings}
        slices = merged["slice_thickness_nm"]
        if merged["engine"] == "torch":
            slices = len(planes(self.atoms.positions[:, 2], 10 * slices))
        kept = ("engine", "grid", "parametrization", "thermal")
        return (*(merged[key] for key in kept), slices)

    def waves(self, **settings: object) -> tuple[np.ndarray, float]:
        """Return the waves (tilt, y, x) of the configuration but for some settings, and the
        seconds of one core for one of them.
        """
        key = self.key(settings)
        if key not in self._waves:
            start = time.process_time()
            waves = exit_waves(self.atoms, TILTS_DEG, {**self.simulation, **settings})
            self._waves[key] = waves, (time.process_time() - start) / len(TILTS_DEG)
        return self._waves[key]

    def images(self, wave: np.ndarray, foci: int | None = None) -> tuple[np.ndarray, float]:
        """Return the detected images (C1, y, x) of a wave, and the seconds for one of them.

        Parameters
        ----------
        wave : array ([configuration,] y, x)
        foci : int, optional
            Instead of the configured ``focal_points``.
        """
        optics = dict(self.spec["optics"])
        foci = optics["focal_points"] = foci or optics["focal_points"]
        if foci not in self._renderers:
            camera = self.spec["camera"]
            imaging = {"optics": optics, "camera": camera,
                       "energy_kev": self.simulation["energy_kev"]}  # fmt: skip
            field = tuple(self.tiles * length for length in self.cell_nm)
            shape = tuple(int(length / camera["pixel_size_nm"]) for length in self.cell_nm)
            self._renderers[foci] = ImageRenderer(field, imaging, (0.0, 0.0), shape)
        renderer = self._renderers[foci]
        start = time.process_time()
        spectrum = renderer.lens.spectrum(np.tile(wave, (self.tiles, self.tiles)))
        result = [renderer.image(spectrum, c1) for c1 in C1_NM]
        seconds = (time.process_time() - start) / len(C1_NM)
        return np.stack(result).astype(np.float64), seconds

    def rows(
        self,
        names: tuple[str, str, str],
        images: Sequence[np.ndarray],
        references: Sequence[np.ndarray],
        seconds: float,
        is_default: bool,
    ) -> list[Row]:
        """Compare images (C1, y, x) of each tilt; names: study, setting, reference."""
        return [
            Row(*names, c1, tilt[0], *differences(one, other), seconds, is_default)
            for tilt, image, reference in zip(TILTS_DEG, images, references, strict=False)
            for c1, one, other in zip(C1_NM, image, reference, strict=True)
        ]
