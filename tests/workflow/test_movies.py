"""Films with truth: their jobs, their tables, their figures."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

TINY = ("--configfile", "config/tiny.yaml")
TARGETS = ("results/tables/movies.csv", "results/figures/movies.png")
FILM = {
    "base_shape": "PtNp1a", "frames": 24, "side_px": 110,
    "processes": [{"kind": "vacancy", "schedule": [[9, 9], [13, 16]]}],
}  # fmt: skip
METHODS = {
    "raw": {"denoiser": "raw"},
    "sum": {"denoiser": "gaussian", "parameters": {"sigma_nm": [0.03, 0.06]}, "sum": [1, 3]},
    "udvd": {"denoiser": "udvd", "parameters": {"steps": 10}, "doses_e_per_px": [10]},
}


def words(folder, methods=METHODS, **changed):
    path = folder / "movies.yaml"
    movies = {"films": {"one": FILM}, "doses_e_per_px": [2, 10], "first_frames": 6,
              "methods": methods, **changed}  # fmt: skip
    path.write_text(yaml.safe_dump({"movies": movies}))
    return (*TARGETS, *TINY, str(path))


@pytest.fixture(scope="module")
def filmed(finished, tmp_path_factory):
    project = finished.copy(tmp_path_factory.mktemp("filmed") / "project")
    done = project.snakemake(*words(project.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def test_every_method_is_tried_at_its_doses(filmed):
    tables = filmed.folder / "results" / "tables"
    table = pd.read_csv(tables / "movies.csv")
    tried = set(zip(table["method"], table["dose_e_per_px"], strict=True))
    both = {(name, dose) for name in ("ideal", "raw", "sum") for dose in (2, 10)}
    assert tried == both | {("udvd", 10)}
    psnr = table.set_index(["method", "dose_e_per_px"])["psnr_db"]
    assert psnr["sum", 10] > psnr["sum", 2] > psnr["raw", 2]
    ideal = table[(table["method"] == "ideal") & (table["dose_e_per_px"] == 10)].iloc[0]
    assert ideal["recall_4"] == 1 and ideal["events_4"] == 1
    risk = pd.read_csv(tables / "movie_risk.csv")
    assert set(risk["method"]) == set(METHODS) and (risk["dose_e_per_px"] == 10).all()
    assert (filmed.folder / "results" / "figures" / "movies.csv").is_file()


def test_there_is_nothing_left_to_do(filmed):
    assert filmed.planned(*words(filmed.folder)) == set()


def test_a_change_reruns_what_it_concerns(filmed):
    table = {"movies", "figure_movies"}
    more = {**METHODS, "wide-sum": {"denoiser": "gaussian", "sum": 5}}
    assert filmed.planned(*words(filmed.folder, more)) == {"movie wide-sum", *table}
    fewer = {**METHODS, "udvd": {**METHODS["udvd"], "parameters": {"steps": 12}}}
    assert filmed.planned(*words(filmed.folder, fewer)) == {"movie udvd"} | table
    with filmed.edited(
        "workflow/lowdose/denoisers/unsupervised/movie_learning.py",
        lambda text: text + "\nNOTHING = 0\n",
    ):
        assert filmed.planned(*words(filmed.folder)) == {"movie udvd"} | table
    with filmed.edited(
        "workflow/lowdose/data/simulated_movies.py", lambda text: text + "\nNOTHING = 0\n"
    ):
        jobs = filmed.planned(*words(filmed.folder))
    assert jobs == {"film one", *(f"movie {name}" for name in METHODS)} | table
