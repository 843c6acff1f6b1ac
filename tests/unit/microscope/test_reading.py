"""Frames and their calibration, format by format; what is no image is refused in words."""

from __future__ import annotations

import os

import mrcfile
import numpy as np
import psutil
import pytest
import tifffile

from lowdose.microscope.reading import read_recording
from lowdose.runtime import UserError

PIXEL_NM = 0.0061
KINDS = ("hspy", "zspy", "emd", "mrc", "tif", "npy")

# What each file's own metadata or README says: frames, pixel along y [nm], energy, interval.
REAL = {
    "atomap_simulated_nanoparticle.hspy": ((1, 220, 300), "uint16", None, None, None),
    "de_movie.mrc": ((348, 16, 16), "uint16", 1.0, None, None),
    "image_stack.dm3": ((3, 2, 16), "uint32", 59.982903, 200, None),
    "ncem_image.emd": ((1, 3, 3), "int32", None, None, None),
    "small_int.dm4": ((1, 2, 2), "float32", None, None, None),
    "stem_image.dm3": ((1, 68, 68), "uint32", 0.248538, 200, None),
    "tia_tem.ser": ((1, 128, 128), "int32", 21.479318, None, None),
    "tia_tem_5frames.ser": ((5, 64, 64), "float32", 6.281834, None, None),
    "velox_haadf.mrc": ((1, 16, 16), "uint16", 5.679131, None, None),
    "velox_tem_stack.emd": ((2, 3, 3), "int16", 0.00817288, 300, 0.8),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_open_with_all_frames_and_their_calibration(real, name):
    shape, dtype, pixel, energy, interval = REAL[name]
    recording = read_recording(real / name)
    assert recording.frames.shape == shape and recording.frames.dtype == dtype
    assert recording.is_stack == (shape[0] > 1)
    if pixel is None:
        assert recording.pixel_size_nm is None
    else:
        assert recording.pixel_size_nm == pytest.approx((pixel, pixel), rel=1e-5)
    assert recording.energy_kev == energy
    assert recording.frame_interval_s == interval
    assert recording.format == name.rsplit(".")[-1].upper()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stack", [True, False])
def test_every_format_keeps_frames_order_and_pixel(tmp_path, counts, kind, stack, made):
    data = counts if stack else counts[1]
    recording = read_recording(made.write(tmp_path / f"movie.{kind}", data), probed=True)
    np.testing.assert_array_equal(
        recording.frames, np.atleast_3d(data.T).T if stack else data[None]
    )
    assert recording.is_stack == stack
    assert recording.frames.dtype == np.uint16
    if kind == "npy":
        assert recording.pixel_size_nm is None
    else:
        assert recording.pixel_size_nm == pytest.approx((PIXEL_NM, PIXEL_NM), rel=1e-6)
    if kind in ("hspy", "zspy"):
        assert (recording.energy_kev, recording.exposure_s) == (300, 0.2)
        assert recording.title == "made up"
        assert recording.original_metadata["vendor"] == {"a": 1}
    if stack and kind in ("hspy", "zspy", "tif"):
        assert recording.frame_interval_s == pytest.approx(0.25)


def test_the_content_decides_not_the_name(tmp_path, counts, made):
    path = made.write(tmp_path / "movie.mrc", counts)
    wrong = path.rename(tmp_path / "movie.dm4")
    recording = read_recording(wrong)
    np.testing.assert_array_equal(recording.frames, counts)
    assert recording.format == "MRC"
    assert recording.notes == ("The name ends with .dm4, the content is MRC.",)


def test_frames_are_chosen(tmp_path, counts, made):
    path = made.write(tmp_path / "movie.hspy", counts)
    np.testing.assert_array_equal(read_recording(path, frames=(1, None)).frames, counts[1:])
    with pytest.raises(UserError, match="has 3 frames, none of those"):
        read_recording(path, frames=(5, 9))


@pytest.mark.parametrize(("units", "scale"), [
    ("nm", PIXEL_NM), ("pm", 6.1), ("Å", 0.061), ("A", 0.061), ("µm", 6.1e-6), ("um", 6.1e-6),
    ("m", 6.1e-12), ("\u03bcm", 6.1e-6), ("angstrom", 0.061), ("[n_m]", PIXEL_NM),
])  # fmt: skip
def test_units_of_length_become_nm(tmp_path, counts, units, scale, made):
    path = made.write(tmp_path / "a.hspy", counts, units=units, scale=scale)
    found = read_recording(path, probed=True).pixel_size_nm
    assert found == pytest.approx((PIXEL_NM, PIXEL_NM), rel=1e-9)


def test_pixels_that_are_not_square(tmp_path, counts, made):
    def read(y_scale, **options):
        return read_recording(
            made.write(tmp_path / "a.hspy", counts, y_scale=y_scale), probed=True, **options
        )

    assert read(PIXEL_NM * 1.004).notes == ()
    noted = read(PIXEL_NM * 1.03)
    assert "not square" in noted.notes[0]
    assert noted.pixel_size_nm == pytest.approx((1.03 * PIXEL_NM, PIXEL_NM))
    with pytest.raises(UserError, match=r"differ by 9\.1 %; resample it .*--pixel-size"):
        read(PIXEL_NM * 1.1)
    decided = read(PIXEL_NM * 1.1, pixel_size_nm=0.007)
    assert decided.pixel_size_nm == (0.007, 0.007)
    assert "--pixel-size" in decided.notes[0]


def test_electrons_are_taken_from_a_file_that_says_so(tmp_path, counts, made):
    noise = {"Variance_linear_model": {"gain_factor": 0.02, "gain_offset": 12.0}}
    said = {"Signal": {"quantity": "Electrons (Counts)", "Noise_properties": noise}}
    recording = read_recording(made.write(tmp_path / "a.hspy", counts, metadata=said), probed=True)
    assert (recording.electrons_per_unit, recording.offset) == (0.02, 12.0)
    other = {"Signal": {"quantity": "Intensity (Counts)", "Noise_properties": noise}}
    recording = read_recording(made.write(tmp_path / "b.hspy", counts, metadata=other), probed=True)
    assert (recording.electrons_per_unit, recording.offset) == (None, 0.0)


def refused(path, **options):
    with pytest.raises(UserError) as caught:
        read_recording(path, **options)
    return str(caught.value)


def test_what_is_no_image_is_refused(tmp_path, counts, made):
    rgb = np.zeros((30, 40, 3), np.uint8)
    np.save(tmp_path / "rgb.npy", rgb)
    assert "colour picture" in refused(tmp_path / "rgb.npy")
    np.save(tmp_path / "wave.npy", np.ones((20, 20), complex))
    assert "complex" in refused(tmp_path / "wave.npy")
    np.save(tmp_path / "line.npy", np.ones(20))
    assert "one axis, as a spectrum" in refused(tmp_path / "line.npy")
    np.save(tmp_path / "four.npy", np.ones((2, 3, 20, 20)))
    assert "it has 4 axes (2 x 3 x 20 x 20); export" in refused(tmp_path / "four.npy")
    np.save(tmp_path / "none.npy", np.ones((0, 20, 20)))
    assert "its shape is 0 x 20 x 20" in refused(tmp_path / "none.npy")
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    assert "not numbers" in refused(tmp_path / "text.npy")
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    assert "cannot be read as NPY" in refused(tmp_path / "pickle.npy")
    spectra = made.signal(counts)
    for k, one in enumerate(spectra["axes"]):
        one["navigate"] = k < 2
    import rsciio.hspy

    rsciio.hspy.file_writer(str(tmp_path / "si.hspy"), spectra)
    assert "series of spectra" in refused(tmp_path / "si.hspy")
    made.write(tmp_path / "dp.hspy", counts, units="1/nm")
    assert "calibrated in 1/nm, as a diffraction pattern" in refused(tmp_path / "dp.hspy")


def test_what_is_no_file_is_said(tmp_path):
    assert "There is no file" in refused(tmp_path / "none.dm4")
    (tmp_path / "empty.dm4").touch()
    assert "is empty (0 bytes)" in refused(tmp_path / "empty.dm4")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(300))
    assert "a picture has no counts" in refused(tmp_path / "a.png")
    (tmp_path / "a.emi").write_bytes(b"JI" + bytes(300))
    assert "open the .ser file" in refused(tmp_path / "a.emi")
    (tmp_path / "folder").mkdir()
    assert "is a folder" in refused(tmp_path / "folder")
    # A pipe that nobody writes to: reading it would wait for ever.
    os.mkfifo(tmp_path / "pipe.tif")
    assert "is no regular file" in refused(tmp_path / "pipe.tif")
    (tmp_path / "link.dm4").symlink_to("nowhere.dm4")
    assert "There is no file" in refused(tmp_path / "link.dm4")
    assert "--pixel-size is -1" in refused(tmp_path / "none.dm4", pixel_size_nm=-1.0)


