"""Frozen frames: rendering, choice, round trip, and counts that can be drawn again."""

import h5py
import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from lowdose.data.frames import choose, read_frames, region, render, write_frames
from lowdose.imaging.waves import exit_waves
from lowdose.runtime import UserError
from lowdose.structures.library import true_columns

DOSES = (0.2, 0.45, 1.5)


def attributes(number: int, **changes) -> dict:
    return {
        "model_id": f"PtNp1{'abc'[number]}-D0-16L-x0y0", "base_shape": f"PtNp1{'abc'[number]}",
        "family": "PtNp1", "defect": "D0", "layers": 16, "tilt_x_deg": 0.0, "tilt_y_deg": 1.5,
        "c1_nm": 9.0, "contrast": "white", "interface_y_nm": 2.1, "cell_y_nm": 3.2, **changes,
    }  # fmt: skip


def columns_of(count: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "model_id": [attributes(n)["model_id"] for n in range(count) for _ in range(2)],
            "x_nm": np.linspace(0.3, 0.7, 2 * count), "y_nm": np.linspace(0.5, 1.1, 2 * count),
            "element": "Pt", "is_particle": True, "n_atoms": 5,
            "is_surface": [True, False] * count, "site": "facet",
            "changed": False,
        }
    )  # fmt: skip


@pytest.fixture
def imaging(optics, camera):
    return {"optics": optics, "camera": camera, "energy_kev": 300.0}


def write(path, imaging, images, seed=1, **changes):
    columns = columns_of(len(images))
    frames = [
        (about, image, columns[columns["model_id"] == about["model_id"]])
        for about, image in ((attributes(n, **changes), image) for n, image in enumerate(images))
    ]
    return write_frames(path, "test", frames, imaging, DOSES, seed)


@pytest.fixture
def images():
    rng = np.random.default_rng(2)
    return [(1 + 0.3 * rng.normal(size=(40, 50))).clip(0.1).astype(np.float32) for _ in range(2)]


def test_real_frame_stands_upright(tilted_waves, particle_model, imaging, model):
    cell = tuple(particle_model.cell.lengths()[[1, 0]] / 10)
    pixel = imaging["camera"]["pixel_size_nm"]
    tilt = (0.0, 4.0)
    frame = render(tilted_waves[tilt], cell, 9.0, imaging)
    top, bottom = region(cell[0])
    assert frame.shape == (int((bottom - top) / pixel), int(cell[1] / pixel))
    # Vacuum above, 1 to within the fringes; the support below.
    assert frame[:60].mean() == pytest.approx(1, abs=0.01)
    assert frame[-60:].std() > 5 * frame[:60].std()
    # Every true column, Pt and Ce, is a bright spot of the frame: brighter than its ring.
    table = true_columns(particle_model, model("PtNp1c", tilt=tilt))
    inside = table[(table["y_nm"] > top + 0.2) & (table["y_nm"] < bottom - 0.2)
                   & table["x_nm"].between(0.2, cell[1] - 0.2)]  # fmt: skip
    rows = np.rint((inside["y_nm"] - top) / pixel).astype(int).to_numpy()
    across = np.rint(inside["x_nm"] / pixel).astype(int).to_numpy()
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ring = np.stack([frame[np.rint(rows + 0.11 / pixel * np.sin(a)).astype(int),
                           np.rint(across + 0.11 / pixel * np.cos(a)).astype(int)]
                     for a in angle]).mean(axis=0)  # fmt: skip
    brighter = frame[rows, across] > ring
    assert brighter[inside["is_particle"].to_numpy()].all()
    assert brighter.mean() > 0.95


