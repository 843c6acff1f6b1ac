"""Scores of a benchmark: known answers, the evaluation's own numbers, and what is refused."""

import json
import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from lowdose.cli import main
from lowdose.data.frames import FrameSet
from lowdose.denoisers.registry import create
from lowdose.evaluation.benchmark_files import Benchmark
from lowdose.evaluation.estimates import EstimateFolder
from lowdose.evaluation.evaluate import Evaluation
from lowdose.evaluation.limits import ideal_sites
from lowdose.evaluation.score import Scorer
from lowdose.evaluation.stakes import ABOUT
from lowdose.report.benchmark_page import EXAMPLE, readme
from lowdose.runtime import UserError
from lowdose.sampling import dose_e_per_a2


def write(folder, benchmark, estimate, kinds=None, doses=None, dtype=np.float32):
    """Write what `estimate` makes of (clean, counts) [e/px] of every image, as others would."""
    folder.mkdir(exist_ok=True)
    for kind in kinds or benchmark.sets:
        frames = benchmark.frames(kind)
        for dose in doses or benchmark.doses:
            counts = benchmark.counts(kind, dose).astype(np.float32)
            many = len(counts) // len(frames.clean)
            clean = np.tile(frames.clean * np.float32(dose), (many, 1, 1))
            np.save(folder / f"{kind}-{dose:g}.npy", estimate(clean, counts).astype(dtype))
    return folder


def gaussian(clean, counts):
    return create("gaussian", sigma_nm=0.04).denoise(counts, 0.0122, dose=0.3)


def perfect(clean, counts):
    # Perfect particle and vacancy follow each other; draw the facet whatever the counts say.
    return np.repeat(clean[0::2], 2, axis=0)


def never(clean, counts):
    return np.repeat(clean[1::2], 2, axis=0)


def table_of(benchmark, folder):
    """Return the rows of one folder at all sets, by (set, shift, dose)."""
    scorer = Scorer(benchmark)
    scored = scorer.score(EstimateFolder(folder, benchmark))
    return scorer.table("mine", scored.images, scored.sites).set_index(
        ["set", "shift", "dose_e_per_px"]
    )


def rates(table):
    names = ["fill_in_rate", "erasure_rate", "right_rate", "auc"]
    return {tuple(row) for row in table[names].to_numpy().round(12)}


def test_the_expectation_decides_everything_rightly(benchmark, tmp_path):
    table = table_of(benchmark, write(tmp_path / "clean", benchmark, lambda clean, _: clean))
    assert rates(table) == {(0.0, 0.0, 1.0, 1.0)}
    assert (table[["f1", "precision", "recall", "ssim"]] == 1).all(axis=None)
    assert np.isposinf(table["psnr_db"]).all() and np.isposinf(table["contrast_psnr_db"]).all()
    assert (table["n_units"].loc["test"] == 3).all() and (
        table["n_units"].loc["shifted"] == 2
    ).all()
    assert (table["n_images"].loc["test"] == 12).all()
    assert (table["interval_method"] == "jackknife t").all()


def test_the_perfect_facet_fills_in_and_its_absence_erases(benchmark, tmp_path):
    kinds = ["validation", "test"]
    table = table_of(benchmark, write(tmp_path / "perfect", benchmark, perfect, kinds)).loc["test"]
    assert rates(table) == {(1.0, 0.0, 0.5, 0.5)}
    # Without any evidence of the column at stake it has a good surface and a good image.
    assert (table["f1"] > 0.9).all() and (table["contrast_psnr_db"] > 10).all()
    table = table_of(benchmark, write(tmp_path / "never", benchmark, never, kinds)).loc["test"]
    assert rates(table) == {(0.0, 1.0, 0.5, 0.5)}


def test_raw_counts_have_the_papers_decibels(benchmark, tmp_path):
    folder = tmp_path / "raw"
    write(folder, benchmark, lambda _, counts: counts, ["test"], dtype=np.uint8)
    table = table_of(benchmark, folder)
    mean = benchmark.frames("test").clean.mean()
    for dose in (0.45, 2.0):
        # The error of Poisson counts is their mean; images are read at 0.45 e/px with MAX = 1.
        known = -10 * np.log10(0.45**2 * mean / dose)
        assert table.loc[("test", "", dose), "psnr_db"] == pytest.approx(known, abs=0.05)
    assert table.loc[("test", "", 0.45), "psnr_db"] == pytest.approx(3.5, abs=0.4)
    assert (table["counts_kept"].loc["test"] == 1).all()


