"""Settings and small specimens that the tests of atoms, waves and frames share."""

import os
from collections.abc import Callable

# Test processes side by side have a core each; with two threads each, they wait for one another.
# Before NumPy and torch are imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import numpy as np
import pytest
from ase import Atoms
from scipy import ndimage

from lowdose.config import Camera, Optics, Simulation
from lowdose.structures.library import build_structure
from lowdose.structures.plan import Model

TILTS_DEG = ((0.0, 0.0), (4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0))


@pytest.fixture(scope="session")
def optics() -> dict:
    """The default lens."""
    return Optics().model_dump()


@pytest.fixture(scope="session")
def camera() -> dict:
    """The default camera."""
    return Camera().model_dump()


@pytest.fixture(scope="session")
def simulation() -> dict:
    """The default simulation on a coarser grid: 0.14 Å a point in a cell of 5 nm."""
    return {**Simulation().model_dump(), "grid": 384}


@pytest.fixture(scope="session")
def library() -> dict:
    """The paper's 101 shapes and 855 models."""
    return {
        "base_shapes": {"PtNp1": 7, "PtNp2": 7, "PtNp3": 8, "PtNp4": 7},
        "defects": {
            "PtNp1": ["D0", "D1", "D2", "Dh", "Ds"],
            "PtNp2": ["D0", "D1", "Dh", "Ds"],
            "PtNp3": ["D0", "D1", "D2"],
            "PtNp4": ["D0", "D1"],
        },
        "size_nm": [1.5, 2.9],
        "thickness_quota": {16: 122, 21: 128, 26: 478, 31: 127},
        "tilts_deg": [[0, 0], *([n, 0] for n in range(1, 5)), *([0, n] for n in range(1, 5))],
        "particle_lattice_nm": 0.392,
        "support_lattice_nm": 0.5411,
        "interface_gap_nm": 0.23,
        "periods": 8,
        "trilayers": 5,
        "cell_height_nm": 5.0,
    }


@pytest.fixture(scope="session")
def model() -> Callable[..., Model]:
    """A function (base shape, defect, layers, tilt in degrees) that names a model."""

    def name(base: str, defect: str = "D0", layers: int = 16, tilt=(0.0, 0.0)) -> Model:
        structure = f"{base}-{defect}-{layers}L"
        label = f"{structure}-x{tilt[0]:g}y{tilt[1]:g}"
        return Model(label, structure, base, base[:-1], defect, layers, *map(float, tilt))

    return name


@pytest.fixture(scope="session")
def particle_model(library, model) -> Atoms:
    """A real model: 57 Pt columns of 3 to 8 atoms on the thinnest support."""
    return build_structure(library, model("PtNp1c"), seed=1)


@pytest.fixture(scope="session")
def tilted_waves(particle_model, simulation) -> dict[tuple[float, float], np.ndarray]:
    """Exit waves of `particle_model` by tilt: none, and 4° either way about both axes."""
    from lowdose.imaging.waves import exit_waves

    waves = exit_waves(particle_model, TILTS_DEG, simulation)
    return dict(zip(TILTS_DEG, waves, strict=True))


@pytest.fixture(scope="session")
def locate() -> Callable[..., np.ndarray]:
    """A function that finds the blob nearest to each expected position, to sub-pixel accuracy."""
    return _locate


def _locate(
    image: np.ndarray, step_nm: tuple[float, float], expected_nm: np.ndarray, sign: int
) -> np.ndarray:
    """Return y, x [nm] of the extremum of the Laplacian of Gaussian within 0.06 nm.

    `image` is periodic with `step_nm` between points; `sign` is 1 for bright and -1 for dark
    blobs; a parabola along each axis refines the position.
    """
    response = -sign * ndimage.gaussian_laplace(
        np.asarray(image, np.float64), [0.04 / step for step in step_nm], mode="wrap"
    )
    found = []
    reach = [int(0.06 / step) for step in step_nm]
    for position in np.asarray(expected_nm):
        start = [round(p / step) for p, step in zip(position, step_nm, strict=True)]
        rows = np.arange(start[0] - reach[0], start[0] + reach[0] + 1)
        columns = np.arange(start[1] - reach[1], start[1] + reach[1] + 1)
        window = response[np.ix_(rows % image.shape[0], columns % image.shape[1])]
        y, x = np.unravel_index(window.argmax(), window.shape)
        place = []
        for line, index, at, step in (
            (response[:, columns[x] % image.shape[1]], rows[y], image.shape[0], step_nm[0]),
            (response[rows[y] % image.shape[0]], columns[x], image.shape[1], step_nm[1]),
        ):
            low, middle, high = (line[(index + d) % at] for d in (-1, 0, 1))
            place.append((index + 0.5 * (high - low) / (2 * middle - low - high)) * step)
        found.append(place)
    return np.array(found)


@pytest.fixture(scope="session")
def record_of():
    """A function that writes a file and its record, as a job would."""
    from lowdose import records
    from lowdose.checkout import Commit

    def write(path, data: bytes, inputs=(), stage="structures", commit="a" * 40, job="1" * 32):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        record = records.Record(
            compared=records.Compared(
                stage=stage,
                output=records.File(
                    path=records.name_of(path), sha256=records.file_digest(path), bytes=len(data)
                ),
                commit=Commit(id=commit, dirty=False),
                spec={"seed": 3},
                code=records.Code(digest="0123456789ab", loaded={}),
                seeds=records.Seeds(
                    derivation=records.DERIVATION,
                    streams=[records.Stream(name="structures", keys=2, roots=[3])],
                ),
                inputs=[records.described(one) for one in inputs],
                libraries={"numpy": "2.4.6", "python": "3.11.7"},
                machine=records.Machine(processor="one", threads={"asked": 1}, gpu=None),
            ),
            run=records.Run(
                job=job,
                arguments=["structures"],
                host="here",
                system="Linux",
                cores=2,
                started="2026-01-02T03:04:05+00:00",
                seconds=1.5,
                drawn={"structures": 4},
                modified_ns=path.stat().st_mtime_ns,
            ),
        )
        records.write(path, record)
        return record

    return write
