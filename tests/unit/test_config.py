"""The configuration: what is accepted, and how a mistake is told."""

from pathlib import Path

import pytest
import yaml

from lowdose import config, config_docs
from lowdose.config import Config, load, overlay, parse
from lowdose.config_networks import ARCHITECTURES, DnCNNSpec, ResUNetSpec, UNetSpec, crop_problem
from lowdose.runtime import UserError
from lowdose.stages import Study

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = sorted(p.name for p in (ROOT / "config").glob("*.yaml") if p.name != "config.yaml")
DNCNN = {"spec": {"architecture": "dncnn"}}

UNKNOWN = {
    "netwroks": ({"netwroks": {}}, "'netwroks'; did you mean 'networks'?"),
    "nested": ({"optics": {"c3": 1}}, "'optics.c3'; did you mean 'c3_um'?"),
    "unet": (
        {"networks": {"wide": {"spec": {"scale": 3}}}},
        "'networks.wide.spec.scale'; did you mean 'scales'?",
    ),
    # Suggestions come from the architecture at hand: DnCNN has channels, not widths.
    "dncnn": (
        {"networks": {"deep": {"spec": {**DNCNN["spec"], "chanels": 3}}}},
        "'networks.deep.spec.chanels'; did you mean 'channels'?",
    ),
    "not of this architecture": (
        {"networks": {"deep": {"spec": {**DNCNN["spec"], "widths": [3]}}}},
        "'networks.deep.spec.widths'; known keys: architecture, bias_free, channels, layers, norm, "
        "stem.",
    ),
    "name of a network": (
        {"networks": {"dncnn": {"spec": {**DNCNN["spec"], "layer": 3}}}},
        "'networks.dncnn.spec.layer'; did you mean 'layers'?",
    ),
    "training of a network": (
        {"networks": {"wide": {"training": {"stepz": 3}}}},
        "'networks.wide.training.stepz'; did you mean 'steps'?",
    ),
    "list": (
        {"sweep": [{"networks": ["wide"], "training_sets": ["white"], "seeds": [0], "seed": 1}]},
        "'sweep.0.seed'; did you mean 'seeds'?",
    ),
    "nothing near": ({"camera": {"zzz": 1}}, "'camera.zzz'; known keys: contrast_factor, "),
}

WRONG = {
    "network of the sweep": (
        {"sweep": [{"networks": ["wyde"], "training_sets": ["white"], "seeds": [0]}]},
        "sweep names 'wyde', which is not under networks (there: narrow, medium, wide)",
    ),
    "training set of the sweep": (
        {"sweep": [{"networks": ["wide"], "training_sets": ["grey"], "seeds": [0]}]},
        "sweep names 'grey', which is not under training_sets (there: white)",
    ),
    "negative dose": (
        {"frames": {"doses_e_per_px": [0.45, -0.2]}},
        "at frames.doses_e_per_px.1 (it is -0.2): Input should be greater than 0",
    ),
    "negative dose of a training set": (
        {"training_sets": {"white": {"dose_e_per_px": [-1, 2]}}},
        "at training_sets.white.dose_e_per_px.0 (it is -1)",
    ),
    "reference dose": (
        {"frames": {"reference_dose_e_per_px": 3}},
        "doses_e_per_px must contain reference_dose_e_per_px",
    ),
    "pixel size": ({"camera": {"pixel_size_nm": 0}}, "at camera.pixel_size_nm (it is 0)"),
    "too deep": (
        {"networks": {"wide": {"spec": {"scales": 6, "widths": [4] * 7}}}},
        "networks.wide: 6 scales with stem 4 need crops that are a multiple of 256 px and at "
        "least 1024 px, but training.crop_px is 256; use 1024 or fewer scales",
    ),
    "blind loss": (
        {"networks": {"wide": {"training": {"loss": "counts"}}}},
        "networks.wide: architecture unet learns with loss mse or poisson, not counts",
    ),
    "compared network": (
        {"comparison": {"networks": ["wide.white.seed4"]}},
        "comparison.networks names 'wide.white.seed4', which sweep does not train (it trains "
        "narrow.white.seed0, medium.white.seed0, wide.white.seed0)",
    ),
    "compared doses": (
        {"comparison": {"methods": {"tv": {}}, "doses_e_per_px": [1.0]}},
        "comparison.doses_e_per_px must contain frames.reference_dose_e_per_px, 0.45",
    ),
    "widths": (
        {"networks": {"wide": {"spec": {"scales": 3}}}},
        "networks.wide: 3 scales need 4 widths, but widths has 5",
    ),
    "architecture": (
        {"networks": {"a": {"spec": {"architecture": "transformer"}}}},
        "at networks.a.spec.architecture (it is 'transformer'): choose from 'dncnn', 'durr', "
        "'paper-unet', 'unet', 'resunet', 'blind-spot'",
    ),
    "steps": (
        {"networks": {"wide": {"training": {"steps": 0}}}},
        "at networks.wide.training.steps (it is 0): Input should be greater than or equal to 1",
    ),
    "nothing left to train on": (
        {"frames": {"test_shapes": 40}},
        "structures.base_shapes and leave none for training",
    ),
    "detector pixels beyond use": (
        {"training_sets": {"white": {"pixel_size_nm": [1e-7, 0.01]}}},
        "pixel_size_nm must lie between 0.001 and 0.05",
    ),
    "own pixel beyond use": (
        {"training_sets": {"white": {"own_pixel_size_nm": 1e-6}}},
        "at training_sets.white.own_pixel_size_nm (it is 1e-06): Input should be greater than or "
        "equal to 0.001",
    ),
    "no family": (
        {"training_sets": {"white": {"families": []}}},
        "at training_sets.white.families: List should have at least 1 item",
    ),
    "not a number": ({"optics": {"c3_um": float("nan")}}, "at optics.c3_um (it is nan)"),
    "tilt": ({"structures": {"tilts_deg": [[9, 0]]}}, "the largest that works is 6"),
    "half a layer": (
        {"structures": {"thickness_quota": {16.5: 4}}},
        "16.5 is no whole number of layers; the nearest that work are 16 and 17",
    ),
    "vibration": ({"structures": {"particle_element": "Ag"}}, "debye_waller_nm lacks Ag"),
    "rutile": ({"structures": {"support_structure": "rutile"}}, "support_c_nm must be given"),
    "occupancy": (
        {"structures": {"surface_occupancy": [0.9, 0.5]}},
        "must be a range, smallest first",
    ),
    "a name with a dot": ({"networks": {"a.b": DNCNN}}, "at networks.a.b (it is 'a.b')"),
    "a section that is a number": ({"optics": 3}, "at optics (it is 3)"),
}