def test_all_shifts_are_taken_together_without_the_unshifted(benchmark, tmp_path):
    def worse_where_moved(clean, counts):
        clean = clean.copy()
        if len(clean) == 8:  # the shifted set: four unshifted frames, four moved ones
            clean[4:] += 0.05
        return clean

    table = table_of(
        benchmark, write(tmp_path / "moved", benchmark, worse_where_moved, ["shifted"])
    )
    psnr = table["psnr_db"].loc["shifted"].unstack()
    assert np.isposinf(psnr.loc["none"]).all()
    np.testing.assert_allclose(psnr.loc["registry", 0.45], -20 * np.log10(0.05), atol=1e-4)
    np.testing.assert_array_equal(psnr.loc["all"], psnr.loc["registry"])


@dataclass(frozen=True)
class Stored(FrameSet):
    """Frames of a benchmark whose counts are the stored ones."""

    source: tuple[Benchmark, str] | None = None

    def counts(self, frame, dose_e_per_px, realisation, seed):
        benchmark, kind = self.source
        stored = benchmark.counts(kind, dose_e_per_px)
        return stored[realisation * len(self.clean) + frame].astype(np.float32)


def stored(benchmark, kind):
    frames = benchmark.frames(kind)
    return Stored(**vars(frames), source=(benchmark, kind))


@pytest.fixture(scope="module")
def evaluated(benchmark, spec):
    """The study's own evaluation on the same frames and counts."""
    both = {**spec, "doses_e_per_px": [0.45, 2.0], "realisations": 2, "realisations_elsewhere": 2}
    sites = benchmark.table("test", "sites")
    evaluation = Evaluation(
        stored(benchmark, "validation"), stored(benchmark, "test"), both, sites[list(ABOUT)]
    )
    filtered = create("gaussian", sigma_nm=0.04)
    return evaluation.run(
        lambda counts, dose, _: filtered.denoise(
            counts[None], 0.0122, dose=dose_e_per_a2(dose, 0.0122)
        )[0]
    )


def test_a_folder_scores_what_the_evaluation_measures(benchmark, evaluated, tmp_path):
    folder = write(tmp_path / "gaussian", benchmark, gaussian)
    scored = Scorer(benchmark).score(EstimateFolder(folder, benchmark))
    keys = ["dose_e_per_px", "frame", "realisation"]
    found = scored.images[scored.images["set"] == "test"].sort_values(keys)
    known = evaluated.frames.sort_values(keys)
    for name in ("n_true", "n_found", "n_matched", "threshold"):
        np.testing.assert_array_equal(found[name], known[name], err_msg=name)
    for name in ("psnr", "contrast_psnr", "ssim"):
        np.testing.assert_allclose(found[name], known[name], rtol=1e-6, err_msg=name)
    keys = [*keys, "pair", "present"]
    found = scored.sites[scored.sites["set"] == "test"].sort_values(keys)
    known = evaluated.sites.sort_values(keys)
    np.testing.assert_allclose(found["score"], known["score"], rtol=1e-5)
    np.testing.assert_array_equal(found["reported"], known["reported"])
    # Of a filter some decisions are wrong: the equality above is no emptiness.
    assert 0 < known["reported"].mean() < 1 and known["n_atoms"].size == 24


