"""A small particle with known columns, and frames that show it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from lowdose.data.frames import FrameSet

SPACING_NM, LAYER_NM = 0.240, 0.2263
PIXEL_NM = 0.0122
SHAPE = 150, 140  # 1.83 nm x 1.71 nm
INTERFACE_NM = 1.60


def lattice(rows: int = 5, width: int = 5) -> np.ndarray:
    """Return columns (x, y) [nm]: rows 0.2263 nm apart, every other shifted by half a spacing.

    The lowest row is 0.115 nm above the interface.
    """
    points = [
        (0.30 + SPACING_NM * (i + 0.5 * (k % 2)), INTERFACE_NM - 0.115 - LAYER_NM * k)
        for k in range(rows)
        for i in range(width - k % 2)
    ]
    return np.array(points)


def on_surface(points: np.ndarray) -> np.ndarray:
    """Return the truth's rule: a neighbour is missing (of six; of four in the lowest row)."""
    neighbours = np.array([len(n) - 1 for n in cKDTree(points).query_ball_point(points, 0.30)])
    return neighbours < np.where(points[:, 1] > INTERFACE_NM - 0.2, 4, 6)


def table_of(points: np.ndarray, vacancies: np.ndarray | None = None) -> pd.DataFrame:
    """Return the true columns of a frame as `columns.parquet` holds them."""
    surface = on_surface(points)
    table = pd.DataFrame(points, columns=["x_nm", "y_nm"]).assign(
        element="Pt",
        is_particle=True,
        n_atoms=6,
        is_surface=surface,
        site=np.where(surface, "facet", "bulk"),
    )
    if vacancies is not None:
        empty = pd.DataFrame(np.reshape(vacancies, (-1, 2)), columns=["x_nm", "y_nm"])
        empty = empty.assign(
            element="Pt", is_particle=True, n_atoms=0, is_surface=False, site="vacancy"
        )
        table = pd.concat([table, empty], ignore_index=True)
    return table


def image_of(points: np.ndarray, height: float = 0.5) -> np.ndarray:
    """Return the image of Gaussian columns on vacuum 1, 0.05 nm wide."""
    y, x = (PIXEL_NM * np.arange(n) for n in SHAPE)
    image = np.ones(SHAPE)
    for px, py in points:
        image += height * np.outer(
            np.exp(-((y - py) ** 2) / (2 * 0.05**2)), np.exp(-((x - px) ** 2) / (2 * 0.05**2))
        )
    return image.astype(np.float32)


def frame_set(*shapes: str) -> FrameSet:
    """Return two frames a base shape: the perfect particle, and one without its last column."""
    rows, columns, images = [], [], []
    for number, shape in enumerate(shapes):
        points = lattice(width=5 + number % 2)
        for defect, kept, gone in (("D0", points, None), ("D1", points[:-1], points[-1])):
            frame = len(rows)
            rows.append(
                {
                    "frame": frame,
                    "model_id": f"{shape}-{defect}",
                    "base_shape": shape,
                    "family": "PtNp1",
                    "defect": defect,
                    "layers": 16,
                    "tilt_x_deg": 0.0,
                    "tilt_y_deg": 0.0,
                    "c1_nm": 8.0,
                    "contrast": "white",
                    "interface_y_nm": INTERFACE_NM,
                }
            )
            columns.append(table_of(kept, gone).assign(frame=frame))
            images.append(image_of(kept))
    truth = pd.concat(columns, ignore_index=True)
    return FrameSet(pd.DataFrame(rows), np.stack(images), truth, PIXEL_NM, "digest")


@pytest.fixture(scope="session")
def particle() -> SimpleNamespace:
    """The functions above."""
    return SimpleNamespace(
        lattice=lattice, on_surface=on_surface, table_of=table_of, image_of=image_of,
        frame_set=frame_set, interface_nm=INTERFACE_NM, pixel_nm=PIXEL_NM, layer_nm=LAYER_NM,
    )  # fmt: skip


@pytest.fixture(scope="session")
def spec() -> dict:
    """What the evaluation is told."""
    return {
        "evaluation": {"sigma_nm": 0.049, "gate_nm": 0.072, "false_discovery_rate": 0.05},
        "doses_e_per_px": [0.45, 1.5],
        "dose_e_per_px": 0.45,
        "reference_dose_e_per_px": 0.45,
        "realisations": 2,
        "realisations_elsewhere": 1,
        "seed": 7,
    }
