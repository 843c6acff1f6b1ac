"""Tables of atomic columns come back as they were, and Atomap and AtomAI read them as meant."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import lowdose
from lowdose.microscope.column_files import (
    ATOMAP_FEWEST,
    NEEDED,
    read_columns,
    to_atomai,
    to_atomap,
    write_csv,
    write_hdf5,
)
from lowdose.runtime import UserError

PIXEL_NM = 0.0113
SHAPE = (3, 150, 260)  # not square: a swap of x and y leaves the image
PARTS = {"particle": slice(0, 45), "support": slice(45, 67)}  # rows of the first frame
ABOUT = {"source": "gold,\n3 frames", "pixel_size_nm": PIXEL_NM, "test\n1": {"fdr": 0.05}}


def lattice(n_x: int, n_y: int, x_0: float, y_0: float, a: float, b: float) -> np.ndarray:
    """Return a centred lattice (x, y), a little disturbed."""
    j, i = np.mgrid[:n_y, :n_x].reshape(2, -1)
    points = np.stack([x_0 + a * (i + 0.5 * (j % 2)), y_0 + b * j], axis=1)
    return points + np.random.default_rng(n_x).normal(0, 0.3, points.shape)


def table_of(positions_px, **more) -> pd.DataFrame:
    x, y = np.asarray(positions_px, dtype=float).T
    made = {"frame": 0, "id": np.arange(len(x)), "x_nm": x * PIXEL_NM, "y_nm": y * PIXEL_NM}
    return pd.DataFrame(made | {"x_px": x, "y_px": y} | more)


@pytest.fixture
def columns() -> pd.DataFrame:
    """45 columns of the particle and 22 of the support in frame 0, three in frame 2, none in 1."""
    points = np.concatenate([lattice(9, 5, 30, 20, 24, 18), lattice(11, 2, 12, 115, 21, 19)])
    n, rng = len(points), np.random.default_rng(5)
    more = {
        "width_nm": 0.05 + 1e-4 * np.arange(n),
        "x_se_nm": rng.uniform(0.001, 0.02, n),
        "amplitude_e": rng.normal(0, 0.1, n),
        "p_value": 10.0 ** -rng.uniform(0, 300, n),
        "supported": rng.random(n) < 0.7,
        "is_surface": pd.array(rng.random(n) < 0.2, dtype="boolean"),
        "where": ["particle"] * 45 + ["support"] * 22,
    }
    first = table_of(points, **more)
    last = first.iloc[[3, 4, 60]].assign(frame=2, id=[7, 5, 0])
    table = pd.concat([first, last], ignore_index=True)
    table.loc[[2, 68], ["width_nm", "x_se_nm"]] = np.nan
    table.loc[50, "amplitude_e"] = -np.inf
    table.loc[45:66, "is_surface"] = pd.NA
    table["note"] = table["id"].map({4: 'a "b", #1; Å\nNA ', 5: "NA"}).astype("str")
    return table


@pytest.fixture
def images(columns) -> np.ndarray:
    """Frames in which the pixel of each column's centre is bright."""
    frames = np.random.default_rng(8).uniform(0.3, 0.6, SHAPE).astype(np.float32)
    frame, y, x = (columns[name].round().astype(int) for name in ("frame", "y_px", "x_px"))
    frames[frame, y, x] = 9
    return frames


@pytest.fixture
def write(tmp_path, images):
    """Write a table in the format of a name, return the path."""

    def write(table: pd.DataFrame, kind: str) -> Path:
        if kind == "csv":
            write_csv(tmp_path / "a.csv", table, ABOUT)
        else:
            write_hdf5(tmp_path / "a.hdf5", table, images, PIXEL_NM, ABOUT)
        return tmp_path / f"a.{kind}"

    return write


@pytest.mark.parametrize(("kind", "digits"), [("csv", 1e-8), ("hdf5", 0)])
def test_round_trip(write, columns, kind, digits):
    kept = columns.copy(deep=True)
    found = read_columns(write(columns, kind))
    pd.testing.assert_frame_equal(found, columns, rtol=digits, atol=0)
    pd.testing.assert_frame_equal(columns, kept)
    assert sorted(set(map(str, columns.dtypes))) == ["bool", "boolean", "float64", "int64", "str"]


