"""The wave store keeps every bit and names what is damaged."""

import json

import h5py
import numpy as np
import pytest

from lowdose.imaging.store import read_waves, write_shard
from lowdose.runtime import UserError

PARAMETERS = {
    "energy_kev": 300.0,
    "debye_waller_nm": {"Pt": 0.0064},
    "versions": {"abtem": "1.0.11"},
}


def waves(count: int = 3) -> list[tuple[dict, np.ndarray]]:
    rng = np.random.default_rng(4)
    return [
        (
            {"model_id": f"PtNp1{letter}-D0-16L-x0y0", "base_shape": f"PtNp1{letter}",
             "cell_y_nm": 5.0, "cell_x_nm": 5.3, "cell_z_nm": 3.0, "tilt_x_deg": 1.5, "layers": 16},
            (rng.normal(size=(20, 24)) + 1j * rng.normal(size=(20, 24))).astype(np.complex64),
        )
        for letter in "abc"[:count]
    ]  # fmt: skip


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "shard000.h5"
    write_shard(path, waves(), PARAMETERS)
    return path


def test_round_trip_is_exact(shard):
    read = list(read_waves([shard]))
    assert len(read) == 3
    for (row, wave), (attributes, again) in zip(waves(), read, strict=True):
        assert np.array_equal(wave, again)
        assert again.dtype == np.complex64
        assert {key: attributes[key] for key in row} == row


def text(value) -> str:
    return value.decode() if isinstance(value, bytes) else value


def test_layout_is_nexus_with_units(shard):
    """Root, entry and data name each other; every axis has its positions and unit."""
    with h5py.File(shard) as file:
        assert text(file.attrs["NX_class"]) == "NXroot"
        entry = file[text(file.attrs["default"])]
        assert text(entry.attrs["NX_class"]) == "NXentry"
        assert text(entry.attrs["default"]) == "PtNp1a-D0-16L-x0y0"
        assert json.loads(entry.attrs["parameters"]) == PARAMETERS
        group = entry["PtNp1b-D0-16L-x0y0"]
        assert text(group.attrs["NX_class"]) == "NXdata"
        assert text(group.attrs["title"]) == "PtNp1b-D0-16L-x0y0"
        assert [text(axis) for axis in group.attrs["axes"]] == ["y", "x"]
        assert (group.attrs["y_indices"], group.attrs["x_indices"]) == (0, 1)
        data = group[text(group.attrs["signal"])]
        assert data.dtype == np.complex64
        assert text(data.attrs["interpretation"]) == "image"
        assert text(group["y"].attrs["units"]) == text(group["x"].attrs["units"]) == "nm"
        assert np.array_equal(group["y"], np.arange(20) * (5.0 / 20))
        assert np.array_equal(group["x"], np.arange(24) * (5.3 / 24))


def test_each_wave_states_how_it_was_made(shard):
    attributes = next(read_waves([shard]))[0]
    assert attributes["sampling_y_nm"] == 0.25
    assert attributes["sampling_x_nm"] == 5.3 / 24
    assert attributes["energy_kev"] == 300.0
    assert attributes["thickness_nm"] == 3.0
    assert attributes["tilt_x_deg"] == 1.5
    assert json.loads(attributes["debye_waller_nm"]) == {"Pt": 0.0064}
    assert json.loads(attributes["versions"]) == {"abtem": "1.0.11"}
    assert not {"NX_class", "axes", "signal", "title", "y_indices"} & set(attributes)


def test_what_a_model_does_not_have_stays_not_a_number(tmp_path):
    """Blank models have no interface; their row keeps all its keys."""
    path = tmp_path / "blank.h5"
    row, wave = waves(1)[0]
    write_shard(path, [({**row, "interface_y_nm": float("nan")}, wave)], PARAMETERS)
    assert np.isnan(next(read_waves([path]))[0]["interface_y_nm"])


def test_frozen_phonons_have_an_axis(tmp_path):
    path = tmp_path / "phonons.h5"
    row, wave = waves(1)[0]
    stack = np.stack([wave, 2 * wave, 3 * wave])
    write_shard(path, [(row, stack)], PARAMETERS)
    attributes, again = next(read_waves([path]))
    assert np.array_equal(again, stack)
    assert attributes["sampling_x_nm"] == 5.3 / 24
    with h5py.File(path) as file:
        group = file["waves"][row["model_id"]]
        assert [text(axis) for axis in group.attrs["axes"]] == ["configuration", "y", "x"]
        assert list(group["configuration"]) == [0, 1, 2]
        assert len(group["y"]) == 20


def test_hyperspy_shows_axes_and_units(shard):
    hyperspy = pytest.importorskip("hyperspy.api", reason="a reader's program, not in the lock")
    signal = hyperspy.load(
        shard, file_format="nexus", nxdata_only=True, dataset_path="/waves/PtNp1b-D0-16L-x0y0"
    )
    assert signal.metadata.General.title == "PtNp1b-D0-16L-x0y0"
    x, y = signal.axes_manager.signal_axes
    assert (x.name, x.units, x.size, y.name, y.units, y.size) == ("x", "nm", 24, "y", "nm", 20)
    assert (x.scale, y.scale) == pytest.approx((5.3 / 24, 5.0 / 20), rel=1e-12)
    assert np.array_equal(signal.data, waves()[1][1])


