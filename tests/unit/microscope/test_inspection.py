"""``lowdose inspect``: what it says, and how it ends."""

from __future__ import annotations

import pytest

from lowdose.cli import main
from lowdose.microscope.inspection import slice_of
from lowdose.runtime import UserError


@pytest.fixture
def frames(made):
    return made.fringed((400, 420), 0.45, 0.1)


def run(capsys, *words):
    code = main(["--threads", "1", "inspect", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_good_file(tmp_path, capsys, made, frames):
    path = made.write(tmp_path / "movie.hspy", frames)
    code, out, err = run(capsys, path)
    assert (code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[1] == "HSPY, 4 frames of 400 x 420 pixels, uint16"
    assert "pixel size: 0.0061 nm" in lines and "beam energy: 300 kV" in lines
    assert "exposure: 0.2 s a frame" in lines and "frame interval: 0.25 s" in lines
    gain, dose = (next(line for line in lines if line.startswith(w)) for w in ("electrons", "dose"))
    assert "counting camera" in gain
    mean = frames.mean()
    assert dose.startswith(
        f"dose: {mean:.4g} electrons a pixel, {mean / 0.0061**2 / 100:.4g} per Å²"
    )
    assert lines[-1] == "can be denoised"


def test_a_file_without_pixel_size_says_what_mends_it(tmp_path, capsys, made, frames):
    path = made.write(tmp_path / "movie.npy", frames)
    code, out, err = run(capsys, path)
    assert code == 2
    assert "refused: The file does not say its pixel size; give --pixel-size in nm." in out
    assert err.strip() == (
        "lowdose: movie.npy cannot be denoised by general as it is; the reason is above."
    )
    code, out, err = run(capsys, path, "--pixel-size", "0.0061", "--frames", "1:3")
    assert code == 0 and "2 frames" in out and "as given by --pixel-size" in out


def test_one_bad_file_does_not_hide_the_others(tmp_path, capsys, made, frames):
    good = made.write(tmp_path / "good.tif", frames)
    bad = tmp_path / "bad.tif"
    bad.write_bytes(good.read_bytes()[:5000])
    code, out, err = run(capsys, bad, good)
    assert code == 2 and "bad.tif cannot be denoised" in err and "good" not in err
    assert "refused: " in out and "damaged or was not copied to its end" in out
    assert out.rstrip().endswith("can be denoised")
    code, out, err = run(capsys, bad)
    assert code == 2 and out == "" and "damaged" in err and "Traceback" not in err


@pytest.mark.parametrize("text", ["3", "a:b", "5:5", "7:2", "1:2:3", "-1:4", ""])
def test_frames_that_name_none(text):
    with pytest.raises(UserError, match="give START:STOP"):
        slice_of(text)


def test_frames_that_name_some():
    assert slice_of("2:9") == (2, 9)
    assert slice_of(":9") == (None, 9)
    assert slice_of("4:") == (4, None)
    assert slice_of(None) is None