def test_a_file_without_permission_is_said(tmp_path, monkeypatch):
    path = tmp_path / "hers.tif"
    path.write_bytes(b"II*\0" + bytes(100))
    if os.geteuid():
        path.chmod(0)
    else:  # root may read everything

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(type(path), "open", refuse)
    assert "cannot be opened (Permission denied)" in refused(path)


def test_more_than_fits_is_refused_before_it_is_read(tmp_path, monkeypatch):
    np.save(tmp_path / "large.npy", np.zeros((4, 500, 500), np.float32))
    monkeypatch.setattr("lowdose.microscope.reading.SHARE_OF_MEMORY", 1e-9)
    assert "choose fewer by --frames" in refused(tmp_path / "large.npy")


def test_one_of_several_images_is_chosen_by_number(tmp_path, counts, made):
    import h5py

    path = made.write(tmp_path / "two.hspy", counts)
    with h5py.File(path, "a") as file:
        file.copy("Experiments/made up", "Experiments/other")
    said = refused(path)
    assert "has 2 images; choose one by --signal (1 made up 3 x 40 x 56; 2" in said
    np.testing.assert_array_equal(read_recording(path, signal=2).frames, counts)
    assert "has 2 signals; --signal is one from 1 on" in refused(path, signal=3)


@pytest.mark.parametrize(("unit", "per_nm"), [("nm", 1.0), ("um", 1e-3), ("micron", 1e-3),
                                              ("A", 10.0), ("pm", 1e3)])  # fmt: skip
