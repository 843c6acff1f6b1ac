"""What reruns after which edit: no less, or results would be wrong, and no more."""

from __future__ import annotations

import os
import re

import pytest

TINY = ("--configfile", "config/tiny.yaml")
AFTER_EVALUATION = {
    "summarise",
    "figure_images",
    "figure_receptive_field",
    "figure_dose",
    "figure_likelihood",
}


def comment(text):
    return text + "\n# A comment is a change of the file, and only the digest knows of it.\n"


def rules(jobs):
    return {job.split()[0] for job in jobs}


def of(jobs, rule):
    return {job for job in jobs if job.split()[0] == rule}


def test_the_first_run_made_every_job(all_jobs):
    assert rules(all_jobs) >= {
        *("structures", "simulate", "frames", "train", "tune", "evaluate", "evaluate_ready"),
        *("summarise", "columns", "mechanism", "figure_images", "dataset"),
    }
    assert len(of(all_jobs, "train")) == 3
    assert len(of(all_jobs, "evaluate")) == 3 + 4
    # With the rule `all`, the quick study's graph has no more than 30 jobs.
    assert len(all_jobs) + 1 <= 30


def test_a_second_run_has_nothing_to_do(finished):
    done = finished.snakemake(*TINY)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
    assert finished.half_written() == []
    assert list((finished.folder / "results" / "work").rglob("*.npy")) == []


def test_touching_every_file_reruns_nothing(finished):
    touched = [
        path
        for part in ("workflow", "config", "envs")
        for path in (finished.folder / part).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert len(touched) > 80
    for path in [*touched, finished.folder / "Snakefile"]:
        os.utime(path)
    assert finished.planned() == set()


def test_structures_rerun_everything(finished, all_jobs):
    with finished.edited("workflow/lowdose/structures/particles.py", comment):
        assert finished.planned() == all_jobs


@pytest.mark.parametrize("name", ["figure_defocus", "dataset_card"])
def test_the_description_of_the_data_is_made_alone(finished, name):
    with finished.edited(f"workflow/lowdose/report/{name}.py", comment):
        assert finished.planned() == {"dataset"}


def test_the_engine_reruns_the_waves_and_what_comes_after(finished, all_jobs):
    with finished.edited("workflow/lowdose/imaging/potential.py", comment):
        assert finished.planned() == all_jobs - {"structures"}


def test_optics_rerun_what_comes_after_the_waves(finished, all_jobs):
    with finished.edited("workflow/lowdose/imaging/optics.py", comment):
        assert finished.planned() == all_jobs - of(all_jobs, "simulate") - {"structures"}


def test_multislice_reruns_the_waves_and_what_comes_after(finished, all_jobs):
    with finished.edited("workflow/lowdose/imaging/waves.py", comment):
        assert finished.planned() == all_jobs - {"structures"}


def test_a_figure_is_redrawn_alone(finished):
    with finished.edited("workflow/lowdose/report/figure_dose.py", comment):
        assert finished.planned() == {"figure_dose"}


def test_the_style_redraws_all_figures(finished, all_jobs):
    with finished.edited("workflow/lowdose/report/style.py", comment):
        drawn = {job for job in all_jobs if job.startswith("figure_")}
        assert finished.planned() == {*drawn, "dataset"}


def test_one_baseline_is_tuned_and_evaluated_alone(finished):
    with finished.edited("workflow/lowdose/denoisers/classical/gaussian.py", comment):
        assert finished.planned() == {"tune gaussian", "evaluate gaussian", *AFTER_EVALUATION}


def test_the_training_loop_retrains_the_networks_only(finished, all_jobs):
    with finished.edited("workflow/lowdose/training/loop.py", comment):
        jobs = finished.planned()
    assert of(jobs, "train") == of(all_jobs, "train")
    assert not rules(jobs) & {"structures", "simulate", "frames", "tune", "evaluate_ready"}
    assert {"mechanism", "columns", *AFTER_EVALUATION} <= rules(jobs)
    assert not {job for job in of(jobs, "evaluate") if "." not in job}


def test_one_architecture_retrains_its_networks_only(finished):
    with finished.edited("workflow/lowdose/denoisers/networks/dncnn.py", comment):
        assert finished.planned() == set()  # the study has none


def test_statistics_rerun_the_summary_only(finished):
    with finished.edited("workflow/lowdose/evaluation/statistics.py", comment):
        assert finished.planned() == {
            "summarise",
            "figure_images",
            "figure_receptive_field",
            "figure_dose",
        }


@pytest.mark.parametrize("name", ["tests_of_nothing.txt", "workflow/lowdose/cli/run.py"])
def test_what_no_stage_uses_reruns_nothing(finished, name):
    path = finished.folder / name
    before = path.read_bytes() if path.exists() else None
    path.write_text("# nothing\n")
    try:
        assert finished.planned() == set()
    finally:
        path.unlink() if before is None else path.write_bytes(before)


def test_a_comment_in_an_environment_reruns_nothing(finished):
    with (
        finished.edited("envs/train.yaml", comment),
        finished.edited("envs/simulate.yaml", comment),
        finished.edited("envs/requirements.lock", comment),
    ):
        assert finished.planned() == set()


def test_another_version_of_a_library_reruns_the_stages_that_use_it(finished, all_jobs):
    def newer(text):
        return re.sub(r"(?m)^abTEM==.*$", "abTEM==99.0", text)

    with finished.edited("envs/requirements.lock", newer):
        assert finished.planned() == all_jobs - {"structures"}


def test_swapped_steps_retrain_both_networks(finished, tmp_path):
    steps = {"narrow": 300, "medium": 20, "wide": 20}
    lines = [f"  {name}: {{training: {{steps: {n}}}}}" for name, n in steps.items()]
    (tmp_path / "swap.yaml").write_text("networks:\n" + "\n".join(lines) + "\n")
    jobs = finished.planned(*TINY, str(tmp_path / "swap.yaml"))
    assert of(jobs, "train") == {"train narrow,white,0", "train wide,white,0"}
    assert of(jobs, "evaluate") == {"evaluate narrow.white.seed0", "evaluate wide.white.seed0"}


def test_swapped_aberrations_render_anew(finished, all_jobs, tmp_path):
    (tmp_path / "swap.yaml").write_text("optics: {c3_um: 5.0, c5_mm: -13.0}\n")
    jobs = finished.planned(*TINY, str(tmp_path / "swap.yaml"))
    assert jobs == all_jobs - of(all_jobs, "simulate") - {"structures"}


def test_the_same_values_in_another_order_rerun_nothing(finished, tmp_path):
    text = "optics: {c5_mm: 5, c3_um: -13}\nframes: {validation_shapes: 1, test_shapes: 2}\n"
    (tmp_path / "same.yaml").write_text(text)
    assert finished.planned(*TINY, str(tmp_path / "same.yaml")) == set()


def test_a_key_on_the_command_line(finished, all_jobs):
    jobs = finished.planned(*TINY, "--config", "tuning_trials=3")
    assert of(jobs, "tune") == of(all_jobs, "tune")
    assert not rules(jobs) & {"train", "frames", "simulate", "structures", "mechanism"}
    assert finished.planned(*TINY, "--config", "seed=3") == all_jobs
