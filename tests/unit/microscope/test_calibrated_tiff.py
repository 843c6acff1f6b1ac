"""TIFF files carry their calibration in both dialects and come back as they were."""

import numpy as np
import pytest
import tifffile

from lowdose.microscope.calibrated_tiff import read_tiff, write_tiff
from lowdose.runtime import UserError

PIXEL_NM = 0.0061


@pytest.fixture
def stack():
    rng = np.random.default_rng(0)
    return rng.poisson(0.45, (3, 20, 31)).astype(np.float32)


@pytest.mark.parametrize("units", ["nm", "pm"])
@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.uint8])
def test_round_trip_of_values_and_scale(tmp_path, stack, units, dtype):
    for images in (stack.astype(dtype), stack[0].astype(dtype), stack[:1].astype(dtype)):
        write_tiff(tmp_path / "a.tif", images, PIXEL_NM, title="frame", units=units)
        found, pixel_nm = read_tiff(tmp_path / "a.tif")
        assert found.dtype == dtype
        assert np.array_equal(found.reshape(images.shape), images)
        assert pixel_nm == pytest.approx(PIXEL_NM, rel=1e-12)


def test_tags_of_digitalmicrograph_and_imagej(tmp_path, stack):
    path = tmp_path / "a.tif"
    write_tiff(path, stack, PIXEL_NM, title="Pt, 120 e/Å²\nnoisy", frame_interval_s=0.025)
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert len(tiff.pages) == 3
        page = tiff.pages[0]
        values = {tag.code: tag.value for tag in page.tags}
        described = tiff.imagej_metadata
        descriptions = [tag for tag in page.tags if tag.code == 270]
    assert {code: values[code] for code in range(65003, 65012)} == {
        65003: "nm",
        65004: "nm",
        65005: "s",
        65006: 0.0,
        65007: 0.0,
        65008: 0.0,
        65009: PIXEL_NM,
        65010: PIXEL_NM,
        65011: 0.025,
    }
    assert described["unit"] == "nm"
    assert described["frames"] == described["images"] == 3
    assert described["finterval"] == pytest.approx(0.025)
    assert described["title"] == "Pt, 120 e/A? noisy"
    assert len(descriptions) == 1
    # Fiji: unit per pixel = denominator / numerator of the resolution.
    assert values[282] == values[283]
    assert values[282][1] / values[282][0] == pytest.approx(PIXEL_NM, rel=1e-12)
    assert values[296] == tifffile.RESUNIT.NONE


def test_reads_what_fiji_writes(tmp_path, stack):
    path = tmp_path / "fiji.tif"
    for unit, per_nm in (("nm", 1.0), ("micron", 1e-3), ("\\u00B5m", 1e-3), ("pm", 1e3)):
        scale = PIXEL_NM * per_nm
        tifffile.imwrite(
            path, stack, imagej=True, resolution=(1 / scale, 1 / scale), metadata={"unit": unit}
        )
        found, pixel_nm = read_tiff(path)
        assert np.array_equal(found, stack)
        assert pixel_nm == pytest.approx(PIXEL_NM, rel=1e-5)


def test_tags_win_over_description(tmp_path, stack):
    """DigitalMicrograph's doubles are exact, the resolution is a rounded ratio."""
    path = tmp_path / "a.tif"
    write_tiff(path, stack, 1 / 3e5, title="fine")
    assert read_tiff(path)[1] == 1 / 3e5


def test_uncalibrated_oblong_missing_and_broken_files_are_refused(tmp_path, stack):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    with pytest.raises(UserError, match="states no pixel size"):
        read_tiff(path)
    tifffile.imwrite(path, stack, imagej=True, resolution=(100, 80), metadata={"unit": "nm"})
    with pytest.raises(UserError, match=r"pixels of 0\.01 x 0\.0125 nm"):
        read_tiff(path)
    with pytest.raises(UserError, match="There is no file"):
        read_tiff(tmp_path / "b.tif")
    write_tiff(path, stack, PIXEL_NM, title="whole")
    for broken in (b"not a tiff", path.read_bytes()[:2000]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match="cannot be read as TIFF"):
            read_tiff(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 2, 2, 2))}, "give an image"),
        ({"images": np.zeros((0, 4))}, "give an image"),
        ({"pixel_size_nm": 0.0}, "pixel_size_nm is 0.0"),
        ({"units": "m"}, "choose from nm, pm"),
        ({"frame_interval_s": -1.0}, "frame_interval_s is -1.0"),
    ],
)
def test_impossible_requests_write_nothing(tmp_path, stack, change, message):
    arguments = {"images": stack, "pixel_size_nm": PIXEL_NM, "title": ""} | change
    with pytest.raises(UserError, match=message):
        write_tiff(tmp_path / "a.tif", **arguments)
    assert list(tmp_path.iterdir()) == []