def test_the_ideal_observer_is_that_of_the_study(benchmark, spec):
    sites = benchmark.table("test", "sites")
    both = {**spec, "doses_e_per_px": [0.45, 2.0], "realisations": 2, "realisations_elsewhere": 2}
    known = ideal_sites(stored(benchmark, "test"), sites[list(ABOUT)], both)
    keys = ["dose_e_per_px", "pair", "present", "realisation"]
    scorer = Scorer(benchmark)
    found = scorer.ideal()
    of_test = found[found["set"] == "test"].sort_values(keys)
    # The study multiplies by the dose in float32.
    np.testing.assert_allclose(of_test["score"], known.sort_values(keys)["score"], atol=1e-5)
    # Columns of half the vacuum's height: two electrons a pixel leave no doubt.
    table = scorer.table("ideal", None, found)
    assert rates(table[table["dose_e_per_px"] == 2.0]) == {(0.0, 0.0, 1.0, 1.0)}
    assert table["psnr_db"].isna().all() and (table["status"] == "scored").all()


def test_what_is_missing_is_missing_and_no_zero(benchmark, tmp_path):
    folder = write(tmp_path / "part", benchmark, gaussian, ["test"], [0.45])
    table = table_of(benchmark, folder)
    here = table.loc[("test", "", 0.45)]
    # Without validation there is no threshold; what needs none is there.
    assert here["status"] == "scored" and here["psnr_db"] > 0 and here["auc"] > 0.5
    assert here[["f1", "precision", "recall", "fill_in_rate", "erasure_rate", "right_rate",
                 "threshold"]].isna().all()  # fmt: skip
    others = table.drop(index=("test", "", 0.45))
    assert (others["status"] == "missing").all()
    assert others[["psnr_db", "ssim", "auc", "n_images"]].isna().all(axis=None)
    whole = write(tmp_path / "part", benchmark, gaussian, ["validation", "test"], [0.45])
    assert table_of(benchmark, whole).loc[("test", "", 0.45), "f1"] > 0


