"""``lowdose denoise``: calibration out as in, nothing overwritten, nothing lost, nothing half."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest
import tifffile

from lowdose.cli import main
from lowdose.denoisers import registry
from lowdose.microscope import denoising, outputs
from lowdose.microscope.denoising import Partial, denoise_frames
from lowdose.microscope.reading import read_recording
from lowdose.provenance import file_digest
from lowdose.runtime import UserError

QUICK = "gaussian"  # a filter, which takes no time


@pytest.fixture
def frames(made):
    return made.fringed((200, 260), 1.2, 0.15)


def run(capsys, *words, denoiser=QUICK):
    code = main(["--threads", "1", "denoise", *map(str, words), "--denoiser", denoiser])
    captured = capsys.readouterr()
    return SimpleNamespace(code=code, out=captured.out, err=captured.err)


@pytest.mark.parametrize("stack", [True, False])
def test_every_format_keeps_pixel_unit_energy_and_frames(tmp_path, capsys, made, frames, stack):
    data = frames if stack else frames[0]
    path = made.write(tmp_path / "movie.hspy", data)
    done = run(capsys, path, "--formats", *outputs.IMAGES)
    assert (done.code, done.err) == (0, "")
    expected = registry.create(QUICK).denoise(
        np.atleast_3d(data.T).T if stack else data[None], 0.0061
    )
    for kind in outputs.IMAGES:
        written = read_recording(tmp_path / f"movie.denoised.{kind}")
        np.testing.assert_array_equal(written.frames, expected)
        assert written.frames.dtype == np.float32 and written.is_stack == stack
        if kind != "npy":
            assert written.pixel_size_nm == pytest.approx((0.0061, 0.0061), rel=1e-6)
        assert written.notes == ()
    hspy = read_recording(tmp_path / "movie.denoised.hspy")
    assert (hspy.energy_kev, hspy.exposure_s, hspy.electrons_per_unit) == (300, 0.2, 1.0)
    assert hspy.original_metadata["vendor"] == {"a": 1}
    assert json.loads(hspy.metadata["lowdose"])["denoiser"] == QUICK
    if stack:
        assert hspy.frame_interval_s == pytest.approx(0.25)
    with mrcfile.open(tmp_path / "movie.denoised.mrc") as file:
        assert file.is_image_stack() == stack
        assert float(file.voxel_size.x) == pytest.approx(0.061)
    with tifffile.TiffFile(tmp_path / "movie.denoised.tif") as file:
        assert file.imagej_metadata["unit"] == "nm"
    record = json.loads((tmp_path / "movie.denoised.json").read_text())
    assert record["source_sha256"] == file_digest(path)
    assert record["outputs_sha256"]["movie.denoised.tif"] == file_digest(
        tmp_path / "movie.denoised.tif"
    )
    assert record["pixel_size_nm"] == 0.0061 and record["electrons_per_unit"] == 1
    # Nothing else is left, and the source is what it was.
    assert len(list(tmp_path.iterdir())) == 6
    np.testing.assert_array_equal(read_recording(path).frames, np.reshape(data, (-1, 200, 260)))


def test_electrons_come_out_of_a_cameras_units(tmp_path, capsys, made, frames):
    """Scaled and offset units, by hand: the same electrons as from counts."""
    made.write(tmp_path / "counts.tif", frames)
    made.write(tmp_path / "units.tif", (frames * 12 + 100).astype(np.uint16))
    assert run(capsys, tmp_path / "counts.tif").code == 0
    units = run(capsys, tmp_path / "units.tif", "--gain", 1 / 12, "--offset", 100)
    assert units.code == 0
    a, b = (read_recording(tmp_path / f"{n}.denoised.tif").frames for n in ("counts", "units"))
    np.testing.assert_allclose(a, b, rtol=1e-5)
    estimated = run(capsys, tmp_path / "units.tif", "--offset", 100, "--overwrite")
    assert "estimated by photon transfer; --gain sets it" in estimated.out
    assert read_recording(tmp_path / "units.denoised.tif").frames.mean() == pytest.approx(
        a.mean(), rel=0.03
    )


def test_pixels_are_summed(tmp_path, capsys, made, frames):
    path = made.write(tmp_path / "movie.tif", frames)
    done = run(capsys, path, "--bin", 2)
    assert done.code == 0 and "pixel size: 0.0122 nm, 2 x 2 summed" in done.out
    written = read_recording(tmp_path / "movie.denoised.hspy")
    assert written.pixel_size_nm == pytest.approx((0.0122, 0.0122))
    summed = frames.reshape(4, 100, 2, 130, 2).sum(axis=(2, 4))
    expected = registry.create(QUICK).denoise(summed, 0.0122)
    np.testing.assert_allclose(written.frames, expected, rtol=1e-6)
    for bad in (0, 500):
        done = run(capsys, path, "--bin", bad, "--overwrite")
        assert done.code == 2 and f"Binning by {bad} does not fit" in done.err


def test_nothing_is_overwritten_unless_told(tmp_path, capsys, made, frames):
    path = made.write(tmp_path / "movie.tif", frames)
    mine = tmp_path / "movie.denoised.tif"
    mine.write_bytes(b"precious")
    done = run(capsys, path)
    assert done.code == 2 and "movie.denoised.tif exists; replace it by --overwrite" in done.err
    assert mine.read_bytes() == b"precious"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["movie.denoised.tif", "movie.tif"]
    elsewhere = run(capsys, path, "--output", tmp_path / "new" / "folder")
    assert elsewhere.code == 0 and mine.read_bytes() == b"precious"
    assert (tmp_path / "new" / "folder" / "movie.denoised.hspy").is_file()
    assert run(capsys, path, "--overwrite").code == 0
    assert read_recording(mine).frames.shape == frames.shape


def test_a_refusal_writes_nothing(tmp_path, capsys, made, frames):
    np.save(tmp_path / "movie.npy", frames)
    done = run(capsys, tmp_path / "movie.npy")
    assert done.code == 2 and "does not say its pixel size; give --pixel-size" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["movie.npy"]
    done = run(capsys, tmp_path / "movie.npy", "--pixel-size", 0.0061, "--formats", "png")
    assert done.code == 2 and "--formats png is not possible; choose from hspy" in done.err
    good = run(capsys, tmp_path / "movie.npy", "--pixel-size", 0.0061, "--frames", "1:3")
    assert good.code == 0
    assert read_recording(tmp_path / "movie.denoised.hspy").frames.shape == (2, 200, 260)


def test_one_file_of_several_that_fails(tmp_path, capsys, made, frames):
    good = made.write(tmp_path / "good.tif", frames)
    (tmp_path / "bad.tif").write_bytes(good.read_bytes()[:9000])
    done = run(capsys, tmp_path / "bad.tif", good)
    assert done.code == 2 and "bad.tif could not be denoised" in done.err
    assert (tmp_path / "good.denoised.hspy").is_file()
    assert not (tmp_path / "bad.denoised.hspy").exists()


def test_a_disk_without_room_is_seen_before(tmp_path, capsys, made, frames, monkeypatch):
    path = made.write(tmp_path / "movie.tif", frames)
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    done = run(capsys, path)
    assert done.code == 2 and "make room, choose fewer --formats" in done.err
    assert [p.name for p in tmp_path.iterdir()] == ["movie.tif"]


def test_a_disk_that_fills_up_leaves_no_half_file(tmp_path, capsys, made, frames, monkeypatch):
    path = made.write(tmp_path / "movie.tif", frames)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rsciio.hspy.file_writer", full)
    done = run(capsys, path)
    assert done.code == 2 and "The disk is full while writing" in done.err
    assert not list(tmp_path.glob("*.hspy")) and not list(tmp_path.glob(".*"))
    # What is done is kept, and the next run takes it up.
    monkeypatch.undo()
    again = run(capsys, path)
    assert again.code == 0 and "4 of 4 frames were done before" in again.err
    assert not list(tmp_path.glob("*.partial"))


class Counting:
    """Doubles frames; says how many, and stops at one."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = 0, stop_at

    def denoise(self, counts, pixel_size_nm, *, dose=None):
        if self.seen == self.stop_at:
            raise KeyboardInterrupt
        self.seen += len(counts)
        return 2 * counts


