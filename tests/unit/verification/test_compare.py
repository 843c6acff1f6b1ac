"""A changed parameter is found and named; what only rounds differently is no difference."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from lowdose.cli import main
from lowdose.imaging.store import write_shard
from lowdose.runtime import UserError
from lowdose.verification.compare import compare
from lowdose.verification.extract import extract
from lowdose.verification.reference import read_reference, write_reference
from lowdose.verification.rules import HAVE_LOW_AND_HIGH, KEYS

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"


def unlike(items):
    return [(i.kind, i.item, i.verdict, i.detail) for i in items if i.verdict != "agrees"]


@pytest.fixture(scope="session")
def published(results):
    return extract(results.folder)


@pytest.fixture
def changed(results, tmp_path):
    return results.copy(tmp_path / "results")


def test_the_same_results_agree_in_every_item(results, published):
    items = compare(published, extract(results.folder))
    numbers = {kind: sum(i.kind == kind for i in items) for kind in published}
    assert unlike(items) == []
    assert numbers == {"models": 2, "columns": 84, "waves": 2, "frames": 2, "networks": 2}


def test_a_removed_column_is_named_with_its_place(changed, published):
    gone = published["columns"].iloc[30]
    changed.edit("structures/columns.parquet", lambda t: t.reset_index(drop=True).drop(index=30))
    ((kind, item, verdict, detail),) = unlike(compare(published, extract(changed.folder)))
    assert (kind, verdict) == ("columns", "missing")
    assert item == f"{gone['model_id']} Pt {gone['column']}"
    assert detail == f"bulk column of 5 Pt at ({gone['x_nm']:.3f}, {gone['y_nm']:.3f}) nm"


def test_a_moved_column_and_one_of_fewer_atoms_are_found(changed, published):
    def edit(table):
        table = table.reset_index(drop=True)
        table.loc[3, "x_nm"] += 0.001
        table.loc[5, "n_atoms"] = 4
        return table

    changed.edit("structures/columns.parquet", edit)
    found = unlike(compare(published, extract(changed.folder)))
    assert [detail.split()[0] for *_, detail in found] == ["x_nm", "n_atoms"]
    assert found[1][3] == "n_atoms 5, now 4"


def test_a_defocus_of_one_nanometre_is_named(changed, published):
    changed.write_frames(c1_nm=9.0)
    found = unlike(compare(published, extract(changed.folder)))
    assert len(found) == 2
    for kind, _, verdict, detail in found:
        assert (kind, verdict) == ("frames", "differs")
        assert "c1_nm 8, now 9" in detail and "root mean square" in detail


def test_a_defocus_that_the_table_hides_shows_in_the_image(changed, published, results):
    """Images at C1 = 9 nm under a table that says 8: what the projections say is the truth."""
    changed.write_frames(c1_nm=9.0)
    rerun = extract(changed.folder)
    rerun["frames"]["c1_nm"] = 8.0
    found = unlike(compare(published, rerun))
    from lowdose.data.frames import read_frames

    sides = [read_frames(r.folder / "frames" / "test.h5").clean for r in (results, changed)]
    for (*_, detail), one, other in zip(found, *sides, strict=True):
        distance = float(detail.split("the image is ")[1].split()[0])
        assert distance == pytest.approx(np.sqrt(((one - other) ** 2).mean()), rel=0.5)


def test_other_optics_and_another_seed_are_named(changed, published):
    changed.write_frames(c3_um=-14.0)
    found = unlike(compare(published, extract(changed.folder)))
    assert all("optics.c3_um -13, now -14" in detail for *_, detail in found) and len(found) == 2
    changed.write_frames(noise_seed=2)
    found = unlike(compare(published, extract(changed.folder)))
    assert found and all("electrons_at_" in detail for *_, detail in found)
    assert not any("image" in detail for *_, detail in found)


def test_sums_in_another_order_are_no_difference(changed, published):
    """Waves with the error of single precision agree; a thousandth of the vacuum does not."""
    rng = np.random.default_rng(1)
    rows = pd.read_csv(changed.folder / "structures" / "models.csv").to_dict("records")
    for size, verdicts in ((1e-6, {"agrees"}), (1e-3, {"differs"})):
        waves = (
            (row, (w + size * rng.normal(size=w.shape)).astype(np.complex64))
            for row, w in zip(rows, changed.waves.values(), strict=True)
        )
        write_shard(changed.folder / "waves" / "shard000.h5", waves,
                    {"energy_kev": 300.0, "slice_thickness_nm": 0.2,
                     "parametrization": "lobato"})  # fmt: skip
        items = compare(published, extract(changed.folder))
        assert {i.verdict for i in items if i.kind == "waves"} == verdicts


def test_another_learning_rate_is_named(changed, published):
    def edit(card):
        card["training"]["learning_rate"] = 0.001
        return card

    changed.edit_card("wide.white.seed0", edit)
    assert unlike(compare(published, extract(changed.folder))) == [
        ("networks", "wide.white.seed0", "differs", "training.learning_rate 0.002, now 0.001")
    ]


def test_half_a_file_that_a_killed_job_left_is_no_result(changed, published):
    (changed.folder / "frames" / ".test.ab12cd34.partial.h5").write_bytes(b"")
    assert unlike(compare(published, extract(changed.folder))) == []


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            "wave",
            r"The wave of \S+ in \S+shard000\.h5 is damaged \(its checksum differs\); run the",
        ),
        ("list", r"shard000\.h5 is truncated or no file of waves \(ValueError\); run the study"),
        ("end", r"shard000\.h5 is truncated or no file of waves \(OSError\); run the study again"),
    ],
)
def test_a_damaged_shard_is_named_and_left_where_it_is(changed, where, says):
    path = changed.folder / "waves" / "shard000.h5"
    content = bytearray(path.read_bytes())
    if where == "end":
        path.write_bytes(content[: len(content) // 2])
    else:
        with h5py.File(path, "r+") as file:
            entry = file["waves"]
            if where == "list":
                entry.attrs["models"] = "[]"
            else:
                entry[next(iter(changed.waves))]["wave"][0, 0] += 1
    before = path.read_bytes()
    with pytest.raises(UserError, match=says):
        extract(changed.folder)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["shard000.h5"]


def test_what_is_missing_and_what_was_added(changed, published):
    (changed.folder / "waves" / "shard000.h5").unlink()
    changed.edit("structures/models.csv", lambda t: pd.concat([t, t.assign(model_id="other")]))
    found = unlike(compare(published, extract(changed.folder)))
    assert ("waves", "all", "missing", "2 rows") in found
    assert ("models", "other", "added", "") in found


def test_a_second_row_of_one_name_is_found_wherever_it_stands(changed, published):
    for order in (1, -1):
        rerun = dict(published)
        second = published["models"].iloc[:1].assign(layers=99)
        rerun["models"] = pd.concat([published["models"], second][::order])
        ((kind, item, *rest),) = unlike(compare(published, rerun))
        assert (kind, item) == ("models", published["models"]["model_id"].iloc[0])
        assert rest == ["differs", "rows of this name 1, now 2"]


def table(psnr, low, high, denoiser="wide.white.seed0", n=4):
    rows = [{"denoiser": denoiser, "dose_e_per_px": 0.45, "n_units": n, "psnr_db": psnr,
             "psnr_db_low": low, "psnr_db_high": high}]  # fmt: skip
    return {"tables/results": pd.DataFrame(rows)}


@pytest.mark.parametrize(
    ("now", "detail"),
    [
        (table(33.0, 32.0, 34.0), None),
        (table(35.5, 33.5, 37.5), None),  # the intervals meet
        (table(35.5, 34.1, 37.5), "psnr_db 33 [32, 34], now 35.5 [34.1, 37.5]"),
        (table(33.0, 32.0, 34.0, n=3), "n_units 4, now 3"),
        (table(35.5, np.nan, 40.0), None),  # a limit that is not known
        (table(np.nan, np.nan, np.nan), "psnr_db 33 [32, 34], now nan [nan, nan]"),
    ],
)
def test_a_table_of_the_trained_is_held_against_its_intervals(now, detail):
    ((item),) = compare(table(33.0, 32.0, 34.0), now)
    assert (item.detail or None) == detail


@pytest.mark.parametrize(
    ("now", "verdict"), [(33.1, "agrees"), (33.45, "agrees"), (33.55, "differs")]
)
def test_what_was_not_trained_may_round_otherwise_and_no_more(now, verdict):
    """A quarter of the interval's width, which two intervals that meet may exceed by far."""
    was = table(33.0, 32.0, 34.0, denoiser="gaussian")
    ((item),) = compare(was, table(now, 32.5, 34.5, denoiser="gaussian"))
    assert item.verdict == verdict
    assert item.detail == ("" if verdict == "agrees" else
                           "psnr_db 33 [32, 34], now 33.55 [32.5, 34.5]")  # fmt: skip