def test_what_fiji_saves_keeps_its_scale_and_interval(tmp_path, counts, unit, per_nm):
    """RosettaSciIO takes micrometres alone, and of those without the interval."""
    path = tmp_path / "fiji.tif"
    scale = 1 / (PIXEL_NM * per_nm)
    tifffile.imwrite(
        path, counts, imagej=True, resolution=(scale, scale),
        metadata={"unit": unit, "axes": "TYX", "finterval": 0.2},
    )  # fmt: skip
    recording = read_recording(path, probed=True)
    assert recording.pixel_size_nm == pytest.approx((PIXEL_NM, PIXEL_NM), rel=1e-5)
    assert recording.frame_interval_s == pytest.approx(0.2)
    np.testing.assert_array_equal(recording.frames, counts)


def test_tiffs_of_others(tmp_path, counts):
    sizes = {f"PhysicalSize{a}{end}": value for a in "XY" for end, value in
             (("", PIXEL_NM), ("Unit", "nm"))}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", counts, metadata={"axes": "TYX", **sizes})
    found = read_recording(tmp_path / "a.ome.tif", probed=True)
    assert found.pixel_size_nm == pytest.approx((PIXEL_NM, PIXEL_NM))
    # Dots per inch are a printer's.
    tifffile.imwrite(tmp_path / "a.tif", counts[0], resolution=(300, 300), resolutionunit="INCH")
    assert read_recording(tmp_path / "a.tif", probed=True).pixel_size_nm is None
    tifffile.imwrite(tmp_path / "b.tif", counts, compression="lzw", photometric="minisblack")
    np.testing.assert_array_equal(read_recording(tmp_path / "b.tif", probed=True).frames, counts)
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((40, 56, 3), np.uint8), photometric="rgb")
    with pytest.raises(UserError, match="colour picture"):
        read_recording(tmp_path / "c.tif", probed=True)
    # What tifffile takes for one by itself, and how to write it.
    few = np.zeros((3, 40, 56), np.uint8)
    tifffile.imwrite(tmp_path / "d.tif", few, photometric="rgb", planarconfig="separate")
    with pytest.raises(UserError, match=r"3 or 4 frames .+ photometric='minisblack'"):
        read_recording(tmp_path / "d.tif", probed=True)
    tifffile.imwrite(tmp_path / "e.tif", few + 1, photometric="minisblack")
    assert read_recording(tmp_path / "e.tif", probed=True).frames.shape == few.shape


def test_an_mrc_without_calibration_has_none(tmp_path, counts):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(counts)
    assert read_recording(tmp_path / "a.mrc", probed=True).pixel_size_nm is None


def test_a_tiff_that_was_read_is_closed(tmp_path, counts, made):
    path = made.write(tmp_path / "movie.tif", counts)
    read_recording(path)
    with pytest.raises(UserError, match="--signal is one from 1 on"):
        read_recording(path, signal=9, probed=True)
    assert str(path) not in [one.path for one in psutil.Process().open_files()]