@pytest.mark.parametrize("kind", ["csv", "hdf5"])
@pytest.mark.parametrize(
    ("given", "back"),
    [
        (np.array([1, 2, 255], "uint8"), "uint8"),
        (np.array([-1, 2**62, 0]), "int64"),
        (np.array([1.5, np.nan, 1 / 3], "float32"), "float32"),
        (pd.array([1, None, 3], "Int64"), "float64"),
        (np.array([True, None, False], object), "boolean"),
        (np.array([True, False, False], object), "bool"),
        (np.array(["a", None, "b"], object), "str"),
        (np.array([None, None, None], object), "str"),
        (pd.Categorical(["Pt", "Ce", "Pt"]), "str"),
        (["True", "1", "nan"], "str"),
        (["#", " a ", "x\r\ny"], "str"),
        (["", "'", '"'], "str"),
    ],
)
def test_types_come_back(write, kind, given, back):
    table = table_of([[1, 2], [3, 5], [8, 13]])
    table["any thing=,"] = given
    table.index = [5, 3, 3]
    found = read_columns(write(table, kind))["any thing=,"]
    assert (str(found.dtype), list(found.index)) == (back, [0, 1, 2])
    values = pd.Series(given).astype(object)
    values = values.mask(values == "")
    assert list(found.isna()) == list(values.isna())
    for one, other in zip(found.dropna(), values.dropna(), strict=True):
        assert one == (pytest.approx(other, rel=1e-8) if back.startswith("f") else other)


@pytest.mark.parametrize("kind", ["csv", "hdf5"])
def test_a_table_without_columns_of_atoms(write, columns, kind):
    found = read_columns(write(columns.iloc[:0], kind))
    pd.testing.assert_frame_equal(found, columns.iloc[:0])
    found = read_columns(write(pd.DataFrame(columns=[*NEEDED, "where"]), kind))
    assert [str(found[name].dtype) for name in NEEDED] == ["int64"] * 2 + ["float64"] * 4
    assert to_atomap(found).shape == (0, 2)
    assert to_atomai(found) == {}
    assert to_atomai(found, 2)[1].shape == (0, 3)


def test_the_csv_says_what_it_is_and_others_read_it(write, columns):
    path = write(columns, "csv")
    text = path.read_bytes().decode()
    assert "\r" not in text and text.endswith("\n")
    header = [line for line in text.split("\n") if line.startswith("# ")]
    assert text.startswith("\n".join(header) + "\nframe,id,x_nm,y_nm,x_px,y_px,")
    assert header[0].startswith("# lowdose") and "atomic columns" in header[0]
    assert header[1:3] == ["# source: gold, 3 frames", f"# pixel_size_nm: {PIXEL_NM}"]
    assert header[3] == '# test 1: {"fdr": 0.05}'  # a line break would end the header
    rule = "x to the right, y downwards; pixel i is at i x pixel size: pixel centres are whole"
    assert header[4].startswith(f"# pixel origin: {rule}")
    assert header[5].startswith("# units: frame [none], id [none], x_nm [nm], y_nm [nm], x_px [px]")
    assert "amplitude_e [e/px], p_value [none]" in header[5]
    assert "id=int64 x_nm=float64" in header[6] and "where=str" in header[6]

    plain = pd.read_csv(path, comment="#")
    assert list(plain.columns) == list(columns.columns)
    for name in ("frame", "id", "supported", "where"):
        assert (plain[name] == columns[name]).all()
    for name in ("x_nm", "y_px", "width_nm", "p_value"):
        np.testing.assert_allclose(plain[name], columns[name], rtol=1e-6)
    assert plain["note"][4] == 'a "b", #1; Å\nNA '
    assert plain["is_surface"].isna().sum() == 22