@pytest.mark.parametrize(("psnr", "f1", "differs"), [(30.1, 0.88, False), (30.5, 0.9, True),
                                                     (30.0, 0.86, True)])  # fmt: skip
def test_scores_of_what_was_not_trained_are_compared_by_shape(psnr, f1, differs):
    def scores(psnr, f1):
        row = {"denoiser": "white", "dose_e_per_px": 0.45, "base_shape": "PtNp1a", "psnr": psnr,
               "contrast_psnr": 5.0, "ssim": 0.9, "f1": f1}  # fmt: skip
        return {"scores": pd.DataFrame([row])}

    ((item),) = compare(scores(30.0, 0.9), scores(psnr, f1))
    assert (item.verdict == "differs") is differs


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        ("structures/models.csv", lambda t: t.drop(columns="model_id"), "no column model_id"),
        ("structures/columns.parquet", lambda t: t.drop(columns="site"), "no column site"),
        ("evaluation/raw/frames.parquet", lambda t: t.drop(columns="ssim"), "no column ssim"),
        ("evaluation/raw/frames.parquet", lambda t: t.assign(psnr="x"), "no numbers in psnr"),
    ],
)
def test_a_table_that_is_none_of_this_study_is_one_sentence(changed, path, change, says):
    (changed.folder / "evaluation" / "raw").mkdir()
    numbers = ("psnr", "contrast_psnr", "ssim", "n_matched", "n_true", "n_found")
    row = {"denoiser": "raw", "dose_e_per_px": 0.45, "base_shape": "PtNp1a"}
    table = pd.DataFrame([row | dict.fromkeys(numbers, 1.0)])
    table.to_parquet(changed.folder / "evaluation" / "raw" / "frames.parquet")
    assert len(extract(changed.folder)["scores"]) == 1
    changed.edit(path, change)
    with pytest.raises(UserError, match=f"{path} has {says}; delete it"):
        extract(changed.folder)


