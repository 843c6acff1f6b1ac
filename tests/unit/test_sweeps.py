"""Which trainings belong together: told from what they share and in what they differ."""

from pathlib import Path

import pytest

from lowdose import config, sweeps
from lowdose.stages import Study

ROOT = Path(__file__).resolve().parents[2]


def load(name: str, **overrides):
    return config.load([ROOT / "config" / f"{name}.yaml"], overrides)


@pytest.fixture(scope="module")
def field():
    return load("field")


@pytest.fixture(scope="module")
def geometry():
    return load("geometry")


@pytest.mark.parametrize("name", ["config", "tiny", "release", "study", "paper"])
def test_studies_without_such_sweeps_have_none(name):
    assert Study(load(name)).sweeps() == []


def test_the_sweep_of_fields_differs_in_field_and_seed_alone(field):
    found = sweeps.field_sweep(field)
    equal = [t for t in found if not t["long"]]
    fields = sorted({t["receptive_field_px"] for t in equal})
    assert fields == [23, 39, 55, 119, 199, 423, 871]
    assert len(equal) == 7 * 3 and {t["seed"] for t in equal} == {0, 1, 2}
    for key in ("training_set", "steps", "crop_px", "batch", "own_pixel_size_nm"):
        assert len({t[key] for t in equal}) == 1, key
    # No field is larger than the crop, and the crop fits into the frame.
    assert max(fields) <= equal[0]["crop_px"]
    height = field.structures.cell_height_nm - 0.65
    assert equal[0]["crop_px"] * field.camera.pixel_size_nm <= height
    long = [t for t in found if t["long"]]
    assert [(t["receptive_field_px"], t["minutes"]) for t in long] == [(23, 30), (871, 30)]


def test_parameters_of_the_sweep_are_equal(field):
    from lowdose.denoisers.networks.build import build, parameter_count

    counts = [
        parameter_count(build(network.spec.model_dump(), 0))
        for name, network in field.networks.items()
        if name.startswith("field-")
    ]
    assert len(counts) == 7
    assert max(counts) / min(counts) < 1.05


def test_the_law_is_a_grid_of_own_pixels_and_fields(field):
    found = sweeps.field_law(field)
    grid = {(t["own_pixel_size_nm"], t["receptive_field_px"]) for t in found}
    assert grid == {(p, f) for p in (0.0061, 0.0122, 0.0183) for f in (23, 55, 119, 199)}
    sweep = sweeps.field_sweep(field)[0]
    assert found[0]["batch"] * found[0]["crop_px"] ** 2 == sweep["batch"] * sweep["crop_px"] ** 2
    assert {t["steps"] for t in found} == {sweep["steps"]}
    assert not {t["denoiser"] for t in found} & {t["denoiser"] for t in sweeps.field_sweep(field)}


def test_networks_of_another_pixel_have_no_filter_on_the_cameras(field):
    study = Study(field)
    measured = study.spec("mechanism")["networks"]
    assert set(study.networks()) - set(measured) == {
        f"law-{f}.{t}.seed0" for f in (23, 55, 119, 199) for t in ("double", "triple")
    }


def test_training_geometries_say_what_they_were_shown(geometry):
    found = {t["training_set"]: t["shown"] for t in sweeps.geometry(geometry)}
    assert len(found) == 16
    assert found["all"] == {}
    assert found["only-mixed"] == {"contrast": ["intermediate"]}
    assert found["only-ptnp3"] == {"family": ["PtNp3"]}
    assert found["only-dh"] == {"defect": ["Dh"]}
    assert found["only-26"] == {"layers": [26]}
    assert found["only-untilted"] == {"tilt": ["none"]}
    assert sweeps.geometry(load("geometry", frames={"contrast": "white"})) == []


def test_a_table_compares_the_networks_of_its_sweep(field, geometry):
    study = Study(field)
    assert study.sweeps() == ["field", "field_law"]
    assert len(study.compared("field")) == 23
    assert study.compared("field_law") == study.compared("field_law_fit")
    assert study.spec("figure", figure="field")["trainings"] == sweeps.field_sweep(field)
    assert Study(geometry).sweeps() == ["geometry"]


def test_a_network_that_sees_the_whole_frame_is_in_no_sweep_of_fields(field):
    networks = {
        "whole": {
            "spec": {"architecture": "resunet", "middle": ["fourier"]},
            "training": {"crop_px": 896},
        }
    }
    sweep = [*field.model_dump(mode="json")["sweep"],
             {"networks": ["whole"], "training_sets": ["native"], "seeds": [0]}]  # fmt: skip
    found = load("field", networks=networks, sweep=sweep)
    assert "whole" in {t["network"] for t in sweeps.trainings(found)}
    assert sweeps.field_sweep(found) == sweeps.field_sweep(field)