BAD = {
    "order": (lambda c: np.roll(c, 2, axis=0), "fits the counts of image"),
    "realisations": (lambda c: c[np.arange(12).reshape(2, 6).T.ravel()], "keep the order"),
    "flipped": (lambda c: c[:, ::-1], "fit their counts better upside down"),
    "transposed": (lambda c: c.swapaxes(1, 2), "with rows and columns exchanged"),
    "axes": (lambda c: np.moveaxis(c, 0, 2), r"axes are in another order than \(image, y, x\)"),
    "one": (lambda c: c[0], "keep the shape of the counts"),
    "nan": (lambda c: np.where(np.arange(len(c))[:, None, None] == 3, np.nan, c),
            "image 3 has 36864 values that are NaN or infinite .1 of 12"),
    "relative": (lambda c: c / 0.45, "relative to vacuum .* multiply it by the dose, 0.45"),
    "bytes": (lambda c: 100 * c, "in another unit: its mean is 100 times that of the counts"),
    "centred": (lambda c: c - c.mean(), "in another unit: its mean is"),
    "complex": (lambda c: c.astype(np.complex64), "the type complex64; give real numbers"),
    "pickled": (lambda c: c.astype(object), "cannot be read as an array of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_one_sentence_with_the_files_name(benchmark, tmp_path, name):
    spoil, sentence = BAD[name]
    clean = np.tile(0.45 * benchmark.frames("test").clean, (2, 1, 1))
    np.save(tmp_path / "test-0.45.npy", spoil(clean), allow_pickle=True)
    with pytest.raises(UserError, match=sentence) as refused:
        EstimateFolder(tmp_path, benchmark)("test", 0.45)
    assert str(refused.value).count("\n") == 0 and "test-0.45.npy" in str(refused.value)


@pytest.mark.parametrize("name", ["clean", "constant", "raw", "inverted", "perfect", "half"])
def test_what_is_merely_bad_is_scored(benchmark, tmp_path, name):
    counts = benchmark.counts("test", 0.45).astype(np.float32)
    clean = np.tile(np.float32(0.45) * benchmark.frames("test").clean, (2, 1, 1))
    made = {"clean": clean, "constant": np.full_like(clean, clean.mean()), "raw": counts,
            "inverted": 2 * clean.mean() - clean, "perfect": perfect(clean, counts),
            "half": clean.astype(np.float16)}  # fmt: skip
    np.savez(tmp_path / "test-0.45.npz", made[name])
    found = EstimateFolder(tmp_path, benchmark)("test", 0.45)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, made[name].astype(np.float32))


def test_files_of_no_name_and_of_two(benchmark, tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match=r"holds no estimates; .* validation-0.45\.npy"):
        EstimateFolder(tmp_path, benchmark)
    with pytest.raises(UserError, match="There is no folder"):
        EstimateFolder(tmp_path / "nowhere", benchmark)
    np.save(tmp_path / "test-2.npy", np.zeros(1))
    np.savez(tmp_path / "test-2.npz", np.zeros(1), np.zeros(1))
    with pytest.raises(UserError, match=r"test-2\.npy and test-2\.npz are both there"):
        EstimateFolder(tmp_path, benchmark)
    (tmp_path / "test-2.npy").unlink()
    with pytest.raises(UserError, match="has 2 arrays; leave the one"):
        EstimateFolder(tmp_path, benchmark)("test", 2.0)


def test_the_command_scores_the_readmes_example_beside_our_own(benchmark, tmp_path, capsys):
    folder = tmp_path / "benchmark"
    shutil.copytree(benchmark.folder, folder)
    assert EXAMPLE in readme(benchmark.manifest, benchmark.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        seen = set()

        def denoise(counts, dose):
            seen.add(dose)
            return 1.03 * ndimage.gaussian_filter(counts, (0, 3, 3))

        exec(EXAMPLE, {"denoise": denoise})
    assert seen == {0.45, 2.0}
    (folder / "mine" / "tests-2.npy").write_bytes(b"")
    flat = write(tmp_path / "flat", benchmark, lambda _, counts: create("constant").denoise(
        counts, 0.0122), ["validation", "test"])  # fmt: skip
    output = tmp_path / "scores.csv"
    words = [str(folder), str(folder / "mine"), str(flat), "--own", "constant", "clean", "ideal"]
    assert main(["--threads", "1", "score", *words, "--output", str(output)]) == 0
    page = capsys.readouterr().out
    assert page == output.with_suffix(".md").read_text()
    assert page.startswith(f"Benchmark `{benchmark.name}`, scored by code `")
    assert "mine: not used, since no input has the name: tests-2.npy." in page
    assert "mine: counts are not kept in test-0.45, the mean is +3.0 % off" in page
    table = pd.read_csv(output, keep_default_na=False).set_index(["set", "shift", "dose_e_per_px"])
    assert (table["benchmark"] == benchmark.name).all() and len(table) == 5 * (2 + 3 * 2)
    rows = {name: table[table["method"] == name] for name in table["method"].unique()}
    assert list(rows) == ["mine", "flat", "constant", "clean", "ideal"]
    # The same images score the same, from a folder or from our own denoiser.
    pd.testing.assert_frame_equal(rows["flat"].loc["test"].drop(columns="method"),
                                  rows["constant"].loc["test"].drop(columns="method"))  # fmt: skip
    assert "flat: no estimates of shifted-0.45, shifted-2." in page
    assert (rows["flat"]["status"].groupby("set").first() == ["missing", "scored"]).all()
    at = ("test", "", 0.45)
    assert float(rows["flat"].loc[at, "auc"]) == 0.5 < float(rows["mine"].loc[at, "auc"])
    assert float(rows["clean"].loc[at, "f1"]) == 1 and "| clean | ∞ | ∞ |" in page
    assert rows["ideal"].loc[at, "f1"] == "" and "| ideal | - | - |" in page


def test_wrong_words_are_one_sentence(benchmark, tmp_path, capsys):
    folder = str(benchmark.folder)
    for words, sentence in (
        ([folder], "There is nothing to score"),
        ([folder, "--own", "raw", "raw"], "Two methods are called raw"),
        ([folder, "--own", "raw", "--output", "table.txt"], "a name that ends in .csv"),
        ([str(tmp_path), "--own", "raw"], "holds no benchmark.json"),
        ([folder, "--own", "gauss"], "gauss"),
    ):
        assert main(["--threads", "1", "score", *words]) == 2
        told = capsys.readouterr().err.splitlines()[-1]
        assert told.startswith("lowdose: ") and sentence in told
    assert json.loads((benchmark.folder / "benchmark.json").read_text()) == benchmark.manifest