def told(values):
    with pytest.raises(UserError) as caught:
        load([], values)
    message = str(caught.value)
    assert "\n" not in message
    assert message[-1] in ".?"
    return message


@pytest.mark.parametrize("case", UNKNOWN)
def test_an_unknown_key_is_named_with_the_nearest(case):
    values, part = UNKNOWN[case]
    assert f"The configuration has the unknown key {part}" in told(values)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_value_is_named_with_what_works(case):
    values, part = WRONG[case]
    message = told(values)
    assert part in message
    assert message.startswith("The configuration is wrong")


def test_a_missing_key_is_named():
    values = load().model_dump()
    del values["frames"]["test_shapes"]
    with pytest.raises(UserError, match=r"lacks the key 'frames\.test_shapes'"):
        parse(values)
    with pytest.raises(UserError, match=r"lacks the key 'networks\.a\.spec\.architecture'"):
        load([], {"networks": {"a": {"spec": {"scales": 2}}}})


def test_several_mistakes_are_counted():
    assert "(1 more after it)" in told({"seed": -1, "tuning_trials": 0})


def test_an_unknown_baseline_names_the_nearest():
    with pytest.raises(UserError, match=r"no denoiser 'gausian' \(did you mean gaussian\?\)"):
        Study(load([], {"baselines": {"gausian": {}}}))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("general", "nothing to tune; name it under `shipped`"),
     ("temporal-sum", "works along time, but the study's frames are single ones")],
)  # fmt: skip
def test_baselines_are_methods_that_can_be_tuned_on_single_frames(name, sentence):
    with pytest.raises(UserError, match=sentence):
        Study(load([], {"baselines": {name: {}}}))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seed: [1,\n", "is no valid YAML at line 2"),
        ("a: b: c\n", "is no valid YAML at line 1"),
        ("- 1\n- 2\n", "holds no `key: value` pairs"),
        ("just words\n", "holds no `key: value` pairs"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, text, part):
    (tmp_path / "my.yaml").write_text(text)
    with pytest.raises(UserError) as caught:
        load([tmp_path / "my.yaml"])
    assert part in str(caught.value)
    assert "my.yaml" in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(UserError, match=r"no configuration file .*none\.yaml"):
        load([tmp_path / "none.yaml"])
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"x\.yaml is no valid YAML"):
        load([tmp_path / "x.yaml"])


def test_the_default_is_the_committed_file():
    values = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert load() == Config.model_validate(values)
    assert config.default_files() == [ROOT / "config" / "config.yaml"]
    assert load().study == "quick"


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_committed_overlay_is_a_study(name):
    study = Study(load([ROOT / "config" / name]))
    assert study.config.study == name.removesuffix(".yaml")
    assert study.shards
    assert study.networks()