def test_a_csv_that_passed_through_a_spreadsheet_is_read(write, tmp_path, columns):
    path = write(columns.drop(columns="note"), "csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines = [line + "," * 12 if line.startswith("#") else line for line in lines]
    path.write_text("\ufeff" + "\r\n".join(lines) + "\r\n", encoding="utf-8")
    pd.testing.assert_frame_equal(read_columns(path), columns.drop(columns="note"), rtol=1e-8)
    # Without any header the cells alone decide.
    path.write_text("\n".join(line for line in lines if line[0] != "#"))
    found, known = read_columns(path), [*NEEDED, "width_nm", "p_value", "supported", "where"]
    pd.testing.assert_frame_equal(found[known], columns[known], rtol=1e-8)


def test_the_table_in_the_hdf5_is_plain(write, columns):
    with h5py.File(write(columns, "hdf5")) as file:
        table = file["columns"]
        assert list(table.attrs["order"]) == list(columns.columns)
        assert np.array_equal(table["x_nm"][:], columns["x_nm"])
        assert (table["x_nm"].attrs["units"], table["frame"].attrs["units"]) == ("nm", "none")
        assert table["supported"].dtype == bool
        assert table["where"].asstr()[60] == "support"
        assert set(table["is_surface"][45:67]) == {-1}
        assert json.loads(file["about"].asstr()[()]) == ABOUT
        assert "pixel centres are whole numbers" in file.attrs["pixel_origin"]


def test_the_hdf5_has_what_atomap_asks_for(write, columns, images):
    """Field by field as atomap.io.load_atom_lattice_from_hdf5 of Atomap 0.4.2 reads them."""
    with h5py.File(write(columns, "hdf5")) as file:
        root = dict(file.attrs)
        assert (root["atom_lattice_type"], root["name"]) == ("Atom_Lattice", "frame 0")
        # Where it is missing Atomap divides by the last sublattice's pixel size: none may be there.
        assert "pixel_separation" in root
        assert np.array_equal(file["image_data"][:], images[0])
        assert file["original_image_data"] == file["image_data"]
        # Each group with such a name is taken for a sublattice, in the order of the names.
        taken = [name for name in file if "sublattice" in name or "atom_lattice" in name]
        assert taken == ["particle_sublattice", "support_sublattice"]
        for index, (name, rows) in enumerate(PARTS.items()):
            group, here = file[f"{name}_sublattice"], columns[rows]
            assert group.attrs["sublattice_index"] == index
            assert group.attrs["name"] == name
            assert (group.attrs["pixel_size"], group.attrs["units"]) == (PIXEL_NM, "nm")
            assert isinstance(group.attrs["plot_color"], str)
            assert group.attrs["pixel_separation"] == 0  # then Atomap measures it
            # Stored once: four names of one array.
            assert group["modified_image_data"] == file["image_data"]
            assert group["original_image_data"] == file["image_data"]
            positions = group["atom_positions"][:]
            assert np.array_equal(positions, here[["x_px", "y_px"]])
            x, y = positions.round().astype(int).T
            assert (group["modified_image_data"][:][y, x] == 9).all()
            sigma = (here["width_nm"] / PIXEL_NM).fillna(1.0)
            assert np.array_equal(group["sigma_x"][:], sigma)
            assert np.array_equal(group["sigma_y"][:], sigma)
            assert not group["rotation"][:].any()


def test_another_frame_is_the_lattice_and_a_small_sublattice_is_left_out(tmp_path, columns, images):
    path = tmp_path / "a.h5"
    both = pd.concat([columns, columns[:44].assign(frame=1)], ignore_index=True)
    assert write_hdf5(path, both, images, PIXEL_NM, {}) == ()
    assert write_hdf5(path, both, images, PIXEL_NM, {}, frame=1) == ()
    with h5py.File(path) as file:
        assert [name for name in file if "lattice" in name] == ["particle_sublattice"]
        assert np.array_equal(file["image_data"][:], images[1])
        assert len(file["particle_sublattice/atom_positions"]) == 44
    assert len(read_columns(path)) == len(both)
    assert write_hdf5(path, both, images, PIXEL_NM, {}, frame=2) == ("particle", "support")
    few = columns[45 - ATOMAP_FEWEST + 1 : 67]
    assert write_hdf5(path, few, images[0], PIXEL_NM, {}) == ("particle",)
    with h5py.File(path) as file:
        assert [name for name in file if "lattice" in name] == ["support_sublattice"]
        support = file["support_sublattice"]
        assert support.attrs["sublattice_index"] == 0  # without gaps
        assert np.array_equal(support["atom_positions"], columns[["x_px", "y_px"]][45:67])
    # Neither `where` nor a width: one sublattice, and Atomap's own sigma.
    assert write_hdf5(path, columns[list(NEEDED)], images, PIXEL_NM, {}) == ()
    with h5py.File(path) as file:
        assert len(file["particle_sublattice/atom_positions"]) == 67
        assert "sigma_x" not in file["particle_sublattice"]


def test_atomap_opens_it(write, columns, images):
    pytest.importorskip("atomap")
    import atomap.api

    opened = atomap.api.load_atom_lattice_from_hdf5(str(write(columns, "hdf5")))
    assert [one.name for one in opened.sublattice_list] == ["particle", "support"]
    assert np.array_equal(opened.image, images[0])
    for name, rows in PARTS.items():
        sublattice, here = opened.get_sublattice(name), columns[rows]
        assert np.array_equal(sublattice.atom_positions, here[["x_px", "y_px"]])
        assert (sublattice.pixel_size, sublattice.units) == (PIXEL_NM, "nm")
        axes = sublattice.signal.axes_manager.signal_axes
        found = [(axis.size, axis.scale, axis.units) for axis in axes]
        assert found == [(size, PIXEL_NM, "nm") for size in SHAPE[:0:-1]]
        assert np.array_equal(sublattice.sigma_x, (here["width_nm"] / PIXEL_NM).fillna(1.0))
        assert np.array_equal(sublattice.ellipticity, np.ones(len(here)))
        sublattice.construct_zone_axes()
        x, y = min(sublattice.zones_axis_average_distances, key=lambda vector: abs(vector[1]))
        assert (abs(x), y) == pytest.approx((24 if name == "particle" else 21, 0), abs=1)
    opened = atomap.api.load_atom_lattice_from_hdf5(str(write(columns[:10], "hdf5")))
    assert opened.sublattice_list == []


def test_arrays_for_atomap_and_atomai(columns):
    positions = to_atomap(columns, frame=2)
    assert positions.dtype == np.float64
    assert np.array_equal(positions, columns[["x_px", "y_px"]][67:])
    assert positions[0, 0] > 1.5 * positions[0, 1]  # x before y
    assert to_atomap(columns, frame=1).shape == (0, 2)

    coordinates = to_atomai(columns)
    # Frame 1 is there too: AtomAI zips images and values.
    assert list(coordinates) == [0, 1, 2]
    assert [array.shape for array in coordinates.values()] == [(67, 3), (0, 3), (3, 3)]
    assert np.array_equal(coordinates[2][:, :2], positions[:, ::-1])
    assert list(coordinates[2][:, 2]) == [0, 0, 1]
    assert list(to_atomai(columns, 5)) == [0, 1, 2, 3, 4]
    assert not to_atomai(columns[list(NEEDED)])[0][:, 2].any()
    with pytest.raises(UserError, match="columns in frame 2, but n_frames is 2"):
        to_atomai(columns, 2)
    with pytest.raises(UserError, match="where is 'vacuum' of a column; say particle or support"):
        to_atomai(columns.assign(where="vacuum"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x_px", None, "has no x_px"),
        ("x_px", np.nan, "x_px has other values than finite numbers"),
        ("y_nm", "a", "y_nm has other values than finite"),
        ("frame", 0.5, "frame has other values than whole numbers"),
        ("id", -1, "id has other values than whole"),
        ("x_nm", 1.0, r"nm are not px times 0\.0113"),
        ("a/b", 1, "'a/b' cannot name a column"),
        (3, 1, "3 cannot name a column"),
        ("when", pd.Timestamp("2024-02-01"), "when is datetime; give numbers"),
    ],
)
def test_what_is_no_table_of_columns_is_refused(tmp_path, columns, images, name, value, message):
    columns[name] = value
    table = columns.drop(columns=[name]) if value is None else columns
    with pytest.raises(UserError, match=message):
        write_csv(tmp_path / "a.csv", table, ABOUT)
    with pytest.raises(UserError, match=message):
        write_hdf5(tmp_path / "a.hdf5", table, images, PIXEL_NM, ABOUT)
    assert list(tmp_path.iterdir()) == []


def test_other_mistakes_are_named_too(tmp_path, columns):
    with pytest.raises(UserError, match="'id' cannot name a column, or names two"):
        write_csv(tmp_path / "a.csv", pd.concat([columns, columns[["id"]]], axis=1), ABOUT)
    for about in ({}, {"pixel_size_nm": "0.01"}, {"pixel_size_nm": np.nan}):
        with pytest.raises(UserError, match="pixel_size_nm is"):
            write_csv(tmp_path / "a.csv", columns, about)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_size_nm": 0.0}, "pixel_size_nm is 0.0"),
        ({"pixel_size_nm": 0.1}, "nm are not px times 0.1"),
        ({"frame": 3}, "Frame 3 is not among the images"),
        ({"images": np.ones(SHAPE[1:])}, "Frame 2 is not among the images"),
        ({"images": np.ones((1, *SHAPE))}, r"\(1, 3, 150, 260\) are no"),
    ],
)
def test_impossible_requests_write_nothing(tmp_path, columns, images, change, message):
    given = {"columns": columns, "images": images, "pixel_size_nm": PIXEL_NM, "about": ABOUT}
    with pytest.raises(UserError, match=message):
        write_hdf5(tmp_path / "a.hdf5", **given | change)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"# lowdose\n", b"x,y\n1,2\n", b"\x89PNG\r\n\x1a\n\xff\x00", b"frame,id\n1\n1,2,3,4\n"],
)
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.csv is no table of atomic columns"):
        read_columns(path)
    with pytest.raises(UserError, match="There is no file"):
        read_columns(tmp_path / "b.csv")