def test_marker_appears_in_the_frame_where_its_coordinates_say(simulation, imaging, locate):
    # An F of five Pt atoms: nothing in it is symmetric.
    marker = np.array([[8.0, 20.0], [8.0, 16.0], [8.0, 12.0], [12.0, 20.0], [11.0, 16.0]])
    atoms = Atoms("Pt5", positions=np.column_stack([marker, np.full(5, 2.0)]),
                  cell=[30.0, 24.0, 4.0], pbc=[True, False, False])  # fmt: skip
    wave = exit_waves(atoms, [(0, 0)], {**simulation, "grid": 192})[0]
    frame = render(wave, (2.4, 3.0), 6.0, imaging)
    top, _ = region(2.4)
    expected = np.column_stack([2.4 - marker[:, 1] / 10 - top, marker[:, 0] / 10])
    assert np.abs(locate(frame, (0.0061, 0.0061), expected, 1) - expected).max() < 0.003
    rows, columns = np.rint(expected / 0.0061).astype(int).T
    assert frame[rows, columns].min() > 1.03


def test_render_of_vacuum_is_one(imaging):
    frame = render(np.ones((128, 112), np.complex64), (3.2, 2.4), 6.0, imaging)
    assert np.abs(frame - 1).max() < 1e-5


def test_pixel_size_changes_the_sampling_only(phase_wave, cell_nm, imaging):
    # With the transfer off, coarser pixels are every other fine pixel.
    flat = {**imaging["camera"], "mtf_nyquist": 1.0, "vibration_nm": 0.0}
    fine = render(phase_wave, cell_nm, 8.0, {**imaging, "camera": {**flat, "pixel_size_nm": 0.01}})
    coarse = render(phase_wave, cell_nm, 8.0,
                    {**imaging, "camera": {**flat, "pixel_size_nm": 0.02}})  # fmt: skip
    assert np.abs(fine[::2, ::2][: coarse.shape[0], : coarse.shape[1]] - coarse).max() < 1e-4


def test_round_trip(tmp_path, imaging, images):
    path = tmp_path / "test.h5"
    digest = write(path, imaging, images)
    frames = read_frames(path)
    assert frames.digest == digest
    assert np.array_equal(frames.clean, np.stack(images))
    assert frames.pixel_size_nm == 0.0061
    assert frames.table["model_id"].tolist() == [attributes(n)["model_id"] for n in range(2)]
    assert frames.table[["c1_nm", "tilt_y_deg"]].to_numpy().tolist() == [[9.0, 1.5]] * 2
    # Positions in the file count from the upper edge of the frame, 0.15 nm inside the cell.
    assert frames.table["interface_y_nm"].to_numpy() == pytest.approx(2.1 - 0.15)
    expected = columns_of(2)
    assert frames.columns["frame"].tolist() == [0, 0, 1, 1]
    assert frames.columns["y_nm"].to_numpy() == pytest.approx(expected["y_nm"] - 0.15, abs=1e-8)
    assert frames.columns["x_nm"].to_numpy() == pytest.approx(expected["x_nm"], abs=1e-8)
    assert frames.columns["is_surface"].tolist() == [True, False] * 2


def test_stored_counts_are_realisation_0(tmp_path, imaging, images):
    path = tmp_path / "test.h5"
    write(path, imaging, images, seed=77)
    frames = read_frames(path)
    with h5py.File(path) as file:
        assert set(file["counts"]) == {"0.2", "0.45", "1.5"}
        for dose in DOSES:
            for n in range(2):
                stored = file["counts"][f"{dose:g}"][n]
                assert np.array_equal(stored, frames.counts(n, dose, 0, 77))


def test_counts_are_reproducible_and_independent(tmp_path, imaging, images):
    path = tmp_path / "test.h5"
    write(path, imaging, [images[0]] * 2)
    frames = read_frames(path)
    first = frames.counts(0, 0.45, 3, 1)
    assert np.array_equal(first, frames.counts(0, 0.45, 3, 1))
    assert np.array_equal(first, read_frames(path).counts(0, 0.45, 3, 1))
    others = [
        frames.counts(0, 0.45, 4, 1),
        frames.counts(0, 0.2, 3, 1),
        frames.counts(1, 0.45, 3, 1),  # the same expectation, another model
        frames.counts(0, 0.45, 3, 2),
    ]
    noise = (first - 0.45 * images[0]).ravel()
    for other, dose in zip(others, (0.45, 0.2, 0.45, 0.45), strict=True):
        assert not np.array_equal(first, other)
        correlation = np.corrcoef(noise, (other - dose * images[0]).ravel())[0, 1]
        assert abs(correlation) < 4.5 / np.sqrt(noise.size)