def test_a_card_of_another_form_is_one_sentence(changed):
    changed.edit_card("wide.white.seed0", lambda card: [card])
    with pytest.raises(UserError, match=r"card\.json is damaged"):
        extract(changed.folder)


@pytest.mark.parametrize("name", ["psnr_db", "psnr_db_low"])
def test_words_in_the_place_of_numbers_differ(name):
    now = {"tables/results": table(33.0, 32.0, 34.0)["tables/results"].assign(**{name: "x"})}
    ((item),) = compare(table(33.0, 32.0, 34.0), now)
    assert item.verdict == "differs" and "x" in item.detail


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([1], "is damaged"),
        ({"models": "x"}, "is damaged"),
        ({"models": {"file": "models.parquet"}}, "is damaged"),
        ({"tables/later": "{}"}, "is of another version of the project"),
        ({"pairs": "{}"}, "is of another version of the project"),
    ],
)
def test_a_reference_of_another_form_is_one_sentence(tmp_path, published, kinds, says):
    write_reference(tmp_path, {"models": published["models"]}, {})
    index = json.loads((tmp_path / "reference.json").read_text())
    if isinstance(kinds, dict):
        own = index["kinds"]["models"]
        kinds = {kind: own if entry == "{}" else entry for kind, entry in kinds.items()}
    (tmp_path / "reference.json").write_text(json.dumps({**index, "kinds": kinds}))
    with pytest.raises(UserError, match=says):
        read_reference(tmp_path)


def test_a_reference_is_what_it_was_made_of(tmp_path, published):
    write_reference(tmp_path / "reference", published, {"commit": "abc"})
    found, about = read_reference(tmp_path / "reference")
    assert about == {"commit": "abc"} and unlike(compare(found, published)) == []
    (tmp_path / "reference" / "models.parquet").write_bytes(b"other")
    with pytest.raises(UserError, match="was changed since it was published"):
        read_reference(tmp_path / "reference")


def test_each_row_that_is_published_is_compared():
    """Of rows that the keys do not tell apart only one would be."""
    indices = sorted(REFERENCE.glob("*/verify/reference.json"))
    assert indices
    for index in indices:
        published, _ = read_reference(index.parent)
        for kind, table in published.items():
            keys = list(KEYS[kind])
            assert not table.duplicated(keys).any(), f"{index.parent}: {kind} by {keys}"