def test_other_and_broken_hdf5_files_are_refused(write, tmp_path, columns):
    with h5py.File(tmp_path / "other.hspy", "w") as file:
        file["Experiments/__unnamed__/data"] = np.zeros(3)
    with pytest.raises(UserError, match="it has no group `columns` of lowdose"):
        read_columns(tmp_path / "other.hspy")
    whole = write(columns, "hdf5")
    whole.write_bytes(whole.read_bytes()[:3000])
    text = write(columns, "csv")
    text.write_text(text.read_text(encoding="utf-8").replace("True", "perhaps", 1))
    for broken in (whole, text):
        with pytest.raises(UserError, match="is no table of atomic columns"):
            read_columns(broken)


@pytest.mark.parametrize("kind", ["csv", "hdf5"])
def test_killed_in_the_middle_the_old_file_stays(tmp_path, write, columns, kind):
    path = write(columns, kind)
    old = path.read_bytes()
    code = (
        "import os, pathlib, signal, sys\n"
        "import numpy as np\n"
        "from lowdose.microscope import column_files as files\n"
        "path, kind = sys.argv[1:]\n"
        "table, about = files.read_columns(path), {'pixel_size_nm': 0.0113}\n"
        "def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        "pathlib.Path.write_text = lambda self, text, **_: die(self.write_bytes(b'# half'))\n"
        "files._write_lattice = die\n"
        "if kind == 'csv': files.write_csv(path, table, about)\n"
        "else: files.write_hdf5(path, table, np.ones((3, 9, 9)), 0.0113, about)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(lowdose.__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", code, str(path), kind], env=environment)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == old
    assert [".partial" in other.name for other in tmp_path.iterdir() if other != path] == [True]


def test_the_same_table_gives_the_same_bytes(write, columns):
    for kind in ("csv", "hdf5"):
        first = write(columns, kind).read_bytes()
        assert write(columns, kind).read_bytes() == first