def test_a_stopped_run_goes_on_and_a_changed_one_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(denoising, "BATCH_PX", 1)
    counts = np.random.default_rng(1).random((7, 5, 6)).astype(np.float32)
    folder = tmp_path / "x.partial"
    with pytest.raises(KeyboardInterrupt):
        denoise_frames(counts, 1.0, Counting(3), Partial(folder, "a", counts.shape), print)
    rest, lines = Counting(), []
    partial = Partial(folder, "a", counts.shape)
    denoise_frames(counts, 1.0, rest, partial, lines.append)
    assert rest.seen == 4 and lines == ["3 of 7 frames were done before"]
    np.testing.assert_array_equal(partial.frames, 2 * counts)
    # Other options, other frames, a torn state: from the beginning.
    assert Partial(folder, "b", counts.shape).done == 0
    denoise_frames(counts, 1.0, Counting(), Partial(folder, "b", counts.shape), lines.append)
    assert Partial(folder, "b", (8, 5, 6)).done == 0
    denoise_frames(counts, 1.0, Counting(), Partial(folder, "b", counts.shape), lines.append)
    for torn in ('{"done": 7', "[]", '{"fingerprint": "b"}', '{"fingerprint": "b", "done": 8}'):
        (folder / "state.json").write_text(torn)
        assert Partial(folder, "b", counts.shape).done == 0


