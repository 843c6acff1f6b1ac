"""Recordings of a microscope as part of the study: jobs, tables, page, figure, triggers."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml

TINY = ("--configfile", "config/tiny.yaml")
FILES = {
    "movie": {"file": "example/example.hspy", "sum": 2},
    "one-frame": {"file": "example/example.tif", "frames": "1:2"},
}


def words(folder, files):
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump({"experiment": {"files": files, "compared_frames": 1}}))
    pages = (f"results/experiment/{name}/{name}.denoised.html" for name in files)
    return ("results/figures/experiment.png", *pages, *TINY, str(path))


@pytest.fixture(scope="module")
def recorded(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("recorded") / "project")
    made = project.run("lowdose", "example", "--frame-count", "2", "--dose", "2")
    assert made.returncode == 0, made.stdout + made.stderr
    done = project.snakemake(*words(project.folder, FILES))
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_a_study_without_recordings_has_no_such_jobs(all_jobs):
    assert not {job for job in all_jobs if job.split()[0] in ("recording", "judge")}


def test_each_recording_has_frames_columns_and_a_page(recorded):
    for name in FILES:
        folder = recorded.folder / "results" / "experiment" / name
        record = json.loads((folder / f"{name}.denoised.json").read_text())
        assert record["denoiser"] == "general"
        assert "surface columns" in record["verdict"]
        assert record["verdict"] in (folder / f"{name}.denoised.html").read_text()
        columns = pd.read_csv(folder / f"{name}.columns.csv", comment="#")
        truth = pd.read_csv(recorded.folder / "example" / "example.truth.csv")
        # The first frame of the movie's only sum; of the other the second, after the drift.
        here = truth[(truth["frame"] == (name != "movie")) & truth["is_surface"]]
        shown = columns[columns["is_surface"]]
        near = np.hypot(*(np.subtract.outer(here[a].to_numpy(), shown[a].to_numpy())
                          for a in ("x_nm", "y_nm"))).min(axis=1) < 0.072  # fmt: skip
        assert near.mean() > 0.8
        assert shown["supported"].sum() > 5


def test_all_denoisers_are_judged_by_the_counts(recorded):
    folder = recorded.folder / "results" / "experiment"
    table = pd.read_csv(folder / "movie" / "judged.csv")
    scores = table.set_index("denoiser")
    assert set(table["denoiser"]) >= {"raw", "constant", "gaussian", "general", "wide.white.seed0"}
    # Networks of the tiny study know other pixels, and say so.
    assert "was trained for" in scores.loc["wide.white.seed0", "note"]
    gain = scores["gain"]
    assert gain["general"] > gain["gaussian"] > gain["constant"] > gain["raw"]
    assert scores.loc["general", "gain_low"] > 0
    with h5py.File(folder / "movie" / "images.h5") as file:
        assert file["counts"][...].sum() == pytest.approx(file["general"][...].sum(), rel=0.01)
    shown = pd.read_csv(recorded.folder / "results" / "figures" / "experiment.csv")
    assert set(shown["recording"]) == set(FILES)


def test_there_is_nothing_left_to_do_and_a_new_file_runs_alone(recorded):
    assert recorded.planned(*words(recorded.folder, FILES)) == set()
    other = {**FILES, "one-frame": {**FILES["one-frame"], "bin": 2}}
    jobs = recorded.planned(*words(recorded.folder, other))
    assert jobs == {"recording one-frame", "judge one-frame", "figure_experiment"}
    shutil.copy(recorded.folder / "example/example.tif", recorded.folder / "second.tif")
    more = {**FILES, "second": {"file": "second.tif"}}
    jobs = recorded.planned(*words(recorded.folder, more))
    assert jobs == {"recording second", "judge second", "figure_experiment"}


def test_a_recording_that_cannot_be_denoised_says_why(recorded):
    np.save(recorded.folder / "plain.npy", np.ones((64, 64), np.uint8))
    done = recorded.snakemake(*words(recorded.folder, {"movie": {"file": "plain.npy"}}))
    assert done.returncode != 0
    log = (recorded.folder / "results/logs/experiment/movie.log").read_text()
    assert "plain.npy" in log and "Traceback" not in log


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a": {"file": "x.dm4", "bin": 0}}, "experiment.files.a.bin"),
        ({"a": {"file": "x.dm4", "gian": 2}}, "gian"),
        ({"A b": {"file": "x.dm4"}}, "A b"),
    ],
)
def test_a_wrong_section_ends_in_a_sentence(project, tmp_path, files, said):
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({"experiment": {"files": files}}))
    done = project.snakemake("--dry-run", *TINY, str(path))
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
