"""The table of an architecture search, on trainings of known cards and histories."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from lowdose import config
from lowdose.cli import main
from lowdose.data.frames import write_frames
from lowdose.environments import ROOT
from lowdose.report.search_table import constant_psnr_db, differences, page, search_table
from lowdose.runtime import UserError

BASE = {
    "architecture": {"architecture": "resunet", "stem": 4, "widths": [64, 128]},
    "training": {"minutes": 5, "learning_rate": 2e-3, "validate_every": 100},
    "training_set": {"name": "white"},
    "seed": 0,
}


@pytest.fixture
def trained(tmp_path):
    """A function (name, PSNR, changes of the card) that writes a finished training."""

    def write(name, psnr_db, steps=1000, seconds=300.0, false=None, **changes):
        counted = {} if false is None else {"validation_false_per_100_nm2": false}
        folder = tmp_path / name
        folder.mkdir()
        card = {
            **BASE, "name": name, "denoiser": f"{name}.white.seed0", "weights_sha256": "",
            "test_vector": {}, "pixel_size_nm": [0.0058, 0.0064], "dose_e_per_a2": [50, 400],
            "receptive_field_px": 91, "effective_field_px": 40.6, "parameters": 1234567,
            "threads": 1, **changes,
        }  # fmt: skip
        (folder / "card.json").write_text(json.dumps(card))
        record = {"loss": 0.1, "learning_rate": 1e-3}
        history = [{**record, "step": steps // 2, "validation_psnr_db": 20.0},
                   {**record, "step": steps, "validation_psnr_db": psnr_db, **counted}]  # fmt: skip
        timing = [{"step": steps // 2, "seconds": seconds / 2}, {"step": steps, "seconds": seconds}]
        for file, records in (("history", history), ("timing", timing)):
            lines = "".join(json.dumps(r) + "\n" for r in records)
            (folder / f"{file}.jsonl").write_text(lines)
        return folder

    return write


def test_the_best_stands_first_with_what_it_cost(trained):
    wide = {**BASE["architecture"], "widths": [96, 192]}
    folders = [trained("base", 30.0), trained("wide", 31.5, 600, false=7.25, architecture=wide,
                                              receptive_field_px=None)]  # fmt: skip
    table = search_table(folders, 26.2)
    assert list(table["network"]) == ["wide.white.seed0", "base.white.seed0"]
    assert list(table["differs"]) == ["widths 96-192", "-"]
    assert table["above_constant_db"].to_list() == pytest.approx([5.3, 3.8])
    assert table["seconds_a_step"].to_list() == pytest.approx([0.5, 0.3])
    assert table["minutes"].to_list() == [5.0, 5.0]
    assert np.isnan(table["field_px"][0])
    assert table["field_px"][1] == 91
    lines = page(table, 26.2, 24).splitlines()
    assert lines[2] == (
        "2 networks, each trained for 5.0 minutes on 1 thread(s), validations included.  PSNR at "
        "the end on 24 validation frames, whose constant image has 26.20 dB."
    )
    assert lines[-2:] == [
        "| wide.white.seed0 | widths 96-192 | 1,234,567 | all | 41 | 600 | 0.500 | 31.50 | 5.30 "
        "| 7.2 |",
        "| base.white.seed0 | - | 1,234,567 | 91 | 41 | 1,000 | 0.300 | 30.00 | 3.80 | - |",
    ]


def test_differences_are_those_that_change_a_result():
    other = {
        "architecture": {"architecture": "unet", "stem": 4, "scales": 3, "widths": [64, 128]},
        "training": {"minutes": 5, "learning_rate": 4e-3, "validate_every": 7},
        "training_set": {"name": "all"},
        "seed": 2,
    }
    assert differences(other, BASE) == (
        "architecture unet, scales 3, learning_rate 0.004, training_set all, seed 2"
    )
    assert differences(BASE, BASE) == ""
    gated = {**BASE, "architecture": {**BASE["architecture"], "gates": []}}
    assert differences(gated, BASE) == "gates none"


def test_the_constant_image_is_read_at_the_reference_dose():
    image = np.array([[0.9, 1.1], [1.1, 0.9]], np.float32)
    expected = -20 * np.log10(0.45 * 0.1)
    assert constant_psnr_db([image, image]) == pytest.approx(expected, abs=1e-4)


def test_what_cannot_be_tabulated_is_refused(trained):
    base = trained("base", 30.0)
    with pytest.raises(UserError, match=r"base.* is named twice; name each folder once"):
        search_table([base, base], 26.2)
    card = json.loads((base / "card.json").read_text())
    del card["threads"]
    (base / "card.json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=r"card.json lacks 'threads'"):
        search_table([base], 26.2)
    (base / "history.jsonl").unlink()
    with pytest.raises(UserError, match=r"history.jsonl does not exist"):
        search_table([base], 26.2)


def test_the_command_writes_both_files(trained, tmp_path, capsys):
    clean = np.full((8, 8), 1.0)
    clean[::2] = 1.2
    about = {"model_id": "m", "base_shape": "a", "family": "a", "defect": "D0", "layers": 16,
             "tilt_x_deg": 0.0, "tilt_y_deg": 0.0, "c1_nm": 8.0, "contrast": "white",
             "interface_y_nm": 2.0}  # fmt: skip
    imaging = {"camera": {"pixel_size_nm": 0.0061, "dark_e_per_px": 0.0}}
    frames, columns = tmp_path / "validation.h5", pd.DataFrame([{"x_nm": 0.01, "y_nm": 0.01}])
    write_frames(frames, "validation", [(about, clean, columns)], imaging, [0.45], 1)
    words = ["search", str(trained("base", 30.0)), "--frames", str(frames)]
    assert main(["--threads", "1", *words, "--output", str(tmp_path / "tables")]) == 0
    written = pd.read_csv(tmp_path / "tables" / "search.csv")
    constant = -20 * np.log10(0.45 * 0.1)
    assert written["above_constant_db"][0] == pytest.approx(30 - constant, abs=1e-4)
    assert "26.94 dB" in (tmp_path / "tables" / "search.md").read_text()
    assert "best base.white.seed0 with 30.00 dB" in capsys.readouterr().err
    # By the name of a study's network, as the rule asks: the same table.
    networks = tmp_path / "networks" / "base" / "white"
    networks.mkdir(parents=True)
    (tmp_path / "base").rename(networks / "seed0")
    words = ["search", "--spec", '{"networks": ["base.white.seed0"]}', "--frames", str(frames)]
    words += ["--networks", str(tmp_path / "networks"), "--output", str(tmp_path / "named")]
    assert main(["--threads", "1", *words]) == 0
    assert (tmp_path / "named/search.csv").read_bytes() == (
        tmp_path / "tables/search.csv"
    ).read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--spec", "[1]"], "--spec is no JSON object"),
        (["--spec", "{}"], "has no networks to compare"),
        (["--spec", '{"networks": []}'], "has no networks to compare"),
        (["--spec", '{"networks": 3}'], "has no networks to compare"),
        (["--spec", '{"networks": [1]}'], "has no networks to compare"),
        (["folder", "--spec", '{"networks": ["a.white.seed0"]}'], "give one of them"),
    ],
)
def test_what_is_no_list_of_networks_is_told(words, says, capsys):
    assert main(["search", *words]) == 2
    told = capsys.readouterr().err
    assert says in told and "Traceback" not in told


def test_the_committed_search_tries_each_candidate_once_for_as_long():
    found = config.load([ROOT / "config" / "search.yaml"])
    own = [name for name in found.networks if name not in ("narrow", "medium", "wide")]
    assert [network for network, _, _ in found.trainings()] == own
    assert {found.training_of(name).minutes for name in own} == {4}
    # Nothing is tried twice under two names.
    tried = [(str(found.networks[n].spec), str(found.networks[n].training)) for n in own]
    assert len(set(tried)) == len(tried)


def test_the_longer_search_is_of_equal_work_and_led_to_what_is_released():
    files = [ROOT / "config" / name for name in ("release.yaml", "search-long.yaml")]
    released, found = config.load(files[:1]).networks, config.load(files)
    names = [network for network, _, _ in found.trainings()]
    table = pd.read_csv(ROOT / "results" / "reference" / "search" / "long.csv")
    assert table["network"].tolist() == names
    assert table["steps"].tolist() == [found.training_of(name).steps for name in names]
    work = table["steps"] * table["core_seconds_a_step"]
    assert work.max() / work.min() < 1.01
    best = found.networks["separable"].spec.model_copy(update={"gate_ways": "down"})
    assert released["general"].spec == released["white"].spec == best
    spec = found.networks["small"].spec
    assert (spec.block, spec.gate_ways) == (best.block, best.gate_ways)
