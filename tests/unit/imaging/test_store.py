"""The wave store keeps every bit and names what is damaged."""

import h5py
import numpy as np
import pytest

from lowdose.imaging.store import checksum, read_waves, write_shard
from lowdose.runtime import UserError

PARAMETERS = {"energy_kev": 300.0, "abtem": "1.0.11"}


def waves(count: int = 3) -> list[tuple[dict, np.ndarray]]:
    rng = np.random.default_rng(4)
    return [
        (
            {"model_id": f"PtNp1{letter}-D0-16L-x0y0", "base_shape": f"PtNp1{letter}",
             "cell_y_nm": 5.0, "cell_x_nm": 5.3, "tilt_x_deg": 1.5, "layers": 16},
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
        assert attributes["sha256"] == checksum(wave)


def test_file_states_units_and_parameters(shard):
    with h5py.File(shard) as file:
        assert "1.0.11" in file.attrs["parameters"]
        group = file["PtNp1b-D0-16L-x0y0"]
        assert group["y"].attrs["units"] == group["x"].attrs["units"] == "nm"
        assert group["y"][1] == pytest.approx(5.0 / 20)
        assert group["x"][-1] == pytest.approx(5.3 * 23 / 24)


def test_wanted_models_only(shard, tmp_path):
    other = tmp_path / "shard001.h5"
    row, wave = waves(1)[0]
    write_shard(other, [({**row, "model_id": "another"}, 2 * wave)], PARAMETERS)
    wanted = {"another", "PtNp1c-D0-16L-x0y0"}
    found = [row["model_id"] for row, _ in read_waves([shard, other], wanted)]
    assert found == ["PtNp1c-D0-16L-x0y0", "another"]


def test_equal_waves_give_equal_bytes(shard, tmp_path):
    again = tmp_path / "again.h5"
    write_shard(again, waves(), PARAMETERS)
    assert again.read_bytes() == shard.read_bytes()


def test_one_flipped_byte_is_named_with_model_and_file(shard):
    with h5py.File(shard) as file:
        offset = file["PtNp1b-D0-16L-x0y0"]["wave"].id.get_offset()
    content = bytearray(shard.read_bytes())
    content[offset + 100] ^= 1
    shard.write_bytes(content)
    with pytest.raises(UserError, match=r"PtNp1b-D0-16L-x0y0 in .*shard000\.h5 is damaged"):
        list(read_waves([shard]))
    # Its neighbours can still be read.
    assert len(list(read_waves([shard], {"PtNp1a-D0-16L-x0y0"}))) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
def test_truncated_file(shard, share):
    content = shard.read_bytes()
    shard.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"shard000\.h5 is truncated or no wave file.*delete it"):
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
