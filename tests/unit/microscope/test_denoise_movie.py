"""``lowdose denoise`` with what learns from the recording: UDVD, and networks that are adapted."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from lowdose.cli import _denoised_file, main
from lowdose.columns.likelihood import thin
from lowdose.columns.weighing import SHARE
from lowdose.denoisers import registry
from lowdose.denoisers.adaptation import gain_tuning
from lowdose.denoisers.adaptation.gains import load_gains
from lowdose.denoisers.checkpoints import load
from lowdose.denoisers.released import folder
from lowdose.denoisers.unsupervised import movie_learning
from lowdose.microscope import denoising
from lowdose.microscope.reading import read_recording

FEW = ("--denoiser", "udvd", "--parameters", "steps=20")


def run(capsys, *words):
    code = main(["--threads", "1", "denoise", *map(str, words)])
    captured = capsys.readouterr()
    return SimpleNamespace(code=code, out=captured.out, err=captured.err)


@pytest.fixture
def path(tmp_path, made):
    """A movie of four frames of fringes, whose columns are 0.226 nm apart."""
    return made.write(tmp_path / "movie.tif", made.fringed((96, 120), 2.0, 0.12))


def test_udvd_learns_a_stack_from_disk(path, capsys):
    done = run(capsys, path, *FEW, "--formats", "tif", "html")
    assert (done.code, "step 20 of 20" in done.err) == (0, True), done.err
    found = read_recording(path.with_name("movie.denoised.tif"))
    expected = registry.create("udvd", steps=20).denoise(read_recording(path).frames, 0.0061)
    np.testing.assert_allclose(found.frames, expected, rtol=1e-5)
    record = json.loads(path.with_name("movie.denoised.json").read_text())
    assert record["denoiser"] == "udvd" and record["parameters"]["steps"] == 20
    assert "this recording alone" in path.with_name("movie.denoised.html").read_text()
    assert not list(path.parent.glob("*.partial"))


def test_a_stopped_training_goes_on(path, capsys, monkeypatch, tmp_path):
    """Stopped between two steps of the training; the same command then ends with the same bytes."""
    whole = tmp_path / "whole"
    whole.mkdir()
    shutil.copy(path, whole)
    assert run(capsys, whole / path.name, *FEW, "--formats", "npy").code == 0
    plain, number = movie_learning._step, []

    def stopping(*arguments):
        number.append(1)
        if len(number) == 9:
            raise KeyboardInterrupt
        plain(*arguments)

    monkeypatch.setattr(movie_learning, "SAVE_EVERY_S", 0)
    monkeypatch.setattr(movie_learning, "_step", stopping)
    run(capsys, path, *FEW, "--formats", "npy")
    assert (tmp_path / "movie.denoised.partial" / "training.safetensors").is_file()
    monkeypatch.setattr(movie_learning, "_step", plain)
    done = run(capsys, path, *FEW, "--formats", "npy")
    assert done.code == 0 and "step 8 was reached before" in done.err
    one, other = (p / "movie.denoised.npy" for p in (whole, tmp_path))
    assert one.read_bytes() == other.read_bytes()


def test_columns_are_proposed_by_halves_of_the_movie(made, monkeypatch):
    """A temporal method sees the first halves of all frames, and no electron of the second ones."""
    counts = made.fringed((96, 120), 2.0, 0.12).astype(np.float32)
    given, dealt = [], []

    class Sum:
        info = SimpleNamespace(temporal=True)

        def denoise(self, stack, pixel):
            given.append(stack)
            return np.broadcast_to(stack.mean(axis=0), stack.shape)

    def noted(own, image, denoise, pixel, rng):
        first, _ = thin(own, SHARE, rng)
        dealt.append(first)
        np.testing.assert_array_equal(denoise(first), given[0].mean(axis=0))
        return SimpleNamespace()

    monkeypatch.setattr(_denoised_file, "weigh", noted)
    _denoised_file.weigh_frames(counts, counts, Sum(), 0.0061, 1)
    assert len(given) == 1
    np.testing.assert_array_equal(given[0], dealt)


def test_adapting_keeps_the_gains_beside_the_frames(tmp_path, capsys, made):
    """Forty times the dose that the network was trained for: it is adapted to that."""
    path = made.write(tmp_path / "bright.tif", made.fringed((160, 160), 20.0, 0.1)[:2])
    words = (path, "--adapt", "--denoiser", "white", "--parameters", "steps=10", "--formats")
    done = run(capsys, *words, "npy")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "bright.denoised.json").read_text())
    files = sorted((tmp_path / "bright.denoised.gains").glob("*"))
    assert len(files) == record["frames_adapted"] == 2
    assert "adapted to 2 frames" in done.out
    network = load(folder("white")).network
    card = json.loads((folder("white") / "card.json").read_text())
    gains, about = load_gains(files[0], network, card["weights_sha256"])
    assert about["network"] == card["name"] and files[0].stat().st_size < 60_000
    assert any((g != 1).any() for g in gains.values())
    # What was written is what the adapted network says.
    denoiser = registry.create("gain-tuning", network="white", steps=10)
    expected = denoiser.denoise(read_recording(path).frames, 0.0061)
    np.testing.assert_allclose(np.load(tmp_path / "bright.denoised.npy"), expected, rtol=1e-4)
    plain = registry.create("white").denoise(read_recording(path).frames, 0.0061)
    assert np.abs(expected / plain - 1).max() > 0.01
    again = run(capsys, *words, "tif")
    assert again.code == 2 and "bright.denoised" in again.err and "--overwrite" in again.err
    # Replaced by what no gains belong to.
    without = run(capsys, path, "--denoiser", "white", "--formats", "npy", "--overwrite")
    assert without.code == 0 and not (tmp_path / "bright.denoised.gains").exists()
    assert "gains" not in json.loads((tmp_path / "bright.denoised.json").read_text())


def test_a_stopped_adaptation_goes_on(tmp_path, capsys, made, monkeypatch):
    """Stopped at the third of four frames; the same command ends with the same bytes and gains."""
    monkeypatch.setattr(denoising, "BATCH_PX", 1)  # a frame at a time
    frames = made.fringed((160, 160), 20.0, 0.1)
    words = ("--adapt", "--denoiser", "white", "--parameters", "steps=10", "--formats", "npy")
    whole, stopped = (made.write(tmp_path / f / "bright.tif", frames) for f in ("whole", "stopped"))
    assert run(capsys, whole, *words).code == 0
    plain, number = gain_tuning.tune, []

    def stopping(*arguments, **options):
        number.append(1)
        if len(number) == 3:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    monkeypatch.setattr(gain_tuning, "tune", stopping)
    run(capsys, stopped, *words)
    assert not (stopped.parent / "bright.denoised.npy").exists()
    done = run(capsys, stopped, *words)
    assert done.code == 0 and "2 of 4 frames were done before" in done.err
    assert len(number) == 3 + 2
    results = [
        {
            str(path.relative_to(of.parent)): path.read_bytes()
            for path in sorted(of.parent.rglob("*"))
            if path.suffix in (".npy", ".safetensors")
        }
        for of in (whole, stopped)
    ]
    assert len(results[0]) == 5 and results[0] == results[1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--adapt", "--denoiser", "gaussian"), "--adapt tunes a network of the package"),
        (("--parameters", "steps"), "--parameters steps is no NAME=VALUE"),
        (("--parameters", "steps=20", "steps=30"), "--parameters has steps twice"),
        (("--adapt", "--parameters", "network=white"), "leave network=... out"),
        (("--denoiser", "udvd", "--parameters", "stem=3"), "stem=3 is not possible"),
        (("--denoiser", "udvd", "--parameters", "size=3"), "has no parameter 'size'"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_read(path, capsys, words, says):
    done = run(capsys, path, *words)
    assert done.code == 2 and says in done.err
    assert [p.name for p in path.parent.iterdir()] == [path.name]
