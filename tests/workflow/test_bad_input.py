"""Mistakes and mishaps: one sentence, exit code 2, nothing half-written, the rest kept."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

TINY = ("--configfile", "config/tiny.yaml")

MISTAKES = {
    "unknown key": (
        {"tranining": {}},
        "The configuration has the unknown key 'tranining'; did you mean 'training'?",
    ),
    "unknown key of a network": (
        {"networks": {"wide": {"spec": {"scale": 3}}}},
        "The configuration has the unknown key 'networks.wide.spec.scale'; did you mean 'scales'?",
    ),
    "unknown network": (
        {"sweep": [{"networks": ["wyde"], "training_sets": ["white"], "seeds": [0]}]},
        "The configuration is wrong: sweep names 'wyde', which is not under networks (there: "
        "narrow, medium, wide); see config/README.md.",
    ),
    "unknown baseline": ({"baselines": {"gausian": {}}}, "There is no denoiser 'gausian' (did you"),
    "negative dose": (
        {"frames": {"doses_e_per_px": [-2, 10]}},
        "The configuration is wrong at frames.doses_e_per_px.0 (it is -2): Input should be",
    ),
    "pixel size of zero": (
        {"camera": {"pixel_size_nm": 0}},
        "The configuration is wrong at camera.pixel_size_nm (it is 0): Input should be",
    ),
    "scales too deep for the crop": (
        {"networks": {"wide": {"spec": {"scales": 4, "widths": [8] * 5}}}},
        "The configuration is wrong: networks.wide: 4 scales with stem 4 need crops that are a "
        "multiple of 64 px and at least 256 px, but training.crop_px is 64; use 256 or fewer",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_configuration(project, tmp_path, mistake):
    values, sentence = MISTAKES[mistake]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
    done = project.study(*TINY, str(tmp_path / "mine.yaml"))
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lowdose: {sentence}")
    results = project.folder / "results"
    assert [path for path in results.rglob("*") if path.is_file()] == []
    results.rmdir()


def test_plain_snakemake_says_the_same(project):
    done = project.snakemake("--dry-run", *TINY, "--config", "seeed=3")
    assert done.returncode == 2
    sentence = "lowdose: The configuration has the unknown key 'seeed'; did you mean 'seed'?"
    assert sentence in done.stderr.splitlines()
    assert "Traceback" not in done.stdout + done.stderr


def test_a_configuration_file_that_is_not_there(project):
    done = project.study("--configfile", "config/none.yaml")
    assert done.returncode == 2
    assert "config/none.yaml cannot be read; give the path of a YAML file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_in_the_way_of_the_results(fresh):
    (fresh.folder / "results").mkdir()
    (fresh.folder / "results" / "structures").write_text("in the way")
    done = fresh.study("results/structures/library.extxyz", *TINY)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "in the way" in done.stderr.splitlines()[-1]
    assert (fresh.folder / "results" / "structures").read_text() == "in the way"


@pytest.fixture
def mounted(fresh):
    """A function that runs a study whose results lie on a file system of their own."""
    (fresh.folder / "results").mkdir()
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]

    def run(options, *words):
        script = f'mount -t tmpfs -o {options} none results && exec "$@"'
        command = [*inside, script, "sh", sys.executable, "-m", "lowdose", "run", "--cores", "2"]
        return subprocess.run(
            [*command, *words],
            cwd=fresh.folder,
            env=fresh.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    try:
        possible = subprocess.run([*inside, "mount -t tmpfs none /mnt"], capture_output=True)
    except FileNotFoundError:
        possible = None
    if possible is None or possible.returncode:
        pytest.skip("this machine lets no user mount a file system")
    return run


def test_a_read_only_results_folder(mounted):
    done = mounted("ro", *TINY)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("lowdose: ")
    assert "results cannot be written; make the folder writable, or run in a copy" in line


def test_a_full_disk(mounted):
    done = mounted("size=200k", "results/structures/library.extxyz", *TINY)
    assert done.returncode == 2, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == (
        "lowdose: The disk is full while writing results/structures/library.extxyz; free some "
        "space and run again (finished results are kept)."
    )
    assert "Traceback" not in done.stderr
