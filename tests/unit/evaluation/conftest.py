"""A small particle with known columns, and frames that show it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import cKDTree

from lowdose.config_world import MARGIN_TOP_NM
from lowdose.data.frames import FrameSet
from lowdose.evaluation.benchmark import counted_sets
from lowdose.evaluation.benchmark_files import write_benchmark

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


def padded(frames: FrameSet, top: int = 60, left: int = 30, right: int = 60) -> FrameSet:
    """Return the frames in more vacuum, so that a crop has something to leave out."""
    columns = frames.columns
    number = columns.groupby("frame").cumcount()
    return replace(
        frames,
        clean=np.pad(frames.clean, ((0, 0), (top, 0), (left, right)), constant_values=1.0),
        columns=columns.assign(column=number, x_nm=columns["x_nm"] + left * PIXEL_NM,
                               y_nm=columns["y_nm"] + top * PIXEL_NM),
        table=frames.table.assign(interface_y_nm=INTERFACE_NM + top * PIXEL_NM),
    )  # fmt: skip


def pairs_of(frames: FrameSet) -> pd.DataFrame:
    """Return the matched pairs of a set as ``pairs.csv`` has them, in the cell's coordinates."""
    rows = []
    for base, own in frames.table.groupby("base_shape"):
        names = own.drop_duplicates("defect").set_index("defect")
        gone = frames.columns[(frames.columns["frame"] == names.loc["D1", "frame"])
                              & (frames.columns["site"] == "vacancy")].iloc[0]  # fmt: skip
        rows.append({
            "pair": f"{base}-D0-D1", "kind": "vacancy", "model_present": f"{base}-D0",
            "model_absent": f"{base}-D1", "element": "Pt", "column": gone["column"],
            "x_nm": gone["x_nm"], "y_nm": gone["y_nm"] + MARGIN_TOP_NM, "n_atoms": 6,
            "site": "corner", "base_shape": base, "layers": 16, "tilt_x_deg": 0.0,
            "tilt_y_deg": 0.0,
        })  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def sources() -> dict[str, FrameSet]:
    """Frozen sets as a study has them; the particles of the shift `registry` have moved."""
    test = padded(frame_set("PtNp1a", "PtNp1b", "PtNp1c"))
    unmoved = padded(frame_set("PtNp1a", "PtNp1b"))
    moved = padded(frame_set("PtNp1a", "PtNp1b"), left=40, right=50)
    n = len(unmoved.table)
    shifted = replace(
        unmoved,
        clean=np.concatenate([unmoved.clean, moved.clean]),
        columns=pd.concat(
            [unmoved.columns, moved.columns.assign(frame=moved.columns["frame"] + n)],
            ignore_index=True,
        ),
        table=pd.concat([unmoved.table.assign(shift="none"),
                         moved.table.assign(shift="registry", frame=moved.table["frame"] + n)],
                        ignore_index=True),
    )  # fmt: skip
    return {
        "validation": padded(frame_set("PtNp2a", "PtNp2b")), "test": test, "shifted": shifted,
    }  # fmt: skip


@pytest.fixture(scope="session")
def pairs(sources) -> pd.DataFrame:
    """Matched pairs of the test and the shifted frames."""
    return pairs_of(sources["test"])


@pytest.fixture(scope="session")
def counted(sources, pairs):
    """The sets of a small benchmark, at two doses."""
    many = {"validation": 2, "test": 2, "shifted": 1}
    return counted_sets(sources, pairs, [0.45, 2.0], many, seed=7)


@pytest.fixture(scope="session")
def benchmark(counted, tmp_path_factory):
    """That benchmark on disk; no test may change it."""
    about = {"study": "small", "seed": 7, "spec": {}, "spec_digest": "0",
             "scoring": {"sigma_nm": 0.049, "gate_nm": 0.072, "draws": 200}}  # fmt: skip
    return write_benchmark(tmp_path_factory.mktemp("benchmark"), counted, about)
