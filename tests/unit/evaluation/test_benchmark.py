"""The benchmark: what is cropped, drawn, written, and refused once it has changed."""

import dataclasses
import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest

from lowdose.cli import main
from lowdose.config_world import MARGIN_TOP_NM, Camera, Optics
from lowdose.data.frames import write_frames
from lowdose.evaluation import benchmark_files
from lowdose.evaluation.benchmark import counted_sets, smallest_type, stakes_in
from lowdose.evaluation.benchmark_files import read_benchmark, write_benchmark
from lowdose.evaluation.stakes import ABOUT, stakes
from lowdose.runtime import UserError

MANY = {"validation": 2, "test": 2, "shifted": 1}
IMAGING = {"optics": Optics().model_dump(), "energy_kev": 300.0,
           "camera": {**Camera().model_dump(), "pixel_size_nm": 0.0122}}  # fmt: skip


def test_a_crop_shows_the_particle_where_its_truth_says(sources, counted):
    for name, one in counted.items():
        frames, pixel = one.frames, one.frames.pixel_size_nm
        assert frames.clean.shape[1:] == (192, 192) != sources[name].clean.shape[1:]
        for frame, own in frames.columns[frames.columns["n_atoms"] > 0].groupby("frame"):
            at = (own[["y_nm", "x_nm"]].to_numpy() / pixel).round().astype(int)
            # Columns are 0.5 above vacuum, and float16 keeps three digits.
            assert (frames.clean[frame][tuple(at.T)] > 1.45).all()
        # No column was left out, and the interface moved with the crop.
        assert len(frames.columns) == len(sources[name].columns)
        lowest = frames.columns.groupby("frame")["y_nm"].max()
        gap = frames.table["interface_y_nm"].to_numpy() - lowest.to_numpy()
        np.testing.assert_allclose(gap, 0.115)
        np.testing.assert_array_equal(frames.clean, frames.clean.astype(np.float16))


