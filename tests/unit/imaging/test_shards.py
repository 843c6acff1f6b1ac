"""A killed simulation continues, ends bit-identical, and never mixes parameters."""

import numpy as np
import pytest

from lowdose.imaging import shards, waves
from lowdose.imaging.shards import simulate_shard
from lowdose.imaging.store import read_waves
from lowdose.runtime import UserError
from lowdose.structures.library import write_library
from lowdose.structures.plan import plan


class Killed(BaseException):
    """What a signal does to the program."""


@pytest.fixture(scope="module")
def small(library, simulation, tmp_path_factory):
    """Three small structures at two tilts each: the specification and the library's folder."""
    section = {
        **library,
        "base_shapes": {"PtNp1": 3},
        "defects": {"PtNp1": ["D0"]},
        "size_nm": [0.8, 1.2],
        "thickness_quota": {6: 6},
        "tilts_deg": [[0, 0], [3, 0]],
        "periods": 3,
        "trilayers": 1,
        "cell_height_nm": 2.0,
    }
    folder = tmp_path_factory.mktemp("library")
    write_library(section, 1, folder)
    names = [model.model_id for model in plan(section)]
    return {"simulation": {**simulation, "grid": 64}, "models": names}, folder


def run(small, tmp_path, name="shard000", **changes):
    spec, folder = small
    spec = {**spec, "simulation": {**spec["simulation"], **changes}}
    output = tmp_path / f"{name}.h5"
    simulate_shard(spec, folder, output, tmp_path / "work", lambda line: None)
    return output


@pytest.fixture
def count(monkeypatch):
    """Count the simulated waves."""
    done = []

    def counted(atoms, tilts, simulation, original=waves.exit_waves):
        done.extend(tilts)
        return original(atoms, tilts, simulation)

    monkeypatch.setattr(waves, "exit_waves", counted)
    return done


def run_killed(small, tmp_path, saved: int) -> None:
    """Let the program die while it saves a wave, after so many whole ones."""
    left = [saved]

    def save(stream, wave, original=np.save):
        if left[0] == 0:
            stream.write(b"half of a")
            raise Killed
        left[0] -= 1
        original(stream, wave)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.np, "save", save)
        with pytest.raises(Killed):
            run(small, tmp_path)


def test_shard_holds_the_models_in_order_with_their_parameters(small, tmp_path, count):
    output = run(small, tmp_path)
    rows = [row for row, _ in read_waves([output])]
    assert [row["model_id"] for row in rows] == small[0]["models"]
    assert len(count) == 6
    assert [row["tilt_x_deg"] for row in rows] == [0, 3] * 3
    assert all(row["cell_y_nm"] == 2.0 for row in rows)
    assert not list((tmp_path / "work" / "waves").iterdir())  # unfinished work is cleared


def test_waves_in_a_shard_are_those_of_the_model(small, tmp_path):
    import ase.io

    spec, folder = small
    output = run(small, tmp_path)
    row, wave = list(read_waves([output]))[3]
    atoms = ase.io.read(folder / "library.extxyz", index=row["structure_index"])
    assert atoms.info["structure_id"] == row["structure_id"]
    tilt = (row["tilt_x_deg"], row["tilt_y_deg"])
    assert np.array_equal(wave, waves.exit_waves(atoms, [tilt], spec["simulation"])[0])


@pytest.mark.parametrize("saved", [0, 1, 3, 5])
def test_killed_run_continues_bit_identically(small, tmp_path, count, saved):
    whole = run(small, tmp_path / "whole").read_bytes()
    run_killed(small, tmp_path, saved)
    assert not (tmp_path / "shard000.h5").exists()
    left = [p.suffix for p in (tmp_path / "work").rglob("*") if p.is_file()]
    assert left == [".npy"] * saved  # whole waves only
    count.clear()
    assert run(small, tmp_path).read_bytes() == whole
    assert len(count) == 6 - saved


def test_work_of_other_parameters_is_not_continued(small, tmp_path, count):
    warmer = {"debye_waller_nm": {"Pt": 0.009}}
    expected = run(small, tmp_path / "whole", **warmer).read_bytes()
    run_killed(small, tmp_path, saved=3)
    count.clear()
    assert run(small, tmp_path, **warmer).read_bytes() == expected
    assert len(count) == 6


def test_model_that_the_library_lacks(small, tmp_path):
    spec, folder = small
    lacking = {**spec, "models": [*spec["models"], "PtNp9z-D0-16L-x0y0"]}
    with pytest.raises(UserError, match=r"models\.csv has no model PtNp9z.*run `structures`"):
        simulate_shard(lacking, folder, tmp_path / "s.h5", tmp_path / "work", lambda line: None)


def test_library_that_is_missing(small, tmp_path):
    with pytest.raises(UserError, match=r"library\.extxyz does not exist; run `structures` first"):
        simulate_shard(small[0], tmp_path, tmp_path / "s.h5", tmp_path / "work", print)


def interrupt_with(monkeypatch, place: str, number: int, other) -> list:
    """Call `other` once, before the given call of np.save or np.load of this module."""
    calls, original = [], getattr(np, place)

    def wrapped(*args):
        calls.append(args)
        if len(calls) == number + 1:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(shards.np, place, original)
                other()
        return original(*args)

    monkeypatch.setattr(shards.np, place, wrapped)
    return calls


@pytest.mark.parametrize(("place", "number"), [("save", 0), ("save", 3), ("save", 5), ("load", 2)])
def test_another_job_of_the_same_shard_finishes_in_between(
    small, tmp_path, monkeypatch, place, number
):
    """It clears the folder of work that this one is using; both end with the same bytes."""
    whole = run(small, tmp_path / "whole").read_bytes()
    seen = []
    interrupt_with(
        monkeypatch, place, number, lambda: seen.append(run(small, tmp_path).read_bytes())
    )
    assert run(small, tmp_path).read_bytes() == whole
    assert seen == [whole]
    assert not list((tmp_path / "work" / "waves").iterdir())
    assert [path.name for path in tmp_path.glob("*.h5*")] == ["shard000.h5"]


def test_another_job_has_cleared_the_work_and_its_shard_is_gone(small, tmp_path, monkeypatch):
    whole = run(small, tmp_path / "whole").read_bytes()

    def finish_and_lose():
        run(small, tmp_path).unlink()

    interrupt_with(monkeypatch, "load", 4, finish_and_lose)
    assert run(small, tmp_path).read_bytes() == whole


def test_work_of_other_shards_is_left_alone(small, tmp_path):
    others = ["shard0001-0123456789ab", "shard000-phonons-0123456789ab", "shard001-0123456789ab"]
    for name in [*others, "shard000-0123456789ab"]:
        (tmp_path / "work" / "waves" / name).mkdir(parents=True)
    run(small, tmp_path)
    left = sorted(path.name for path in (tmp_path / "work" / "waves").iterdir())
    assert left == sorted(others)


def test_frames_of_a_library_are_found_by_their_place(small):
    """Atoms read from the middle of the file are those that ASE counts to."""
    import ase.io

    library = small[1] / "library.extxyz"
    frames = shards._Frames(library)
    for index, expected in enumerate(ase.io.iread(library, index=":")):
        atoms = frames.atoms(index)
        assert atoms.get_chemical_symbols() == expected.get_chemical_symbols()
        assert np.array_equal(atoms.positions, expected.positions)
        assert np.array_equal(atoms.cell, expected.cell)
        assert atoms.info["structure_id"] == expected.info["structure_id"]
    assert index == 2