def test_frames_that_see_each_other_are_denoised_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(denoising, "BATCH_PX", 1)
    counts = np.ones((5, 4, 4), np.float32)
    sizes = []
    one = SimpleNamespace(denoise=lambda c, p, dose=None: sizes.append(len(c)) or c)
    denoise_frames(counts, 1.0, one, Partial(tmp_path / "p", "a", counts.shape), print, True)
    assert sizes == [5]


def test_killed_in_the_middle_it_ends_with_the_same_bytes(tmp_path, made, frames):
    """kill -9, then the same command: the frames of a run that was left alone."""
    many = np.concatenate([frames] * 10)
    (tmp_path / "a").mkdir()
    path = made.write(tmp_path / "a" / "movie.tif", many)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from lowdose.microscope import denoising\n"
        "from lowdose.denoisers.classical import gaussian\n"
        "denoising.BATCH_PX = 1\n"
        "slow = denoising.Partial.add\n"
        "def add(self, frames):\n    slow(self, frames)\n    time.sleep(float(sys.argv[2]))\n"
        "denoising.Partial.add = add\n"
        "from lowdose.cli import main\n"
        f"sys.exit(main(['--threads', '1', 'denoise', sys.argv[1], '--denoiser', '{QUICK}']))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(made.root / "workflow")}

    def start(folder, pause):
        return subprocess.Popen(
            [sys.executable, str(script), str(tmp_path / folder / "movie.tif"), str(pause)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = start("a", 0.2)
    state = tmp_path / "a" / "movie.denoised.partial" / "state.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (state.exists() and '"done": 5' in state.read_text()):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list((tmp_path / "a").glob("*.hspy"))
    again = start("a", 0)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0 and "of 40 frames were done before" in said
    other = start("b", 0)
    other.communicate(timeout=120)
    assert file_digest(tmp_path / "a" / "movie.denoised.tif") == file_digest(
        tmp_path / "b" / "movie.denoised.tif"
    )
    assert path.exists() and not list((tmp_path / "a").glob("*.partial"))


def test_an_output_folder_that_is_a_file(tmp_path, capsys, made, frames):
    path = made.write(tmp_path / "movie.tif", frames)
    (tmp_path / "taken").write_text("x")
    done = run(capsys, path, "--output", tmp_path / "taken")
    assert done.code == 2 and "Traceback" not in done.err
    with pytest.raises(UserError, match="is a folder; move it aside"):
        (tmp_path / "movie.denoised.hspy").mkdir()
        outputs.check_room(outputs.targets(path, ["hspy"]), (1, 2, 2), False)


def test_files_whose_outputs_would_have_one_name_are_refused_before_any_work(
    tmp_path, capsys, made, frames
):
    one, other, apart = (made.write(tmp_path / name / "movie.tif", frames) for name in "abc")
    both = (one, other, "--output", tmp_path / "out", "--overwrite", "--formats", "npy")
    done = run(capsys, *both)
    assert done.code == 2 and not (tmp_path / "out").exists()
    assert f"{one} and {other} would both be written as movie.denoised.*" in done.err
    # Beside their files they are apart.
    assert run(capsys, one, apart, "--formats", "npy").code == 0