def test_counts_are_those_of_the_study_and_independent_of_each_other(sources, counted):
    test, n = counted["test"], len(sources["test"].clean)
    for image in (0, n + 1):
        whole = sources["test"].counts(image % n, 0.45, image // n, 7)
        found = test.counts[0.45][image]
        places = np.lib.stride_tricks.sliding_window_view(whole, found.shape)
        assert (places == found).all(axis=(2, 3)).sum() == 1
    assert test.counts[0.45].dtype == np.uint8
    # Poisson: mean and variance of the counts less the expectation, over all pixels.
    expected = np.tile(0.45 * test.frames.clean, (2, 1, 1))
    away = (test.counts[0.45] - expected).astype(np.float64)
    error = np.sqrt(expected.mean() / away.size)
    assert abs(away.mean()) < 4 * error
    assert away.var() == pytest.approx(expected.mean(), rel=0.02)
    # Realisations and shifts share no noise: one model is unshifted (0) and shifted (4).
    shifted = counted["shifted"]
    noise = shifted.counts[0.45] - 0.45 * shifted.frames.clean
    for one, other in ((away[0], away[n]), (noise[0], noise[4])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


def test_counts_take_the_smallest_type_that_holds_them():
    assert smallest_type(np.array([0.0, 255.0])).dtype == np.uint8
    assert smallest_type(np.array([0.0, 256.0])).dtype == np.uint16
    # Less a dark reference they are no whole numbers, and may be negative.
    assert smallest_type(np.array([0.5, 3.0])).dtype == np.float32
    assert smallest_type(np.array([-1.0, 3.0])).dtype == np.float32


def test_columns_at_stake_are_those_of_the_evaluation(sources, pairs):
    test = sources["test"]
    found, known = stakes_in(pairs, test), stakes(pairs, test)
    assert len(found) == 6
    pd.testing.assert_frame_equal(found[list(ABOUT)], known, check_dtype=False)


def test_columns_at_stake_follow_a_particle_that_moved(sources, pairs):
    found = stakes_in(pairs, sources["shifted"]).set_index(["base_shape", "present"])
    assert len(found) == 8 and found["pair"].nunique() == 4
    # Ten pixels, as the fixture moved it; the frames are those of the shift.
    moved, unmoved = (found[found["shift"] == name] for name in ("registry", "none"))
    np.testing.assert_allclose((moved["x_nm"] - unmoved["x_nm"]).to_numpy(), 10 * 0.0122)
    assert (moved["frame"] - unmoved["frame"] == 4).all()


def test_a_benchmark_without_pairs_is_refused(sources, pairs):
    none = pairs.assign(model_absent="PtNp9z-D1")
    with pytest.raises(UserError, match=r"No two test frames .*give the pairs\.csv"):
        counted_sets({"test": sources["test"]}, none, [0.45], MANY, 7)


def test_two_benchmarks_of_one_study_are_the_same_bytes(counted, benchmark, tmp_path):
    about = {key: benchmark.manifest[key] for key in ("study", "seed", "spec", "spec_digest",
                                                      "scoring")}  # fmt: skip
    again = write_benchmark(tmp_path, counted, about)
    assert again.name == benchmark.name and len(again.name) == 64
    files = [p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 1 + len(benchmark.manifest["files"]) == 1 + 6 + 3 * 4
    for path in files:
        assert (tmp_path / path).read_bytes() == (benchmark.folder / path).read_bytes(), path
    # Another seed, another name.
    assert write_benchmark(tmp_path, counted, {**about, "seed": 8}).name != benchmark.name


def test_what_was_written_is_read(counted, benchmark):
    read = read_benchmark(benchmark.folder)
    assert read.doses == [0.45, 2.0] and list(read.sets) == ["validation", "test", "shifted"]
    assert read.sets["test"]["pairs"] == {"vacancy": 3}
    assert read.sets["shifted"]["shifts"] == ["none", "registry"]
    for kind, one in counted.items():
        frames = read.frames(kind)
        np.testing.assert_array_equal(frames.clean, one.frames.clean)
        np.testing.assert_array_equal(read.counts(kind, 2.0), one.counts[2.0])
        for column in ("x_nm", "y_nm", "is_particle", "is_surface", "site"):
            found, known = frames.columns[column], one.frames.columns[column]
            assert found.dtype.kind == known.dtype.kind
            assert (found == known).all() or np.allclose(found, known, rtol=1e-8)


@pytest.mark.parametrize(
    "name", ["inputs/test-0.45.npz", "truth/shifted.npz", "truth/test-columns.csv",
             "truth/test-sites.csv", "benchmark.json"]
)  # fmt: skip
def test_a_changed_byte_is_refused_and_named(benchmark, tmp_path, name):
    folder = tmp_path / "copy"
    shutil.copytree(benchmark.folder, folder)
    path = folder / name
    content = bytearray(path.read_bytes())
    if name.endswith(".json"):
        content = content.replace(b'"seed": 7', b'"seed": 8')
    else:
        content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError) as refused:
        read_benchmark(folder)
    assert str(path) in str(refused.value) and "get the benchmark anew" in str(refused.value)


def test_an_array_exchanged_for_another_is_refused(benchmark, tmp_path):
    # A sound archive with one count more: no checksum of the format tells.
    folder = tmp_path / "copy"
    shutil.copytree(benchmark.folder, folder)
    path = folder / "inputs/test-2.npz"
    counts = np.load(path)["counts"]
    counts[3, 50, 60] += 1
    np.savez_compressed(path, counts=counts)
    assert zipfile.ZipFile(path).testzip() is None
    with pytest.raises(UserError, match=r"test-2\.npz is not what it was"):
        read_benchmark(folder)
    path.unlink()
    with pytest.raises(UserError, match=r"test-2\.npz is not what it was"):
        read_benchmark(folder)


def test_no_benchmark_and_one_of_another_version(benchmark, tmp_path):
    with pytest.raises(UserError, match=r"holds no benchmark\.json"):
        read_benchmark(tmp_path)
    manifest = json.loads((benchmark.folder / "benchmark.json").read_text())
    (tmp_path / "benchmark.json").write_text(json.dumps({**manifest, "version": 2}))
    with pytest.raises(UserError, match="is of version 2"):
        read_benchmark(tmp_path)


def test_a_benchmark_that_is_too_large_is_none(counted, benchmark, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_files, "LARGEST_BYTES", 1e5)
    with pytest.raises(UserError, match="MB, and 0 are allowed; lower --realisations"):
        write_benchmark(tmp_path, counted, {"seed": 7})
    assert not (tmp_path / "benchmark.json").exists()


def frozen(folder, sources, pairs, names=("validation", "test")):
    """Write the sets as the stage `frames` does; return the words for the command."""
    for name in names:
        frames = sources[name]
        frozen = []
        for row, clean in zip(frames.table.to_dict("records"), frames.clean, strict=True):
            own = frames.columns[frames.columns["frame"] == row["frame"]].drop(columns="frame")
            about = {**row, "interface_y_nm": row["interface_y_nm"] + MARGIN_TOP_NM}
            frozen.append((about, clean, own.assign(y_nm=own["y_nm"] + MARGIN_TOP_NM)))
        write_frames(folder / f"{name}.h5", name, frozen, IMAGING, [0.45], 7)
    pairs.to_csv(folder / "pairs.csv", index=False)
    config = folder / "own.yaml"
    config.write_text("seed: 7\ncamera: {pixel_size_nm: 0.0122}\n")
    return ["--config", str(config), "--frames", str(folder), "--pairs", str(folder / "pairs.csv")]


def test_one_command_makes_it_from_a_folder_of_results(sources, pairs, counted, tmp_path, capsys):
    words = frozen(tmp_path, sources, pairs)
    made = str(tmp_path / "made")
    assert main(["--threads", "1", "benchmark", made, *words, "--doses", "2", "0.45"]) == 0
    assert "no set that leaves the training world" in capsys.readouterr().err
    read = read_benchmark(tmp_path / "made")
    page = (tmp_path / "made" / "README.md").read_text()
    assert read.name in page and "| `test` | 6 | 4 | 3 | 3 vacancy |" in page
    assert read.doses == [0.45, 2.0] and list(read.sets) == ["validation", "test"]
    assert read.sets["test"]["realisations"] == 4
    # The first two realisations are those of the same frames above.
    np.testing.assert_array_equal(read.counts("test", 2.0)[:12], counted["test"].counts[2.0])
    assert read.manifest["spec"]["camera"]["pixel_size_nm"] == 0.0122
    assert main(["benchmark", made, *words]) == 2
    assert "holds a benchmark; name another folder" in capsys.readouterr().err
    # Replaced by one with other doses: the arrays of the first go, what others put there stays.
    (tmp_path / "made" / "inputs" / "mine.npz").write_bytes(b"mine")
    words += ["--doses", "0.45", "--overwrite"]
    assert main(["--threads", "1", "benchmark", made, *words]) == 0
    there = {path.name for path in (tmp_path / "made" / "inputs").iterdir()}
    assert there == {"mine.npz", "test-0.45.npz", "validation-0.45.npz"}


def test_frames_of_another_study_are_refused(sources, pairs, tmp_path, capsys):
    words = frozen(tmp_path, sources, pairs)
    for text, why in (
        ("seed: 8\ncamera: {pixel_size_nm: 0.0122}\n", "do not follow from the seed 8"),
        ("seed: 7\ncamera: {pixel_size_nm: 0.0122, vibration_nm: 0.03}\n", "another camera"),
        ("seed: 7\ncamera: {pixel_size_nm: 0.0122}\noptics: {c3_um: -12}\n", "another optics"),
    ):
        (tmp_path / "own.yaml").write_text(text)
        assert main(["benchmark", str(tmp_path / "made"), *words]) == 2
        assert why in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda pairs: "", "cannot be read as a table (EmptyDataError)"),
        (lambda pairs: pairs.drop(columns="column").to_csv(index=False), "has no column column"),
        (lambda pairs: "a,b\n1,2\n", "has no column base_shape"),
    ],
)
def test_pairs_of_another_form_are_one_sentence(sources, pairs, tmp_path, capsys, spoil, says):
    words = frozen(tmp_path, sources, pairs)
    (tmp_path / "pairs.csv").write_text(spoil(pairs))
    assert main(["--threads", "1", "benchmark", str(tmp_path / "made"), *words]) == 2
    assert f"{tmp_path / 'pairs.csv'} {says}" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_shifted_frames_without_a_pair_are_refused(sources, pairs, tmp_path, capsys):
    shifted = sources["shifted"]
    alone = shifted.table.assign(c1_nm=np.arange(len(shifted.table), dtype=float))
    sets = {**sources, "shifted": dataclasses.replace(shifted, table=alone)}
    words = frozen(tmp_path, sets, pairs, ("validation", "test", "shifted"))
    assert main(["--threads", "1", "benchmark", str(tmp_path / "made"), *words]) == 2
    assert "shifted.h5 show a matched pair" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()
