"""``lowdose view``: the layers of a denoised file, and napari's own opinion of them."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

from lowdose.cli import main
from lowdose.cli._layers import layers
from lowdose.microscope.calibrated_tiff import write_tiff
from lowdose.runtime import UserError


@pytest.fixture(scope="module")
def denoised(tmp_path_factory):
    """Three frames of bright columns, drifting by whole pixels, denoised with columns."""
    folder = tmp_path_factory.mktemp("viewed")
    y, x = np.mgrid[:240, :300] * 0.0061
    image = np.ones((240, 300))
    for k, row in enumerate(np.arange(0.5, 1.2, 0.226)):
        for column in np.arange(0.5 + 0.1385 * (k % 2), 1.4, 0.277):
            image += 0.6 * np.exp(-((x - column) ** 2 + (y - row) ** 2) / (2 * 0.05**2))
    rng = np.random.default_rng(0)
    counts = rng.poisson(6 * np.stack([np.roll(image, 3 * k, 1) for k in range(3)]))
    path = folder / "movie.tif"
    write_tiff(path, counts.astype(np.uint8), 0.0061, title="columns")
    words = ["--formats", "tif", "hspy", "csv", "--sum", "2", "--denoiser", "gaussian"]
    assert main(["--threads", "1", "denoise", str(path), *words]) == 0
    return path


def test_layers_are_calibrated_and_lie_over_each_other(denoised):
    counts, frames, columns = layers(denoised)
    assert [one[2] for one in (counts, frames, columns)] == ["image", "image", "points"]
    assert counts[0].shape == frames[0].shape == (2, 240, 300)
    # The sums that were denoised, not the file's frames.
    assert counts[0].mean() == pytest.approx(frames[0].mean(), rel=1e-3)
    assert counts[1]["scale"] == frames[1]["scale"] == (1, 0.0061, 0.0061)
    assert counts[1]["contrast_limits"] == frames[1]["contrast_limits"]
    place, options, _ = columns
    table = options["features"]
    assert len(place) == len(table) > 20
    # A column is bright where its marker lies: (frame, y, x) in nm.
    on = [frames[0][int(f), round(y / 0.0061), round(x / 0.0061)] for f, y, x in place]
    assert np.mean(on) > 1.1 * frames[0].mean()
    crossed = options["symbol"] == "x"
    assert (crossed == (table["is_surface"] & ~table["supported"])).all()


def test_a_file_that_was_not_denoised_or_is_another_one(denoised, tmp_path):
    with pytest.raises(UserError, match=r"run `lowdose denoise .*movie.tif` first"):
        layers(tmp_path / "movie.tif")
    record = denoised.with_name("movie.denoised.json")
    kept = record.read_text()
    try:
        record.write_text(json.dumps({**json.loads(kept), "frames_summed": 1}))
        with pytest.raises(UserError, match="is not what was denoised"):
            layers(denoised)
    finally:
        record.write_text(kept)


def test_without_napari_it_says_how_to_get_it(denoised, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["view", str(denoised)]) == 2
    said = capsys.readouterr().err
    assert "napari is not installed" in said and "Traceback" not in said


def test_napari_takes_the_layers(denoised):
    components = pytest.importorskip("napari.components")
    from lowdose.cli.view import add

    viewer = components.ViewerModel()
    shown = layers(denoised)
    add(viewer, shown)
    assert [layer.name for layer in viewer.layers][:2] == ["counts", "denoised"]
    points = viewer.layers[2]
    np.testing.assert_allclose(points.data, shown[2][0])
    assert list(points.features["llr"]) == list(shown[2][1]["features"]["llr"])
    assert viewer.scale_bar.visible
    assert {tuple(map(str, layer.units)) for layer in viewer.layers} == {
        ("pixel", "nanometer", "nanometer")
    }
    # In the world, a marker lies within the image.
    assert (points.extent.world[1][1:] <= viewer.layers[1].extent.world[1][1:]).all()