@pytest.mark.parametrize("name", sorted(k.removeprefix("tables/") for k in KEYS if "/" in k))
def test_a_published_table_has_rows_of_its_own_and_intervals_that_are_found(name):
    """In whatever piece of the study it is; moved by five widths, it is another one."""
    paths = sorted(REFERENCE.glob(f"*/tables/{name}.csv")) + sorted(REFERENCE.glob(f"*/{name}.csv"))
    assert paths or name == "classes"
    for path in paths:
        table = pd.read_csv(path)
        assert not table.duplicated(list(KEYS[f"tables/{name}"])).any(), path
        if name == "classes":
            continue
        sides = [{f"tables/{name}": one} for one in (table, moved(table))]
        assert unlike(compare(sides[0], sides[0])) == []
        known = np.isfinite(table.filter(regex="(^|_)high(_|$)")).any(axis=1)
        assert len(unlike(compare(*sides))) > 0.5 * known.sum() > 0, path


def moved(table):
    """Return a table whose intervals are five widths away."""
    table = table.copy()
    lows = [c for c in table if c == "low" or c.endswith("_low") or c.startswith("low_")]
    for low in lows:
        high = low.replace("low", "high")
        by = 5 * (table[high] - table[low]) + 1e-3
        stems = (low.removesuffix("_low"), f"{low.removesuffix('_low')}_db",
                 low.replace("low_", "recall_"), *HAVE_LOW_AND_HIGH)  # fmt: skip
        for column in {low, high, *(stem for stem in stems if stem in table)}:
            table[column] = table[column] + by
    return table


def test_the_page_lists_the_tables_that_are_compared():
    page = (REFERENCE.parents[1] / "docs" / "verify.md").read_text()
    sentence = page.split("Of the tables, ")[1].split(" are compared.")[0]
    named = {word.strip("`,") for word in sentence.split()} - {"and"}
    assert named == {kind.removeprefix("tables/") for kind in KEYS if kind.startswith("tables/")}


def test_a_stratum_of_any_denoiser_is_compared():
    def strata(f1):
        rows = [{"denoiser": name, "factor": "family", "level": "PtNp1", "f1": value,
                 "f1_low": value - 0.1, "f1_high": value + 0.1}
                for name, value in (("gaussian", f1), ("white", 0.9))]  # fmt: skip
        return {"tables/strata": pd.DataFrame(rows)}

    items = compare(strata(0.8), strata(0.4))
    assert [(i.item, i.verdict) for i in items] == [
        ("gaussian family PtNp1", "differs"), ("white family PtNp1", "agrees"),
    ]  # fmt: skip


def test_a_reference_takes_the_place_of_an_earlier_one_and_of_nothing_else(tmp_path, published):
    (tmp_path / "mine.parquet").write_bytes(b"of another program")
    write_reference(tmp_path, published, {})
    write_reference(tmp_path, {"models": published["models"]}, {})
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"mine.parquet", "models.parquet", "reference.json"}


def test_the_command_ends_with_1_where_something_differs(changed, tmp_path, capsys):
    reference = tmp_path / "reference"
    assert main(["verify", str(changed.folder), "--publish", str(reference)]) == 0
    words = ["verify", str(changed.folder), "--reference", str(reference)]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith("92 of 92 items agree, 0 differ.\n")
    changed.edit("structures/columns.parquet", lambda t: t.iloc[1:])
    assert main([*words, "--output", str(tmp_path / "items.csv")]) == 1
    said = capsys.readouterr().out
    assert "columns, PtNp1c-D0-16L-x0y0 Pt 0: missing: bulk column of 5 Pt at" in said
    assert said.endswith("91 of 92 items agree, 0 differ, 1 are missing.\n")
    items = pd.read_csv(tmp_path / "items.csv")
    assert items["verdict"].value_counts().to_dict() == {"agrees": 91, "missing": 1}
    assert main([*words, "--kinds", "frames"]) == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere"], "nowhere holds no results to compare"),
        (["{}", "--reference", "nowhere"], "nowhere holds no reference"),
        (["{}", "--kinds", "colums"], "There is no kind colums; choose from settings, models"),
        (["{}", "--kinds", "tables/risk"], "verify has no tables/risk; it has classes, columns"),
    ],
)
def test_bad_input_is_one_sentence(results, capsys, words, says, tmp_path, monkeypatch):
    folder = str(results.folder)
    monkeypatch.chdir(tmp_path)
    assert main(["verify", *(word.format(folder) for word in words)]) == 2
    error = capsys.readouterr().err
    assert says in error and "Traceback" not in error