def test_mean_over_realisations_is_the_expectation(tmp_path, imaging, images):
    path = tmp_path / "test.h5"
    write(path, imaging, images)
    frames = read_frames(path)
    drawn = np.stack([frames.counts(0, 0.45, r, 1) for r in range(200)]).astype(np.float64)
    expected = 0.45 * images[0]
    z = (drawn.mean(axis=0) - expected) / np.sqrt(expected / 200)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.var() == pytest.approx(1, abs=4 * np.sqrt(2 / z.size))


def test_digest_changes_with_content_and_with_nothing_else(tmp_path, imaging, images):
    digest = write(tmp_path / "a.h5", imaging, images)
    assert write(tmp_path / "b.h5", imaging, images) == digest
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    changed = [images[0], images[1].copy()]
    changed[1][3, 4] += 1e-6
    assert write(tmp_path / "c.h5", imaging, changed) != digest
    assert write(tmp_path / "d.h5", imaging, images, contrast="black") != digest


def test_missing_and_damaged_files(tmp_path, imaging, images):
    with pytest.raises(UserError, match=r"gone\.h5 does not exist; run the stage `frames` first"):
        read_frames(tmp_path / "gone.h5")
    path = tmp_path / "test.h5"
    write(path, imaging, images)
    content = path.read_bytes()
    for cut in (0, 100, len(content) // 2):
        path.write_bytes(content[:cut])
        with pytest.raises(UserError, match=r"test\.h5 is damaged .* delete it and run again"):
            read_frames(path)


def image_table() -> pd.DataFrame:
    """Two test shapes of two and three defects at two thicknesses, two tilts and three C1."""
    return pd.DataFrame(
        [
            {
                "model_id": f"{shape}-{defect}-{layers}L-x{tilt}y0", "base_shape": shape,
                "defect": defect, "layers": layers, "tilt_x_deg": tilt, "tilt_y_deg": 0,
                "c1_nm": float(c1), "split": "train" if shape == "PtNp1b" else "test",
                # One image of a matched set is not white at 4 nm.
                "contrast": "intermediate" if (c1 == 4 and defect == "D1") else "white",
            }
            for shape, defects in (("PtNp1a", ("D0", "D1")), ("PtNp1b", ("D0", "D1")),
                                   ("PtNp2a", ("D0", "D1", "Ds")))
            for defect in defects for layers in (16, 21) for tilt in (0, 2) for c1 in (4, 8, 12)
        ]
    )  # fmt: skip


@pytest.mark.parametrize("per_shape", [1, 3, 8])
def test_choice_takes_complete_matched_sets(per_shape):
    table = image_table()
    chosen = choose(table, "test", "white", per_shape)
    assert len(chosen) == len(set(chosen)) == per_shape * (2 + 3)
    picked = table.set_index(["model_id", "c1_nm"]).loc[chosen].reset_index()
    assert set(picked["split"]) == {"test"}
    assert set(picked["contrast"]) == {"white"}
    assert 4.0 not in set(picked["c1_nm"])  # there D1 is not white, so its partners are out too
    sets = picked.groupby(["base_shape", "layers", "tilt_x_deg", "c1_nm"])["defect"].agg(set)
    for (shape, *_), defects in sets.items():
        assert defects == ({"D0", "D1"} if shape == "PtNp1a" else {"D0", "D1", "Ds"})
    assert sets.groupby("base_shape").size().tolist() == [per_shape] * 2


def test_choice_of_all_contrasts_and_of_too_many():
    table = image_table()
    assert len(choose(table, "test", "all", 12)) == 12 * 5
    with pytest.raises(UserError, match=r"PtNp1a of the test set has 8 conditions.* asks for 9"):
        choose(table, "test", "white", 9)