def test_overlays_merge_key_by_key_and_replace_lists():
    below = {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    above = {"a": {"y": [9], "z": 4}, "c": {"d": 5}}
    assert overlay(below, above) == {"a": {"x": 1, "y": [9], "z": 4}, "b": 3, "c": {"d": 5}}
    assert below == {"a": {"x": 1, "y": [1, 2]}, "b": 3}
    assert overlay({"a": 1}, {"a": {"b": 2}}) == {"a": {"b": 2}}


def test_later_files_win_and_overrides_come_last(tmp_path):
    (tmp_path / "one.yaml").write_text("seed: 1\noptics: {c3_um: -9.0}\n")
    (tmp_path / "two.yaml").write_text("seed: 2\n")
    both = load([tmp_path / "one.yaml", tmp_path / "two.yaml"], {"tuning_trials": 3})
    assert (both.seed, both.optics.c3_um, both.tuning_trials) == (2, -9.0, 3)
    assert both.optics.c5_mm == load().optics.c5_mm


def test_a_network_inherits_the_training_and_overrides_keys():
    one = load([], {"training": {"batch": 7}, "networks": {"wide": {"training": {"steps": 5}}}})
    assert one.training_of("wide").steps == 5
    assert one.training_of("wide").batch == one.training_of("narrow").batch == 7


def test_the_sweep_is_the_product_without_repetitions():
    entry = {"training_sets": ["white"], "seeds": [0, 1]}
    one = load([], {"sweep": [{"networks": ["wide", "narrow"], **entry},
                              {"networks": ["narrow"], **entry, "seeds": [1, 2]}]})  # fmt: skip
    assert one.trainings() == [
        ("wide", "white", 0),
        ("wide", "white", 1),
        ("narrow", "white", 0),
        ("narrow", "white", 1),
        ("narrow", "white", 2),
    ]


@pytest.mark.parametrize(
    ("scales", "stem", "crop", "fits"),
    [(4, 4, 256, True), (4, 4, 255, False), (5, 4, 256, False), (5, 4, 512, True), (0, 4, 16, True),
     (2, 1, 16, True), (2, 1, 12, False)],
)  # fmt: skip
def test_crops_fit_the_scales(scales, stem, crop, fits):
    spec = UNetSpec(architecture="unet", scales=scales, widths=[1] * (scales + 1), stem=stem)
    problem = crop_problem(spec, crop)
    assert (problem is None) is fits
    if not fits:
        # What is named as working does work.
        named = int(problem.split("; use ")[1].split()[0])
        assert crop_problem(spec, named) is None


def test_crops_fit_the_stem_of_a_dncnn():
    assert crop_problem(DnCNNSpec(architecture="dncnn", stem=4), 256) is None
    assert "multiple of 4 px" in crop_problem(DnCNNSpec(architecture="dncnn", stem=4), 250)


def test_a_network_may_train_by_steps_where_the_others_have_minutes():
    values = {"training": {"minutes": 5}, "networks": {"wide": {"training": {"minutes": None}}}}
    found = load([], values)
    assert (found.training_of("wide").minutes, found.training_of("wide").steps) == (None, 2200)
    assert found.training_of("narrow").minutes == 5


def test_every_architecture_and_file_has_its_place_in_the_page():
    page = config_docs.generated_files()["config/README.md"]
    for name in ARCHITECTURES:
        assert f"## `networks.NAME.spec`, architecture: {name}\n" in page
    for name in OVERLAYS:
        assert f"| `{name}` |" in page


def test_a_crop_higher_than_the_frame_is_refused_with_the_largest():
    with pytest.raises(UserError) as caught:
        load([], {"networks": {"wide": {"training": {"crop_px": 768}}}})
    # 5.0 - 0.65 nm are 713.1 pixels.
    assert "networks.wide: crops of 768 px are 4.68 nm high" in str(caught.value)
    assert "that is 713 px: lower training.crop_px" in str(caught.value)
    taller = {"structures": {"cell_height_nm": 5.4}}
    load([], {"networks": {"wide": {"training": {"crop_px": 768}}}, **taller})
    coarse = {"training_sets": {"white": {"own_pixel_size_nm": 0.0183}}}
    with pytest.raises(UserError, match=r"crops of 256 px are 4\.68 nm high"):
        load([], coarse)


def test_crops_hold_a_whole_window_of_each_gate():
    gated = {"architecture": "resunet", "widths": [4, 8], "encoder_blocks": [1, 1],
             "decoder_blocks": [1], "gates": [0, 1], "gate_window": 36}  # fmt: skip
    spec = ResUNetSpec(**gated)
    # 36 px of 8 px are 288 px; the first window begins 96 px before the image, the second one
    # 96 px inside of it.
    problem = crop_problem(spec, 376)
    assert "windows of 36 px of their level need crops of 384 px or more" in problem
    assert problem.endswith("training.crop_px is 376; use 384 or smaller windows")
    assert crop_problem(spec, 384) is None
    assert crop_problem(ResUNetSpec(**gated | {"gates": [1, 0]}), 192) is None
    assert crop_problem(ResUNetSpec(**gated | {"gates": []}), 192) is None


def test_a_network_that_is_not_trained_need_not_fit_the_crops(tmp_path):
    overlay = tmp_path / "other.yaml"
    overlay.write_text("training: {crop_px: 100}\nsweep: [{networks: [n], training_sets: [white], "
                       "seeds: [0]}]\nnetworks: {n: {spec: {architecture: dncnn}}}\n")  # fmt: skip
    assert [name for name, _, _ in config.load([overlay]).trainings()] == ["n"]
    overlay.write_text("training: {crop_px: 100}\n")
    with pytest.raises(UserError, match=r"networks.* need crops"):
        config.load([overlay])