def test_silx_finds_the_default_and_its_axes(shard):
    silx_io = pytest.importorskip("silx.io", reason="a reader's program, not in the lock")
    from silx.io import nxdata

    with silx_io.open(str(shard)) as file:
        found = nxdata.get_default(file)
        assert found.is_valid
        assert found.title == "PtNp1a-D0-16L-x0y0"
        assert found.signal_dataset_name == "wave"
        assert found.axes_names == ["y, downwards (nm)", "x (nm)"]
        assert np.array_equal(found.signal[()], waves()[0][1])


def test_wanted_models_only(shard, tmp_path):
    other = tmp_path / "shard001.h5"
    row, wave = waves(1)[0]
    write_shard(other, [({**row, "model_id": "another"}, 2 * wave)], PARAMETERS)
    wanted = {"another", "PtNp1c-D0-16L-x0y0"}
    found = [row["model_id"] for row, _ in read_waves([shard, other], wanted)]
    assert found == ["PtNp1c-D0-16L-x0y0", "another"]


def test_equal_waves_give_equal_bytes(shard, tmp_path):
    again = tmp_path / "again.h5"
    in_another_order = dict(reversed(PARAMETERS.items()))
    write_shard(again, waves(), in_another_order)
    assert again.read_bytes() == shard.read_bytes()


def flip(path, offset: int, bit: int = 1) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= bit
    path.write_bytes(content)


def test_one_flipped_byte_is_named_and_the_shard_moved_aside(shard):
    with h5py.File(shard) as file:
        offset = file["waves"]["PtNp1b-D0-16L-x0y0"]["wave"].id.get_offset()
    flip(shard, offset + 100)
    damaged = shard.read_bytes()
    # Its neighbours can still be read.
    assert len(list(read_waves([shard], {"PtNp1a-D0-16L-x0y0"}))) == 1
    with pytest.raises(
        UserError,
        match=r"PtNp1b-D0-16L-x0y0 in .*shard000\.h5 is damaged \(its checksum differs\); it was "
        r"moved aside to shard000\.h5\.damaged; run again, and it alone is made anew\.$",
    ):
        list(read_waves([shard]))
    assert not shard.exists()
    assert shard.with_name("shard000.h5.damaged").read_bytes() == damaged


def test_whatever_byte_is_flipped_no_other_value_is_read(shard):
    """Also in axes, attributes and HDF5's own structures."""
    whole = shard.read_bytes()
    good = [(row, wave.tobytes()) for row, wave in read_waves([shard])]
    rng = np.random.default_rng(7)
    noticed = 0
    for offset in rng.integers(len(whole), size=120):
        flip(shard, offset, 1 << int(rng.integers(8)))
        try:
            assert [(row, wave.tobytes()) for row, wave in read_waves([shard])] == good, offset
        except UserError:
            noticed += 1
        shard.write_bytes(whole)
    assert noticed > 30  # the rest is padding


def test_what_another_job_has_put_there_meanwhile_stays(shard, tmp_path):
    whole = shard.read_bytes()
    with h5py.File(shard) as file:
        flip(shard, file["waves"]["PtNp1c-D0-16L-x0y0"]["wave"].id.get_offset())
    reading = read_waves([shard])
    next(reading)
    (tmp_path / "new.h5").write_bytes(whole)
    (tmp_path / "new.h5").replace(shard)
    with pytest.raises(UserError, match="PtNp1c"):
        list(reading)
    assert shard.read_bytes() == whole


def test_model_that_no_shard_has(shard):
    with pytest.raises(UserError, match=r"None of the 1 wave files has the wave of another; run"):
        list(read_waves([shard], {"another", "PtNp1a-D0-16L-x0y0"}))


def test_waves_are_written_one_by_one(tmp_path):
    """The shard on disk grows by each wave before the next one is asked for."""
    sizes = []

    def made():
        for number in range(3):
            (part,) = tmp_path.glob("*") if number else [None]
            sizes.append(part.stat().st_size if part else 0)
            yield {**waves(1)[0][0], "model_id": f"m{number}"}, np.ones((512, 512), np.complex64)

    write_shard(tmp_path / "s.h5", made(), PARAMETERS)
    assert sizes[1] > 0.9 * 2**21
    assert sizes[2] > 0.9 * 2**22


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_file(shard, share):
    content = shard.read_bytes()
    shard.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"shard000\.h5 is truncated or no wave file.*made anew"):
        list(read_waves([shard]))


def test_foreign_files(tmp_path):
    text = tmp_path / "notes.h5"
    text.write_text("not HDF5")
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["data"] = np.zeros(3)
    for path in (text, foreign):
        with pytest.raises(UserError, match=rf"{path.name} is truncated or no wave file"):
            list(read_waves([path]))


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.h5 does not exist; run the simulation first"):
        list(read_waves([tmp_path / "gone.h5"]))


def test_failed_write_leaves_the_old_shard(shard):
    before = shard.read_bytes()
    with pytest.raises(KeyError):
        write_shard(shard, [({"model_id": "no cell"}, waves()[0][1])], PARAMETERS)
    assert shard.read_bytes() == before
    assert [p.name for p in shard.parent.iterdir()] == ["shard000.h5"]
